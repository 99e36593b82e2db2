"""Workers in virtual time: what can be reckoned by hand, and the pool's own rules."""

import pytest

from magicpose_cli.benchmarks.worker_simulation import WorkerCosts, simulate_workers


def simulated(workers=1, batch_size=4, frames=400, seed=0, **costs):
    return simulate_workers(WorkerCosts(**{"frame_s": 0.1, **costs}), workers, batch_size, frames,
                            seed)  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2, 5, 64])
def test_workers_that_cost_nothing_else_add_up(workers):
    run = simulated(workers, frames=64 * 4 * 5 * 5)
    assert run.frames_per_s == pytest.approx(10 * workers)
    assert run.busy["workers"] == pytest.approx(1.0) and run.busy["write"] == 0


def test_the_last_batches_leave_workers_idle():
    """Five batches of two workers take as long as six."""
    assert simulated(2, frames=20).seconds == pytest.approx(3 * 0.4)


def test_starting_is_told_apart():
    run = simulated(2, start_s=7.0)
    assert run.first_frame_s == pytest.approx(7.4) and run.frames_per_s == pytest.approx(20)


@pytest.mark.parametrize(
    ("part", "costs"),
    [
        ("draw", {"draw_s": 0.05}),
        ("write", {"keep_s": 0.03, "encode_s": 0.02}),
        ("pool", {"send_s": 0.03, "receive_s": 0.02}),
        ("network", {"frame_bytes": 10**6, "link_bytes_per_s": 2e7}),
    ],
)
def test_the_slowest_part_decides(part, costs):
    run = simulated(16, frames=4000, **costs)
    assert run.frames_per_s == pytest.approx(20, rel=0.02)
    assert run.busy[part] == pytest.approx(1.0, abs=0.02)
    assert max(share for name, share in run.busy.items() if name != part) < 0.5


def test_parts_that_are_fast_enough_run_beside_the_workers():
    run = simulated(2, frames=4000, draw_s=0.04, keep_s=0.04)
    assert run.frames_per_s == pytest.approx(20, rel=0.01)


def test_what_the_pool_sends_and_takes_is_time_in_which_its_worker_waits():
    assert simulated(1, send_s=0.01, receive_s=0.02).frames_per_s == pytest.approx(1 / 0.13)


def test_drawing_ahead_and_writing_behind_do_not_wait_for_each_other():
    """The pool takes and gives in turns: the slower of both decides, not their sum."""
    run = simulated(64, frames=8000, batch_size=8, draw_s=0.014, keep_s=0.02)
    assert run.frames_per_s > 0.9 / 0.02


def test_a_straggler_is_waited_for_where_the_others_may_not_go_on():
    """The pool reads two batches a worker ahead of the oldest that is not ready."""
    even, uneven = simulated(8, frames=8000), simulated(8, frames=8000, spread=0.5)
    assert uneven.frames_per_s < 0.97 * even.frames_per_s
    slow = simulated(8, frames=8000, slow_share=0.02, slow_factor=20.0)
    mean = 1 + 0.02 * 19
    assert slow.frames_per_s < 0.9 * even.frames_per_s / mean  # more than they take themselves


def test_a_lost_worker_costs_its_batch_and_the_start_of_another():
    rare = simulated(4, frames=20_000, lost_per_hour=10, start_s=5.0)
    even = simulated(4, frames=20_000)
    assert rare.lost > 3
    least = (rare.lost * 5.0 - 1) / 1.01  # the pool waits for the new one
    assert even.seconds + 0.5 * least < rare.seconds < even.seconds + rare.lost * 5.0 * 2


def test_a_pool_whose_workers_never_live_long_enough_gives_up():
    assert simulated(2, lost_per_hour=3600 / 0.01) is None


def test_a_seed_gives_the_same_run_again():
    costs = {"spread": 0.3, "lost_per_hour": 20.0, "start_s": 2.0}
    assert simulated(4, seed=3, **costs) == simulated(4, seed=3, **costs)
    assert simulated(4, seed=3, **costs) != simulated(4, seed=4, **costs)


def test_replies_taken_in_turns_let_workers_go_on_sooner():
    """Between two replies the first one's worker is given its next batch."""
    one, many = (simulated(8, receive_s=0.001, one_at_a_time=flag) for flag in (True, False))
    assert many.frames_per_s < one.frames_per_s < 80
