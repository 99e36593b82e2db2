"""Pose maps in, frames out: batches through the pipeline, lazily and in order.

A batch is one array, (n, H, W, channels) uint8: an RGB pose map a frame and, behind it in the
channels, the RGB maps of the body that the model reads (`model.body_map`), what its hands are made
again from (`sampling.refine_hands`, see `motion.hand_crops`) and the RGB picture that the frame is
to begin from (`sampling.start_from_warp`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture, Pictures, to_pictures, to_tensor
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
from magicpose_cli.diffusion.motion_windows import FRAMES_TOGETHER
from magicpose_cli.errors import ConfigError, DeviceError
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.hand_crops import HAND_CHANNELS, own_hand_layers
from magicpose_cli.rendering.hand_refiner import CODED_AT_ONCE, HandRefiner

if TYPE_CHECKING:
    from magicpose_cli.config.preset import ModelSettings, Preset, SamplingSettings
    from magicpose_cli.diffusion.adapters.identity import IdentityTokens
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline
    from magicpose_cli.diffusion.sampler import Sampler


_COMPILED_FROM = 20_000  # frames x steps of a clip that earns back what compiling takes
_CACHED_FROM = 5  # steps; with fewer, two of them are too far apart to share anything
FRAME_BYTES = 0.75e9  # of SD 1.5 at 512x512: two passes in half precision, with decoding
FRAME_CELLS = 64 * 64  # latents of such a frame
_MAX_FRAMES_AT_ONCE = 16


class Renderer:
    """Draws one reference in any number of poses; what all frames share is computed once.

    With the motion adapter of the pipeline each batch is a window of a clip, see `motion_windows`.
    With `sampling.start_from_warp` frames of batches that bring pictures to begin from begin there;
    without, such pictures are left unread. Frames of batches of pose maps alone begin from noise.

    Args:
        pipeline: A pipeline with an autoencoder.
        reference: (H, W, 3) uint8 RGB of the network's size.
        preset: All settings.
        frames: How many frames there will be, which decides whether compiling pays.
        face: The reference's face, upright, for models with identity tokens.
        own_map: The reference's pose map, (H, W, 3) uint8 RGB, for models that read it, and for
            the compositor; with its hands from near behind it where hands are made again.
    """

    def __init__(
        self,
        pipeline: MagicPosePipeline,
        reference: Picture,
        preset: Preset,
        frames: int = 0,
        face: Picture | None = None,
        own_map: Picture | None = None,
    ):
        from magicpose_cli.diffusion.schedulers import asked_scheduler, steps_taken

        pipeline.maybe_free_model_hooks()  # a former reference's networks leave the device
        self.pipeline = pipeline
        height, width = reference.shape[:2]
        sampling = preset.sampling
        pipeline.scheduler = asked_scheduler(
            sampling.scheduler, sampling.timestep_spacing, pipeline.scheduler
        )
        resolved = resolve_settings(preset, ModelDefaults.of(pipeline.config))
        self.steps, self.guidance = resolved.steps, resolved.guidance
        self._steady = pipeline.motion is not None
        self.batch_size = preset.model.batch_size or batch_size_for(pipeline, width, height)
        if self._steady:
            self.batch_size = FRAMES_TOGETHER
        self.notes: list[str] = []
        self._at_once: int | None = None  # fewer than a batch, once memory was short
        device = pipeline._execution_device.type
        strength = 1.0 if sampling.start_from_warp is None else sampling.start_from_warp
        self._reads_starts = sampling.start_from_warp is not None
        reads_bodies = pipeline.body_controlnet is not None
        self._condition_channels = 3 + 3 * len(pipeline.config.body_maps) * reads_bodies
        self._hands: HandRefiner | None = None
        if strength < 1 and steps_taken(self.steps, strength) == self.steps:
            self.notes.append(
                f"start_from_warp: {strength:g} of {self.steps} steps is rounded to all of them, "
                "so that frames begin from almost pure noise; take more --steps"
            )
        is_long = frames * self.steps >= _COMPILED_FROM
        pays = device == "cuda" and preset.model.offload == "none" and is_long
        compiled = preset.model.compile
        picture = to_tensor(reference[None]) * 2 - 1
        own = None if own_map is None else to_tensor(own_map[None, ..., :3])
        self._kept = (picture, own) if resolved.frames_keep_reference and own is not None else None
        with memory_explained():
            new_sampler = self._samplers(sampling, height, width)
            self._sampler = new_sampler(
                pipeline.encode_reference(picture, own),
                compiled=compiled == "on" or (compiled == "auto" and pays),
                strength=strength,
                steady=self._steady,
                identity_tokens=self._identity_tokens(face),
            )
            if sampling.refine_hands:
                hands = _own_hands(reference, own_map, pipeline.config.pose_canvas)
                keeps = self._kept is not None
                self._hands = HandRefiner(pipeline, hands[None], new_sampler, keeps)

    def _samplers(
        self, sampling: SamplingSettings, height: int, width: int
    ) -> Callable[..., Sampler]:
        """What makes samplers that share noise, prompts and steps, given a reference."""
        import torch

        from magicpose_cli.diffusion.sampler import Acceleration, Sampler

        pipeline = self.pipeline
        noise = torch.Generator().manual_seed(sampling.seed)
        return partial(
            Sampler,
            pipeline,
            pipeline.initial_noise(height, width, noise),
            prompt_embeds=pipeline.encode_prompt(sampling.prompt),
            negative_prompt_embeds=pipeline.encode_prompt(sampling.negative_prompt),
            steps=self.steps,
            guidance=self.guidance,
            acceleration=Acceleration(
                guidance_from=sampling.guidance_from,
                guidance_until=sampling.guidance_until,
                cache_every=sampling.cache_every if self.steps >= _CACHED_FROM else 1,
            ),
        )

    def _identity_tokens(self, face: Picture | None) -> IdentityTokens | None:
        """Read the face, where the pipeline has an adapter for it."""
        adapter = self.pipeline.identity
        if adapter is None:
            return None
        if face is None:
            self.notes.append("identity: no face is seen in the reference; it is left out")
            return None
        return adapter.tokens(_resized(face, adapter.picture_size))

    def render(self, batches: Iterable[Pictures]) -> Iterator[Pictures]:
        """`make` for each of many batches, in order."""
        return map(self.make, batches)

    def make(self, maps: Pictures) -> Pictures:
        """Draw a frame for each pose map.

        Where the device's memory is short, the frames are made in halves from then on; `notes`
        says so.

        Args:
            maps: Pose maps (n, H, W, 3) uint8 RGB, behind them the k maps that the pipeline's
                `body_controlnet` reads, then what hands are made again from, then the pictures to
                begin from: (n, H, W, 3 + 3k + HAND_CHANNELS + 3). Each may be left out.

        Returns:
            Frames (n, H, W, 3) uint8 RGB.

        Raises:
            DeviceError: Not even one frame fits the memory, or not a whole window of steady ones.
        """
        frames = []
        start = 0
        while start < len(maps):
            part = maps[start : start + (self._at_once or len(maps))]
            made = self._try(part)
            if made is None:
                self._at_once = (len(part) + 1) // 2
                self.notes.append(
                    f"out of memory with {len(part)} frames at once: went on with {self._at_once}"
                )
                _empty_cache()  # not before: an error's traceback would hold the tensors
            else:
                frames.append(made)
                start += len(part)
        return np.concatenate(frames)

    def _try(self, maps: Pictures) -> Pictures | None:
        """The frames; None where the memory is short for several, but may do for fewer."""
        try:
            return self._make(maps)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(maps) == 1 or self._steady:  # fewer frames together would be other frames
                raise _no_room(error, steady=self._steady) from error
            return None

    def _make(self, maps: Pictures) -> Pictures:
        start, channels = None, self._condition_channels
        hands = self._hands if maps.shape[-1] >= channels + HAND_CHANNELS else None
        behind = channels if hands is None else channels + HAND_CHANNELS
        if self._reads_starts and maps.shape[-1] > behind:
            pictures = to_tensor(maps[..., behind:]) * 2 - 1
            start = self.pipeline.encode(pictures, batch_size=CODED_AT_ONCE)
        drawn = to_tensor(maps[..., :channels])
        latents = self._sampler.sample(drawn, start=start)
        frames = self.pipeline.decode(latents, batch_size=CODED_AT_ONCE)
        if self._kept is not None:
            frames = self.pipeline.composite(frames, *self._kept, drawn[:, :3])
        made = to_pictures(frames)
        if hands is None:
            return made
        return hands.refine(made, maps[..., channels:behind], maps[..., 3:channels])


class LocalRenderer:
    """The renderer of a single process: the model is loaded once for many references."""

    def __init__(self, preset: Preset):
        self.notes: list[str] = []
        self._loading_notes: list[str] = []
        self._pipeline = load_model(preset, self._loading_notes)
        self._scheduler = self._pipeline.scheduler

    def set_reference(
        self,
        reference: Picture,
        preset: Preset,
        frames: int,
        face: Picture | None = None,
        own_map: Picture | None = None,
    ) -> int:
        """Take a reference; the model's own scheduler is back where none is asked for."""
        self._pipeline.scheduler = self._scheduler
        self._renderer = Renderer(self._pipeline, reference, preset, frames, face, own_map)
        self.notes = self._renderer.notes
        self.notes += self._loading_notes
        return self._renderer.batch_size

    def render(self, batches: Iterable[Pictures]) -> Iterator[Pictures]:
        """Draw the reference that was set, batch by batch, in order."""
        return self._renderer.render(batches)

    def close(self) -> None:
        """Forget the model."""
        del self._pipeline, self._scheduler


def pick_device(name: str) -> str:
    """For "auto" CUDA, else MPS, else the CPU. Raises ConfigError for a device that is missing."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"model.device: {name!r} cannot be used ({str(error).splitlines()[0]}); "
            "expected auto, cpu, cuda, cuda:N or mps"
        ) from error
    return name


def pick_device_and_dtype(model: ModelSettings) -> tuple[str, str]:
    """The device and the number format with which a model runs here, as torch names them.

    Raises:
        ConfigError: The device that is asked for cannot be used.
    """
    from magicpose_cli.diffusion.checkpoint.loading import default_dtype

    device = pick_device(model.device)
    return device, default_dtype(device) if model.dtype == "auto" else model.dtype


def load_model(preset: Preset, notes: list[str] | None = None) -> MagicPosePipeline:
    """Load the preset's pipeline on its device, as its settings of speed and memory ask.

    Args:
        preset: All settings; `frame.size` is the size of the network's frames.
        notes: Takes lines for the user.

    Raises:
        MagicPoseError: Something that the settings ask for cannot be had here.
    """
    from magicpose_cli.diffusion.acceleration import apply_model_settings, loading_device
    from magicpose_cli.diffusion.checkpoint.loading import load_pipeline, resolve_model

    model = preset.model
    device, dtype = pick_device_and_dtype(model)
    folder = resolve_model(model.name)
    pipeline = load_pipeline(folder, dtype, loading_device(device, model.offload))
    pipeline.set_progress_bar_config(disable=True)
    told = apply_model_settings(
        pipeline,
        model,
        prompts=(preset.sampling.prompt, preset.sampling.negative_prompt),
        device=device,
        size=preset.size_for(pipeline.config.sample_size),
    )
    if notes is not None:
        notes += told
    return pipeline


def batch_size_for(pipeline: MagicPosePipeline, width: int, height: int) -> int:
    """Frames to denoise at once: what fits the free memory on CUDA, a small number elsewhere."""
    import torch

    cells = width * height / pipeline.vae_scale_factor**2
    widest = pipeline.unet.config.block_out_channels[0] / 320
    device = pipeline._execution_device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    return frames_at_once(cells * widest, free)


def frames_at_once(cells: float, free: int | None) -> int:
    """Choose how many frames to denoise at once.

    Args:
        cells: Latents of a frame times the first block's channels over 320, which SD 1.5 has.
        free: Free bytes of a CUDA device; None for a device that shares the main memory.
    """
    if free is None:
        fitting = FRAME_CELLS / cells
    else:
        fitting = 0.6 * free / (FRAME_BYTES * cells / FRAME_CELLS)
    return max(1, min(_MAX_FRAMES_AT_ONCE, int(fitting)))


def _own_hands(reference: Picture, own_map: Picture | None, canvas: int) -> Picture:
    """What lies behind the reference's pose map; its hands as unknown where nothing does."""
    if own_map is not None and own_map.shape[-1] > 3:
        return own_map[..., 3:]
    height, width = reference.shape[:2]
    whole = Framing((0, 0, width, height), width, height)
    return own_hand_layers(reference, whole, None, canvas)


def _resized(face: Picture, side: int) -> Picture:
    """Bring a square picture to another side in pixels."""
    from PIL import Image

    if len(face) == side:
        return face
    return np.array(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))


@contextmanager
def memory_explained() -> Iterator[None]:
    """Turns the device's out-of-memory into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise _no_room(error) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class for it, MPS and the CPU only words."""
    import torch

    words = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _no_room(error: BaseException, *, steady: bool = False) -> DeviceError:
    fewer = f"--steady off (steady frames are made {FRAMES_TOGETHER} at once)"
    return DeviceError(
        f"out of memory on the device ({str(error).splitlines()[0]}); try "
        f"{fewer if steady else '--batch-size 1'}, --preset lowvram or a smaller --size"
    )


def _empty_cache() -> None:
    """Give back what the failed attempt held in pieces."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
