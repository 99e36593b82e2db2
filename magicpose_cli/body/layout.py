"""The names of the 3D body's parts, layers, phenotypes and key points, as its arrays have them."""

from __future__ import annotations

from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS

# What a triangle belongs to. "left" and "right" are the person's own.
BODY_PARTS = (
    "head", "torso",
    "right_upper_arm", "right_lower_arm", "right_hand",
    "left_upper_arm", "left_lower_arm", "left_hand",
    "right_upper_leg", "right_lower_leg", "right_foot",
    "left_upper_leg", "left_lower_leg", "left_foot",
    "eyes", "mouth",
)  # fmt: skip

# Which triangles are drawn together: the person, and MakeHuman's helpers from which hair and
# garments are cut.
LAYERS = ("skin", "eyes", "tongue", "teeth", "lashes", "tights", "skirt", "hair")
VISIBLE_LAYERS = ("skin", "eyes", "tongue", "teeth")

# Phenotypes, each 0..1 but for the three origins, which are weights of a mean.
PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "firmness")
ORIGINS = ("african", "asian", "caucasian")

# COCO's 17 joints, then the feet's six (order of COCO-WholeBody).
COCO_23 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

# Where each part of a pose lies among the 128 pose points.
POSE_SLICES: dict[str, slice] = {}
for _part, _count in PARTS.items():
    _start = max((taken.stop for taken in POSE_SLICES.values()), default=0)
    POSE_SLICES[_part] = slice(_start, _start + _count)
POSE_POINTS = sum(PARTS.values())
assert len(BODY_JOINTS) == PARTS["body"]


def body_part_of(joint: str) -> str:
    """Which of BODY_PARTS the skin belongs to that follows this joint of the skeleton most."""
    side = {".L": "left_", ".R": "right_"}.get(joint[-2:], "")
    if joint.startswith(("head", "eye", "neck02", "neck03")):
        return "head"
    for start, part in (
        ("upperarm", "upper_arm"),
        ("lowerarm", "lower_arm"),
        ("wrist", "hand"),
        ("finger", "hand"),
        ("metacarpal", "hand"),
        ("upperleg", "upper_leg"),
        ("lowerleg", "lower_leg"),
        ("foot", "foot"),
        ("toe", "foot"),
    ):
        if joint.startswith(start):
            return side + part
    return "torso"
