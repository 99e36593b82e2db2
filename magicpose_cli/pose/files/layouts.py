"""Orders in which other programs list a person's points, brought to ours and back.

Bodies: COCO's 17 joints (no neck: the middle of the shoulders), OpenPose's 18 (ours), OpenPose's
BODY_25 (mid hip and feet), Halpe's 26, and where a file says so Human3.6M's and PoseTrack's 17.
Whole people: COCO-WholeBody's 133 points (17 body, 6 feet, 68 face, 21 left hand, 21 right hand),
DWPose's 134, whose body is OpenPose's 18, and Halpe's 136, whose body is its 26. Feet, the top of
the head and the mid hip have no place among our points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS

COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
HALPE_26 = (
    *COCO_17, "head", "neck", "mid_hip",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
HUMAN36M_17 = (
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "spine", "thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
POSETRACK_17 = ("nose", "head_bottom", "head_top", "left_ear", "right_ear", *COCO_17[5:])
BODY_ORDERS = {len(order): order for order in (COCO_17, BODY_JOINTS, BODY_25, HALPE_26)}
FEET = 6
# Bodies of whole people, after which (and six points of the feet, where the body has none of its
# own) the face and the hands follow.
BODIES_OF_WHOLE = {133: COCO_17, 134: BODY_JOINTS, 136: HALPE_26}
DWPOSE = 134
KNOWN = (*BODY_ORDERS, *BODIES_OF_WHOLE)
OPENPOSE_ORDERS = (len(BODY_JOINTS), len(BODY_25))  # whose points are seen at any score
SEEN = 0.3  # networks of all other kinds tell every point, seen or not; up to this score it is not
ALIASES = {"foot": "ankle"}  # Human3.6M's name in some programs
LIMB_NAMES = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"),
    )
]  # fmt: skip
ANOTHER = 0.6  # share of COCO's length of all limbs below which 17 points are Human3.6M's


def least_of(count: int) -> float:
    """The score up to which a point of a person of so many is unseen."""
    return 0.0 if count in OPENPOSE_ORDERS else SEEN


def body_of(points: AnyArray, order: Sequence[str] | None = None) -> AnyArray:
    """Our 18 joints of a body in one of BODY_ORDERS, or in the order of these names.

    Rows are (n, columns), the last column the score.
    """
    order = BODY_ORDERS[len(points)] if order is None else order
    body = np.zeros((len(BODY_JOINTS), points.shape[1]))
    for joint, name in zip(body, BODY_JOINTS, strict=True):
        if name in order:
            joint[:] = points[order.index(name)]
    if "neck" not in order:
        body[BODY_JOINTS.index("neck")] = _middle(body, "right_shoulder", "left_shoulder")
    return body


def parts_of_whole(points: AnyArray, order: Sequence[str] | None = None) -> dict[str, AnyArray]:
    """Our parts of a body in one of BODY_ORDERS, in the order of these names, or of a whole person.

    A whole person has 133, 134 or 136 points; named otherwise, only the body is taken.
    """
    names = BODIES_OF_WHOLE.get(len(points), ())
    joints = [number for number, name in enumerate(names) if name in BODY_JOINTS]
    if not joints or (order and any(order[joint] != names[joint] for joint in joints)):
        return {"body": body_of(points, order)}
    sizes = [PARTS[part] for part in ("face", "left_hand", "right_hand")]
    face, left, right = np.split(points[-sum(sizes) :], np.cumsum(sizes)[:-1])
    return {
        "body": body_of(points[: len(names)], names),
        "face": face,
        "left_hand": left,
        "right_hand": right,
    }


def order_of_names(names: Sequence[str]) -> tuple[str, ...] | None:
    """The order that a file names, in our words; None where it is of no person's body."""
    words = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name) for name in names)
    order = [re.sub(r"[\W_]+", "_", word).strip("_").lower() for word in words]
    for side, (word, ours) in product(("left", "right"), ALIASES.items()):
        if f"{side}_{word}" in order and f"{side}_{ours}" not in order:
            order[order.index(f"{side}_{word}")] = f"{side}_{ours}"
    return tuple(order) if set(COCO_17[5:]) <= set(order) else None


def order_of_17(people: Iterable[AnyArray]) -> tuple[str, ...]:
    """COCO_17, or HUMAN36M_17 where its limbs are the much shorter ones: (17, 3) a person.

    An order that is not the points' own joins shoulders with heads and hips with elbows.
    """
    points = np.concatenate([np.zeros((0, 17, 3)), *(p[None] for p in people)])
    lengths = []
    for order in (COCO_17, HUMAN36M_17):
        ends = np.array([[order.index(one), order.index(other)] for one, other in LIMB_NAMES])
        one, other = points[:, ends[:, 0]], points[:, ends[:, 1]]
        seen = (one[..., 2] > 0) & (other[..., 2] > 0)
        lengths.append(np.linalg.norm((one - other)[..., :2], axis=-1)[seen])
    coco, human36m = (float(np.mean(found)) if found.size else 0.0 for found in lengths)
    return HUMAN36M_17 if 0 < human36m < ANOTHER * coco else COCO_17


def whole_of(parts: dict[str, AnyArray]) -> AnyArray:
    """DWPose's 134 points of our parts, (n, 3) each; the feet are zero."""
    return np.concatenate(
        [parts["body"], np.zeros((FEET, 3)), parts["face"], parts["left_hand"], parts["right_hand"]]
    )


def body_25_of(body: AnyArray) -> AnyArray:
    """OpenPose's 25 joints of our 18, (18, 3) each; the feet are zero."""
    points = np.zeros((len(BODY_25), 3))
    for point, name in zip(points, BODY_25, strict=True):
        if name in BODY_JOINTS:
            point[:] = body[BODY_JOINTS.index(name)]
    points[BODY_25.index("mid_hip")] = _middle(body, "right_hip", "left_hip")
    return points


def _middle(body: AnyArray, one: str, other: str) -> AnyArray:
    """Between two joints, with the lower score; zero where one of them is unseen."""
    ends = body[[BODY_JOINTS.index(one), BODY_JOINTS.index(other)]]
    score = ends[:, -1].min()
    return np.append(ends[:, :-1].mean(axis=0), score) if score > 0 else np.zeros(body.shape[1])
