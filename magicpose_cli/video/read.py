"""The frames of a clip, lazily and in order: np.uint8 RGB (H, W, 3), upright."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

import numpy as np

from magicpose_cli.arrays import Integers, Picture
from magicpose_cli.errors import InputError
from magicpose_cli.video.decode import DECODERS
from magicpose_cli.video.probe import Clip, exact_rate
from magicpose_cli.video.timeline import ConstantRate

SLACK_S = 0.002  # containers round times to a millisecond; that must not cost a frame
MAX_TOLD = 3  # stretches of held frames that a note tells one by one

OnHeld = Callable[[int], None]


@dataclass(frozen=True)
class Selection:
    """Which frames of a clip are wanted.

    Attributes:
        start_s: Seconds from the clip's first frame; None is the first.
        end_s: Seconds from the clip's first frame; None is the clip's end.
        every: Take each N-th frame at an N-th of the rate.
        fps: Another rate, at which the time is kept; None is the clip's own.
    """

    start_s: float | None = None
    end_s: float | None = None
    every: int = 1
    fps: float | Fraction | None = None


@dataclass(frozen=True)
class SelectedClip(ConstantRate):
    """What `read_frames` will give: `frame_count` frames at `rate`, exactly."""

    clip: Clip
    rate: Fraction
    frame_count: int
    start_s: float
    """Where in the clip the first frame stands."""
    sources: Integers = field(repr=False, compare=False)
    """int64 (frame_count,): for each frame its number in the file, never descending."""

    @property
    def audio_start_s(self) -> float:
        """Where in the file the sound of the first frame is."""
        return self.clip.start_s + self.start_s


def select(clip: Clip, selection: Selection | None = None) -> SelectedClip:
    """Work out the frames of a selection.

    Times are rounded to the nearest frame of the clip, an end beyond the clip is its end, and at
    least one frame is selected. `fps` repeats or drops frames so that the time is kept, then
    `every` keeps each N-th at an N-th of the rate.

    Raises:
        InputError: The selection does not fit the clip.
    """
    selection = selection or Selection()
    start_s, end_s, every = selection.start_s or 0.0, selection.end_s, selection.every
    if every < 1:
        raise InputError(f"every {every}-th frame cannot be taken; give 1 or more")
    if not 0 <= start_s < clip.duration_s:
        raise InputError(
            f"start at {start_s:g} s lies outside of {clip.path}, which is {clip.duration_s:.3f} s "
            "long; give a time within it"
        )
    if end_s is not None and not end_s > start_s:
        raise InputError(f"end at {end_s:g} s is not after the start at {start_s:g} s; give more")

    first = min(floor(start_s * clip.rate + Fraction(1, 2)), clip.frame_count - 1)
    last = clip.frame_count
    if end_s is not None and end_s < clip.duration_s:
        last = max(first + 1, floor(end_s * clip.rate + Fraction(1, 2)))
    rate, count = clip.rate, last - first
    if selection.fps is not None:
        rate = exact_rate(selection.fps)
        count = max(1, floor(Fraction(last - first) / clip.rate * rate + Fraction(1, 2)))

    begin = first / clip.rate
    ticks = float(begin) + np.arange(0, count, every) / float(rate)
    slack = min(SLACK_S, 0.25 / float(max(rate, clip.rate)))
    sources = np.searchsorted(clip.times, ticks + slack, side="right") - 1
    sources = np.clip(sources, 0, len(clip.times) - 1).astype(np.int64)
    return SelectedClip(clip, rate / every, ceil(count / every), float(begin), sources)


def read_frames(
    clip: Clip,
    selection: Selection | None = None,
    part: slice = slice(None),
    size: tuple[int, int] | None = None,
    on_held: OnHeld = lambda number: None,
) -> Generator[Picture]:
    """Read the selected frames, one at a time.

    There are exactly `select(clip, selection).frame_count` of them, or the asked part of them. A
    repeated frame is the same array, so do not draw into it. A selection that does not fit raises
    at once, not at the first frame.

    Args:
        clip: As of `probe`.
        selection: All frames by default.
        part: Of the selected frames.
        size: (width, height) to scale to, which costs less than reading the frames in full.
        on_held: Called with the number, among the selected ones, of each frame that cannot be
            decoded: the one before it is held.

    Returns:
        (height, width, 3) uint8 RGB each.

    Raises:
        InputError: The selection does not fit, or next to nothing of the film can be decoded.
    """
    selected = select(clip, selection)
    size = size or (clip.width, clip.height)
    return _selected_frames(selected, part, size, on_held)


def held_note(selected: SelectedClip, held: Collection[int]) -> tuple[str, ...]:
    """Return a line for the user where frames, by their numbers, cannot be decoded; () for none."""
    if not held:
        return ()
    numbers = np.unique(np.array(list(held)))
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    times = [
        f"{selected.start_s + part[0] / selected.fps:.1f} to "
        f"{selected.start_s + (part[-1] + 1) / selected.fps:.1f} s"
        for part in parts[:MAX_TOLD]
    ]
    more = f" and {len(parts) - MAX_TOLD} more times" if len(parts) > MAX_TOLD else ""
    return (
        f"{len(numbers)} of {selected.frame_count} frames of {selected.clip.path.name} cannot be "
        f"decoded ({', '.join(times)}{more}): the last one before is held, as players do; it may "
        "be damaged",
    )


def _selected_frames(
    selected: SelectedClip, part: slice, size: tuple[int, int], on_held: OnHeld
) -> Generator[Picture]:
    clip = selected.clip
    given = size if clip.decoder == "ffmpeg" else (clip.width, clip.height)
    numbers, repeats = np.unique(selected.sources[part], return_counts=True)
    at, decode = iter(range(selected.frame_count)[part]), DECODERS[clip.decoder]
    with closing(decode(clip, given[::-1], numbers.tolist())) as frames:
        for number, repeat in zip(numbers, repeats, strict=True):
            following, held = next(frames, (None, True))
            if following is None:
                raise InputError(
                    f"{clip.path} has frame {number} of {len(clip.times)} no more; it has changed "
                    "during the run, start again"
                )
            frame = following if given == size else _scaled(following, size)
            for _, tick in zip(range(repeat), at, strict=False):
                if held:
                    on_held(tick)
                yield frame


def _scaled(frame: Picture, size: tuple[int, int]) -> Picture:
    import cv2

    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
