"""What a run with workers costs on this machine, part by part, and the same run for real."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Pictures
from magicpose_cli.benchmarks.echo_worker import EchoActor, echo_frames
from magicpose_cli.benchmarks.footage import RenderFootage, footage
from magicpose_cli.benchmarks.worker_simulation import WorkerCosts, simulate_workers
from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import read_index, resolve_model
from magicpose_cli.errors import ConfigError
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.rendering.worker_pool import WorkerPool
from magicpose_cli.rendering.worker_processes import Processes
from magicpose_cli.run.resume_folder import ResumeFolder
from magicpose_cli.run.temporary import temporary_folder
from magicpose_cli.run.threads import BackgroundWriter, prefetch
from magicpose_cli.video import VideoWriter

MEASURED_BATCHES = 8
_REPEATS = 7
_CHECKED = (1, 2)  # workers of the real runs
_FPS = 25
_POSE_DRAW_PX = 604  # the released model's


@dataclass(frozen=True)
class SeenRun:
    """A run with real workers against what the simulation says of it.

    Attributes:
        workers: How many, all on this machine.
        frame_s: Of each of them for a frame, side by side, with nothing else to do.
        seen_s: Seconds from the moment all are ready to the last frame's end.
        predicted_s: Of the simulation.
    """

    workers: int
    frame_s: float
    seen_s: float
    predicted_s: float


def measure_worker_costs(
    preset: Preset, batch_size: int, *, on_progress: OnProgress = silent
) -> tuple[WorkerCosts, list[SeenRun]]:
    """Measure each part with the preset's model, then runs with one and two real workers.

    Args:
        preset: All settings; workers run on the CPU, with a thread each.
        batch_size: Frames of a batch.
        on_progress: Is told each part.

    Returns:
        The costs, in which no worker is lost, and the runs that check the simulation.

    Raises:
        MagicPoseError: The model cannot be loaded.
    """
    preset = preset.with_options(model__device="cpu", model__batch_size=batch_size)
    index = read_index(resolve_model(preset.model.name))
    width, height = preset.size_for(index["sample_size"])
    preset = preset.with_options(frame__size=f"{width}x{height}")
    shown = footage((width, height), index["pose_canvas"], batch_size)
    moved_s = sum(pipe_costs(shown.maps))
    costs: WorkerCosts | None = None
    seen: list[SeenRun] = []
    with temporary_folder() as folder:
        for workers in _CHECKED:
            on_progress(Progress("workers", len(seen), len(_CHECKED), "runs"))
            batches = MEASURED_BATCHES * workers
            # workers share this machine's cores, so that they are timed side by side
            own, made, took = _measured_in_workers(
                preset, shown, workers, moved_s, folder / f"seen-{workers}.mp4"
            )
            if costs is None:  # of one worker
                costs = with_frames_of(own, made, shown.seconds["draw"])
            run = simulate_workers(
                # there the maps are drawn already
                replace(costs, frame_s=own.frame_s, spread=own.spread, draw_s=0.0),
                workers, batch_size, batches * batch_size,
            )  # fmt: skip
            assert run is not None  # nothing is lost
            seen.append(SeenRun(workers, own.frame_s, took, run.seconds))
    on_progress(Progress("workers", len(_CHECKED), len(_CHECKED), "runs"))
    assert costs is not None
    return costs, seen


def with_frames_of(costs: WorkerCosts, frames: Pictures, draw_s: float) -> WorkerCosts:
    """Measure what moving, keeping and encoding such frames costs here.

    Args:
        costs: Take these values.
        frames: (n, H, W, 3) uint8 RGB, a batch.
        draw_s: Of drawing a pose map of their size.
    """
    send_s, receive_s = pipe_costs(frames)
    with temporary_folder() as folder:
        keep_s, encode_s = _writing_costs(folder, frames)
    return replace(
        costs, draw_s=draw_s, send_s=send_s, receive_s=receive_s, keep_s=keep_s,
        encode_s=encode_s, frame_bytes=frames[0].nbytes,
    )  # fmt: skip


def costs_of_size(costs: WorkerCosts, size_px: int, batch_size: int) -> WorkerCosts:
    """Measure what pictures of a drawn person of another size cost to draw, move and write.

    Args:
        costs: Take these values.
        size_px: Side of the pictures.
        batch_size: Frames of a batch.
    """
    shown = footage((size_px, size_px), _POSE_DRAW_PX, batch_size)
    frames = np.repeat(shown.reference[None], batch_size, axis=0)
    return with_frames_of(costs, frames, shown.seconds["draw"])


def pipe_costs(maps: Pictures) -> tuple[float, float]:
    """Seconds a frame of the pool's thread to send and to take a batch, by a worker's own pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=echo_frames, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    sent, taken = [], []
    try:
        for _ in range(_REPEATS):
            began = time.perf_counter()
            ours.send(("make", (maps,)))
            sent.append(time.perf_counter() - began)
            ours.poll(None)
            began = time.perf_counter()
            ours.recv()
            taken.append(time.perf_counter() - began)
    finally:
        ours.close()
        process.join()
    return _least_per_frame(sent, maps), _least_per_frame(taken, maps)


def check_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ConfigError: It is not.
    """
    if find_spec("ray") is None:
        raise ConfigError(
            "--ray needs the package ray, which is not installed; run: pip install 'magicpose[ray]'"
        )


def ray_costs(frame_bytes: int, batch_size: int) -> tuple[float, float]:
    """Likewise by Ray's store of objects, in a cluster of this machine alone.

    Args:
        frame_bytes: Of each frame.
        batch_size: Frames of a batch.

    Raises:
        ConfigError: Ray is not installed.
    """
    check_ray()
    ray: Any = importlib.import_module("ray")
    maps = np.zeros((batch_size, frame_bytes), np.uint8)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    sent, taken = [], []
    try:
        actor = ray.remote(num_cpus=1)(EchoActor).remote()
        for _ in range(_REPEATS):
            began = time.perf_counter()
            task = actor.do.remote("make", maps)
            sent.append(time.perf_counter() - began)
            ray.wait([task], fetch_local=False)
            began = time.perf_counter()
            ray.get(task)
            taken.append(time.perf_counter() - began)
    finally:
        ray.shutdown()
    return _least_per_frame(sent, maps), _least_per_frame(taken, maps)


def _seen_s(pool: WorkerPool, maps: Pictures, batches: int, out: Path) -> float:
    """Make so many batches with these workers, kept and encoded as `animate` does.

    Returns:
        Seconds to the last frame's end; all workers are ready when they begin.
    """
    at = 0

    with ResumeFolder.open(out, {"batches": batches}) as resume:
        writer = VideoWriter(str(out), _FPS, overwrite=True, work=resume.path)

        def take(frames: Pictures) -> None:
            nonlocal at
            for frame in frames:
                resume.save(at, frame)
                writer.write(frame)
                at += 1

        began = time.perf_counter()
        with writer:
            with BackgroundWriter(take) as sink:
                for made in pool.render(prefetch(_repeated(maps, batches))):
                    sink.put(made)
            seconds = time.perf_counter() - began
        resume.finish()
    return seconds


def _measured_in_workers(
    preset: Preset, shown: RenderFootage, workers: int, moved_s: float, out: Path
) -> tuple[WorkerCosts, Pictures, float]:
    """Measure the start of workers, their times of batches, side by side, and a run to `out`.

    moved_s: of sending and taking a frame, which is not the workers' own.

    Returns:
        The costs of a worker, a batch, and the seconds of MEASURED_BATCHES a worker as a run.
    """
    frames, batches = len(shown.maps), MEASURED_BATCHES * workers
    began = time.perf_counter()
    with WorkerPool(preset, group=Processes(workers, threads=1)) as pool:
        pool.set_reference(shown.reference, preset, batches * frames)
        start_s = time.perf_counter() - began
        [made, *_] = pool.render([shown.maps] * workers)
        times = []
        for _ in range(MEASURED_BATCHES):
            began = time.perf_counter()
            list(pool.render([shown.maps] * workers))
            times.append(time.perf_counter() - began)
        took = _seen_s(pool, shown.maps, batches, out)
    own = [max(1e-6, seconds - workers * frames * moved_s) for seconds in times]
    costs = WorkerCosts(
        frame_s=statistics.mean(own) / frames,
        spread=statistics.stdev(map(math.log, own)),
        start_s=start_s,
        frame_bytes=made[0].nbytes,
    )
    return costs, made, took


def _writing_costs(folder: Path, frames: Pictures) -> tuple[float, float]:
    """Seconds a frame of keeping it in a resume folder, and of giving it to the encoder."""
    from magicpose_cli.benchmarks.render_benchmark import encode_s

    with ResumeFolder.open(folder / "kept.mp4", {}) as resume:
        times = []
        for index, frame in enumerate(np.repeat(frames, _REPEATS, axis=0)):
            began = time.perf_counter()
            resume.save(index, frame)
            times.append(time.perf_counter() - began)
    return min(times), encode_s(frames)


def _least_per_frame(seconds: list[float], maps: Pictures) -> float:
    """Seconds a frame of the fastest batch: what else a machine does only makes things slower."""
    return min(seconds) / len(maps)


def _repeated(maps: Pictures, batches: int) -> Iterator[Pictures]:
    for _ in range(batches):
        yield maps
