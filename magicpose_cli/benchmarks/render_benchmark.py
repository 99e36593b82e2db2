"""The diffusion measured: frames a second, seconds, memory and arithmetic of ways to make frames.

All variants run in one process on the same weights, in turns, and the fastest repeat of each
counts: machines are noisy, and noise only ever makes things slower.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Pictures
from magicpose_cli.benchmarks.arithmetic import Stopwatch, matrix_rate
from magicpose_cli.benchmarks.footage import RenderFootage, footage
from magicpose_cli.benchmarks.operations import Operations, count_operations, renderer_class
from magicpose_cli.benchmarks.peak_memory import PeakMemory, weights_on
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.progress import OnProgress, Progress, silent

NAIVE, EXACT = "naive", "exact"
NAIVE_FRAMES = 2  # it makes one frame after the other, each takes as long
ENCODED = 100  # frames


@dataclass(frozen=True)
class Variant:
    """A way to make frames.

    Attributes:
        name: For people.
        preset: Its settings.
        naive: Whether frames are made by the schedule of the original code.
    """

    name: str
    preset: Preset
    naive: bool = False


@dataclass(frozen=True)
class VariantResult:
    """What a variant has been measured to take; the fields are keys of `bench --json`.

    Attributes:
        name: Of the variant.
        settings: That decide on the speed.
        frames: Made in a repeat.
        batch_size: Frames made at once.
        frames_per_s: In the fastest repeat.
        seconds: Of denoising and of decoding a frame.
        reference_s: Once for all frames: the reference's latents and features.
        warm_up_s: Of the first batch beyond that, so compilation above all.
        peak_memory: In bytes, weights included; see `peak_memory.PeakMemory`.
        flops: Operations of a frame by torch's counter.
        reference_flops: Operations once for all frames.
        share: Operations a second over the matrix rate.
        turns_s: Seconds of all repeats.
        notes: What the renderer tells.
        faster: Frames a second over those of naive; None without naive.
    """

    name: str
    settings: dict[str, Any]
    frames: int
    batch_size: int
    frames_per_s: float
    seconds: dict[str, float]
    reference_s: float
    warm_up_s: float
    peak_memory: int
    flops: int
    reference_flops: int
    share: float
    turns_s: list[float]
    notes: list[str] = field(default_factory=list)
    faster: float | None = None


@dataclass(frozen=True)
class RenderBenchmark:
    """All variants on one device; the fields are keys of `bench --json`.

    Attributes:
        model: For people.
        device: For people.
        dtype: Of the networks.
        width: Of the frames in pixels.
        height: Of the frames in pixels.
        matrix_rate: Operations a second of matrix products, in the networks' own dtype.
        stages: Seconds a frame of what all variants share: detect (with a driver), draw, encode.
        ways: Results of the variants.
    """

    model: str
    device: str
    dtype: str
    width: int
    height: int
    matrix_rate: float
    stages: dict[str, float]
    ways: list[VariantResult]


def named_variants(names: Sequence[str], base: Preset) -> list[Variant]:
    """Find naive, exact, or any preset by name.

    Args:
        names: Of the variants.
        base: Whose model, device, size and batch all variants have.

    Raises:
        ConfigError: A preset is not known.
    """
    own = base.model
    common = {
        "model__name": own.name,
        "model__device": own.device,
        "model__dtype": own.dtype,
        "model__batch_size": own.batch_size,
        "model__compile": own.compile if own.compile != "auto" else None,
        "frame__size": base.frame.size,
    }
    variants = []
    for name in names:
        preset = Preset() if name in (NAIVE, EXACT) else load_preset(name)
        variants.append(Variant(name, preset.with_options(**common), naive=name == NAIVE))
    return variants


def measure_rendering(
    variants: Sequence[Variant],
    weights: Weights,
    *,
    frames: int = 64,
    repeat: int = 3,
    driver: Path | None = None,
    operations: Mapping[str, Operations] | None = None,
    limit_s: float = math.inf,
    on_progress: OnProgress = silent,
) -> RenderBenchmark:
    """Measure each variant on the same reference and poses.

    Args:
        variants: What to measure.
        weights: That they share.
        frames: In a repeat, rounded up to whole batches; naive makes NAIVE_FRAMES.
        repeat: How often each is measured.
        driver: Whose poses to take, which also times their detection; a drawn person's by default.
        operations: Of variants by name, counted beforehand; those of others are counted here.
        limit_s: After so many seconds no further repeat begins; each variant has one at least.
        on_progress: Is told each repeat.

    Raises:
        MagicPoseError: Something is wrong that the user can mend.
    """
    began = time.perf_counter()
    first = weights.pipeline(variants[0].preset)
    device, dtype = str(first._execution_device), first.unet.dtype
    width, height = variants[0].preset.size_for(first.config.sample_size)
    shown = footage((width, height), first.config.pose_canvas, frames, driver)
    rate = matrix_rate(device, dtype)
    runs = []
    for variant in variants:
        on_progress(Progress(f"preparing {variant.name}", 0, 1))
        known = (operations or {}).get(variant.name)
        runs.append(_VariantRun(variant, weights, shown, device, known))
    for turn in range(repeat):
        if turn and time.perf_counter() - began > limit_s:
            break
        for run in runs:
            run.measure_once()
            on_progress(Progress("measuring", len(run.turns_s), repeat, "turns"))
    stages = shown.seconds | {"encode": encode_s(runs[-1].made)}
    return RenderBenchmark(
        model=weights.name(variants[0].preset),
        device=device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        width=width,
        height=height,
        matrix_rate=rate,
        stages=stages,
        ways=against_naive([run.result(rate) for run in runs]),
    )


class _VariantRun:
    """One variant at work: everything that is counted once is measured when it is made."""

    def __init__(
        self,
        variant: Variant,
        weights: Weights,
        shown: RenderFootage,
        device: str,
        operations: Operations | None,
    ):
        self._variant, self._shown, self._device = _compiled(variant, device), shown, device
        self._renderer_class = renderer_class(naive=variant.naive)
        self._pipeline = weights.pipeline(variant.preset)
        self.turns_s: list[float] = []
        self._decode_s: list[float] = []
        self._measure_single(weights, operations)
        self._warm_up()

    def measure_once(self) -> None:
        """Make all frames once."""
        with Stopwatch(self._device) as watch:
            for made in self._renderer.render(self._batches):
                self.made = made
        self.turns_s.append(watch.seconds)
        latents = self._latents
        with Stopwatch(self._device) as watch:
            self._pipeline.decode(latents)
        self._decode_s.append(watch.seconds / len(latents))

    def result(self, rate: float) -> VariantResult:
        """Sum up; rate: operations a second of matrix products."""
        frame_s = min(self.turns_s) / self._frames
        decode_s = min(self._decode_s)
        return VariantResult(
            name=self._variant.name,
            settings=self._settings(),
            frames=self._frames,
            batch_size=len(self._batches[0]),
            frames_per_s=1 / frame_s,
            seconds={"denoise": frame_s - decode_s, "decode": decode_s},
            reference_s=self._reference_s,
            warm_up_s=self._warm_up_s,
            peak_memory=self._peak,
            flops=self._operations.frame,
            reference_flops=self._operations.reference,
            share=self._operations.frame / frame_s / rate,
            turns_s=self.turns_s,
            notes=list(self._renderer.notes),
        )

    def _measure_single(self, weights: Weights, operations: Operations | None) -> None:
        """Operations and the reference's seconds, by one frame at a time without compilation."""
        # compiled or quantized operations are not seen by the counter; they are as many
        plain = self._variant.preset.with_options(
            model__batch_size=1, model__compile="off", model__quantize="none"
        )
        pipeline, one = weights.pipeline(plain), self._shown.maps[:1]
        picture = self._shown.reference
        self._operations = operations or count_operations(
            self._renderer_class, pipeline, picture, plain, one
        )
        with Stopwatch(self._device) as all_of_it:
            renderer = self._renderer_class(pipeline, picture, plain)
            renderer.make(one)
        with Stopwatch(self._device) as frame_alone:
            renderer.make(one)
        self._reference_s = max(0.0, all_of_it.seconds - frame_alone.seconds)

    def _warm_up(self) -> None:
        """The first batches, in which torch compiles and memory is the highest."""
        own = weights_on(self._device, self._pipeline.components)
        with PeakMemory(self._device) as peak:
            with Stopwatch(self._device) as first:
                self._renderer = self._renderer_class(
                    self._pipeline, self._shown.reference, self._variant.preset
                )
                size = self._renderer.batch_size
                frames = NAIVE_FRAMES if self._variant.naive else len(self._shown.maps)
                self._frames = -(-frames // size) * size
                maps = np.take(self._shown.maps, range(self._frames), axis=0, mode="wrap")
                self._batches = np.split(maps, self._frames // size)
                self._renderer.make(self._batches[0])
            with Stopwatch(self._device) as second:
                self.made = self._renderer.make(self._batches[0])
            height, width = self.made.shape[1:3]
            noise = self._pipeline.initial_noise(height, width)
            self._latents = noise.expand(size, -1, -1, -1)
            self._pipeline.decode(self._latents)
        self._peak = own + peak.bytes
        self._warm_up_s = max(0.0, first.seconds - second.seconds - self._reference_s)

    def _settings(self) -> dict[str, Any]:
        """What was run, as far as it decides the speed."""
        preset, renderer = self._variant.preset, self._renderer
        sampling = preset.sampling.model_dump(exclude={"seed", "prompt", "negative_prompt"})
        model = preset.model.model_dump(exclude={"name", "device", "dtype", "batch_size"})
        told = {"steps": renderer.steps, "guidance": renderer.guidance}
        scheduler = type(self._pipeline.scheduler).__name__
        return {**model, **sampling, **told, "scheduler": scheduler}


def _compiled(variant: Variant, device: str) -> Variant:
    """Compiled where `animate` would for a long clip; the time it takes is told apart."""
    if variant.naive or variant.preset.model.compile != "auto" or not device.startswith("cuda"):
        return variant
    return replace(variant, preset=variant.preset.with_options(model__compile="on"))


def against_naive(results: list[VariantResult]) -> list[VariantResult]:
    """Hold the variants against naive, where it is among them."""
    naive = next((r.frames_per_s for r in results if r.name == NAIVE), None)
    if naive is None:
        return results
    return [replace(result, faster=result.frames_per_s / naive) for result in results]


def encode_s(made: Pictures) -> float:
    """Seconds a frame that writing these as a video takes.

    The encoder's start is spread over ENCODED frames.
    """
    from magicpose_cli.video import write_video

    frames = (made[index % len(made)] for index in range(ENCODED))
    with tempfile.TemporaryDirectory() as folder, Stopwatch("cpu") as watch:
        write_video(Path(folder) / "made.mp4", frames, 25)
    return watch.seconds / ENCODED


def device_name(device: str) -> str:
    """Name a device for people."""
    import torch

    kind = torch.device(device)
    if kind.type == "cuda":
        return torch.cuda.get_device_name(kind)
    return f"{kind.type}, {torch.get_num_threads()} threads"
