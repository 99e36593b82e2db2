"""From a recording (frames alone, playable however it ended) to the file the user asked for."""

from __future__ import annotations

from pathlib import Path

from magicpose_cli.errors import OutputError
from magicpose_cli.video.ffmpeg import QUIET, file_url, last_line, run_ffmpeg
from magicpose_cli.video.sound import WritableSound


def finish_video(
    recording: Path, finished: Path, length_s: float, sound: WritableSound | None
) -> None:
    """Copy a recording, its index moved to the front, with sound.

    Args:
        recording: Frames alone.
        finished: The file to write.
        length_s: Seconds that the sound may have at most.
        sound: None for no sound.

    Raises:
        OutputError: ffmpeg fails.
    """
    inputs = ["-i", file_url(recording)]
    outputs = ["-map", "0:v", "-c:v", "copy", "-map_chapters", "-1"]
    outputs += ["-fflags", "+bitexact"]  # no random ids: the same frames are the same file
    if sound is not None:
        inputs += sound.input_of(length_s)
        outputs += sound.arguments
    if finished.suffix != ".webm":
        outputs += ["-movflags", "+faststart"]
    _run(*inputs, *outputs, file_url(finished))


def finish_gif(recording: Path, finished: Path) -> None:
    """Convert a recording to a GIF in two passes, so that memory does not grow with the clip.

    Raises:
        OutputError: ffmpeg fails.
    """
    palette = finished.with_suffix(".png")
    # As a stream of pictures: a name of a single one would be taken for a pattern of numbers.
    piped = ("-f", "png_pipe", "-i", file_url(palette))
    try:
        _run(
            *("-i", file_url(recording), "-vf", "palettegen"),
            *("-f", "image2pipe", "-c:v", "png", file_url(palette)),
        )
        _run(
            *("-i", file_url(recording), *piped),
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
