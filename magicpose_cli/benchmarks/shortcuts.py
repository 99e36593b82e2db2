"""What every shortcut costs and gives: quality on drawn pairs nobody trained on, and speed.

The pairs are drawn once, and every setting makes them by the same `render.Renderer` that makes
videos, from the same noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from magicpose_cli.benchmarks.render_benchmark import (
    EXACT,
    Variant,
    VariantResult,
    measure_rendering,
    named_ways,
)
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.preset import Preset
from magicpose_cli.evaluation.cases import MadeSample, Sample
from magicpose_cli.evaluation.extras import needed
from magicpose_cli.evaluation.pairs import drawn_pairs
from magicpose_cli.evaluation.pixels import psnr, ssim
from magicpose_cli.evaluation.pose_following import PoseReader, body_error, found_share
from magicpose_cli.progress import OnProgress, Progress, silent

SHORTCUTS: dict[str, dict[str, Any]] = {
    "UniPC, 40 % of the steps": {"sampling__scheduler": "unipc", "sampling__steps": "40%"},
    "DPM++ 2M, 50 %": {"sampling__scheduler": "dpm++2m", "sampling__steps": "50%"},
    "guidance in the first half": {"sampling__guidance_until": 0.5},
    "guidance in the second half": {"sampling__guidance_from": 0.5},
    "deep layers every 2nd step": {"sampling__cache_every": 2},
    "deep layers every 3rd step": {"sampling__cache_every": 3},
    "int8 weights": {"model__quantize": "int8"},
}
"""Each alone, as options over exact."""
PRESETS = ("fast", "preview")
REUSE_PX = (0.0, 0.5, 1.0, 2.0)
FILMS, FILM_FRAMES = 2, 32


@dataclass(frozen=True)
class ShortcutResult:
    """A setting over all pairs; PSNR in dB, means over the pairs.

    psnr_change: against the truth, from exact, with its standard error over the pairs. psnr_exact,
    ssim_exact: against exact's own pictures (PSNR ends at 100). found, body_error: share of the
    pictures in which the detector finds a person, in %, and how far that one is from the pose
    asked for, in % of the body height; None without a detector. relative_flops: over exact's.
    """

    name: str
    psnr: float
    psnr_change: float
    psnr_change_error: float
    ssim: float
    psnr_exact: float
    ssim_exact: float
    found: float | None
    body_error: float | None
    relative_flops: float
    frame_s: float
    faster: float


@dataclass(frozen=True)
class ReuseResult:
    """Frames of drawn films shown again while no point moves by more than `threshold_px` pixels.

    made: share of the frames that are made, in %. psnr, psnr_change, ssim: against the truth over
    all frames, as of `ShortcutResult`. psnr_exact, ssim_exact: of the frames shown again against
    those that exact makes in their place; None where none is shown again.
    """

    threshold_px: float
    made: float
    psnr: float
    psnr_change: float
    ssim: float
    psnr_exact: float | None
    ssim_exact: float | None


@dataclass(frozen=True)
class ShortcutBenchmark:
    """All settings; missing: what was left out, and why."""

    model: str
    device: str
    pairs: int
    size: int
    settings: list[ShortcutResult]
    reuse: list[ReuseResult]
    missing: dict[str, str]


def shortcut_ways(base: Preset) -> tuple[list[Variant], dict[str, str]]:
    """exact, each shortcut alone and the presets that combine them; what is missing, and why."""
    exact = named_ways([EXACT], base)[0]
    ways, missing = [exact], {}
    for name, options in SHORTCUTS.items():
        if "model__quantize" in options and find_spec("torchao") is None:
            missing[name] = "torchao is not installed; run: pip install torchao"
        else:
            ways.append(Variant(name, exact.preset.with_options(**options)))
    return ways + named_ways(PRESETS, base), missing


def measure_shortcuts(
    drawn: int,
    base: Preset,
    *,
    detector: str = "none",
    steps: int | None = None,
    guidance: float | None = None,
    frames: int = 16,
    repeat: int = 2,
    on_progress: OnProgress = silent,
) -> ShortcutBenchmark:
    """Measure every shortcut on `drawn` pairs and time it over `frames` frames.

    base: model, device, size and batch. detector: a name for pose following, which takes longer
    than all the rest, or "none". steps, guidance: stand for the model's own. Raises a
    MagicPoseError.
    """
    needed("skimage")
    ways, missing = shortcut_ways(base)
    weights = Weights(steps=steps, guidance=guidance)
    size = base.size_for(weights.pipeline(base).config.sample_size)
    cases = list(drawn_pairs(drawn, size).open())
    with ExitStack() as stack:
        reader = None
        if detector != "none":
            reader = stack.enter_context(closing(PoseReader(detector)))
        exact: list[np.ndarray] = []
        rows = {}
        for way in ways:
            pictures = []
            for picture in _pictures(way, weights, cases):
                pictures.append(picture)
                on_progress(Progress(way.name, len(pictures), len(cases), "pictures"))
            exact = exact or pictures
            rows[way.name] = _compared(cases, pictures, exact, reader)
    speed = measure_rendering(ways, weights, frames=frames, repeat=repeat, on_progress=on_progress)
    results = [
        _result(measured, speed.ways[0], rows[measured.name], rows[EXACT])
        for measured in speed.ways
    ]
    reuse = measure_reuse(ways[0], weights, size[0], on_progress)
    return ShortcutBenchmark(
        speed.model, speed.device, len(cases), size[0], results, reuse, missing
    )


def measure_reuse(
    exact: Variant, weights: Weights, size: int, on_progress: OnProgress = silent
) -> list[ReuseResult]:
    """Reuse at each of REUSE_PX on FILMS drawn films, whose first frame is the reference."""
    from magicpose_cli.benchmarks.pose_benchmark import draw_film
    from magicpose_cli.motion.framing import frame
    from magicpose_cli.motion.motion import Motion
    from magicpose_cli.pose.clip import PoseClip
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.rendering.local import Renderer

    pipeline = weights.pipeline(exact.preset)
    values: dict[float, list[dict[str, np.ndarray]]] = {threshold: [] for threshold in REUSE_PX}
    for number in range(FILMS):
        on_progress(Progress("reuse", number, FILMS, "films"))
        film = draw_film(number, FILM_FRAMES, size)
        poses = [case.pose for case in film if case.pose is not None]
        maps = np.stack([pose_map(pose, pipeline.config.pose_canvas) for pose in poses])
        renderer = Renderer(pipeline, film[0].truth, exact.preset)
        batches = np.split(maps, range(renderer.batch_size, len(maps), renderer.batch_size))
        made = list(np.concatenate(list(renderer.render(batches))))
        motion = Motion(PoseClip.of(poses), frame((size, size), (size, size), "crop"))
        for threshold, found in values.items():
            sources = motion.sources(len(poses), threshold)
            again = np.array([source != i for i, source in enumerate(sources)])
            row = _compared(film, [made[i] for i in sources], made, None)
            for key in ("psnr_exact", "ssim_exact"):
                row[key] = np.where(again, row[key], np.nan)
            found.append(row | {"made": 100.0 * ~again})
    on_progress(Progress("reuse", FILMS, FILMS, "films"))
    columns = {
        threshold: {key: np.concatenate([row[key] for row in found]) for key in found[0]}
        for threshold, found in values.items()
    }
    return [
        ReuseResult(
            threshold_px=threshold,
            made=float(column["made"].mean()),
            psnr=float(column["psnr"].mean()),
            psnr_change=float((column["psnr"] - columns[0.0]["psnr"]).mean()),
            ssim=float(column["ssim"].mean()),
            psnr_exact=_known_mean(column["psnr_exact"]),
            ssim_exact=_known_mean(column["ssim_exact"]),
        )
        for threshold, column in columns.items()
    ]


def _pictures(way: Variant, weights: Weights, cases: Sequence[Sample]) -> Iterator[np.ndarray]:
    """The picture of each case; every one has a reference of its own, hence a renderer."""
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.rendering.local import Renderer

    preset = way.preset.with_options(model__batch_size=1, model__compile="off")
    pipeline = weights.pipeline(preset)
    for case in cases:
        assert case.reference is not None and case.pose is not None
        asked = pose_map(case.pose, pipeline.config.pose_canvas)
        yield Renderer(pipeline, case.reference, preset).make(asked[None])[0]


def _compared(
    cases: Sequence[Sample],
    pictures: Sequence[np.ndarray],
    exact: Sequence[np.ndarray],
    reader: PoseReader | None,
) -> dict[str, np.ndarray]:
    """Values of each picture by name, NaN where there is none."""
    rows = []
    for case, picture, original in zip(cases, pictures, exact, strict=True):
        true, alike = MadeSample(case, picture), MadeSample(replace(case, truth=original), picture)
        row = {"psnr": psnr(true), "ssim": ssim(true), "found": None, "body_error": None}
        row |= {"psnr_exact": psnr(alike), "ssim_exact": ssim(alike)}
        if reader is not None:
            true.found = reader.read(picture)
            row |= {"found": found_share(true), "body_error": body_error(true)}
        rows.append(row)
    return {key: np.array([row[key] for row in rows], float) for key in rows[0]}


def _result(
    measured: VariantResult,
    first: VariantResult,
    values: dict[str, np.ndarray],
    exact: dict[str, np.ndarray],
) -> ShortcutResult:
    change = values["psnr"] - exact["psnr"]
    return ShortcutResult(
        name=measured.name,
        psnr=float(values["psnr"].mean()),
        ssim=float(values["ssim"].mean()),
        psnr_exact=float(values["psnr_exact"].mean()),
        ssim_exact=float(values["ssim_exact"].mean()),
        found=_known_mean(values["found"]),
        body_error=_known_mean(values["body_error"]),
        psnr_change=float(change.mean()),
        psnr_change_error=float(change.std(ddof=1) / len(change) ** 0.5)
        if len(change) > 1
        else 0.0,
        relative_flops=measured.flops / first.flops,
        frame_s=1 / measured.frames_per_s,
        faster=measured.frames_per_s / first.frames_per_s,
    )


def _known_mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
