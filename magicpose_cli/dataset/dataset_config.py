"""The settings of `magicpose dataset`, typed, and where their defaults stand.

`presets/training/dataset.toml` shows every one with its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from magicpose_cli.config.sections import Section, Tables, read_toml, validated
from magicpose_cli.pose.detection.detect import DETECTORS
from magicpose_cli.synthetic.sources import SyntheticKind


def _check_detector(name: str) -> str:
    known = ("auto", *DETECTORS)
    if name not in known:
        raise ValueError(f"expected one of {', '.join(known)}")
    return name


class FilmFrameSettings(Section):
    """What is taken from a film, and how it is written."""

    size: int = Field(512, ge=64, le=2048, multiple_of=8)
    """Side of the square pictures in pixels."""
    fps: float = Field(6.0, gt=0, le=240)
    """Frames looked at in a second of film."""
    format: Literal["jpg", "png"] = "jpg"
    """Drawn people are always PNG."""
    fit: Literal["crop", "pad"] = "crop"
    """Of a person that no square within the film holds: cut off, or black bars."""
    margin: float = Field(0.1, ge=0, le=1)
    """Room around the moving person, as a share of the crop."""
    detector: Annotated[str, AfterValidator(_check_detector)] = "auto"


class PersonSettings(Section):
    """Which frames are kept."""

    min_joints: int = Field(7, ge=1, le=18)
    min_score: float = Field(0.3, ge=0, le=1)
    min_area: float = Field(0.04, ge=0, le=1)
    """Of the box around the joints, as a share of the film's picture."""
    min_sharpness: float = Field(3.0, ge=0)
    """Variance of the Laplacian over that box, brought to a long side of 512 pixels."""
    min_face_sharpness: float = Field(15.0, ge=0)
    """The same over the face, where it is seen, at most 128 pixels long."""
    min_change: float = Field(0.008, ge=0, le=1)
    """Mean difference (of 1) within that box from the frame kept before."""
    second_every_s: float = Field(2.0, gt=0)
    """How often a second person is looked for, who ends the clip until the next look."""


class ClipSettings(Section):
    """How films are cut into clips."""

    min_frames: int = Field(8, ge=2)
    max_s: float = Field(20.0, gt=0)
    max_gap_s: float = Field(1.0, ge=0)
    """A longer time without a usable frame ends the clip."""
    max_scene_change: float = Field(0.15, gt=0, le=1)
    """Mean difference (of 1) of two frames; more is another scene."""
    max_speed: float = Field(4.0, gt=0)
    """Of the person, in lengths of the box around the joints a second; more is somebody else."""
    max_enlargement: float = Field(2.0, gt=0)


class DrawnSettings(Section):
    """The people of --synthetic."""

    people: SyntheticKind = "drawn"
    """Drawn, rendered, or both in turns."""
    wardrobe: str = ""
    """A folder of MakeHuman's library, from which half of the rendered people wear something."""
    frames: int = Field(8, ge=2, le=1000)
    """Pictures of each person."""
    first_seed: int = Field(0, ge=0, lt=1 << 30)
    held_out: bool = False
    """Make people of the seeds that are kept for testing."""


class DatasetSettings(Tables):
    """All settings of a data folder."""

    frames: FilmFrameSettings = FilmFrameSettings()
    person: PersonSettings = PersonSettings()
    clips: ClipSettings = ClipSettings()
    drawn: DrawnSettings = DrawnSettings()


def load_settings(path: Path | None) -> DatasetSettings:
    """Read a TOML file, or take the defaults without one.

    Raises:
        ConfigError: The file cannot be read, or a setting is wrong.
    """
    if path is None:
        return DatasetSettings()
    return validated(DatasetSettings, read_toml(path, "config"), f"config {path}")
