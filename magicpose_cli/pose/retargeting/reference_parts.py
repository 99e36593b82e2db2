"""What the driver does not show, kept as the reference has it: a talking head on a whole body."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.pose.retargeting.missing_parts import KINEMATIC_CHAIN, names_of
from magicpose_cli.pose.retargeting.points import HAND_POINTS, POINT_INDEX

MIN_FRAME_SHARE = (
    0.1  # of the frames: what is seen in fewer is a guess at what lies outside of the picture
)
# Legs stand where they are while the neck moves less than this share of the torso; of somebody who
# walks through the picture they go along.
SWAY = 0.3


def keep_reference_parts(moved: Floats, reference: Floats) -> tuple[tuple[str, ...], Mask]:
    """Fill `moved`, in place, with the reference's joints that the driver shows hardly ever.

    moved: (frames, points, 2) of NAMES in the reference's picture, NaN where the driver shows none.
    reference: (points, 2). An arm hangs on its moving shoulder, a trunk and legs stay where they
    are, and a held wrist has the reference's hand. Returns the names of what was held, such as
    "knees", and (points,) bool of it.
    """
    share = np.isfinite(moved).all(axis=2).mean(axis=0)
    held = np.zeros(len(reference), dtype=bool)
    lost = set()
    stands = _stands(moved, reference)
    for joint, parent in (("neck", None), *KINEMATIC_CHAIN):
        index = POINT_INDEX[joint]
        # Shoulders without a neck are one shoulder in a corner of the picture.
        shown = share[index] >= MIN_FRAME_SHARE and not (
            parent == "neck" and held[POINT_INDEX["neck"]]
        )
        if shown or not np.isfinite(reference[index]).all():
            continue
        held[index] = True
        lost.add(joint)
        goes_along = parent is not None and not (joint.endswith("hip") and stands)
        if goes_along and parent and np.isfinite(moved[:, POINT_INDEX[parent]]).all():
            offset = reference[index] - reference[POINT_INDEX[parent]]
            moved[:, index] = moved[:, POINT_INDEX[parent]] + offset
        else:
            moved[:, index] = reference[index]
    for side, hand in HAND_POINTS.items():
        wrist = POINT_INDEX[f"{side}_wrist"]
        if held[wrist]:
            held[hand] = np.isfinite(reference[hand]).all(axis=1)
            moved[:, hand] = moved[:, None, wrist] + reference[hand] - reference[wrist]
    return names_of(lost), held


def _stands(moved: Floats, reference: Floats) -> bool:
    """Whether the neck stays so near that the legs need not follow."""
    neck = moved[:, POINT_INDEX["neck"]]
    neck = neck[np.isfinite(neck).all(axis=1)]
    torso = float(
        np.linalg.norm(reference[POINT_INDEX["mid_hip"]] - reference[POINT_INDEX["neck"]])
    )
    if not len(neck) or not torso > 0:  # NaN compares false
        return True
    low, high = np.percentile(neck, (5, 95), axis=0)
    return bool((high - low).max() < SWAY * torso)
