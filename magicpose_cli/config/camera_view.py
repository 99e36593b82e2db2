"""The view of a motion in space: where the camera stands around the person."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LIMITS = {
    "azimuth": (-360.0, 360.0),
    "elevation": (-89.0, 89.0),
    "distance": (0.2, 10.0),
    "orbit": (-10.0, 10.0),
}
_NUMBER = re.compile(r"[+-]?(\d{1,6}(\.\d{0,9})?|\.\d{1,9})")


@dataclass(frozen=True)
class CameraView:
    """Where the camera stands, in relation to the reference's own camera.

    Attributes:
        azimuth: Degrees around the person: 0 before them as they stand at the start, 90 at their
            left.
        elevation: Degrees above the horizon.
        distance: Factor of the distance from which the reference is seen.
        orbit: Turns a second around the person, in the direction of a growing azimuth.
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = 1.0
    orbit: float = 0.0


def parse_camera_view(text: str) -> CameraView:
    """Read a view such as "azimuth=30,elevation=10,distance=1,orbit=0.1"; each key may be absent.

    Raises:
        ValueError: A key is unknown or given twice, or a value is no number within its limits.
    """
    values: dict[str, float] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _LIMITS or key in values:
            raise ValueError(
                f"{part.strip()!r}; expected some of {', '.join(_LIMITS)}, each once and as "
                "KEY=NUMBER, with commas between them"
            )
        low, high = _LIMITS[key]
        if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
            raise ValueError(f"{key} {value!r}; expected a number from {low:g} to {high:g}")
        values[key] = float(value)
    return CameraView(**values)
