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

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.benchmarks.render_benchmark import (
    EXACT,
    Variant,
    VariantResult,
    measure_rendering,
    named_variants,
)
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.extras import needed
from magicpose_cli.config.preset import Preset
from magicpose_cli.evaluation.generate import own_map
from magicpose_cli.evaluation.pairs import synthetic_pairs
from magicpose_cli.evaluation.pixels import psnr, ssim
from magicpose_cli.evaluation.pose_following import PoseReader, body_error, found_share
from magicpose_cli.evaluation.samples import MadeSample, Sample
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
    """A setting over all pairs; means over the pairs.

    Attributes:
        name: Of the setting.
        psnr: Against the truth, in dB.
        psnr_change: Of the same from exact, in dB.
        psnr_change_error: Its standard error over the pairs.
        ssim: Against the truth.
        psnr_exact: Against exact's own pictures, in dB, 100 at most.
        ssim_exact: Against exact's own pictures.
        found: Share of the pictures in which the detector finds a person, in %; None without a
            detector.
        body_error: How far that person is from the pose asked for, in % of the body height.
        relative_flops: Operations of a frame over exact's.
        frame_s: Seconds of a frame.
        faster: Frames a second over exact's.
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

    Attributes:
        threshold_px: How far a point may move.
        made: Share of the frames that are made, in %.
        psnr: Against the truth over all frames, in dB.
        psnr_change: Of the same from making every frame, in dB.
        ssim: Against the truth over all frames.
        psnr_exact: Of the frames shown again against those that exact makes in their place, in dB;
            None where none is shown again.
        ssim_exact: Likewise.
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
    """All settings; the fields are keys of `bench shortcuts --json`.

    Attributes:
        model: For people.
        device: For people.
        pairs: How many were made.
        size: Side of the pictures in pixels.
        settings: What each setting costs and gives.
        reuse: What showing frames again costs and gives.
        missing: What was left out, and why.
    """

    model: str
    device: str
    pairs: int
    size: int
    settings: list[ShortcutResult]
    reuse: list[ReuseResult]
    missing: dict[str, str]


def shortcut_variants(base: Preset) -> tuple[list[Variant], dict[str, str]]:
    """Make exact, each shortcut alone and the presets that combine them; tell what is missing."""
    exact = named_variants([EXACT], base)[0]
    variants, missing = [exact], {}
    for name, options in SHORTCUTS.items():
        if "model__quantize" in options and find_spec("torchao") is None:
            missing[name] = "torchao is not installed; run: pip install torchao"
        else:
            variants.append(Variant(name, exact.preset.with_options(**options)))
    return variants + named_variants(PRESETS, base), missing


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

    Args:
        drawn: How many pairs.
        base: Model, device, size and batch.
        detector: A name for pose following, which takes longer than all the rest, or "none".
        steps: Stand for the model's own.
        guidance: Stands for the model's own.
        frames: Over which speed is measured.
        repeat: How often speed is measured.
        on_progress: Is told each picture.

    Raises:
        MagicPoseError: Something is wrong that the user can mend.
    """
    needed("skimage")
    variants, missing = shortcut_variants(base)
    weights = Weights(steps=steps, guidance=guidance)
    size = base.size_for(weights.pipeline(base).config.sample_size)
    samples = list(synthetic_pairs("drawn", drawn, size).open())
    with ExitStack() as stack:
        reader = None
        if detector != "none":
            reader = stack.enter_context(closing(PoseReader(detector)))
        exact: list[Picture] = []
        rows = {}
        for variant in variants:
            pictures = []
            for picture in _pictures(variant, weights, samples):
                pictures.append(picture)
                on_progress(Progress(variant.name, len(pictures), len(samples), "pictures"))
            exact = exact or pictures
            rows[variant.name] = _compared(samples, pictures, exact, reader)
    speed = measure_rendering(
        variants, weights, frames=frames, repeat=repeat, on_progress=on_progress
    )
    results = [
        _result(measured, speed.ways[0], rows[measured.name], rows[EXACT])
        for measured in speed.ways
    ]
    reuse = measure_reuse(variants[0], weights, size[0], on_progress)
    return ShortcutBenchmark(
        speed.model, speed.device, len(samples), size[0], results, reuse, missing
    )


def measure_reuse(
    exact: Variant, weights: Weights, size: int, on_progress: OnProgress = silent
) -> list[ReuseResult]:
    """Measure reuse at each of REUSE_PX on drawn films, whose first frame is the reference."""
    from magicpose_cli.benchmarks.pose_benchmark import draw_film
    from magicpose_cli.motion.framing import frame
    from magicpose_cli.motion.motion import Motion
    from magicpose_cli.pose.clip import PoseClip
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.rendering.local import Renderer

    pipeline = weights.pipeline(exact.preset)
    values: dict[float, list[dict[str, Floats]]] = {threshold: [] for threshold in REUSE_PX}
    for number in range(FILMS):
        on_progress(Progress("reuse", number, FILMS, "films"))
        film = draw_film(number, FILM_FRAMES, size)
        poses = [sample.pose for sample in film if sample.pose is not None]
        maps = np.stack([pose_map(pose, pipeline.config.pose_canvas) for pose in poses])
        renderer = Renderer(pipeline, film[0].truth, exact.preset, own_map=maps[0])
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


def _pictures(variant: Variant, weights: Weights, samples: Sequence[Sample]) -> Iterator[Picture]:
    """The picture of each case; every one has a reference of its own, hence a renderer."""
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.rendering.local import Renderer

    preset = variant.preset.with_options(model__batch_size=1, model__compile="off")
    pipeline = weights.pipeline(preset)
    for sample in samples:
        assert sample.reference is not None and sample.pose is not None
        asked = pose_map(sample.pose, pipeline.config.pose_canvas)
        own = own_map(sample, pipeline.config.pose_canvas)
        yield Renderer(pipeline, sample.reference, preset, own_map=own).make(asked[None])[0]


def _compared(
    samples: Sequence[Sample],
    pictures: Sequence[Picture],
    exact: Sequence[Picture],
    reader: PoseReader | None,
) -> dict[str, Floats]:
    """Values of each picture by name, NaN where there is none."""
    rows = []
    for sample, picture, original in zip(samples, pictures, exact, strict=True):
        true, alike = (
            MadeSample(sample, picture),
            MadeSample(replace(sample, truth=original), picture),
        )
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
    values: dict[str, Floats],
    exact: dict[str, Floats],
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


def _known_mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
