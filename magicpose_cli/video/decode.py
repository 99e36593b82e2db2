"""The decoders: each gives the frames of a file that are asked for, in order.

All of them are generators `(path, (height, width), numbers)`: `numbers` are the ascending numbers
of the wanted frames, what comes is uint8 RGB (height, width, 3), upright. A file that cannot be
decoded further ends the generator early.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.errors import InputError
from magicpose_cli.stderr import native_stderr_silenced
from magicpose_cli.video.ffmpeg import QUIET, ffmpeg_exe, source
from magicpose_cli.video.picture import DAMAGED, open_picture, pictures_in, read_picture, to_rgb

Frames = Generator[np.ndarray, None, None]
SAME_FRAME = 6.0  # mean difference, of 255, up to which two decoders show the same picture
HELD = 256 << 20  # bytes of frames that decord may hold
NEAR = 16  # frames; a nearer one is reached by decoding on, a farther one by seeking


def decord_agrees(path: Path, frame_count: int, first: np.ndarray) -> bool:
    """True where decord is installed, opens the file and sees the same frames as ffmpeg does.

    It differs on edit lists (which it ignores), mirrored pictures and containers new to it. A film
    of more than a few seconds is left to ffmpeg: while its frames are looked at, decord decodes on,
    to the end of the film and into memory.
    """
    if frame_count * first.nbytes > HELD:
        return False
    try:
        import decord
    except (ImportError, OSError):  # no wheel for this machine, or one that does not load
        return False
    try:
        reader = _open_decord(path)
        if len(reader) != frame_count:
            return False
        frame = reader.next().asnumpy()
    except (decord.DECORDError, RuntimeError, AssertionError, StopIteration):
        return False
    if frame.shape != first.shape:
        return False
    return float(np.abs(frame.astype(np.int16) - first).mean()) < SAME_FRAME


def _open_decord(path: Path) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    with native_stderr_silenced():
        return decord.VideoReader(str(path))


def decord_frames(path: Path, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Frames of a video by decord; where it gives up on damaged data ffmpeg goes on."""
    import decord

    done = 0
    try:
        reader = _open_decord(path)
        position = 0
        for number in numbers:
            if number - position >= NEAR:
                reader.seek_accurate(int(number))
            elif number > position:
                reader.skip_frames(int(number - position))
            frame = reader.next().asnumpy()
            position = number + 1
            yield frame
            done += 1
    except (decord.DECORDError, RuntimeError, StopIteration):
        yield from ffmpeg_frames(path, size, numbers[done:])


def ffmpeg_frames(path: Path, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Frames of a video through a pipe from ffmpeg."""
    height, width = size
    first, last = int(numbers[0]), int(numbers[-1])
    command = [
        *(ffmpeg_exe(), *QUIET, *source(path), "-map", "0:V:0"),
        *("-vf", f"trim=start_frame={first}:end_frame={last + 1},scale={width}:{height}"),
        *("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    ]
    wanted = iter(numbers)
    following = next(wanted)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for number in range(first, last + 1):
                data = process.stdout.read(height * width * 3)
                if len(data) < height * width * 3:
                    return
                if number == following:
                    yield np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)
                    following = next(wanted, -1)
        finally:
            process.kill()


def animation_frames(path: Path, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """Frames of an animated GIF, WebP or PNG, by Pillow."""
    try:
        with open_picture(path) as animation:
            for number in numbers:
                animation.seek(int(number))
                yield to_rgb(animation)
    except DAMAGED:
        return


def folder_frames(path: Path, size: tuple[int, int], numbers: Sequence[int]) -> Frames:
    """The pictures of a folder. Raises InputError for one that cannot be read."""
    pictures = pictures_in(path)
    for number in numbers:
        if number >= len(pictures):
            return
        frame = read_picture(pictures[number])
        if frame.shape[:2] != size:
            raise InputError(f"{pictures[number]} has changed its size during the run; start again")
        yield frame


DECODERS: dict[str, Callable[[Path, tuple[int, int], Sequence[int]], Frames]] = {
    "decord": decord_frames,
    "ffmpeg": ffmpeg_frames,
    "animation": animation_frames,
    "folder": folder_frames,
}
