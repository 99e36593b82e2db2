from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.face_motion import retarget_face
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.synthetic.casting import animate_motions, sample_identities
from magicpose_cli.synthetic.drawn_skeleton import place_points
from magicpose_cli.synthetic.people import TEST_SEEDS, DrawnMotion, Identity

SIZE, FRAMES, PAIRS = 512, 36, 6
FRONTAL = {"head_turn": 0.0, "head_nod": 0.0, "head_tilt": 0.0, "lean": 0.0}
NEUTRAL = {"brow": 0.0, "smile": 0.0, "mouth_open": 0.0, "eye_open": 0.75}
MILD = {"brow": 0.3, "smile": 0.4, "mouth_open": 0.2, "eye_open": 0.65}
WIDTHS = ((0, 16), (4, 12), (36, 45), (69, 70))  # jaw at the ears, at the chin; eyes


def held(motion: DrawnMotion, **values: float) -> DrawnMotion:
    return replace(motion, **{k: torch.full_like(getattr(motion, k), v) for k, v in values.items()})


def depth(identity: Identity, motion: DrawnMotion) -> np.ndarray:
    """(N, 68) away from the camera: a head turned by a right angle shows it from the side."""

    def seen(axis: int, **turn: float) -> torch.Tensor:
        return place_points(identity, held(motion, **{**FRONTAL, **turn})).face[..., axis]

    front = seen(0)
    middle = (front + seen(0, head_turn=np.pi)) / 2
    x, z = front - middle, seen(0, head_turn=np.pi / 2) - middle
    y = (seen(1) - seen(1, head_nod=np.pi)) / 2
    turn, nod = motion.head_turn[:, None], motion.head_nod[:, None]
    z = z * turn.cos() - x * turn.sin()
    return (y * nod.sin() - z * nod.cos()).numpy()


def drawn(identity: Identity, motion: DrawnMotion, *, deep: bool = False) -> list[Pose]:
    points = place_points(identity, motion)
    space = np.concatenate([points.face.numpy(), depth(identity, motion)[..., None]], axis=2)

    def scored(part: torch.Tensor) -> np.ndarray:
        return torch.cat([part, torch.ones_like(part[..., :1])], -1).numpy()

    return [
        Pose.of(SIZE, SIZE, body=scored(body), face=scored(face), face_3d=row if deep else None)
        for body, face, row in zip(points.body, points.face, space, strict=True)
    ]


def offsets(poses: list[Pose]) -> np.ndarray:
    points = np.stack([np.concatenate([p.face, p.body[list(HEAD_JOINTS)]]) for p in poses])
    return points.astype(float) - points[:, 68:69]


def pair(seed: int, frames: int = FRAMES) -> tuple[Identity, Identity, DrawnMotion]:
    """The driver, the reference, each repeated for every frame, and how they move."""
    generator = torch.Generator().manual_seed(TEST_SEEDS + seed)
    both = sample_identities(2, 64, generator, framing="portrait")
    both.camera *= SIZE / 64
    rows = torch.zeros(frames, dtype=torch.long)
    return both.rows(rows), both.rows(rows + 1), animate_motions(1, frames, generator)


def picture(
    identity: Identity, motion: DrawnMotion, *, deep: bool = False, **values: float
) -> Pose:
    first = slice(0, 1)
    return drawn(identity.rows(first), held(motion.rows(first), **values), deep=deep)[0]


def distance(points: np.ndarray, one: int, other: int) -> np.ndarray:
    return np.linalg.norm(points[:, one] - points[:, other], axis=1)


def error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean over 68 points and all frames, as a share of the distance between the eyes."""
    eyes = distance(truth, 69, 70).max()
    return float(np.linalg.norm(points - truth, axis=2)[:, :68].mean() / eyes)


def filmed(pose: Pose, scale: float, angle: float, shift: tuple[float, float]) -> Pose:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return pose.map_points(lambda points: points @ turn.T + shift, 4 * SIZE, 4 * SIZE)


def without(pose: Pose, *, face: slice | None = None, joints: tuple[str, ...] = ()) -> Pose:
    points, body = pose.face.copy(), pose.body.copy()
    if face is not None:
        points[face] = np.nan
    body[[BODY_JOINTS.index(joint) for joint in joints]] = np.nan
    return replace(pose, face=points, body=body)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deep", "shown", "mean", "leak"),
    [
        (False, {**FRONTAL, **NEUTRAL}, 0.03, 0.01),
        (True, {**FRONTAL, **NEUTRAL}, 0.03, 0.01),
        (False, {**FRONTAL, **NEUTRAL, "head_turn": 0.35, "head_tilt": 0.1}, 0.03, 0.016),
        (True, {**FRONTAL, **NEUTRAL, "head_turn": 0.35, "head_tilt": 0.1}, 0.03, 0.01),
        (False, {**FRONTAL, **MILD}, 0.035, 0.01),
        (True, {**FRONTAL, **MILD}, 0.035, 0.01),
    ],
    ids=["flat", "deep", "flat, turned", "deep, turned", "flat, smiling", "deep, smiling"],
)
def test_the_reference_gets_the_drivers_expression_on_its_own_face(deep, shown, mean, leak):
    errors, naive, leaks = [], [], []
    for seed in range(PAIRS):
        driver, reference, motion = pair(seed)
        film, truth = drawn(driver, motion, deep=deep), offsets(drawn(reference, motion))
        target = picture(reference, motion, deep=deep, **shown)
        result = retarget_face(film, target, FRAMES // 3)
        errors.append(error(result, truth))
        own = offsets(film)
        naive.append(error(own * distance(truth, 0, 16).max() / distance(own, 0, 16).max(), truth))
        leaks += [
            abs(distance(result, *ends) / distance(truth, *ends) - 1)[motion.head_turn.abs() < 0.15]
            for ends in WIDTHS
        ]
    assert np.mean(errors) < mean
    assert np.mean(np.concatenate(leaks)) < leak
    assert np.mean(errors) < np.mean(naive) / 1.7


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
def test_onto_oneself_it_is_the_identity_in_every_frame(deep):
    driver, _, motion = pair(7)
    film = drawn(driver, motion, deep=deep)
    result = retarget_face(film, film[11], 11)
    np.testing.assert_allclose(result, offsets(film), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
def test_how_the_driver_is_filmed_changes_nothing(deep):
    driver, reference, motion = pair(8)
    film = drawn(driver, motion, deep=deep)
    target = picture(reference, motion, **FRONTAL, **NEUTRAL)
    straight = retarget_face(film, target, 0)
    moved = retarget_face([filmed(p, 2.3, 0.0, (500.0, -90.0)) for p in film], target, 0)
    np.testing.assert_allclose(moved, straight, atol=0.02)
    angle = 0.6  # a tilted camera tilts the face
    tilted = retarget_face([filmed(p, 0.7, angle, (9.0, 3.0)) for p in film], target, 0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(tilted, straight @ turn.T, atol=0.2)


@pytest.mark.slow
def test_a_face_that_comes_nearer_grows_as_much():
    driver, reference, motion = pair(9)
    target = picture(reference, motion, **FRONTAL, **NEUTRAL)
    film = drawn(driver, motion)
    steady = retarget_face(film, target, 5)
    size = np.linspace(0.8, 2.0, FRAMES)
    walking = [filmed(p, s, 0.0, (0.0, 0.0)) for p, s in zip(film, size, strict=True)]
    grown = retarget_face(walking, target, 5)
    np.testing.assert_allclose(grown, steady * (size / size[5])[:, None, None], atol=0.1)


@pytest.mark.slow
def test_without_expression_and_head_turn_the_picture_is_kept():
    driver, reference, motion = pair(10)
    target = picture(reference, motion, head_turn=0.3, head_tilt=0.1, mouth_open=0.6, eye_open=0.0)
    film = drawn(driver, motion)
    result = retarget_face(film, target, 0, expression=0, head=0)
    sizes = distance(result, 27, 8) / distance(result, 27, 8)[0]  # the driver's, all but equal
    np.testing.assert_allclose(sizes, 1, atol=0.03)
    expected = np.repeat(offsets([target]), FRAMES, axis=0)
    np.testing.assert_allclose(result / sizes[:, None, None], expected, atol=0.01)


@pytest.mark.slow
def test_a_head_turned_twice_as_far():
    driver, reference, motion = pair(11)
    level = {k: v for k, v in FRONTAL.items() if k != "head_turn"}
    motion = held(motion, **level, **NEUTRAL)
    motion.head_turn = torch.linspace(-0.5, 0.5, FRAMES)
    target = picture(reference, motion, **FRONTAL)
    film = drawn(driver, motion)
    double = offsets(drawn(reference, replace(motion, head_turn=2 * motion.head_turn)))
    assert error(retarget_face(film, target, 18), offsets(drawn(reference, motion))) < 0.03
    turned = retarget_face(film, target, 18, head=2)
    assert np.corrcoef(turned[..., 0].ravel(), double[..., 0].ravel())[0, 1] > 0.99


@pytest.mark.slow
def test_expression_is_scaled_from_the_neutral_face():
    driver, reference, motion = pair(12)
    motion = held(motion, **FRONTAL, **NEUTRAL)
    motion.mouth_open = torch.linspace(0, 0.5, FRAMES)
    target = picture(reference, motion, mouth_open=0.0)
    film = drawn(driver, motion)
    for scale in (0.0, 1.0, 2.0):
        result = retarget_face(film, target, 0, expression=scale)
        truth = offsets(drawn(reference, replace(motion, mouth_open=scale * motion.mouth_open)))
        assert error(result, truth) < 0.03
        gap, expected = distance(result, 62, 66), distance(truth, 62, 66)
        np.testing.assert_allclose(gap, expected, atol=0.03 * distance(truth, 69, 70)[0])


@pytest.mark.slow
def test_shut_eyes_are_shut_and_open_again():
    driver, reference, motion = pair(13)
    motion = held(motion, **FRONTAL, **NEUTRAL)
    motion.eye_open[20:23] = 0.0
    for reference_eyes in (0.75, 0.0):
        target = picture(reference, motion, eye_open=reference_eyes)
        result = retarget_face(drawn(driver, motion), target, 0)
        open_by, eyes = distance(result, 37, 41), distance(result, 69, 70)
        assert (open_by[20:23] < 0.04 * eyes[20:23]).all()
        assert (open_by[:20] > 0.12 * eyes[:20]).all()


@pytest.mark.slow
def test_what_is_not_seen_stays_unseen():
    driver, reference, motion = pair(14)
    film = drawn(driver, motion)
    film[3] = Pose.of(SIZE, SIZE)
    film[4] = without(film[4], face=slice(0, 60), joints=("nose",))
    film[5] = without(film[5], face=slice(40, 50), joints=("left_eye",))
    target = without(picture(reference, motion, **FRONTAL), joints=("right_ear",))
    result = retarget_face(film, target, 3)  # the anchor is the nearest frame with a face
    seen = np.isfinite(result).all(axis=2)
    assert not seen[3].any()
    assert not seen[:, 71].any()
    assert not seen[5, 40:50].any()
    assert not seen[5, 70]
    assert seen[[0, 1, 2, 6]][:, [*range(71), 72]].all()
    np.testing.assert_array_equal(result[seen[:, 68], 68], 0)


@pytest.mark.slow
def test_half_a_face_tells_the_rest():
    """In profile a detector sees one half only."""
    driver, reference, motion = pair(15)
    half = [*range(9, 17), *range(22, 36), *range(42, 48), *range(51, 58), *range(62, 67)]
    hidden = np.setdiff1d(np.arange(68), half)
    film = drawn(driver, motion)
    target = picture(reference, motion, **FRONTAL, **NEUTRAL)
    whole = retarget_face(film, target, 0)
    for k in (10, 11, 12):
        film[k] = without(film[k], face=hidden, joints=("right_eye", "right_ear"))
    result = retarget_face(film, target, 0)
    assert np.isnan(result[11, hidden]).all()
    np.testing.assert_allclose(result[11, half], whole[11, half], atol=2.0)


@pytest.mark.slow
def test_a_target_without_face_points_turns_its_head_joints():
    driver, reference, motion = pair(16)
    film, truth = drawn(driver, motion), offsets(drawn(reference, motion))
    target = without(picture(reference, motion, **FRONTAL, **NEUTRAL), face=slice(None))
    result = retarget_face(film, target, 0)
    assert np.isnan(result[:, :68]).all()
    wrong = np.linalg.norm(result - truth, axis=2)[:, 68:].mean()
    assert wrong < 0.12 * distance(truth, 69, 70).max()


@pytest.mark.slow
def test_nobody_to_move_or_nobody_moving():
    driver, reference, motion = pair(17, frames=3)
    film, target = drawn(driver, motion), picture(reference, motion)
    empty = Pose.of(SIZE, SIZE)
    for poses, onto in (([empty] * 3, target), (film, empty)):
        assert np.isnan(retarget_face(poses, onto, 0)).all()
    assert retarget_face(film[:1], target, 0).shape == (1, 73, 2)


NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.integers(0, 500).map(float)
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    spoiled=st.lists(st.tuples(st.integers(0, 67), st.integers(0, 1), NUMBERS), max_size=12),
    kept=st.integers(0, 68), reference=st.booleans(), same=st.booleans(),
    expression=st.floats(0, 2), head=st.floats(0, 2),
)  # fmt: skip
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_odd_points_make_no_error(spoiled, kept, reference, same, expression, head):
    driver, other, motion = pair(18, frames=4)
    film, target = drawn(driver, motion), picture(other, motion)
    odd = target if reference else film[2]
    face = odd.face.copy()
    for point, axis, value in spoiled:
        face[point, axis] = value
    face[kept:] = face[0] if same else np.nan
    odd = replace(odd, face=face)
    film, target = (film, odd) if reference else ([*film[:2], odd, film[3]], target)
    result = retarget_face(film, target, 0, expression=expression, head=head)
    assert result.shape == (4, 73, 2)
    assert not np.isinf(result).any()
    if not reference:  # one odd frame spoils no other
        assert np.abs(result[[0, 1, 3]]).max() < SIZE


@pytest.mark.slow
def test_a_long_film_is_learned_from_a_part_of_it(monkeypatch):
    """And fitted piece by piece: nearly the same comes out."""
    from magicpose_cli.pose.retargeting import face_shape, head_pose

    one, other, motion = pair(3)
    driver, target = drawn(one, motion), picture(other, motion)
    whole = retarget_face(driver, target, 0)
    monkeypatch.setattr(face_shape, "LEARN_FRAMES", FRAMES // 2)
    monkeypatch.setattr(head_pose, "TOGETHER", 5)
    parts = retarget_face(driver, target, 0)
    eyes = distance(whole, 36, 45).mean()
    assert np.abs(parts - whole).mean() < 0.01 * eyes
    monkeypatch.setattr(face_shape, "LEARN_FRAMES", FRAMES)
    np.testing.assert_allclose(retarget_face(driver, target, 0), whole, atol=1e-6)
