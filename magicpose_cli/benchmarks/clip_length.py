"""Memory and time over the length of a clip: `magicpose animate` in a new process for each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.config.extras import needed
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.files import whole_file
from magicpose_cli.progress import OnProgress, Progress, silent

CLIP_SIDE_PX, CLIP_STEPS, CLIP_FPS = 64, 1, 25
CHILD = """\
import sys, time
from magicpose_cli.cli import main
from magicpose_cli.benchmarks.peak_memory import own_peak
try:
    main()
finally:
    sys.stdout.write(f"{own_peak()} {time.process_time()}")
"""


@dataclass(frozen=True)
class LengthResult:
    """What a clip of so many frames takes.

    Attributes:
        frames: Of the clip.
        peak_memory: Bytes that the process held at most.
        seconds: From the command to the video.
        first_frame_s: From the command to the first frame, to a fifth of a second.
        frame_s: Seconds a frame from there to the last one; None where nothing is left.
        cpu_s: Seconds of all cores that the process took, which a busy machine changes less.
    """

    frames: int
    peak_memory: int
    seconds: float
    first_frame_s: float
    frame_s: float | None
    cpu_s: float


def measure_lengths(
    lengths: Sequence[int], model: Path | None = None, on_progress: OnProgress = silent
) -> list[LengthResult]:
    """Animate clips of these lengths with the smallest network, from a pose file each.

    model: a folder; a tiny network with random weights by default. The encoder is a process of its
    own and does not count. Raises MagicPoseError where a run fails.
    """
    from magicpose_cli.benchmarks.pose_benchmark import draw_film
    from magicpose_cli.video import write_picture

    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_picture(folder / "ref.png", draw_film(0, 1, CLIP_SIDE_PX)[0].truth)
        model = model or _random_model(folder / "model")
        for index, frames in enumerate(lengths):
            on_progress(Progress("animating", index, len(lengths), "clips"))
            results.append(_measure(folder, model, frames))
        on_progress(Progress("animating", len(lengths), len(lengths), "clips"))
    return results


def plot_lengths(results: Sequence[LengthResult], path: Path) -> None:
    """Draw memory and time over the number of frames; the picture's format is the suffix's."""
    figure = needed("matplotlib.figure").Figure(figsize=(6, 5), layout="constrained")
    memory, time_axes = figure.subplots(2, sharex=True)
    frames = [result.frames for result in results]
    memory.plot(frames, [result.peak_memory / 2**20 for result in results], "o-", color="#3366aa")
    memory.set_ylabel("peak memory [MiB]")
    paces = [(r.frames, 1000 * r.frame_s) for r in results if r.frame_s is not None]
    if paces:
        time_axes.plot(*zip(*paces, strict=True), "o-", color="#3366aa")
    time_axes.set_ylabel("time a frame [ms]")
    time_axes.set_xlabel("frames of the clip")
    for axes in (memory, time_axes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
    with whole_file(path, overwrite=True) as hidden:
        figure.savefig(hidden, dpi=120, format=path.suffix[1:] or "png")


def _random_model(folder: Path) -> Path:
    from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline

    random_pipeline("tiny", "float32", "cpu").save_pretrained(folder)
    return folder


def _measure(folder: Path, model: Path, frames: int) -> LengthResult:
    driver, out = folder / f"{frames}.npz", folder / f"{frames}.mp4"
    _write_poses(driver, frames)
    arguments = ["animate", str(folder / "ref.png"), str(driver), "--out", str(out), "--json"]
    arguments += ["--model", str(model), "--size", str(CLIP_SIDE_PX), "--steps", str(CLIP_STEPS)]
    arguments += ["--retarget", "none", "--device", "cpu"]
    said = folder / "said.txt"
    start = time.perf_counter()
    with said.open("w", encoding="utf-8") as errors:
        run = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, stderr=errors,
            encoding="utf-8",
        )  # fmt: skip
        assert run.stdout is not None
        with run:
            told, drawn = _followed(run.stdout, start)
    seconds = time.perf_counter() - start
    if run.returncode:
        lines = said.read_text(encoding="utf-8").strip().splitlines() or ["nothing was said"]
        raise MagicPoseError(
            f"animate with {frames} frames ended with exit code {run.returncode} ({lines[-1]}); "
            "expected a video, run it again with fewer frames"
        )
    made = json.loads(out.with_name(f"{out.name}.json").read_text(encoding="utf-8"))["frames"]
    if made != frames:
        raise MagicPoseError(f"animate made {made} of {frames} frames; expected all of them")
    out.unlink()
    first_s, first = drawn[0]
    last_s, last = drawn[-1]
    pace = (last_s - first_s) / (last - first) if last > first else None
    peak, cpu_s = told.split()
    return LengthResult(frames, int(peak), seconds, first_s, pace, float(cpu_s))


def _followed(lines: Iterable[str], start: float) -> tuple[str, list[tuple[float, int]]]:
    """Read a run's events; return the line that is none, and when how many frames were there."""
    told, drawn = "", []
    for line in lines:
        if not line.startswith("{"):
            told = line
            continue
        event = json.loads(line)
        if event.get("stage") == "render" and event["done"]:
            drawn.append((time.perf_counter() - start, event["done"]))
    return told, drawn


def _write_poses(path: Path, frames: int) -> None:
    from magicpose_cli.benchmarks.footage import drawn_poses
    from magicpose_cli.pose.clip import PeopleClip
    from magicpose_cli.pose.files.npz import write_npz

    write_npz(path, PeopleClip.of(drawn_poses(frames), CLIP_FPS))
