"""Throughput over the number of workers, where it saturates, and what would move that."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from magicpose_cli.benchmarks.worker_costs import SeenRun
from magicpose_cli.benchmarks.worker_simulation import (
    SimulatedRun,
    WorkerCosts,
    simulate_workers,
)

SATURATED = 0.9  # of the throughput that as many workers would have alone


@dataclass(frozen=True)
class WorkerScale:
    """So many workers, over all seeds.

    Attributes:
        workers: How many.
        frames_per_s: Mean over the seeds.
        frames_per_s_spread: Standard deviation over the seeds.
        efficiency: Frames a second over those of as many workers without any other cost.
        first_frame_s: From the start of the workers until the first frame is made, a mean.
        lost: Workers lost in a run, a mean.
        given_up: Runs in which the pool gave up, of all seeds.
        busy: Share 0..1 of the time in which each part was at work, means.
    """

    workers: int
    frames_per_s: float
    frames_per_s_spread: float
    efficiency: float
    first_frame_s: float
    lost: float
    given_up: int
    busy: dict[str, float]


@dataclass(frozen=True)
class WorkerBenchmark:
    """Workers of one kind in all numbers; the fields are keys of `bench workers --json`.

    Attributes:
        costs: Of each part.
        batch_size: Frames of a batch.
        frames: Of the simulated film.
        seeds: Runs for each number of workers.
        seen: Real runs on this machine against the simulation.
        scales: One for each number of workers.
        saturates_at: The least number of workers that is below SATURATED; None where none is.
        limit: The part that is busiest there, or with the most workers.
        changes: Frames a second with the most workers if one thing were otherwise.
    """

    costs: WorkerCosts
    batch_size: int
    frames: int
    seeds: int
    seen: list[SeenRun]
    scales: list[WorkerScale]
    saturates_at: int | None
    limit: str
    changes: dict[str, float]


def measure_scaling(
    costs: WorkerCosts,
    numbers: Sequence[int],
    batch_size: int,
    frames: int,
    seeds: int,
    seen: Sequence[SeenRun] = (),
) -> WorkerBenchmark:
    """Simulate a film with each number of workers, then with one thing changed at a time.

    Args:
        costs: Of each part.
        numbers: Of workers, ascending.
        batch_size: Frames of a batch.
        frames: Of the film.
        seeds: Runs of each.
        seen: Real runs, told along.
    """
    scales = [worker_scale(costs, number, batch_size, frames, seeds) for number in numbers]
    saturated = [scale for scale in scales if scale.efficiency < SATURATED]
    shown = (saturated or scales)[0 if saturated else -1]
    others = {name: share for name, share in shown.busy.items() if name != "workers"}
    busiest = max(others, key=lambda name: others[name])
    return WorkerBenchmark(
        costs=costs,
        batch_size=batch_size,
        frames=frames,
        seeds=seeds,
        seen=list(seen),
        scales=scales,
        saturates_at=saturated[0].workers if saturated else None,
        limit=busiest,
        changes={
            name: worker_scale(other, numbers[-1], size, frames, seeds).frames_per_s
            for name, (other, size) in what_if(costs, batch_size).items()
        },
    )


def worker_scale(
    costs: WorkerCosts, workers: int, batch_size: int, frames: int, seeds: int
) -> WorkerScale:
    """Simulate runs with so many workers, one for each seed.

    Args:
        costs: Of each part.
        workers: How many.
        batch_size: Frames of a batch.
        frames: Of the film.
        seeds: How many runs.
    """
    tried = [simulate_workers(costs, workers, batch_size, frames, seed) for seed in range(seeds)]
    runs: list[SimulatedRun] = [run for run in tried if run is not None]
    rates = [run.frames_per_s for run in runs] or [0.0]
    mean = statistics.mean(rates)
    parts = runs[0].busy if runs else {}
    return WorkerScale(
        workers=workers,
        frames_per_s=mean,
        frames_per_s_spread=statistics.pstdev(rates),
        efficiency=mean * costs.frame_s / workers,
        first_frame_s=statistics.mean([run.first_frame_s for run in runs] or [0.0]),
        lost=statistics.mean([run.lost for run in runs] or [0.0]),
        given_up=len(tried) - len(runs),
        busy={name: statistics.mean(run.busy[name] for run in runs) for name in parts},
    )


def what_if(costs: WorkerCosts, batch_size: int) -> dict[str, tuple[WorkerCosts, int]]:
    """Name one change each, with the costs and the batch size that it would bring.

    Args:
        costs: As they are.
        batch_size: As it is.
    """
    changes = {
        "as it is": (costs, batch_size),
        "batches four times as large": (costs, 4 * batch_size),
        "batches a quarter as large": (costs, max(1, batch_size // 4)),
        "frames kept four times as fast": (replace(costs, keep_s=costs.keep_s / 4), batch_size),
        "frames not kept": (replace(costs, keep_s=0.0), batch_size),
        "an encoder that costs nothing": (replace(costs, encode_s=0.0), batch_size),
        "writing that costs nothing": (replace(costs, keep_s=0.0, encode_s=0.0), batch_size),
        "pose maps that cost nothing": (replace(costs, draw_s=0.0), batch_size),
        "serialization that costs nothing": (
            replace(costs, send_s=0.0, receive_s=0.0), batch_size
        ),
        "no stragglers": (replace(costs, spread=0.0, slow_share=0.0), batch_size),
        "no lost workers": (replace(costs, lost_per_hour=0.0), batch_size),
        "lost workers replaced at once": (replace(costs, start_s=0.0), batch_size),
    }  # fmt: skip
    if costs.link_bytes_per_s is not None:
        faster = replace(costs, link_bytes_per_s=10 * costs.link_bytes_per_s)
        changes["a network ten times as fast"] = (faster, batch_size)
    return changes
