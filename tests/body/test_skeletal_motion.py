"""The motion of a chain: where its joints are, and what is no motion."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.skeletal_motion import (
    ARKIT_CURVES,
    forward_kinematics,
    local_rotations,
    opposite_name,
    world_rotations,
)
from tests.body.skeletons import walk


def test_places_are_those_of_matrices_along_the_chain():
    motion = walk(5)
    places = forward_kinematics(motion)
    for frame in range(5):
        for joint in range(len(motion.names)):
            chain, matrix = joint, np.eye(4)
            while chain >= 0:
                step = np.eye(4)
                step[:3, :3] = Rotation.from_quat(motion.rotations[frame, chain]).as_matrix()
                root = chain == 0
                step[:3, 3] = motion.root_m[frame] if root else motion.rest_offsets_m[chain]
                matrix, chain = step @ matrix, int(motion.parents[chain])
            assert np.allclose(places[frame, joint], matrix[:3, 3], atol=1e-12)


def test_local_rotations_undo_the_world():
    motion = walk(4)
    again = local_rotations(world_rotations(motion), motion.parents)
    same = np.abs(np.sum(again * motion.rotations, axis=-1))
    assert np.allclose(same, 1, atol=1e-12)


def test_the_person_walks_forward_with_the_left_on_x():
    motion = walk()
    places = forward_kinematics(motion)
    assert places[0, motion.index("leftUpperLeg"), 0] > places[0, motion.index("rightUpperLeg"), 0]
    assert places[-1, 0, 2] > places[0, 0, 2] + 0.5
    assert (places[:, motion.index("head"), 1] > 1.2).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parents": [0] * 22}, "one root"),
        ({"parents": [-1, 5] + [0] * 20}, "parents before"),
        ({"root_m": np.zeros((3, 3))}, "root_m"),
        ({"fps": 0}, "fps"),
        ({"curves": {"jawOpen": np.zeros(3)}}, "curves"),
        ({"euler_orders": ("XYZ",)}, "euler_orders"),
        ({"names": ("a",) * 22}, "no name twice"),
    ],
)
def test_what_is_no_motion(change, said):
    motion = walk(4)
    assert len(motion.names) == 22
    with pytest.raises(ValueError, match=said):
        replace(motion, **change)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("LeftArm", "RightArm"), ("mixamorig:LeftUpLeg", "mixamorig:RightUpLeg"),
        ("lShldr", "rShldr"), ("LHipJoint", "RHipJoint"), ("left_wrist", "right_wrist"),
        ("hand.L", "hand.R"), ("finger1-1.l", "finger1-1.r"), ("lhip", "rhip"),
        ("Arm_L", "Arm_R"), ("mouthSmileLeft", "mouthSmileRight"),
    ],
)  # fmt: skip
def test_sides_are_told_by_names(left, right):
    assert opposite_name(left, (left, right)) == right
    assert opposite_name(right, (left, right)) == left
    assert opposite_name(left, (left,)) == left


def test_there_are_52_curves():
    assert len(set(ARKIT_CURVES)) == 52
    sided = [name for name in ARKIT_CURVES if opposite_name(name, ARKIT_CURVES) != name]
    assert len(sided) == 40  # all but jawOpen and eleven more
