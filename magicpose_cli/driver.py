"""The driver: whatever the motion comes from, as poses or ready-drawn maps at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from magicpose_cli.config import MotionSettings
from magicpose_cli.errors import DetectionError, InputError, OutputError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import Clip, SelectedClip, Selection, probe, read_frames, select

DEFAULT_FPS = 25.0  # of pose files and folders that do not say


@dataclass(frozen=True)
class Driver:
    """A driver that has been looked at, its frames chosen, nothing decoded yet.

    kind: "video", "poses" (a pose file) or "pose-maps" (ready-drawn pictures).
    """

    kind: str
    selected: SelectedClip
    selection: Selection
    poses: tuple[Pose, ...] = ()

    @property
    def clip(self) -> Clip:
        return self.selected.clip

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is made from it, exact."""
        return self.selected.rate

    @property
    def frame_count(self) -> int:
        return self.selected.frame_count

    def frames(self) -> Iterator[np.ndarray]:
        """The chosen frames, (H, W, 3) uint8 RGB."""
        return read_frames(self.clip, self.selection)


def open_driver(path: Path, motion: MotionSettings) -> Driver:
    """Look at a driver. Raises InputError for what cannot be read or does not fit."""
    selection = Selection(motion.start_s, motion.end_s, motion.every, motion.fps)
    kind = motion.driver_kind
    if kind == "auto":
        kind = "poses" if path.suffix.lower() == ".json" else "video"
    if kind == "poses":
        from magicpose_cli.pose.openpose_json import read_poses

        poses, fps = read_poses(path)
        rate = Fraction(fps or motion.fps or DEFAULT_FPS).limit_denominator(1001)
        clip = Clip(
            path=path,
            kind="pictures",
            width=poses[0].width,
            height=poses[0].height,
            rate=rate,
            frame_count=len(poses),
            times=np.arange(len(poses)) / float(rate),
        )
        return Driver(kind, select(clip, selection), selection, tuple(poses))
    clip = probe(path, pictures_fps=motion.fps or DEFAULT_FPS)
    return Driver(kind, select(clip, selection), selection)


def detect_poses(
    driver: Driver, motion: MotionSettings, on_progress: OnProgress = silent
) -> list[Pose]:
    """One pose a frame as the detector gives it; empty where nobody was found.

    A pose takes 1.5 kB, so an hour of film takes 130 MB; frames are never kept.
    Raises DetectionError where nobody is found in any frame.
    """
    from magicpose_cli.pose.detect import detect_one, load_detector

    poses: list[Pose] = []
    if driver.kind == "poses":
        poses = [driver.poses[source] for source in driver.selected.sources]
    else:
        on_progress(Progress("poses", 0, driver.frame_count))
        detector = load_detector(motion.detector)
        try:
            for frame in driver.frames():
                poses.append(detect_one(detector, frame))
                on_progress(Progress("poses", len(poses), driver.frame_count))
        finally:
            detector.close()
    if all(pose.is_empty for pose in poses):
        raise DetectionError(
            f"{driver.clip.path}: no person was found in any of its {len(poses)} frames; expected "
            "a driver that shows one person (for ready-drawn poses say --driver-kind pose-maps)"
        )
    return poses


def extract_poses(
    path: Path,
    out: Path,
    motion: MotionSettings,
    *,
    overlay_to: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[int, list[int]]:
    """Write a driver's poses as OpenPose JSON, and a video of them over its frames where asked.

    Returns how many frames there are and which of them show nobody.
    """
    from magicpose_cli.pose.draw import overlay
    from magicpose_cli.pose.openpose_json import write_poses
    from magicpose_cli.video import VideoWriter, check_output

    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; pass --overwrite to replace it")
    if overlay_to is not None:
        check_output(overlay_to, overwrite)
    driver = open_driver(path, motion)
    if overlay_to is not None and driver.kind == "poses":
        raise InputError(f"{path}: a pose file has no pictures to draw over; leave out --overlay")
    poses = detect_poses(driver, motion, on_progress)
    write_poses(out, poses, float(driver.rate), overwrite=overwrite)
    if overlay_to is not None:
        with VideoWriter(overlay_to, driver.rate, overwrite=overwrite) as writer:
            for frame, pose in zip(driver.frames(), poses, strict=True):
                writer.write(overlay(frame, pose))
                on_progress(Progress("overlay", writer.frame_count, driver.frame_count))
    return len(poses), [index for index, pose in enumerate(poses) if pose.is_empty]
