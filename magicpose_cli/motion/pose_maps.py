"""The maps that show the driver's motion to the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from magicpose_cli.arrays import Picture
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.motion import Motion
from magicpose_cli.video import OnHeld


def draw_maps(
    driver: Driver,
    motion: Motion,
    pose_draw_size: int,
    frames: Sequence[int],
    on_held: OnHeld = lambda number: None,
) -> Iterator[Picture]:
    """What the network sees, one picture for each of these frames.

    Args:
        driver: the driver; its own pictures are the maps where they are ready-drawn.
        motion: the poses, or how ready-drawn maps are framed.
        pose_draw_size: short side in pixels at which poses are drawn, see `pose_map`.
        frames: rising indices into the chosen frames of the driver.
        on_held: called with the number of each ready-drawn map that cannot be decoded.
    """
    from PIL import Image

    from magicpose_cli.pose.pose_map import pose_map

    if driver.kind != "pose-maps":
        return (pose_map(motion.poses[i], pose_draw_size) for i in frames)
    framing = motion.placing
    assert framing is not None  # as of all such maps
    return (
        framing.picture(picture, Image.Resampling.BILINEAR)
        for picture in picked(driver.frames(on_held=on_held), frames)
    )


def picked(pictures: Iterator[Picture], indices: Iterable[int]) -> Iterator[Picture]:
    """Those of a sequence that stand at these rising indices."""
    at = 0
    for index in indices:
        yield from islice(pictures, index - at, index - at + 1)
        at = index + 1
