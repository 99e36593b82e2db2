from itertools import pairwise

import numpy as np
import pytest
import torch

from magicpose_cli.body.fit import fit_clip
from magicpose_cli.body.fit_rig import make_rig
from magicpose_cli.body.fit_solve import DAMPING, NormalEquations
from magicpose_cli.body.fit_start import start_rotations
from magicpose_cli.body.fit_steps import FitState
from magicpose_cli.body.fit_windows import joined, windows_of
from magicpose_cli.body.joint_groups import GROUP_NAMES
from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.body.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from magicpose_cli.errors import InputError
from tests.body.motion import CAMERA, SIZE, dance, joint_error_mm, seen


@pytest.fixture(scope="module")
def rig(body):
    return make_rig(body, list(range(128)), GROUP_NAMES)


@pytest.fixture(scope="module")
def bent(rig):
    """Turn, angles and shape of two frames in which every group is bent."""
    generator = torch.Generator().manual_seed(8)
    angles = 0.4 * torch.randn(2, len(GROUP_NAMES), 3, generator=generator)
    turn = matrix_from_axis_angle(torch.randn(2, 3, generator=generator))
    return turn, angles, torch.randn(10, generator=generator)


def points_of(rig, turn, angles, shape):
    moments, joints = rig.shaped(shape)
    world, placed = rig.body.transforms(joints[None], rig.rotations(turn, angles))
    parts = rig.parts(moments, joints, world, placed)
    return rig.points(parts), parts, world, placed


def test_the_rig_has_the_bodys_key_points(body, rig, bent):
    turn, angles, shape = bent
    found, *_ = points_of(rig, turn, angles, shape)
    whole = body(shape[None], None, rig.rotations(turn, angles), torch.zeros(2, 3))
    torch.testing.assert_close(found, body.key_points(*whole).pose, atol=1e-3, rtol=0)


def test_slopes_of_the_angles_are_right(rig, bent):
    turn, angles, shape = bent
    _, *posed = points_of(rig, turn, angles, shape)
    slopes = rig.slopes(*posed, angles)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        way = torch.randn(angles.shape, generator=generator)
        ends = [
            points_of(
                rig,
                matrix_from_axis_angle(step * way[:, 0]) @ turn,
                angles + step * way,
                shape,
            )[0]
            for step in (-1e-3, 1e-3)
        ]
        change = (ends[1] - ends[0]) / 2e-3
        slope = torch.einsum("fga,fgapc->fpc", way, slopes)
        torch.testing.assert_close(slope, change, atol=5e-3, rtol=0)


def test_slopes_of_the_shape_are_right(rig, bent):
    turn, angles, shape = bent
    _, _, world, _ = points_of(rig, turn, angles, shape)
    slopes = rig.shape_slopes(world, rig.rotations(turn, angles))
    for number in range(len(shape)):
        moved = shape.clone()
        moved[number] += 1
        change = points_of(rig, turn, angles, moved)[0] - points_of(rig, turn, angles, shape)[0]
        torch.testing.assert_close(slopes[:, number], change, atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_the_equations_are_solved(frames):
    unknowns, rows = 4, 5
    generator = torch.Generator().manual_seed(frames)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    system = torch.zeros(frames, unknowns, frames, unknowns, dtype=torch.float64)
    right = torch.zeros(frames, unknowns, dtype=torch.float64)
    equations = NormalEquations(frames, unknowns)

    def add(slopes, errors, weights):
        """slopes (R, F, U)"""
        system.add_(torch.einsum("rfu,r,rgv->fugv", slopes, weights, slopes))
        right.add_(torch.einsum("rfu,r,r->fu", slopes, weights, errors))

    slopes, errors, weights = draw(frames, unknowns, rows), draw(frames, rows), draw(frames, rows)
    weights = weights**2
    equations.add(slopes, errors, weights)
    for f in range(frames):
        whole = torch.zeros(rows, frames, unknowns, dtype=torch.float64)
        whole[:, f] = slopes[f].T
        add(whole, errors[f], weights[f])
    if frames > 1:
        first, second, gap = draw(frames - 1, 4, 2), draw(frames - 1, 4, 2), draw(frames - 1, 2)
        equations.add_between(first, second, gap, torch.ones_like(gap))
        for f in range(frames - 1):
            whole = torch.zeros(2, frames, unknowns, dtype=torch.float64)
            whole[:, f], whole[:, f + 1] = -first[f].T, second[f].T
            add(whole, gap[f], torch.ones(2, dtype=torch.float64))
    if frames > 2:
        bend, trust = draw(frames - 2, unknowns), draw(unknowns) ** 2
        equations.add_acceleration(bend, trust)
        for f in range(frames - 2):
            whole = torch.zeros(unknowns, frames, unknowns, dtype=torch.float64)
            for offset, part in enumerate((1.0, -2.0, 1.0)):
                whole[:, f + offset] = part * torch.eye(unknowns, dtype=torch.float64)
            add(whole, bend[f], trust)
    dense = system.view(frames * unknowns, -1)
    dense += torch.diag(DAMPING * dense.diagonal() + 1e-6)
    expected = torch.linalg.solve(dense, -right.flatten()).view(frames, unknowns)
    torch.testing.assert_close(equations.solve(), expected)


def test_the_start_has_the_directions_of_the_bones(body):
    shape, rotations, root = dance(body, 4, facing_deg=150)
    points, _, _ = seen(body, shape, rotations, root)
    own = make_rig(body, list(range(18)))
    moments, joints = own.shaped(torch.zeros(10))
    still = body.identity(1)
    rest = own.points(own.parts(moments, joints, *body.transforms(joints[None], still)))[0]
    turn, angles = start_rotations(own, rest, points[:, :18])
    found, *_ = points_of(own, turn, angles, torch.zeros(10))
    for a, b in ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13), (1, 0)):
        ways = [p[:, b] - p[:, a] for p in (found, points)]
        alike = torch.nn.functional.cosine_similarity(*ways, dim=-1)
        assert (alike > 0.93).all(), (a, b)


def short_windows(frames, overlap=3):
    return windows_of(frames, window=8, overlap=overlap)


def fit(body, pixels, space=None, scores=None, **options):
    scores = np.ones(pixels.shape[:2]) if scores is None else scores
    options = {"focal_px": CAMERA.focal_px} | options
    return fit_clip(body, pixels, scores, *SIZE, points_3d=space, **options)


@pytest.mark.slow
@pytest.mark.parametrize("facing", [0.0, 180.0])
def test_a_motion_is_found_again(body, facing):
    truth = dance(body, 8, facing_deg=facing)
    points, pixels, space = seen(body, *truth, noise_px=1.0, noise_m=0.01)
    fitted = fit(body, pixels, space)
    assert joint_error_mm(body, fitted, points) < 25
    assert fitted.reprojection_px.max() < 3
    assert (fitted.root - truth[2]).norm(dim=1).max() < 0.4
    found = body.key_points(*body(fitted.shape, None, fitted.rotations, fitted.root)).pose
    again = fitted.camera.project(found).pixels - CAMERA.project(points).pixels
    assert again[:, :18].norm(dim=-1).mean() < 3


@pytest.mark.slow
def test_the_picture_alone_is_enough_from_before(body):
    points, pixels, _ = seen(body, *dance(body, 8), noise_px=1.0)
    fitted = fit(body, pixels)
    assert joint_error_mm(body, fitted, points) < 90
    assert fitted.reprojection_px.max() < 3


def test_what_is_not_seen_is_held(body):
    points, pixels, space = seen(body, *dance(body, 8), noise_px=0.5)
    scores = np.ones(pixels.shape[:2])
    scores[2:4] = 0  # nobody in two frames
    pixels[2:4], space[2:4] = np.nan, np.nan
    pixels[:, [4, 10]], space[:, [4, 10]] = np.nan, np.nan  # no right wrist, no right ankle
    fitted = fit(body, pixels, space, scores)
    for values in (fitted.shape, fitted.rotations, fitted.root):
        assert values.isfinite().all()
    assert fitted.reprojection_px.isnan().tolist() == [number in (2, 3) for number in range(8)]
    assert joint_error_mm(body, fitted, points) < 80


def test_frames_that_show_the_face_alone_are_no_trouble(body):
    points, pixels, space = seen(body, *dance(body, 6))
    pixels[4:, :18], space[4:] = np.nan, np.nan
    scores = np.where(np.isnan(pixels[..., 0]), np.nan, 1.0)
    fitted = fit(body, pixels, space, scores)
    assert fitted.reprojection_px.max() < 5
    assert joint_error_mm(body, fitted, points) < 60


@pytest.mark.slow
def test_one_frame_and_two_can_be_fitted(body):
    for frames in (1, 2):
        points, pixels, space = seen(body, *dance(body, frames))
        fitted = fit(body, pixels, space)
        assert fitted.rotations.shape[0] == frames
        assert joint_error_mm(body, fitted, points) < 40


@pytest.mark.slow
def test_an_outlier_moves_little(body):
    points, pixels, space = seen(body, *dance(body, 6))
    pixels[3, 4] += 150  # a wrist far off
    fitted = fit(body, pixels, space)
    assert joint_error_mm(body, fitted, points) < 30


@pytest.mark.slow
def test_knees_and_elbows_bend_as_they_can(body):
    truth = dance(body, 6)
    _, pixels, space = seen(body, *truth, noise_px=6.0, noise_m=0.05)
    fitted = fit(body, pixels, space)
    rig = make_rig(body, [0])
    for name, axis in (("lower_leg", 0), ("lower_arm", 1)):
        for side, letter in (("left", "L"), ("right", "R")):
            joint = body.joint(("lowerleg01." if "leg" in name else "lowerarm01.") + letter)
            turned = fitted.rotations[:, joint]
            about = axis_angle_from_matrix(turned) @ rig.axes[GROUP_NAMES.index(f"{side}_{name}")]
            assert about[:, axis].min() > -0.25


@pytest.mark.slow
def test_fingers_are_found(body):
    shape, rotations, root = dance(body, 4)
    rig = make_rig(body, [0], GROUP_NAMES)
    fingers = range(2, 6)
    axes = {k: rig.axes[GROUP_NAMES.index(f"right_finger_{k}")][:, 1] for k in fingers}
    for finger, axis in axes.items():
        for knuckle in (1, 2, 3):
            joint = body.joint(f"finger{finger}-{knuckle}.R")
            rotations[:, joint] = matrix_from_axis_angle(0.8 * axis)
    points, pixels, space = seen(body, shape, rotations, root, noise_px=0.2)
    fitted = fit(body, pixels, space)
    found = body.key_points(*body(fitted.shape, None, fitted.rotations, fitted.root)).pose
    hand = POSE_SLICES["right_hand"]
    own, their = (p[:, hand] - p[:, hand][:, :1] for p in (found, points))
    assert 1000 * (own - their).norm(dim=-1).mean() < 10
    pixels[:, hand] = np.nan  # not seen: the fingers are at ease
    blind = fit(body, pixels, space)
    for finger, axis in axes.items():
        joint = body.joint(f"finger{finger}-2.R")
        bent, easy = (axis_angle_from_matrix(c.rotations[:, joint]) @ axis for c in (fitted, blind))
        assert bent.min() > 0.6 and easy.max() < 0.35


def test_standing_feet_stay(body):
    shape, rotations, root = dance(body, 1)
    frames = 12
    _, pixels, space = seen(
        body, shape, rotations.expand(frames, -1, -1, -1), root.expand(frames, -1), noise_px=0.1
    )
    fitted = fit(body, pixels, space + np.random.default_rng(0).normal(0, 0.05, space.shape))
    found = body.key_points(*body(fitted.shape, None, fitted.rotations, fitted.root)).pose
    ankles = found[:, [10, 13]]
    assert (ankles[1:] - ankles[:-1]).norm(dim=-1).max() < 0.01


@pytest.mark.parametrize("frames", [1, 24, 239, 240, 241, 456, 457, 1000])
def test_windows_cover_a_clip(frames):
    windows = windows_of(frames)
    assert windows[0].start == 0 and windows[-1].stop == frames
    assert all(window.stop - window.start <= 241 for window in windows)
    shared = [a.stop - b.start for a, b in pairwise(windows)]
    assert set(shared) <= {24}
    whole = windows_of(frames, overlap=0)
    assert [n for window in whole for n in range(window.start, window.stop)] == list(range(frames))


def test_windows_fade_into_each_other():
    def state(value, count):
        turn = matrix_from_axis_angle(torch.tensor([[0.0, value, 0.0]])).expand(count, -1, -1)
        return FitState(
            turn, torch.full((count, 17, 3), value), torch.full((count, 3), value), torch.zeros(10)
        )

    windows = [slice(0, 6), slice(3, 10), slice(7, 12)]
    found = joined([state(0.0, 6), state(1.0, 7), None], windows)
    expected = torch.tensor([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1])
    torch.testing.assert_close(found.place[:, 0], expected)
    torch.testing.assert_close(found.angles[:, 3, 1], expected)
    torch.testing.assert_close(axis_angle_from_matrix(found.turn)[:, 1], expected)


@pytest.mark.slow
def test_a_long_clip_is_one_person_and_smooth(body, monkeypatch):
    monkeypatch.setattr("magicpose_cli.body.fit.windows_of", short_windows)
    truth = dance(body, 16)
    points, pixels, space = seen(body, *truth, noise_px=0.5, noise_m=0.01)
    fitted = fit(body, pixels, space)
    assert len(fitted.rotations) == len(fitted.root) == len(fitted.reprojection_px) == 16
    assert joint_error_mm(body, fitted, points) < 30
    assert (fitted.root[1:] - fitted.root[:-1]).norm(dim=1).max() < 0.1


def test_bones_are_of_one_person(body):
    _, pixels, space = seen(body, *dance(body, 4), noise_px=2.0)
    fitted = fit(body, pixels, space)
    assert fitted.shape.shape == (1, body.component_count)
    joints = body(fitted.shape, None, fitted.rotations, fitted.root).joints
    lengths = (joints[:, 1:] - joints[:, torch.tensor(body.parents[1:])]).norm(dim=-1)
    torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths), atol=1e-4, rtol=0)


def test_what_cannot_be_fitted_is_told(body):
    pixels, scores = np.zeros((2, 128, 2)), np.ones((2, 128))
    with pytest.raises(InputError, match=r"expected \(frames, 128, 2\)"):
        fit(body, pixels[:, :18], scores=scores)
    with pytest.raises(InputError, match=r"expected \(2, 18, 3\)"):
        fit(body, pixels, np.zeros((2, 17, 3)), scores=scores)
    for options in ({"fps": 0.0}, {"fps": float("nan")}, {"focal_px": -1.0}):
        with pytest.raises(InputError, match="expected more than 0"):
            fit(body, pixels, scores=scores, **options)
    with pytest.raises(InputError, match="no frame shows four points"):
        fit(body, np.full_like(pixels, np.nan), scores=scores)
