"""The command line, ended in every way a run can end: the same command again gives the same video.

A run is a real process of the real command on a model of the real classes; see nursery.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.torch import load_file, save_file

from magicpose_cli.pose.files.openpose_json import write_poses
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.video import probe, read_frames, write_picture, write_video
from tests.nursery import SINGLE, Run, until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FRAMES = 28
SIZE = 64
KILLS = 20

Start = Callable[..., Run]


@pytest.fixture(scope="module")
def given(tiny_model, tmp_path_factory) -> Path:
    """ref.png, dance.json and a model whose frames tell one pose from another."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(2)
    write_picture(folder / "ref.png", random.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    home = {part: random.uniform(8, SIZE - 8, (count, 2)) for part, count in PARTS.items()}
    write_poses(folder / "dance.json", [_near(home, random) for _ in range(FRAMES)], 25.0)
    shutil.copytree(tiny_model, folder / "model")
    (file,) = (folder / "model" / "pose_controlnet").glob("*.safetensors")
    weights = load_file(file)
    louder = {name: w * 30 if "controlnet_" in name else w for name, w in weights.items()}
    save_file(louder, file, metadata={"format": "pt"})
    return folder


def _near(home: dict[str, np.ndarray], random: np.random.Generator) -> Pose:
    parts = {}
    for part, points in home.items():
        moved = points + random.uniform(-3, 3, points.shape)
        parts[part] = np.column_stack([moved, np.ones(len(points))])
    return Pose.of(SIZE, SIZE, **parts)


def arguments(given: Path, out: str | Path, *more: str) -> list[str]:
    settings = ["--retarget", "none", "--steps", "2", "--batch-size", "2", "--device", "cpu"]
    ends = [given / "ref.png", given / "dance.json", "-o", out, "--model", given / "model"]
    return ["animate", *map(str, ends), *settings, *more]


@pytest.fixture(scope="module")
def whole(given, nursery) -> Path:
    """out.mp4 and frames/ of runs that nothing has happened to; the first is forked off nobody."""
    run = subprocess.run(
        [sys.executable, "-m", "magicpose_cli", *arguments(given, "out.mp4")],
        cwd=given, capture_output=True, text=True, check=False, env=SINGLE,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    order = {"arguments": arguments(given, "frames", "--quiet"), "folder": str(given)}
    assert Run(nursery, given / "said.txt", order).wait() == 0
    frames = list(read_frames(probe(given / "frames")))
    assert len({frame.tobytes() for frame in frames}) == FRAMES
    return given


@pytest.fixture
def start(nursery, whole, tmp_path) -> Start:
    """start(output, *options) -> Run; in an empty folder, work/."""
    (tmp_path / "work").mkdir()

    def go(
        out: str | Path = "out.mp4",
        *more: str,
        largest_file: int | None = None,
        log: str = "",
        **order: str,
    ) -> Run:
        call = arguments(whole, out, *more)
        if "stdin" in order:
            call[1] = "-"
        order |= {"arguments": call, "folder": str(tmp_path / "work"), "largest_file": largest_file}
        return Run(nursery, tmp_path / (log or f"{time.monotonic_ns()}.txt"), order)

    return go


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(made: Path, whole: Path) -> bool:
    """The very bytes."""
    if made.is_dir():
        return left_in(made) == left_in(whole) and all(
            (made / name).read_bytes() == (whole / name).read_bytes() for name in left_in(made)
        )
    return made.read_bytes() == whole.read_bytes()


def has_frame(folder: Path, number: int) -> Callable[[], bool]:
    return (folder / "out.mp4.part" / "frames" / f"{number:06d}.png").exists


def finishes(start: Start, folder: Path, whole: Path, *more: str, resumed: int = 1) -> None:
    """The command runs through and leaves the identical video, and nothing else beside it."""
    run = start("out.mp4", "--json", "--quiet", *more)
    assert run.wait() == 0, run.said
    assert json.loads(run.said)["resumed"] >= resumed
    assert same(folder / "out.mp4", whole / "out.mp4")
    assert left_in(folder) == ["out.mp4", "out.mp4.json"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_killed_at_random_moments(start, whole, tmp_path, name):
    """Every continued run may be killed as well; whatever comes to its end is the same."""
    folder = tmp_path / "work"
    begin = time.monotonic()
    assert start("clock.mp4", "--quiet").wait() == 0
    length = time.monotonic() - begin
    for path in folder.iterdir():
        path.unlink()
    kills, ended, wanted = 0, 0, KILLS if name == "out.mp4" else 5
    random = np.random.default_rng(5)
    moments = (np.arange(wanted) + random.random(wanted)) / wanted  # rising: early ones add up
    while kills < wanted:
        fresh = not list(folder.iterdir())
        run = start(name, "--quiet")
        time.sleep(moments[kills] * length)
        code = run.end(signal.SIGKILL)
        kills += code == -signal.SIGKILL
        made = folder / name
        assert not made.exists() or same(made, whole / name)  # whole or not there
        assert {f"{name}.part"} >= set(left_in(folder)) - {name, f"{name}.json"}
        if code != -signal.SIGKILL:
            # killed in its very last moment, a former run may have left a video and no journal
            assert code == 0 or (made.exists() and "exists" in run.said), run.said
            ended += _ended(folder, name)
            length *= 0.9 if fresh else 1.0  # it was too short to be killed then
    run = start(name)
    assert run.wait() == 0, run.said
    assert same(folder / name, whole / name)
    assert ended + _ended(folder, name) < wanted  # some runs have been killed again and again


def _ended(folder: Path, name: str) -> int:
    """Look that nothing but the result is left, and take it away."""
    assert left_in(folder) == [name, f"{name}.json"]
    (folder / f"{name}.json").unlink()
    made = folder / name
    shutil.rmtree(made) if made.is_dir() else made.unlink()
    return 1


@pytest.mark.slow
def test_ctrl_c(start, whole, tmp_path):
    folder = tmp_path / "work"
    run = start()
    until(has_frame(folder, 7))
    os.killpg(run.pid, signal.SIGINT)  # as the terminal does
    assert run.wait() == 130
    lines = run.said.splitlines()
    assert lines[-2] == "interrupted"
    words = lines[-1].split()
    assert lines[-1].endswith("out.mp4.part/so-far.mp4; the same command goes on from there")
    clip = probe(folder / "out.mp4.part" / "so-far.mp4")
    assert clip.frame_count == int(words[1]) >= 6
    expected = list(read_frames(probe(whole / "out.mp4")))
    for made, true in zip(read_frames(clip), expected, strict=False):
        assert np.abs(made.astype(int) - true).mean() < 2
    assert left_in(folder) == ["out.mp4.part"]
    finishes(start, folder, whole, resumed=8)


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0, 0.001, 0.01, 0.05])
def test_ctrl_c_again_and_again(start, whole, tmp_path, pause_s):
    folder = tmp_path / "work"
    run = start()
    until(has_frame(folder, 7))
    for _ in range(4):
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGINT)
        time.sleep(pause_s)
    assert run.wait() == 130
    assert "Traceback" not in run.said and "ignored" not in run.said
    finishes(start, folder, whole, resumed=7)


@pytest.mark.slow
def test_asked_to_end(start, whole, tmp_path):
    """By what service managers, schedulers and a closed terminal send."""
    folder = tmp_path / "work"
    for how, number in ((signal.SIGTERM, 3), (signal.SIGHUP, 9)):
        run = start("out.mp4", "--json")
        until(has_frame(folder, number))
        assert run.end(how) == 128 + how
        lines = run.said.splitlines()
        assert f"ended by {how.name}" in lines and "the same command goes on" in lines[-1]
        (event,) = [json.loads(line) for line in lines if line.startswith('{"event": "error"')]
        assert event["exit_code"] == 128 + how
    finishes(start, folder, whole, resumed=10)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_copy_of_standard_input_stays(start, whole, tmp_path, how):
    """A killed run's goes with the next one; what only looks like one is left alone."""
    temporary, folder = tmp_path / "temporary", tmp_path / "work"
    others = [temporary / "magicpose-notes", temporary / "magicpose-abcd1234"]
    for other in others:
        other.mkdir(parents=True)
        (other / "thesis.txt").write_text("mine")
    given = {"stdin": str(whole / "ref.png"), "temporary": str(temporary)}
    run = start(**given)
    until(has_frame(folder, 3))
    copies = set(temporary.iterdir()) - set(others)
    assert [path.name for copy in copies for path in copy.glob("stdin*")] == ["stdin.png"]
    run.end(how)
    assert (set(temporary.iterdir()) == set(others)) == (how == signal.SIGTERM)
    assert start(**given).wait() == 0
    assert set(temporary.iterdir()) == set(others)
    assert all((other / "thesis.txt").exists() for other in others)


@pytest.mark.slow
def test_killed_while_the_poses_are_saved(start, whole, tmp_path):
    """What is left of them lies in the work folder; a file of a like name beside it is anyone's."""
    folder = tmp_path / "work"
    foreign = folder / ".out.poses.json.4711.part"
    foreign.write_text("mine")
    run = start()
    until(has_frame(folder, 7))
    run.end(signal.SIGKILL)
    for name in ("so-far.poses.json", ".so-far.poses.json.99.part", ".so-far.json.99.part"):
        (folder / "out.mp4.part" / name).write_text("half of")
    run = start("out.mp4", "--save-poses")
    assert run.wait() == 0, run.said
    assert same(folder / "out.mp4", whole / "out.mp4")
    assert left_in(folder) == [foreign.name, "out.mp4", "out.mp4.json", "out.poses.json"]
    assert foreign.read_text() == "mine" and len(
        json.loads((folder / "out.poses.json").read_text())
    )


@pytest.mark.slow
def test_a_log_that_cannot_be_written(start, whole, tmp_path):
    """Words are lost, the video is not; what was asked for on stdout is missed."""
    folder = tmp_path / "work"
    assert start(log="/dev/full").wait() == 0
    assert same(folder / "out.mp4", whole / "out.mp4")
    assert start("out.mp4", "--json", "--overwrite", log="/dev/full").wait() == 1
    assert same(folder / "out.mp4", whole / "out.mp4")


@pytest.mark.slow
def test_a_power_loss_costs_the_last_frames_at_most(start, whole, tmp_path):
    """What a disk may hold then: a name without content, half of it, zeros, a stray bit."""
    folder = tmp_path / "work"
    run = start()
    until(has_frame(folder, 15))
    run.end(signal.SIGKILL)
    kept = sorted((folder / "out.mp4.part" / "frames").glob("*.png"))
    whole_file = kept[-3].read_bytes()
    kept[-1].write_bytes(b"")
    kept[-2].write_bytes(kept[-2].read_bytes()[:-40])
    kept[-3].write_bytes(whole_file[:60] + bytes(len(whole_file) - 60))
    kept[-4].write_bytes(whole_file[:90] + bytes([whole_file[90] ^ 1]) + whole_file[91:])
    (folder / "out.mp4.part" / "motion.npz").write_bytes(b"PK")
    finishes(start, folder, whole, resumed=8)


@pytest.mark.slow
def test_other_settings_are_never_mixed_in(start, whole, tmp_path):
    folder = tmp_path / "work"
    run = start("out.mp4", "--seed", "1")
    until(has_frame(folder, 7))
    run.end(signal.SIGKILL)
    run = start()
    assert run.wait() == 0
    assert "another job (settings.sampling.seed)" in run.said
    assert same(folder / "out.mp4", whole / "out.mp4")
    assert left_in(folder) == ["out.mp4", "out.mp4.json"]


@pytest.mark.slow
def test_no_resume_begins_anew(start, whole, tmp_path):
    folder = tmp_path / "work"
    run = start()
    until(has_frame(folder, 7))
    run.end(signal.SIGKILL)
    run = start("out.mp4", "--no-resume", "--json", "--quiet")
    assert run.wait() == 0
    assert json.loads(run.said)["resumed"] == 0
    assert same(folder / "out.mp4", whole / "out.mp4")


@pytest.mark.slow
def test_two_runs_on_one_output(start, whole, tmp_path):
    folder = tmp_path / "work"
    first = start()
    until(has_frame(folder, 0))
    second = start()
    code = second.wait()
    assert not (folder / "out.mp4").exists()  # the first is at it still
    assert first.wait() == 0
    assert code == 1 and second.said.count("\n") == 1
    assert f"another run (process {first.pid})" in second.said
    assert same(folder / "out.mp4", whole / "out.mp4")
    assert left_in(folder) == ["out.mp4", "out.mp4.json"]


@pytest.mark.slow
def test_an_encoder_that_dies(start, whole, tmp_path):
    folder = tmp_path / "work"
    run = start()
    until(has_frame(folder, 7))
    encoders = psutil.Process(run.pid).children()
    assert len(encoders) == 1
    encoders[0].kill()
    assert run.wait() == 1
    errors = [line for line in run.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "the encoder has" in errors[0]
    assert "Traceback" not in run.said
    finishes(start, folder, whole, resumed=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("largest_file", "former"),
    [(1_000, False), (20_000, False), (3_000, True), (6_000, True)],
    ids=["journal", "motion", "frame", "recording"],
)
def test_no_room_for_a_file(start, whole, tmp_path, largest_file, former):
    """A limit that one of the files meets; where another run has gone before, a later one."""
    folder = tmp_path / "work"
    if former:
        run = start()
        until(has_frame(folder, 7))
        run.end(signal.SIGKILL)
    run = start("out.mp4", largest_file=largest_file)
    assert run.wait() == 1
    (error,) = [line for line in run.said.splitlines() if line.startswith("error: ")]
    assert "room" in error and "Traceback" not in run.said
    assert set(left_in(folder)) <= {"out.mp4.part"}
    finishes(start, folder, whole, resumed=6 if former else 0)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 400 kB: less than the frames need."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk(start, whole, small_disk):
    (small_disk / "ballast").write_bytes(bytes(250_000))
    run = start(small_disk / "out.mp4")
    assert run.wait() == 1
    errors = [line for line in run.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "room" in errors[0] and "Traceback" not in run.said
    assert left_in(small_disk) == ["ballast", "out.mp4.part"]
    assert any((small_disk / "out.mp4.part" / "frames").glob("*.png"))
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    run = start(small_disk / "out.mp4", "--json", "--quiet")
    assert run.wait() == 0, run.said
    assert json.loads(run.said)["resumed"] > 0
    assert same(small_disk / "out.mp4", whole / "out.mp4")
    assert left_in(small_disk) == ["out.mp4", "out.mp4.json"]


@pytest.mark.slow
def test_where_nothing_can_be_written_it_says_so_at_once(start, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file" / "out.mp4", Path("/proc/out.mp4")):
        run = start(out)
        assert run.wait() == 1
        assert run.said.startswith("error: ") and run.said.count("\n") == 1
        assert "cannot be written" in run.said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_a_driver_that_ends_early(nursery, whole, tmp_path):
    """Half a film is damaged: its last frame is held, and said; of next to nothing it is a line.

    What was made before that line is kept.
    """
    random = np.random.default_rng(3)
    maps = (random.integers(0, 255, (SIZE, SIZE, 3), np.uint8) for _ in range(80))
    write_video(tmp_path / "film.mp4", maps, 25, crf=1)
    data = (tmp_path / "film.mp4").read_bytes()
    half, tenth = len(data) // 2, len(data) // 10
    (tmp_path / "half.mp4").write_bytes(data[:half] + bytes(len(data) - half))
    (tmp_path / "tenth.mp4").write_bytes(data[:tenth] + bytes(len(data) - tenth))
    work = tmp_path / "work"
    work.mkdir()
    call = arguments(whole, "out.mp4", "--driver-kind", "pose-maps", "--json")
    call[2] = str(tmp_path / "tenth.mp4")
    order = {"arguments": call, "folder": str(work), "largest_file": None}
    run = Run(nursery, tmp_path / "log.txt", order)
    assert run.wait() == 1
    (error,) = [line for line in run.said.splitlines() if line.startswith("error: ")]
    assert "tenth.mp4 can be decoded for 0." in error and "Traceback" not in run.said
    assert "of its 3.20 s only; it is damaged" in error
    assert left_in(work) == ["out.mp4.part"]
    again = Run(nursery, tmp_path / "log.txt", order)  # the same until it is mended
    assert again.wait() == 1 and "it is damaged" in again.said
    for name in ("half.mp4", "film.mp4"):
        call[2] = str(tmp_path / name)
        done = Run(nursery, tmp_path / "log.txt", order)
        assert done.wait() == 0, done.said
        assert probe(work / "out.mp4").frame_count == 80
        assert left_in(work) == ["out.mp4", "out.mp4.json"]
        held = [
            note
            for note in json.loads((work / "out.mp4.json").read_text())["notes"]
            if "of 80 frames of half.mp4 cannot be decoded" in note
        ]
        assert len(held) == (name == "half.mp4")
        for made in work.iterdir():
            made.unlink()


@pytest.mark.slow
def test_killed_after_the_video_stood_but_before_it_was_done(start, whole, tmp_path):
    """What stands there is the run's own, also for the second run after that."""
    folder = tmp_path / "work"
    for number in (7, 11):
        run = start()
        until(has_frame(folder, number))
        run.end(signal.SIGKILL)
        if number == 7:
            journal = folder / "out.mp4.part" / "job.json"
            facts = json.loads(journal.read_text())
            facts["facts"]["replaces"] = True  # as it is written before the video is placed
            journal.write_text(json.dumps(facts))
            (folder / "out.mp4").write_text("the video, without its sidecar")
    finishes(start, folder, whole, resumed=8)
