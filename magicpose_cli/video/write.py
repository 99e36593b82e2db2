"""Frames into a video, GIF or folder of PNGs, with nothing finished ever lost.

Frames go to a hidden recording beside the target, in a form that can be played however it ends.
At the end the recording is finished (its index moved to the front, sound or GIF palette added) and
takes the target's name in one step; an interrupted one becomes NAME.partial.mp4 the same way. A run
with a resume folder has its recording there, and its interrupted one is so-far.mp4 in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from magicpose_cli.arrays import AnyArray, DeepGray, Picture
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import (
    check_writable,
    hidden_beside,
    move_into_place,
    remove_leftovers,
    shortened,
)
from magicpose_cli.video.encoders import encoder_arguments
from magicpose_cli.video.ffmpeg import ffmpeg_exe, file_url, last_line
from magicpose_cli.video.finish import finish_gif, finish_video
from magicpose_cli.video.probe import probe
from magicpose_cli.video.sound import Sound, writable_sound

OUTPUT_VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".gif")
SOUND_SUFFIXES = (".mp4", ".webm", ".mov")
FRAME_FILE_PATTERN = r"\d{6,}\.png"  # what a folder of frames holds, and nothing else
PARTIAL_STEM = "so-far"  # what an interrupted run has made, in its resume folder
MAX_GIF_FPS = 100  # a GIF counts in hundredths of a second


@dataclass(frozen=True)
class Partial:
    """A playable video (or folder) of the frames that an interrupted writer had finished."""

    path: Path
    frames: int


def partials_of(error: BaseException) -> tuple[Partial, ...]:
    """Return the partial results that writers kept when this error or Ctrl-C went through them."""
    kept: tuple[Partial, ...] = getattr(error, "_partials", ())
    return kept


def check_output(path: str | Path, overwrite: bool = False) -> None:
    """Check, before any work, that `write_video` can write to a path.

    Raises:
        OutputError: The suffix is wrong, the target exists and `overwrite` is not given, or its
            folder cannot be made or written.
    """
    target, suffix = _target(path)
    check_writable(target, overwrite, own=None if suffix else FRAME_FILE_PATTERN)


def _target(path: str | Path) -> tuple[Path, str]:
    """Return the target and one of OUTPUT_VIDEO_SUFFIXES, or "" for a folder of PNGs."""
    target = Path(path)
    suffix = target.suffix.lower()
    if str(path).endswith(("/", os.sep)):
        return target, ""
    if suffix and suffix not in OUTPUT_VIDEO_SUFFIXES:
        raise OutputError(
            f"{path}: {target.suffix} cannot be written; choose {', '.join(OUTPUT_VIDEO_SUFFIXES)} "
            "or, for a folder of PNGs, no suffix"
        )
    return target, suffix


def write_video(
    path: str | Path,
    frames: Iterable[Picture],
    rate: float | Fraction,
    *,
    audio_from: str | Path | None = None,
    audio_start_s: float = 0.0,
    audio_duration_s: float | None = None,
    crf: int = 18,
    overwrite: bool = False,
) -> int:
    """Write all frames of a video; see `VideoWriter`.

    Args:
        path: Its suffix decides the format; without one, PNGs are written into a folder.
        frames: (H, W, 3) uint8 RGB each.
        rate: Frames a second.
        audio_from: A film whose sound is taken.
        audio_start_s: Seconds on that film's clock.
        audio_duration_s: Seconds of sound at most.
        crf: x264's quality, 0 best.
        overwrite: Replace an existing target.

    Returns:
        How many frames there were.

    Raises:
        OutputError: The video cannot be written, or there are no frames.
    """
    sound = Sound(Path(audio_from), audio_start_s, audio_duration_s) if audio_from else None
    with VideoWriter(path, rate, sound=sound, crf=crf, overwrite=overwrite) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.frame_count


class VideoWriter:
    """An open output: `with VideoWriter("out.mp4", Fraction(25)) as out: out.write(frame)`.

    The suffix picks the kind: .mp4 and .mov (H.264), .webm (VP9), .gif, or none (or a slash at the
    end) for a folder of PNGs. Frames are uint8 RGB (H, W, 3), all of the first one's size; odd
    sizes are padded by one pixel for all but GIF and PNG. `sound` is cut to the frames' length and
    never makes the video longer; a file without sound is no error, nor is sound that cannot be
    read, and `notes` tells what became of it. `crf` is x264's quality, 0 best; `quick` takes a
    sixth of its time for larger files; `lossless` keeps every pixel's color, see `encoders`. A
    folder of PNGs also takes gray frames of 16 bits, (H, W) uint16.

    Leaving the block puts the result in place. Leaving it by any exception, Ctrl-C included, keeps
    the finished frames as NAME.partial.mp4 (`partials_of(error)` tells where), unless
    `keeps_partial` is off, and passes the exception on. Without a frame nothing is left behind.
    """

    def __init__(
        self,
        path: str | Path,
        rate: float | Fraction,
        *,
        sound: Sound | None = None,
        crf: int = 18,
        quick: bool = False,
        lossless: bool = False,
        overwrite: bool = False,
        keeps_partial: bool = True,
        work: Path | None = None,
    ) -> None:
        check_output(path, overwrite)
        self.path, self._suffix = _target(path)
        self.rate = Fraction(rate).limit_denominator(100_000)
        if self._suffix == ".gif" and self.rate > MAX_GIF_FPS:
            raise OutputError(
                f"{path}: a GIF shows at most {MAX_GIF_FPS} frames a second, not "
                f"{float(rate):g}; choose .mp4 or a lower rate"
            )
        self.frame_count = 0
        self.notes: list[str] = []
        self._sound = None
        if sound is not None and self._suffix in SOUND_SUFFIXES:
            self._sound, self.notes = writable_sound(sound, self._suffix)
        self._crf = crf
        self._preset = "ultrafast" if quick else "medium"
        self._lossless = lossless
        self._overwrite = overwrite
        self._keeps_partial = keeps_partial
        self._work = work
        self._shape: tuple[int, ...] = ()
        self._recording: Path | None = None
        self._encoder: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._encoder_failed = False

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if raised is not None:
            self._keep_partial(raised)
            return
        try:
            self._close_encoder()
            if self._recording is None:
                raise OutputError(f"{self.path}: there are no frames to write; nothing is written")
            self._finish(self.path, self._overwrite)
        except BaseException as error:
            self._keep_partial(error)
            raise

    def write(self, frame: Picture | DeepGray) -> None:
        """Append one frame, (H, W, 3) uint8 RGB.

        Raises:
            OutputError: The frame cannot be stored.
        """
        is_deep_gray = not self._suffix and frame.dtype == np.uint16 and frame.ndim == 2
        if not is_deep_gray and (frame.dtype != np.uint8 or frame.shape[2:] != (3,)):
            raise ValueError(f"expected uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if self._recording is None:
            self._shape = frame.shape
            self._open()
        if frame.shape != self._shape:
            raise ValueError(f"expected a frame of {self._shape}, got {frame.shape}")
        if self._suffix:
            self._send(frame)
        else:
            self._save_png(frame)
        self.frame_count += 1

    def _open(self) -> None:
        """Make the recording, a running encoder or a hidden folder; before, there is nothing."""
        kind = {".webm": ".webm", "": ""}.get(self._suffix, ".mp4")
        self._recording = self._hidden(kind)
        try:
            if self._work is not None:
                _remove_former(self._work, PARTIAL_STEM)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path)
            if not self._suffix:
                self._recording.mkdir()
                return
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error
        height, width = (n + n % 2 for n in self._shape[:2])
        if self._suffix == ".gif":
            height, width = self._shape[:2]
        how = encoder_arguments(
            self._suffix, crf=self._crf, preset=self._preset, lossless=self._lossless
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the encoder
        self._encoder = subprocess.Popen(
            [
                *(ffmpeg_exe(), "-hide_banner", "-y", "-loglevel", "error", "-f", "rawvideo"),
                *("-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(self.rate)),
                *("-i", "pipe:0", *how, file_url(self._recording)),
            ],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,  # the terminal's Ctrl-C is for us; the encoder has to finish
        )

    def _send(self, frame: AnyArray) -> None:
        assert self._encoder is not None and self._encoder.stdin is not None
        height, width = frame.shape[:2]
        if self._suffix != ".gif" and (height % 2 or width % 2):
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        left = np.ascontiguousarray(frame).data.cast("B")
        try:
            while left:
                left = left[self._encoder.stdin.write(left) :]
        except BrokenPipeError:
            self._close_encoder()
            raise OutputError(f"{self.path}: the encoder has stopped early; try again") from None

    def _save_png(self, frame: Picture | DeepGray) -> None:
        from PIL import Image

        assert self._recording is not None
        try:
            file = self._recording / f"{self.frame_count:06d}.png"
            Image.fromarray(frame).save(file, compress_level=3)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error

    def _close_encoder(self) -> None:
        """End the recording. Raises OutputError with the encoder's own words if it has failed."""
        encoder, log = self._encoder, self._log
        if encoder is None or log is None:
            return
        assert encoder.stdin is not None
        encoder.stdin.close()
        status = encoder.wait()
        self._encoder = self._log = None
        log.seek(0)
        words = last_line(log.read())
        log.close()
        if status != 0:
            self._encoder_failed = True
            raise OutputError(
                f"{self.path}: the encoder has failed ({words}, status {status}); is there room on "
                "the disk, and in memory?"
            )

    def _finish(self, target: Path, overwrite: bool) -> None:
        """Make the final form of the recording and give it the target's name."""
        assert self._recording is not None
        finished = self._recording
        try:
            if self._suffix:
                finished = self._hidden(self._suffix)
            if self._suffix == ".gif":
                finish_gif(self._recording, finished)
            elif self._suffix:
                self._finish_video(self._recording, finished)
            move_into_place(finished, target, overwrite)
            if finished != self._recording:
                self._recording.unlink()
        except OSError as error:
            raise OutputError(f"{target} cannot be written: {error.strerror}") from error
        finally:
            if finished != self._recording:
                finished.unlink(missing_ok=True)
        self._recording = None

    def _finish_video(self, recording: Path, finished: Path) -> None:
        """With its sound; damage further on in a film may leave it without."""
        length_s = float(self.frame_count / self.rate)
        try:
            finish_video(recording, finished, length_s, self._sound)
        except OutputError as error:
            if self._sound is None:
                raise
            finish_video(recording, finished, length_s, None)
            self.notes.append(f"the sound is left out: {error}")

    def _keep_partial(self, error: BaseException) -> None:
        """Keep what is finished beside the target and note it on the error."""
        if self._recording is None:
            return
        with suppress(OutputError):  # the error at hand is what the user has to hear of
            self._close_encoder()
        if self._encoder_failed:
            self.frame_count = self._frames_recorded()
        if self.frame_count == 0 or not self._keeps_partial:
            self._discard()
            return
        kept = self._kept_name(self._suffix)
        try:
            self._finish(kept, overwrite=self._work is not None)
        except (OutputError, KeyboardInterrupt):
            # No room, no sound or no patience to finish: the recording itself plays as well.
            kept = self._kept_name(self._recording.suffix)
            self._recording.replace(kept)
            self._recording = None
        kept_so_far = (*partials_of(error), Partial(kept, self.frame_count))
        error._partials = kept_so_far  # type: ignore[attr-defined]

    def _hidden(self, suffix: str) -> Path:
        """A free hidden name for work in progress."""
        return hidden_beside(self._work / PARTIAL_STEM if self._work else self.path, suffix)

    def _kept_name(self, suffix: str) -> Path:
        """Where an interrupted result is kept."""
        if self._work is not None:
            return self._work / f"{PARTIAL_STEM}{suffix}"
        return _partial_name(self.path.with_suffix(suffix) if suffix else self.path)

    def _frames_recorded(self) -> int:
        """How many frames a failed encoder has really stored."""
        assert self._recording is not None
        try:
            return probe(self._recording).frame_count
        except InputError:
            return 0

    def _discard(self) -> None:
        assert self._recording is not None
        if self._recording.is_dir():
            shutil.rmtree(self._recording)
        else:
            self._recording.unlink(missing_ok=True)
        self._recording = None


def _remove_former(folder: Path, name: str) -> None:
    """Remove what a former run has left of its work on NAME in this folder, hidden or finished."""
    for pattern in (f".{name}.*", f"{name}*"):
        for left in folder.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def _partial_name(target: Path) -> Path:
    """A free name beside the target for what an interrupted run finished: NAME.partial.mp4."""
    for number in range(1, 10_000):
        mark = (".partial" if number == 1 else f".partial-{number}") + target.suffix
        name = target.with_name(shortened(target.stem, mark) + mark)
        if not os.path.lexists(name):
            return name
    raise OutputError(f"{target.parent} holds too many partial results of {target.name}; clean up")
