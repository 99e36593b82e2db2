"""What `track` mends in a clip of one person, and what it must not touch."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.tracking.track import Detection, track

FPS = 25.0
MIRROR = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]


def moved(pose, dx, dy=0.0):
    shift = np.float32([dx, dy])
    return pose.map_points(lambda points: points + shift, pose.width, pose.height)


def mirrored(pose):
    """The person's left and right exchanged, nothing moved."""
    return replace(
        pose,
        body=pose.body[MIRROR],
        body_score=pose.body_score[MIRROR],
        left_hand=pose.right_hand,
        right_hand=pose.left_hand,
    )


def with_joint(pose, name, place):
    body = pose.body.copy()
    body[BODY_JOINTS.index(name)] = place
    return replace(pose, body=body)


def with_arm(pose, dx):
    """The left wrist and its hand moved."""
    place = pose.body[BODY_JOINTS.index("left_wrist")] + np.float32([dx, 0])
    moved_hand = pose.left_hand + np.float32([dx, 0])
    return replace(with_joint(pose, "left_wrist", place), left_hand=moved_hand)


def follow(poses, fps=FPS, **options):
    return track([[] if p.is_empty else [Detection(p)] for p in poses], fps, **options)


def assert_near(poses, truth, tolerance, parts=PARTS):
    for pose, exact in zip(poses, truth, strict=True):
        for part in parts:
            np.testing.assert_allclose(getattr(pose, part), getattr(exact, part), atol=tolerance)


@pytest.fixture
def walk(full_body):
    return [moved(full_body, 0.4 * i, 3 * np.sin(i / 6)) for i in range(60)]


def test_exchanged_sides_are_swapped_back(walk):
    space = np.random.default_rng(0).normal(size=(18, 3)).astype(np.float32)
    walk = [replace(pose, body_3d=space) for pose in walk]
    found = list(walk)
    for frame in (7, 20, 21, 22, 40):
        found[frame] = replace(mirrored(walk[frame]), body_3d=space[MIRROR])
    poses, report = follow(found, smooth=0)
    assert report.flips == 5
    assert_near(poses, walk, 1e-3)
    assert all(np.array_equal(pose.body_3d, space) for pose in poses)


def test_exchanged_legs_leave_the_arms_alone(walk):
    legs = [8, 9, 10, 11, 12, 13]
    found = list(walk)
    for frame in (15, 16):
        body = walk[frame].body.copy()
        body[legs] = body[[MIRROR[joint] for joint in legs]]
        found[frame] = replace(walk[frame], body=body)
    poses, report = follow(found, smooth=0)
    assert report.flips == 2
    assert_near(poses, walk, 1e-3)


@pytest.mark.parametrize("frames", [5, 8, 25])
def test_a_true_turn_is_no_flip(full_body, frames):
    """Half a turn about the vertical, in 0.2 to 1 s, and back again after half a second."""
    axis = float(full_body.body[1, 0])
    angle = np.concatenate([
        np.zeros(20), np.linspace(0, np.pi, frames + 1)[1:], np.full(12, np.pi),
        np.linspace(np.pi, 0, frames + 1)[1:], np.zeros(20),
    ])  # fmt: skip
    turning = [
        full_body.map_points(lambda p, a=a: (p - (axis, 0)) * (np.cos(a), 1) + (axis, 0), 256, 256)
        for a in angle
    ]
    poses, report = follow(turning, smooth=0)
    assert report.flips == report.jumps == 0
    assert_near(poses, turning, 1e-3)
    smoothed, _ = follow(turning)
    assert_near(smoothed, turning, 4.0)


def test_a_joint_that_jumps_away_is_brought_back(walk):
    found = list(walk)
    found[10] = with_joint(walk[10], "left_wrist", (30, 240))
    for frame in (30, 31):
        found[frame] = with_joint(walk[frame], "right_knee", (220, 20))
    poses, report = follow(found, smooth=0)
    assert report.jumps == 3
    assert_near(poses, walk, 0.2, ["body"])
    assert poses[10].body_score[BODY_JOINTS.index("left_wrist")] < 0.9


def test_where_frames_are_few_a_jump_is_a_motion(walk):
    found = list(walk)
    found[10] = with_joint(walk[10], "left_wrist", (30, 240))
    poses, _ = follow(found, fps=2, smooth=0)
    assert_near(poses, found, 0.2, ["body"])


@pytest.mark.parametrize("own_wrist", [True, False])
def test_a_hand_at_the_other_wrist_changes_sides(walk, full_body, own_wrist):
    nothing = np.full((21, 2), np.nan, np.float32), np.zeros(21, np.float32)
    score = full_body.body_score.copy()
    score[BODY_JOINTS.index("left_wrist")] *= own_wrist
    lone = [
        replace(p, left_hand=p.right_hand, left_hand_score=p.right_hand_score,
                right_hand=nothing[0], right_hand_score=nothing[1], body_score=score)
        for p in walk
    ]  # fmt: skip
    poses, _ = follow(lone, smooth=0)
    assert_near(poses, walk, 0.2, ["right_hand"])
    assert not any(pose.left_hand_score.any() for pose in poses)


def without_left_wrist(pose):
    score = pose.body_score.copy()
    score[BODY_JOINTS.index("left_wrist")] = 0
    return replace(pose, body_score=score)


def test_exchanged_hands_give_the_seen_wrist_its_own(walk):
    exchanged = [replace(p, left_hand=p.right_hand, right_hand=p.left_hand) for p in walk]
    poses, _ = follow([without_left_wrist(pose) for pose in exchanged], smooth=0)
    assert_near(poses, walk, 0.2, ["right_hand"])
    assert not any(pose.left_hand_score.any() for pose in poses)


def test_a_hand_that_is_held_stays_where_its_wrist_is_hidden(walk):
    held = [replace(p, left_hand=p.right_hand + np.float32([2, 3])) for p in walk]
    poses, _ = follow([without_left_wrist(pose) for pose in held], smooth=0)
    assert_near(poses, held, 0.2, ["right_hand", "left_hand"])


def test_a_hand_found_somewhere_else_is_not_drawn_there(walk):
    found = list(walk)
    found[25] = replace(walk[25], left_hand=walk[25].left_hand + np.float32([-60, 120]))
    poses, report = follow(found, smooth=0)
    assert report.jumps == 1
    assert_near(poses, walk, 0.2)


def test_a_face_that_jumps_is_brought_back(walk):
    found = list(walk)
    found[25] = replace(walk[25], face=walk[25].face + np.float32([90, 60]))
    poses, _ = follow(found, smooth=0)
    assert_near(poses, walk, 0.2)


def test_a_joint_that_flickers_in_is_not_drawn(half_body):
    clip = [half_body] * 60
    score = half_body.body_score.copy()
    score[BODY_JOINTS.index("left_ankle")] = 0.6
    clip[30] = replace(with_joint(half_body, "left_ankle", (40, 250)), body_score=score)
    poses, report = follow(clip)
    assert report.jumps == 1
    assert np.isnan(poses[30].body[BODY_JOINTS.index("left_ankle")]).all()


def test_fast_motion_is_not_damped(full_body):
    """A hand that is shaken at 3 Hz keeps 95 % of its way, a blow of 0.16 s its height."""
    wrist = BODY_JOINTS.index("left_wrist")
    at = full_body.body[wrist]
    way = 25 * np.sin(2 * np.pi * 3 * np.arange(100) / FPS)
    shaken = [with_arm(full_body, dx) for dx in way]
    poses, report = follow(shaken)
    after = np.array([pose.body[wrist, 0] for pose in poses]) - at[0]
    assert report.jumps == 0
    assert after @ way / (way @ way) > 0.95
    blow = np.zeros(60)
    blow[30:34] = (20, 40, 40, 20)
    struck = [with_arm(full_body, -dx) for dx in blow]
    poses, report = follow(struck)
    assert report.jumps == 0
    assert at[0] - min(pose.body[wrist, 0] for pose in poses) > 0.9 * blow.max()


def test_nothing_is_smoothed_across_a_cut(full_body):
    far = full_body.map_points(lambda p: p * 0.5 + (300, 100), 512, 512)
    near = full_body.map_points(lambda p: p, 512, 512)
    rng = np.random.default_rng(0)
    shots = [near] * 20 + [far] * 20
    found = [p.map_points(lambda q: q + rng.normal(0, 1.5, q.shape), 512, 512) for p in shots]
    poses, report = follow(found)
    assert_near(poses, shots, 5.5)
    assert report.jitter_after < report.jitter_before
    gone = [*found[:18], *[Pose.of(512, 512)] * 4, *found[22:]]
    poses, report = follow(gone)
    assert report.held == ((18, 21),)  # nobody glides from one place to the other
    assert_near(poses, [near] * 22 + [far] * 18, 5.5)


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
def test_jitter_goes_and_scores_stay(walk, fps):
    rng = np.random.default_rng(0)
    still = [walk[0]] * 60
    found = [p.map_points(lambda q: q + rng.normal(0, 1, q.shape), 256, 256) for p in still]
    jitters = []
    for strength in (0.0, 1.0, 2.0):
        poses, report = follow(found, fps, smooth=strength)
        assert all((a.body_score == b.body_score).all() for a, b in zip(poses, found, strict=True))
        jitters.append(report.jitter_after)
    assert jitters[0] == pytest.approx(report.jitter_before, rel=0.01)
    assert jitters[2] < jitters[1] < (0.6 if fps == 10 else 0.25) * jitters[0]


def test_the_report_says_what_is_missing(walk):
    empty = Pose.of(256, 256)
    found = [*walk[:10], *[empty] * 5, *walk[15:30], *[empty] * 20, *walk[50:]]
    poses, report = follow(found, max_gap_s=0.4)
    assert report.missing == (*range(10, 15), *range(30, 50))
    assert report.held == ((30, 49),)
    assert report.frames == len(poses) == 60
    assert report.people == 1
    assert not any(pose.is_empty for pose in poses)
    assert json.loads(json.dumps(asdict(report)))["held"] == [[30, 49]]


def test_errors_are_one_line(full_body):
    with pytest.raises(DetectionError, match="no person was found in any of its 3 frames"):
        track([[], [], []], FPS)
    with pytest.raises(DetectionError, match="no person"):
        track([[Detection(Pose.of(8, 8))]], FPS)
    with pytest.raises(ConfigError, match="person: 'tall'"):
        follow([full_body], person="tall")


def test_one_frame_and_one_joint(full_body):
    poses, _ = follow([full_body])
    assert poses[0].equals(full_body)
    joint = np.zeros((18, 3))
    joint[4] = 10, 20, 0.5
    poses, _ = follow([Pose.of(64, 64, body=joint)] * 7)
    assert_near(poses, [Pose.of(64, 64, body=joint)] * 7, 1e-3)


def test_the_corner_is_nobodys_place(walk):
    found = list(walk)
    for frame in (5, 30):
        found[frame] = with_joint(walk[frame], "left_ankle", (0, 0))
    poses, _ = follow(found, smooth=0)
    assert_near(poses, walk, 0.2)


def believable(pose):
    """Some of it may be a person, whose points are not all in one place."""
    clip = PoseClip.of([pose])
    clip.forget_impossible_points()
    points = clip.points[clip.seen]
    return len(points) > 0 and np.ptp(points, axis=0).max() > 0


coordinates = st.one_of(
    st.floats(0, 256, width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, 2.0**100, -(2.0**40), 0.0, -1.0]),
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(0, 3), *map(st.just, (128, 2))),
               elements=coordinates, fill=st.sampled_from([np.nan, 50.0])),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 25.0, 1000.0]),
    st.sampled_from(["largest", "left", "center", "10,10"]),
)  # fmt: skip
def test_it_never_dies(points, seed, fps, person):
    """Anybody anywhere, points without numbers, huge ones, others in each frame."""
    check_tracked(points, seed, fps, person)


@pytest.mark.parametrize(("shape", "odd", "seed"), [
    ((3, 3), {(1, 1, 0, 0): 2.0**100}, 98),  # taken from somebody else in the same place
    ((1, 2), {(0, 0, 1, 1): 30, (0, 0, 4, 0): -(2.0**40), (0, 0, 32, 0): -(2.0**40),
              (0, 1, 82, 0): -(2.0**40)}, 181),  # two who are one, and all of both in doubt
])  # fmt: skip
def test_people_in_one_place_with_impossible_points(shape, odd, seed):
    points = np.full((*shape, 128, 2), 50, np.float32)
    for place, value in odd.items():
        points[place] = value
    check_tracked(points, seed, 1000.0, "largest")


def check_tracked(points, seed, fps, person):
    """Whoever may be a person is tracked, and all that is told of them has a number."""
    scores = np.random.default_rng(seed).choice([0.0, 0.3, 1.0], points.shape[:3])
    clip = [
        [
            Detection(Pose.of(256, 256, **{
                part: np.column_stack([points[i, j, columns], scores[i, j, columns]])
                for part, columns in PART_COLUMNS.items()
            }))
            for j in range(points.shape[1])
        ]
        for i in range(len(points))
    ]  # fmt: skip
    try:
        poses, report = track(clip, fps, person=person)
    except DetectionError:
        found = [believable(s.pose) for people in clip for s in people]
        assert not any(found)
        return
    assert len(poses) == report.frames == len(clip)
    for pose in poses:
        for part in PARTS:
            seen = getattr(pose, f"{part}_score") > 0
            assert np.isfinite(getattr(pose, part)[seen]).all()
            assert np.isnan(getattr(pose, part)[~seen]).all()
            assert np.abs(getattr(pose, part)[seen]).max(initial=0) < 1e5
