"""Sections of a film, each seen by a detector of its own."""

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.motion import detections
from magicpose_cli.motion.detections import detect_people
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.pose.detection import detect
from magicpose_cli.pose.detection.detect import DETECTORS, Backend
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import write_video

FRAMES, SECTION = 24, 6


class Follower:
    """Sees one of two people, unless it knows both from the frame before.

    They touch in frames 4 to 15; the number of a frame is its color.
    """

    seen: list[int] = []  # noqa: RUF012  # of all of them

    def __init__(self, *, still: bool = False) -> None:
        self._people: list[Pose] = []

    def detect(self, frame: np.ndarray) -> list[Pose]:
        number = round(frame.mean() / 10)
        Follower.seen.append(number)
        self._touch = 4 <= number < 16
        known = len(self._people) == 2 or not self._touch
        body = np.column_stack([np.full((18, 2), 9.0), np.ones(18)])
        self._people = [
            Pose.of(64, 64, body=body + np.array([30 * i, 0, 0])) for i in range(1 + known)
        ]
        return self._people

    @property
    def touching(self) -> list[Pose]:
        return self._people if self._touch and len(self._people) == 2 else []

    def follow(self, people: list[Pose]) -> None:
        self._people = people

    def close(self) -> None:
        pass


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(detections, "SECTION", SECTION)
    backend = Backend(f"{__name__}:Follower", (), "", threads=True)
    monkeypatch.setitem(DETECTORS, "follower", backend)
    monkeypatch.setattr(detect, "load_detector", lambda name, still=False: Follower(still=still))
    Follower.seen.clear()
    frames = (np.full((64, 64, 3), 10 * number, np.uint8) for number in range(FRAMES))
    write_video(tmp_path / "film.mp4", frames, 10, crf=1)
    return tmp_path / "film.mp4"


def test_people_who_touch_are_followed_into_the_next_section(film: Path) -> None:
    motion = MotionSettings(detector="follower")
    told: list[int] = []
    found = detect_people(open_driver(film, motion), motion, lambda event: told.append(event.done))
    assert [len(people) for people in found.people] == [2] * FRAMES
    again = sorted(number for number in range(FRAMES) if Follower.seen.count(number) > 1)
    assert again == list(range(6, 17))  # until they are apart
    assert max(told) == FRAMES


def test_every_decoder_has_ended(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is left to the interpreter's end aborts it, and libraries keep frames of callers."""
    kept: list[object] = []
    monkeypatch.setattr(Follower, "__init__", lambda self, **_: _begin(self, kept))
    motion = MotionSettings(detector="follower", end_s=1)
    assert len(detect_people(open_driver(film, motion), motion).people) == 10
    running = psutil.Process().children(recursive=True)
    assert not [child for child in running if "ffmpeg" in child.name()]


def _begin(follower: Follower, kept: list[object]) -> None:
    follower._people = []
    kept.append(sys._getframe())
