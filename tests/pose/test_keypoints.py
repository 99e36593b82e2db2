"""What a pose carries besides its parts, and where a map of the plane takes it."""

from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def guess():
    guess = np.random.default_rng(6).uniform(0, 256, (18, 3)).astype(np.float32)
    guess[:, 2] = np.linspace(0, 1, 18)
    guess[9] = np.nan
    return guess


def test_mesh_and_guesses_move_with_the_points(full_body, mesh, guess):
    """Turned by a quarter, enlarged 3 and 12 times, shifted: lengths grow 6 times on the whole."""
    pose = replace(full_body, face_mesh=mesh, body_guess=guess)
    turned = pose.map_points(lambda p: p[:, ::-1] * (-3, 12) + (700.3, -20), 800, 600)
    expected = np.column_stack([700.3 - 3 * mesh[:, 1], 12 * mesh[:, 0] - 20, 6 * mesh[:, 2]])
    np.testing.assert_allclose(turned.face_mesh, expected, rtol=1e-5, atol=1e-3)
    expected = np.column_stack([700.3 - 3 * guess[:, 1], 12 * guess[:, 0] - 20, guess[:, 2]])
    np.testing.assert_allclose(turned.body_guess, expected, rtol=1e-5, atol=1e-3)
    assert turned.face_mesh.dtype == turned.body_guess.dtype == np.float32


def test_a_shift_leaves_depth_and_scores_to_the_last_bit(full_body, mesh, guess):
    pose = replace(full_body, face_mesh=mesh, body_guess=guess)
    shifted = pose.map_points(lambda p: p + np.float32([0.1, 333.7]), 256, 256)
    assert np.array_equal(shifted.face_mesh[:, 2], mesh[:, 2])
    assert np.array_equal(shifted.body_guess[:, 2], guess[:, 2], equal_nan=True)


def test_mesh_and_guesses_are_compared(full_body, mesh, guess):
    pose = replace(full_body, face_mesh=mesh, body_guess=guess)
    assert pose.equals(replace(pose, face_mesh=mesh.copy(), body_guess=guess.copy()))
    assert not pose.equals(replace(pose, face_mesh=None))
    assert not pose.equals(replace(pose, body_guess=None))
    assert not pose.equals(replace(pose, face_mesh=np.roll(mesh, 1)))
    assert not pose.equals(replace(pose, body_guess=np.roll(guess, 1)))


def test_the_shapes_are_checked(full_body, mesh):
    with pytest.raises(ValueError, match=r"face_mesh: expected \(478, 3\), got \(468, 3\)"):
        replace(full_body, face_mesh=mesh[:468])
    with pytest.raises(ValueError, match=r"body_guess: expected \(18, 3\), got \(18, 2\)"):
        replace(full_body, body_guess=full_body.body)
