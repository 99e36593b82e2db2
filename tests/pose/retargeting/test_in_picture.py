"""Nobody is carried out of the reference's picture."""

import numpy as np
import pytest

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.in_picture import SHOULDERS_INSIDE, inside_picture
from tests.warping.people import shifted

NECK, *SHOULDERS = (BODY_JOINTS.index(f"{name}") for name in
                    ("neck", "right_shoulder", "left_shoulder"))  # fmt: skip


def necks(clip: PoseClip) -> np.ndarray:
    return clip.part("body")[:, NECK, 0]


@pytest.mark.parametrize("way", [-1, 1])
def test_a_walk_comes_to_rest_before_the_edge(standing, way):
    own = standing.body[NECK, 0]
    poses = [shifted(standing, way * 12 * i, -i) for i in range(60)]
    near = inside_picture(poses, standing)
    assert near is not None
    width = np.ptp(standing.body[SHOULDERS, 0])
    margin = SHOULDERS_INSIDE * width
    found = way * (necks(near) - standing.width / 2)
    assert (np.diff(found) >= 0).all()
    assert found[-1] == pytest.approx(standing.width / 2 - margin, abs=1)
    assert necks(near)[:8] == pytest.approx(own + way * 12 * np.arange(8), abs=1e-3)
    heights = [pose.body[NECK, 1] - standing.body[NECK, 1] for pose in near]
    assert heights == pytest.approx(-np.arange(60), abs=1e-3)


def test_who_stands_at_the_edge_stays_there(standing):
    beside = shifted(standing, standing.width - 40 - standing.body[NECK, 0])
    assert inside_picture([beside, shifted(beside, -30)], beside) is None
    near = inside_picture([beside, shifted(beside, 100)], beside)
    assert near is not None and necks(near)[0] == necks(PoseClip.of([beside]))[0]


def test_where_no_neck_is_known_nothing_is_moved(standing):
    nobody = Pose.of(standing.width, standing.height)
    assert inside_picture([shifted(standing, 900)], nobody) is None
    assert inside_picture([nobody], standing) is None


@pytest.mark.parametrize(("follow", "held"), [(None, True), (False, False)])
def test_whoever_walks_is_kept_inside_unless_let_go(standing, follow, held):
    clip = PoseClip.of([shifted(standing, 8 * i) for i in range(60)])
    target = shifted(standing, 0, 50)
    laid = retarget_person(clip, 25.0, target, MotionSettings(follow=follow))
    assert laid.is_held == held
    assert (necks(laid.poses).max() < standing.width) == held


@pytest.mark.parametrize("follow", [None, False])
def test_of_nobody_an_error_tells(standing, follow):
    clip = PoseClip.of([standing] * 3)
    with pytest.raises(DetectionError, match="no person was found in the picture"):
        retarget_person(clip, 25.0, Pose.of(512, 512), MotionSettings(follow=follow))
