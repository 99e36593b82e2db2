"""The bundled ffmpeg program: where it is, and short runs of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from magicpose_cli.errors import MagicPoseError
from magicpose_cli.video.limits import max_pixels

# Films and sounds of one file. No playlists, manifests and scripts (hls, dash, concat, sdp, image2,
# ...), which would have ffmpeg read other files or the network.
DEMUXERS = ",".join((
    "aac", "ac3", "aiff", "amr", "apng", "asf", "av1", "avi", "caf", "dv", "eac3", "flac", "flv",
    "gif", "gxf", "h263", "h264", "hevc", "ivf", "lxf", "m4v", "matroska", "mjpeg", "mov", "mp3",
    "mpeg", "mpegts", "mpegvideo", "mxf", "nut", "obu", "ogg", "rm", "vc1", "vvc", "w64", "wav",
    "wtv", "yuv4mpegpipe",
))  # fmt: skip
QUIET = ("-hide_banner", "-nostdin", "-y", "-loglevel", "error")


def ffmpeg_exe() -> str:
    """The ffmpeg that imageio-ffmpeg brings, or the one IMAGEIO_FFMPEG_EXE names."""
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MagicPoseError(
            "no ffmpeg program was found; reinstall imageio-ffmpeg "
            "or set IMAGEIO_FFMPEG_EXE to one of your own"
        ) from error


def file_url(path: Path) -> str:
    """The path for ffmpeg's command line, safe with a leading dash, a colon or a percent sign."""
    return f"file:{path}"


def source(path: Path) -> tuple[str, ...]:
    """The arguments that open a stranger's film: nothing but this file is read."""
    allowed = ("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS)
    return (*allowed, "-max_pixels", str(max_pixels()), "-i", file_url(path))


def run_ffmpeg(*arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, out of reach of the terminal's Ctrl-C, and return output and exit status.

    Raises subprocess.TimeoutExpired after `seconds`.
    """
    return subprocess.run(
        [ffmpeg_exe(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=seconds,
        check=False,
    )


def last_line(log: bytes) -> str:
    """The last line of an ffmpeg log without the address of the part that wrote it."""
    lines = [line for line in log.decode(errors="replace").splitlines() if line.strip()]
    return re.sub(r"^\[[^]]*\] ", "", lines[-1].strip()) if lines else "no message"
