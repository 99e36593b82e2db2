"""A shoe that the segmentation overlooks is found by its color; shade on the ground is no shoe."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.warping.matte_feet import find_feet

GROUND, SHOE = (150, 140, 130), (40, 90, 190)


@pytest.fixture
def barefoot(standing):
    """Picture, pose, where the right shoe is, and a trimap that ends above the ankles."""
    picture = np.empty_like(standing.picture)
    picture[:] = GROUND
    picture[standing.shown] = standing.picture[standing.shown]
    knee, ankle = (standing.pose.body[BODY_JOINTS.index(f"right_{j}")] for j in ("knee", "ankle"))
    toe = ankle + 0.15 * (ankle - knee)
    picture[int(ankle[1]) - 4 :] = GROUND
    shoe = np.zeros(standing.shown.shape, np.uint8)
    cv2.ellipse(shoe, np.rint(toe).astype(int).tolist(), (5, 8), 0, 0, 360, (1,), -1)
    person = standing.shown.astype(np.uint8)
    person[int(ankle[1]) - 4 :] = 0
    near = cv2.dilate(person, np.ones((9, 9), np.uint8))
    trimap = np.where(person > 0, 1, near / 2).astype(np.float32)
    return picture, standing.pose, shoe > 0, trimap


def test_an_overlooked_shoe_is_found(barefoot):
    picture, pose, shoe, trimap = barefoot
    picture[shoe] = SHOE
    found = find_feet(picture, trimap, pose)
    assert found[shoe].mean() > 0.8
    assert not found[~shoe].any()


def test_shade_is_of_the_ground(barefoot):
    picture, pose, shoe, trimap = barefoot
    picture[shoe] = np.multiply(GROUND, 0.5).astype(np.uint8)
    assert not find_feet(picture, trimap, pose).any()


def test_a_foot_that_is_known_is_left_as_it_is(barefoot):
    picture, pose, shoe, trimap = barefoot
    picture[shoe] = SHOE
    known = trimap.copy()
    known[cv2.dilate(shoe.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0] = 1
    known[:, int(pose.body[BODY_JOINTS.index("neck"), 0]) :] = trimap[
        :, int(pose.body[BODY_JOINTS.index("neck"), 0]) :
    ]
    assert not find_feet(picture, known, pose)[shoe].any()


def test_without_ankles_there_are_none(barefoot):
    picture, pose, _, trimap = barefoot
    half = pose.map_points(lambda points: points, pose.width, pose.height)
    half.body[[BODY_JOINTS.index(f"{side}_ankle") for side in ("right", "left")]] = np.nan
    assert not find_feet(picture, trimap, half).any()
