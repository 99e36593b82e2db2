"""Throughput over the number of workers: where it saturates and what would move that."""

import pytest

from magicpose_cli.benchmarks.worker_costs import SeenRun
from magicpose_cli.benchmarks.worker_scaling import measure_scaling, what_if, worker_scale
from magicpose_cli.benchmarks.worker_simulation import WorkerCosts
from magicpose_cli.cli.worker_tables import print_workers

COSTS = WorkerCosts(frame_s=0.4, spread=0.1, draw_s=0.005, keep_s=0.03, encode_s=0.02)


def test_it_saturates_where_writing_is_busy_and_faster_writing_moves_that():
    measured = measure_scaling(COSTS, [1, 4, 16], batch_size=4, frames=1600, seeds=2)
    rates = [scale.frames_per_s for scale in measured.scales]
    assert rates[0] == pytest.approx(2.5, rel=0.05) and rates[1] > 3.5 * rates[0]
    assert rates[2] < 1 / 0.05 + 0.1
    assert (measured.saturates_at, measured.limit) == (16, "write")
    now = measured.changes["as it is"]
    assert now == pytest.approx(rates[2])
    assert measured.changes["writing that costs nothing"] > 1.5 * now
    assert measured.changes["frames not kept"] > 1.5 * now
    assert measured.changes["serialization that costs nothing"] == pytest.approx(now)


def test_few_workers_are_not_saturated():
    measured = measure_scaling(COSTS, [1, 2], batch_size=4, frames=800, seeds=1)
    assert measured.saturates_at is None


def test_runs_in_which_the_pool_gives_up_are_counted():
    scale = worker_scale(WorkerCosts(frame_s=10.0, lost_per_hour=1000.0), 2, 16, 64, seeds=3)
    assert (scale.given_up, scale.frames_per_s, scale.busy) == (3, 0.0, {})


def test_a_network_is_a_part_where_there_is_one():
    assert "a network ten times as fast" not in what_if(COSTS, 4)
    slow = WorkerCosts(frame_s=0.4, frame_bytes=10**6, link_bytes_per_s=1e7)
    measured = measure_scaling(slow, [1, 16], batch_size=4, frames=800, seeds=1)
    assert measured.limit == "network"
    changes = measured.changes
    assert changes["a network ten times as fast"] > 2 * changes["as it is"]


def test_the_table_tells_it_all(capsys):
    seen = [SeenRun(workers=2, frame_s=0.4, seen_s=10.0, predicted_s=9.0)]
    print_workers(measure_scaling(COSTS, [1, 16], 4, 800, 1, seen))
    printed = capsys.readouterr().out
    for told in (
        "400 ms of a worker", "30.0 ms kept", "none, one machine", "10.0 s seen, 9.0 s predicted",
        "(0.90x)", "with 16 workers, if", "frames not kept", "from 16 workers on", "write",
    ):  # fmt: skip
        assert told in printed
