"""Pictures and videos in: what is read, how many frames at what rate, and what is refused."""

from __future__ import annotations

import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.errors import InputError
from magicpose_cli.video import (
    Selection,
    exact_rate,
    probe,
    read_frames,
    read_picture,
    select,
    write_picture,
)
from magicpose_cli.video.ffmpeg import ffmpeg_exe
from magicpose_cli.video.timeline import detect_rate

WIDTH, HEIGHT = 96, 64
STEP = 4  # gray levels from one numbered frame to the next


def ffmpeg(*arguments: object) -> None:
    """Run the bundled ffmpeg; what it complains of fails the test."""
    command = [ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def numbered(count: int) -> np.ndarray:
    """Frames that tell their number: gray level STEP * k, and a red corner, top left."""
    frames = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    frames += (np.arange(count) * STEP % 256).astype(np.uint8)[:, None, None, None]
    frames[:, :24, :24] = (255, 0, 0)
    return frames


def make(path: Path, count: int = 30, rate: str = "25", *options: object) -> Path:
    """Encode `numbered` frames; options go before the output file."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(numbered(count).tobytes())
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate)
    codec = () if "-c:v" in options else ("-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv420p")
    ffmpeg(*source, "-i", raw, *codec, *options, path)
    return path


def number_of(frame: np.ndarray) -> int:
    return round(float(frame[-20:, -20:].mean()) / STEP)


def numbers(path: Path, selection: Selection | None = None) -> list[int]:
    return [number_of(frame) for frame in read_frames(probe(path), selection)]


# Pictures


def test_picture_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), "blue")
    picture.paste("red", (0, 0, 10, 20))  # the left edge, which orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    read = read_picture(tmp_path / "turned.png")
    assert read.shape == (40, 20, 3) and read.dtype == np.uint8
    assert tuple(read[2, 10]) == (255, 0, 0) and tuple(read[30, 10]) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (4, 0, 8, 4))
    path = tmp_path / "p.png"
    if mode == "P":
        palette = Image.new("P", (8, 4), 0)
        palette.putpalette([9, 9, 9, 0, 0, 0])
        palette.paste(1, (4, 0, 8, 4))
        palette.save(path, transparency=0)
    else:
        picture.convert(mode).save(path)
    read = read_picture(path)
    assert tuple(read[2, 1]) == (255, 255, 255) and tuple(read[2, 6]) == (0, 0, 0)


def test_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 128)).save(tmp_path / "p.png")
    red, green, blue = read_picture(tmp_path / "p.png")[0, 0].tolist()
    assert red == 255 and abs(green - 127) <= 1 and abs(blue - 127) <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / f"p{suffix}")
    assert read_picture(tmp_path / f"p{suffix}")[0, :, 1].tolist() == [0, 100, 255]


def test_integer_float_grey_palette_and_cmyk(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 32768, 65535]], np.int32)).save(tmp_path / "i.tif")
    assert read_picture(tmp_path / "i.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "f.tif")
    assert read_picture(tmp_path / "f.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.new("L", (3, 2), 77).save(tmp_path / "l.png")
    assert (read_picture(tmp_path / "l.png") == 77).all()
    Image.new("RGB", (3, 2), (10, 200, 30)).quantize(4).save(tmp_path / "p.gif")
    assert tuple(read_picture(tmp_path / "p.gif")[0, 0]) == (10, 200, 30)
    Image.new("1", (3, 2), 1).save(tmp_path / "1.png")
    assert (read_picture(tmp_path / "1.png") == 255).all()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    red, green, blue = read_picture(tmp_path / "c.jpg")[8, 8].tolist()
    assert red > 240 and green < 15 and blue < 15


def test_picture_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:9000])
    (tmp_path / "empty.jpg").touch()
    bomb = bytearray(whole.read_bytes())
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    for name in ("missing.png", "text.png", "half.png", "empty.jpg", "bomb.png", "x" * 300, "."):
        with pytest.raises(InputError) as caught:
            read_picture(tmp_path / name)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match="million pixels"):
        read_picture(tmp_path / "bomb.png")


def test_write_picture_gives_back_what_was_written(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "new" / "p.png", picture)
    assert (read_picture(tmp_path / "new" / "p.png") == picture).all()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p.png"]


# Videos: what they are


def test_every_frame_is_given_in_order(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", 60, "30000/1001")
    clip = probe(path)
    assert clip.rate == Fraction(30000, 1001) and clip.frame_count == 60
    assert (clip.width, clip.height, clip.kind) == (WIDTH, HEIGHT, "video")
    assert clip.duration_s == pytest.approx(2.002) and not clip.has_audio
    frames = list(read_frames(clip))
    assert [number_of(f) for f in frames] == list(range(60))
    assert np.abs(frames[7][4:18, 4:18].astype(int) - (255, 0, 0)).max() < 12  # RGB, not BGR
    assert numbers(path, Selection(start_s=1.0, end_s=1.5)) == list(range(30, 45))
    assert numbers(path, Selection(start_s=0.5, every=7)) == list(range(15, 60, 7))


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".avi", ".ts", ".mov", ".flv"])
def test_containers_keep_count_and_rate(tmp_path: Path, suffix: str) -> None:
    options = {".webm": ("-c:v", "libvpx", "-b:v", "2M"), ".avi": ("-c:v", "mpeg4", "-q:v", "1")}
    path = make(tmp_path / f"v{suffix}", 40, "30", *options.get(suffix, ()))
    clip = probe(path)
    assert clip.rate == 30 and clip.frame_count == 40 and not clip.is_variable
    assert numbers(path) == list(range(40))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    plain = make(tmp_path / "plain.mp4", 5)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", degrees, "-i", plain, "-c", "copy", turned)
    # A positive angle turns the picture counter-clockwise, as np.rot90 does.
    expected = np.rot90(next(read_frames(probe(plain))), degrees // 90)
    clip = probe(turned)
    frame = next(read_frames(clip))
    assert frame.shape == expected.shape == (clip.height, clip.width, 3)
    assert np.abs(frame.astype(int) - expected).mean() < 3


def test_mirrored_video_is_shown_as_players_do(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", 5)
    ffmpeg("-display_hflip", "-i", plain, "-c", "copy", tmp_path / "mirrored.mp4")
    frame = next(read_frames(probe(tmp_path / "mirrored.mp4")))
    assert np.abs(frame[4:18, -18:-4].astype(int) - (255, 0, 0)).max() < 12


def test_frames_hidden_by_an_edit_list_stay_hidden(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", 50)
    ffmpeg("-ss", "0.6", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    assert probe(tmp_path / "cut.mp4").frame_count == 35
    assert numbers(tmp_path / "cut.mp4") == list(range(15, 50))


def test_variable_rate_is_resampled_in_time(tmp_path: Path) -> None:
    # 20 frames at 30 a second, then every third frame only.
    pick = "select='lt(n,20)+not(mod(n,3))'"
    path = make(tmp_path / "vfr.mp4", 60, "30", "-vf", pick, "-fps_mode", "vfr")
    clip = probe(path)
    assert clip.is_variable and clip.rate == 30
    shown = [k if k < 20 else max(19, k - k % 3) for k in range(clip.frame_count)]
    assert numbers(path) == shown
    assert clip.frame_count == 58  # the encoder gives the last frame, number 57, one tick
    assert numbers(path, Selection(start_s=1.0, fps=10)) == list(range(30, 57, 3))


def test_sound_is_seen(tmp_path: Path) -> None:
    silent = make(tmp_path / "silent.mp4")
    loud = tmp_path / "loud.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-i", silent, "-c:v", "copy", "-c:a", "libopus", loud)
    assert probe(loud).audio_codec == "opus" and probe(loud).has_audio
    assert probe(loud).frame_count == 30


@pytest.mark.parametrize("rate", ["10", "15", "24", "30"])
def test_gif_keeps_its_time(tmp_path: Path, rate: str) -> None:
    clip = probe(make(tmp_path / "v.gif", 24, rate, "-c:v", "gif"))
    assert clip.rate == int(rate) and clip.frame_count == 24 and clip.decoder == "animation"
    assert [number_of(f) for f in read_frames(clip)] == list(range(24))


def test_gif_with_delays_of_its_own(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in numbered(4)]
    path = tmp_path / "v.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 100, 300, 100])
    clip = probe(path)
    assert clip.is_variable and clip.rate == 10 and clip.duration_s == pytest.approx(0.6)
    assert numbers(path) == [0, 1, 2, 2, 2, 3]


def test_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number, frame in enumerate(numbered(12)):
        Image.fromarray(frame).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / ".hidden.png").write_text("")
    clip = probe(tmp_path)
    assert (clip.kind, clip.rate, clip.frame_count, clip.has_audio) == ("pictures", 25, 12, False)
    assert numbers(tmp_path) == list(range(12))
    assert probe(tmp_path, pictures_fps=12.5).rate == Fraction(25, 2)


def test_folder_of_mixed_sizes_names_the_first_that_differs(tmp_path: Path) -> None:
    for number, size in enumerate([(8, 8), (8, 8), (9, 8), (7, 7)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match=r"2\.png is 9x8 but 0\.png is 8x8"):
        probe(tmp_path)


# Videos: what is refused


def test_what_is_no_video_is_one_quiet_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = make(tmp_path / "whole.mp4")
    (tmp_path / "text.mp4").write_text("no video at all\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "half.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    data = whole.read_bytes()
    at = data.index(b"avcC")
    (tmp_path / "header.mp4").write_bytes(data[:at] + b"\0" * 40 + data[at + 40 :])
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.m4a")
    Image.new("RGB", (8, 8)).save(tmp_path / "one.gif")
    (tmp_path / "folder").mkdir()
    videos = ("missing.mp4", "text.mp4", "empty.mp4", "half.mp4", "header.mp4", "x" * 300 + ".mp4")
    for name in (*videos, "sound.m4a", "one.gif", "folder"):
        with pytest.raises(InputError) as caught:
            probe(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_damaged_in_the_middle_still_gives_all_frames(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(make(tmp_path / "v.mp4", 60, "30", "-g", "10").read_bytes())
    start = data.index(b"mdat")
    random = np.random.default_rng(0)
    for at in random.integers(start + 400, start + (len(data) - start) // 2, 40):
        data[at] ^= 0x55
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    frames = list(read_frames(probe(path)))
    assert len(frames) == 60
    assert number_of(frames[-1]) == 59
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_loses_a_picture_is_refused(tmp_path: Path) -> None:
    for number, frame in enumerate(numbered(5)):
        write_picture(tmp_path / f"{number}.png", frame)
    clip = probe(tmp_path)
    (tmp_path / "4.png").unlink()
    frames = read_frames(clip)
    assert [number_of(next(frames)) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="has frame 4 of 5 no more"):
        next(frames)


# Selections


def test_selection_is_counted_before_it_is_read(tmp_path: Path) -> None:
    clip = probe(make(tmp_path / "v.mp4", 50))
    for selection in (
        Selection(),
        Selection(start_s=0.4),
        Selection(end_s=1.02),
        Selection(start_s=0.37, end_s=1.51, every=3),
        Selection(fps=29.97),
        Selection(fps=7, every=2),
        Selection(start_s=1.999),
        Selection(end_s=99),
    ):
        plan = select(clip, selection)
        assert plan.frame_count == sum(1 for _ in read_frames(clip, selection))
        assert plan.duration_s == pytest.approx(plan.frame_count / plan.fps)


def test_selection_keeps_time(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", 50)
    clip = probe(path)
    plan = select(clip, Selection(start_s=0.4, end_s=1.2, every=2))
    assert (plan.rate, plan.frame_count) == (Fraction(25, 2), 10)
    assert plan.start_s == pytest.approx(0.4) and plan.duration_s == pytest.approx(0.8)
    assert numbers(path, Selection(start_s=0.4, end_s=1.2, every=2)) == list(range(10, 30, 2))
    assert select(clip, Selection(fps=50)).duration_s == pytest.approx(2.0)
    assert numbers(path, Selection(end_s=0.2, fps=50)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert numbers(path, Selection(end_s=0.4, fps=12.5)) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(start_s=2.0),
        Selection(start_s=-1),
        Selection(start_s=1, end_s=1),
        Selection(end_s=0),
        Selection(every=0),
        Selection(fps=0),
        Selection(fps=float("nan")),
    ],
)
def test_selection_that_cannot_be(tmp_path: Path, selection: Selection) -> None:
    clip = probe(make(tmp_path / "v.mp4", 50))
    with pytest.raises(InputError) as caught:
        read_frames(clip, selection)  # at once, not at the first frame
    assert "\n" not in str(caught.value)


def test_exact_rate() -> None:
    assert exact_rate(29.97) == Fraction(30000, 1001)
    assert exact_rate(23.976) == exact_rate(23.98) == Fraction(24000, 1001)
    assert exact_rate(30) == 30 and exact_rate(12.5) == Fraction(25, 2)
    assert exact_rate(Fraction(30000, 1001)) == Fraction(30000, 1001)


def test_timeline_tells_rounded_from_variable() -> None:
    rounded = [round(k * 1000 / 30) for k in range(90)]
    rate, times, variable = detect_rate(rounded, Fraction(1, 1000), 0.001)
    assert rate == 30 and not variable and times[30] == 1.0
    ntsc = [round(k * 1001 / 30) for k in range(90)]
    assert detect_rate(ntsc, Fraction(1, 1000), 0.001)[0] == Fraction(30000, 1001)
    jitter = [round((k / 30 + 0.004 * (-1) ** k) * 90000) + 400 for k in range(90)]
    rate, _, variable = detect_rate(jitter, Fraction(1, 90000), 1 / 90000)
    assert float(rate) == pytest.approx(30, abs=0.1) and not variable
    dropped = [k * 40 for k in range(90) if k not in (20, 21, 22, 50)]
    assert detect_rate(dropped, Fraction(1, 1000), 0.001)[::2] == (25, True)


@pytest.mark.parametrize("name", ["list.m3u8", "film.mp4", "film.ffconcat"])
def test_a_film_that_names_other_files_is_no_film(tmp_path, name):
    """A playlist, a script, whatever its name: it would show what its sender may not see."""
    hidden = tmp_path / "private.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-f", "mpegts", hidden)
    assert probe(hidden).frame_count > 0
    if name.endswith("concat"):
        text = f"ffconcat version 1.0\nfile {hidden.name}\nduration 1\n"
    else:
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{hidden}\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="no video that can be decoded"):
        probe(tmp_path / name)


def test_a_manifest_under_a_films_name_is_no_film(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-f", "dash", tmp_path / "list.mpd")
    (tmp_path / "list.mpd").rename(tmp_path / "film.mp4")
    with pytest.raises(InputError, match="no video that can be decoded"):
        probe(tmp_path / "film.mp4")
