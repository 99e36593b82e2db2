"""Which frames of a run are made together, and which are finished with each batch.

Without a motion adapter a frame belongs to one batch, and is finished with it. Steady frames are
made in windows that overlap, and a frame is finished with the last window that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from magicpose_cli.arrays import Pictures
from magicpose_cli.diffusion.motion_windows import (
    blended,
    finished_frames,
    first_window_with,
    motion_windows,
)


@dataclass(frozen=True)
class FrameBatches:
    """The batches of a run; a resumed run has those of the former one.

    Attributes:
        made: Indices of the driver's frames that each batch makes.
        finished: Those of the frames that are wanted which are finished with each batch.
        windows: The batches as windows of a clip, where frames are steady; else nothing.
    """

    made: tuple[Sequence[int], ...]
    finished: tuple[Sequence[int], ...]
    windows: tuple[range, ...] = ()

    @classmethod
    def apart(cls, wanted: Sequence[int], length: int) -> FrameBatches:
        """Make batches of frames that do not depend on each other.

        Args:
            wanted: Indices of the driver's frames.
            length: Frames of a batch; the last one may have fewer.
        """
        parts = tuple(wanted[i : i + length] for i in range(0, len(wanted), length))
        return cls(parts, parts)

    @classmethod
    def steady(cls, wanted: Sequence[int], frames: int) -> FrameBatches:
        """Make windows at fixed places of a clip; those without a wanted frame are left out.

        Args:
            wanted: Indices of the driver's frames.
            frames: Number of all frames of the driver.
        """
        shown = set(wanted)
        windows = tuple(w for w in motion_windows(frames) if not shown.isdisjoint(w))
        finished = tuple(
            [index for index in part if index in shown] for part in finished_frames(windows)
        )
        return cls(windows, finished, windows)

    def left(self, done: int) -> tuple[Sequence[int], ...]:
        """List the batches to be made where so many are finished, some of them once more."""
        return self.made[self._first(done) :]

    def finish(
        self, made: Iterable[Pictures], done: int
    ) -> Iterator[tuple[Sequence[int], Pictures]]:
        """Give the frames that are finished with each batch, and their indices.

        Args:
            made: Frames (n, H, W, 3) of the batches that `left` tells.
            done: How many batches were finished before.
        """
        first = self._first(done)
        if not self.windows:
            yield from zip(self.finished[first:], made, strict=True)
            return
        windows = self.windows[first:]
        if not windows:
            return
        parts = zip(finished_frames(windows), blended(windows, made), strict=True)
        for at, (part, frames) in enumerate(parts, first):
            if at >= done:
                wanted = self.finished[at]
                yield wanted, frames[[index - part.start for index in wanted]]

    def _first(self, done: int) -> int:
        """The first batch to be made: the first window that overlaps what is left."""
        if not self.windows or done == len(self.windows):
            return done
        return first_window_with(self.windows, self.windows[done].start)
