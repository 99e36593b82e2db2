"""Sound: the track that players take, in channels that the result can hold, and never a failure."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.video import Sound, VideoWriter, probe
from magicpose_cli.video.ffmpeg import ffmpeg_exe

PICTURE = ("-f", "lavfi", "-i", "color=c=gray:s=32x32:r=25:d=2")
LAYOUTS = {
    "mono": 1, "2.1": 3, "3.0": 3, "quad(side)": 4, "4.0": 4, "5.0(side)": 5, "5.1": 6,
    "5.1(side)": 6, "6.1": 7, "7.1": 8, "7.1(wide)": 8, "cube": 8, "octagonal": 8,
    "hexadecagonal": 16, "22.2": 24,
}  # fmt: skip


def ffmpeg(*arguments: object) -> bytes:
    command = [ffmpeg_exe(), "-hide_banner", "-nostats", "-y", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr[-500:]
    return run.stdout


def made(path: Path, sound: Sound) -> list[str]:
    """Write a second of gray frames with this sound; the notes."""
    with VideoWriter(path, 25, sound=sound, overwrite=True) as writer:
        for _ in range(25):
            writer.write(np.full((32, 32, 3), 90, np.uint8))
    assert probe(path).frame_count == 25
    return writer.notes


def pitch(path: Path) -> float:
    """The strongest frequency of the first sound track, in Hz."""
    heard = ffmpeg("-i", path, "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", "8000", "-")
    sound = np.frombuffer(heard, np.int16).astype(float)[:8000]
    return float(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * 8000 / len(sound))


@pytest.fixture
def two_tracks(tmp_path: Path) -> Path:
    """300 Hz first, 700 Hz second, which is flagged as the default one."""
    path = tmp_path / "two.mp4"
    tones = ("-f", "lavfi", "-i", "sine=300:d=2", "-f", "lavfi", "-i", "sine=700:d=2")
    chosen = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-disposition:a:0", "0")
    ffmpeg(*PICTURE, *tones, *chosen, "-disposition:a:1", "default", path)
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
@pytest.mark.parametrize(("track", "hertz"), [(None, 700), (0, 300), (1, 700)])
@pytest.mark.parametrize("start_s", [0.0, 0.5])
def test_the_default_track_or_the_one_that_is_asked_for(
    two_tracks: Path, tmp_path: Path, name: str, track: int | None, hertz: float, start_s: float
) -> None:
    assert made(tmp_path / name, Sound(two_tracks, start_s, track=track)) == []
    assert pitch(tmp_path / name) == pytest.approx(hertz, abs=10)
    assert len(probe(tmp_path / name).sound_tracks) == 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_channels_into_any_container(tmp_path: Path, layout: str, suffix: str) -> None:
    source = tmp_path / "source.mov"
    channels = "|".join(f"c{number}=c0" for number in range(LAYOUTS[layout]))
    tone = ("-f", "lavfi", "-i", "sine=440:d=2", "-af", f"pan={layout}|{channels}")
    ffmpeg(*PICTURE, *tone, "-c:a", "pcm_s16le", source)
    notes = made(tmp_path / f"out{suffix}", Sound(source))
    assert probe(tmp_path / f"out{suffix}").has_audio
    assert pitch(tmp_path / f"out{suffix}") == pytest.approx(440, abs=10)
    assert all(re.match(r"the sound of source\.mov is written as", note) for note in notes)


def test_a_track_of_an_unknown_kind_is_passed_over(two_tracks: Path, tmp_path: Path) -> None:
    data = bytearray(two_tracks.read_bytes())
    codecs, details = ([at.start() for at in re.finditer(box, data)] for box in (b"mp4a", b"esds"))
    data[codecs[1] : codecs[1] + 4] = data[details[1] : details[1] + 4] = b"zzzz"
    unknown = tmp_path / "unknown.mp4"
    unknown.write_bytes(data)
    assert made(tmp_path / "out.mp4", Sound(unknown)) == []
    assert pitch(tmp_path / "out.mp4") == pytest.approx(300, abs=10)
    data[codecs[0] : codecs[0] + 4] = data[details[0] : details[0] + 4] = b"zzzz"
    unknown.write_bytes(data)
    (note,) = made(tmp_path / "out.mp4", Sound(unknown))
    assert "left out" in note and not probe(tmp_path / "out.mp4").has_audio


@pytest.mark.parametrize("name", ["100%dance.gif", "take %d best.gif", "%03d.gif", "a:b?.gif"])
def test_a_gif_may_have_any_name(tmp_path: Path, name: str) -> None:
    made(tmp_path / name, Sound(tmp_path / "none.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [b"caf\xe9 \xff", b"%d -i", b"-y", b"x" * 250])
def test_names_that_are_no_text(two_tracks: Path, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / os.fsdecode(name + b".mp4")
    two_tracks.rename(path)
    assert probe(path).frame_count == 50
    for suffix in (".mp4", ".webm", ".gif"):
        out = path.with_name(path.stem + suffix)
        made(out, Sound(path, 0.2)) if out != path else None
        assert probe(out).frame_count in (25, 50)
