"""Joints by the names of several programs."""

import numpy as np
import pytest

from magicpose_cli.body.humanoid_names import VRM_PARENTS, humanoid_joints
from tests.body.skeletons import STYLES, skeleton


@pytest.mark.parametrize("style", STYLES)
def test_names_of(style):
    names, parents, _ = skeleton(list(STYLES[style].names))
    theirs = [STYLES[style].names[name] for name in names]
    found = humanoid_joints(theirs, parents)
    assert {bone: theirs[joint] for bone, joint in found.items()} == {
        name: STYLES[style].names[name] for name in names
    }


def test_all_of_vrm_are_themselves():
    names = tuple(VRM_PARENTS)
    parents = [-1 if above is None else names.index(above) for above in VRM_PARENTS.values()]
    assert len(names) == 55
    assert humanoid_joints(names, parents) == {name: n for n, name in enumerate(names)}


def test_cmu_has_joints_between():
    names = ["Hips", "LHipJoint", "LeftUpLeg", "LeftLeg", "LeftFoot", "RHipJoint", "RightUpLeg",
             "RightLeg", "RightFoot", "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head",
             "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LThumb", "RightShoulder",
             "RightArm", "RightForeArm", "RightHand"]  # fmt: skip
    parents = [-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 13, 11, 15, 16, 17, 18, 11, 20, 21, 22]
    found = {bone: names[joint] for bone, joint in humanoid_joints(names, parents).items()}
    assert found["leftUpperLeg"] == "LeftUpLeg" and found["neck"] == "Neck"
    assert (found["spine"], found["chest"], found["upperChest"]) == ("LowerBack", "Spine", "Spine1")
    assert found["leftThumbMetacarpal"] == "LThumb" and "LHipJoint" not in found.values()


def test_fingers_of_several_programs():
    for form in ("LeftHand{F}{n}", "left_{f}{n}", "l{F}{n}"):
        names, parents = ["hips", "spine", "neck", "head"], [-1, 0, 1, 2]
        for side in ("left", "right"):
            s = side.capitalize()
            names += [f"{s}UpLeg", f"{s}Arm", f"{s}ForeArm", f"{s}Hand"]
            parents += [0, 1, len(names) - 3, len(names) - 2]
        hand = names.index("LeftHand")
        for finger in ("thumb", "index", "pinky"):
            for n in (1, 2, 3):
                names.append(form.format(F=finger.capitalize(), f=finger, n=n))
                parents.append(hand if n == 1 else len(names) - 2)
        found = humanoid_joints(names, np.array(parents))
        fingers = ["ThumbMetacarpal", "ThumbProximal", "ThumbDistal", "IndexProximal",
                   "IndexIntermediate", "IndexDistal", "LittleProximal", "LittleIntermediate",
                   "LittleDistal"]  # fmt: skip
        assert [found[f"left{name}"] for name in fingers] == list(range(hand + 5, hand + 14))


def test_no_person_is_none():
    assert humanoid_joints(["root", "arm", "hand"], [-1, 0, 1]) == {}
    names = ["head", "hips", "leftUpperLeg", "rightUpperLeg", "leftUpperArm", "rightUpperArm"]
    assert humanoid_joints(names, [-1, 0, 1, 1, 0, 0]) == {}  # hips below the head
