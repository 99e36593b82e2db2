"""Films in time: each frame is shown when a player shows it, whatever the container does."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.errors import InputError
from magicpose_cli.video import (
    Selection,
    Sound,
    VideoWriter,
    held_note,
    probe,
    read_frames,
    select,
)
from magicpose_cli.video.decode import frame_times, without_late_frames
from magicpose_cli.video.ffmpeg import ffmpeg_exe

WIDTH, HEIGHT, BITS, RATE, COUNT = 128, 96, 8, 30, 90
BLOCK = WIDTH // BITS
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264-params")
X265 = ("-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params")
CLOSED, OPEN = "keyint=30:min-keyint=30", "keyint=24:open-gop=1:bframes=3"
FORMS = {
    "closed.mp4": (*X264, CLOSED, "-c:a", "aac"),
    "open.mp4": (*X264, OPEN, "-c:a", "aac"),
    "hevc_open.mp4": (*X265, f"{OPEN}:log-level=none", "-tag:v", "hvc1", "-c:a", "aac"),
    "h264.mkv": (*X264, CLOSED, "-c:a", "aac"),
    "h264.ts": (*X264, CLOSED, "-c:a", "aac"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "3", "-g", "15", "-bf", "2", "-c:a", "mp2"),
    "h264.flv": (*X264, CLOSED, "-c:a", "aac", "-ar", "44100"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "3", "-g", "30", "-bf", "2", "-c:a", "mp3"),
    "h264.avi": (*X264, CLOSED, "-c:a", "mp3"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"),
    "altref.webm": (
        *("-c:v", "libvpx", "-b:v", "600k", "-auto-alt-ref", "1", "-lag-in-frames", "16"),
        *("-deadline", "good", "-cpu-used", "2", "-g", "30", "-c:a", "libvorbis"),
    ),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "600k", "-g", "30", "-c:a", "libopus"),
    "wmv.asf": ("-c:v", "wmv2", "-q:v", "3", "-g", "30", "-c:a", "wmav2"),
    "raw.h264": (*X264, CLOSED, "-an"),
    "fragments.mp4": (*X264, CLOSED, "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
}


def ffmpeg(*arguments: object) -> bytes:
    command = [ffmpeg_exe(), "-hide_banner", "-nostats", "-y", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr[-500:]
    return run.stdout or run.stderr


def block_frame(number: int) -> np.ndarray:
    """A frame whose upper half tells its number in black and white blocks."""
    frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    bits = np.array([255 * (number >> bit & 1) for bit in range(BITS)], np.uint8)
    frame[: HEIGHT // 2] = np.repeat(bits, BLOCK)[None, :, None]
    at = number * 3 % (WIDTH - 20)
    frame[-30:-10, at : at + 20] = (250, 20, 20)
    return frame


def number_in(frame: np.ndarray) -> int:
    height, width = frame.shape[:2]
    rows = frame[height // 8 : height * 3 // 8].mean(axis=(0, 2))
    middles = (np.arange(BITS) * width + width // 2) // BITS
    return sum(1 << bit for bit, at in enumerate(middles) if rows[at - 2 : at + 3].mean() > 128)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of numbered frames, and a beep at each full second."""
    path = tmp_path_factory.mktemp("blocks") / "blocks.mkv"
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"".join(block_frame(number).tobytes() for number in range(COUNT)))
    beep = f"aevalsrc='if(lt(mod(t,1),0.05),sin(2*PI*1000*t),0)':s=48000:d={COUNT / RATE}"
    picture = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", RATE)
    coded = ("-c:v", "ffv1", "-pix_fmt", "bgr0", "-c:a", "pcm_s16le")
    ffmpeg(*picture, "-i", raw, "-f", "lavfi", "-i", beep, *coded, path)
    return path


def truth(path: Path) -> tuple[np.ndarray, list[int]]:
    """When ffmpeg shows frames, in seconds from the first one, and their numbers."""
    shown = ("-map", "0:V:0", "-vf", f"showinfo,scale={WIDTH}:{HEIGHT}", "-fps_mode", "passthrough")
    command = [ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", "-i", str(path), *shown]
    run = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=False
    )
    times = np.array([float(t) for t in re.findall(rb"n: *\d+ pts:.*?pts_time:(\S+)", run.stderr)])
    frames = np.frombuffer(run.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    return times[: len(frames)] - times[0], [number_in(frame) for frame in frames]


def agrees(path: Path) -> None:
    """What is read is what ffmpeg shows at that time, from the start and from within."""
    times, numbers = truth(path)
    clip = probe(path)
    read = [number_in(frame) for frame in read_frames(clip)]
    ticks = np.arange(len(read)) / float(clip.rate)
    at = np.searchsorted(times, ticks + 0.25 / float(clip.rate), side="right") - 1
    assert read == [numbers[max(0, index)] for index in at]
    for start_s in (0.37, 1.1, 2.03):
        if start_s < clip.duration_s:
            chosen = select(clip, Selection(start_s=start_s))
            first = round(chosen.start_s * float(clip.rate))
            within = read_frames(clip, Selection(start_s=start_s), slice(0, 12))
            assert [number_in(frame) for frame in within] == read[first : first + 12]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_constant_cut_and_offset(blocks: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-i", blocks, *FORMS[name], path)
    clip = probe(path)
    assert clip.rate == RATE and clip.frame_count == COUNT and not clip.is_variable
    assert [number_in(frame) for frame in read_frames(clip)] == list(range(COUNT))
    agrees(path)
    if not name.startswith("raw"):
        ffmpeg("-ss", "1.21", "-i", path, "-c", "copy", tmp_path / f"cut_{name}")
        agrees(tmp_path / f"cut_{name}")
    ffmpeg(
        *("-itsoffset", "0.37", "-i", blocks, "-i", blocks, "-map", "0:v", "-map", "1:a"),
        *(*FORMS[name], tmp_path / f"offset_{name}"),
    )
    agrees(tmp_path / f"offset_{name}")


@pytest.mark.parametrize("name", ["closed.mp4", "h264.mkv", "h264.ts", "vp9.webm", "wmv.asf"])
def test_a_gap_is_held_and_said(blocks: Path, tmp_path: Path, name: str) -> None:
    gap = "select='lt(n,30)+gt(n,50)*not(mod(n,3))'"
    ffmpeg("-i", blocks, "-vf", gap, "-fps_mode", "vfr", *FORMS[name], tmp_path / name)
    clip = probe(tmp_path / name)
    assert clip.is_variable and clip.rate == RATE
    assert [number_in(frame) for frame in read_frames(clip)][28:53] == [28] + [29] * 22 + [51, 51]
    agrees(tmp_path / name)
    assert "no frames from 1.0 to 1.7 s: the last one before is held" in clip.notes[0]


def damage(path: Path, numbers: range) -> None:
    """Overwrite these frames of a film whose frames are one packet each, in order."""
    copied = ("-i", path, "-map", "0:v", "-c", "copy")
    listed = ffmpeg(*copied, "-f", "framecrc", "-").decode().splitlines()
    sizes = [int(line.split(",")[4]) for line in listed if not line.startswith("#")]
    ends, packets = np.cumsum(sizes), ffmpeg(*copied, "-f", "data", "-")
    data, at = bytearray(path.read_bytes()), 0
    for number, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        at = data.index(packets[end - size : end], at)
        if number in numbers:
            data[at : at + size] = b"\xa5" * size
        at += size
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["v.mkv", "v.mov"])
def test_frames_that_cannot_be_decoded_are_held_and_told(
    blocks: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    ffmpeg("-i", blocks, "-c:v", "mjpeg", "-q:v", "3", path)
    damage(path, range(30, 50))
    clip, held = probe(path), set[int]()
    thinned = read_frames(clip, Selection(every=15), on_held=held.add)
    assert [number_in(frame) for frame in thinned] == [0, 15, 29, 29, 60, 75]
    assert held == {2, 3}
    (note,) = held_note(select(clip, Selection(every=15)), held)
    assert note.startswith(f"2 of 6 frames of {name} cannot be decoded (1.0 to 2.0 s): the last")
    within = [number_in(frame) for frame in read_frames(clip, Selection(start_s=1.5))]
    assert within == [29] * 5 + list(range(50, 90))
    agrees(path)


@pytest.mark.parametrize("name", ["v.mkv", "v.mov", "mjpeg.avi", "vp9.webm"])
def test_an_end_that_cannot_be_decoded_is_held(blocks: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-i", blocks, *FORMS.get(name, ("-c:v", "mjpeg", "-q:v", "3")), path)
    damage(path, range(33, 90))
    clip, held = probe(path), set[int]()
    read = [number_in(frame) for frame in read_frames(clip, on_held=held.add)]
    assert read == [*range(33), *[32] * 57] and held == set(range(33, 90))
    for first, last in ((20, 50), (33, 34), (60, 90)):  # as several readers share a film
        part = [number_in(frame) for frame in read_frames(clip, part=slice(first, last))]
        assert part == read[first:last]
    (note,) = held_note(select(clip), held)
    assert note.startswith(f"57 of 90 frames of {name} cannot be decoded (1.1 to 3.0 s): the last")
    assert held_note(select(clip), ()) == ()


def test_an_end_whose_packets_tell_no_sure_time_is_held(blocks: Path, tmp_path: Path) -> None:
    """MP3 in an AVI is late by a frame's length, so that all times are asked of the decoder."""
    path = tmp_path / "v.avi"
    ffmpeg("-i", blocks, "-c:v", "mjpeg", "-q:v", "3", "-c:a", "mp3", path)
    damage(path, range(33, 90))
    clip = probe(path)
    (note,) = clip.notes
    assert note.startswith("v.avi has no frames from 1.1 to 3.0 s: the last one before is held")
    assert [number_in(frame) for frame in read_frames(clip)] == [0, *range(33), *[32] * 57]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mpeg4.avi", "closed.mp4"])
def test_what_is_damaged_is_read_the_same_each_time(
    blocks: Path, tmp_path: Path, name: str
) -> None:
    """Several threads conceal what is damaged in another way each time, and by their number."""
    path = tmp_path / name
    ffmpeg("-i", blocks, *FORMS[name], path)
    data, noise = bytearray(path.read_bytes()), np.random.default_rng(2)
    for at in noise.integers(len(data) // 4, len(data) * 3 // 4, 40):
        data[at] = noise.integers(256)
    path.write_bytes(data)
    clip = probe(path)
    first, *again = [[frame.tobytes() for frame in read_frames(clip)] for _ in range(10)]
    assert len(set(first)) > 45
    assert all(read == first for read in again)
    one_thread = ffmpeg(
        *("-threads", "1", "-i", path, "-map", "0:V:0", "-fps_mode", "passthrough"),
        *("-vf", f"scale={WIDTH}:{HEIGHT}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    )
    size = HEIGHT * WIDTH * 3
    concealed = {one_thread[at : at + size] for at in range(0, len(one_thread), size)}
    assert set(first) <= concealed


def test_stretches_that_cannot_be_decoded_are_told_up_to_three(
    blocks: Path, tmp_path: Path
) -> None:
    ffmpeg("-i", blocks, *FORMS["closed.mp4"], tmp_path / "v.mp4")
    held = [3, 4, 5, 30, 40, 50, 51, 60]
    (note,) = held_note(select(probe(tmp_path / "v.mp4")), held)
    assert "(0.1 to 0.2 s, 1.0 to 1.0 s, 1.3 to 1.4 s and 2 more times)" in note


def test_a_film_far_beyond_its_last_frame_is_held(blocks: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    ffmpeg("-stream_loop", "40", "-i", blocks, "-an", "-c:v", "mjpeg", "-q:v", "9", path)
    damage(path, range(250, 3690))
    clip = probe(path)
    assert clip.duration_s > 120
    (frame,) = read_frames(clip, Selection(start_s=110), slice(0, 1))
    assert number_in(frame) == 249 % 90


@pytest.mark.parametrize("damaged", [range(1, 90), range(10, 90)])
def test_next_to_nothing_that_can_be_decoded_is_refused(
    blocks: Path, tmp_path: Path, damaged: range
) -> None:
    path = tmp_path / "v.mov"
    ffmpeg("-i", blocks, "-c:v", "mjpeg", "-q:v", "3", path)
    damage(path, damaged)
    clip = probe(path)
    told = (
        rf"can be decoded for 0\.{damaged.start * 10 // 3:02d} of its 3\.00 s only; it is damaged"
    )
    for part in (slice(None), slice(5, 40), slice(60, 90)):
        with pytest.raises(InputError, match=told):
            list(read_frames(clip, part=part))
    before = Selection(end_s=damaged.start / RATE)
    assert len(list(read_frames(clip, before))) == damaged.start


def test_pictures_that_end_long_before_the_film_are_told(blocks: Path, tmp_path: Path) -> None:
    for name in ("h264.flv", "mjpeg.avi"):
        whole, path = tmp_path / f"whole_{name}", tmp_path / name
        ffmpeg("-i", blocks, *FORMS[name], whole)
        assert probe(whole).notes == ()
        data = whole.read_bytes()
        path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
        (note,) = probe(path).notes
        assert note.startswith(f"{name} has pictures for 1.") and "of the 3." in note


def test_a_time_stamp_far_off_costs_its_own_frame_alone() -> None:
    times = [0.0, 0.1, 20.0, 0.3, 0.4]
    frames = ((time, np.full((1, 1, 3), number)) for number, time in enumerate(times))
    assert [time for time, _ in without_late_frames(frames)] == [0.0, 0.1, 0.3, 0.4]


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "15", "60", "25"])
@pytest.mark.parametrize("suffix", [".png", ".webm"])
def test_rates_are_exact(tmp_path: Path, rate: str, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    coded = (
        ("-c:v", "apng", "-f", "apng")
        if suffix == ".png"
        else (
            "-c:v",
            "libvpx",
        )
    )
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=32x32:r={rate}:d=1.6", *coded, path)
    assert probe(path).rate == Fraction(rate)


def test_milliseconds_with_gaps_still_tell_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "v.webm"
    lost = "select='not(between(n,20,25)+eq(n,40)+eq(n,61))'"
    source = ("-f", "lavfi", "-i", "testsrc=s=32x32:r=30000/1001:d=4")
    ffmpeg(*source, "-vf", lost, "-fps_mode", "vfr", "-c:v", "libvpx", path)
    clip = probe(path)
    assert clip.rate == Fraction(30000, 1001) and clip.is_variable and clip.frame_count == 120


def test_oblong_pixels_are_made_square(blocks: Path, tmp_path: Path) -> None:
    plain, oblong, turned = (tmp_path / name for name in ("p.mp4", "o.mp4", "t.mp4"))
    ffmpeg("-i", blocks, *FORMS["closed.mp4"], "-t", "0.2", plain)
    ffmpeg("-i", plain, "-c", "copy", "-aspect", "16:9", oblong)
    clip = probe(oblong)
    assert (clip.width, clip.height) == (171, 96)
    assert next(read_frames(clip)).shape == (96, 171, 3)
    assert [number_in(frame) for frame in read_frames(clip)] == list(range(6))
    ffmpeg("-display_rotation", "90", "-i", oblong, "-c", "copy", turned)
    assert (probe(turned).width, probe(turned).height) == (72, 128)


@pytest.mark.slow
def test_picture_and_sound_stay_in_step(blocks: Path, tmp_path: Path) -> None:
    """At each full second a beep begins; the frame shown then has that second's number."""
    source, made = tmp_path / "altref.webm", tmp_path / "made.mp4"
    ffmpeg("-stream_loop", "3", "-i", blocks, *FORMS["altref.webm"], source)
    chosen = select(probe(source), Selection(start_s=1.5))
    with VideoWriter(made, chosen.rate, sound=Sound(source, chosen.audio_start_s)) as writer:
        for frame in read_frames(chosen.clip, Selection(start_s=1.5)):
            writer.write(frame)
    sound = np.frombuffer(
        ffmpeg("-i", made, "-f", "s16le", "-ac", "1", "-ar", "8000", "-"), np.int16
    )
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 3000) / 8000
    begins = loud[np.diff(loud, prepend=-1.0) > 0.5]
    numbers = [number_in(frame) for frame in read_frames(probe(made))]
    assert len(begins) == 10
    for begin_s in begins:
        assert numbers[round(begin_s * RATE)] % RATE == 0
        assert abs(begin_s * RATE - round(begin_s * RATE)) < 0.5


def test_an_animation_that_is_cut_short_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 255, (32, 32, 3), np.uint8)) for _ in range(20)]
    whole = tmp_path / "whole.png"
    frames[0].save(whole, save_all=True, append_images=frames[1:], duration=100)
    data = whole.read_bytes()
    for share, used in ((0.6, True), (0.2, False)):
        path = tmp_path / "cut.png"
        path.write_bytes(data[: int(len(data) * share)])
        if used:
            clip = probe(path)
            assert clip.notes[0].startswith(
                f"cut.png is damaged: {clip.frame_count} of its 20 frames"
            )
            read = list(read_frames(clip))
            assert 10 <= len(read) == clip.frame_count <= 12
            assert np.array_equal(read[9], np.asarray(frames[9]))
        else:
            with pytest.raises(InputError, match="cannot be read as an animation"):
                probe(path)


def test_a_single_picture_is_no_animation(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "v.png")
    with pytest.raises(Exception, match="single picture"):
        probe(tmp_path / "v.png")


def test_times_are_told_apart_from_what_else_is_logged() -> None:
    log = [
        b"[Parsed_showinfo_1 @ 0x1] config in time_base: 1/30, frame_rate: 30/1",
        b"[Parsed_showinfo_1 @ 0x1] n:   0 pts:      0 pts_time:0 type:P [h264 @ 0x2] error at 3",
        b"n:   1 pts:     -1 pts_time:-0.0333 fmt:gray type:P n:   2 pts:      2 pts_time:0.0667 x",
    ]
    assert list(frame_times(log)) == [0, Fraction(-1, 30), Fraction(2, 30)]
