"""What the warp takes, on one core: for a reference, for a driver, and for each frame.

The person is drawn, moves smoothly and is read by a detector, as a real one is: a mesh of the face,
where the detector has one, makes eyes and mouth be put together anew, which takes time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import numpy as np

from magicpose_cli.arrays import Pictures, to_pictures
from magicpose_cli.errors import DetectionError
from magicpose_cli.evaluation.pairs import FIRST_SEED
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent

Made = TypeVar("Made")

WARPED_PICTURE_PX = 512  # pixels, the side of the pictures
NETWORK_PICTURE_PX = 256  # of the frames of a small network; one that is trusted makes SIZE
ONCE = ("matte", "preparation", "driver")
EACH = ("warp", "secondary motion", "fusion", "fusion, trusted")


@dataclass(frozen=True)
class WarpBenchmark:
    """What the warp takes; the fields are keys of `bench warp --json`.

    Once for a reference come its matte and preparation, once for a driver its own, each frame
    takes the rest: warp, secondary motion, and the fusion with a frame of a small network or of
    one that is trusted.

    Attributes:
        size: Side of the pictures in pixels.
        repeat: How often each stage was timed.
        detector: Name.
        face_mesh: Whether the detector has given one.
        parts: Into which the person was taken apart.
        seconds: Medians by stage.
    """

    size: int
    repeat: int
    detector: str
    face_mesh: bool
    parts: list[str]
    seconds: dict[str, float]


def measure_warp(
    repeat: int, *, detector: str = "auto", on_progress: OnProgress = silent
) -> WarpBenchmark:
    """Take each stage `repeat` times, each time with another frame.

    Args:
        repeat: How often.
        detector: A name, or "none" for the points as they are drawn, which hold no mesh of a face.
        on_progress: Is told each repeat.

    Raises:
        MagicPoseError: The detector is not known, or does not find the person.
    """
    from magicpose_cli.pose.detection.detect import pick_detector
    from magicpose_cli.warping.fusion import Fusion
    from magicpose_cli.warping.matte import find_matte
    from magicpose_cli.warping.secondary import DriverTracker
    from magicpose_cli.warping.warp import ReferenceWarp

    name = detector if detector == "none" else pick_detector(detector)
    pictures, poses = _film(repeat + 1)
    if name != "none":
        poses = _detected(name, pictures)
    reference, still = pictures[0], poses[0]
    whole = Framing(
        (0, 0, WARPED_PICTURE_PX, WARPED_PICTURE_PX), WARPED_PICTURE_PX, WARPED_PICTURE_PX
    )
    small = Framing(whole.window, NETWORK_PICTURE_PX, NETWORK_PICTURE_PX)
    timed = _Stages()
    with one_thread():
        for repetition in range(1, repeat + 1):
            picture, pose = pictures[repetition], poses[repetition]
            matte = timed("matte", find_matte, reference, still)
            if matte is None:
                raise DetectionError(
                    f"{name} finds the drawn person, but where they end cannot be told; take "
                    "another detector, or none for the points as they are drawn"
                )
            warp = timed("preparation", ReferenceWarp, reference, still, matte)
            tracker = timed("driver", DriverTracker, reference, poses, 0, still)
            driven = timed("secondary motion", tracker.track, picture, pose)
            warped = timed("warp", warp, pose, driven)
            for stage, network, trusts in (
                ("fusion", small, False),
                ("fusion, trusted", whole, True),
            ):
                fusion = Fusion(warp, network, whole, trusts_network=trusts)
                timed(stage, fusion, warped, network.picture(picture))
            on_progress(Progress("warping", repetition, repeat, "turns"))
    return WarpBenchmark(
        size=WARPED_PICTURE_PX,
        repeat=repeat,
        detector=name,
        face_mesh=still.face_mesh is not None,
        parts=list(warp.parts),
        seconds={stage: median(timed.seconds[stage]) for stage in (*ONCE, *EACH)},
    )


class _Stages:
    """Seconds that each stage has taken, repeat by repeat."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def __call__(self, stage: str, work: Callable[..., Made], *given: Any) -> Made:
        start = time.perf_counter()
        made = work(*given)
        self.seconds[stage].append(time.perf_counter() - start)
        return made


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and torch compute in one thread."""
    import cv2
    import torch

    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def _film(frames: int) -> tuple[Pictures, list[Pose]]:
    """Draw a person of the test seeds from the hips up, and their poses."""
    import torch

    from magicpose_cli.synthetic.casting import animate_motions, sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    generator = torch.Generator().manual_seed(TEST_SEEDS + FIRST_SEED)
    identity = sample_identities(1, WARPED_PICTURE_PX, generator, framing="half")
    motion = animate_motions(1, frames, generator)
    drawn = [render(identity, motion.rows(slice(i, i + 1))) for i in range(frames)]
    pictures = np.concatenate([to_pictures(people.images) for people in drawn])
    return pictures, [people.poses()[0] for people in drawn]


def _detected(name: str, pictures: Pictures) -> list[Pose]:
    from magicpose_cli.pose.detection.detect import detect_one, load_detector

    loaded = load_detector(name, still=True)
    try:
        poses = [detect_one(loaded, picture) for picture in pictures]
    finally:
        loaded.close()
    if any(pose.is_empty for pose in poses):
        raise DetectionError(
            f"{name} does not find the drawn person; take another detector, or none for the points "
            "as they are drawn"
        )
    return poses
