"""Two people who touch: whose limb is whose."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.pose.clip import PART_COLUMNS
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.track import track

FPS = 25.0
SPELL = range(20, 32)
LIMBS = {
    "arm": ("left_elbow", "left_wrist"),
    "leg": ("right_knee", "right_ankle"),
    "head": ("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
}


@pytest.fixture
def two(full_body):
    """Side by side, so near that a limb of the one is no strange one for the other."""
    person = full_body.map_points(lambda p: p + np.float32([100, 0]), 512, 256)
    return person, person.map_points(lambda p: p + np.float32([45, 3]), 512, 256)


def with_limb(pose, other, limb):
    """The pose with a limb of the other's, and what hangs on it."""
    joints = [BODY_JOINTS.index(name) for name in LIMBS[limb]]
    body = pose.body.copy()
    body[joints] = other.body[joints]
    hand = {"left_hand": other.left_hand} if limb == "arm" else {}
    face = {"face": other.face} if limb == "head" else {}
    return replace(pose, body=body, **hand, **face)


def followed(frames):
    """Who stands left of those in each frame; and what was told."""
    people = [[Detection(pose) for pose in poses] for poses in frames]
    return track(people, FPS, person="left", smooth=0)


@pytest.mark.parametrize("limb", LIMBS)
def test_exchanged_limbs_are_given_back(two, limb):
    person, other = two
    mixed = [with_limb(person, other, limb), with_limb(other, person, limb)]
    poses, report = followed([mixed if i in SPELL else [person, other] for i in range(60)])
    assert report.mixed == len(SPELL)
    for pose in poses:
        for part in ("body", "left_hand", "face"):
            np.testing.assert_allclose(getattr(pose, part), getattr(person, part), atol=0.5)


@pytest.mark.parametrize("limb", LIMBS)
@pytest.mark.parametrize("others_seen", [True, False])
def test_a_limb_of_the_other_is_left_out(two, limb, others_seen):
    """It is read as both people's, or the other person is not found at all."""
    person, other = two
    mixed = [with_limb(person, other, limb), *[other] * others_seen]
    poses, report = followed([mixed if i in SPELL else [person, other] for i in range(60)])
    assert report.mixed == len(SPELL)
    assert any(f"in {len(SPELL)} frames" in note for note in report.notes())
    for pose in poses:  # filled from before and after
        np.testing.assert_allclose(pose.body, person.body, atol=0.5)


@pytest.mark.parametrize("beside", [45, 250])
def test_what_moves_to_where_the_other_is_stays(two, beside):
    """A person who reaches for the other with their own arm."""
    person, _ = two
    other = person.map_points(lambda p: p + np.float32([beside, 3]), 512, 256)
    shoulder = person.body[BODY_JOINTS.index("left_shoulder")]
    frames = []
    for i in range(60):
        c, s = np.cos(np.pi * i / 59), np.sin(np.pi * i / 59)
        turn = np.float32([[c, s], [-s, c]])
        body, hand = person.body.copy(), (person.left_hand - shoulder) @ turn + shoulder
        arm = [BODY_JOINTS.index(name) for name in LIMBS["arm"]]
        body[arm] = (body[arm] - shoulder) @ turn + shoulder
        frames.append([replace(person, body=body, left_hand=hand), other])
    poses, report = followed(frames)
    assert report.mixed == 0
    for pose, (own, _) in zip(poses, frames, strict=True):
        np.testing.assert_allclose(pose.body, own.body, atol=0.5)


def test_what_is_given_back_is_not_known_in_space(two):
    person, other = (
        replace(
            pose,
            body_3d=np.ones((18, 3), np.float32),
            face_3d=np.ones((68, 3), np.float32),
            face_mesh=np.ones((478, 3), np.float32),
        )
        for pose in two
    )
    mixed = [with_limb(person, other, "head"), with_limb(other, person, "head")]
    clip, _ = followed([mixed if i in SPELL else [person, other] for i in range(60)])
    head = [BODY_JOINTS.index(name) for name in LIMBS["head"]]
    assert np.isnan(clip.face_3d[25]).all() and np.isnan(clip.body_3d[25, head]).all()
    assert np.isfinite(clip.body_3d[25, BODY_JOINTS.index("left_knee")]).all()
    assert clip.seen[25, PART_COLUMNS["face"]].all()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_people_who_are_near_in_a_clip_of_a_moment_are_followed(two, frames):
    clip, _ = followed([two] * frames)
    body = PART_COLUMNS["body"]
    assert len(clip) == frames
    assert np.allclose(clip.points[:, body], two[0].body, atol=1, equal_nan=True)
