"""From which sides a person is seen: ranges of angles and the views within them.

A positive yaw lets the person look to the picture's right, a positive pitch up.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from magicpose_cli.errors import InputError

MAX_YAW_DEG, MAX_PITCH_DEG = 90.0, 45.0
MAX_VIEWS = 10_000
PITCH_WAVES = 2  # of a folder's views, while the yaw goes from one end to the other


class ViewAngles(NamedTuple):
    """One view, in degrees from the picture's own."""

    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True)
class ViewRange:
    """Angles in degrees, low <= high."""

    low: float
    high: float

    @property
    def start(self) -> float:
        """The angle that is nearest to the picture's own, 0."""
        return min(max(0.0, self.low), self.high)

    def there_and_back(self, share: float) -> float:
        """The angle at a share, 0 to 1, of a loop that begins and ends at `start`."""
        if self.low < 0 < self.high:
            wave = math.sin(2 * math.pi * share)
            return wave * (self.high if wave > 0 else -self.low)
        far = self.high if self.start == self.low else self.low
        return self.start + (far - self.start) * (1 - math.cos(2 * math.pi * share)) / 2


def read_range(text: str, what: str, most: float) -> ViewRange:
    """Read LOW..HIGH or a single angle.

    Args:
        text: Such as "-60..60" or "30".
        what: The option's name, for messages.
        most: The largest angle in degrees to either side.

    Raises:
        InputError: The text is no such range.
    """
    number = r"[+-]?\d{1,4}(?:\.\d{1,6})?"
    found = re.fullmatch(rf"\s*({number})\s*(?:\.\.\s*({number}))?\s*", text)
    if not found:
        raise InputError(f"{what} {text}: expected degrees such as -45..45 or 30")
    low = float(found[1])
    high = low if found[2] is None else float(found[2])
    if low > high:
        raise InputError(f"{what} {text}: expected the lower angle first, {high:g}..{low:g}")
    if low < -most or high > most:
        raise InputError(f"{what} {text}: expected angles between {-most:g} and {most:g} degrees")
    return ViewRange(low, high)


def check_view_count(views: int) -> None:
    """Check how many views are asked for.

    Raises:
        InputError: None, or too many.
    """
    if not 1 <= views <= MAX_VIEWS:
        raise InputError(f"views is {views}; expected a number from 1 to {MAX_VIEWS}")


def looped_views(yaw: ViewRange, pitch: ViewRange, count: int) -> list[ViewAngles]:
    """The views of a film that can be looped: an eight that begins at the picture's own side.

    The pitch goes twice as fast as the yaw, so that no view comes twice; a single view is the
    beginning.
    """
    shares = [i / count for i in range(count)]
    return [ViewAngles(yaw.there_and_back(s), pitch.there_and_back(2 * s % 1)) for s in shares]


def spread_views(yaw: ViewRange, pitch: ViewRange, count: int) -> list[ViewAngles]:
    """The picture's own side, then views that are spread evenly: for reconstruction."""
    views = [ViewAngles(yaw.start, pitch.start)]
    middle, half = (pitch.low + pitch.high) / 2, (pitch.high - pitch.low) / 2
    others = count - 1
    for i in range(others):
        share = i / (others - 1) if others > 1 else 1.0
        wave = math.sin(2 * math.pi * PITCH_WAVES * share)
        views.append(ViewAngles(yaw.low + share * (yaw.high - yaw.low), middle + half * wave))
    return views
