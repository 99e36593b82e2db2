"""What a driver is: its size, its exact frame rate, its number of frames, its sound.

Times come from one pass of ffmpeg over the packets (nothing is decoded), so they are exact for
every container, and the readers only have to deliver the frames in order.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from magicpose_cli.errors import InputError
from magicpose_cli.video.decode import decord_agrees
from magicpose_cli.video.ffmpeg import QUIET, run_ffmpeg, sound_codec_in, source
from magicpose_cli.video.picture import (
    DAMAGED,
    PICTURE_SUFFIXES,
    open_picture,
    picture_size,
    pictures_in,
)

NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120, 240))
COMMON_RATES = tuple(sorted((*NTSC, *(Fraction(n) for n in (*range(1, 61), 120, 240)))))
MAX_RATE = 1000
NO_TIME = -(1 << 63)  # ffmpeg's mark of a packet without a time stamp
DISCARDED = 4  # ffmpeg's flag of a packet that an edit list hides
JITTER = 0.4  # of a frame: time stamps that stray less still count as a constant rate
CUT_SHORT = re.compile(rb"partial file|File ended prematurely")
GIF_DELAY_MS = 100  # what every viewer shows where a GIF asks for 0 or 10 ms


@dataclass(frozen=True)
class Clip:
    """A driver that can be read: its frames at a constant rate, upright.

    A clip of variable rate has a frame for each tick of `rate`: the one that is shown at that time.
    """

    path: Path
    kind: Literal["video", "pictures"]
    width: int
    height: int
    rate: Fraction
    """Frames a second, exact."""
    frame_count: int
    """Frames at the constant rate."""
    is_variable: bool = False
    audio_codec: str | None = None
    start_s: float = 0.0
    """When, on the file's own clock, the first frame is shown; its sound counts from there."""
    decoder: Literal["decord", "ffmpeg", "animation", "folder"] = "ffmpeg"
    notes: tuple[str, ...] = ()
    """What a user should know of the file, a line each."""
    times: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    """float64 (n,): seconds from the first frame at which each frame of the file is shown."""

    @property
    def fps(self) -> float:
        return float(self.rate)

    @property
    def duration_s(self) -> float:
        return float(self.frame_count / self.rate)

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None


def probe(path: str | Path, pictures_fps: float | Fraction = 25) -> Clip:
    """Look at a video, an animated GIF/WebP/PNG or a folder of pictures. Raises InputError.

    `pictures_fps` is the rate of a folder of pictures; the other kinds know their own.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _probe_folder(path, exact_rate(pictures_fps))
        if not path.exists():
            raise InputError(f"{path} does not exist; give a video, an animated GIF or a folder")
        if not path.is_file():
            raise InputError(f"{path} is no regular file; give a video, a GIF or a folder")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}; check its name") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return _probe_animation(path)
    return _probe_video(path)


def exact_rate(fps: float | Fraction) -> Fraction:
    """The exact rate that a typed one means: 29.97 is 30000/1001. Raises InputError."""
    if not 0 < fps <= MAX_RATE:
        raise InputError(f"{fps} frames a second cannot be; give a rate above 0, up to {MAX_RATE}")
    if isinstance(fps, Fraction):
        return fps
    nearest = min(NTSC, key=lambda rate: abs(rate - Fraction(fps)))
    if abs(nearest - Fraction(fps)) < Fraction(6, 1000) and fps != int(fps):
        return nearest
    return Fraction(fps).limit_denominator(1001)


def _probe_folder(path: Path, rate: Fraction) -> Clip:
    pictures = pictures_in(path)
    if not pictures:
        raise InputError(f"{path} holds no pictures; give a folder of PNG or JPEG frames")
    width, height = picture_size(pictures[0])
    for picture in pictures[1:]:
        if (size := picture_size(picture)) != (width, height):
            raise InputError(
                f"{picture} is {size[0]}x{size[1]} but {pictures[0].name} is {width}x{height}; "
                "all frames of a folder need one size"
            )
    count = len(pictures)
    times = np.arange(count) / float(rate)
    return Clip(path, "pictures", width, height, rate, count, decoder="folder", times=times)


def _probe_animation(path: Path) -> Clip:
    from PIL import Image

    shown_ms = []
    try:
        with open_picture(path) as animation:
            width, height = animation.size
            for number in range(getattr(animation, "n_frames", 1)):
                animation.seek(number)
                animation.load()
                delay = animation.info.get("duration", 0)
                shown_ms.append(delay if delay > 10 else GIF_DELAY_MS)
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an animation; it may be damaged") from error
    if len(shown_ms) < 2:
        raise InputError(
            f"{path} is a single picture; a driver is a video, an animated GIF or a folder of them"
        )
    ends = np.cumsum(np.rint(np.array(shown_ms))).astype(np.int64)
    stamps = [0, *ends[:-1].tolist()]
    rate, times, is_variable = timeline(stamps, Fraction(1, 1000), resolution_s=0.01)
    count = _tick_count(times, float(ends[-1]) / 1000, rate, is_variable)
    return Clip(
        path, "video", width, height, rate, count, is_variable, decoder="animation", times=times
    )


def _probe_video(path: Path) -> Clip:
    scan = run_ffmpeg(
        *("-hide_banner", "-nostdin", "-nostats", *source(path), "-map", "0:V:0"),
        *("-c", "copy", "-f", "framecrc", "-"),
    )
    if re.search(rb"Could not find codec parameters for stream \d+ \(Video", scan.stderr):
        raise InputError(
            f"{path} is damaged: its header does not tell how the pictures are stored; "
            "encode it anew or take another video"
        )
    base, stamps, end = _packets(scan.stdout)
    first = _first_frame(path) if stamps else None
    if first is None:
        raise InputError(
            f"{path} is no video that can be decoded; it may be damaged or of another kind, "
            "try to play it or encode it anew"
        )
    start_s = float(stamps[0] * base)
    rate, times, is_variable = timeline(stamps, base, resolution_s=float(base))
    count = _tick_count(times, float((end - stamps[0]) * base), rate, is_variable)
    return Clip(
        path=path,
        kind="video",
        width=first.shape[1],
        height=first.shape[0],
        rate=rate,
        frame_count=count,
        is_variable=is_variable,
        audio_codec=sound_codec_in(scan.stderr),
        start_s=max(start_s, 0.0),
        decoder="decord" if decord_agrees(path, len(stamps), first) else "ffmpeg",
        notes=_cut_short(path, scan.stderr, float((end - stamps[0]) * base)),
        times=times,
    )


def _cut_short(path: Path, said: bytes, length_s: float) -> tuple[str, ...]:
    """A line where ffmpeg met the end of the file before its last frame; a stream has no end."""
    if not CUT_SHORT.search(said):
        return ()
    header = re.search(rb"Duration: (\d+):(\d+):(\d+\.\d+)", said)
    named = ""
    if header:
        hours, minutes, seconds = (float(part) for part in header.groups())
        named = f" of the {3600 * hours + 60 * minutes + seconds:.1f} s that it names"
    return (
        f"{path.name} is cut short: it holds {length_s:.1f} s{named}, which are used; copy or "
        "download it again for the rest",
    )


def _packets(listing: bytes) -> tuple[Fraction, list[int], int]:
    """Read ffmpeg's framecrc listing: the clock's unit, the frames' times in order, the end."""
    base = Fraction(1)
    decoded, shown, end = [], [], 0
    for line in listing.decode().splitlines():
        if line.startswith("#tb 0:"):
            base = Fraction(line.split(":")[1].strip())
        if line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        flags = next((int(cell[2:], 16) for cell in cells[6:] if cell.startswith("F=")), 1)
        if not flags & DISCARDED:
            dts, pts, duration = (int(cell) for cell in cells[1:4])
            decoded.append(dts)
            shown.append(pts)
            end = max(end, (dts if pts == NO_TIME else pts) + max(duration, 0))
    # AVI and raw streams know only the order of decoding, which has the same rhythm.
    stamps = sorted(decoded if NO_TIME in shown else shown)
    return base, stamps, end


def _first_frame(path: Path) -> np.ndarray | None:
    """The first frame as ffmpeg shows it (turned upright), None where there is none."""
    try:
        run = run_ffmpeg(
            *(*QUIET, *source(path), "-map", "0:V:0", "-frames:v", "1"),
            *("-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"),
            seconds=60,
        )
    except subprocess.TimeoutExpired:
        return None
    header = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", run.stdout)
    if header is None:
        return None
    width, height = int(header.group(1)), int(header.group(2))
    size = width * height * 3
    if len(run.stdout) < header.end() + size:
        return None
    return np.frombuffer(run.stdout, np.uint8, size, header.end()).reshape(height, width, 3)


def timeline(
    stamps: Sequence[int], base: Fraction, resolution_s: float
) -> tuple[Fraction, np.ndarray, bool]:
    """The rate of frames shown at `stamps` (in units of `base` seconds, ascending).

    Returns the rate, the frames' times in seconds from the first (evenly spaced where the rate is
    constant) and whether it varies. `resolution_s` is what the container rounds times to: stamps of
    33, 67, 100 ms are 30 frames a second. A variable rate is named by its usual step.
    """
    count = len(stamps)
    times = np.array([float((stamp - stamps[0]) * base) for stamp in stamps])
    if count < 2 or stamps[-1] == stamps[0]:
        return Fraction(25), times, False
    steps = np.diff(np.array(stamps, dtype=np.int64))
    if (steps == steps[0]).all() and 1 / (int(steps[0]) * base) <= MAX_RATE:
        rate = _rounding_undone(1 / (int(steps[0]) * base), count, resolution_s)
        return rate, np.arange(count) / float(rate), False

    mean = Fraction(count - 1) / ((stamps[-1] - stamps[0]) * base)
    likely = sorted(COMMON_RATES, key=lambda rate: abs(rate - mean))[:2]
    for rate in sorted(likely, key=lambda rate: rate.denominator):
        if np.abs(times - np.arange(count) / float(rate)).max() <= 1.01 * resolution_s:
            return rate, np.arange(count) / float(rate), False
    if mean <= MAX_RATE and np.abs(times * float(mean) - np.arange(count)).max() < JITTER:
        return mean.limit_denominator(1001), np.arange(count) / float(mean), False

    usual = 1 / max(float(np.median(steps)) * float(base), 1 / MAX_RATE)
    nearest = min(COMMON_RATES, key=lambda rate: abs(float(rate) - usual))
    near = abs(float(nearest) - usual) < 0.05 * usual
    return nearest if near else Fraction(usual).limit_denominator(1001), times, True


def _rounding_undone(rate: Fraction, count: int, resolution_s: float) -> Fraction:
    """Equal steps of a coarse clock over a few frames may still be a rounded common rate."""
    nearest = min(COMMON_RATES, key=lambda common: abs(common - rate))
    drift_s = abs(float(1 / nearest - 1 / rate)) * (count - 1)
    return nearest if resolution_s < 0.005 and 0 < drift_s < resolution_s else rate


def _tick_count(times: np.ndarray, end_s: float, rate: Fraction, is_variable: bool) -> int:
    """How many ticks of `rate` show the frames until `end_s`, the end of the last one."""
    if not is_variable:
        return len(times)
    return max(1, int(np.floor(end_s * float(rate) + 0.5)))
