"""The driver's dense face on the reference's: its turn, way and expression since the anchor.

What a detector reads off two faces differs by more than either moves in a frame. So nothing of the
driver's shape is taken, and nothing of its place: only what has changed since the frame in which
the two look alike. Where even there the heads look elsewhere, the reference's looks as the driver's
does, as far as that turns it less.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats, Points, softly_limited
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import MESH_POINTS, Pose
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.pose.retargeting.points import FACE, POINT_INDEX

# Points of the 478 that an expression hardly moves: forehead, temples, nose bridge, eye corners.
RIGID = [10, 109, 338, 67, 297, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454,
         168, 6, 197, 195, 33, 133, 362, 263]  # fmt: skip
IRISES = ((468, (33, 133)), (473, (263, 362)))  # an iris's first point, and its eye's corners
MAX_MESH_TURN_RAD = 0.7  # from the reference's own
CHEEK_HIDDEN_RAD = 0.52  # by which a face looks aside that shows its other cheek edge-on
SOFT_SHARE = 0.7  # of such a turn, up to which it is free
ALIKE_TURN_RAD = 0.07  # between two heads, as much as faces of other shapes seem to be turned
TURN_SHARES = np.linspace(0, 1, 11)  # of the turn between the two in the anchor, that are tried
TEMPLES = (234, 454)
MESH_NOISE_PX = 0.6  # of a point, in the driver's picture: a profile shows the less
EXPRESSION_SPREAD = 0.025  # of the face's width: how far an expression moves points as a rule
LIKELY_SIZE = (0.5, 2.0)  # of a face since the anchor, beyond which a mesh is a mistake


def carried_meshes(
    poses: Sequence[Pose],
    moved: Floats,
    target: Pose,
    anchor: int,
    *,
    alike: bool = True,
    least_turn: bool = False,
    expression: float = 1.0,
    head: float = 1.0,
    gaze: float = 1.0,
) -> Points | None:
    """Move the reference's mesh as the driver's has moved since the anchor.

    moved: (frames, points, 2), the driver's points on the reference, to tell where the head goes.
    alike: whether the anchor stands as the reference does; else the head is as upright as the
    driver's, for so is the body below it. least_turn: whether a reference that looks elsewhere than
    the anchor may be turned in it, too. expression, head, gaze: how much of the driver's is taken;
    1 is all. Unless it is turned, the anchor's mesh is the reference's own. A frame without a mesh
    has that of its neighbors, gone along with the head.
    """
    clip = PoseClip.of(poses)
    frames = clip.mesh_frames().tolist()
    if target.face_mesh is None or clip.face_mesh is None or not frames:
        return None
    start = min(frames, key=lambda index: abs(index - anchor))
    middle, reference = _centered(target.face_mesh)
    start_middle, own = _centered(clip.face_mesh[start])
    to_reference, size = _turn_and_scale(own, reference)
    upright = Rotation.identity()
    if not alike:
        across = to_reference.as_matrix()[:, 0]
        upright = Rotation.from_euler("z", -np.arctan2(across[1], across[0]))
    steps = [_turn_and_scale(own, _centered(clip.face_mesh[index])[1]) for index in frames]
    first = Rotation.identity()
    if least_turn:
        turns = Rotation.concatenate([turn for turn, _ in steps])
        first = _least_turned(to_reference.inv() * upright.inv(), turns)
    most = _most_turn(reference)
    off = _middle_step(moved[start, FACE] - target.face)  # of a body that stands in another way
    found: dict[int, Floats] = {}
    for index, (turn, grown) in zip(frames, steps, strict=True):
        now_middle, now = _centered(clip.face_mesh[index])
        if not LIKELY_SIZE[0] <= grown <= LIKELY_SIZE[1]:
            continue
        change = _trust(now) * (turn.inv().apply(now) / grown - own)
        change = expression * change + _looks(change, gaze - expression)
        shape = reference + size * to_reference.apply(change)
        turned = _within(turn * first, head, most)
        shape = grown * (turned * upright).apply(shape)
        way = size * (now_middle - start_middle)
        way[:2] += _strayed(clip, moved, start, index, size) + off
        found[index] = shape + middle + way
    return _filled(found, moved)


def rigid_change(mesh: Floats, other: Floats) -> tuple[Rotation, float]:
    """The turn and the growth that lay the rigid points of one face, (478, 3), onto another's."""
    return _turn_and_scale(_centered(mesh)[1], _centered(other)[1])


def turn_between(mesh: Floats, other: Floats) -> float:
    """Radians by which two heads, (478, 3) each, are turned against each other."""
    return float(_turn(mesh, other).magnitude())


def nod_between(mesh: Floats, other: Floats) -> float:
    """Of that turn, the radians about the picture's horizontal, with their sign."""
    return float(_turn(mesh, other).as_rotvec()[0])


def facing(mesh: Floats) -> float:
    """How much of a face's width its picture shows: 1 from the front, 0 in profile.

    Args:
        mesh: (478, 3) pixels.
    """
    return seen_share(mesh[list(TEMPLES)])


def seen_share(ends: Floats) -> float:
    """How much of the length between two points, (2, 3) pixels, its picture shows, 0 to 1."""
    across = np.subtract(ends[1], ends[0], dtype=np.float64)
    return float(np.linalg.norm(across[:2])) / max(float(np.linalg.norm(across)), 1e-9)


def yaw_of(mesh: Floats) -> float:
    """Radians by which a face, (478, 3), looks aside; positive where its left cheek is hidden."""
    across = mesh[TEMPLES[1]] - mesh[TEMPLES[0]]
    return float(np.arctan2(across[2], across[0]))


def _least_turned(between: Rotation, turns: Rotation) -> Rotation:
    """The share of the turn from the reference's head to the anchor's that the reference takes.

    A picture shows one side of a head: it is turned as little as the film allows. That is none of
    it where the anchor's head is as it mostly is. turns: of each frame's head since the anchor.
    """
    angle = float(between.magnitude())
    if angle <= ALIKE_TURN_RAD:
        return Rotation.identity()
    vector = between.as_rotvec() * (1 - ALIKE_TURN_RAD / angle)
    shares = [Rotation.from_rotvec(share * vector) for share in TURN_SHARES]
    return min(shares, key=lambda first: float(np.median((turns * first).magnitude())))


def _turn(mesh: Floats, other: Floats) -> Rotation:
    one, two = (m[RIGID].astype(np.float64) - m[RIGID].mean(0) for m in (mesh, other))
    return Rotation.align_vectors(two, one)[0]


def _most_turn(mesh: Floats) -> float:
    """The radians that a head may turn aside to show its hidden cheek: as a rule MAX_MESH_TURN_RAD.

    A head that looks aside may turn half the way to the front at least, and farther the more pixels
    of that cheek there are to be stretched; what is mirrored for the rest fits only so far.
    Positive for a head whose left cheek is the hidden one, which turns to the picture's left.
    """
    aside = yaw_of(mesh)
    hidden = min(1.0, abs(aside) / CHEEK_HIDDEN_RAD)
    most = (1 - hidden / 2) * abs(aside) + (1 - hidden) * MAX_MESH_TURN_RAD
    return float(np.copysign(min(most, MAX_MESH_TURN_RAD), aside))


def _within(turn: Rotation, share: float, most: float) -> Rotation:
    """This share of a turn; beyond what one picture can show of a head, it stops.

    most: of `_most_turn`. Toward there it comes to rest softly.
    """
    vector = share * turn.as_rotvec()
    if abs(most) < MAX_MESH_TURN_RAD and most * vector[1] > 0:
        limited = softly_limited(abs(vector[1]), SOFT_SHARE * abs(most), abs(most))
        vector[1] = np.copysign(limited, vector[1])
    return Rotation.from_rotvec(as_far_as_shown(vector))


def as_far_as_shown(turns: Floats) -> Floats:
    """Rotation vectors (..., 3), the long ones shortened to turns that one picture can show.

    Toward MAX_MESH_TURN_RAD a head comes to rest softly.
    """
    angles = np.linalg.norm(turns, axis=-1, keepdims=True)
    limited = softly_limited(angles, SOFT_SHARE * MAX_MESH_TURN_RAD, MAX_MESH_TURN_RAD)
    return np.asarray(turns * limited / np.maximum(angles, 1e-9))


def _centered(face_mesh: Points) -> tuple[Floats, Floats]:
    """The middle of the rigid points, (3,), and the mesh around it, (478, 3)."""
    mesh = face_mesh.astype(np.float64)
    middle = mesh[RIGID].mean(0)
    return middle, mesh - middle


def _turn_and_scale(source: Floats, target: Floats) -> tuple[Rotation, float]:
    """What lays the rigid points of one centered mesh onto another's (Umeyama 1991)."""
    one, other = source[RIGID], target[RIGID]
    turn, _ = Rotation.align_vectors(other, one)
    return turn, float((other * turn.apply(one)).sum() / (one**2).sum())


def _trust(mesh: Floats) -> float:
    """The share of an expression that is likely true, of a mesh in the driver's pixels.

    What is seen is taken for an expression and the detector's noise, which the turn back to the
    front enlarges (the least squares estimate of the one, Wiener 1949). A small face in profile
    shows next to nothing.
    """
    width = float(np.linalg.norm(mesh[TEMPLES[1]] - mesh[TEMPLES[0]]))
    noise = MESH_NOISE_PX / max(width * facing(mesh) ** 2, 1e-9)
    return 1 / (1 + (noise / EXPRESSION_SPREAD) ** 2)


def _looks(change: Floats, share: float) -> Floats:
    """(478, 3) a share of how the irises go between the corners of the eyes; 0 elsewhere."""
    looks = np.zeros_like(change)
    for first, corners in IRISES:
        iris = slice(first, first + 5)
        looks[iris] = share * (change[first] - change[list(corners)].mean(axis=0))
    return looks


def _strayed(clip: PoseClip, moved: Floats, start: int, index: int, size: float) -> Floats:
    """(2,) how much further than the driver's the face has gone on the reference since `start`.

    Longer legs or a shorter neck take it there.
    """
    face = clip.part("face")
    own = face[index].astype(np.float64) - face[start]
    return _middle_step(moved[index, FACE] - moved[start, FACE] - size * own)


def _middle_step(steps: Floats) -> Floats:
    """(2,) the median of (n, 2) steps that are known; 0 where none is."""
    known = steps[np.isfinite(steps).all(axis=1)]
    return np.median(known, axis=0) if len(known) else np.zeros(2)


def _filled(found: dict[int, Floats], moved: Floats) -> Points | None:
    """The meshes of all frames; between two that are known in a straight line, beside the head."""
    frames = np.array(sorted(found))
    if not len(frames):
        return None
    meshes = np.empty((len(moved), MESH_POINTS, 3), np.float32)
    for index in range(len(moved)):
        if index not in found:
            after = int(np.searchsorted(frames, index))
            sides = frames[max(after - 1, 0)], frames[min(after, len(frames) - 1)]
            share = (index - sides[0]) / max(sides[1] - sides[0], 1)
            carried = []
            for side in sides:
                mesh = found[side].copy()
                mesh[:, :2] += _way_since(moved, int(side), index)
                carried.append(mesh)
            mesh = carried[0] + np.clip(share, 0, 1) * (carried[1] - carried[0])
        else:
            mesh = found[index]
        meshes[index] = mesh
    return meshes


def _way_since(moved: Floats, side: int, index: int) -> Floats:
    """(2,) the way of a head from the last frame with a mesh to one without.

    The joints of a head lie elsewhere where they are not of the mesh. So they tell the way from the
    first frame without one on; up to that, and where no joint is seen, the neck does.
    """
    neck, head = [POINT_INDEX["neck"]], list(HEAD_JOINTS)
    first = side + int(np.sign(index - side))
    further = moved[index] - moved[first]
    seen = np.isfinite(further[head]).any()
    way: Floats = _middle_step((moved[first] - moved[side])[neck])
    return way + _middle_step(further[head if seen else neck])
