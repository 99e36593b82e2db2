import numpy as np
import torch

from magicpose_cli.body.detector_joints import joint_offsets
from magicpose_cli.body.fit_rig import make_rig
from magicpose_cli.pose.keypoints import BODY_JOINTS


def test_sides_mirror_each_other():
    offsets = joint_offsets(np.zeros((1, 18, 3)))
    assert offsets is not None and BODY_JOINTS.index("nose") not in offsets
    right, left = (offsets[BODY_JOINTS.index(f"{side}_elbow")] for side in ("right", "left"))
    assert left == (-right[0], *right[1:]) and right[1] > 0


def test_detectors_without_points_in_space_have_none():
    assert joint_offsets(None) is None


def test_a_point_is_moved_with_its_bone(body):
    elbow = BODY_JOINTS.index("right_elbow")
    still = make_rig(body, [elbow])
    moved = make_rig(body, [elbow], offsets_m={elbow: (0.0, 0.03, 0.0)})
    rotations = body.identity(1)
    rotations[:, 0] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # up becomes to the right
    places = []
    for rig in (still, moved):
        moments, joints = rig.shaped(torch.zeros(10))
        world, placed = body.transforms(joints[None], rotations)
        places.append(rig.points(rig.parts(moments, joints, world, placed))[0, 0])
    torch.testing.assert_close(places[1] - places[0], torch.tensor([-0.03, 0, 0]))
