"""Videos out: what is written is what was given, in one step, and never lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.errors import OutputError
from magicpose_cli.video import (
    Sound,
    VideoWriter,
    check_output,
    partials_of,
    probe,
    read_frames,
    write_picture,
    write_video,
)
from magicpose_cli.video.ffmpeg import ffmpeg_exe

NTSC = Fraction(30000, 1001)
STEP = 4


def frames(count: int, height: int = 64, width: int = 96) -> Iterator[np.ndarray]:
    """Frames that tell their number by their gray, with a red corner, top left."""
    for number in range(count):
        frame = np.full((height, width, 3), number * STEP % 256, np.uint8)
        frame[:24, :24] = (255, 0, 0)
        yield frame


def numbers(path: Path) -> list[int]:
    return [round(float(f[-20:, -20:].mean()) / STEP) for f in read_frames(probe(path))]


def header(path: Path) -> str:
    command = [ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def file_seconds(path: Path) -> float:
    """How long the whole file is, sound included."""
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", header(path)).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def loudness(path: Path, start_s: float, end_s: float) -> float:
    """RMS of the sound between two times."""
    command = [ffmpeg_exe(), "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "8000"]
    raw = subprocess.run([*command, "-"], capture_output=True, check=True).stdout
    sound = np.frombuffer(raw, np.int16)[int(start_s * 8000) : int(end_s * 8000)]
    return float(np.sqrt(np.mean(sound.astype(float) ** 2)))


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    """Four seconds of sound: silence for one second, then a tone."""
    path = tmp_path / "loud.mp4"
    sound = "sine=d=4,volume=0:enable='lt(t,1)'"
    source = ("-f", "lavfi", "-i", "color=c=gray:s=32x32:r=25:d=4", "-f", "lavfi", "-i", sound)
    command = [ffmpeg_exe(), "-v", "error", *source, "-c:v", "libx264", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("rate", [NTSC, Fraction(24), Fraction(12)])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm", "out.gif", "out"])
def test_every_kind_gives_back_all_frames(tmp_path: Path, name: str, rate: Fraction) -> None:
    path = tmp_path / "new folder" / name
    assert write_video(path, frames(40), rate) == 40
    clip = probe(path, pictures_fps=rate)
    expected = 30 if name == "out.gif" and rate == NTSC else rate  # a GIF counts in 1/100 s
    assert (clip.frame_count, clip.rate) == (40, expected)
    assert numbers(path) == list(range(40))
    corner = next(read_frames(clip))[4:18, 4:18].astype(int)
    assert np.abs(corner - (255, 0, 0)).max() < 12
    assert left_in(path.parent) == [name]
    if name == "out":
        assert left_in(path)[0] == "000000.png" and left_in(path)[-1] == "000039.png"
    else:
        assert file_seconds(path) == pytest.approx(40 / rate, abs=0.011)


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm"])
def test_players_find_what_they_expect(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, frames(5), 25)
    assert re.search(r"yuv420p\(tv, bt709[,)]", header(tmp_path / name))
    data = (tmp_path / name).read_bytes()
    if name != "out.webm":
        assert 0 < data.index(b"moov") < data.index(b"mdat")  # playable while it loads
        assert b"moof" not in data
    else:
        assert "vp9" in header(tmp_path / name)


def test_odd_sizes_are_padded_by_one_pixel_of_the_edge(tmp_path: Path) -> None:
    write_video(tmp_path / "out.mp4", frames(3, 65, 97), 25)
    frame = next(read_frames(probe(tmp_path / "out.mp4")))
    assert frame.shape == (66, 98, 3)
    assert np.abs(frame[-1, 40:].astype(int) - frame[-2, 40:]).max() < 6
    write_video(tmp_path / "out.gif", frames(3, 65, 97), 25)
    assert probe(tmp_path / "out.gif").width == 97


@pytest.mark.parametrize("name", ["OUT.MP4", "OUT.GIF", "dir.v2/"])
def test_names_in_capitals_and_folders_with_a_dot(tmp_path: Path, name: str) -> None:
    write_video(f"{tmp_path}/{name}", frames(4), 25)
    assert probe(tmp_path / name).frame_count == 4
    assert left_in(tmp_path) == [name.rstrip("/")]


def test_pixels_survive(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    picture = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[::-1], (64, 1))], axis=-1)
    picture = np.dstack([picture, np.full((64, 96), 128, np.uint8)])
    write_video(tmp_path / "out.mp4", [picture] * 5, 25, crf=1)
    for frame in read_frames(probe(tmp_path / "out.mp4")):
        assert np.abs(frame.astype(int) - picture).mean() < 3
    write_video(tmp_path / "out", [picture] * 5, 25)
    for frame in read_frames(probe(tmp_path / "out")):
        assert (frame == picture).all()


@pytest.mark.parametrize("count", [37, 75])
@pytest.mark.parametrize("start_s", [0.0, 0.5])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm"])
def test_sound_is_cut_to_the_frames(
    tmp_path: Path, loud: Path, name: str, start_s: float, count: int
) -> None:
    path = tmp_path / name
    write_video(path, frames(count), NTSC, audio_from=loud, audio_start_s=start_s)
    assert probe(path).audio_codec == ("opus" if name == "out.webm" else "aac")
    assert probe(path).frame_count == count
    assert file_seconds(path) == pytest.approx(count / NTSC, abs=0.011)
    silence_ends = 1.0 - start_s
    assert loudness(path, 0, silence_ends - 0.1) < 30
    assert loudness(path, silence_ends + 0.05, count / float(NTSC) - 0.1) > 1000


@pytest.mark.slow
def test_sound_shorter_than_the_frames_or_absent(tmp_path: Path, loud: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, frames(75), 15, audio_from=loud)
    assert probe(path).frame_count == 75 and file_seconds(path) == pytest.approx(5, abs=0.011)
    write_video(path, frames(75), 15, audio_from=loud, audio_start_s=3.5, overwrite=True)
    assert probe(path).frame_count == 75
    write_video(path, frames(25), 25, audio_from=loud, audio_start_s=9, overwrite=True)
    assert probe(path).frame_count == 25
    write_video(tmp_path / "silent.mp4", frames(5), 25)
    write_video(path, frames(5), 25, audio_from=tmp_path / "silent.mp4", overwrite=True)
    assert not probe(path).has_audio
    write_video(tmp_path / "out.gif", frames(5), 25, audio_from=loud)
    write_video(tmp_path / "out", frames(5), 25, audio_from=loud)
    assert probe(tmp_path / "out").frame_count == 5


# Where it may be written


def test_check_output_refuses_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_text("mine")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    refused = {
        "there.mp4": "--overwrite",
        "folder.mp4": "is a folder",
        "there.mp4/out.mp4": "is not a folder",
        "out.txt": ".mp4, .webm, .mov, .gif",
        "mine": "--overwrite",
        "x" * 300 + ".mp4": "cannot be written",
    }
    for name, words in refused.items():
        with pytest.raises(OutputError) as caught:
            check_output(tmp_path / name)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="other files than those"):
        check_output(tmp_path / "mine", overwrite=True)
    for fine in ("new.mp4", "a/b/new.webm", "new", "new.v2/", "NEW.MP4"):
        check_output(f"{tmp_path}/{fine}")
    check_output(tmp_path / "there.mp4", overwrite=True)
    assert left_in(tmp_path) == ["folder.mp4", "mine", "there.mp4"]


def test_unwritable_folder_is_found_by_trying() -> None:
    for folder in ("/proc", "/sys"):  # not even root can write there
        if Path(folder).is_dir():
            with pytest.raises(OutputError, match="cannot be written"):
                check_output(f"{folder}/out.mp4")


@pytest.mark.parametrize("name", ["out.mp4", "out", "out.gif"])
def test_overwrite_replaces_all_of_it(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, frames(9), 25)
    with pytest.raises(OutputError, match="--overwrite"):
        write_video(tmp_path / name, frames(3), 25)
    assert probe(tmp_path / name).frame_count == 9
    write_video(tmp_path / name, frames(3), 25, overwrite=True)
    assert probe(tmp_path / name).frame_count == 3
    assert left_in(tmp_path) == [name]


@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_what_appears_during_the_run_is_not_overwritten(tmp_path: Path, name: str) -> None:
    target = tmp_path / name

    def slow() -> Iterator[np.ndarray]:
        yield from frames(6)
        if target.suffix:
            target.write_text("mine")
        else:
            target.mkdir()
            (target / "mine.txt").write_text("mine")

    with pytest.raises(OutputError, match="appeared") as caught:
        write_video(target, slow(), 25)
    assert (target if target.suffix else target / "mine.txt").read_text() == "mine"
    (kept,) = partials_of(caught.value)
    assert numbers(kept.path) == list(range(6))
    assert len(left_in(tmp_path)) == 2


def test_a_picture_does_not_replace_another(tmp_path: Path) -> None:
    write_picture(tmp_path / "p.png", next(frames(1)))
    with pytest.raises(OutputError, match="--overwrite"):
        write_picture(tmp_path / "p.png", next(frames(1)))
    with pytest.raises(OutputError, match=r"\.png"):
        write_picture(tmp_path / "p.bmp", next(frames(1)))
    write_picture(tmp_path / "p.png", next(frames(1)), overwrite=True)
    assert left_in(tmp_path) == ["p.png"]


# Runs that end early


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, GeneratorExit])
@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.gif", "out"])
def test_interrupted_keeps_the_finished_frames(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from frames(11)
        raise error

    with pytest.raises(error) as caught:
        write_video(tmp_path / name, broken(), 25)
    (kept,) = partials_of(caught.value)
    assert kept.frames == 11
    assert kept.path == tmp_path / name.replace("out", "out.partial")
    assert numbers(kept.path) == list(range(11))
    assert left_in(tmp_path) == [kept.path.name]
    if name == "out.mp4":  # a second interrupted run keeps both
        with pytest.raises(error):
            write_video(tmp_path / name, broken(), 25)
        assert left_in(tmp_path) == ["out.partial-2.mp4", "out.partial.mp4"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm", "out.gif", "out"])
def test_with_a_work_folder_nothing_else_is_touched(tmp_path: Path, name: str) -> None:
    work = tmp_path / "out.part"
    (work / "frames").mkdir(parents=True)
    kept = work / name.replace("out", "so-far")
    for count in (11, 3):  # the later attempt's takes the place of the former's
        with pytest.raises(KeyboardInterrupt) as caught:  # noqa: SIM117
            with VideoWriter(tmp_path / name, 25, work=work) as writer:
                for frame in frames(count):
                    writer.write(frame)
                assert left_in(tmp_path) == ["out.part"]
                while not any(work.glob(".so-far.partial-*")):  # the encoder takes its time
                    assert writer._encoder is not None and writer._encoder.poll() is None
                raise KeyboardInterrupt
        assert [(p.path, p.frames) for p in partials_of(caught.value)] == [(kept, count)]
        assert numbers(kept) == list(range(count))
        assert left_in(tmp_path) == ["out.part"]
        assert left_in(work) == ["frames", kept.name]
    (work / ".so-far.partial-12345678.mp4").write_text("of a killed run")
    with VideoWriter(tmp_path / name, 25, work=work) as writer:
        for frame in frames(5):
            writer.write(frame)
    assert numbers(tmp_path / name) == list(range(5))
    assert left_in(tmp_path) == sorted([name, "out.part"])
    assert left_in(work) == ["frames"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm", "out.gif", "out"])
def test_the_same_frames_are_the_same_bytes(tmp_path: Path, loud: Path, name: str) -> None:
    """Else no interrupted run could end in the identical video."""
    made = []
    for folder in ("a", "b"):
        target = tmp_path / folder / name
        write_video(target, frames(30), 25, audio_from=loud, audio_start_s=0.5)
        files = sorted(target.iterdir()) if target.is_dir() else [target]
        made.append([file.read_bytes() for file in files])
    assert made[0] == made[1]


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.gif"])
def test_an_encoder_that_is_killed(tmp_path: Path, name: str) -> None:
    work = tmp_path / "out.part"
    work.mkdir()
    with pytest.raises(OutputError, match="encoder") as caught:  # noqa: SIM117
        with VideoWriter(tmp_path / name, 25, work=work) as writer:
            for number, frame in enumerate(frames(400)):
                writer.write(frame)
                if number == 300:
                    assert writer._encoder is not None
                    writer._encoder.kill()
    assert "\n" not in str(caught.value)
    for kept in partials_of(caught.value):  # what it had written, if it had written anything
        assert probe(kept.path).frame_count == kept.frames > 0
    assert left_in(tmp_path) == ["out.part"]
    assert left_in(work) == [kept.path.name for kept in partials_of(caught.value)]
    with VideoWriter(tmp_path / name, 25, work=work) as writer:
        for frame in frames(5):
            writer.write(frame)
    assert numbers(tmp_path / name) == list(range(5)) and left_in(work) == []


def test_interrupted_sound_ends_with_the_frames(tmp_path: Path, loud: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(tmp_path / "out.mp4", 25, sound=Sound(loud)) as writer,
    ):
        for frame in frames(30):
            writer.write(frame)
        raise KeyboardInterrupt
    assert file_seconds(tmp_path / "out.partial.mp4") == pytest.approx(1.2, abs=0.011)
    assert probe(tmp_path / "out.partial.mp4").has_audio


@pytest.mark.slow
def test_ctrl_c_at_the_terminal(tmp_path: Path) -> None:
    # The terminal sends the signal to the whole group of processes, the encoder too.
    script = """
import sys, time
import numpy as np
from magicpose_cli.video import write_video
def frames():
    for number in range(1000):
        yield np.full((64, 96, 3), number, np.uint8)
        if number == 9:
            print("go", flush=True)
        time.sleep(0.02)
write_video(sys.argv[1], frames(), 25)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "out.mp4")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode != 0 and b"KeyboardInterrupt" in complaint
    assert left_in(tmp_path) == ["out.partial.mp4"]
    assert probe(tmp_path / "out.partial.mp4").frame_count >= 10


def test_several_writers_note_all_they_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as caught:  # noqa: SIM117
        with VideoWriter(tmp_path / "a.mp4", 25) as a, VideoWriter(tmp_path / "b.mp4", 25) as b:
            for frame in frames(5):
                a.write(frame)
                b.write(frame)
            a.write(frame)
            raise KeyboardInterrupt
    assert {(kept.path.name, kept.frames) for kept in partials_of(caught.value)} == {
        ("a.partial.mp4", 6),
        ("b.partial.mp4", 5),
    }


@pytest.mark.parametrize("name", ["out.mp4", "out", "new/out.gif"])
def test_without_a_frame_nothing_is_left(tmp_path: Path, name: str) -> None:
    def broken() -> Iterator[np.ndarray]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt) as caught:
        write_video(tmp_path / name, broken(), 25)
    assert partials_of(caught.value) == ()
    with pytest.raises(OutputError, match="no frames"):
        write_video(tmp_path / name, iter(()), 25)
    assert left_in(tmp_path) == []


def test_half_a_frame_at_the_end_does_no_harm(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as caught:  # noqa: SIM117
        with VideoWriter(tmp_path / "out.mp4", 25) as writer:
            for frame in frames(8):
                writer.write(frame)
            assert writer._encoder is not None and writer._encoder.stdin is not None
            writer._encoder.stdin.write(b"\x7f" * 5000)  # where Ctrl-C may fall
            raise KeyboardInterrupt
    (kept,) = partials_of(caught.value)
    assert numbers(kept.path) == list(range(8)) and kept.frames == 8


def test_sound_that_cannot_be_played_costs_no_frame(tmp_path: Path, loud: Path) -> None:
    data = bytearray(loud.read_bytes())
    at = data.index(b"mdat")
    index = data.index(b"esds")
    data[index + 8 : index + 40] = bytes(32)
    data[at + 8 : at + 4000] = bytes(3992)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    path = tmp_path / "out.mp4"
    try:
        write_video(path, frames(10), 25, audio_from=broken, audio_start_s=0.5)
    except OutputError as error:
        (kept,) = partials_of(error)
        path = kept.path
    assert numbers(path) == list(range(10))


@pytest.mark.slow
def test_full_disk_is_one_line_and_keeps_what_fits(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError) as caught:
            pictures = (noise.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(150))
            write_video(tmp_path / "out.mp4", pictures, 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "encoder" in str(caught.value) and "\n" not in str(caught.value)
    assert left_in(tmp_path) == [kept.path.name for kept in partials_of(caught.value)]


def test_wrong_frames_are_a_bug_not_a_user_error(tmp_path: Path) -> None:
    first = next(frames(1))
    for wrong in (first.astype(np.float32), first[..., 0], first[:, :50]):
        with pytest.raises(ValueError, match="expected"):
            write_video(tmp_path / "out.mp4", [first, wrong], 25)


def test_gif_too_fast(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at most 100"):
        write_video(tmp_path / "out.gif", frames(3), 120)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_lossless_films_keep_the_color_of_each_pixel(tmp_path, suffix):
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 2, (4, 31, 47, 3), dtype=np.uint8) * 255
    for lossless in (True, False):
        path = tmp_path / f"{lossless}{suffix}"
        with VideoWriter(path, 10, lossless=lossless) as writer:
            for frame in colors:
                writer.write(frame)
        shown = np.stack(list(read_frames(probe(path))))[:, :31, :47]
        furthest = np.abs(shown.astype(int) - colors).max()
        assert (furthest <= 2) if lossless else (furthest > 100)


def test_folders_take_gray_of_16_bits(tmp_path):
    from PIL import Image

    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    with VideoWriter(tmp_path / "depth", 10) as writer:
        writer.write(deep)
    with Image.open(tmp_path / "depth" / "000000.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), deep)
    with pytest.raises(ValueError, match="uint16"), VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(deep)


@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_a_writer_that_keeps_no_partial_leaves_nothing(tmp_path, name):
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        VideoWriter(tmp_path / name, 10, keeps_partial=False) as writer,
    ):
        for frame in frames(3):
            writer.write(frame)
        raise KeyboardInterrupt
    assert partials_of(caught.value) == () and left_in(tmp_path) == []
