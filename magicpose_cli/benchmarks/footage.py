"""What a benchmark makes frames of: a reference picture and pose maps, of drawn people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.motion.detections import detect_people
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.framing import frame
from magicpose_cli.motion.person_motion import follow_person
from magicpose_cli.pose.keypoints import Pose


@dataclass(frozen=True)
class RenderFootage:
    """A reference and pose maps.

    Attributes:
        reference: A picture of the network's size.
        maps: Pose maps of that size.
        seconds: Of a frame, by stage.
    """

    reference: Picture
    maps: Pictures
    seconds: dict[str, float]


def footage(
    size: tuple[int, int], pose_draw_size: int, frames: int, driver: Path | None = None
) -> RenderFootage:
    """Take a drawn person who moves smoothly, or the person of a driver.

    A driver that ends begins again.

    Args:
        size: (width, height) of the network's picture.
        pose_draw_size: Short side in pixels on which poses are drawn.
        frames: How many.
        driver: A film or poses; a drawn person by default.
    """
    from magicpose_cli.benchmarks.pose_benchmark import draw_film
    from magicpose_cli.pose.pose_map import pose_map

    seconds = {}
    if driver is None:
        poses: Sequence[Pose] = drawn_poses(frames)
    else:
        poses, seconds["detect"] = _poses_of(driver)
    picture = draw_film(0, 1, max(size))[0].truth
    start = time.perf_counter()
    maps = [pose_map(_placed(pose, size), pose_draw_size) for pose in poses[:frames]]
    seconds["draw"] = (time.perf_counter() - start) / len(maps)
    return RenderFootage(
        reference=frame((max(size), max(size)), size, "crop").picture(picture),
        maps=np.stack([maps[index % len(maps)] for index in range(frames)]),
        seconds=seconds,
    )


def drawn_poses(frames: int) -> list[Pose]:
    """Draw the poses of a person who moves smoothly, in a square picture."""
    from magicpose_cli.benchmarks.tracking_benchmark import drawn_motions
    from magicpose_cli.evaluation.pairs import FIRST_SEED
    from magicpose_cli.synthetic.people import TEST_SEEDS

    return drawn_motions(1, frames, TEST_SEEDS + FIRST_SEED)[0][0]


def _poses_of(path: Path) -> tuple[Sequence[Pose], float]:
    """The poses of the person in a driver, and the seconds a frame that finding them takes."""
    motion = MotionSettings()
    driver = open_driver(path, motion)
    start = time.perf_counter()
    people = detect_people(driver, motion).people
    seconds = (time.perf_counter() - start) / driver.frame_count
    cleanup = driver.kind != "poses"
    return follow_person(people, float(driver.rate), motion, cleanup=cleanup)[0], seconds


def _placed(pose: Pose, size: tuple[int, int]) -> Pose:
    return frame((pose.width, pose.height), size, "crop").pose(pose)
