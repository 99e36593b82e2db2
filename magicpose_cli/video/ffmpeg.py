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
    """Return the path of imageio-ffmpeg's program, or the one in IMAGEIO_FFMPEG_EXE.

    Raises:
        MagicPoseError: There is none.
    """
    import imageio_ffmpeg

    try:
        found: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MagicPoseError(
            "no ffmpeg program was found; reinstall imageio-ffmpeg "
            "or set IMAGEIO_FFMPEG_EXE to one of your own"
        ) from error
    return found


def file_url(path: Path) -> str:
    """Write a path for ffmpeg's command line, whatever dash, colon or percent sign it has."""
    return f"file:{path}"


def source(path: Path) -> tuple[str, ...]:
    """Return the arguments that open a film of unknown origin: no other file is read."""
    allowed = ("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS)
    return (*allowed, "-max_pixels", str(max_pixels()), "-i", file_url(path))


def run_ffmpeg(*arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end, out of reach of the terminal's Ctrl-C.

    Raises:
        subprocess.TimeoutExpired: It takes longer than `seconds`.
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
    """Return the last line of an ffmpeg log without the address of the part that wrote it."""
    lines = [line for line in log.decode(errors="replace").splitlines() if line.strip()]
    return re.sub(r"^\[[^]]*\] ", "", lines[-1].strip()) if lines else "no message"
