"""What a distilled model keeps of its teacher: quality on pairs nobody trained on, and speed.

All rows make the same pairs from the same noise. The teacher with few steps and without guidance
shows what distilling is for: beginning where its own schedule begins, and at the last timestep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.benchmarks.arithmetic import counted
from magicpose_cli.config.preset import Preset
from magicpose_cli.config.resolved import ModelDefaults
from magicpose_cli.evaluation.generate import ModelPredictor, own_map
from magicpose_cli.evaluation.pairs import synthetic_pairs
from magicpose_cli.evaluation.pixels import psnr, psnr_inside, ssim
from magicpose_cli.evaluation.pose_following import PoseReader, body_error, found_share
from magicpose_cli.evaluation.samples import MadeSample, Sample
from magicpose_cli.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

TIMED_FRAMES = 4
STUDENT_STEPS = (4, 2, 1)
TRAILING: dict[str, Any] = {"timestep_spacing": "trailing"}


@dataclass(frozen=True)
class FewStepsRow:
    """One way of making the pairs; means over the pairs. The fields are keys of the JSON.

    Attributes:
        name: For people.
        steps: Denoising steps.
        guidance: Scale of the image guidance; 1 is none.
        psnr: Against the truth, in dB.
        psnr_inside: The same where the person is in the reference or in the truth.
        ssim: Against the truth.
        psnr_teacher: Against the teacher's own pictures, in dB, 100 at most.
        found: Share of the pictures in which the detector finds a person, in %; None without a
            detector.
        body_error: How far that person is from the pose asked for, in % of the body height.
        body_median: The same, its median over the pictures: of a blurred person the detector now
            and then exchanges sides, which a mean of few pictures does not forgive.
        frame_s: Seconds of a frame of one reference, decoded.
        faster: Frames a second over the teacher's.
        frame_flops: Operations of a frame.
    """

    name: str
    steps: int
    guidance: float
    psnr: float
    psnr_inside: float
    ssim: float
    psnr_teacher: float
    found: float | None
    body_error: float | None
    body_median: float | None
    frame_s: float
    faster: float
    frame_flops: int


@dataclass(frozen=True)
class _Way:
    """A model with its steps and guidance, and what its scheduler is given instead of its own."""

    name: str
    model: Path
    steps: int
    guidance: float
    scheduler: dict[str, Any]


def measure_few_steps(
    teacher: Path,
    student: Path,
    drawn: int,
    *,
    detector: str = "auto",
    device: str = "auto",
    guidance: float | None = None,
    on_progress: OnProgress = silent,
) -> list[FewStepsRow]:
    """Let teacher and student make `drawn` pairs, and time them.

    Args:
        teacher: Folder of the model that was distilled.
        student: Folder of the model that came out.
        drawn: How many pairs of drawn people.
        detector: A name, or "none" to go without pose following.
        device: A device of torch, or auto.
        guidance: The teacher's; by default the model's own.
        on_progress: Is told each picture.

    Raises:
        MagicPoseError: Something is wrong that the user can mend.
    """
    from magicpose_cli.diffusion.checkpoint.loading import read_index

    own, few = (ModelDefaults.of(read_index(folder)) for folder in (teacher, student))
    ways = _ways(teacher, student, own, few, guidance)
    size = (own.sample_size, own.sample_size)
    samples = list(synthetic_pairs("drawn", drawn, size).open())
    rows: list[FewStepsRow] = []
    pictures: list[Picture] = []
    with ExitStack() as stack:
        reader = None
        if detector != "none":
            reader = stack.enter_context(closing(PoseReader(detector)))
        for way in ways:
            predictor = _predictor(way, device, size)
            made = []
            for _, picture in predictor.predict(samples):
                made.append(picture)
                on_progress(Progress(way.name, len(made), len(samples), "pictures"))
            pictures = pictures or made
            frame_s, flops = _cost(predictor.pipeline, way, samples[0])
            values = _values(samples, made, pictures, reader)
            faster = rows[0].frame_s / frame_s if rows else 1.0
            cost: dict[str, Any] = {"frame_s": frame_s, "faster": faster, "frame_flops": flops}
            rows.append(FewStepsRow(way.name, way.steps, way.guidance, **values, **cost))
    return rows


def _ways(
    teacher: Path, student: Path, own: ModelDefaults, few: ModelDefaults, guidance: float | None
) -> list[_Way]:
    steps = few.default_steps
    found = [
        _Way("teacher", teacher, own.default_steps, guidance or own.default_guidance, {}),
        _Way("teacher, few steps", teacher, steps, 1.0, {}),
        _Way("the same from the last timestep", teacher, steps, 1.0, TRAILING),
    ]
    for count in sorted({steps, *(n for n in STUDENT_STEPS if n < steps)}, reverse=True):
        found.append(_Way("distilled", student, count, 1.0, {}))
    return found


def _predictor(way: _Way, device: str, size: tuple[int, int]) -> ModelPredictor:
    """The network's own pictures: nothing of the reference is put into them."""
    preset = Preset().with_options(
        model__name=str(way.model), model__device=device, sampling__steps=way.steps,
        sampling__guidance=way.guidance, frame__keep_background=False, frame__warp="off",
    )  # fmt: skip
    predictor = ModelPredictor(way.name, way.model, preset, size)
    if way.scheduler:
        scheduler = predictor.pipeline.scheduler
        other = type(scheduler).from_config(scheduler.config, **way.scheduler)
        predictor.pipeline.scheduler = other
    predictor.pipeline.set_progress_bar_config(disable=True)
    return predictor


def _cost(pipeline: MagicPosePipeline, way: _Way, sample: Sample) -> tuple[float, int]:
    """Seconds and operations of a frame of one reference, which is read before."""
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.rendering.local import Renderer

    assert sample.reference is not None and sample.pose is not None
    preset = Preset().with_options(
        sampling__steps=way.steps, sampling__guidance=way.guidance, model__compile="off"
    )
    own = own_map(sample, pipeline.config.pose_canvas)
    renderer = Renderer(pipeline, sample.reference, preset, own_map=own)
    maps = np.stack([pose_map(sample.pose, pipeline.config.pose_canvas)] * TIMED_FRAMES)
    renderer.make(maps)
    start = time.perf_counter()
    renderer.make(maps)
    seconds = (time.perf_counter() - start) / TIMED_FRAMES
    return seconds, counted(lambda: renderer.make(maps)) // TIMED_FRAMES


def _values(
    samples: Sequence[Sample],
    made: Sequence[Picture],
    teacher: Sequence[Picture],
    reader: PoseReader | None,
) -> dict[str, Any]:
    """Means over the pictures, by the fields of a row."""
    columns: dict[str, list[float | None]] = {}
    for sample, picture, taught in zip(samples, made, teacher, strict=True):
        true = MadeSample(sample, picture)
        if reader is not None:
            true.found = reader.read(picture)
        row = {
            "psnr": psnr(true),
            "psnr_inside": psnr_inside(true),
            "ssim": ssim(true),
            "psnr_teacher": psnr(MadeSample(replace(sample, truth=taught), picture)),
            "found": None if reader is None else found_share(true),
            "body_error": None if reader is None else body_error(true),
        }
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    found = {key: np.array(values, float) for key, values in columns.items()}
    means = {key: _of_known(np.mean, values) for key, values in found.items()}
    return means | {"body_median": _of_known(np.median, found["body_error"])}


def _of_known(summary: Callable[[Floats], Any], values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(summary(known)) if len(known) else None
