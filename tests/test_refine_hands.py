"""Hands made again from near, from end to end: nothing but hands changes, whoever makes them."""

from pathlib import Path

import numpy as np
import pytest

from magicpose_cli import Resources, animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError
from magicpose_cli.motion.hand_crops import hand_layers
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import write_people
from magicpose_cli.run.resources import WorkerConfig
from magicpose_cli.video import read_picture, write_picture

FRAMES, SIZE = 5, 128


@pytest.fixture(scope="module")
def poses(people):
    return [
        pose.map_points(lambda points: points * (SIZE / 256), SIZE, SIZE)
        for pose in people.poses()[:FRAMES]
    ]


@pytest.fixture(scope="module")
def given(poses, tmp_path_factory) -> Path:
    """ref.png and dance.npz of a drawn person."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(3)
    write_picture(folder / "ref.png", random.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    write_people(folder / "dance.npz", PeopleClip.of(poses, 8))
    return folder


def preset(model: Path, **options) -> Preset:
    return Preset().with_options(
        model__name=str(model), model__device="cpu", model__batch_size=2, sampling__steps="2",
        motion__retarget="none", frame__size=str(SIZE), sampling__refine_hands=True, **options,
    )  # fmt: skip


def made(given: Path, out: Path, settings: Preset, **options) -> np.ndarray:
    animate(given / "ref.png", given / "dance.npz", out, settings, **options)
    return np.stack([read_picture(path) for path in sorted(out.glob("*.png"))])


@pytest.fixture(scope="module")
def refined(given, tiny_model, tmp_path_factory) -> np.ndarray:
    return made(given, tmp_path_factory.mktemp("refined") / "frames", preset(tiny_model))


@pytest.mark.slow
def test_nothing_but_hands_changes(given, tiny_model, poses, refined, tmp_path):
    plain = preset(tiny_model).with_options(sampling__refine_hands=False)
    former = made(given, tmp_path / "frames", plain)
    changed = 0
    for one, other, pose in zip(refined, former, poses, strict=True):
        masks = hand_layers(pose, SIZE)[..., 3::4].max(2)
        np.testing.assert_array_equal(one[masks == 0], other[masks == 0])
        changed += int((one != other).any(2)[masks > 0].sum())
    assert changed > 100


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_bytes(given, tiny_model, refined, tmp_path):
    def interrupt(progress):
        if progress.stage == "render" and progress.done == 3:
            raise KeyboardInterrupt

    out, settings = tmp_path / "frames", preset(tiny_model)
    with pytest.raises(KeyboardInterrupt):
        made(given, out, settings, on_progress=interrupt)
    np.testing.assert_array_equal(made(given, out, settings), refined)


@pytest.mark.slow
def test_two_workers_make_what_one_process_makes(given, tiny_model, refined, tmp_path):
    with Resources(WorkerConfig(count=2)) as workers:
        frames = made(given, tmp_path / "w", preset(tiny_model), resources=workers)
    np.testing.assert_array_equal(frames, refined)


def test_pose_maps_do_not_tell_where_hands_are(given, tiny_model, media, tmp_path):
    settings = preset(tiny_model, motion__driver_kind="pose-maps")
    with pytest.raises(ConfigError, match="leave --refine-hands out"):
        animate(given / "ref.png", media / "dance.mp4", tmp_path / "out", settings)
