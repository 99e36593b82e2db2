from dataclasses import replace

import numpy as np
import pytest
import torch

from magicpose_cli.evaluation.pose_following import (
    PoseReader,
    body_distance,
    body_error,
    face_error,
    found_share,
    hands_found,
    mouth_error,
    psnr_mouth,
)
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose


def shifted(pose, dx, dy=0.0):
    return pose.map_points(lambda p: p + np.float32((dx, dy)), pose.width, pose.height)


def test_a_shift_of_three_percent_is_three_percent(pose):
    height = body_height(pose)
    assert body_distance(pose, shifted(pose, 0.03 * height)) == pytest.approx(3, abs=1e-3)
    assert body_distance(pose, pose) == 0


def test_of_a_face_alone_the_eyes_tell_the_height(pose):
    score = pose.body_score.copy()
    score[1:14] = 0
    face = Pose.of(pose.width, pose.height, body=np.column_stack([pose.body, score]))
    assert body_height(face) == pytest.approx(body_height(pose), rel=0.3)
    assert body_height(Pose.of(64, 64)) is None


def test_the_height_is_near_the_drawn_persons():
    from magicpose_cli.synthetic.casting import FRAMINGS, sample_identities, sample_motions
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    for framing, tolerance in zip(FRAMINGS, (0.1, 0.2, 0.3), strict=True):
        generator = torch.Generator().manual_seed(TEST_SEEDS)
        identity = sample_identities(8, 128, generator, framing=framing)
        poses = render(identity, sample_motions(8, generator)).poses()
        true = identity.camera[:, 0].tolist()
        wrong = [abs(body_height(p) / s - 1) for p, s in zip(poses, true, strict=True)]
        assert max(wrong) < tolerance


def test_the_face_is_measured_in_eye_distances(made_sample, pose):
    eyes = np.linalg.norm(pose.face[42:48].mean(0) - pose.face[36:42].mean(0))
    found = replace(made_sample(pose=pose), found=shifted(pose, 0, 0.25 * eyes))
    assert face_error(found) == pytest.approx(25, abs=0.01)


def test_nobody_found_is_no_distance_but_counts(made_sample, pose):
    empty = replace(made_sample(pose=pose), found=Pose.of(pose.width, pose.height))
    assert body_error(empty) is None and face_error(empty) is None
    assert found_share(empty) == 0
    assert found_share(replace(empty, found=pose)) == 100
    assert found_share(made_sample(pose=pose)) is None  # no detector


def test_hands_are_found_where_the_truth_has_them(made_sample, pose):
    none = np.full_like(pose.left_hand, np.nan)
    known = replace(pose, left_hand=pose.left_hand.copy(), right_hand=pose.right_hand.copy())
    for hand, place in ((known.left_hand, 40.0), (known.right_hand, 120.0)):
        hand[:] = place + np.arange(21)[:, None]
    made = replace(made_sample(pose=pose), found=known, truth_found=known)
    assert hands_found(made) == 100
    assert hands_found(replace(made, found=replace(known, left_hand=none))) == 50
    swapped = replace(known, left_hand=known.right_hand, right_hand=known.left_hand)
    assert hands_found(replace(made, found=swapped)) == 0
    assert hands_found(replace(made, found=Pose.of(pose.width, pose.height))) == 0
    one = replace(known, left_hand=none)
    assert hands_found(replace(made, truth_found=one, found=one)) == 100
    assert hands_found(replace(made, truth_found=replace(one, right_hand=none))) is None
    assert hands_found(made_sample(pose=pose)) is None  # no detector


def test_two_joints_are_too_few(pose):
    score = pose.body_score.copy()
    score[2:] = 0
    few = Pose.of(pose.width, pose.height, body=np.column_stack([pose.body, score]))
    assert body_distance(pose, few) is None


def test_small_pictures_are_read_in_their_own_pixels(people, frames):
    import cv2

    reader = PoseReader("auto")
    small = cv2.resize(frames[0], (128, 128), interpolation=cv2.INTER_AREA)
    found = reader.read(small)
    reader.close()
    asked = people.poses()[0].map_points(lambda p: p / 2, 128, 128)
    assert (found.width, found.height) == (128, 128)
    assert body_distance(asked, found) < 4


def test_the_mouth_is_measured_alone(made_sample, pose):
    eyes = np.linalg.norm(pose.face[42:48].mean(0) - pose.face[36:42].mean(0))
    face = pose.face.copy()
    face[48:68] += np.float32((0.1 * eyes, 0))
    moved = replace(pose, face=face)
    made = replace(made_sample(pose=pose), found=moved)
    assert mouth_error(made) == pytest.approx(10, abs=0.01)
    assert face_error(made) == pytest.approx(10 * 20 / 68, abs=0.01)

    truth = np.zeros((pose.height, pose.width, 3), np.uint8)
    corner, *_, last = sorted(pose.face[48:68, 0].tolist())
    x, y = pose.face[48:68].mean(0).round().astype(int)
    picture = truth.copy()
    picture[: int(pose.face[48:68, 1].min() - (last - corner))] = 255  # far above the mouth
    made = replace(made_sample(picture, truth), truth_found=pose)
    assert psnr_mouth(made) == 100
    picture = truth.copy()
    picture[y, x] = 255
    assert psnr_mouth(replace(made, picture=picture)) < 40
    assert psnr_mouth(made_sample(picture, truth)) is None  # no detector
    outside = shifted(pose, 2 * pose.width)
    assert psnr_mouth(replace(made, truth_found=outside)) is None
    unseen = replace(pose, face=np.full_like(pose.face, np.nan))
    assert psnr_mouth(replace(made, truth_found=unseen)) is None
