"""What a pose file says, and what the files of others leave to be settled."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.arrays import AnyArray, Mask
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import MESH_POINTS, PARTS, Pose

PersonPoints = dict[str, AnyArray]
"""What a file says of somebody in a frame: (n, 3) x, y, score by part; body_3d and face_3d, too,
and as mesh MediaPipe's face, (468 or 478, 3), whose z is in the unit of x."""
PixelSize = tuple[int, int]
"""Width and height in pixels."""

MAX_SIDE = 16384  # pixels of a canvas
MAX_COORDINATE = 1e6  # pixels; points lie near their canvas
MIN_FPS, MAX_FPS = 0.001, 1000.0
MAX_CLIP_FRAMES = 2_000_000  # 18 hours at 30 frames a second
SIDE_STEP = 8  # a canvas made up from the points' extent has such sides


def seen_rows(pose: Pose, part: str) -> AnyArray:
    """(n, 3) float32 x, y, score of a part's points; 0, 0, 0 where unseen, as files have it."""
    points, score = getattr(pose, part), getattr(pose, f"{part}_score")
    seen = (score > 0) & np.isfinite(points).all(axis=1)
    rows = np.where(seen[:, None], np.column_stack([points, score]), 0.0)
    return rows.astype(np.float32)


@dataclass
class Told:
    """What a file says.

    frames: everybody in each of them. size: its canvas. in_pixels: whether coordinates are pixels
    of the canvas, else parts of it; None where the points alone can tell. notes: as a PeopleClip's.
    pictures: names of the pictures of which the poses are.
    """

    frames: list[list[PersonPoints]]
    size: PixelSize | None = None
    fps: float | None = None
    in_pixels: bool | None = None
    notes: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def reach(self) -> AnyArray:
        """(n, 2) where points are seen, in the file's unit."""
        points = [
            data[data[:, 2] > 0, :2]
            for people in self.frames
            for person in people
            for part, data in person.items()
            if part in PARTS
        ]
        return np.concatenate(points) if points else np.zeros((0, 2))


@dataclass(frozen=True)
class Beside:
    """A film or a picture that lies beside a pose file and is what its poses are of."""

    name: str
    size: PixelSize
    fps: float | None = None
    frame_count: int = 1


def settle(
    where: str, told: Told, *, asked: PixelSize | None = None, beside: Beside | None = None
) -> PeopleClip:
    """The clip of what a file says, its coordinates in pixels of a canvas.

    asked: the user's canvas, for files that do not tell theirs. Without either it is that of what
    lies beside, or as large as the points reach. Coordinates that are not in pixels are parts of
    the canvas and scaled by it; where neither is known that is so if all points lie about 0..1.
    People without a single seen point are left out. Errors: InputError, beginning with `where`.
    """
    notes, fps = list(told.notes), told.fps
    if told.size and asked and told.size != asked:
        shown = f"{told.size[0]}x{told.size[1]}"
        notes.append(f"{where}: tells its canvas, {shown}; --canvas was not needed")
    size = told.size or asked
    seen, in_pixels = told.reach(), told.in_pixels
    if in_pixels is None:
        in_pixels = not _are_parts_of_canvas(where, seen)
    if size is None and beside is not None:
        size = beside.size
        rate = ""
        if fps is None and beside.fps and beside.frame_count == len(told.frames) > 1:
            fps, rate = beside.fps, f" at {beside.fps:g} frames a second"
        notes.append(
            f"{where}: the canvas is not told; taken as {size[0]}x{size[1]}{rate}, as "
            f"{beside.name} beside it has (--canvas WIDTHxHEIGHT sets it)"
        )
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
    scale = (1, 1) if in_pixels else size
    everybody = [
        largest_first(
            pose for pose in (_pose(person, size, scale) for person in people) if not pose.is_empty
        )
        for people in told.frames
    ]
    return PeopleClip(everybody, *size, fps=fps, notes=notes)


def _pose(person: PersonPoints, size: PixelSize, scale: PixelSize) -> Pose:
    flat, deep = np.array([*scale, 1.0]), np.array([*scale, scale[0]], np.float32)
    data = {part: rows * flat if part in PARTS else rows for part, rows in person.items()}
    mesh = data.pop("mesh", None)
    if mesh is not None:
        mesh = mesh.astype(np.float32) * deep
        data["face_3d"] = mesh[list(FACE_FROM_478)]
        if len(mesh) == MESH_POINTS:  # 468 without the irises
            data["face_mesh"] = mesh
    return Pose.of(size[0], size[1], **data)


def _are_parts_of_canvas(where: str, seen: Mask) -> bool:
    """Whether the seen points (n, 2) could be nobody in pixels.

    A little beyond 0 to 1 is a point beyond the picture's border.
    """
    if len(seen) < 2 or seen.min() < -1 or seen.max() > 2:
        return False
    if seen.min() < -0.5 and seen.max() <= 1:
        raise InputError(
            f"{where}: coordinates seem to run from -1 to 1; expected pixels or 0 to 1 "
            "(OpenPose's --keypoint_scale 0 or 3)"
        )
    return True


def _reach(where: str, seen: Mask) -> PixelSize:
    far = seen.max(axis=0, initial=0.0)
    if not (far > 0).all() or (far > MAX_SIDE).any():
        raise InputError(
            f"{where}: the canvas is not told and the points do not give it away; pass its size "
            "as --canvas WIDTHxHEIGHT"
        )
    width, height = (min(MAX_SIDE, SIDE_STEP * -int(-side // SIDE_STEP)) for side in far)
    return width, height
