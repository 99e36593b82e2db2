"""Background between limbs: by its color before a plain wall, by a network before any room."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.warping.matte import _seen_by_parts
from magicpose_cli.warping.matte_gaps import find_gaps, find_gaps_beside_limbs
from tests.warping.people import rendered

WALL, TROUSERS = (120, 150, 200), (30, 40, 60)


def _trimap(shown: np.ndarray) -> np.ndarray:
    """What a coarse segmentation would leave: gaps are closed, the edge is unknown."""
    person = shown.astype(np.uint8)
    near = cv2.dilate(person, np.ones((45, 45), np.uint8))
    closed = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((45, 45), np.uint8))
    sure = cv2.erode(closed, np.ones((5, 5), np.uint8))
    return np.where(sure > 0, 1, near / 2).astype(np.float32)


def _between_knees(pose) -> tuple[slice, slice]:
    right, left = (pose.body[BODY_JOINTS.index(f"{side}_knee")] for side in ("right", "left"))
    (x0, y0), (x1, y1) = sorted((right.tolist(), left.tolist()))
    middle, half = round((x0 + x1) / 2), max(1, round((x1 - x0) / 8))
    return np.s_[round(y0) - 4 : round(y1) + 5, middle - half : middle + half + 1]


@pytest.fixture
def striding(standing):
    """The standing person with legs apart, painted as two tubes before a plain wall."""
    body = standing.pose.body.copy()
    for side, across in (("right", -8), ("left", 8)):
        for joint, share in (("knee", 0.7), ("ankle", 1.0)):
            body[BODY_JOINTS.index(f"{side}_{joint}"), 0] += across * share
    pose = replace(standing.pose, body=body)
    picture = np.empty_like(standing.picture)
    picture[:] = WALL
    shown = np.zeros(standing.shown.shape, np.uint8)
    hips = body[BODY_JOINTS.index("right_hip"), 1]
    shown[: round(hips)] = standing.shown[: round(hips)]
    picture[shown > 0] = standing.picture[shown > 0]
    legs = np.zeros_like(shown)
    for side in ("right", "left"):
        line = [body[BODY_JOINTS.index(f"{side}_{joint}")] for joint in ("hip", "knee", "ankle")]
        cv2.polylines(legs, [np.rint(line).astype(np.int32)], False, (1,), 14)
    picture[legs > 0] = TROUSERS
    return picture, pose, (shown | legs) > 0


def test_the_wall_between_the_legs_is_found_and_nothing_of_the_person(striding):
    picture, pose, shown = striding
    gaps = find_gaps(picture, _trimap(shown), pose)
    assert gaps[_between_knees(pose)].mean() > 0.8
    assert not (gaps & shown).any()


def test_a_skirt_is_no_gap(striding):
    picture, pose, shown = striding
    skirt = picture.copy()
    hull = [
        pose.body[BODY_JOINTS.index(f"{s}_{j}")]
        for s in ("right", "left")
        for j in ("hip", "ankle")
    ]
    cv2.fillConvexPoly(skirt, cv2.convexHull(np.rint(hull).astype(np.int32)), TROUSERS)
    gaps = find_gaps(skirt, _trimap(shown), pose)
    assert not gaps[_between_knees(pose)].any()


def test_trousers_in_the_color_of_the_wall_stay_whole(striding):
    picture, pose, shown = striding
    alike = picture.copy()
    alike[(picture == TROUSERS).all(2)] = np.add(WALL, 8)
    assert not find_gaps(alike, _trimap(shown), pose)[_between_knees(pose)].any()


def test_before_a_busy_wall_nothing_is_told(striding):
    picture, pose, shown = striding
    noise = np.random.default_rng(3).integers(0, 255, picture.shape).astype(np.uint8)
    busy = np.where(shown[..., None], picture, noise)
    assert not find_gaps(busy, _trimap(shown), pose).any()


def test_without_a_known_background_there_are_none(striding):
    picture, pose, shown = striding
    assert not find_gaps(picture, np.ones(shown.shape, np.float32), pose).any()


def test_a_mirrored_picture_has_mirrored_gaps(striding):
    picture, pose, shown = striding
    trimap = _trimap(shown)
    body = pose.body.copy()
    body[:, 0] = picture.shape[1] - 1 - body[:, 0]
    mirrored = replace(pose, body=body, body_guess=None)
    gaps = find_gaps(picture, trimap, replace(pose, body_guess=None))
    other = find_gaps(picture[:, ::-1].copy(), trimap[:, ::-1].copy(), mirrored)
    assert (other[:, ::-1] != gaps).mean() < 0.006  # lines are drawn a little askew


def test_the_wall_beside_a_narrow_waist_is_found(standing):
    """A trunk is narrower than the quadrangle between its joints where nothing has its colors."""
    pose, shown = standing.pose, standing.shown
    shoulder, hip = (
        pose.body[BODY_JOINTS.index(f"right_{joint}")] for joint in ("shoulder", "hip")
    )
    x, y = np.rint((shoulder + hip) / 2).astype(int)
    inward = int(np.sign(pose.body[BODY_JOINTS.index("neck"), 0] - x))
    waist = np.s_[y - 8 : y + 9, slice(*sorted((x - 6 * inward, x + 3 * inward)))]
    picture, there = np.empty_like(standing.picture), shown.copy()
    there[waist] = False
    picture[:] = WALL
    picture[there] = TROUSERS
    gaps = find_gaps(picture, _trimap(shown), pose)
    assert gaps[waist].mean() > 0.2
    assert not (gaps & there).any()


@pytest.fixture(scope="module")
def seen_whole():
    """Eight rendered people seen whole: picture, pose and who is there."""
    return [rendered(TEST_SEEDS + 900 + n, 256) for n in range(8)]


def _unsure(shown: np.ndarray) -> np.ndarray:
    """A segmentation that is sure of nothing but what lies deep in a person."""
    closed = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    sure = cv2.erode(shown.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(sure > 0, 1, 0.4 * closed).astype(np.float32)


@pytest.mark.slow
def test_what_lies_beside_limbs_is_found_before_any_room(seen_whole):
    found = missed = wrong = 0
    for picture, pose, shown in seen_whole:
        mask = _unsure(shown)
        gaps = find_gaps_beside_limbs(mask, _seen_by_parts(picture, mask, pose), pose)
        closed = (mask > 0) & ~shown
        found += (gaps & closed).sum()
        missed += (closed & ~gaps).sum()
        wrong += (gaps & shown).sum()
    assert wrong < 0.01 * found
    assert found > 0.1 * missed


@pytest.mark.slow
def test_clothes_that_the_part_network_does_not_know_are_kept(seen_whole):
    """Such as a cape that reaches as far as the arms."""
    for picture, pose, shown in seen_whole[:3]:
        wide = cv2.dilate(shown.astype(np.uint8), np.ones((61, 61), np.uint8)).astype(np.float32)
        seen = _seen_by_parts(picture, wide, pose)
        assert not find_gaps_beside_limbs(wide, seen, pose).any()
