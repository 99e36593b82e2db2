"""Pose detectors: what one is, and the table of those we know, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.keypoints import Pose

DETECTORS = {"mediapipe": "magicpose_cli.pose.mediapipe_holistic:MediaPipeHolistic"}
PACKAGES = {"mediapipe": "mediapipe==0.10.21"}  # what to install where the import fails
DEFAULT_DETECTOR = "mediapipe"


class PoseDetector(Protocol):
    """Finds people. Frames of a film come in order; `still=True` detectors take any picture."""

    def detect(self, frame: np.ndarray) -> list[Pose]:
        """Everybody in `frame` (H, W, 3) uint8 RGB, in its pixels, the largest first."""

    def close(self) -> None:
        """Give the models back."""


def detect_one(detector: PoseDetector, frame: np.ndarray) -> Pose:
    """The largest person in `frame`; an empty Pose where nobody is."""
    people = detector.detect(frame)
    return people[0] if people else Pose.of(frame.shape[1], frame.shape[0])


def load_detector(name: str = "auto", *, still: bool = False) -> PoseDetector:
    """Detector by its name in DETECTORS; "auto" is the default one.

    `still=True` is for single pictures (a reference), False for the frames of a film in order.
    Errors: ConfigError for an unknown name or a package that is not installed.
    """
    chosen = DEFAULT_DETECTOR if name == "auto" else name
    if chosen not in DETECTORS:
        known = ", ".join(["auto", *DETECTORS])
        raise ConfigError(f"detector: {name!r} is not known; expected one of {known}")
    module_name, class_name = DETECTORS[chosen].split(":")
    try:
        module = importlib.import_module(module_name)
        return getattr(module, class_name)(still=still)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"detector: {chosen!r} needs the package {error.name!r}, which is not installed; "
            f"run: pip install '{PACKAGES[chosen]}'"
        ) from error
