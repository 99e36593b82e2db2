"""The decoders: each gives the frames of a clip that are asked for, in order.

All of them are generators `(clip, (height, width), numbers)`: `numbers` are the ascending numbers
of the wanted frames, what comes is what is shown then, uint8 RGB (height, width, 3), upright, and
whether it is an earlier frame that is held, because the file lacks its own. Of a film that cannot
be decoded further the last frame is held, as players do; other files, which were looked through
when they were probed, end the generator early.
"""

from __future__ import annotations

import io
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
LOOK_BACK_S = 8.0  # before a frame that cannot be decoded; then farther, by FARTHER
FARTHER = 4
# Several threads conceal damage by their number, that of the cores, and by chance. One costs next
# to nothing: scaling and the pipe, which run beside it, take longer than decoding.
ONE_THREAD = ("-threads", "1")
MIN_DECODED_S = 0.5  # a longer film that cannot be decoded for so long at its start is no motion


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
    """Decode frames of a film by ffmpeg, each found by its own time.

    Raises:
        InputError: The film cannot be decoded, or only for less than MIN_DECODED_S.
    """
    wanted = clip.stamps_s[np.asarray(numbers)]
    from_s = wanted[0] - SAME_TIME_S
    with closing(without_late_frames(_timed_frames(clip, size, from_s))) as frames:
        following = next(frames, None)
        if following is None or following[0] > wanted[0] + SAME_TIME_S:
            at_s, shown = _last_before(clip, size, from_s)
            yield shown, True
            wanted = wanted[1:]
        for time_s in wanted:
            while following is not None and following[0] <= time_s + SAME_TIME_S:
                at_s, shown = following
                following = next(frames, None)
            is_held = at_s < time_s - SAME_TIME_S
            if is_held and following is None:
                _check_long_enough(clip, at_s)
            yield shown, is_held


def _check_long_enough(clip: Clip, last_s: float) -> None:
    """Raise InputError where the last frame that can be decoded, at `last_s`, comes too soon."""
    decoded_s = last_s - clip.stamps_s[0] + float(1 / clip.rate)
    if decoded_s < min(MIN_DECODED_S, clip.duration_s / 2):
        raise InputError(
            f"{clip.path} can be decoded for {max(decoded_s, 0.0):.2f} of its {clip.duration_s:.2f}"
            " s only; it is damaged, encode it anew or end before that"
        )


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


def _last_before(clip: Clip, size: tuple[int, int], time_s: float) -> tuple[float, Picture]:
    """Return the frame that is shown until `time_s`, or the film's first one, and its time.

    It is looked for in windows, each before the last, so that what is far from the end of a film
    that cannot be decoded any more takes no longer.

    Raises:
        InputError: No frame can be decoded, or only those of less than MIN_DECODED_S.
    """
    start_s, end_s, back_s = time_s, time_s, LOOK_BACK_S
    found = None
    while found is None and start_s > clip.stamps_s[0] - SAME_TIME_S:
        start_s, end_s = time_s - back_s if clip.seekable else -1.0, start_s
        found = _first_within(clip, size, start_s, end_s)
        back_s *= FARTHER
    while found is not None and clip.seekable and end_s - start_s > LOOK_BACK_S:
        middle_s = (start_s + end_s) / 2
        later = _first_within(clip, size, middle_s, end_s)
        if later is None:
            end_s = middle_s
        else:
            start_s, found = middle_s, later
    if found is not None:
        with closing(_timed_frames(clip, size, start_s, end_s)) as frames:
            for frame in without_late_frames(frames):
                found = frame
    after = _first_within(clip, size, time_s, np.inf)
    if after is None and found is not None:
        _check_long_enough(clip, found[0])
    if found is None and after is None:
        raise InputError(f"{clip.path} cannot be decoded; it is damaged, encode it anew")
    found = found or after
    assert found is not None
    return found


def _first_within(
    clip: Clip, size: tuple[int, int], start_s: float, end_s: float
) -> tuple[float, Picture] | None:
    with closing(_timed_frames(clip, size, start_s, end_s)) as frames:
        return next(frames, None)


def _timed_frames(
    clip: Clip, size: tuple[int, int], from_s: float, to_s: float = np.inf
) -> Generator[tuple[float, Picture]]:
    """Decode all frames from `from_s` to `to_s`, each with its time in s on the film's clock."""
    height, width = size
    seek_s = max(from_s - LEAD_S, 0.0) if clip.seekable else 0.0
    seek = ("-ss", f"{seek_s:.6f}") if seek_s else ()
    within = f"gte(t\\,{from_s - seek_s:.6f})"
    if np.isfinite(to_s):
        seek = (*seek, "-t", f"{to_s - seek_s + LEAD_S:.6f}")
        within += f"*lte(t\\,{to_s - seek_s:.6f})"
    chosen = f"select={within},showinfo=checksum=0,scale={width}:{height}"
    command = [
        *(ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", *seek),
        *(*ONE_THREAD, *source(clip.path)),
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
        assert isinstance(process.stdout, io.BufferedReader) and process.stderr is not None
        listener = threading.Thread(target=_listen, args=(process.stderr, times), daemon=True)
        listener.start()
        try:
            while True:
                frame = np.empty((height, width, 3), np.uint8)
                if process.stdout.readinto(frame.data) < frame.nbytes:
                    return
                try:
                    at_s = float(times.get(timeout=MAX_LINE_DELAY_S)) + seek_s
                except queue.Empty:
                    return
                yield at_s, frame
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
