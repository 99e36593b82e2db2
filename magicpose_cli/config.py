"""Presets: every setting of a run, typed, validated, and where its default stands.

Precedence: defaults here < the preset's TOML < what was typed. Settings that are absent (None) are
the model's own: its size, its steps, its guidance.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from magicpose_cli.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_PRESET_BYTES = 1 << 20


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


Size = Annotated[str | int, AfterValidator(_check_size)]
Steps = Annotated[str | int, AfterValidator(_check_steps)]
Name = Annotated[str, StringConstraints(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSettings(_Section):
    """Which networks, and on what they run."""

    name: Name = "auto"
    """An installed model, a folder, or "auto" for the best installed."""
    device: Name = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Frames denoised at once; None chooses."""
    offload: Literal["none", "model", "sequential"] = "none"
    """What waits in main memory while it is not at work (CUDA only)."""


class SamplingSettings(_Section):
    """How a frame is made from noise."""

    steps: Steps | None = None
    guidance: float | None = Field(None, ge=1, le=100)
    scheduler: Name | None = None
    """ddim, unipc, dpm++2m, euler or a class name of diffusers; None keeps the model's."""
    seed: int = Field(42, ge=0, lt=2**63)
    prompt: str = ""
    negative_prompt: str = ""


class FrameSettings(_Section):
    """What the network sees of reference and driver."""

    size: Size | None = None
    fit: Literal["crop", "pad", "stretch"] = "crop"


class MotionSettings(_Section):
    """How the driver is read."""

    driver_kind: Literal["auto", "video", "poses", "pose-maps"] = "auto"
    detector: Name = "auto"
    retarget: Literal["align", "none"] = "align"
    fps: float | None = Field(None, gt=0, le=1000)
    every: int = Field(1, ge=1)
    start_s: float | None = Field(None, ge=0)
    end_s: float | None = Field(None, gt=0)
    max_gap_s: float = Field(0.5, ge=0)
    """Longest time without a detection that is bridged by interpolation; longer ones are held."""


class OutputSettings(_Section):
    """What is written."""

    audio: bool = True
    crf: int = Field(17, ge=0, le=51)
    """x264's quality: 0 is lossless, 17 is visually lossless, 28 is small."""
    compare: bool = False
    save_poses: bool = False


class Preset(_Section):
    """All settings of a run."""

    description: str = ""
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    frame: FrameSettings = FrameSettings()
    motion: MotionSettings = MotionSettings()
    output: OutputSettings = OutputSettings()

    def with_options(self, **options: Any) -> Preset:
        """The preset with typed options, `section__name=value`, laid over it; None is not typed.

        Raises ConfigError that names every wrong option.
        """
        data = self.model_dump()
        for key, value in options.items():
            if value is not None:
                section, name = key.split("__")
                data[section][name] = value
        return _validated(data, "options")

    def size_for(self, sample_size: int) -> tuple[int, int]:
        """(width, height) in pixels for a model trained on squares of this side."""
        sides = [int(side) for side in str(self.frame.size or sample_size).split("x")]
        return sides[0], sides[-1]

    def steps_for(self, default_steps: int) -> int:
        """Steps for a model that looks best with so many."""
        text = str(self.sampling.steps or default_steps)
        if text.endswith("%"):
            return max(1, round(default_steps * int(text[:-1]) / 100))
        return int(text)


def presets_folder() -> Path:
    """Where the presets that ship with the program lie."""
    inside = Path(__file__).parent / "presets"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "presets"


def list_presets() -> dict[str, Preset]:
    """All shipped presets by name."""
    return {path.stem: load_preset(str(path)) for path in sorted(presets_folder().glob("*.toml"))}


def load_preset(name: str) -> Preset:
    """A shipped preset by its name, or any TOML file by its path. Raises ConfigError."""
    path = presets_folder() / f"{name}.toml"
    if name.endswith(".toml") or "/" in name or "\\" in name or not path.is_file():
        path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in presets_folder().glob("*.toml")))
        raise ConfigError(f"preset {name!r}: expected one of {known}, or the path of a TOML file")
    try:
        if path.stat().st_size > MAX_PRESET_BYTES:
            raise ConfigError(f"preset {path}: larger than 1 MB; expected a short TOML file")
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"preset {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"preset {path}: no UTF-8 text; expected TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"preset {path}: no valid TOML: {error}") from error
    return _validated(data, f"preset {path}")


def _validated(data: dict[str, Any], origin: str) -> Preset:
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'] if not _is_type_tag(part))}: {_said(e)}"
            for e in _first_of_each(error)
        )
        raise ConfigError(f"{origin}: {mistakes}") from error


def _first_of_each(error: ValidationError) -> list[Any]:
    """One complaint a setting: a union complains once for each of its members."""
    seen: dict[tuple, Any] = {}
    for e in error.errors():
        seen.setdefault(tuple(part for part in e["loc"] if not _is_type_tag(part)), e)
    return list(seen.values())


def _is_type_tag(part: str | int) -> bool:
    """Pydantic names a union's member in the path (str, int, function-after[...])."""
    return isinstance(part, str) and (part in ("str", "int") or "[" in part)


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such setting"
    if error["type"] == "value_error":
        return f"{error['input']!r}: {error['ctx']['error']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{error['input']!r}: {message}"
