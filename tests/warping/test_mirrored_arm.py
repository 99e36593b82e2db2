"""An arm that the reference hardly shows is the other one, mirrored."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.layers import Layer
from magicpose_cli.warping.mirrored_arm import SourceArm, steadied_share
from magicpose_cli.warping.warp import ReferenceWarp
from magicpose_cli.warping.warp_points import WarpPoints
from tests.warping.conftest import Drawn
from tests.warping.people import matte_of, without

MARK = np.array((255, 0, 255))
SHOULDER, ELBOW, WRIST = (
    BODY_JOINTS.index(f"right_{name}") for name in ("shoulder", "elbow", "wrist")
)


def middle_of_forearm(pose: Pose, side: str) -> np.ndarray:
    joints = [BODY_JOINTS.index(f"{side}_{name}") for name in ("elbow", "wrist")]
    return pose.body[joints].mean(0)


def marked(person: Drawn) -> np.ndarray:
    """The picture, with a spot on the left forearm."""
    at = np.indices(person.shown.shape)[::-1].transpose(1, 2, 0)
    spot = np.linalg.norm(at - middle_of_forearm(person.pose, "left"), axis=2) < 4
    return np.where((spot & person.shown)[..., None], MARK, person.picture).astype(np.uint8)


def with_short_forearm(pose: Pose, share: float) -> Pose:
    """The pose with the right hand nearer to its elbow, as if it came toward the viewer."""
    way = (share - 1) * (pose.body[WRIST] - pose.body[ELBOW])
    body = pose.body.copy()
    body[WRIST] += way
    return replace(pose, body=body, right_hand=pose.right_hand + way)


def color_at(picture: np.ndarray, point: np.ndarray) -> np.ndarray:
    x, y = np.rint(point).astype(int)
    return picture[y, x]


def moved(standing: Drawn, reference: Pose, frame: Pose) -> np.ndarray:
    picture = marked(standing)
    return ReferenceWarp(picture, reference, matte_of(picture, standing.shown))(frame).picture


def test_a_short_forearm_is_the_other_one(standing):
    frame = moved(standing, with_short_forearm(standing.pose, 0.25), standing.pose)
    for side in ("left", "right"):
        shown = color_at(frame, middle_of_forearm(standing.pose, side))
        assert np.abs(shown - MARK).max() < 60, side


def test_an_arm_that_shows_stays_itself(standing, raised):
    frame = moved(standing, standing.pose, raised.pose)
    shown = color_at(frame, middle_of_forearm(raised.pose, "right"))
    assert np.abs(shown - MARK).max() > 100


def test_an_arm_out_of_sight_is_the_other_one_with_its_hand(standing, raised):
    body = standing.pose.body.copy()
    body[[ELBOW, WRIST]] = np.nan
    hidden = replace(without(standing.pose, "right_hand"), body=body)
    warp = ReferenceWarp(standing.picture, hidden, standing.matte)
    assert warp.mirrored_arms(raised.pose) == ("right",)
    frame = warp(raised.pose)
    x, y = np.rint(raised.pose.right_hand.mean(0)).astype(int)
    assert frame.cover[y, x] > 0.9
    assert np.abs(frame.picture - raised.wall)[y, x].max() > 40


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_reference_in_its_own_pose_needs_no_mirror(standing, share):
    own = with_short_forearm(standing.pose, share)
    assert ReferenceWarp(standing.picture, own, standing.matte).mirrored_arms(own) == ()


def test_a_frame_that_shows_no_wrist_takes_no_other_arm(standing):
    body = standing.pose.body.copy()
    body[WRIST] = np.nan
    frame = replace(without(standing.pose, "right_hand"), body=body)
    own = with_short_forearm(standing.pose, 0.25)
    assert ReferenceWarp(standing.picture, own, standing.matte).mirrored_arms(frame) == ()


def test_an_arm_that_unfolds_is_the_other_one(standing):
    body = standing.pose.body.copy()
    upper = body[ELBOW] - body[SHOULDER]
    way = body[ELBOW] - 0.9 * upper - body[WRIST]
    body[WRIST] += way
    folded = replace(standing.pose, body=body, right_hand=standing.pose.right_hand + way)
    warp = ReferenceWarp(standing.picture, folded, standing.matte)
    assert warp.mirrored_arms(standing.pose) == ("right",)


def test_it_fades_in_as_the_arm_grows(standing):
    own = with_short_forearm(standing.pose, 0.25)
    warp = ReferenceWarp(standing.picture, own, standing.matte)
    frames = [warp(with_short_forearm(standing.pose, s)).picture for s in np.linspace(0.25, 1, 76)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert max(steps) < 10 * np.median(steps)


def test_an_upper_arm_behind_the_trunk_is_the_other_one_once_it_turns(standing):
    """Its joints are known, but the layer of the arm does not hold them."""
    layer = Layer("right", np.zeros((320, 320), np.float32), standing.picture, np.zeros((1, 1)))
    points = WarpPoints.of(standing.pose)
    arm = SourceArm.of(points, layer, Grid(256, 256))
    assert arm.hidden == (1.0, 1.0) and not arm.shows_hand
    turned = (np.array((40.0, 0.0)), arm.halves[1])
    assert arm.stretch(arm.halves, 200) == 1.0
    assert arm.stretch(turned, 200) >= 2.0


def test_one_frame_in_between_changes_nothing_and_a_change_fades_in():
    shares = [0.0] * 5 + [1.0] + [0.0] * 6 + [1.0] * 12
    steady = [steadied_share(shares[max(0, i - 5) : i + 6]) for i in range(len(shares))]
    assert max(steady[:6]) == 0 and steady[-1] == 1
    assert max(np.abs(np.diff(steady))) < 0.25


def test_a_frame_shows_the_share_that_it_is_told(standing):
    own = with_short_forearm(standing.pose, 0.25)
    picture = marked(standing)
    warp = ReferenceWarp(picture, own, matte_of(picture, standing.shown))
    told, alone = (warp(standing.pose, mirrored={"right": s}).picture for s in (1.0, 0.0))
    assert np.array_equal(told, warp(standing.pose).picture)
    shown = color_at(alone, middle_of_forearm(standing.pose, "right"))
    assert np.abs(shown - MARK).max() > 100
