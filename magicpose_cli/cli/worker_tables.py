"""The tables of `magicpose bench workers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpose_cli.cli.bench_tables import bench_table, plain_console, say_lines

if TYPE_CHECKING:
    from magicpose_cli.benchmarks.worker_scaling import WorkerBenchmark


def print_workers(measured: WorkerBenchmark) -> None:
    """A row for each number of workers, the costs above and what would change it below."""
    console = plain_console()
    costs = measured.costs
    say_lines(console, [
        f"a frame: {1000 * costs.frame_s:.0f} ms of a worker (batches spread by "
        f"{100 * costs.spread:.0f} %), {1000 * costs.draw_s:.1f} ms drawn, "
        f"{1000 * costs.send_s:.2f} ms sent, {1000 * costs.receive_s:.2f} ms taken, "
        f"{1000 * costs.keep_s:.1f} ms kept, {1000 * costs.encode_s:.1f} ms encoded; "
        f"{costs.frame_bytes / 1e6:.2f} MB each way",
        f"a worker starts in {costs.start_s:.1f} s and is lost {costs.lost_per_hour:g} times an "
        f"hour; {100 * costs.slow_share:g} % of the batches take {costs.slow_factor:g} times as "
        f"long; network: {_network(costs.link_bytes_per_s)}",
        *(
            f"{run.workers} real workers here, {1000 * run.frame_s:.0f} ms a frame side by side: "
            f"{run.seen_s:.1f} s seen, {run.predicted_s:.1f} s predicted "
            f"({run.predicted_s / run.seen_s:.2f}x)"
            for run in measured.seen
        ),
    ])  # fmt: skip
    table = bench_table(
        f"workers, film of {measured.frames:,} frames in batches of {measured.batch_size}, "
        f"mean of {measured.seeds} runs",
        *("speed\nframes/s", "+-", "of ideal\n%", "first frame\ns", "lost\nworkers"),
        *("workers\nbusy %", "drawing\n%", "pool\n%", "network\n%", "writing\n%"),
    )
    for scale in measured.scales:
        shares = [scale.busy.get(name, 0.0) for name in ("workers", "draw", "pool", "network",
                                                         "write")]  # fmt: skip
        table.add_row(
            str(scale.workers), f"{scale.frames_per_s:.3g}", f"{scale.frames_per_s_spread:.2g}",
            f"{100 * scale.efficiency:.0f}", f"{scale.first_frame_s:.1f}", f"{scale.lost:.1f}",
            *(f"{100 * share:.0f}" for share in shares),
        )  # fmt: skip
    console.print(table)
    changes = bench_table(f"with {measured.scales[-1].workers} workers, if", "frames/s", "over now")
    now = measured.changes["as it is"]
    for name, rate in measured.changes.items():
        changes.add_row(name, f"{rate:.3g}", f"{rate / now:.2f}x" if now else "–")
    console.print(changes)
    say_lines(console, _summary(measured))


def _summary(measured: WorkerBenchmark) -> list[str]:
    given_up = sum(scale.given_up for scale in measured.scales)
    lines = [
        f"{given_up} runs in which one batch ended three workers are left out"
    ] if given_up else []  # fmt: skip
    if measured.saturates_at is None:
        return [*lines, f"not saturated by {measured.scales[-1].workers} workers"]
    return [
        *lines,
        f"below 90 % of the ideal from {measured.saturates_at} workers on; besides the workers, "
        f"what is busiest there: {measured.limit}",
    ]


def _network(rate: float | None) -> str:
    return "none, one machine" if rate is None else f"{8 * rate / 1e9:g} Gbit/s each way"
