"""Skirts that are wider than the clothes which a person's region has room for.

A tutu or a ball gown stands out on both sides of the legs. What is segmented on one side alone is a
chair, a bag or somebody else, and what begins below the knees is the ground.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.region import fill_hull, person_region
from magicpose_cli.warping.structuring import square_element
from magicpose_cli.warping.warp_points import BODY_SIDES

SKIRT_REACH = 0.2  # body heights around hips, knees and ankles
LEG_WIDTHS = 0.6  # of the region's widths: what lies inside is no skirt's edge
SKIRT_SEGMENTED = 0.3  # of the segmentation, which is unsure of tulle
MIN_SKIRT_SIDE = 0.002  # body heights squared that stand out on each side
MAX_LOPSIDED = 3.0  # times as much on the one side as on the other
SKIRT_ROOM = 0.03  # body heights around what is found, for its edge


def find_wide_skirt(mask: Floats, near: Floats, pose: Pose) -> Mask | None:
    """Find where a skirt stands out from where a person is looked for.

    Args:
        mask: A segmentation, (H, W) float32, 0 to 1, of the pose's size.
        near: Where the person is looked for, likewise.
        pose: Of the person.

    Returns:
        (H, W) bool, with room for its edge; None where there is no such skirt.
    """
    height = body_height(pose)
    joints = {
        joint: pose.body[[BODY_JOINTS.index(f"{side}_{joint}") for side in BODY_SIDES]]
        for joint in ("hip", "knee", "ankle")
    }
    legs = np.concatenate(list(joints.values()))
    legs = legs[np.isfinite(legs).all(1)]
    knees = joints["knee"][np.isfinite(joints["knee"]).all(1)]
    if not height or not len(knees):
        return None
    zone = np.zeros(mask.shape, np.uint8)
    fill_hull(zone, legs, SKIRT_REACH * height)
    segmented = (zone > 0) & (person_region(pose, LEG_WIDTHS) == 0) & (mask > SKIRT_SEGMENTED)
    _, pieces = cv2.connectedComponents(segmented.astype(np.uint8))
    hanging = np.unique(pieces[: max(int(knees[:, 1].mean()), 0)])
    found = np.isin(pieces, hanging[hanging > 0])
    outside = np.nonzero(found & (near < SKIRT_SEGMENTED))[1] < legs[:, 0].mean()
    sides = sorted((outside.sum(), (~outside).sum()))
    if sides[0] < MIN_SKIRT_SIDE * height**2 or sides[1] > MAX_LOPSIDED * sides[0]:
        return None
    return cv2.dilate(found.astype(np.uint8), square_element(2 * SKIRT_ROOM * height)) > 0
