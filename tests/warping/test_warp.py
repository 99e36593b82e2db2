"""A reference moved: what goes where, and what stays."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.part_segmentation import PartShares
from magicpose_cli.warping.warp import ReferenceWarp, TrackedFrame
from magicpose_cli.warping.warp_points import HEAD_JOINTS, WarpPoints
from tests.pose.drawn import at_rest, mirrored
from tests.warping.conftest import on_a_wall
from tests.warping.people import drawn, matte_of, mesh_on, quality, shifted, with_mesh, without


def joint(pose: Pose, name: str) -> np.ndarray:
    return pose.body[BODY_JOINTS.index(name)].astype(np.float64)


def around(picture: np.ndarray, point: np.ndarray, reach: int = 2) -> np.ndarray:
    x, y = np.rint(point).astype(int)
    return picture[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3).mean(0)


def test_a_reference_in_its_own_pose_is_itself(warp, standing):
    moved = warp(standing.pose)
    assert moved.picture.shape == (256, 256, 3) and moved.picture.dtype == np.float32
    assert moved.pose is standing.pose
    assert quality(moved.picture, standing.picture) > 45
    assert np.abs(moved.cover - standing.shown).mean() < 0.01


def test_with_a_matte_that_is_found_the_reference_stays_itself(standing):
    """What a matte takes for half behind is guessed, but not where nothing moves."""
    matte = find_matte(standing.picture, standing.pose)
    assert matte is not None
    warp = ReferenceWarp(standing.picture, standing.pose, matte)
    assert quality(warp(standing.pose).picture, standing.picture) > 45


def test_a_portrait_with_a_mesh_is_itself(portrait):
    pose = with_mesh(portrait.pose)
    warp = ReferenceWarp(portrait.picture, pose, portrait.matte)
    assert quality(warp(pose).picture, portrait.picture) > 45


def test_what_is_far_away_stays_to_the_bit(warp, standing, raised):
    moved = warp(raised.pose)
    near = standing.shown | (moved.cover > 0)
    y, x = np.nonzero(near)
    far = np.ones(near.shape, bool)
    far[max(0, y.min() - 8) : y.max() + 9, max(0, x.min() - 8) : x.max() + 9] = False
    assert far.mean() > 0.2
    assert np.array_equal(moved.picture[far], standing.picture[far])
    assert np.array_equal(moved.picture[warp.hole == 0][0], standing.picture[warp.hole == 0][0])


def test_outside_of_cover_and_hole_it_is_the_picture(warp, standing, raised):
    moved = warp(raised.pose)
    free = (warp.hole == 0) & (moved.cover == 0)
    assert free.mean() > 0.4
    assert np.array_equal(moved.picture[free], standing.picture[free])


def test_a_raised_forearm_is_at_its_new_place(warp, standing, raised):
    old, new = (joint(one.pose, "right_wrist") for one in (standing, raised))
    assert np.linalg.norm(new - old) > 40
    was_skin, was_wall = around(standing.picture, old), around(standing.wall, new)
    assert np.abs(was_skin - was_wall).max() > 60
    moved = warp(raised.pose)
    assert np.abs(around(moved.picture, new) - was_skin).max() < 20
    assert around(np.repeat(moved.cover[..., None], 3, 2), new).min() > 0.9
    assert np.abs(around(moved.picture, old) - around(warp.plate, old)).max() < 1
    assert np.abs(around(warp.plate, old) - around(standing.wall, old)).max() < 25
    assert quality(moved.picture, raised.picture) > quality(standing.picture, raised.picture) + 3


def test_only_the_raised_arm_moves(warp, standing, raised):
    moved = warp(raised.pose).picture
    for name in ("left_wrist", "left_knee", "right_ankle", "nose"):
        place = joint(standing.pose, name)
        assert np.abs(around(moved, place) - around(standing.picture, place)).max() < 6, name


def test_a_mirrored_reference_moves_in_the_mirror(warp, standing, raised):
    twins = [shifted(mirrored(one.pose), -1) for one in (standing, raised)]
    picture = np.ascontiguousarray(standing.picture[:, ::-1])
    twin = ReferenceWarp(picture, twins[0], matte_of(picture, standing.shown[:, ::-1]))
    one, other = warp(raised.pose).picture, twin(twins[1]).picture[:, ::-1]
    assert np.abs(one - other).mean() < 1
    assert quality(one, other) > 30


def test_a_shifted_person_is_shifted(warp, standing):
    moved = warp(shifted(standing.pose, 12, -5))
    expected = np.roll(standing.shown, (-5, 12), (0, 1))
    assert np.abs(moved.cover - expected).mean() < 0.01
    inside = np.roll(standing.picture, (-5, 12), (0, 1))[expected]
    assert np.abs(moved.picture[expected] - inside).mean() < 4


def test_an_unknown_frame_holds_the_reference(warp, standing):
    moved = warp(Pose.of(256, 256))
    assert quality(moved.picture, standing.picture) > 40


@pytest.mark.parametrize(
    "parts", [("face",), ("left_hand", "right_hand"), ("body",), ("body", "face")]
)
def test_what_a_frame_does_not_know_goes_with_the_rest(warp, standing, parts):
    moved = warp(without(standing.pose, *parts))
    assert np.isfinite(moved.picture).all()
    assert quality(moved.picture, standing.picture) > 35


def test_an_unknown_hand_goes_with_its_arm(warp, standing, raised):
    moved = warp(without(raised.pose, "right_hand"))
    hand = raised.pose.right_hand.mean(0)
    assert moved.cover[int(hand[1]), int(hand[0])] > 0.9


@pytest.mark.parametrize("parts", [("face",), ("left_hand", "right_hand"), ("body", "face")])
def test_a_reference_that_shows_less_is_moved_as_well(standing, raised, parts):
    pose = without(standing.pose, *parts)
    warp = ReferenceWarp(standing.picture, pose, standing.matte)
    assert quality(warp(pose).picture, standing.picture) > 35
    assert np.isfinite(warp(raised.pose).picture).all()


@pytest.mark.parametrize("way", [(400, 0), (-400, 0), (0, 400), (0, -500), (5000, 5000)])
def test_nobody_is_left_of_who_leaves_the_picture(warp, standing, way):
    moved = warp(shifted(standing.pose, *way))
    assert not moved.cover.any()
    assert np.array_equal(moved.picture, warp.plate)


def test_who_leaves_by_half_is_seen_by_half(warp, standing):
    moved = warp(shifted(standing.pose, 128))
    assert np.isfinite(moved.picture).all()
    assert (moved.cover[:, :120] == 0).all() and moved.cover[:, 200:].any()


def test_a_frame_is_the_same_whatever_came_before(warp, standing, raised):
    first = warp(raised.pose).picture
    warp(standing.pose)
    assert np.array_equal(warp(raised.pose).picture, first)


def test_a_mesh_that_opens_the_mouth_opens_it_there_alone(portrait):
    pose = with_mesh(portrait.pose)
    warp = ReferenceWarp(portrait.picture, pose, portrait.matte)
    still, opened = warp(pose).picture, warp(with_mesh(portrait.pose, opened=14)).picture
    change = np.abs(opened - still).max(2)
    lip = portrait.pose.face[[62, 66]].mean(0)
    assert change[int(lip[1]) + 4 : int(lip[1]) + 10, int(lip[0]) - 4 : int(lip[0]) + 5].min() > 40
    eyes = portrait.pose.face[36:48].mean(0)
    assert change[: int(eyes[1]) + 5].max() < 8
    assert change[:, :60].max() < 2 and change[200:].max() < 2


def test_a_wide_open_mouth_is_no_hole(portrait):
    warp = ReferenceWarp(portrait.picture, with_mesh(portrait.pose), portrait.matte)
    pose = with_mesh(portrait.pose, opened=20)
    x, y = np.rint(pose.face_mesh[[13, 14], :2].mean(0)).astype(int)
    assert warp(pose).cover[y - 4 : y + 5, x - 4 : x + 5].min() > 0.99


def test_what_an_arm_has_hidden_is_filled_with_its_surroundings():
    """A red arm across a gray trunk is stretched out to the side."""
    body = np.zeros((18, 3))
    for name, x, y in (
        ("neck", 128, 70), ("right_shoulder", 98, 72), ("left_shoulder", 158, 72),
        ("right_hip", 108, 180), ("left_hip", 148, 180),
        ("right_elbow", 90, 120), ("right_wrist", 140, 130),
    ):  # fmt: skip
        body[BODY_JOINTS.index(name)] = x, y, 1
    still = Pose.of(256, 256, body=body)
    body[BODY_JOINTS.index("right_wrist"), :2] = 40, 130
    stretched = Pose.of(256, 256, body=body)
    shown, arm = np.zeros((256, 256), np.uint8), np.zeros((256, 256), np.uint8)
    shown[60:200, 94:163] = 1
    joints = [np.rint(joint(still, f"right_{n}")).astype(int).tolist()
              for n in ("shoulder", "elbow", "wrist")]  # fmt: skip
    for start, end in pairwise(joints):
        cv2.line(arm, start, end, (1,), 13)
    picture = np.full((256, 256, 3), (30, 60, 160), np.uint8)
    picture[shown > 0], picture[arm > 0] = (150, 150, 150), (230, 40, 30)
    warp = ReferenceWarp(picture, still, matte_of(picture, (shown | arm) > 0))
    moved = warp(stretched).picture
    hidden, hand = np.array([125.0, 127.0]), np.array([55.0, 128.0])
    assert np.abs(around(picture, hidden) - (230, 40, 30)).max() < 2
    assert np.abs(around(moved, hidden) - (150, 150, 150)).max() < 30
    assert np.abs(around(moved, hand) - (230, 40, 30)).max() < 30


def in_space(pose: Pose, depth: float) -> Pose:
    """The body in space, flat, but for the right forearm, which lies so many trunks behind it."""
    space = np.column_stack([pose.body, np.zeros(18)]).astype(np.float32)
    trunk = joint(pose, "right_hip")[1] - joint(pose, "right_shoulder")[1]
    for name in ("right_elbow", "right_wrist"):
        space[BODY_JOINTS.index(name), 2] = depth * trunk
    return replace(pose, body_3d=space)


@pytest.fixture(scope="module")
def folded(standing) -> Pose:
    """The right hand before, or behind, the belly."""
    body = standing.pose.body.copy()
    hips = joint(standing.pose, "right_hip"), joint(standing.pose, "left_hip")
    body[BODY_JOINTS.index("right_wrist")] = np.mean(hips, 0) - (0, 12)
    return without(replace(standing.pose, body=body), "right_hand")


def test_an_arm_that_goes_behind_the_trunk_is_hidden_by_it(standing, folded):
    warp = ReferenceWarp(standing.picture, in_space(standing.pose, 0), standing.matte)
    belly = joint(folded, "right_wrist") - (4, 0)
    behind, before = (around(warp(in_space(folded, z)).picture, belly) for z in (0.6, 0))
    assert np.abs(behind - around(warp(in_space(standing.pose, 0)).picture, belly)).max() < 2
    assert np.abs(before - behind).max() > 30
    unknown = around(warp(folded).picture, belly)
    assert np.array_equal(unknown, before)


def test_an_arm_that_was_behind_already_is_shown_as_it_was(standing, folded):
    """What is seen of it in the reference was not hidden."""
    warp = ReferenceWarp(standing.picture, in_space(standing.pose, 0.6), standing.matte)
    plain = ReferenceWarp(standing.picture, standing.pose, standing.matte)
    assert np.array_equal(warp(in_space(folded, 0.6)).picture, plain(folded).picture)


def turned(pose: Pose, radians: float) -> Pose:
    """The head turned about the vertical through the ears, with its mesh and its 68 points."""
    mesh = with_mesh(pose).face_mesh.astype(np.float64)
    middle = np.array([mesh[:, 0].mean(), 0, 0])
    cos, sin = np.cos(radians), np.sin(radians)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return replace(pose, face_mesh=((mesh - middle) @ turn.T + middle).astype(np.float32))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_head_that_turns_takes_the_nose_along_and_leaves_the_shirt(portrait, sign):
    warp = ReferenceWarp(portrait.picture, with_mesh(portrait.pose), portrait.matte)
    still, moved = warp(turned(portrait.pose, 0)), warp(turned(portrait.pose, 0.35 * sign))
    nose, way = (
        np.rint(v).astype(int)
        for v in (portrait.pose.face[30], (turned(portrait.pose, 0.35 * sign).face_mesh[195]
                                          - with_mesh(portrait.pose).face_mesh[195]))
    )  # fmt: skip
    assert abs(way[0]) > 6
    part = np.s_[nose[1] - 8 : nose[1] + 9, nose[0] - 6 : nose[0] + 7]
    there = np.s_[nose[1] - 8 : nose[1] + 9, nose[0] + way[0] - 6 : nose[0] + way[0] + 7]
    gone = np.abs(moved.picture[there] - still.picture[part]).mean()
    assert gone < 0.6 * np.abs(moved.picture[part] - still.picture[part]).mean()
    assert np.abs(moved.picture[200:] - still.picture[200:]).mean() < 0.5


def test_a_mesh_of_a_frame_moves_the_eyes_gaze(portrait):
    pose = with_mesh(portrait.pose)
    looking = pose.face_mesh.copy()
    looking[468:, 0] += 4
    warp = ReferenceWarp(portrait.picture, pose, portrait.matte)
    change = np.abs(warp(replace(pose, face_mesh=looking)).picture - warp(pose).picture).max(2)
    near = np.zeros(change.shape, bool)
    for eye in (pose.face[36:42], pose.face[42:48]):
        (left, top), (right, bottom) = eye.min(0).astype(int) - 6, eye.max(0).astype(int) + 7
        near[top:bottom, left:right] = True
        assert change[top:bottom, left:right].max() > 40
    assert change[~near].max() == 0


def test_a_drift_of_the_driver_moves_further(warp, standing):
    """Driver and reference in the same pose, everything 3 pixels to the right at half the size."""
    small = standing.pose.map_points(lambda points: points / 2, 128, 128)
    drift = np.zeros((128, 128, 2), np.float32)
    still = warp(standing.pose, TrackedFrame(small, drift, 2.0))
    assert np.array_equal(still.picture, warp(standing.pose).picture)
    drift[..., 0] = 3
    moved = warp(standing.pose, TrackedFrame(small, drift, 2.0))
    expected = np.roll(standing.shown, 6, 1)
    assert np.abs(moved.cover - expected).mean() < 0.01


def test_a_drift_is_looked_up_in_the_drivers_place(standing):
    drift = np.zeros((256, 256, 2), np.float32)
    drift[10, 20] = 1, -2
    places = np.array([[[20.0, 10.0], [500.0, 10.0]]])
    assert np.allclose(
        TrackedFrame(standing.pose, drift, 3.0).drift_at(places), [[[3, -6], [0, 0]]]
    )
    coarse = np.zeros((64, 64, 2), np.float32)  # one for four pixels
    coarse[2, 5] = 1, -2
    places = np.array([[[21.5, 9.5], [23.5, 9.5], [29.5, 9.5]]])
    assert np.allclose(
        TrackedFrame(standing.pose, coarse, 3.0).drift_at(places), [[[3, -6], [1.5, -3], [0, 0]]]
    )


def test_points_know_what_is_guessed(standing):
    unsure = standing.pose.body.copy()
    guess = np.column_stack([standing.pose.body, np.full(18, 0.3)])
    wrist = BODY_JOINTS.index("right_wrist")
    unsure[wrist] = np.nan
    handless = without(standing.pose, "right_hand")
    pose = replace(handless, body=unsure, body_guess=guess.astype(np.float32))
    assert not WarpPoints.of(pose).has("right_wrist")
    assert WarpPoints.of(pose, guessed=True).has("right_wrist")
    guess[wrist, 2] = 0.1
    pose = replace(pose, body_guess=guess.astype(np.float32))
    assert not WarpPoints.of(pose, guessed=True).has("right_wrist")


def test_a_hand_tells_where_its_wrist_is(standing):
    body = standing.pose.body.copy()
    body[BODY_JOINTS.index("right_wrist")] = np.nan
    points = WarpPoints.of(replace(standing.pose, body=body))
    assert np.array_equal(points.joint("right_wrist"), standing.pose.right_hand[0])


def test_mirrored_points_are_those_of_the_mirrored_picture(standing):
    points = WarpPoints.of(standing.pose)
    other = points.mirrored(256)
    assert np.array_equal(
        other.joint("left_elbow"), (255, 0) + points.joint("right_elbow") * (-1, 1)
    )
    assert np.array_equal(other.hands["left"][:, 1], points.hands["right"][:, 1])
    assert np.array_equal(other.mirrored(256).body, points.body)


def test_a_hand_before_the_shoulder_goes_where_it_goes():
    """The trunk holds the upper arm there, and nothing else."""
    folded = at_rest()
    folded.elbow[0, 0] = 2.9
    person = on_a_wall(*drawn(folded)[0])
    pose, way = person.pose, np.float32((-30, -20))
    at = np.indices(person.shown.shape)[::-1].transpose(1, 2, 0)
    palm = pose.right_hand[[0, 5, 9, 13, 17]].mean(0)
    spot = (np.linalg.norm(at - palm, axis=2) < 3)[..., None]
    picture = np.where(spot, (255, 0, 255), person.picture).astype(np.uint8)
    body = pose.body.copy()
    body[BODY_JOINTS.index("right_wrist")] += way
    frame = replace(pose, body=body, right_hand=pose.right_hand + way)
    shown = ReferenceWarp(picture, pose, matte_of(picture, person.shown))(frame).picture
    x, y = np.rint(palm + way).astype(int)
    assert np.abs(shown[y, x] - (255, 0, 255)).max() < 60


def test_a_head_without_a_face_goes_where_its_joints_go(standing):
    pose = replace(without(standing.pose, "face"), face_mesh=None)
    head = [BODY_JOINTS.index(name) for name in HEAD_JOINTS]
    middle, way = pose.body[head].mean(0), np.float32((14, 6))
    at = np.indices(standing.shown.shape)[::-1].transpose(1, 2, 0)
    spot = (np.linalg.norm(at - middle, axis=2) < 3)[..., None]
    picture = np.where(spot, (255, 0, 255), standing.picture).astype(np.uint8)
    body = pose.body.copy()
    body[head] += way
    warp = ReferenceWarp(picture, pose, matte_of(picture, standing.shown))
    shown = warp(replace(pose, body=body)).picture
    x, y = np.rint(middle + way).astype(int)
    assert not warp.has_face
    assert np.abs(shown[y, x] - (255, 0, 255)).max() < 60


def test_a_hand_before_the_face_leaves_no_hole_in_it(standing, monkeypatch):
    """Also of a bust, whose hips are not known."""
    face, shape = standing.pose.face, standing.shown.shape
    at = np.indices(shape)[::-1].transpose(1, 2, 0)
    palm = (np.linalg.norm(at - face.mean(0), axis=2) < 4) & standing.shown
    arms = {"right": palm.astype(np.float32), "left": np.zeros(shape, np.float32)}
    none = np.zeros(shape, np.float32)
    found = PartShares(arms, none, none)
    monkeypatch.setattr("magicpose_cli.warping.warp.find_part_shares", lambda *a: found)
    body = standing.pose.body.copy()
    body[[BODY_JOINTS.index(f"{side}_hip") for side in ("right", "left")]] = np.nan
    for pose in (standing.pose, replace(standing.pose, body=body)):
        layers = ReferenceWarp(standing.picture, pose, standing.matte)._splatters
        behind = layers["body"]._layer.alpha[32:-32, 32:-32]
        assert behind[palm].min() > 0.9


def test_the_mesh_of_these_tests_fits_the_face(portrait):
    mesh = mesh_on(portrait.pose.face)
    assert np.isfinite(mesh).all()
    assert np.allclose(mesh[33, :2], portrait.pose.face[36])
    assert np.allclose(mesh[308, :2], portrait.pose.face[64])
