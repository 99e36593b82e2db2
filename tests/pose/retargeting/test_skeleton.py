"""The driver's motion on the reference's bones, against drawn people whose truth is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.retargeting.points import POINT_INDEX, named_points
from magicpose_cli.pose.retargeting.retarget import retarget
from tests.pose.drawn import (
    at_rest,
    body_height,
    exact_poses,
    joined,
    mirrored,
    motion,
    two_people,
)  # fmt: skip

LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
] + [("neck", "mid_hip"), ("right_shoulder", "left_shoulder"), ("right_hip", "left_hip")]


def lengths(poses):
    points = named_points(poses)
    return np.stack(
        [
            np.linalg.norm(points[:, POINT_INDEX[a]] - points[:, POINT_INDEX[b]], axis=1)
            for a, b in LIMBS
        ],
        1,
    )


def body_error(poses, truth, person):
    """Mean distance of the joints in % of the body's height."""
    distance = [np.linalg.norm(p.body - t.body, axis=1) for p, t in zip(poses, truth, strict=True)]
    return 100 * float(np.mean(distance)) / body_height(person)


@pytest.mark.slow
def test_another_body_in_the_same_pose_becomes_the_reference_in_that_pose():
    """Within 2 % of its height in every clip, three times nearer than scaling alone."""
    errors = {"skeleton": [], "align": []}
    for seed in range(10):
        person, driver = two_people(seed)
        moves = joined(at_rest(), motion(seed, 48))
        truth = exact_poses(person, moves)
        clip = exact_poses(driver, moves)
        for mode, found in errors.items():
            found.append(body_error(retarget(clip, truth[0], mode).poses, truth, person))
    assert max(errors["skeleton"]) < 2.0
    assert 3 * np.mean(errors["skeleton"]) < np.mean(errors["align"])


@pytest.mark.slow
def test_bones_have_the_references_lengths():
    for seed in range(5):
        person, driver = two_people(seed)
        (target,) = exact_poses(person, at_rest())
        clip = exact_poses(driver, joined(at_rest(), motion(seed, 30)))
        result = retarget(clip, target, "skeleton")
        assert result.anchor == 0
        np.testing.assert_allclose(lengths(result.poses)[0], lengths([target])[0], rtol=0.01)
        shares = lengths(result.poses) / lengths(result.poses)[0]
        np.testing.assert_allclose(shares, lengths(clip) / lengths(clip)[0], rtol=0.02, atol=0.002)


@pytest.mark.slow
def test_lengths_are_told_from_the_clip_where_no_frame_stands_alike():
    for seed in range(5):
        person, driver = two_people(seed)
        (target,) = exact_poses(person, at_rest())
        standing = exact_poses(driver, at_rest())
        moves = motion(seed, 96)
        moves.turn.zero_()
        moves.arm.clamp_(min=1.2)  # never as the reference
        result = retarget(exact_poses(driver, moves), target, "skeleton")
        (wanted,), (before,) = lengths([target]), lengths(standing)
        ratio = (lengths(result.poses) / lengths(exact_poses(driver, moves)))[0]
        np.testing.assert_allclose(ratio * before, wanted, rtol=0.12)


@pytest.mark.parametrize("mode", ["align", "skeleton", "auto"])
@pytest.mark.parametrize("frame", [0, 17, 40])
def test_onto_oneself_is_the_identity(mode, frame):
    person, _ = two_people(3)
    clip = exact_poses(person, motion(3, 48))
    result = retarget(clip, clip[frame], mode, anchor=str(frame))
    for pose, expected in zip(result.poses, clip, strict=True):
        for part in PARTS:
            np.testing.assert_allclose(getattr(pose, part), getattr(expected, part), atol=0.1)


def test_how_the_film_was_taken_changes_nothing():
    person, driver = two_people(5)
    (target,) = exact_poses(person, at_rest())
    clip = exact_poses(driver, joined(at_rest(), motion(5, 30)))
    filmed = [p.map_points(lambda points: points * 2.5 + (40, -90), 1920, 1080) for p in clip]
    straight, other = (retarget(c, target, "skeleton").poses for c in (clip, filmed))
    for a, b in zip(straight, other, strict=True):
        for part in PARTS:
            np.testing.assert_allclose(getattr(a, part), getattr(b, part), atol=0.1)


def test_a_mirrored_film_on_a_mirrored_reference_is_the_mirrored_result():
    person, driver = two_people(6)
    (target,) = exact_poses(person, at_rest())
    clip = exact_poses(driver, joined(at_rest(), motion(6, 30)))
    straight = retarget(clip, target, "skeleton").poses
    swapped = retarget([mirrored(p) for p in clip], mirrored(target), "skeleton").poses
    for a, b in zip(straight, swapped, strict=True):
        np.testing.assert_allclose(mirrored(a).body, b.body, atol=0.1)


def test_a_standing_foot_stands_still_while_the_knees_bend():
    """Of a driver with long thighs, on a reference with long shins."""
    person, driver = two_people(7)
    person.shin *= 1.15
    driver.thigh *= 1.15
    moves = joined(*[at_rest()] * 20)
    moves.leg += 0.5 * np.linspace(0, 1, 20, dtype=np.float32)[:, None]
    moves.knee -= 0.8 * np.linspace(0, 1, 20, dtype=np.float32)[:, None]
    clip = exact_poses(driver, moves)
    ankle = BODY_JOINTS.index("right_ankle")
    held = [p.map_points(lambda q, p=p: q - p.body[ankle] + (200, 450), 512, 512) for p in clip]
    (target,) = exact_poses(person, at_rest())
    feet = np.stack([pose.body[ankle] for pose in retarget(held, target, "skeleton").poses])
    assert np.ptp(feet[:, 1]) < 0.02 * body_height(person)


def test_a_driver_who_comes_nearer_grows():
    person, driver = two_people(8)
    (target,) = exact_poses(person, at_rest())
    clip = exact_poses(driver, joined(*[at_rest()] * 40))
    nearer = [
        pose.map_points(lambda q, k=k: 256 + (q - 256) * (1 + k / 39), 512, 512)
        for k, pose in enumerate(clip)
    ]
    result = retarget(nearer, target, "skeleton", anchor="first").poses
    np.testing.assert_allclose(lengths(result)[0], lengths([target])[0], rtol=0.01)
    np.testing.assert_allclose(lengths(result)[-1], 2 * lengths(result)[0], rtol=0.01)


def test_a_joint_hidden_for_a_while_carries_what_hangs_on_it(full_body):
    """A shoulder unseen in one frame: the elbow stays where it would be, the shoulder unseen."""
    clip = [full_body] * 5
    body = np.column_stack([full_body.body, full_body.body_score])
    for name in ("right_shoulder", "neck"):
        body[BODY_JOINTS.index(name), 2] = 0.0
    parts = {p: np.column_stack([getattr(full_body, p), getattr(full_body, f"{p}_score")])
             for p in PARTS if p != "body"}  # fmt: skip
    clip[2] = Pose.of(256, 256, body=body, **parts)
    result = retarget(clip, full_body, "skeleton").poses[2]
    seen = np.isfinite(clip[2].body)
    np.testing.assert_allclose(result.body[seen], full_body.body[seen], atol=0.1)
    assert (np.isfinite(result.body) == seen).all()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["skeleton", "full"])
def test_a_driver_who_turns_around_stays_the_reference(mode):
    person, driver = two_people(11)
    moves = joined(*[at_rest()] * 40)
    for turn in (moves.turn, moves.head_turn):
        turn.copy_(torch.linspace(0, 2 * np.pi, 40))
    result = retarget(exact_poses(driver, moves), exact_poses(person, at_rest())[0], mode)
    assert body_error(result.poses, exact_poses(person, moves), person) < 1.0
    steps = np.diff(np.stack([pose.body for pose in result.poses]), axis=0)
    assert np.abs(steps).max() < 0.03 * body_height(person)


def test_auto_takes_bones_for_bodies_and_scales_heads(full_body):
    head = Pose.of(256, 256, face=np.column_stack([full_body.face, full_body.face_score]))
    assert retarget([full_body], full_body).mode == "skeleton"
    assert retarget([head], full_body).mode == "align"
    assert retarget([full_body], head).mode == "align"


coordinates = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))


@st.composite
def poses(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    scale = draw(st.sampled_from([1.0, 1e3, 1e6]))
    share = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    parts = {}
    for part, count in PARTS.items():
        points = generator.uniform(-scale, scale, (count, 3))
        points[:, 2] = generator.uniform(0, 1, count) < share
        parts[part] = points
    return Pose.of(640, 480, **parts)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    clip=st.lists(poses(), min_size=1, max_size=6), target=poses(),
    mode=st.sampled_from(["auto", "align", "skeleton", "full"]),
)  # fmt: skip
def test_any_points_give_points_or_one_clear_line(clip, target, mode):
    from magicpose_cli.errors import DetectionError

    try:
        result = retarget(clip, target, mode).poses
    except DetectionError as error:
        assert "\n" not in str(error)
        return
    for pose, driver in zip(result, clip, strict=True):
        for part in PARTS:
            points, score = getattr(pose, part), getattr(pose, f"{part}_score")
            assert (np.isfinite(points).all(axis=1) == (score > 0)).all()
            known = [getattr(one, f"{part}_score") > 0 for one in (driver, target)]
            assert not ((score > 0) & ~known[0] & ~known[1]).any()  # or held as the reference's
