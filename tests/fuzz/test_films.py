"""Damaged films and pictures of every common kind."""

import io
import subprocess
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicpose_cli.video import Selection, Sound, probe, read_frames, read_picture
from magicpose_cli.video.ffmpeg import ffmpeg_exe
from magicpose_cli.video.picture import picture_size
from magicpose_cli.video.sound import writable_sound
from tests.fuzz.conftest import damaged, fuzzed, read_or_refused

TONE = ("-f", "lavfi", "-i", "sine=d=0.6")
FILMS = {
    "avi": ("-c:v", "mjpeg", *TONE, "-c:a", "pcm_u8"),
    "mp4": ("-c:v", "libx264", "-g", "4", *TONE, "-c:a", "aac"),
    "mkv": ("-c:v", "mpeg4", *TONE, "-c:a", "libvorbis"),
    "webm": ("-c:v", "libvpx", *TONE, "-c:a", "libopus"),
    "ts": ("-c:v", "mpeg2video", *TONE, "-c:a", "mp2"),
    "flv": ("-c:v", "flv1",),
    "asf": ("-c:v", "wmv2",),
    "gif": ("-c:v", "gif",),
    "png": ("-c:v", "apng", "-f", "apng"),
}  # fmt: skip
PICTURES = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "ICO", "JPEG2000")
COLORS = st.sampled_from(["L", "RGB", "RGBA", "P", "CMYK", "I;16", "1", "LA"])


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    contents = {}
    for suffix, coded in FILMS.items():
        path = folder / f"film.{suffix}"
        picture = ("-f", "lavfi", "-i", "testsrc=s=32x24:r=12:d=0.6")
        inputs = [word for word in TONE] if TONE[2] in coded else []
        options = [word for word in coded if word not in TONE] if inputs else list(coded)
        command = [ffmpeg_exe(), "-v", "error", *picture, *inputs, *options, path]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        contents[suffix] = path.read_bytes()
    return contents


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_films(films, tmp_path_factory, data):
    suffix = data.draw(st.sampled_from(sorted(FILMS)))
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(data.draw(damaged(films[suffix])))

    def look() -> int:
        clip = probe(path)
        assert clip.frame_count > 0 and clip.rate > 0
        if clip.sound_tracks:
            writable_sound(Sound(path, 0.1), ".webm")
        start_s = data.draw(st.sampled_from([0.0, clip.duration_s * 0.7]))
        return sum(frame.size for frame in islice(read_frames(clip, Selection(start_s)), 4))

    read_or_refused(look)


@fuzzed
@given(data=st.data())
def test_pictures(tmp_path_factory, data):
    kind, color = data.draw(st.sampled_from(PICTURES)), data.draw(COLORS)
    file = io.BytesIO()
    try:
        Image.new(color, (24, 17), 1 if color in ("1", "P", "L", "I;16") else None).save(file, kind)
    except (OSError, ValueError, KeyError, TypeError):
        return  # no such colors in that kind
    path = tmp_path_factory.getbasetemp() / "damaged.picture"
    path.write_bytes(data.draw(damaged(file.getvalue())))
    read_or_refused(lambda: (picture_size(path), read_picture(path)))
