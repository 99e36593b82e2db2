"""How tall a person is, told from the points that are seen of them."""

from __future__ import annotations

import numpy as np

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

# Bones between joints, as shares of the body height (rounded from anthropometric tables). Seen from
# the side or bent toward the camera a bone looks shorter, never longer: the longest one counts.
BONE_SHARES = {
    ("neck", "right_hip"): 0.295,
    ("neck", "left_hip"): 0.295,
    ("right_shoulder", "left_shoulder"): 0.22,
    ("right_shoulder", "right_elbow"): 0.18,
    ("left_shoulder", "left_elbow"): 0.18,
    ("right_elbow", "right_wrist"): 0.146,
    ("left_elbow", "left_wrist"): 0.146,
    ("right_hip", "right_knee"): 0.245,
    ("left_hip", "left_knee"): 0.245,
    ("right_knee", "right_ankle"): 0.246,
    ("left_knee", "left_ankle"): 0.246,
}
EYES_SHARE = 0.04  # of heads that fill the picture, where no bone is seen


def body_height(pose: Pose) -> float | None:
    """Height of the whole person in pixels, told from what is seen of them; None where too little.

    On drawn people within 10 % of their true height, 25 % where only head and shoulders are seen.
    """
    joints = {name: pose.body[index] for index, name in enumerate(BODY_JOINTS)}

    def height(one: str, other: str, share: float) -> float:
        return float(np.linalg.norm(joints[one] - joints[other])) / share

    heights = np.array([height(*bone, share) for bone, share in BONE_SHARES.items()])
    if not (heights > 0).any():  # NaN compares false
        heights = np.array([height("right_eye", "left_eye", EYES_SHARE)])
    heights = heights[heights > 0]
    return float(heights.max()) if len(heights) else None
