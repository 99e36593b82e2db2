"""The diffusion measured: frames a second, seconds, memory and arithmetic of ways to make frames.

All ways run in one process on the same weights, in turns, and the fastest turn of each counts:
machines are noisy, and noise only ever makes things slower.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.benchmarks.arithmetic import Stopwatch, counted, matrix_rate
from magicpose_cli.benchmarks.footage import Footage, footage
from magicpose_cli.benchmarks.peak_memory import PeakMemory, weights_on
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

NAIVE, EXACT = "naive", "exact"
NAIVE_FRAMES = 2  # it makes one frame after the other, each takes as long
ENCODED = 100  # frames


@dataclass(frozen=True)
class Variant:
    """A way to make frames: its settings; naive: by the original's schedule."""

    name: str
    preset: Preset
    naive: bool = False


@dataclass(frozen=True)
class VariantResult:
    """What a way has been measured to take.

    frames: made in a turn, batch_size at once. reference_s: once for all frames (the reference's
    latents and all that the appearance network says of it); warm_up_s: the first batch beyond
    that, so compilation above all. The seconds of denoising and decoding are of a frame.
    peak_memory: in bytes, weights included; see `peak.PeakMemory`. flops: of a frame by torch's
    counter; reference_flops: once for all frames. share: operations a second over the matrix rate.
    faster: frames a second over naive's. turns_s: of all turns.
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
    """All ways on one device. stages: seconds a frame of what all ways share: detect (with a
    driver), draw, encode. matrix_rate: operations a second, in the networks' own dtype."""

    model: str
    device: str
    dtype: str
    width: int
    height: int
    matrix_rate: float
    stages: dict[str, float]
    ways: list[VariantResult]


def named_ways(names: Sequence[str], base: Preset) -> list[Variant]:
    """naive, exact, or any preset by name; model, device, size and batch are those of `base`.

    Raises ConfigError for a preset that is not known.
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
    ways = []
    for name in names:
        preset = Preset() if name in (NAIVE, EXACT) else load_preset(name)
        ways.append(Variant(name, preset.with_options(**common), naive=name == NAIVE))
    return ways


def measure_rendering(
    ways: Sequence[Variant],
    weights: Weights,
    *,
    frames: int = 64,
    repeat: int = 3,
    driver: Path | None = None,
    on_progress: OnProgress = silent,
) -> RenderBenchmark:
    """Measure each way on the same reference and poses.

    frames: in a turn, rounded up to whole batches; naive makes NAIVE_FRAMES. driver: whose poses
    to take, which also times their detection; a drawn person's by default. Raises a
    MagicPoseError.
    """
    first = weights.pipeline(ways[0].preset)
    device, dtype = str(first._execution_device), first.unet.dtype
    width, height = ways[0].preset.size_for(first.config.sample_size)
    shown = footage((width, height), first.config.pose_canvas, frames, driver)
    rate = matrix_rate(device, dtype)
    runs = []
    for way in ways:
        on_progress(Progress(f"preparing {way.name}", 0, 1))
        runs.append(_Run(way, weights, shown, device))
    for _ in range(repeat):
        for run in runs:
            run.turn()
            on_progress(Progress("measuring", len(run.turns_s), repeat, "turns"))
    stages = shown.seconds | {"encode": _encode_s(runs[-1].made)}
    return RenderBenchmark(
        model=weights.name(ways[0].preset),
        device=_device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        width=width,
        height=height,
        matrix_rate=rate,
        stages=stages,
        ways=_against_naive([run.result(rate) for run in runs]),
    )


class _Run:
    """One way at work: everything that is counted once is measured when it is made."""

    def __init__(self, way: Variant, weights: Weights, shown: Footage, device: str):
        self._way, self._shown, self._device = _compiled(way, device), shown, device
        self._pipeline = weights.pipeline(way.preset)
        self.turns_s: list[float] = []
        self._decode_s: list[float] = []
        self._measure_single(weights)
        self._warm_up()

    def turn(self) -> None:
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
        """Everything; rate: operations a second of matrix products."""
        frame_s = min(self.turns_s) / self._frames
        decode_s = min(self._decode_s)
        return VariantResult(
            name=self._way.name,
            settings=self._settings(),
            frames=self._frames,
            batch_size=len(self._batches[0]),
            frames_per_s=1 / frame_s,
            seconds={"denoise": frame_s - decode_s, "decode": decode_s},
            reference_s=self._reference_s,
            warm_up_s=self._warm_up_s,
            peak_memory=self._peak,
            flops=self._flops,
            reference_flops=self._reference_flops,
            share=self._flops / frame_s / rate,
            turns_s=self.turns_s,
            notes=list(self._renderer.notes),
        )

    def _measure_single(self, weights: Weights) -> None:
        """Operations and the reference's seconds, by one frame at a time without compilation."""
        # compiled or quantized operations are not seen by the counter; they are as many
        plain = self._way.preset.with_options(
            model__batch_size=1, model__compile="off", model__quantize="none"
        )
        pipeline, one = weights.pipeline(plain), self._shown.maps[:1]

        def first_frame() -> Any:
            renderer = self._make_renderer(pipeline, plain)
            renderer.make(one)
            return renderer

        renderers: list[Any] = []
        both = counted(lambda: renderers.append(first_frame()))
        self._flops = counted(lambda: renderers[0].make(one))
        self._reference_flops = both - self._flops
        with Stopwatch(self._device) as all_of_it:
            renderer = first_frame()
        with Stopwatch(self._device) as frame_alone:
            renderer.make(one)
        self._reference_s = max(0.0, all_of_it.seconds - frame_alone.seconds)

    def _warm_up(self) -> None:
        """The first batches, in which torch compiles and memory is the highest."""
        own = weights_on(self._device, self._pipeline.components)
        with PeakMemory(self._device) as peak:
            with Stopwatch(self._device) as first:
                self._renderer = self._make_renderer(self._pipeline, self._way.preset)
                size = self._renderer.batch_size
                frames = NAIVE_FRAMES if self._way.naive else len(self._shown.maps)
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

    def _make_renderer(self, pipeline: MagicPosePipeline, preset: Preset) -> Any:
        from magicpose_cli.benchmarks.original import NaiveRenderer
        from magicpose_cli.rendering.local import Renderer

        kind: Any = NaiveRenderer if self._way.naive else Renderer
        return kind(pipeline, self._shown.reference, preset)

    def _settings(self) -> dict[str, Any]:
        """What was run, as far as it decides the speed."""
        preset, renderer = self._way.preset, self._renderer
        sampling = preset.sampling.model_dump(exclude={"seed", "prompt", "negative_prompt"})
        model = preset.model.model_dump(exclude={"name", "device", "dtype", "batch_size"})
        told = {"steps": renderer.steps, "guidance": renderer.guidance}
        scheduler = type(self._pipeline.scheduler).__name__
        return {**model, **sampling, **told, "scheduler": scheduler}


def _compiled(way: Variant, device: str) -> Variant:
    """Compiled where `animate` would for a long clip; the time it takes is told apart."""
    if way.naive or way.preset.model.compile != "auto" or not device.startswith("cuda"):
        return way
    return replace(way, preset=way.preset.with_options(model__compile="on"))


def _against_naive(results: list[VariantResult]) -> list[VariantResult]:
    naive = next((r.frames_per_s for r in results if r.name == NAIVE), None)
    if naive is None:
        return results
    return [replace(result, faster=result.frames_per_s / naive) for result in results]


def _encode_s(made: np.ndarray) -> float:
    """Seconds a frame that writing these (n, H, W, 3) as a video takes; the encoder's start is
    spread over ENCODED frames."""
    from magicpose_cli.video import write_video

    frames = (made[index % len(made)] for index in range(ENCODED))
    with tempfile.TemporaryDirectory() as folder, Stopwatch("cpu") as watch:
        write_video(Path(folder) / "made.mp4", frames, 25)
    return watch.seconds / ENCODED


def _device_name(device: str) -> str:
    import torch

    kind = torch.device(device)
    if kind.type == "cuda":
        return torch.cuda.get_device_name(kind)
    return f"{kind.type}, {torch.get_num_threads()} threads"
