"""The pool of drawn clips: what it holds depends on the step alone."""

import os
import signal

import numpy as np
import pytest
import torch

from magicpose_cli.dataset.processes import worker_processes
from magicpose_cli.errors import TrainingError
from magicpose_cli.synthetic.sources import synthetic_people
from magicpose_cli.training import clip_pool as module
from magicpose_cli.training.clip_pool import (
    CHUNK_CLIPS,
    ClipPool,
    imperfect,
    make_clips,
)

SHAPE = {"frames": 2, "size": 32, "pose_draw_size": 96, "first_seed": 5}


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(module, "worker_processes", worker_processes)
    pool = ClipPool(clips=2 * CHUNK_CLIPS, resample_every=3, workers=1, **SHAPE)
    yield pool
    pool.close()


@pytest.mark.slow
def test_it_draws_what_its_seeds_say_and_renews_the_oldest(pool):
    pool.seek(0)
    drawn = [
        torch.from_numpy(make_clips("drawn", 5 + chunk, CHUNK_CLIPS, 2, 32, 96)[0])
        for chunk in range(3)
    ]
    assert torch.equal(pool.images, torch.cat(drawn[:2]))
    changed = []
    pool.renewed = changed.append
    pool.advance(2)
    assert not changed
    pool.advance(3)
    assert torch.equal(changed[0], torch.arange(CHUNK_CLIPS))
    assert torch.equal(pool.images, torch.cat([drawn[2], drawn[1]]))


@pytest.mark.slow
def test_going_on_and_jumping_lead_to_the_same_pool(pool):
    pool.seek(0)
    for step in range(1, 8):
        pool.advance(step)
    walked = pool.images.clone(), pool.maps.clone()
    pool.seek(0)
    assert not torch.equal(pool.images, walked[0])
    pool.seek(7)
    assert torch.equal(pool.images, walked[0]) and torch.equal(pool.maps, walked[1])


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(pool):
    pool.seek(0)
    (worker,) = pool._workers._processes.values()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    pool.seek(3)
    expected = [
        torch.from_numpy(make_clips("drawn", 5 + chunk, CHUNK_CLIPS, 2, 32, 96)[0])
        for chunk in (2, 1)
    ]
    assert torch.equal(pool.images, torch.cat(expected))


@pytest.mark.slow
def test_workers_that_keep_dying_end_the_run_in_one_line(pool, monkeypatch):
    monkeypatch.setattr(module, "MAX_WORKER_DEATHS", 0)
    pool.seek(0)
    (worker,) = pool._workers._processes.values()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with pytest.raises(TrainingError, match=r"data\.workers"):
        pool.seek(30)


def test_an_imperfect_pose_loses_parts_at_times_and_stays_near(people):
    pose = people.poses()[0]
    rng = np.random.default_rng(0)
    tries = [imperfect(pose, rng) for _ in range(200)]
    lost = np.mean([np.isnan(t.left_hand).all() for t in tries])
    assert 0.2 < lost < 0.4
    error = np.nanmedian([np.abs(t.body - pose.body) for t in tries])
    assert 0 < error < 0.01 * pose.height


@pytest.mark.slow
def test_mixed_people_are_drawn_and_rendered_in_turns():
    for seed, kind in ((6, "drawn"), (7, "rendered")):
        mixed = synthetic_people("mixed", seed, 1, 2, 32)
        assert torch.equal(mixed.images, synthetic_people(kind, seed, 1, 2, 32).images)
    other = synthetic_people("drawn", 7, 1, 2, 32)
    assert not torch.equal(mixed.images, other.images)
