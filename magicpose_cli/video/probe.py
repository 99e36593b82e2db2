"""The facts of a driver: its size, its exact frame rate, its number of frames, its sound.

The frames' times in a film come from one pass of ffmpeg over its packets, in which nothing is
decoded; later the decoder says the time of each frame (see `decode`).
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from math import lcm
from pathlib import Path
from typing import Literal

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.errors import InputError
from magicpose_cli.video.decode import MIN_DECODED_S, SAME_TIME_S, frame_times
from magicpose_cli.video.ffmpeg import run_ffmpeg, source
from magicpose_cli.video.limits import check_size
from magicpose_cli.video.picture import (
    PICTURE_SUFFIXES,
    damaged,
    open_picture,
    picture_size,
    pictures_in,
)
from magicpose_cli.video.sound import SoundTrack, default_track, tracks_in
from magicpose_cli.video.timeline import MAX_RATE, NTSC, ConstantRate, detect_rate, tick_count

NO_TIME = -(1 << 63)  # ffmpeg's mark of a packet without a time stamp
DISCARD_FLAG = 4  # ffmpeg's flag of a packet that an edit list hides
SAME_TIME = Fraction(SAME_TIME_S).limit_denominator()
MAX_FILM_FRAMES = 5_000_000  # a day at 58 frames a second
MIN_GAP_S = 0.25  # without a new frame, from which on it is told
SHOWINFO = ("-vf", "showinfo=checksum=0")
FRAME_SHAPE = re.compile(rb"\bn: *\d+ pts: .* sar:(\d+)/(\d+) s:(\d+)x(\d+) ")
TOO_LARGE = re.compile(rb"Picture size (\d+)x(\d+) exceeds specified max pixel count")
INDEXED_CONTAINER = re.compile(rb"Input #0, (?:mov|matroska)")
TIME_RESOLUTION_S = {"GIF": 0.01}  # delays; others count in milliseconds or finer
CUT_SHORT = re.compile(rb"partial file|File ended prematurely")
NAMED_DURATION = re.compile(rb"Duration: (\d+):(\d+):(\d+\.\d+)")
ESTIMATED = b"Estimating duration from bitrate"  # where no header tells
MIN_LACKING_S, MIN_LACKING_SHARE = 0.5, 0.05  # of pictures at the end, from which on it is told
GIF_DELAY_MS = 100  # what every viewer shows where a GIF asks for 0 or 10 ms


@dataclass(frozen=True)
class Clip(ConstantRate):
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
    sound_tracks: tuple[SoundTrack, ...] = ()
    start_s: float = 0.0
    """When, on the file's own clock, the first frame is shown; its sound counts from there."""
    decoder: Literal["ffmpeg", "animation", "folder"] = "ffmpeg"
    seekable: bool = False
    """Whether decoding may begin anywhere, by the container's index."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file, a line each."""
    times: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    """float64 (n,): seconds from the first frame at which each frame of the file is shown."""
    stamps_s: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    """float64 (n,): of a film, the same as the decoder tells it, on the file's clock, unrounded."""

    @property
    def audio_codec(self) -> str | None:
        """The codec of the sound track that players take: "aac", "opus", ..."""
        track = default_track(self.sound_tracks)
        return None if track is None else self.sound_tracks[track].codec

    @property
    def has_audio(self) -> bool:
        """Whether it has a sound track that can be decoded."""
        return self.audio_codec is not None


def probe(path: str | Path, pictures_fps: float | Fraction = 25) -> Clip:
    """Find the facts of a video, an animated GIF, WebP or PNG, or a folder of pictures.

    Args:
        path: Of the file or folder.
        pictures_fps: Frames a second of a folder of pictures; the other kinds have their own.

    Raises:
        InputError: The driver cannot be read.
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
    """Return the exact rate that a typed one means: 29.97 is 30000/1001.

    Raises:
        InputError: The rate is not above 0, or is above MAX_RATE.
    """
    if not 0 < fps <= MAX_RATE:
        raise InputError(f"{fps} frames a second cannot be; give a rate above 0, up to {MAX_RATE}")
    if isinstance(fps, Fraction):
        return fps
    nearest = min(NTSC, key=lambda rate: abs(rate - Fraction(fps)))
    if abs(nearest - Fraction(fps)) < Fraction(6, 1000) and fps != int(fps):
        return nearest
    typed: Fraction = Fraction(fps).limit_denominator(1001)
    return typed


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
    delays: list[Fraction] = []
    count = 0
    try:
        with open_picture(path) as animation:
            width, height = animation.size
            resolution_s = TIME_RESOLUTION_S.get(animation.format or "", 0.001)
            count = getattr(animation, "n_frames", 1)
            for number in range(count):
                animation.seek(number)
                animation.load()
                delays.append(_delay(animation.info.get("duration", 0)))
    except damaged() as error:
        if len(delays) < 2 or sum(delays) < MIN_DECODED_S:
            raise InputError(f"{path} cannot be read as an animation; it may be damaged") from error
    if len(delays) < 2:
        raise InputError(
            f"{path} is a single picture; a driver is a video, an animated GIF or a folder of them"
        )
    base = Fraction(1, lcm(*(delay.denominator for delay in delays)))
    ends = list(accumulate(int(delay / base) for delay in delays))
    rate, times, is_variable = detect_rate([0, *ends[:-1]], base, resolution_s)
    note = (
        f"{path.name} is damaged: {len(delays)} of its {count} frames, {float(sum(delays)):.1f} s, "
        "are used; copy or download it again for the rest"
    )
    return Clip(
        path,
        "video",
        width,
        height,
        rate,
        tick_count(times, float(ends[-1] * base), rate, is_variable),
        is_variable,
        decoder="animation",
        notes=(note,) if len(delays) < count else (),
        times=times,
    )


def _delay(told_ms: float) -> Fraction:
    """Return how long a frame of an animation is shown, in seconds."""
    shown_ms = told_ms if told_ms > 10 else GIF_DELAY_MS
    return Fraction(shown_ms / 1000).limit_denominator(60_000)


def _probe_video(path: Path) -> Clip:
    scan = _look(path, "-c", "copy", "-f", "framecrc", "-")
    if too_large := TOO_LARGE.search(scan.stderr):
        check_size(path, int(too_large[1]), int(too_large[2]))
    if re.search(rb"Could not find codec parameters for stream \d+ \(Video", scan.stderr):
        raise InputError(
            f"{path} is damaged: its header does not tell how the pictures are stored; "
            "encode it anew or take another video"
        )
    base, stamps, end = _packets(scan.stdout)
    first = _first_frame(path) if stamps else None
    if first is None:
        raise InputError(
            f"{path} is no video that can be decoded; it may be damaged or of another kind: "
            "expected a video that plays, an animated GIF or a folder of pictures"
        )
    seekable = bool(INDEXED_CONTAINER.search(scan.stderr))
    found, is_held = None, False  # the last frame to the end of those that cannot be decoded
    if NO_TIME not in stamps and not seekable:
        found = detect_rate(stamps, base, resolution_s=float(base))
    if NO_TIME in stamps or (found is not None and found[2]):
        told_s = min(float(end * base), _named_s(scan.stderr) or 0.0)
        base, stamps, end = _decoded(path)
        is_held = told_s - float(end * base) > MIN_GAP_S
        end = round(told_s / base) if is_held else end
        found = None
    # Pictures that depend on frames removed by a cut are never shown.
    begin = round((first.time - SAME_TIME) / base)
    former = stamps
    stamps = [stamp for stamp in former if stamp >= begin] or [round(first.time / base)]
    if found is None or stamps != former:
        found = detect_rate(stamps, base, resolution_s=float(base))
    rate, times, is_variable = found
    is_variable = is_variable or is_held
    length_s = float((end - stamps[0]) * base)
    frame_count = tick_count(times, length_s, rate, is_variable)
    if frame_count > MAX_FILM_FRAMES:
        raise InputError(
            f"{path} claims to show {len(stamps)} frames for {length_s / 3600:.0f} hours; its time "
            "stamps are damaged, encode it anew"
        )
    return Clip(
        path=path,
        kind="video",
        width=first.width,
        height=first.height,
        rate=rate,
        frame_count=frame_count,
        is_variable=is_variable,
        sound_tracks=tracks_in(scan.stderr),
        start_s=max(float(stamps[0] * base), 0.0),
        seekable=seekable,
        notes=(
            *_cut_short(path, scan.stderr, length_s, float(end * base)),
            *_gaps(path, times, rate, length_s),
        ),
        times=times,
        stamps_s=np.array([float(stamp * base) for stamp in stamps]),
    )


def _look(
    path: Path, *arguments: str, seconds: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg over the pictures of a film; what it tells of the film is on stderr."""
    quiet = ("-hide_banner", "-nostdin", "-nostats")
    return run_ffmpeg(*quiet, *source(path), "-map", "0:V:0", *arguments, seconds=seconds)


def _gaps(path: Path, times: Floats, rate: Fraction, length_s: float) -> tuple[str, ...]:
    """Return a line for the user where the film, of `length_s`, lacks frames for a while."""
    ends = np.append(times, max(length_s, times[-1] + 1 / float(rate)))
    steps = np.diff(ends)
    gaps = np.flatnonzero(
        (steps > MIN_GAP_S) & (steps > 3 * np.median(steps)) if len(steps) else []
    )
    if not len(gaps):
        return ()
    first = gaps[0]
    more = f", and {len(gaps) - 1} more such gaps" if len(gaps) > 1 else ""
    return (
        f"{path.name} has no frames from {times[first] + 1 / float(rate):.1f} to "
        f"{ends[first + 1]:.1f} s{more}: the last one before is held, as players do",
    )


def _cut_short(path: Path, said: bytes, length_s: float, end_s: float) -> tuple[str, ...]:
    """Return a line for the user where the pictures end long before the film does.

    Args:
        path: Of the film.
        said: Of it, by ffmpeg.
        length_s: From the first picture to the end of the last one.
        end_s: When that is, in seconds from the start of all that the film shows and sounds.
    """
    named_s = _named_s(said)
    if CUT_SHORT.search(said):
        named = f" of the {named_s:.1f} s that it names" if named_s else ""
        return (
            f"{path.name} is cut short: it holds {length_s:.1f} s{named}, which are used; copy or "
            "download it again for the rest",
        )
    if named_s and named_s - end_s > max(MIN_LACKING_S, MIN_LACKING_SHARE * named_s):
        return (
            f"{path.name} has pictures for {length_s:.1f} s of the {named_s:.1f} s that it names; "
            "it may be damaged, or its sound is longer: what has pictures is used",
        )
    return ()


def _named_s(said: bytes) -> float | None:
    """Return how long the header of a film says that it is, pictures and sound, in seconds."""
    told = None if ESTIMATED in said else NAMED_DURATION.search(said)
    if told is None:
        return None
    hours, minutes, seconds = map(float, told.groups())
    return 3600 * hours + 60 * minutes + seconds


def _packets(listing: bytes) -> tuple[Fraction, list[int], int]:
    """Read ffmpeg's framecrc listing: the clock's unit, the frames' times in order, the end.

    The times hold NO_TIME where a packet (of AVI, of a raw stream) tells none.
    """
    base = Fraction(1)
    shown, end = set(), 0
    for line in listing.decode().splitlines():
        if line.startswith("#tb 0:"):
            base = Fraction(line.split(":")[1].strip())
        if line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")]
        flags = next((int(cell[2:], 16) for cell in cells[6:] if cell.startswith("F=")), 1)
        if not flags & DISCARD_FLAG:
            pts, duration = int(cells[2]), int(cells[3])
            shown.add(pts)  # a set: invisible frames have the time of the one that they serve
            end = max(end, pts + max(duration, 0))
    return base, sorted(shown), end


def _decoded(path: Path) -> tuple[Fraction, list[int], int]:
    """Read what `_packets` reads from the decoder.

    That is for files whose packets have no times, or uneven ones that no index confirms.
    """
    run = _look(path, *SHOWINFO, "-fps_mode", "passthrough", "-f", "null", "-")
    times = list(frame_times(run.stderr.splitlines()))
    # One that is later than those that follow is damaged.
    soonest = reversed(list(accumulate(reversed(times), min)))
    times = sorted({time for time, least in zip(times, soonest, strict=True) if time == least})
    base = Fraction(1, lcm(*(time.denominator for time in times)))
    stamps = [int(time / base) for time in times]
    return base, stamps, stamps[-1] + (stamps[-1] - stamps[-2] if len(stamps) > 1 else 0)


@dataclass(frozen=True)
class _FirstFrame:
    """The first frame that is shown.

    Attributes:
        time: Seconds on the file's clock.
        width: With square pixels, upright.
        height: With square pixels, upright.
    """

    time: Fraction
    width: int
    height: int


def _first_frame(path: Path) -> _FirstFrame | None:
    """The first frame as ffmpeg shows it, None where there is none."""
    try:
        run = _look(path, *SHOWINFO, "-frames:v", "1", "-f", "null", "-", seconds=60)
    except subprocess.TimeoutExpired:
        return None
    log = run.stderr.splitlines()
    time, shape = next(frame_times(log), None), FRAME_SHAPE.search(run.stderr)
    if time is None or shape is None:
        return None
    aspect, down, width, height = (int(number) for number in shape.groups())
    # a pixel's width by its height; 0 where the file does not tell
    width = max(1, round(width * aspect / down)) if aspect and down else width
    return _FirstFrame(time, width, height)
