"""What is finished is kept, whole or not at all, for one run at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.errors import OutputError
from magicpose_cli.run.resume_folder import ResumeFolder, work_path

KEY = {"model_sha256": "ab", "size": (64, 32), "settings": {"sampling": {"seed": 42}}}
NOISE = np.random.default_rng(0)


def picture(height: int = 16, width: int = 12) -> np.ndarray:
    return NOISE.integers(0, 255, (height, width, 3), np.uint8)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out.mp4"


@pytest.fixture
def other_run(out):
    """Another process at work on the same output; ends by kill -9."""
    code = (
        "import sys, time, numpy as np; from pathlib import Path\n"
        "from magicpose_cli.run.resume_folder import ResumeFolder\n"
        f"work = ResumeFolder.open(Path(sys.argv[1]), {KEY!r})\n"
        "work.save(0, np.zeros((16, 12, 3), np.uint8)); print('go', flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE)
    run.stdout.readline()
    yield run
    run.kill()
    run.wait()
    run.stdout.close()


def test_a_run_goes_on_where_the_former_stopped(out):
    frames = [picture() for _ in range(3)]
    arrays = {"body": NOISE.random((7, 18, 2), np.float32), "none": np.zeros((0, 4))}
    told = {"detector": "x", "window": [0.1, 1e-9, 3.0], "track": None}
    with ResumeFolder.open(out, KEY) as work:
        assert work.motion() is None and not work.has(0) and work.load(0) is None
        work.save_motion(arrays, told)
        work.remember(batch_size=4)
        for index, frame in enumerate(frames):
            work.save(index, frame)
        with pytest.raises(KeyError):  # what it is left by makes no difference
            raise KeyError
    with ResumeFolder.open(out, KEY) as work:
        assert work.notes == () and work.metadata["batch_size"] == 4
        kept, kept_told = work.motion()
        assert kept_told == told and kept.keys() == arrays.keys()
        assert all(np.array_equal(kept[name], arrays[name]) for name in arrays)
        assert kept["body"].dtype == np.float32
        assert work.has(2) and not work.has(3)
        assert np.array_equal(work.load_all([0, 1, 2]), frames)
        assert work.load_all([2, 3]) is None
        out.write_text("the video")
        work.finish()
    assert left_in(out.parent) == ["out.mp4"]


@pytest.mark.parametrize(
    ("output", "folder"),
    [("a/out.mp4", "a/out.mp4.part"), ("frames", "frames.part"), ("x.v2/", "x.v2.part")],
)
def test_it_lies_beside_the_output(tmp_path, monkeypatch, output, folder):
    monkeypatch.chdir(tmp_path)
    with ResumeFolder.open(Path(output), KEY) as work:
        assert work.path == Path(folder) and work.path.is_dir()
    assert list(tmp_path.iterdir()) == []  # nothing was finished, so not even its parents stay
    assert work_path(Path()) == tmp_path.with_name(f"{tmp_path.name}.part")


def test_frames_of_another_job_are_never_mixed_in(out):
    with ResumeFolder.open(out, KEY) as work:
        work.save(5, picture())
        work.save_motion({}, {})
        work.remember(batch_size=4)
        (work.path / "so-far.mp4").write_text("old")
        (work.path / "so-far").mkdir()
    changed = {**KEY, "settings": {"sampling": {"seed": 7}}, "model_sha256": "cd"}
    with ResumeFolder.open(out, changed) as work:
        (note,) = work.notes
        assert "another job (model_sha256, settings.sampling.seed)" in note and "\n" not in note
        assert not work.has(5) and work.motion() is None and work.metadata == {}
        assert left_in(work.path) == ["frames", "job.json", "lock"]
        work.save(1, picture())
    with ResumeFolder.open(out, changed, resume=False) as work:
        assert work.notes == () and not work.has(1)


@pytest.mark.parametrize("journal", [None, b"", b"{}", b"[1]", b'{"key": {"mo'])
def test_without_a_journal_nothing_counts(out, journal):
    with ResumeFolder.open(out, KEY) as work:
        work.save(5, picture())
    if journal is None:
        (work.path / "job.json").unlink()
    else:
        (work.path / "job.json").write_bytes(journal)
    with ResumeFolder.open(out, KEY) as work:
        assert not work.has(5) and work.notes == ()
        assert json.loads((work.path / "job.json").read_text())["facts"] == {}


def test_a_damaged_frame_is_missing(out):
    """Cut off, filled with zeros or hit by a flipped bit anywhere: never another picture."""
    frame = picture(9, 7)
    with ResumeFolder.open(out, KEY) as work:
        work.save(0, frame)
        file = work.path / "frames" / "000000.png"
        whole = file.read_bytes()
        cut = [whole[:end] for end in range(len(whole) - 4)]  # the last four tell nothing
        cut += [bytes(len(whole)), whole[:100] + bytes(len(whole) - 100)]
        for data in cut:
            file.write_bytes(data)
            assert work.has(0) and work.load(0) is None
        lost = 0
        for at in range(len(whole)):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            loaded = work.load(0)
            lost += loaded is None
            assert loaded is None or np.array_equal(loaded, frame)
        assert lost >= len(whole) - 8  # all but those of the empty chunk at the end
        file.write_bytes(whole)
        assert np.array_equal(work.load(0), frame)
        work.save(1, picture(9, 7))
        (work.path / "frames" / "000001.png").write_bytes(_png(picture(8, 7)))
        assert work.load(1) is None  # of another size


def _png(frame):
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(frame).save(file, "png")
    return file.getvalue()


def test_damaged_motion_is_none(out):
    with ResumeFolder.open(out, KEY) as work:
        work.save_motion({"body": NOISE.random((3, 2))}, {"detector": "x"})
        file = work.path / "motion.npz"
        whole = file.read_bytes()
        kept = work.motion()[0]["body"]
        damaged = [whole[:end] for end in range(len(whole))] + [bytes(len(whole)), b"\x80\x04N."]
        for at in range(len(whole)):
            damaged.append(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        lost = 0
        for data in damaged:
            file.write_bytes(data)
            motion = work.motion()
            lost += motion is None
            if motion is not None:  # what no checksum covers (dates, say) does no harm
                assert np.array_equal(motion[0]["body"], kept)
                assert motion[1] == {"detector": "x"}
        assert lost > len(whole)  # every cut and most of the flips
        np.savez(file, body=np.zeros(3))  # somebody else's
        assert work.motion() is None


def test_a_second_run_is_one_line_with_the_id_of_the_first(out, other_run):
    for resume in (True, False):
        with pytest.raises(OutputError) as caught:
            ResumeFolder.open(out, KEY, resume=resume)
        assert f"(process {other_run.pid})" in str(caught.value)
        assert "\n" not in str(caught.value)
    with ResumeFolder.open(out.with_name("out2.mp4"), KEY):
        pass
    assert work_path(out).is_dir()
    other_run.send_signal(signal.SIGKILL)
    other_run.wait()
    with ResumeFolder.open(out, KEY) as work:
        assert work.has(0) and work.load(0).max() == 0


def test_also_two_runs_of_one_process(out):
    with ResumeFolder.open(out, KEY) as work:
        with pytest.raises(OutputError, match=f"process {os.getpid()}"):
            ResumeFolder.open(out, KEY)
        work.save(0, picture())
    with ResumeFolder.open(out, KEY) as work:
        assert work.has(0)


@pytest.mark.slow
def test_many_runs_at_once_never_hold_it_together(out):
    """Each takes the folder, is alone in it and removes it; the race is for the removed one."""
    code = (
        "import sys, os, time; from pathlib import Path\n"
        "from magicpose_cli.run.resume_folder import ResumeFolder\n"
        "from magicpose_cli.errors import OutputError\n"
        "out, turns = Path(sys.argv[1]), 0\n"
        "inside, end = out.with_name('inside'), time.monotonic() + 1.5\n"
        "while time.monotonic() < end:\n"
        "    try: work = ResumeFolder.open(out, {})\n"
        "    except OutputError as e:\n"
        "        assert 'another run' in str(e), e\n"
        "        continue\n"
        "    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))\n"
        "    turns += 1\n"
        "    inside.unlink(); work.finish()\n"
        "print(turns)"
    )
    out.write_text("the video")
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    turns = [int(run.communicate(timeout=60)[0]) for run in runs]
    assert all(run.returncode == 0 for run in runs) and sum(turns) > 40
    assert left_in(out.parent) == ["out.mp4"]


def test_what_is_not_ours_is_left_alone(out):
    (out.parent / "out.mp4.part").write_text("a download")
    with pytest.raises(OutputError, match="not this program's"):
        ResumeFolder.open(out, KEY)
    assert (out.parent / "out.mp4.part").read_text() == "a download"
    (out.parent / "own.mp4.part").mkdir()
    (out.parent / "own.mp4.part" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not this program's"):
        ResumeFolder.open(out.with_name("own.mp4"), KEY)
    assert left_in(out.parent / "own.mp4.part") == ["thesis.txt"]


@pytest.mark.parametrize("foreign", ["thesis.txt", "frames/holiday.png", "job.json.bak"])
def test_a_folder_with_a_lock_and_something_else_is_left_alone(out, foreign):
    """A name alone does not make it ours."""
    folder = out.parent / "out.mp4.part"
    (folder / "frames").mkdir(parents=True)
    (folder / "lock").write_text("mine")
    (folder / foreign).write_text("mine")
    before = left_in(folder)
    with pytest.raises(OutputError, match="not this program's"):
        ResumeFolder.open(out, KEY)
    assert left_in(folder) == before and (folder / foreign).read_text() == "mine"


@pytest.mark.parametrize("name", ["out.mp4.part", "out.mp4.part/frames"])
def test_links_are_not_followed(out, name):
    elsewhere = out.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "000001.png").write_text("mine")
    (elsewhere / "lock").write_text("")
    link = out.parent / name
    link.parent.mkdir(exist_ok=True)
    if link.parent != out.parent:
        (link.parent / "lock").write_text("")
    link.symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(OutputError, match="not this program's"):
        ResumeFolder.open(out, KEY)
    assert left_in(elsewhere) == ["000001.png", "lock"] and link.is_symlink()


def test_where_nothing_can_be_written_is_known_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", Path("/proc"), Path("/sys")):
        if folder.exists():
            with pytest.raises(OutputError, match="cannot be written") as caught:
                ResumeFolder.open(folder / "out.mp4", KEY)
            assert "\n" not in str(caught.value)


def test_a_full_disk_costs_no_finished_frame(out):
    resource = pytest.importorskip("resource")
    frames = [picture() for _ in range(3)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ResumeFolder.open(out, KEY) as work:
        for index, frame in enumerate(frames):
            work.save(index, frame)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
        try:
            for action in (
                lambda: work.save(1, picture()),
                lambda: work.save(3, picture()),
                lambda: work.save_motion({"body": np.zeros(99)}, {}),
                lambda: work.remember(batch_size="x" * 300),
            ):
                with pytest.raises(OutputError) as caught:
                    action()
                assert "3 finished frames are kept in it: free some room" in str(caught.value)
                assert "\n" not in str(caught.value)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list(work.path.rglob("*.tmp"))
    with ResumeFolder.open(out, KEY) as work:
        assert np.array_equal(work.load_all([0, 1, 2]), frames)
        assert not work.has(3) and work.motion() is None


def test_the_folder_stays_while_the_output_does_not_stand(out):
    with ResumeFolder.open(out, KEY) as work:
        work.save(0, picture())
        with pytest.raises(OutputError):
            work.finish()
    assert work.path.is_dir()


@pytest.mark.slow
def test_a_frame_costs_the_same_among_very_many(out):
    with ResumeFolder.open(out, KEY) as work:
        work.save(0, picture())
        few = _seconds(work, 1)
        png = (work.path / "frames" / "000000.png").read_bytes()
        for index in range(1000, 21_000):
            (work.path / "frames" / f"{index:06d}.png").write_bytes(png)
        assert _seconds(work, 100_000) < 5 * few + 0.05


def _seconds(work, first):
    begin = time.perf_counter()
    for index in range(first, first + 100):
        work.save(index, picture())
        assert work.has(index) and work.load(index) is not None
    return time.perf_counter() - begin
