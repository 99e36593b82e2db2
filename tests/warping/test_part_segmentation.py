"""Arms are told from what they lie before, on people that the network has not learned from."""

import numpy as np
import pytest

from magicpose_cli.body.layout import BODY_PARTS, POSE_SLICES
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.warping.part_segmentation import arm_shares
from magicpose_cli.warping.warp import figure_height
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints
from tests.pose.drawn import mirrored

SIDE_PX = 192
HELD_OUT_SEEDS = (900_001, 900_004)  # below those of `training/part_training.py`
ARM = ("upper_arm", "lower_arm", "hand")


def pose_of(points):
    scored = np.column_stack([points, np.isfinite(points).all(1)])
    return Pose.of(SIDE_PX, SIDE_PX, **{part: scored[POSE_SLICES[part]] for part in PARTS})


@pytest.fixture(scope="module", params=HELD_OUT_SEEDS)
def person(request):
    clip = render_clip(request.param, 1, SIDE_PX, style="gesture", shot="half")
    picture = (clip.images[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return picture, clip.parts[0].numpy(), clip.points[0].numpy()


def found(picture, alpha, pose):
    reference = WarpPoints.of(pose)
    return arm_shares(picture, alpha, reference, figure_height(pose, reference))


@pytest.mark.slow
def test_the_arms_of_a_person_are_found_and_nothing_else(person):
    picture, parts, points = person
    alpha = (parts > 0).astype(np.float32)
    shares = found(picture, alpha, pose_of(points))
    for side in BODY_SIDES:
        labels = [1 + BODY_PARTS.index(f"{side}_{part}") for part in ARM]
        truth, arm = np.isin(parts, labels), (shares[side] > 0.5) & (alpha > 0)
        assert truth.sum() > 300
        assert (truth & arm).sum() / (truth | arm).sum() > 0.8


@pytest.mark.slow
def test_a_mirrored_picture_has_mirrored_arms(person):
    picture, parts, points = person
    alpha = (parts > 0).astype(np.float32)
    shares = found(picture, alpha, pose_of(points))
    turned = found(
        np.ascontiguousarray(picture[:, ::-1]),
        np.ascontiguousarray(alpha[:, ::-1]),
        mirrored(pose_of(points)),
    )
    apart = np.abs(turned["left"][:, ::-1] - shares["right"])[alpha > 0]
    assert shares["right"][alpha > 0].max() > 0.9
    assert apart.mean() < 0.01


def test_nobody_has_no_arms():
    picture = np.zeros((64, 64, 3), np.uint8)
    pose = Pose.of(64, 64)
    assert arm_shares(picture, np.zeros((64, 64), np.float32), WarpPoints.of(pose), 64.0) == {}
