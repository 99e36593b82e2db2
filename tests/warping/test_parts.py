"""How much each node of the grid belongs to each part of a drawn person."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.layers import BODY_LAYER
from magicpose_cli.warping.parts import (
    ARM_PARTS,
    PART_JOINTS,
    body_parts,
    nearest_shares,
    shows_both_legs,
    skin_weights,
    with_legs_apart,
)
from magicpose_cli.warping.warp import ReferenceWarp
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints
from tests.pose.drawn import mirrored
from tests.warping.people import SIZE, matte_of, shifted

GRID = Grid(SIZE, SIZE)


def weights_of(picture: np.ndarray, pose: Pose, shown: np.ndarray) -> dict[str, np.ndarray]:
    still = WarpPoints.of(pose)
    parts = body_parts(still)
    colors, alpha = (GRID.widened(p.astype(np.float32)) for p in (picture, shown))
    return dict(zip(parts, skin_weights(parts, still, 220.0, GRID, colors, alpha), strict=True))


@pytest.fixture(scope="module")
def weights(standing) -> dict[str, np.ndarray]:
    return weights_of(standing.picture, standing.pose, standing.shown)


def at(weight: np.ndarray, point: np.ndarray) -> float:
    column, row = np.rint((point + GRID.pad) / GRID.steps).astype(int)
    return float(weight[row, column])


def test_all_parts_of_a_whole_body_are_there(weights):
    hands = {"right_hand", "left_hand"}
    assert weights.keys() == {*PART_JOINTS, *hands, "trunk", "head"}


def test_they_are_shares(weights):
    stack = np.stack(list(weights.values()))
    assert stack.shape[1:] == GRID.shape
    assert stack.min() >= -1e-6
    assert np.abs(stack.sum(0) - 1).max() < 1e-5


@pytest.mark.parametrize("part", ["right_forearm", "left_forearm", "left_shin", "right_thigh"])
def test_a_limb_belongs_to_itself_in_its_middle(weights, standing, part):
    ends = [WarpPoints.of(standing.pose).joint(joint) for joint in PART_JOINTS[part]]
    assert at(weights[part], (ends[0] + ends[1]) / 2) > 0.9


def test_the_face_goes_with_the_head_and_the_belly_with_the_trunk(weights, standing):
    still = WarpPoints.of(standing.pose)
    assert at(weights["head"], still.joint("nose")) > 0.99
    hips = (still.joint("right_hip") + still.joint("left_hip")) / 2
    assert at(weights["trunk"], (still.joint("neck") + hips) / 2) > 0.9


def test_a_mirrored_picture_has_mirrored_weights(weights, standing):
    pose = shifted(mirrored(standing.pose), -1)  # of pixels' centers
    other = weights_of(standing.picture[:, ::-1], pose, standing.shown[:, ::-1])
    assert other.keys() == weights.keys()
    swapped = {"right": "left", "left": "right"}
    for name, weight in weights.items():
        side, _, rest = name.partition("_")
        twin = f"{swapped[side]}_{rest}" if side in swapped else name
        error = np.abs(other[twin][:, ::-1] - weight)
        assert error.mean() < 0.01, name  # seeds lie on whole nodes


def test_a_bust_stands_still_below():
    face = np.column_stack([np.random.default_rng(0).uniform(80, 140, (68, 2)), np.ones(68)])
    pose = Pose.of(SIZE, SIZE, face=face)
    plain = np.full((SIZE, SIZE, 3), 99, np.uint8)
    weights = weights_of(plain, pose, np.ones((SIZE, SIZE)))
    assert weights.keys() == {"head", "rest"}
    assert weights["rest"][-1].min() > 0.99 and at(weights["head"], np.array([110, 110])) > 0.99


def test_nobody_has_no_parts_but_the_rest():
    assert body_parts(WarpPoints.of(Pose.of(SIZE, SIZE))) == ["rest"]


def test_a_change_of_color_parts_what_lies_between():
    """Two thighs, and cloth of the right one's color that reaches beyond the middle."""
    body = np.zeros((18, 3))
    for name, x, y in (("right_hip", 60, 60), ("right_knee", 60, 190),
                       ("left_hip", 130, 60), ("left_knee", 130, 190)):  # fmt: skip
        body[BODY_JOINTS.index(name)] = x, y, 1
    pose, shown = Pose.of(SIZE, SIZE, body=body), np.ones((SIZE, SIZE))
    flat = np.full((SIZE, SIZE, 3), 60, np.uint8)
    parted = flat.copy()
    parted[:, 115:] = 220
    place = np.array([107.0, 150.0])
    alike, apart = (weights_of(picture, pose, shown)["right_thigh"] for picture in (flat, parted))
    assert at(alike, place) < 0.5 < 0.8 < at(apart, place)


def test_which_leg_it_is_is_told_of_legs_alone(weights):
    parts, walked = list(weights), np.stack(list(weights.values()))
    legs = np.zeros((SIZE, SIZE), np.float32)
    legs[:, : SIZE // 2] = 1
    told = with_legs_apart(parts, walked, np.full_like(legs, 0.25), legs, GRID)
    assert np.allclose(told.sum(0), walked.sum(0), atol=1e-5)
    middle = walked.shape[2] // 2
    assert np.allclose(told[..., middle + 1 :], walked[..., middle + 1 :], atol=1e-6)
    right, left = (told[parts.index(f"{side}_shin"), :, 10 : middle - 1] for side in BODY_SIDES)
    inside = slice(GRID.pad // 4, -GRID.pad // 4)
    assert left.max() > 0.5 and np.allclose(3 * right[inside], left[inside], atol=1e-2)


def test_a_skirt_is_told_from_trousers_by_its_hem(standing):
    points = WarpPoints.of(standing.pose)
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    assert shows_both_legs(picture, points)
    knees = np.mean([points.joint(f"{side}_knee")[1] for side in BODY_SIDES])
    picture[: round(knees)] = 190
    assert not shows_both_legs(picture, points)
    assert not shows_both_legs(picture, WarpPoints.of(Pose.of(SIZE, SIZE)))


def test_the_nearest_bone_has_the_largest_share(standing):
    still = WarpPoints.of(standing.pose)
    names = [part for part in body_parts(still) if part.startswith("right") and "arm" in part]
    shares = dict(zip(names, nearest_shares(names, still, 220.0, GRID), strict=True))
    assert np.abs(np.sum(list(shares.values()), axis=0) - 1).max() < 1e-5
    for part in names:
        ends = [still.joint(joint) for joint in PART_JOINTS[part]]
        assert at(shares[part], (ends[0] + ends[1]) / 2) > 0.9


def test_what_is_behind_an_arm_moves_with_no_arm(standing):
    picture, pose, shown = standing.picture, standing.pose, standing.shown
    warp = ReferenceWarp(picture, pose, matte_of(picture, shown))
    body = warp._field._layers[BODY_LAYER]
    assert not ARM_PARTS & set(body.parts)
    assert np.abs(body.weights.sum(0) - 1).max() < 1e-4
