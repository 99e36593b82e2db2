"""Presets: every setting of a run, typed, validated, and where its default stands.

Precedence: defaults here < the preset's TOML < what was typed. Settings that are absent (None) are
the model's own: its size, its steps, its guidance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from magicpose_cli.config.camera_view import CameraView, parse_camera_view
from magicpose_cli.config.option import Option
from magicpose_cli.config.sections import (
    Section,
    Tables,
    find_toml,
    presets_folder,
    read_toml,
    validated,
)
from magicpose_cli.config.values import (
    AnchorChoice,
    CameraText,
    CanvasText,
    DeviceName,
    NonEmpty,
    NonEmptyNames,
    PersonChoice,
    ResultSize,
    StepCount,
)

WARPED_SIDE = 512
"""Pixels of a warped result's short side; fewer where the reference has fewer."""
UNSLICED_PIXELS = 512 * 512
"""Pixels of a frame that the autoencoder decodes whole in the memory of every GPU."""
MAX_ASPECT = 3
"""Long side over short side of a frame; a longer reference is cropped around the person."""

MODEL, SAMPLING, SPEED = "Model", "Sampling", "Speed and memory"
MOTION, OUTPUT = "Motion", "Output"
"""Panels of `--help`."""


class ModelSettings(Section):
    """Which networks, and on what they run."""

    name: Annotated[NonEmpty, Option("--model", MODEL, "NAME|PATH", "-m", completes="models")] = (
        "auto"
    )
    """Installed model, a model's folder, a released checkpoint (.th) or a fetched repository
    (ORG/NAME); auto is the best installed."""
    base: Annotated[NonEmpty | None, Option("--base", MODEL, "NAME|PATH")] = None
    """Another Stable Diffusion 1.5 in the denoiser's place: a folder, .safetensors, .ckpt or a
    fetched repository.

    Changes the result."""
    lora: Annotated[NonEmptyNames, Option("--lora", MODEL, "PATH[:SCALE]")] = []  # noqa: RUF012 (copied)
    """A LoRA, LoCon, LoHa, LoKr, IA3 or DoRA for the denoiser: a file or a folder with one;
    repeatable.

    Changes the result."""
    embedding: Annotated[NonEmptyNames, Option("--embedding", MODEL, "PATH[:WORD]")] = []  # noqa: RUF012
    """A textual inversion: a word more for the prompt; repeatable."""
    vae: Annotated[NonEmpty | None, Option("--vae", MODEL, "NAME|PATH")] = None
    """Another autoencoder to decode with, such as taesd: a folder or one file.

    Changes the result."""
    motion_adapter: Annotated[NonEmpty | None, Option("--motion-adapter", MODEL, "NAME|PATH")] = (
        None
    )
    """A motion module of AnimateDiff for Stable Diffusion 1.5, for steady frames: a name of the
    catalog, a file or a folder.

    Changes the result."""
    steady: Annotated[Literal["auto", "off", "on"], Option("--steady", MODEL)] = "auto"
    """Let frames attend to those around them, in windows of 16, so that they do not flicker; auto:
    with --motion-adapter alone.

    on takes the model's own motion adapter where none is named. Changes the result."""
    identity: Annotated[float, Option("--identity", MODEL, "SCALE")] = Field(0.0, ge=0, le=2)
    """How much the reference's face counts beside the text in cross-attention of its own
    (IP-Adapter); 0 is none, 0.6 is usual.

    Changes the result. The face is cut out of the reference and turned upright."""
    identity_model: Annotated[NonEmpty | None, Option("--identity-model", MODEL, "NAME|PATH")] = (
        None
    )
    """IP-Adapter for --identity: a name of the catalog, a file or a folder, with its image encoder
    beside it; by default the model's own, else ip-adapter-plus-face."""
    body_map: Annotated[NonEmpty, Option("--body-map", MODEL, "auto|on|off|DIR")] = "auto"
    """Maps of the body beside the skeleton, fitted to the motion on the reference's proportions;
    DIR holds ready-made ones; auto: with --body-map-model alone.

    on takes the model's own ControlNet for them where none is named. DIR holds a film or a folder
    of pictures for each map, of the reference's shape, as `magicpose poses --ref --maps` writes
    them. Changes the result."""
    body_map_model: Annotated[NonEmpty | None, Option("--body-map-model", MODEL, "NAME|PATH")] = (
        None
    )
    """A ControlNet of Stable Diffusion 1.5 for depth or normals, to read the body's map: a name of
    the catalog, a file or a folder.

    Changes the result."""
    body_map_kind: Annotated[
        Literal["auto", "depth", "normal", "normal-bae", "parts", "silhouette"],
        Option("--body-map-kind", MODEL),
    ] = "auto"
    """Which map --body-map-model reads; auto: by its name."""
    body_map_scale: Annotated[float, Option("--body-map-scale", MODEL, "SCALE")] = Field(
        1.0, ge=0, le=2
    )
    """How much the body's maps count beside the skeleton.

    Changes the result."""
    device: Annotated[DeviceName, Option("--device", MODEL, "NAME")] = "auto"
    """auto (the GPU where there is one), cpu, cuda, cuda:N or mps."""
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"], Option("--dtype", MODEL)
    ] = "auto"
    """Numbers that the networks compute with."""
    batch_size: Annotated[int | None, Option("--batch-size", SPEED, "N")] = Field(
        None, ge=1, le=4096
    )
    """Frames made at once; changes the speed, not the result. By default as many as fit."""
    compile: Annotated[Literal["auto", "off", "on"], Option("--compile", SPEED)] = "auto"
    """torch.compile of a whole step; auto: on CUDA, for clips long enough to earn it back."""
    offload: Annotated[Literal["none", "model", "sequential"], Option("--offload", SPEED)] = "none"
    """What waits in main memory while it is not at work (CUDA)."""
    slicing: Annotated[Literal["auto", "off", "on"], Option("--slicing", SPEED)] = "auto"
    """The autoencoder a part at a time, for large pictures; auto: where memory is short."""
    quantize: Annotated[Literal["none", "int8", "fp8"], Option("--quantize", SPEED)] = "none"
    """Weights of the linear layers in 8 bits (torchao); costs quality."""

    @property
    def is_steady(self) -> bool:
        """Whether a motion adapter is asked for, named or the model's own."""
        return self.steady == "on" or (self.steady == "auto" and self.motion_adapter is not None)

    @property
    def wants_body_maps(self) -> bool:
        """Whether maps of the body are asked for, for a ControlNet that is named or the model's."""
        if self.body_map == "auto":
            return self.body_map_model is not None
        return self.body_map != "off"

    @property
    def ready_body_maps(self) -> str | None:
        """The folder of ready-made maps of the body; None where they are to be drawn."""
        return None if self.body_map in ("auto", "on", "off") else self.body_map

    def makes_steady(self, has_adapter: bool) -> bool:
        """Tell whether frames are steady with a model that has a motion adapter, or has none."""
        return self.is_steady and (has_adapter or self.motion_adapter is not None)


class SamplingSettings(Section):
    """How a frame is made from noise."""

    steps: Annotated[StepCount | None, Option("--steps", SAMPLING, "N|N%")] = None
    """Denoising steps, or a share of the model's own; by default these."""
    guidance: Annotated[float | None, Option("--guidance", SAMPLING, "SCALE")] = Field(
        None, ge=1, le=100
    )
    """Image guidance; 1 is none. By default the model's own."""
    scheduler: Annotated[NonEmpty | None, Option("--scheduler", SAMPLING, "NAME")] = None
    """ddim, unipc, dpm++2m, euler, heun, deis, pndm or a diffusers class name; by default the
    model's own."""
    timestep_spacing: Annotated[
        Literal["leading", "linspace", "trailing"] | None, Option("--timestep-spacing", SAMPLING)
    ] = None
    """Where the scheduler's timesteps lie; trailing: the first is the last of the noise schedule.

    By default the model's own. LoRAs for few steps are made for trailing ones."""
    seed: Annotated[int, Option("--seed", SAMPLING, "N")] = Field(42, ge=0, lt=2**63)
    """Seed of the one noise that all frames share."""
    start_from_warp: Annotated[float | None, Option("--start-from-warp", SAMPLING, "SHARE")] = (
        Field(None, gt=0, le=1)
    )
    """Begin from the warped reference with this share of the noise, up to 1.

    So many of the steps are taken (Meng et al., "SDEdit", ICLR 2022); by default all, from noise
    alone."""
    refine_hands: Annotated[bool, Option("--refine-hands/--no-refine-hands", SAMPLING)] = False
    """Make each hand again in a crop of its own at twice the resolution, and paste it in.

    Changes the result. A frame takes up to three times as long."""
    prompt: Annotated[str, Option("--prompt", SAMPLING, "TEXT")] = ""
    """Text for models with a text encoder."""
    negative_prompt: Annotated[str, Option("--negative-prompt", SAMPLING, "TEXT")] = ""
    """What the result is to have nothing of."""
    guidance_from: Annotated[float, Option("--guidance-from", SAMPLING, "SHARE")] = Field(
        0.0, ge=0, le=1
    )
    """Guidance works after this share of the steps; 0 is the original's."""
    guidance_until: Annotated[float, Option("--guidance-until", SAMPLING, "SHARE")] = Field(
        1.0, ge=0, le=1
    )
    """Guidance works up to this share of the steps; 1 is the original's, less is faster."""
    cache_every: Annotated[int, Option("--cache-every", SPEED, "N")] = Field(1, ge=1, le=100)
    """Run the deep layers in every Nth step only; costs quality above 1.

    What they gave is reused in between. With fewer than 5 steps they run in all."""
    reuse_px: Annotated[float, Option("--reuse", SPEED, "PIXELS")] = Field(0.0, ge=0, le=100)
    """Show a frame again while no point moves farther; costs quality above 0.

    Pixels of the network's picture; 0 reuses a frame only where the pose is the same."""


class FrameSettings(Section):
    """What the network sees of reference and driver."""

    size: Annotated[ResultSize | None, Option("--size", OUTPUT, "N|WxH")] = None
    """Pixels of the result, multiples of 8: N on its short side, in the reference's shape, or WxH
    (default: the model's own N; warped, 512).

    Up to 3:1. With `warp` the network's frames keep the model's own side whatever
    is asked for here."""
    fit: Annotated[Literal["crop", "pad", "stretch"], Option("--fit", OUTPUT)] = "crop"
    """How the reference is brought to the result's shape; crop: one window for the whole clip that
    holds the moving person."""
    paste_back: Annotated[bool, Option("--paste-back/--no-paste-back", OUTPUT)] = False
    """Put the result back into the whole reference picture.

    The window is then as small as holds the moving person."""
    feather: Annotated[float, Option("--feather", OUTPUT, "SHARE")] = Field(0.05, ge=0, le=0.5)
    """How far a pasted result fades, as a share of its short side."""
    keep_background: Annotated[
        bool | None, Option("--keep-background/--no-keep-background", OUTPUT)
    ] = None
    """Put the reference's own pixels where the person is not; by default as the model was made for
    (mini: on; released: off).

    They stand where neither the reference nor a frame shows the person, and in frames of a model
    with a compositor, as mini is, wherever that finds them right."""
    warp: Annotated[Literal["auto", "on", "off"], Option("--warp", OUTPUT)] = "auto"
    """Move the reference's own pixels; auto: for models made for it, such as mini.

    The model's own frames then show only what the reference does not."""
    warp_strength: Annotated[float, Option("--warp-strength", OUTPUT, "0..1")] = Field(
        1.0, ge=0, le=1
    )
    """How much of them; below 1 the model's own frame shows through."""
    secondary_motion: Annotated[
        bool, Option("--secondary-motion/--no-secondary-motion", OUTPUT)
    ] = True
    """Let warped hair and clothes swing as the driver's do, as far as its picture shows."""
    camera_motion: Annotated[Literal["auto", "on", "off"], Option("--camera-motion", OUTPUT)] = (
        "auto"
    )
    """Move a warped result's background as the driver's camera moves; off keeps it still.

    auto: where the reference shows the place that the driver was filmed in."""


class MotionSettings(Section):
    """How the driver is read, and how its motion is laid onto the reference."""

    driver_kind: Annotated[
        Literal["auto", "video", "poses", "pose-maps", "motion"], Option("--driver-kind", MOTION)
    ] = "auto"
    """What DRIVER is; auto tells by the file. pose-maps: ready-drawn ones; motion: in space."""
    detector: Annotated[NonEmpty, Option("--detector", MOTION, "NAME")] = "auto"
    """auto (the best at hand), dwpose, dwpose-mm, mediapipe or mediapipe-tasks."""
    canvas: Annotated[CanvasText | None, Option("--canvas", MOTION, "WxH")] = None
    """Size of the picture, for pose files that do not tell it."""
    camera: Annotated[CameraText | None, Option("--camera", MOTION, "KEY=VALUE,...")] = None
    """View of a motion in space: azimuth=DEGREES, elevation=DEGREES, distance=FACTOR,
    orbit=TURNS_PER_SECOND.

    Azimuth 0 is before the person as they stand in the motion's first second, 90 at their left;
    distance is a factor of the reference's own. Films and pose files have no other views."""
    start_s: Annotated[float | None, Option("--start", MOTION, "SECONDS")] = Field(None, ge=0)
    """Begin here in the driver."""
    end_s: Annotated[float | None, Option("--end", MOTION, "SECONDS")] = Field(None, gt=0)
    """Stop here in the driver."""
    every: Annotated[int, Option("--every", MOTION, "N")] = Field(1, ge=1)
    """Take every N-th frame; time is kept."""
    fps: Annotated[float | None, Option("--fps", MOTION, "RATE")] = Field(None, ge=0.001, le=1000)
    """Another frame rate, time is kept; or that of files that do not tell it."""
    person: Annotated[PersonChoice, Option("--person", MOTION, "WHO")] = "largest"
    """Whom to follow: largest, left, right, center, N from the left, or X,Y in pixels of the
    driver."""
    follow: Annotated[bool | None, Option("--follow/--no-follow", MOTION)] = None
    """Keep a person in place who walks, or whom the camera follows (default: only as far as they
    would leave the reference's picture, or the edge of it that cuts them off)."""
    smooth: Annotated[float | None, Option("--smooth", MOTION, "0..2")] = Field(None, ge=0, le=2)
    """Take out jitter, without lag: 0 none, 1 usual (default: 1 for a film, 0 for a file)."""
    max_gap_s: Annotated[float, Option("--max-gap", MOTION, "SECONDS")] = Field(0.5, ge=0)
    """Longest time without a detection that is filled; longer ones are held."""
    retarget: Annotated[
        Literal["auto", "none", "align", "skeleton", "full", "chain"], Option("--retarget", MOTION)
    ] = "auto"
    """How motion is laid on: align (scale and shift), skeleton (the reference's bones), full (its
    face as well) or chain (a body in space); auto: chain for motion files, else skeleton where both
    show a body, else align."""
    anchor: Annotated[AnchorChoice, Option("--anchor", MOTION, "WHICH")] = "best"
    """Driver's frame that stands as the reference does: best, first or its number from 0."""
    expression: Annotated[float, Option("--expression", MOTION, "0..2")] = Field(1.0, ge=0, le=2)
    """Strength of the driver's expression: curves, dense faces, and --retarget full; 0 is none."""
    head: Annotated[float, Option("--head", MOTION, "0..2")] = Field(1.0, ge=0, le=2)
    """Strength of the turn of the driver's head, likewise."""
    gaze: Annotated[float, Option("--gaze", MOTION, "0..2")] = Field(1.0, ge=0, le=2)
    """Strength of the driver's gaze: curves and dense faces; 0 keeps the reference's."""
    face: Annotated[NonEmpty | None, Option("--face", MOTION, "CURVES")] = None
    """Curves of a face beside a driver that moves the body: a .csv of Live Link Face or ARKit.

    They take the place of the driver's expression and gaze; its head turns as it does. They begin
    with the driver's first frame and are held where they end before it."""

    @property
    def without_expression(self) -> MotionSettings:
        """The same for a driver whose face is another's: `face` names curves."""
        if self.face is None:
            return self
        return self.model_copy(update={"expression": 0.0, "gaze": 0.0})

    @property
    def canvas_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels."""
        if self.canvas is None:
            return None
        width, height = self.canvas.split("x")
        return int(width), int(height)

    @property
    def camera_view(self) -> CameraView:
        """Where the camera of a motion in space stands."""
        return CameraView() if self.camera is None else parse_camera_view(self.camera)


class OutputSettings(Section):
    """What is written."""

    audio: Annotated[bool, Option("--audio/--no-audio", OUTPUT)] = True
    """Keep the driver's sound."""
    audio_track: Annotated[int | None, Option("--audio-track", OUTPUT, "N")] = Field(None, ge=1)
    """Which of the driver's sound tracks, from 1 (default: the one that players take)."""
    crf: Annotated[int, Option("--crf", OUTPUT, "0..51")] = Field(17, ge=0, le=51)
    """x264's quality: 0 is lossless, 17 is visually lossless, 28 is small."""
    compare: Annotated[bool, Option("--compare/--no-compare", OUTPUT)] = False
    """Write reference, pose, the model's frame (warped) and result side by side."""
    save_poses: Annotated[bool, Option("--save-poses/--no-save-poses", OUTPUT)] = False
    """Write the poses as drawn to OUT.poses.json."""


class Preset(Tables):
    """All settings of a run."""

    description: str = ""
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    frame: FrameSettings = FrameSettings()
    motion: MotionSettings = MotionSettings()
    output: OutputSettings = OutputSettings()

    def size_for(self, sample_size: int, picture: tuple[int, int] | None = None) -> tuple[int, int]:
        """Return (width, height) in pixels of a model's frames.

        Args:
            sample_size: Side of the squares that the model was trained on.
            picture: (width, height) of the reference, whose aspect is followed in steps of 8 pixels
                unless both sides are asked for; None is a square, such as pictures of drawn people.
        """
        asked = str(self.frame.size or sample_size)
        if "x" not in asked and picture is not None:
            return _with_aspect(picture, int(asked), step=8)
        sides = [int(side) for side in asked.split("x")]
        return sides[0], sides[-1]

    def warped_size_for(self, picture: tuple[int, int], sample_size: int) -> tuple[int, int]:
        """Return (width, height) in pixels of a warped result, both even, as video needs it.

        Args:
            picture: (width, height) of the reference; one smaller than the network's squares is
                enlarged.
            sample_size: Side of the squares that the model was trained on.
        """
        if "x" in (asked := str(self.frame.size or "")):
            return self.size_for(sample_size)
        short = int(asked) if asked else max(sample_size, min(WARPED_SIDE, *picture))
        return _with_aspect(picture, short, step=2)

    def network_size_for(self, picture: tuple[int, int], sample_size: int) -> tuple[int, int]:
        """Return (width, height) in pixels of the network's frames for a warped result.

        Their short side is the model's own, their aspect the reference's unless the result has
        another.
        """
        if "x" in str(self.frame.size):
            return sample_size, sample_size
        return _with_aspect(picture, sample_size, step=8)

    def steps_for(self, default_steps: int) -> int:
        """Return the number of steps for a model that looks best with so many."""
        text = str(self.sampling.steps or default_steps)
        if text.endswith("%"):
            return max(1, round(default_steps * int(text[:-1]) / 100))
        return int(text)


def _with_aspect(picture: tuple[int, int], short: int, step: int) -> tuple[int, int]:
    """Return (width, height) with this short side and the picture's aspect, up to MAX_ASPECT.

    Both sides are multiples of `step`.
    """
    scale = short / min(picture)
    width, height = (
        step * max(1, round(min(side * scale, MAX_ASPECT * short) / step)) for side in picture
    )
    return width, height


def list_presets() -> dict[str, Preset]:
    """Load all shipped presets, by name."""
    return {path.stem: load_preset(str(path)) for path in sorted(presets_folder().glob("*.toml"))}


def load_preset(name: str | Path) -> Preset:
    """Load a shipped preset by its name, or any TOML file by its path.

    Raises:
        ConfigError: There is no such preset, or it has mistakes; the message lists all of them.
    """
    path = find_toml(str(name), presets_folder(), "preset")
    return validated(Preset, read_toml(path, "preset"), f"preset {path}")
