"""The driver's dense face on the reference's: its turn, way and expression since the anchor.

What a detector reads off two faces differs by more than either moves in a frame. So nothing of the
driver's shape is taken, and nothing of its place: only what has changed since the frame in which
the two look alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import FACE, INDEX

# Points of the 478 that an expression hardly moves: forehead, temples, nose bridge, eye corners.
RIGID = [10, 109, 338, 67, 297, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454,
         168, 6, 197, 195, 33, 133, 362, 263]  # fmt: skip
FURTHEST_TURN = 0.9  # radians from the reference's own
LIKELY_SIZE = (0.5, 2.0)  # of a face since the anchor, beyond which a mesh is a mistake


def carried_meshes(
    poses: Sequence[Pose],
    moved: np.ndarray,
    target: Pose,
    anchor: int,
    *,
    alike: bool = True,
    expression: float = 1.0,
    head: float = 1.0,
) -> list[np.ndarray | None]:
    """(478, 3) float32 for each frame, in the reference's pixels; None for all where the reference
    or the driver has no mesh.

    moved: (frames, points, 2), the driver's points on the reference, to tell where the head goes.
    alike: whether the anchor stands as the reference does; else the head is as upright as the
    driver's, for so is the body below it. expression, head: how much of the driver's is taken; 1 is
    all. The anchor's mesh is the reference's own. A frame without a mesh has that of its neighbors,
    gone along with the neck.
    """
    frames = [index for index, pose in enumerate(poses) if pose.face_mesh is not None]
    if target.face_mesh is None or not frames:
        return [None] * len(poses)
    start = min(frames, key=lambda index: abs(index - anchor))
    middle, reference = _centered(target)
    start_middle, own = _centered(poses[start])
    to_reference, size = _turn_and_scale(own, reference)
    upright = Rotation.identity()
    if not alike:
        across = to_reference.as_matrix()[:, 0]
        upright = Rotation.from_euler("z", -np.arctan2(across[1], across[0]))
    off = moved[start, FACE] - target.face  # of a body that stands in another way
    off = np.median(off[np.isfinite(off).all(1)], axis=0) if np.isfinite(off).all(1).any() else 0.0
    found: dict[int, np.ndarray] = {}
    for index in frames:
        now_middle, now = _centered(poses[index])
        turn, grown = _turn_and_scale(own, now)
        if not LIKELY_SIZE[0] <= grown <= LIKELY_SIZE[1]:
            continue
        change = turn.inv().apply(now) / grown - own
        shape = reference + expression * size * to_reference.apply(change)
        shape = grown * (_within(turn, head) * upright).apply(shape)
        way = size * (now_middle - start_middle)
        way[:2] += _strayed(poses, moved, start, index, size) + off
        found[index] = shape + middle + way
    return _filled(found, moved)


def turn_between(mesh: np.ndarray, other: np.ndarray) -> float:
    """Radians by which two heads, (478, 3) each, are turned against each other."""
    return float(_turn(mesh, other).magnitude())


def nod_between(mesh: np.ndarray, other: np.ndarray) -> float:
    """Of that turn, the radians about the picture's horizontal, with their sign."""
    return float(_turn(mesh, other).as_rotvec()[0])


def _turn(mesh: np.ndarray, other: np.ndarray) -> Rotation:
    one, two = (m[RIGID].astype(np.float64) - m[RIGID].mean(0) for m in (mesh, other))
    return Rotation.align_vectors(two, one)[0]


def _within(turn: Rotation, share: float) -> Rotation:
    """This share of a turn; beyond what one picture can show of a head, it stops."""
    vector = share * turn.as_rotvec()
    angle = float(np.linalg.norm(vector))
    return Rotation.from_rotvec(vector * min(1.0, FURTHEST_TURN / max(angle, 1e-9)))


def _centered(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the rigid points, (3,), and the mesh around it, (478, 3)."""
    assert pose.face_mesh is not None
    mesh = pose.face_mesh.astype(np.float64)
    middle = mesh[RIGID].mean(0)
    return middle, mesh - middle


def _turn_and_scale(source: np.ndarray, target: np.ndarray) -> tuple[Rotation, float]:
    """What lays the rigid points of one centered mesh onto another's (Umeyama 1991)."""
    one, other = source[RIGID], target[RIGID]
    turn, _ = Rotation.align_vectors(other, one)
    return turn, float((other * turn.apply(one)).sum() / (one**2).sum())


def _strayed(
    poses: Sequence[Pose], moved: np.ndarray, start: int, index: int, size: float
) -> np.ndarray:
    """(2,) how much further than the driver's the face has gone on the reference since `start`, as
    longer legs or a shorter neck take it."""
    own = poses[index].face.astype(np.float64) - poses[start].face
    further = moved[index, FACE] - moved[start, FACE] - size * own
    further = further[np.isfinite(further).all(1)]
    return np.median(further, axis=0) if len(further) else np.zeros(2)


def _filled(found: dict[int, np.ndarray], moved: np.ndarray) -> list[np.ndarray | None]:
    """The meshes of all frames; between two that are known in a straight line, beside the neck."""
    frames = np.array(sorted(found))
    if not len(frames):
        return [None] * len(moved)
    neck = moved[:, INDEX["neck"]]
    meshes: list[np.ndarray | None] = []
    for index in range(len(moved)):
        if index not in found:
            after = int(np.searchsorted(frames, index))
            sides = frames[max(after - 1, 0)], frames[min(after, len(frames) - 1)]
            share = (index - sides[0]) / max(sides[1] - sides[0], 1)
            carried = []
            for side in sides:
                mesh = found[side].copy()
                way = neck[index] - neck[side]
                mesh[:, :2] += np.where(np.isfinite(way), way, 0.0)
                carried.append(mesh)
            mesh = carried[0] + np.clip(share, 0, 1) * (carried[1] - carried[0])
        else:
            mesh = found[index]
        meshes.append(mesh.astype(np.float32))
    return meshes
