"""The driver's frame that stands as the reference does; there the two are laid onto each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.mesh import nod_between, turn_between
from magicpose_cli.pose.retargeting.points import FACE, POINT_INDEX, named_points
from magicpose_cli.pose.retargeting.proportions import sizes_of

# Lines whose directions and shares of the whole make up a stance.
LINES = (
    ("neck", "mid_hip"), ("right_shoulder", "left_shoulder"), ("right_hip", "left_hip"),
    ("neck", "nose"), ("nose", "right_eye"), ("nose", "left_eye"),
    ("nose", "right_ear"), ("nose", "left_ear"),
    *((f"{side}_{a}", f"{side}_{b}")
      for side in ("right", "left")
      for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))),
)  # fmt: skip
UNSEEN = 0.5  # what a line costs that only the reference shows, in lengths of the torso
# A line of the dense face, and the one that it is measured in: openings of mouth and eyes, the
# mouth's width, brows over the eyes, the jaw.
EXPRESSION = (
    ((13, 14), (78, 308)), ((159, 145), (33, 133)), ((386, 374), (362, 263)),
    ((78, 308), (33, 263)), ((105, 159), (33, 263)), ((334, 386), (33, 263)),
    ((17, 168), (33, 263)),
)  # fmt: skip
EXPRESSION_WEIGHTS = np.array([1.0, 0.5, 0.5, 0.4, 0.4, 0.4, 0.3])  # two people's faces differ, too
TURN_WEIGHT = 0.3  # of a radian between the two heads
EQUAL = 1e-3  # differences this near are the same, and the earlier frame is taken
# Of the logarithm by which the eyes are nearer to the neck than usual: such a head is bowed, or
# leans, and laid onto one that is not it would sit too high through all other frames.
CARRIAGE_WEIGHT = 1.0
USUAL_CARRIAGE = 0.05  # of it: within this, any head goes up and down
SAME_STANCE = 0.1  # difference of two stances that are hardly any other: of such nothing is told
# Radians between the reference's nod and the driver's usual one: up to the first it is their way of
# holding the head, from the second on the reference is bowed, or looks up, itself.
NODS = (0.25, 0.6)
FACE_WEIGHT = 0.5  # of the faces' difference, so that among equal stances the expression decides


def check_anchor(anchor: str) -> str:
    """`anchor` if it is "best", "first" or a frame's number from 0; else ConfigError."""
    if anchor in ("best", "first") or (anchor.isascii() and anchor.isdigit()):
        return anchor
    raise ConfigError(
        f"anchor: {anchor!r} is not known; expected best, first or the number of a frame from 0"
    )


def find_anchor(poses: Sequence[Pose], target: Pose, anchor: str = "best") -> int:
    """Index of the frame.

    best: the stance most like the reference's; first: the first frame with anybody. Errors:
    ConfigError where `anchor` is none of these, or a frame that the clip does not have, or one
    without anybody.
    """
    check_anchor(anchor)
    if anchor == "best":
        differences = stance_differences(poses, target)
        return int(np.flatnonzero(differences <= differences.min() + EQUAL)[0])
    somebody = PoseClip.of(poses).seen.any(axis=1)
    if anchor == "first":
        return int(np.argmax(somebody))
    index = int(anchor)
    if index >= len(somebody) or not somebody[index]:
        raise ConfigError(
            f"anchor: frame {index} "
            + (
                "shows nobody"
                if index < len(somebody)
                else f"is beyond the last, {len(somebody) - 1}"
            )
            + "; expected best, first or the number of a frame with the person in it"
        )
    return index


def stance_differences(poses: Sequence[Pose], target: Pose) -> Floats:
    """(frames,): how unlike the reference's stance each frame is; 0 is the same but for size."""
    clip = PoseClip.of(poses)
    reference, driver = named_points([target]), named_points(clip)
    body = _difference(_lines(reference), _lines(driver))
    face = _difference(*_around_common_middle(reference[:, FACE], driver[:, FACE]))
    if target.face_mesh is not None and clip.face_mesh is not None:
        wanted = _expression(target.face_mesh)
        for index in clip.mesh_frames():
            mesh = clip.face_mesh[index]
            apart = np.abs(_expression(mesh) - wanted) @ EXPRESSION_WEIGHTS
            face[index] = apart + TURN_WEIGHT * turn_between(mesh, target.face_mesh)
    carriage = np.minimum(1, body / SAME_STANCE) * _bowed(clip, driver, target)
    differences: Floats = body + FACE_WEIGHT * face + CARRIAGE_WEIGHT * carriage
    return differences


def _bowed(clip: PoseClip, driver: Floats, target: Pose) -> Floats:
    """(frames,) how far the eyes are from where they usually are over the neck.

    The logarithm of a ratio; less as the reference's own head nods from how the driver usually
    holds theirs.
    """
    eyes = (driver[:, POINT_INDEX["right_eye"]] + driver[:, POINT_INDEX["left_eye"]]) / 2
    height = np.linalg.norm(eyes - driver[:, POINT_INDEX["neck"]], axis=1) / sizes_of(driver)
    known = height > 0  # NaN compares false
    if not known.any():
        return np.zeros(len(driver))
    away = np.log(np.where(known, height, 1.0) / np.median(height[known]))
    away = np.where(known, np.maximum(np.abs(away) - USUAL_CARRIAGE, 0), np.abs(away)[known].max())
    frames = clip.mesh_frames()
    if not len(frames) or clip.face_mesh is None or target.face_mesh is None:
        return away
    nods = [nod_between(mesh, target.face_mesh) for mesh in clip.face_mesh[frames]]
    nod = abs(float(np.median(nods)))
    return away * np.interp(nod, NODS, (1.0, 0.0))


def _expression(mesh: Floats) -> Floats:
    """(7,) how far mouth and eyes are open, how wide the mouth is, how high the brows are.

    Of a dense face in space, whatever its turn and size.
    """
    ends = mesh[np.array(EXPRESSION)]  # (7, 2 lines, 2 ends, 3)
    lengths = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=2)
    measures: Floats = lengths[:, 0] / np.maximum(lengths[:, 1], 1e-6)
    return measures


def _difference(reference: Floats, driver: Floats) -> Floats:
    """(frames,) mean distance of vectors, each in sizes of what both show.

    reference: (1 or frames, n, 2); driver: (frames, n, 2).
    """
    reference = np.broadcast_to(reference, driver.shape)
    wanted = np.isfinite(reference).all(axis=2)
    both = wanted & np.isfinite(driver).all(axis=2)
    scaled = [vectors / _size(vectors, both) for vectors in (reference, driver)]
    distance = np.where(both, np.linalg.norm(scaled[0] - scaled[1], axis=2), UNSEEN)
    mean_distance: Floats = np.where(wanted, distance, 0).sum(axis=1) / wanted.sum(axis=1).clip(1)
    return mean_distance


def _lines(points: Floats) -> Floats:
    """(frames, LINES, 2) from the start to the end of each line."""
    starts, ends = ([POINT_INDEX[line[k]] for line in LINES] for k in (0, 1))
    return points[:, ends] - points[:, starts]


def _around_common_middle(reference: Floats, driver: Floats) -> tuple[Floats, Floats]:
    """Both (frames, n, 2) from the middle of the points that both show."""
    reference = np.broadcast_to(reference, driver.shape)
    both = (np.isfinite(reference) & np.isfinite(driver)).all(axis=2, keepdims=True)
    count = both.sum(axis=1, keepdims=True).clip(1)
    first, second = (
        points - np.where(both, points, 0).sum(axis=1, keepdims=True) / count
        for points in (reference, driver)
    )
    return first, second


def _size(vectors: Floats, chosen: Mask) -> Floats:
    """(frames, 1, 1): root mean square length of the chosen ones; 1 where there are none."""
    squares = np.where(chosen, (vectors**2).sum(axis=2), 0).sum(axis=1)
    mean = squares / chosen.sum(axis=1).clip(1)
    root: Floats = np.sqrt(np.where(mean > 0, mean, 1.0))[:, None, None]
    return root
