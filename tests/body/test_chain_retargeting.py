"""Bones of another skeleton point in the world where the source's point."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.chain_retargeting import retarget_chain, shortest_swing
from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.skeletal_motion import forward_kinematics, rest_positions, world_rotations
from magicpose_cli.errors import InputError
from tests.body.skeletons import (
    LIMBS,
    TRUNK,
    directions,
    lafan_frames,
    posed,
    reframed,
    skeleton,
    walk,
)

I_POSE = {"leftUpperArm": (0, 0, -85), "rightUpperArm": (0, 0, 85)}
A_POSE = {"leftUpperArm": (0, 0, -45), "rightUpperArm": (0, 0, 45), "leftUpperLeg": (0, 0, 8),
          "rightUpperLeg": (0, 0, -8), "leftFoot": (0, 0, -8), "rightFoot": (0, 0, 8)}  # fmt: skip
BONES = [*LIMBS, *TRUNK, ("leftFoot", "leftToes"), ("rightFoot", "rightToes")]


def apart_deg(first, second) -> np.ndarray:
    """(F, J) degrees between the world rotations of two motions of the same joints."""
    a, b = world_rotations(first), world_rotations(second)
    turns = Rotation.from_quat(a.reshape(-1, 4)).inv() * Rotation.from_quat(b.reshape(-1, 4))
    return np.degrees(turns.magnitude()).reshape(a.shape[:2])


@pytest.mark.parametrize("rest", [{}, I_POSE, A_POSE], ids=["T", "I", "A"])
def test_another_rest_pose_changes_no_rotation(rest):
    truth = walk()
    source = posed(truth, rest)
    assert np.allclose(forward_kinematics(source), forward_kinematics(truth))
    names, parents, offsets = skeleton()
    again = retarget_chain(source, names, parents, offsets)
    assert np.abs(directions(again, BONES) - directions(truth, BONES)).max() < 1e-6
    assert apart_deg(again, truth).max() < 1e-3  # the twists, too
    assert np.allclose(again.root_m, truth.root_m, atol=1e-6)


def test_bones_that_all_lead_along_x_keep_their_directions():
    truth = walk(40)
    source = reframed(truth, lafan_frames(truth.names))
    flat = rest_positions(source.parents, source.rest_offsets_m)
    legs = flat[source.index("leftFoot")] - flat[source.index("leftUpperLeg")]
    assert legs[0] > 0.7  # no pose of a person
    names, parents, offsets = skeleton()
    again = retarget_chain(source, names, parents, offsets)
    assert np.abs(directions(again, BONES) - directions(truth, BONES)).max() < 1e-6
    assert apart_deg(again, truth)[:, :6].max() < 1e-3  # hips to head
    assert apart_deg(again, truth).max() < 40  # of limbs the twist is a guess


def test_other_proportions_keep_directions_and_reach():
    truth = walk()
    names, parents, offsets = skeleton()
    small = offsets * 0.6
    small[1:] *= np.random.default_rng(0).uniform(0.8, 1.2, (21, 1))
    again = retarget_chain(truth, names, parents, small)
    assert np.abs(directions(again, BONES) - directions(truth, BONES)).max() < 1e-6
    ratio = np.ptp(again.root_m[:, 2]) / np.ptp(truth.root_m[:, 2])
    assert 0.45 < ratio < 0.75


def test_joints_that_only_one_has_are_no_hindrance():
    truth = walk()
    fewer = skeleton([name for name in truth.names if "Toes" not in name and name != "upperChest"])
    again = retarget_chain(truth, *fewer)
    both = [*LIMBS, ("spine", "chest"), ("neck", "head")]
    assert np.abs(directions(again, both) - directions(truth, both)).max() < 1e-6
    more = retarget_chain(again, *skeleton())
    assert np.abs(directions(more, both) - directions(truth, both)).max() < 1e-6


def test_the_whole_person_may_lie_or_stand_on_the_head():
    truth = walk(6)
    lying, head_down = Rotation.from_euler("XYZ", [[-90, 0, 0], [0, 0, 180]], degrees=True)
    for turn in (lying, head_down):
        rotations = truth.rotations.copy()
        rotations[:, 0] = (turn * Rotation.from_quat(rotations[:, 0])).as_quat()
        source = posed(replace(truth, rotations=rotations, root_m=turn.apply(truth.root_m)), I_POSE)
        again = retarget_chain(source, *skeleton())
        assert np.abs(directions(again, BONES) - directions(source, BONES)).max() < 1e-6


def test_humanoid_rests_in_a_t_pose_on_the_ground():
    source = posed(walk(), I_POSE)
    human = humanoid(source)
    rest = rest_positions(human.parents, human.rest_offsets_m)
    hand, arm = (rest[human.index(f"left{bone}")] for bone in ("Hand", "UpperArm"))
    assert np.allclose(hand[1:], arm[1:], atol=1e-9) and hand[0] > arm[0] + 0.4
    assert 0 <= rest[:, 1].min() < 0.05
    places, before = forward_kinematics(human), forward_kinematics(source)
    for name in ("leftHand", "rightFoot", "head"):
        off = places[:, human.index(name)] - before[:, source.index(name)]
        assert np.abs(off).max() < 0.02
    assert humanoid(human) is human


def test_who_is_no_person_is_said():
    motion = walk(bones=["hips", "spine", "neck", "head"])
    with pytest.raises(InputError, match="not told as a person's"):
        humanoid(motion)


@pytest.mark.parametrize("start", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0, -0.8)])
def test_the_shortest_swing_takes_a_direction_to_another(start):
    rng = np.random.default_rng(0)
    ends = np.concatenate([rng.normal(size=(20, 3)), [start], -np.array([start])])
    swings = shortest_swing(np.array(start, float), ends)
    wanted = ends / np.linalg.norm(ends, axis=1, keepdims=True)
    assert np.allclose(swings.apply(start), wanted, atol=1e-9)
    angles = np.arccos(np.clip(wanted @ np.array(start), -1, 1))
    assert np.allclose(swings.magnitude(), angles, atol=1e-6)
