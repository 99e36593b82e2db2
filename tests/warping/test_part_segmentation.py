"""Arms are told from what they lie before, legs from each other, on people whom no training saw."""

import numpy as np
import pytest

from magicpose_cli.body.layout import BODY_PARTS, POSE_SLICES
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.warping.part_segmentation import PartShares, find_part_shares
from magicpose_cli.warping.warp import figure_height
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints
from tests.pose.drawn import mirrored

SIDE_PX = 192
HELD_OUT_SEEDS = (900_001, 900_004)  # below those of `training/part_training.py`
ARM = ("upper_arm", "lower_arm", "hand")
LEG = ("upper_leg", "lower_leg", "foot")


def pose_of(points):
    scored = np.column_stack([points, np.isfinite(points).all(1)])
    return Pose.of(SIDE_PX, SIDE_PX, **{part: scored[POSE_SLICES[part]] for part in PARTS})


def rendered(seed, shot):
    clip = render_clip(seed, 1, SIDE_PX, style="gesture", shot=shot)
    picture = (clip.images[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return picture, clip.parts[0].numpy(), clip.points[0].numpy()


@pytest.fixture(scope="module", params=HELD_OUT_SEEDS)
def person(request):
    return rendered(request.param, "half")


def found(picture, alpha, pose) -> PartShares:
    reference = WarpPoints.of(pose)
    shares = find_part_shares(picture, alpha, reference, figure_height(pose, reference))
    assert shares is not None
    return shares


def labels_of(side, names):
    return [1 + BODY_PARTS.index(f"{side}_{name}") for name in names]


@pytest.mark.slow
def test_the_arms_of_a_person_are_found_and_nothing_else(person):
    picture, parts, points = person
    alpha = (parts > 0).astype(np.float32)
    shares = found(picture, alpha, pose_of(points)).arms
    for side in BODY_SIDES:
        truth, arm = np.isin(parts, labels_of(side, ARM)), (shares[side] > 0.5) & (alpha > 0)
        assert truth.sum() > 300
        assert (truth & arm).sum() / (truth | arm).sum() > 0.8


@pytest.mark.slow
def test_a_mirrored_picture_has_mirrored_arms(person):
    picture, parts, points = person
    alpha = (parts > 0).astype(np.float32)
    shares = found(picture, alpha, pose_of(points)).arms
    turned = found(
        np.ascontiguousarray(picture[:, ::-1]),
        np.ascontiguousarray(alpha[:, ::-1]),
        mirrored(pose_of(points)),
    ).arms
    apart = np.abs(turned["left"][:, ::-1] - shares["right"])[alpha > 0]
    assert shares["right"][alpha > 0].max() > 0.9
    assert apart.mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("seed", HELD_OUT_SEEDS)
def test_shoes_and_trouser_legs_are_of_their_own_leg(seed):
    picture, parts, points = rendered(seed, "full")
    right_leg = found(picture, (parts > 0).astype(np.float32), pose_of(points)).right_leg
    for side, share in (("right", right_leg), ("left", 1 - right_leg)):
        leg = np.isin(parts, labels_of(side, LEG))
        assert leg.sum() > 300
        assert (share[leg] > 0.5).mean() > 0.97


def test_of_nobody_nothing_is_found():
    picture = np.zeros((64, 64, 3), np.uint8)
    nobody = np.zeros((64, 64), np.float32)
    assert find_part_shares(picture, nobody, WarpPoints.of(Pose.of(64, 64)), 64.0) is None
