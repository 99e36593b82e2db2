"""What stands out on both sides of the legs is a skirt; a chair and the ground are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.warping.matte import _near, find_matte
from magicpose_cli.warping.matte_skirts import find_wide_skirt


def _middle(pose, joint: str) -> tuple[int, int]:
    ends = pose.body[[BODY_JOINTS.index(f"{side}_{joint}") for side in ("right", "left")]]
    x, y = np.rint(ends.mean(0)).astype(int).tolist()
    return x, y


def _tutu(pose) -> np.ndarray:
    """(H, W) uint8, 1 where a wide skirt is, from the hips to the knees."""
    half = round(0.25 * (body_height(pose) or 0))
    x, hips = _middle(pose, "hip")
    _, knees = _middle(pose, "knee")
    shape = np.zeros((pose.height, pose.width), np.uint8)
    shape[hips : knees - 2, x - half : x + half] = 1
    return shape


def test_a_tutu_is_found_and_no_more(standing):
    tutu = _tutu(standing.pose)
    mask = (standing.shown | (tutu > 0)).astype(np.float32)
    near = _near(standing.pose)
    found = find_wide_skirt(mask, near, standing.pose)
    outside = (tutu > 0) & (near < 0.3)
    assert outside.sum() > 100 and (found & outside).sum() > 0.95 * outside.sum()
    room = np.ones((21, 21), np.uint8)
    assert not (found & (cv2.dilate(tutu | standing.shown.astype(np.uint8), room) == 0)).any()
    assert find_wide_skirt(standing.shown.astype(np.float32), near, standing.pose) is None


@pytest.mark.parametrize("side", [np.s_[:, :128], np.s_[:, 128:]])
def test_what_is_on_one_side_alone_is_no_skirt(standing, side):
    mask = standing.shown.astype(np.float32)
    chair = _tutu(standing.pose)
    chair[side] = 0
    mask[chair > 0] = 1
    assert find_wide_skirt(mask, _near(standing.pose), standing.pose) is None


def test_the_ground_around_the_feet_is_no_skirt(standing):
    mask = standing.shown.astype(np.float32)
    _, ankles = _middle(standing.pose, "ankle")
    mask[ankles - 6 :] = 1
    assert find_wide_skirt(mask, _near(standing.pose), standing.pose) is None


def test_a_skirt_is_in_the_matte(standing, monkeypatch):
    tutu = _tutu(standing.pose)
    mask = (standing.shown | (tutu > 0)).astype(np.float32)
    monkeypatch.setattr("magicpose_cli.warping.matte.segment", lambda picture, pose: mask)
    picture = standing.picture.copy()
    picture[(tutu > 0) & ~standing.shown] = (230, 220, 90)
    outside = (tutu > 0) & (_near(standing.pose) < 0.3)
    alpha = find_matte(picture, standing.pose).alpha
    assert (alpha[outside] > 0.8).mean() > 0.9
