"""The settings of `magicpose augment`, typed, and where their defaults stand.

`presets/augment/market1501.toml` shows every one with its default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from magicpose_cli.config.sections import (
    Section,
    Tables,
    find_toml,
    presets_folder,
    read_toml,
    validated,
)
from magicpose_cli.pose.detection.detect import DETECTORS


def _check_detector_name(name: str) -> str:
    known = ("auto", *DETECTORS)
    if name not in known:
        raise ValueError(f"expected one of {', '.join(known)}")
    return name


class SourceSettings(Section):
    """Which pictures of DATA people are drawn from."""

    detector: Annotated[str, AfterValidator(_check_detector_name)] = "auto"
    pictures_per_person: int = Field(6, ge=1, le=1000)
    """Of a person with more, so many are looked at, spread over cameras and time."""
    min_height_px: int = Field(40, ge=16, le=4096)
    """Of a person in their picture."""
    min_joints: int = Field(10, ge=4, le=18)
    """Seen, of 18; hips, shoulders and a knee must be among them."""


class JudgeSettings(Section):
    """When a made picture is kept."""

    min_joints_found: float = Field(0.5, ge=0, le=1)
    """Share of the asked joints that the detector finds again."""
    max_pose_error: float = Field(0.08, gt=0, le=1)
    """Mean distance of found from asked joints, as a share of the person's height."""
    min_silhouette: float = Field(0.45, ge=0, le=1)
    """Overlap (intersection over union) of the person that is shown and of the body asked for."""
    max_color_difference: float = Field(18.0, gt=0, le=100)
    """CIEDE2000 between a part in the made picture and in its source, mean over head, trunk, legs.
    """
    min_sharpness: float = Field(0.3, ge=0, le=10)
    """Variance of the Laplacian of the person, as a share of the source's at the same size."""


class MakingSettings(Section):
    """How pictures are made."""

    sampling: Literal["fill", "uniform"] = "fill"
    """fill: viewpoints and poses that DATA lacks; uniform: all alike, as in Pose-dIVE."""
    warp_reach_deg: float = Field(40.0, ge=0, le=180)
    """Of the source's viewpoint from the asked one: farther, the picture is not warped but the
    body that was fitted is drawn with the colors of the source."""
    jpeg_quality: int = Field(92, ge=50, le=100)


class AugmentSettings(Tables):
    """All settings of `magicpose augment`."""

    description: str = ""
    source: SourceSettings = SourceSettings()
    judge: JudgeSettings = JudgeSettings()
    making: MakingSettings = MakingSettings()


def load_augment_settings(name: str | None) -> AugmentSettings:
    """Read a shipped preset of `presets/augment` by its name, or a TOML file by its path.

    Raises:
        ConfigError: There is none, or a setting is wrong.
    """
    if name is None:
        return AugmentSettings()
    path = find_toml(name, presets_folder() / "augment", "preset")
    return validated(AugmentSettings, read_toml(path, "preset"), f"preset {path}")
