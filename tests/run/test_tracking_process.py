"""The driver tracked in a process of its own: as in this one, and never left behind."""

import os
import signal
from itertools import islice

import numpy as np
import pytest

from magicpose_cli.errors import DeviceError
from magicpose_cli.run import tracking_process
from magicpose_cli.run.tracking_process import TrackingProcess, track_frames
from magicpose_cli.warping.secondary import DriverTracker
from tests.warping.conftest import somebody_dotted
from tests.warping.people import shifted

pytestmark = pytest.mark.slow
FRAMES = 12


@pytest.fixture(scope="module")
def dotted():
    return somebody_dotted()


@pytest.fixture(scope="module")
def tracker(dotted) -> DriverTracker:
    return DriverTracker(dotted.picture, [dotted.pose], 0, dotted.pose)


@pytest.fixture
def frames(dotted):
    """A person whose picture goes another way than their points."""
    return [
        (3 * i, np.roll(dotted.picture, i % 3, axis=1), shifted(dotted.pose, 0, i % 4))
        for i in range(FRAMES)
    ]


@pytest.fixture
def anywhere(monkeypatch):
    """However few the frames and the cores."""
    monkeypatch.setattr(tracking_process, "MIN_FRAMES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.fixture
def process(tracker):
    with TrackingProcess(tracker) as process:
        yield process
    assert process._process.poll() is not None


def test_it_finds_what_is_found_here(anywhere, tracker, frames):
    here = [(i, tracker.track(picture, pose)) for i, picture, pose in frames]
    there = list(track_frames(tracker, iter(frames), FRAMES))
    assert [i for i, _ in there] == [i for i, _ in here]
    assert len({found.drift.tobytes() for _, found in here}) > FRAMES // 2
    for (_, one), (_, other) in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.drift, other.drift)
        np.testing.assert_array_equal(one.pose.body, other.pose.body)
        assert one.scale == other.scale


def test_what_lies_in_the_working_folder_is_not_run(monkeypatch, tmp_path, tracker, frames):
    for name in ("queue", "numpy", "magicpose_cli"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(3)")
    monkeypatch.chdir(tmp_path)
    with TrackingProcess(tracker) as process:
        assert len(list(process.track(frames))) == FRAMES


def test_few_frames_are_not_worth_it(monkeypatch, tracker, frames):
    monkeypatch.setattr(tracking_process, "TrackingProcess", lambda tracker: 1 / 0)
    assert len(list(track_frames(tracker, iter(frames), FRAMES))) == FRAMES
    monkeypatch.setattr(tracking_process, "MIN_FRAMES", FRAMES)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        next(track_frames(tracker, iter(frames), FRAMES))


def test_whoever_stops_listening_ends_it(process, frames):
    found = process.track(frames)
    assert [index for index, _ in islice(found, 2)] == [0, 3]
    found.close()
    assert process._process.wait(timeout=60) == -signal.SIGKILL


def test_what_goes_wrong_with_the_frames_comes_out(process, frames):
    def torn():
        yield from frames[:5]
        raise KeyError("torn")

    found = process.track(torn())
    assert next(found)[0] == 0
    with pytest.raises(KeyError, match="torn"):
        list(found)


def test_a_killed_one_is_told_in_one_line(process, frames):
    found = process.track(frames)
    next(found)
    process._process.kill()
    with pytest.raises(DeviceError, match=r"exit code -9\); if memory is short"):
        list(found)


def test_it_ends_with_its_parent(process, frames):
    """Whose end of the pipe closes, however it ends."""
    found = process.track(frames)
    next(found)
    process._process.stdin.close()
    assert process._process.wait(timeout=60) == 0
