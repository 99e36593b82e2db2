"""The decoders: each gives the frames of a clip that are asked for, in order.

All of them are generators `(clip, (height, width), numbers)`: `numbers` are the ascending numbers
of the wanted frames, what comes is what is shown then, uint8 RGB (height, width, 3), upright, and
whether it is an earlier frame that is held, because the file lacks its own. A file that cannot be
decoded further ends the generator early.
"""

from __future__ import annotations

import queue
import re
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from fractions import Fraction
from typing import IO, TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.errors import InputError
from magicpose_cli.video.ffmpeg import ffmpeg_exe, source
from magicpose_cli.video.picture import damaged, open_picture, pictures_in, read_picture, to_rgb

if TYPE_CHECKING:
    from magicpose_cli.video.probe import Clip

Frames = Generator[tuple[Picture, bool], None, None]
# Lines of ffmpeg's showinfo: its clock, and each frame's time. A line may hold other words, too.
SHOWINFO_LINE = re.compile(
    rb"config in time_base: (\d+)/([1-9]\d*)|\bn: *\d+ pts: *(-?\d+) +pts_time:"
)
MAX_LINE_DELAY_S = 60.0  # for a line that is written before its frame
SAME_TIME_S = 0.001  # seeking rounds to microseconds, containers to milliseconds
LEAD_S = 1.0  # so long after a key frame no picture depends on frames before that key frame
LOOK_BACK_S = (8.0, 120.0)  # before the first wanted frame, where it cannot be decoded


def frame_times(log: IO[bytes] | Sequence[bytes]) -> Generator[Fraction]:
    """Read the time of each frame, in seconds, from the log of ffmpeg's `showinfo` filter."""
    clock = Fraction(1)
    for line in log:
        for found in SHOWINFO_LINE.finditer(line):
            if found[3] is None:
                clock = Fraction(int(found[1]), int(found[2]))
            else:
                yield int(found[3]) * clock


def film_frames(clip: Clip, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Decode frames of a film by ffmpeg, each found by its own time."""
    wanted = clip.stamps_s[np.asarray(numbers)]
    from_s = wanted[0] - SAME_TIME_S
    with closing(without_late_frames(_timed_frames(clip, size, from_s))) as frames:
        following = next(frames, None)
        shown = None
        if following is None or following[0] > wanted[0] + SAME_TIME_S:
            if (shown := _last_before(clip, size, from_s)) is None:
                return
            yield shown, True
            wanted = wanted[1:]
        for time_s in wanted:
            at_s = -1.0
            while following is not None and following[0] <= time_s + SAME_TIME_S:
                at_s, shown = following
                following = next(frames, None)
            if at_s < 0 and following is None:
                return
            assert shown is not None
            yield shown, at_s < time_s - SAME_TIME_S


def without_late_frames(
    frames: Generator[tuple[float, Picture]],
) -> Generator[tuple[float, Picture]]:
    """Drop a frame whose time, for damage, is later than that of the one that follows it."""
    with closing(frames):
        former = next(frames, None)
        for frame in frames:
            if former is not None and former[0] <= frame[0]:
                yield former
            former = frame
        if former is not None:
            yield former


def _last_before(clip: Clip, size: tuple[int, int], time_s: float) -> Picture | None:
    """Return the frame that is shown until `time_s`, or the film's first one."""
    before = after = None
    for from_s in (*(time_s - back for back in LOOK_BACK_S), -1.0):
        with closing(_timed_frames(clip, size, max(from_s, -1.0))) as frames:
            for at_s, frame in frames:
                if at_s > time_s:
                    after = frame
                    break
                before = frame
        if before is not None or from_s <= 0:
            break
    return after if before is None else before


def _timed_frames(
    clip: Clip, size: tuple[int, int], from_s: float
) -> Generator[tuple[float, Picture]]:
    """Decode all frames from `from_s` on, each with its time in seconds on the film's clock."""
    height, width = size
    seek_s = max(from_s - LEAD_S, 0.0) if clip.seekable else 0.0
    seek = ("-ss", f"{seek_s:.6f}") if seek_s else ()
    chosen = f"select=gte(t\\,{from_s - seek_s:.6f}),showinfo=checksum=0,scale={width}:{height}"
    command = [
        *(ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", *seek, *source(clip.path)),
        *("-map", "0:V:0", "-vf", chosen, "-fps_mode", "passthrough"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    ]
    times: queue.SimpleQueue[Fraction] = queue.SimpleQueue()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        listener = threading.Thread(target=_listen, args=(process.stderr, times), daemon=True)
        listener.start()
        try:
            while len(data := process.stdout.read(height * width * 3)) == height * width * 3:
                try:
                    at_s = float(times.get(timeout=MAX_LINE_DELAY_S)) + seek_s
                except queue.Empty:
                    return
                yield at_s, np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)
        finally:
            process.kill()
            listener.join()


def _listen(log: IO[bytes], times: queue.SimpleQueue[Fraction]) -> None:
    for time in frame_times(log):
        times.put(time)


def animation_frames(clip: Clip, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Decode frames of an animated GIF, WebP or PNG by Pillow."""
    try:
        with open_picture(clip.path) as animation:
            for number in numbers:
                animation.seek(int(number))
                yield to_rgb(animation), False
    except damaged():
        return


def folder_frames(clip: Clip, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Read the pictures of a folder.

    Raises:
        InputError: A picture cannot be read, or has changed its size.
    """
    pictures = pictures_in(clip.path)
    for number in numbers:
        if number >= len(pictures):
            return
        frame = read_picture(pictures[number])
        if frame.shape[:2] != size:
            raise InputError(f"{pictures[number]} has changed its size during the run; start again")
        yield frame, False


DECODERS: dict[str, Callable[[Clip, tuple[int, int], Sequence[int]], Frames]] = {
    "ffmpeg": film_frames,
    "animation": animation_frames,
    "folder": folder_frames,
}
