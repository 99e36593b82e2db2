"""The camera of a whole film, followed from the anchor frame on to both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from magicpose_cli.arrays import Picture
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.motion import Motion
from magicpose_cli.pose.keypoints import Pose, shared_points, spread_of
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.warping.camera_motion import (
    CameraMotion,
    mean_motion,
    mesh_places,
    steady_camera,
)
from magicpose_cli.warping.camera_tracking import CameraTracker, PlacedPicture, camera_size
from magicpose_cli.warping.moved_plate import limited_share

MAX_BRIDGED = 5  # frames in a row in which the camera may be lost without being seen to halt
READ_AT_ONCE = 96  # frames that are held, to be looked at from the last to the first


@dataclass(frozen=True)
class CameraPath:
    """The camera's motion in all of a driver's frames.

    Attributes:
        motions: One a frame.
        lost: The frames in which it was not found: the last motion is kept, short gaps are bridged.
    """

    motions: Sequence[CameraMotion]
    lost: tuple[int, ...] = ()

    def stands_still(self, size: tuple[int, int]) -> bool:
        """Whether no frame of a result of (width, height) pixels moves its background."""
        nodes = mesh_places(size)
        return not any(limited_share(one.displacements(nodes), size) for one in self.motions)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a line each."""
        if not self.lost:
            return ()
        return (
            f"camera-motion: in {len(self.lost)} of {len(self.motions)} frames the background "
            "shows too little to follow the camera, the first at frame "
            f"{self.lost[0]}; there its last motion is kept",
        )


def find_camera_path(
    driver: Driver, motion: Motion, on_progress: OnProgress = silent
) -> CameraPath | None:
    """Follow the camera of a driver, in the background around its person.

    Args:
        driver: The opened driver.
        motion: Its motion, laid onto the reference.
        on_progress: Told of each frame.

    Returns:
        The path as the result shows it, by which the plate stands still at the anchor frame; None
        where the driver is no film, or no frame of it was laid onto the reference.
    """
    anchor, poses = motion.anchor, motion.tracked
    if not poses or anchor is None:
        return None
    size = camera_size((poses[0].width, poses[0].height))
    start = next(driver.frames(slice(anchor, anchor + 1), size))
    found = {anchor: CameraMotion.none(size)}
    lost = []
    for pictures in (_after(driver, anchor, size), _before(driver, anchor, size)):
        tracker = CameraTracker(start, poses[anchor])
        for index, picture in pictures:
            found[index], is_found = tracker.follow(picture, poses[index])
            if not is_found:
                lost.append(index)
            on_progress(Progress("camera", len(found), driver.frame_count))
    motions = _bridged([found[i] for i in sorted(found)], lost)
    steady = steady_camera(motions, float(driver.rate))
    scale, origin = _placement(poses[anchor], motion.in_result(motion.poses[anchor]), size)
    placed = [replace(one, scale=scale, origin=origin) for one in steady]
    return CameraPath(placed, tuple(sorted(lost)))


def shows_drivers_place(driver: Driver, motion: Motion, picture: Picture) -> bool:
    """Tell whether a reference shows the place that the driver was filmed in.

    So it is where a frame of the film is animated by the film, be it that somebody has painted the
    person anew. The reference is laid onto the driver's anchor frame as its person is, and onto
    the film's first one.

    Args:
        driver: The opened driver.
        motion: Its motion, laid onto the reference.
        picture: The whole reference, (H, W, 3) uint8 RGB.
    """
    anchor, poses = motion.anchor, motion.tracked
    if not poses or anchor is None or motion.reference_pose is None:
        return False
    size = camera_size((poses[0].width, poses[0].height))
    scale, origin = _placement(poses[anchor], motion.in_result(motion.poses[anchor]), size)
    if scale <= 0:
        return False
    laid = PlacedPicture(
        motion.result_framing.picture(picture), motion.in_result(motion.reference_pose),
        scale, origin,
    )  # fmt: skip
    for index in sorted({anchor, 0}, reverse=True):
        frame = next(driver.frames(slice(index, index + 1), size))
        if CameraTracker(frame, poses[index]).shows_place_of(laid):
            return True
    return False


def _bridged(motions: list[CameraMotion], lost: Sequence[int]) -> list[CameraMotion]:
    """Go evenly through short gaps, where the last motion is kept: a moment's halt would be seen.

    Args:
        motions: Of all frames.
        lost: The frames in which the motion was not found.
    """
    bridged, missing = list(motions), set(lost)
    ends = [i for i in range(len(motions)) if i not in missing]
    for one, other in pairwise(ends):
        if other - one - 1 <= MAX_BRIDGED:
            for i in range(one + 1, other):
                share = (i - one) / (other - one)
                bridged[i] = mean_motion((motions[one], motions[other]), (1 - share, share))
    return bridged


def _after(driver: Driver, anchor: int, size: tuple[int, int]) -> Iterator[tuple[int, Picture]]:
    if anchor + 1 < driver.frame_count:
        yield from enumerate(driver.frames(slice(anchor + 1, None), size), anchor + 1)


def _before(driver: Driver, anchor: int, size: tuple[int, int]) -> Iterator[tuple[int, Picture]]:
    """Read the frames before the anchor, from the last to the first."""
    for end in range(anchor, 0, -READ_AT_ONCE):
        first = max(0, end - READ_AT_ONCE)
        pictures = list(driver.frames(slice(first, end), size))
        yield from ((first + k, pictures[k]) for k in reversed(range(len(pictures))))


def _placement(pose: Pose, placed: Pose, size: tuple[int, int]) -> tuple[float, complex]:
    """Return where the driver's frames lie in the result, as its person does.

    How wide two cameras see is not known. But the camera's motion is in the poses as well, which
    are as much larger or smaller in the result; so who stands keeps to their ground.

    Args:
        pose: Of the anchor frame, in pixels of the film.
        placed: The same, in pixels of the result.
        size: (width, height) of the driver's frames.

    Returns:
        Pixels of the result in one of the driver's frames, and the place x + iy of their origin.
    """
    one, other = shared_points(pose, placed)
    one = one * (size[0] / pose.width, size[1] / pose.height)
    if spread_of(one) > 0:
        scale = spread_of(other) / spread_of(one)
        x, y = other.mean(0) - scale * one.mean(0)
        return scale, complex(x, y)
    scale = placed.width / size[0]
    return scale, complex(0.0, (placed.height - scale * size[1]) / 2)
