"""What the reference lacks because its picture ends there: it must not grow in the result."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import FACE, HAND_POINTS, POINT_INDEX, named_points

# Joint, and the joint nearer to the neck; outward, so that what follows a lost joint is lost.
KINEMATIC_CHAIN = tuple(
    (f"{side}_{joint}", "neck" if parent == "neck" else f"{side}_{parent}")
    for joint, parent in (
        ("shoulder", "neck"), ("elbow", "shoulder"), ("wrist", "elbow"),
        ("hip", "neck"), ("knee", "hip"), ("ankle", "knee"),
    )
    for side in ("right", "left")
)  # fmt: skip
HEAD_JOINT_NAMES = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
BONE_PERCENTILE = 90.0


def missing_parts(target: Pose, driver: Floats, scale: float) -> tuple[tuple[str, ...], list[int]]:
    """Names of the parts to drop, such as "knees", and the indices of their points in NAMES.

    A joint that the reference does not show is taken to hang straight down from the last one that
    it shows. Where that is beyond the picture, the picture ends before it; else it is only hidden,
    behind the back or a skirt, and the driver's is kept. A hand shows its wrist. Legs need hips:
    nobody has legs in front of a table. driver: (frames, points, 2) pixels; scale: reference
    pixels a driver's pixel.
    """
    reference = named_points([target])[0]
    place = {"neck": _neck(reference, scale * _length(driver, "nose", "neck"))}
    lost: dict[str, list[int]] = {}
    for joint, parent in KINEMATIC_CHAIN:
        index, above = POINT_INDEX[joint], place[parent]
        side, _, name = joint.partition("_")
        seen = [index, HAND_POINTS[side].start] if name == "wrist" else [index]
        known = [point for point in reference[seen] if np.isfinite(point).all()]
        if known:
            place[joint] = known[0]
            continue
        place[joint] = np.add(above, (0.0, scale * _length(driver, joint, parent)))
        hidden = place[joint][1] < target.height  # false where nothing above is known either
        hip = reference[POINT_INDEX[joint.replace("knee", "hip")]]
        table = joint.endswith("knee") and not np.isfinite(hip).all()
        if parent in lost or table or not hidden:
            lost[joint] = [index]
    head = [*(POINT_INDEX[name] for name in HEAD_JOINT_NAMES), *range(FACE.start, FACE.stop)]
    if not np.isfinite(reference[head]).any():
        lost["face"] = head
    for side, hand in HAND_POINTS.items():
        if f"{side}_wrist" in lost and not np.isfinite(reference[hand]).any():
            lost[f"{side}_hand"] = list(range(hand.start, hand.stop))
    shown = np.isfinite(driver).all(axis=2).any(axis=0)
    names = names_of({name for name, indices in lost.items() if shown[indices].any()})
    return names, [index for indices in lost.values() for index in indices]


def _neck(reference: Floats, length: float) -> Floats:
    """The neck, or where it must be for what is seen."""
    place: Floats
    for name in ("neck", "right_shoulder", "left_shoulder"):
        place = reference[POINT_INDEX[name]]
        if np.isfinite(place).all():
            return place
    head = reference[
        [POINT_INDEX[name] for name in HEAD_JOINT_NAMES] + list(range(FACE.start, FACE.stop))
    ]
    head = head[np.isfinite(head).all(axis=1)]
    if len(head):
        return np.add(head.mean(axis=0), (0.0, length))
    place = reference[np.isfinite(reference).all(axis=1)].mean(axis=0)
    return place


def _length(driver: Floats, joint: str, parent: str) -> float:
    """Of the bone in the driver's pixels; 0 where the driver does not show it either."""
    length = np.linalg.norm(driver[:, POINT_INDEX[joint]] - driver[:, POINT_INDEX[parent]], axis=1)
    length = length[np.isfinite(length)]
    return float(np.percentile(length, BONE_PERCENTILE)) if len(length) else 0.0


def names_of(lost: set[str]) -> tuple[str, ...]:
    """Both sides under one name: right_knee and left_knee are knees."""
    names = {name for name in lost if not name.startswith(("right_", "left_"))}
    for name in (name.removeprefix("right_") for name in lost if name.startswith("right_")):
        names.add(f"{name}s" if f"left_{name}" in lost else f"right {name}")
    names |= {
        f"left {name.removeprefix('left_')}"
        for name in lost
        if name.startswith("left_") and f"right_{name.removeprefix('left_')}" not in lost
    }
    return tuple(sorted(names))
