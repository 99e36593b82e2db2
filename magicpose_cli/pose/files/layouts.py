"""Orders in which other programs list a person's points, brought to ours and back.

Bodies: COCO's 17 joints (no neck: the middle of the shoulders), OpenPose's 18 (ours), OpenPose's
BODY_25 (mid hip and feet), Halpe's 26. Whole people: COCO-WholeBody's 133 points (17 body, 6 feet,
68 face, 21 left hand, 21 right hand) and DWPose's 134, whose body is OpenPose's 18. Feet, the top
of the head and the mid hip have no place among our points.
"""

from __future__ import annotations

import numpy as np

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
BODY_ORDERS = {len(order): order for order in (COCO_17, BODY_JOINTS, BODY_25, HALPE_26)}
FEET = 6
BODIES_OF_WHOLE = {133: len(COCO_17), 134: len(BODY_JOINTS)}
DWPOSE = 134


def body_of(points: np.ndarray) -> np.ndarray:
    """Our 18 joints of a body in one of BODY_ORDERS: (n, columns), the last column the score."""
    order = BODY_ORDERS[len(points)]
    body = np.zeros((len(BODY_JOINTS), points.shape[1]))
    for joint, name in zip(body, BODY_JOINTS, strict=True):
        if name in order:
            joint[:] = points[order.index(name)]
    if "neck" not in order:
        body[BODY_JOINTS.index("neck")] = _middle(body, "right_shoulder", "left_shoulder")
    return body


def parts_of(points: np.ndarray) -> dict[str, np.ndarray]:
    """Our parts of a body in one of BODY_ORDERS, or of a whole person of 133 or 134 points."""
    if len(points) not in BODIES_OF_WHOLE:
        return {"body": body_of(points)}
    body = BODIES_OF_WHOLE[len(points)]
    starts = np.cumsum([body + FEET, *(PARTS[p] for p in ("face", "left_hand", "right_hand"))])
    face, left, right = np.split(points[starts[0] :], starts[1:-1] - starts[0])
    return {
        "body": body_of(points[:body]),
        "face": face,
        "left_hand": left,
        "right_hand": right,
    }


def whole_of(parts: dict[str, np.ndarray]) -> np.ndarray:
    """DWPose's 134 points of our parts, (n, 3) each; the feet are zero."""
    return np.concatenate(
        [parts["body"], np.zeros((FEET, 3)), parts["face"], parts["left_hand"], parts["right_hand"]]
    )


def body_25_of(body: np.ndarray) -> np.ndarray:
    """OpenPose's 25 joints of our 18, (18, 3) each; the feet are zero."""
    points = np.zeros((len(BODY_25), 3))
    for point, name in zip(points, BODY_25, strict=True):
        if name in BODY_JOINTS:
            point[:] = body[BODY_JOINTS.index(name)]
    points[BODY_25.index("mid_hip")] = _middle(body, "right_hip", "left_hip")
    return points


def _middle(body: np.ndarray, one: str, other: str) -> np.ndarray:
    """Between two joints, with the lower score; zero where one of them is unseen."""
    ends = body[[BODY_JOINTS.index(one), BODY_JOINTS.index(other)]]
    score = ends[:, -1].min()
    return np.append(ends[:, :-1].mean(axis=0), score) if score > 0 else np.zeros(body.shape[1])
