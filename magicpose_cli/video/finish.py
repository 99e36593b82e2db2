"""From a recording (frames alone, playable however it ended) to the file the user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.errors import OutputError
from magicpose_cli.video.ffmpeg import QUIET, file_url, last_line, run_ffmpeg, sound_codec, source
from magicpose_cli.video.place import hidden_beside

SOUND_CODECS = {".mp4": "aac", ".mov": "aac", ".webm": "opus"}
SOUND_ENCODERS = {".mp4": ("aac",), ".mov": ("aac",), ".webm": ("libopus", "-b:a", "128k")}
PACKET_S = 0.03  # longer than one packet of AAC or Opus


@dataclass(frozen=True)
class Sound:
    """The stretch of a file's sound that goes with the frames, in seconds of that file."""

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None


def finish_video(recording: Path, finished: Path, length_s: float, sound: Sound | None) -> None:
    """Copy the recording, its index moved to the front, with sound of at most `length_s` seconds.

    Sound of the right codec is copied where it starts at 0, else encoded anew. Raises OutputError.
    """
    suffix = finished.suffix
    inputs = ["-i", file_url(recording)]
    outputs = ["-map", "0:v", "-c:v", "copy", "-map_chapters", "-1"]
    outputs += ["-fflags", "+bitexact"]  # no random ids: the same frames are the same file
    codec = sound_codec(sound.path) if sound is not None else None
    if sound is not None and codec is not None:
        length_s = min(length_s, sound.duration_s or length_s)
        copied = codec == SOUND_CODECS[suffix] and sound.start_s == 0
        if copied or suffix == ".webm":
            length_s -= PACKET_S  # they end with a whole packet, which would be past the frames
        cut = ("-ss", f"{sound.start_s:.6f}", "-t", f"{max(length_s, 0.001):.6f}")
        inputs += [*cut, *source(sound.path)]
        outputs += ["-map", "1:a:0", "-c:a", *(("copy",) if copied else SOUND_ENCODERS[suffix])]
    if suffix != ".webm":
        outputs += ["-movflags", "+faststart"]
    _run(*inputs, *outputs, file_url(finished))


def finish_gif(recording: Path, finished: Path) -> None:
    """Two passes, palette then picture, so that memory does not grow with the clip."""
    palette = hidden_beside(finished, ".png")
    try:
        _run("-i", file_url(recording), "-vf", "palettegen", file_url(palette))
        _run(
            *("-i", file_url(recording), "-i", file_url(palette)),
            *("-lavfi", "paletteuse=dither=sierra2_4a:diff_mode=rectangle"),
            *("-fps_mode", "passthrough", "-loop", "0", file_url(finished)),
        )
    finally:
        palette.unlink(missing_ok=True)


def _run(*arguments: str) -> None:
    run = run_ffmpeg(*QUIET, *arguments)
    if run.returncode != 0:
        raise OutputError(
            f"the video cannot be finished ({last_line(run.stderr)}); "
            "see whether the disk has room and whether the driver's sound can be played"
        )
