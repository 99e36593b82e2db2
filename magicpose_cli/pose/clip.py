"""Clips of poses: one person as dense arrays, and everybody of a file frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, overload

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Mask, Points, Scores
from magicpose_cli.pose.keypoints import (
    BODY_JOINTS,
    EXTRAS,
    PARTS,
    Pose,
    enlargement,
    move_points,
)

# Where each part's points stand among the 128 columns.
PART_COLUMNS = {
    "body": slice(0, 18),
    "face": slice(18, 86),
    "left_hand": slice(86, 107),
    "right_hand": slice(107, 128),
}
POINT_COUNT = sum(PARTS.values())
MAX_PICTURE_SIZES = 10.0  # from the corner, beyond which a point is a detector's mistake


@dataclass(eq=False)
class PoseClip(Sequence[Pose]):
    """One person through all frames of a clip: a sequence of poses, kept as dense arrays.

    `clip[i]` and iteration give a Pose whose arrays are views; `clip[a:b]` is a clip of views, too.

    Attributes:
        width: of the frames, pixels.
        height: of the frames, pixels.
        points: (frames, 128, 2) pixels in the order of PART_COLUMNS; NaN where unseen.
        scores: (frames, 128), 0 where unseen.
        body_3d: (frames, 18, 3) points in space, see `Pose`. A frame that has none is NaN here and
            in the fields below; None where no frame has any.
        face_3d: (frames, 68, 3) points in space.
        face_mesh: (frames, 478, 3) dense faces.
        body_guess: (frames, 18, 3) x, y, score as the detector guesses it.
        fps: frames a second; None where that is not known.
    """

    width: int
    height: int
    points: Points
    scores: Scores
    body_3d: Points | None = None
    face_3d: Points | None = None
    face_mesh: Points | None = None
    body_guess: Points | None = None
    fps: float | None = None

    @classmethod
    def of(cls, poses: Sequence[Pose], fps: float | None = None) -> PoseClip:
        """Gather poses, one a frame, of one picture size; a clip is returned as it is."""
        if isinstance(poses, PoseClip):
            return poses
        if not poses:
            return cls.empty(0, 0)
        points = [np.stack([getattr(pose, part) for pose in poses]) for part in PARTS]
        scores = [np.stack([getattr(pose, f"{part}_score") for pose in poses]) for part in PARTS]
        extras: dict[str, Any] = {
            name: _stacked([getattr(pose, name) for pose in poses], name) for name in EXTRAS
        }
        return cls(
            poses[0].width,
            poses[0].height,
            np.concatenate(points, axis=1).astype(np.float32),
            np.concatenate(scores, axis=1).astype(np.float32),
            **extras,
            fps=fps,
        )

    @classmethod
    def empty(cls, width: int, height: int) -> PoseClip:
        """A clip without frames."""
        points = np.zeros((0, POINT_COUNT, 2), np.float32)
        return cls(width, height, points, np.zeros((0, POINT_COUNT), np.float32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray], width: int, height: int) -> PoseClip:
        """Undo `arrays`; other keys are not looked at."""
        points = np.concatenate([arrays[part] for part in PARTS], axis=1)
        scores = np.concatenate([arrays[f"{part}_score"] for part in PARTS], axis=1)
        extras: dict[str, Any] = {name: arrays[name] for name in EXTRAS if name in arrays}
        return cls(width, height, points, scores, **extras)

    def arrays(self) -> dict[str, AnyArray]:
        """The arrays by the names of a Pose's fields, each with the frames first."""
        found: dict[str, AnyArray] = {}
        for part, columns in PART_COLUMNS.items():
            found[part], found[f"{part}_score"] = self.points[:, columns], self.scores[:, columns]
        extras = {name: getattr(self, name) for name in EXTRAS}
        return found | {name: values for name, values in extras.items() if values is not None}

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, index: int) -> Pose: ...
    @overload
    def __getitem__(self, index: slice) -> PoseClip: ...
    def __getitem__(self, index: int | slice) -> Pose | PoseClip:
        if isinstance(index, slice):
            names = ("points", "scores", *EXTRAS)
            arrays = {name: getattr(self, name) for name in names}
            rows: dict[str, Any] = {n: a[index] for n, a in arrays.items() if a is not None}
            return replace(self, **rows)
        parts: dict[str, Any] = {}
        for part, columns in PART_COLUMNS.items():
            parts[part] = self.points[index, columns]
            parts[f"{part}_score"] = self.scores[index, columns]
        for name in EXTRAS:
            values = getattr(self, name)
            if values is not None and not np.isnan(values[index]).all():
                parts[name] = values[index]
        return Pose(self.width, self.height, **parts)

    def __iter__(self) -> Iterator[Pose]:
        return (self[index] for index in range(len(self)))

    @property
    def seen(self) -> Mask:
        """(frames, 128) which points are seen."""
        return self.scores > 0

    def part(self, name: str) -> Points:
        """(frames, n, 2) pixels of one of PARTS, a view."""
        return self.points[:, PART_COLUMNS[name]]

    def joint(self, name: str) -> Points:
        """(frames, 2) pixels of a body joint, a view."""
        return self.points[:, BODY_JOINTS.index(name)]

    def mesh_frames(self) -> AnyArray:
        """Indices of the frames that have a face mesh, rising."""
        if self.face_mesh is None:
            return np.zeros(0, np.intp)
        return np.flatnonzero(has_mesh(self.face_mesh))

    def map_points(self, function: Callable[[Floats], Floats], width: int, height: int) -> PoseClip:
        """Do to every frame as `Pose.map_points` does; the function maps (..., 2) pixels."""
        moved: dict[str, Any] = {"points": function(self.points).astype(np.float32)}
        if self.face_mesh is not None:
            moved["face_mesh"] = move_points(self.face_mesh, function, enlargement(function))
        if self.body_guess is not None:
            moved["body_guess"] = move_points(self.body_guess, function)
        return replace(self, width=width, height=height, **moved)

    def shifted(self, steps: Floats) -> PoseClip:
        """The clip with each frame moved by its own step; steps: (frames, 2) pixels."""
        moved: dict[str, Any] = {"points": (self.points + steps[:, None]).astype(np.float32)}
        for name in ("face_mesh", "body_guess"):
            if (values := getattr(self, name)) is not None:
                moved[name] = values.copy()
                moved[name][..., :2] += steps[:, None]
        return replace(self, **moved)

    def forget(self, unseen: Mask) -> None:
        """Take points out in place; unseen: (frames, 128)."""
        self.points[unseen], self.scores[unseen] = np.nan, 0.0

    def forget_faceless_meshes(self) -> None:
        """Take out in place the meshes of frames in which no point of the face is seen."""
        if self.face_mesh is not None:
            self.face_mesh[~self.seen[:, PART_COLUMNS["face"]].any(axis=1)] = np.nan

    def forget_impossible_points(self) -> None:
        """Take out in place what has no number, lies far outside or in the very corner."""
        limit = MAX_PICTURE_SIZES * np.float32(max(self.width, self.height))
        with np.errstate(invalid="ignore"):
            wrong = ~(self.scores > 0) | ~(np.abs(self.points) < limit).all(axis=2)
        wrong |= (self.points == 0).all(axis=2)  # how many tools write "not found"
        self.forget(wrong)


@dataclass
class PeopleClip:
    """Everybody in each frame of a clip.

    Attributes:
        people: everybody in each frame, the largest first; [] where nobody is.
        width: of the frames, pixels.
        height: of the frames, pixels.
        fps: frames a second; None where the file does not tell.
        notes: what was assumed or left out in reading, one line each.
    """

    people: list[list[Pose]]
    width: int
    height: int
    fps: float | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, poses: Sequence[Pose], fps: float | None) -> Self:
        """A clip of one person: one pose a frame (at least one), empty where nobody was seen."""
        size = poses[0].width, poses[0].height
        return cls([[] if pose.is_empty else [pose] for pose in poses], *size, fps)

    @property
    def largest(self) -> PoseClip:
        """The largest person of each frame; an empty pose where nobody is."""
        nobody = Pose.of(self.width, self.height)
        poses = [everybody[0] if everybody else nobody for everybody in self.people]
        return PoseClip.of(poses, self.fps)


def has_mesh(meshes: Points) -> Mask:
    """Whether there is a mesh in each frame: (frames,) of (frames, 478, 3); one is whole or NaN."""
    there: Mask = np.isfinite(meshes[:, 0, 0])
    return there


def _stacked(rows: Sequence[AnyArray | None], name: str) -> Points | None:
    """(frames, n, 3), NaN where a row is None; None where all are."""
    if all(row is None for row in rows):
        return None
    unknown = np.full((EXTRAS[name], 3), np.nan, np.float32)
    return np.stack([unknown if row is None else row for row in rows]).astype(np.float32)
