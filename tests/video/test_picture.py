"""Pictures as people have them: their colors, and what only pretends to be one."""

import struct
import subprocess
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from magicpose_cli.errors import InputError
from magicpose_cli.video import probe, read_picture
from magicpose_cli.video.ffmpeg import ffmpeg_exe
from magicpose_cli.video.picture import picture_size

# Red, green and blue of a profile, in XYZ under D50.
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
WHITE = (0.9642, 1.0, 0.8249)
COLORS = np.array([[(220, 160, 130), (40, 90, 160), (200, 30, 40), (128, 128, 128)]], np.uint8)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(name: str, primaries: tuple, gamma: float = 2.2) -> bytes:
    """An ICC profile of version 2: three primaries, one gamma."""
    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 79
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"desc", described.ljust(100, b"\0")), (b"cprt", b"text\0\0\0\0none\0")]
    tags += [(b"wtpt", b"XYZ \0\0\0\0" + fixed(*WHITE))]
    for letter, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags += [(letter + b"XYZ", b"XYZ \0\0\0\0" + fixed(*primary)), (letter + b"TRC", curve)]
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags:
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content.ljust(-(-len(content) // 4) * 4, b"\0")
    head = struct.pack(">I", start + len(data)) + b"lcms" + struct.pack(">I", 0x02400000)
    head += b"mntrRGB XYZ " + b"\x07\xe8\0\1\0\1\0\0\0\0\0\0" + b"acspAPPL" + b"\0" * 28
    return (head + fixed(*WHITE)).ljust(128, b"\0") + table + data


def tagged(colors: np.ndarray, name: str, primaries: tuple) -> tuple[Image.Image, bytes]:
    """The same colors in the numbers of another profile."""
    theirs = profile(name, primaries)
    picture = ImageCms.profileToProfile(
        Image.fromarray(colors), ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(BytesIO(theirs)),
    )  # fmt: skip
    return picture, theirs


@pytest.mark.parametrize(
    ("name", "primaries"), [("Display P3", DISPLAY_P3), ("Adobe RGB", ADOBE_RGB)]
)
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_colors_are_those_that_people_see(tmp_path, name, primaries, suffix):
    picture, theirs = tagged(COLORS, name, primaries)
    assert np.abs(np.asarray(picture).astype(int) - COLORS).max() > 10
    options = {"lossless": True} if suffix == ".webp" else {}
    picture.save(tmp_path / f"a{suffix}", icc_profile=theirs, **options)
    read = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(read.astype(int) - COLORS).max() <= 3


def test_transparency_and_palettes_keep_their_colors_too(tmp_path):
    picture, theirs = tagged(np.repeat(COLORS, 8, 0), "Display P3", DISPLAY_P3)
    clear = picture.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png", icc_profile=theirs)
    read = read_picture(tmp_path / "clear.png").astype(int)
    assert read[0, 0].tolist() == [255, 255, 255] and np.abs(read[1] - COLORS[0]).max() <= 3
    picture.quantize(8).save(tmp_path / "few.png", icc_profile=theirs)
    assert np.abs(read_picture(tmp_path / "few.png")[1].astype(int) - COLORS[0]).max() <= 3


@pytest.mark.parametrize("said", [b"no profile", profile("x", DISPLAY_P3)[:200], b""])
def test_a_profile_that_says_nothing_is_left_aside(tmp_path, said):
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=said)
    assert np.array_equal(read_picture(tmp_path / "a.png"), COLORS)


def test_a_profile_of_screens_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=srgb)
    assert np.array_equal(read_picture(tmp_path / "a.png"), COLORS)


@pytest.mark.parametrize("suffix", [".jpg", ".eps"])
def test_a_program_in_a_pictures_place_is_not_run(tmp_path, monkeypatch, suffix):
    """EPS is drawn by Ghostscript, where that is installed."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *given: pytest.fail("was run"))
    Image.fromarray(COLORS).save(tmp_path / "a.eps", "EPS")
    path = (tmp_path / "a.eps").rename(tmp_path / f"b{suffix}")
    with pytest.raises(InputError, match="is no picture that can be read"):
        read_picture(path)


def test_a_picture_beyond_the_limit_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    path = tmp_path / "wide.png"
    Image.new("L", (3000, 1000)).save(path)
    monkeypatch.setenv("MAGICPOSE_MAX_MEGAPIXELS", "2.5")
    for look in (read_picture, picture_size, probe):
        with pytest.raises(InputError, match=r"3000x1000: more than 2\.5 million pixels") as caught:
            look(path)
        assert "MAGICPOSE_MAX_MEGAPIXELS" in str(caught.value)
    monkeypatch.setenv("MAGICPOSE_MAX_MEGAPIXELS", "3")
    assert read_picture(path).shape == (1000, 3000, 3)
    monkeypatch.setenv("MAGICPOSE_MAX_MEGAPIXELS", "many")
    with pytest.raises(InputError, match="MAGICPOSE_MAX_MEGAPIXELS=many: expected a number"):
        read_picture(path)


def test_a_header_that_names_a_huge_picture_is_one_line(tmp_path, monkeypatch):
    """Larger than what Pillow itself opens; the limit may be raised beyond that."""
    path = tmp_path / "huge.png"
    Image.new("L", (4, 4)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 40_000, 40_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(InputError, match="more than 120 million pixels"):
        read_picture(path)


def test_a_film_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "color=s=640x480:r=10:d=0.5"]
    subprocess.run([ffmpeg_exe(), "-v", "error", *source, path], check=True)
    assert probe(path).frame_count == 5
    monkeypatch.setenv("MAGICPOSE_MAX_MEGAPIXELS", "0.3")
    with pytest.raises(InputError, match=r"film\.mp4 is 640x480: more than 0\.3 million pixels"):
        probe(path)
