"""Pose detectors: what one is, and the table of those we know, imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.errors import ConfigError
from magicpose_cli.models import missing_files
from magicpose_cli.pose.keypoints import PARTS, Pose


@dataclass(frozen=True)
class Backend:
    """Where a detector is and what it needs.

    place: module and class. needs: packages, or paths inside of them. install: what to ask pip for
    where one is missing. weights: their name in the catalog, where they are not in a package.
    automatic: whether "auto" may take it. threads: whether one of them leaves cores idle, so that
    several at once, each with a section of a film, are faster. looks: how often a first picture is
    looked at until the points have settled; 1 of a detector that takes each picture by itself.
    """

    place: str
    needs: tuple[str, ...]
    install: str
    weights: str = ""
    automatic: bool = True
    threads: bool = False
    looks: int = 1


DETECTORS = {  # the best first
    "dwpose": Backend(
        "magicpose_cli.pose.detection.dwpose:DWPose",
        ("rtmlib", "onnxruntime"),
        "'magicpose[dwpose]'",
        weights="dwpose",
    ),
    "mediapipe": Backend(
        "magicpose_cli.pose.detection.mediapipe_holistic:MediaPipeHolistic",
        ("mediapipe", "mediapipe/python/solutions"),
        "'mediapipe==0.10.21'",  # the last line of wheels that carry the holistic models
        threads=True,
        looks=3,  # it looks for face and hands where they were: the first time, roughly
    ),
    "mediapipe-tasks": Backend(
        "magicpose_cli.pose.detection.mediapipe_tasks:MediaPipeTasks",
        ("mediapipe", "mediapipe/tasks"),
        "'mediapipe>=0.10.21'",
        weights="mediapipe-tasks",
        threads=True,
    ),
    "dwpose-mm": Backend(
        "magicpose_cli.pose.detection.dwpose_mm:DWPoseMM",
        ("controlnet_aux", "mmcv", "mmdet", "mmpose"),
        "'magicpose[parity]' mmcv mmdet mmpose",
        automatic=False,
    ),
}


class PoseDetector(Protocol):
    """Finds people. Frames of a film come in order; `still=True` detectors take any picture."""

    def detect(self, frame: Picture) -> list[Pose]:
        """Everybody in `frame` (H, W, 3) uint8 RGB, in its pixels, the largest first."""

    def close(self) -> None:
        """Give the models back."""


def detect_settled(detector: PoseDetector, name: str, frame: Picture) -> list[Pose]:
    """Everybody in a first picture, seen as the later frames of a film are.

    name: of the detector, as `load_detector` was given it. A reference and the frame of a driver
    that shows the same are then told alike; of some detectors the first look is a pixel off.
    """
    people = detector.detect(frame)
    for _ in range(DETECTORS[pick_detector(name)].looks - 1):
        if people:  # else there is nothing to settle
            people = detector.detect(frame)
    return people


def detect_one(detector: PoseDetector, frame: Picture) -> Pose:
    """The largest person in `frame`; an empty Pose where nobody is."""
    people = detector.detect(frame)
    return people[0] if people else Pose.of(frame.shape[1], frame.shape[0])


def pick_detector(name: str = "auto") -> str:
    """The name in DETECTORS that `load_detector` takes for this one: "auto" is the best at hand.

    Errors: ConfigError for an unknown name, and where "auto" finds none that can run.
    """
    if name != "auto":
        if name not in DETECTORS:
            known = ", ".join(["auto", *DETECTORS])
            raise ConfigError(f"detector: {name!r} is not known; expected one of {known}")
        return name
    reasons_of = {known: lacks(known) for known, backend in DETECTORS.items() if backend.automatic}
    for known, lack in reasons_of.items():
        if not lack:
            return known
    reasons = "; ".join(f"{known!r} {lack}" for known, lack in reasons_of.items())
    raise ConfigError(f"detector: none can run: {reasons}")


def load_detector(name: str = "auto", *, still: bool = False) -> PoseDetector:
    """Detector by its name in DETECTORS; "auto" is the best at hand, see `pick_detector`.

    `still=True` is for single pictures (a reference), False for the frames of a film in order.
    Errors: ConfigError for an unknown name, a package that is not installed or missing weights.
    """
    chosen = pick_detector(name)
    if lack := lacks(chosen):
        raise ConfigError(f"detector: {chosen!r} {lack}")
    module_name, class_name = DETECTORS[chosen].place.split(":")
    detector: PoseDetector = getattr(importlib.import_module(module_name), class_name)(still=still)
    return detector


def largest_first(people: Iterable[Pose]) -> list[Pose]:
    """By the area of the box around the points that are seen; people without any are dropped."""
    return sorted((pose for pose in people if not pose.is_empty), key=_area, reverse=True)


def box_of(pose: Pose) -> tuple[float, float, float, float]:
    """left, top, right, bottom of the points that are seen; at least one must be."""
    points = np.concatenate([getattr(pose, part) for part in PARTS])
    left, top = np.nanmin(points, axis=0)
    right, bottom = np.nanmax(points, axis=0)
    return float(left), float(top), float(right), float(bottom)


def _area(pose: Pose) -> float:
    left, top, right, bottom = box_of(pose)
    return (right - left) * (bottom - top)


def lacks(name: str) -> str:
    """What a detector cannot run without and how to get it; "" where nothing is missing."""
    backend = DETECTORS[name]
    for path in backend.needs:
        if not _is_installed(path):
            return (
                f"needs the package {path!r}, which is not installed; "
                f"run: pip install {backend.install}"
            )
    missing = missing_files(backend.weights) if backend.weights else []
    if missing:
        return (
            f"needs weights that are not there ({missing[0]}); "
            f"run: magicpose models fetch {backend.weights}"
        )
    return ""


def _is_installed(path: str) -> bool:
    package, _, inside = path.partition("/")
    spec = find_spec(package)
    if spec is None:
        return False
    folders = spec.submodule_search_locations or []
    return not inside or any((Path(folder) / inside).exists() for folder in folders)
