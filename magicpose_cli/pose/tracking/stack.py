"""A clip of poses as two arrays, so that what mends and smooths it works on all frames at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from magicpose_cli.pose.keypoints import BODY_JOINTS, MESH_POINTS, PARTS, Pose

# Where each part's points stand among the 128 columns.
COLUMNS = {
    "body": slice(0, 18),
    "face": slice(18, 86),
    "left_hand": slice(86, 107),
    "right_hand": slice(107, 128),
}
# A face or hand is where this joint is.
ANCHORS = {"face": "nose", "left_hand": "left_wrist", "right_hand": "right_wrist"}
FARTHEST = 10.0  # picture sizes from the corner beyond which a point is a detector's mistake
SIZE_WINDOW_S = 2.0
SIZE_SAMPLES = 25  # frames of that window that are looked at


@dataclass
class Stack:
    """points (frames, 128, 2) float32 pixels, NaN where unseen; scores (frames, 128) float32.

    mesh: (frames, 478, 3) float32, of a pose's face_mesh, NaN in the frames without one; None where
    there is none at all, or where nobody asks for it.
    """

    points: np.ndarray
    scores: np.ndarray
    mesh: np.ndarray | None = None

    @classmethod
    def of(cls, poses: Sequence[Pose], *, mesh: bool = False) -> Stack:
        """Copies; points without a number, far outside or exactly in the corner are unseen.

        mesh: take the faces' meshes along, where a pose has one.
        """
        points = np.concatenate(
            [np.stack([getattr(pose, part) for pose in poses]) for part in PARTS], axis=1
        ).astype(np.float32)
        scores = np.concatenate(
            [np.stack([getattr(pose, f"{part}_score") for pose in poses]) for part in PARTS], axis=1
        ).astype(np.float32)
        limit = FARTHEST * np.array([max(p.width, p.height) for p in poses], dtype=np.float32)
        with np.errstate(invalid="ignore"):
            wrong = ~(scores > 0) | ~(np.abs(points) < limit[:, None, None]).all(axis=2)
            wrong |= (points == 0).all(axis=2)  # how many tools write "not found"
        points[wrong], scores[wrong] = np.nan, 0.0
        return cls(points, scores, meshes_of(poses) if mesh else None)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def seen(self) -> np.ndarray:
        """(frames, 128) bool."""
        return self.scores > 0

    def between(self, start: int, end: int) -> Stack:
        """A view of some frames."""
        mesh = None if self.mesh is None else self.mesh[start:end]
        return Stack(self.points[start:end], self.scores[start:end], mesh)

    def forget(self, unseen: np.ndarray) -> None:
        """Take points (frames, 128) bool out."""
        self.points[unseen], self.scores[unseen] = np.nan, 0.0

    def forget_meshes(self) -> None:
        """Take the meshes out where no point of the face is seen: they are of the same mistake."""
        if self.mesh is not None:
            self.mesh[~self.seen[:, COLUMNS["face"]].any(axis=1)] = np.nan

    def joint(self, name: str) -> np.ndarray:
        """(frames, 2) of a body joint, a view."""
        return self.points[:, BODY_JOINTS.index(name)]

    def poses(
        self, like: Sequence[Pose], space: Sequence[np.ndarray | None] | None = None
    ) -> list[Pose]:
        """Each frame as a Pose; all but the points, scores and meshes comes from `like`, and
        body_3d from `space` where that is given."""
        clip = []
        meshes = mesh_rows(self.mesh, len(like))
        for i, pose in enumerate(like):
            parts: dict[str, Any] = {}
            for part, columns in COLUMNS.items():
                parts[part] = self.points[i, columns]
                parts[f"{part}_score"] = self.scores[i, columns]
            body_3d = pose.body_3d if space is None else space[i]
            clip.append(replace(pose, **parts, body_3d=body_3d, face_mesh=meshes[i]))
        return clip


def meshes_of(poses: Sequence[Pose]) -> np.ndarray | None:
    """(frames, 478, 3) float32 of the poses' meshes, NaN where a pose has none; None where none
    has."""
    if all(pose.face_mesh is None for pose in poses):
        return None
    meshes = np.full((len(poses), MESH_POINTS, 3), np.nan, np.float32)
    for i, pose in enumerate(poses):
        if pose.face_mesh is not None:
            meshes[i] = pose.face_mesh
    return meshes


def mesh_rows(meshes: np.ndarray | None, count: int) -> list[np.ndarray | None]:
    """The mesh of each of `count` frames, a view; None where it is NaN: `meshes_of` undone."""
    if meshes is None:
        return [None] * count
    return [mesh if there else None for mesh, there in zip(meshes, has_mesh(meshes), strict=True)]


def has_mesh(meshes: np.ndarray) -> np.ndarray:
    """(frames,) bool: whether there is a mesh; one is whole or not there."""
    return np.isfinite(meshes[:, 0, 0])


def sizes(stack: Stack, fps: float) -> np.ndarray:
    """(frames,) pixels: how large the person is, told from what is seen of them around each frame.

    The diagonal of the box around the body joints (around all points where no two joints are seen):
    its upper quartile over SIZE_WINDOW_S, for a part of the joints is hidden at times, and the mean
    of that, for it must not leap; 1 or more everywhere. Lengths are measured by it, not places.
    """
    frames = np.flatnonzero(stack.seen.any(axis=1))
    if not len(frames):
        return np.ones(len(stack))
    diagonal = box_diagonals(stack.points[frames])
    half = max(1, round(SIZE_WINDOW_S * fps / 2))
    offsets = np.unique(np.linspace(-half, half, SIZE_SAMPLES).round().astype(int))
    around = np.clip(np.arange(len(frames))[:, None] + offsets, 0, len(frames) - 1)
    typical = np.quantile(diagonal[around], 0.75, axis=1)[around].mean(axis=1)
    return np.maximum(np.interp(np.arange(len(stack)), frames, typical), 1.0)


def box_diagonals(points: np.ndarray) -> np.ndarray:
    """(n,) from (n, 128, 2): of the boxes around the joints, of all points where there is none."""
    body = points[:, COLUMNS["body"]]
    few = np.isfinite(body[..., 0]).sum(axis=1) < 2
    diagonal = _diagonal(body)
    if few.any():
        diagonal[few] = _diagonal(points[few])
    return diagonal


def _diagonal(points: np.ndarray) -> np.ndarray:
    low = np.nan_to_num(points, nan=np.inf).min(axis=1)
    high = np.nan_to_num(points, nan=-np.inf).max(axis=1)
    return np.hypot(*np.maximum(high - low, 0.0).T.astype(np.float64))


def columns_seen_alike(seen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of columns that are seen in the same frames: (frames, columns), both indices.

    A face or hand is found as a whole, so that a person is some twenty groups, not 128 columns.
    seen: (frames, n) bool. Columns that are never seen are left out.
    """
    groups: dict[bytes, list[int]] = {}
    for column, pattern in enumerate(np.packbits(seen, axis=0).T):
        groups.setdefault(pattern.tobytes(), []).append(column)
    for columns in groups.values():
        frames = np.flatnonzero(seen[:, columns[0]])
        if len(frames):
            yield frames, np.array(columns)


def runs(chosen: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of True in (n,) bool; the end is the first frame after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
