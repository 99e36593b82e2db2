"""Presets: every setting of a run, typed, validated, and where its default stands.

Precedence: defaults here < the preset's TOML < what was typed. Settings that are absent (None) are
the model's own: its size, its steps, its guidance.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from magicpose_cli.config.sections import (
    Section,
    Tables,
    find_toml,
    presets_folder,
    read_toml,
    validated,
)


def _check_size(text: str | int) -> str:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", str(text))
    if not match:
        raise ValueError("expected a side in pixels such as 512, or WIDTHxHEIGHT such as 512x768")
    sides = [int(side) for side in match.groups() if side]
    if any(side % 8 or not 64 <= side <= 4096 for side in sides):
        raise ValueError("expected multiples of 8 from 64 to 4096")
    return str(text)


def _check_steps(text: str | int) -> str:
    match = re.fullmatch(r"(\d{1,4})(%?)", str(text))
    number = int(match[1]) if match else 0
    if not match or not 1 <= number <= (100 if match[2] else 1000):
        raise ValueError(
            'expected a whole number from 1 to 1000, or a share of the model\'s own such as "40%"'
        )
    return str(text)


def _check_anchor(text: str | int) -> str:
    if not re.fullmatch(r"best|first|[0-9]{1,9}", str(text)):
        raise ValueError("expected best, first or the number of a frame from 0")
    return str(text)


def _check_person(text: str | int) -> str:
    text = str(text).lower().replace(" ", "")
    point = r"\d{1,6}(\.\d{1,6})?"
    if not re.fullmatch(rf"largest|left|right|center|[1-9]\d{{0,3}}|{point},{point}", text):
        raise ValueError(
            'expected largest, left, right, center, a number that counts from the left, or "x,y"'
        )
    return text


def _check_canvas(text: str) -> str:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or not all(1 <= int(side) <= 16384 for side in match.groups()):
        raise ValueError("expected WIDTHxHEIGHT in pixels such as 1280x720")
    return text


WARPED_SIDE = 512
"""Pixels of a warped result's short side; fewer where the reference has fewer."""
MAX_ASPECT = 3
"""Long side over short side of a frame; a longer reference is cropped around the person."""

Size = Annotated[str | int, AfterValidator(_check_size)]
Steps = Annotated[str | int, AfterValidator(_check_steps)]
Person = Annotated[str | int, AfterValidator(_check_person)]
Anchor = Annotated[str | int, AfterValidator(_check_anchor)]
Canvas = Annotated[str, AfterValidator(_check_canvas)]
Name = Annotated[str, StringConstraints(min_length=1)]
Names = Annotated[list[Name], BeforeValidator(lambda x: [x] if isinstance(x, str) else x)]
"""Several of a kind; a single one needs no brackets."""


class ModelSettings(Section):
    """Which networks, and on what they run."""

    name: Name = "auto"
    """An installed model, a folder, a released checkpoint, a fetched repository of the hub, or
    "auto" for the best installed."""
    base: Name | None = None
    """Another Stable Diffusion 1.5 for the denoiser's place: a folder, a single .safetensors or
    .ckpt, or what `magicpose models fetch` has brought. Changes the result."""
    device: Name = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Frames denoised at once; None chooses."""
    offload: Literal["none", "model", "sequential"] = "none"
    """What waits in main memory while it is not at work (CUDA only)."""
    slicing: Literal["auto", "off", "on"] = "auto"
    """The autoencoder a part at a time, for large pictures; auto: where memory is short."""
    compile: Literal["auto", "off", "on"] = "auto"
    """torch.compile of a whole step; auto: on CUDA, for clips long enough to earn it back."""
    quantize: Literal["none", "int8", "fp8"] = "none"
    """Weights of the linear layers, through torchao. Changes the result."""
    lora: Names = []  # noqa: RUF012 (pydantic copies it)
    """LoRAs and their relatives for the denoiser, "PATH" or "PATH:SCALE". Change the result."""
    embedding: Names = []  # noqa: RUF012
    """Textual inversions, "FILE" or "FILE:WORD": a word more for the prompt."""
    vae: Name | None = None
    """Another autoencoder, such as a tiny one: a folder or a file. Changes the result."""


class SamplingSettings(Section):
    """How a frame is made from noise."""

    steps: Steps | None = None
    guidance: float | None = Field(None, ge=1, le=100)
    scheduler: Name | None = None
    """ddim, unipc, dpm++2m, euler or a class name of diffusers; None keeps the model's."""
    seed: int = Field(42, ge=0, lt=2**63)
    prompt: str = ""
    negative_prompt: str = ""
    guidance_from: float = Field(0.0, ge=0, le=1)
    guidance_until: float = Field(1.0, ge=0, le=1)
    """The shares of the steps between which guidance works; 0 and 1 are the original's."""
    cache_every: int = Field(1, ge=1, le=100)
    """The deep layers run in every Nth step and are reused in between; 1 is the original's. With
    fewer than 5 steps they run in all."""
    start_from_warp: float | None = Field(None, gt=0, le=1)
    """The share of the steps that are taken, starting from the warped reference with as much noise
    as is in a frame by then (Meng et al., "SDEdit", ICLR 2022); None starts from noise alone."""
    reuse_px: float = Field(0.0, ge=0, le=100)
    """A frame whose points have all moved by no more pixels of the network's picture is the former
    frame again; 0 only where the pose is the same."""


class FrameSettings(Section):
    """What the network sees of reference and driver."""

    size: Size | None = None
    """Pixels of the result: WIDTHxHEIGHT, or its short side, with the reference's aspect. None is
    the model's own side; with `warp` it is WARPED_SIDE, and the network's frames keep the model's
    own side whatever is asked for here."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    paste_back: bool = False
    """Put the result back into the whole reference picture; the window is then as small as holds
    the moving person."""
    feather: float = Field(0.05, ge=0, le=0.5)
    """How much of the window's short side a pasted result takes to fade into the picture."""
    keep_background: bool | None = None
    """Where neither the reference nor a frame shows the person, the reference's own pixels stand in
    the frame; None is the model's own."""

    warp: Literal["auto", "on", "off"] = "auto"
    """The reference's own pixels, moved, stand in the result. auto: for models made for it, such as
    mini; their own frames then show only what the reference does not."""
    warp_strength: float = Field(1.0, ge=0, le=1)
    """How much of them: 0 is the model's own frame."""
    secondary_motion: bool = True
    """Warped hair and clothes swing as the driver's do, as far as its picture shows."""


class MotionSettings(Section):
    """How the driver is read, and how its motion is laid onto the reference."""

    driver_kind: Literal["auto", "video", "poses", "pose-maps"] = "auto"
    canvas: Canvas | None = None
    """Size of the picture, for pose files that do not tell it."""
    detector: Name = "auto"
    person: Person = "largest"
    """largest, left, right, center, N from the left, or "x,y" in pixels of the driver."""
    retarget: Literal["auto", "none", "align", "skeleton", "full"] = "auto"
    anchor: Anchor = "best"
    """The driver's frame that stands as the reference does: best, first or its number from 0."""
    expression: float = Field(1.0, ge=0, le=2)
    """Strength of the driver's expression in `full`."""
    head: float = Field(1.0, ge=0, le=2)
    """Strength of the driver's turn of the head in `full`."""
    follow: bool = False
    """The person stays where they begin: their way through the picture, or the camera's, is taken
    out."""
    smooth: float | None = Field(None, ge=0, le=2)
    """How much jitter is taken out: 0 none, 1 usual, 2 most; None is 1 for a film, 0 for a file."""
    fps: float | None = Field(None, ge=0.001, le=1000)
    every: int = Field(1, ge=1)
    start_s: float | None = Field(None, ge=0)
    end_s: float | None = Field(None, gt=0)
    max_gap_s: float = Field(0.5, ge=0)
    """Longest time without a detection that is bridged by interpolation; longer ones are held."""

    @property
    def canvas_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels."""
        if self.canvas is None:
            return None
        width, height = self.canvas.split("x")
        return int(width), int(height)


class OutputSettings(Section):
    """What is written."""

    audio: bool = True
    audio_track: int | None = Field(None, ge=1)
    """The driver's sound track, counted from 1; by default the one that players take."""
    crf: int = Field(17, ge=0, le=51)
    """x264's quality: 0 is lossless, 17 is visually lossless, 28 is small."""
    compare: bool = False
    save_poses: bool = False


class Preset(Tables):
    """All settings of a run."""

    description: str = ""
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    frame: FrameSettings = FrameSettings()
    motion: MotionSettings = MotionSettings()
    output: OutputSettings = OutputSettings()

    def size_for(self, sample_size: int, picture: tuple[int, int] | None = None) -> tuple[int, int]:
        """(width, height) in pixels of the frames of a model trained on squares of this side.

        picture: (width, height) of the reference, whose aspect is followed in steps of 8 pixels
        unless both sides are asked for; None stands for a square, as drawn people come.
        """
        asked = str(self.frame.size or sample_size)
        if "x" not in asked and picture is not None:
            return _with_aspect(picture, int(asked), step=8)
        sides = [int(side) for side in asked.split("x")]
        return sides[0], sides[-1]

    def warped_size_for(self, picture: tuple[int, int], sample_size: int) -> tuple[int, int]:
        """(width, height) in pixels of a warped result; picture: of the reference.

        Even, as video wants it; a reference that is smaller than the network's squares is enlarged.
        """
        if "x" in (asked := str(self.frame.size or "")):
            return self.size_for(sample_size)
        short = int(asked) if asked else max(sample_size, min(WARPED_SIDE, *picture))
        return _with_aspect(picture, short, step=2)

    def network_size_for(self, picture: tuple[int, int], sample_size: int) -> tuple[int, int]:
        """(width, height) in pixels of the network's frames for a warped result: the model's own
        side, with the reference's aspect unless the result has another."""
        if "x" in str(self.frame.size):
            return sample_size, sample_size
        return _with_aspect(picture, sample_size, step=8)

    def steps_for(self, default_steps: int) -> int:
        """Steps for a model that looks best with so many."""
        text = str(self.sampling.steps or default_steps)
        if text.endswith("%"):
            return max(1, round(default_steps * int(text[:-1]) / 100))
        return int(text)


def _with_aspect(picture: tuple[int, int], short: int, step: int) -> tuple[int, int]:
    """(width, height) with this short side and the picture's aspect, up to MAX_ASPECT; sides are
    multiples of `step`."""
    scale = short / min(picture)
    width, height = (
        step * max(1, round(min(side * scale, MAX_ASPECT * short) / step)) for side in picture
    )
    return width, height


def list_presets() -> dict[str, Preset]:
    """All shipped presets by name."""
    return {path.stem: load_preset(str(path)) for path in sorted(presets_folder().glob("*.toml"))}


def load_preset(name: str) -> Preset:
    """A shipped preset by its name, or any TOML file by its path. Raises ConfigError."""
    path = find_toml(name, presets_folder(), "preset")
    return validated(Preset, read_toml(path, "preset"), f"preset {path}")
