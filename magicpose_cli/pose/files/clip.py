"""A clip of poses with everybody in it, and what the files of others leave to be settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.errors import InputError
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.keypoints import PARTS, Pose

Person = dict[str, np.ndarray]
"""What a file says of somebody in a frame: (n, 3) x, y, score by part; body_3d and face_3d, too."""
Size = tuple[int, int]
"""Width and height in pixels."""

MAX_SIDE = 16384  # pixels of a canvas
MAX_COORDINATE = 1e6  # pixels; points lie near their canvas
MIN_FPS, MAX_FPS = 0.001, 1000.0
MAX_FRAMES = 2_000_000  # 18 hours at 30 frames a second
SIDE_STEP = 8  # a canvas made up from the points' extent has such sides


@dataclass
class PoseClip:
    """Poses of a clip whose frames are `width` x `height` pixels.

    people: everybody in each frame, the largest first; [] where nobody is. fps: None where the
    file does not tell. notes: what was assumed or left out in reading, one line each.
    """

    people: list[list[Pose]]
    width: int
    height: int
    fps: float | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, poses: Sequence[Pose], fps: float | None) -> PoseClip:
        """A clip of one person: one pose a frame (at least one), empty where nobody was seen."""
        people = [[] if pose.is_empty else [pose] for pose in poses]
        return cls(people, poses[0].width, poses[0].height, fps)

    @property
    def largest(self) -> list[Pose]:
        """The largest person of each frame; an empty Pose where nobody is."""
        nobody = Pose.of(self.width, self.height)
        return [everybody[0] if everybody else nobody for everybody in self.people]


def seen_rows(pose: Pose, part: str) -> np.ndarray:
    """(n, 3) float32 x, y, score of a part's points; 0, 0, 0 where unseen, as files have it."""
    points, score = getattr(pose, part), getattr(pose, f"{part}_score")
    seen = (score > 0) & np.isfinite(points).all(axis=1)
    rows = np.where(seen[:, None], np.column_stack([points, score]), 0.0)
    return rows.astype(np.float32)


def settle(
    where: str,
    frames: Sequence[Sequence[Person]],
    *,
    told: Size | None,
    asked: Size | None = None,
    fps: float | None = None,
    in_pixels: bool | None = None,
) -> PoseClip:
    """The clip of what a file says, its coordinates in pixels of a canvas.

    told: the file's own canvas; asked: the user's, for files that do not tell. Without either, the
    canvas is made as large as the points reach. Coordinates that are not in pixels are parts of the
    canvas and scaled by it; where neither is known (None) that is so if all points lie about 0..1.
    People without a single seen point are left out. Errors: InputError, beginning with `where`.
    """
    notes = []
    if told and asked and told != asked:
        notes.append(f"{where}: tells its canvas, {told[0]}x{told[1]}; --canvas was not needed")
    size = told or asked
    points = [
        data[data[:, 2] > 0, :2]
        for people in frames
        for person in people
        for part, data in person.items()
        if part in PARTS
    ]
    seen = np.concatenate(points) if points else np.zeros((0, 2))
    if in_pixels is None:
        in_pixels = not _are_parts_of_canvas(where, seen)
    if size is None and not in_pixels:
        raise InputError(
            f"{where}: coordinates run from 0 to 1 and the canvas is not told; pass its size as "
            "--canvas WIDTHxHEIGHT"
        )
    if size is None:
        size = _reach(where, seen)
        notes.append(
            f"{where}: the canvas is not told; taken as {size[0]}x{size[1]}, as far as the points "
            "reach (--canvas WIDTHxHEIGHT sets it)"
        )
    scale = np.ones(3) if in_pixels else np.array([*size, 1.0])
    everybody = [
        largest_first(
            pose for pose in (_pose(person, size, scale) for person in people) if not pose.is_empty
        )
        for people in frames
    ]
    return PoseClip(everybody, *size, fps=fps, notes=notes)


def _pose(person: Person, size: Size, scale: np.ndarray) -> Pose:
    data = {part: rows * scale if part in PARTS else rows for part, rows in person.items()}
    return Pose.of(size[0], size[1], **data)


def _are_parts_of_canvas(where: str, seen: np.ndarray) -> bool:
    """True where the seen points (n, 2) could be nobody in pixels; a little beyond 0..1 is a point
    beyond the picture's border."""
    if len(seen) < 2 or seen.min() < -1 or seen.max() > 2:
        return False
    if seen.min() < -0.5 and seen.max() <= 1:
        raise InputError(
            f"{where}: coordinates seem to run from -1 to 1; expected pixels or 0 to 1 "
            "(OpenPose's --keypoint_scale 0 or 3)"
        )
    return True


def _reach(where: str, seen: np.ndarray) -> Size:
    far = seen.max(axis=0, initial=0.0)
    if not (far > 0).all() or (far > MAX_SIDE).any():
        raise InputError(
            f"{where}: the canvas is not told and the points do not give it away; pass its size "
            "as --canvas WIDTHxHEIGHT"
        )
    width, height = (min(MAX_SIDE, SIDE_STEP * -int(-side // SIDE_STEP)) for side in far)
    return width, height
