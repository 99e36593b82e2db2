"""Motions of a camera: one after the other, in parts, and averaged."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.warping.camera_motion import CameraMotion, mesh_places, steady_camera

SIZE = (120, 80)
PLACES = np.array([[[3.0, 4.0], [100.0, 70.0], [60.0, 2.5]]])


def motion(turn=1 + 0j, shift=0j, seed=None) -> CameraMotion:
    found = replace(CameraMotion.none(SIZE), turn=turn, shift=shift)
    if seed is None:
        return found
    x, y = np.moveaxis(mesh_places(SIZE), -1, 0)
    waves = np.stack([np.sin((x + 40 * seed) / 30), np.cos(y / 30)], axis=-1)
    return replace(found, mesh=waves.astype(np.float16))


def test_no_motion_is_none():
    assert np.array_equal(CameraMotion.none(SIZE).come_from(PLACES), PLACES)
    assert not CameraMotion.none(SIZE).displacements(PLACES).any()


def test_all_pixels_are_as_single_ones():
    found = motion(1.05 + 0.02j, 3 - 4j, seed=1)
    whole = found.all_come_from()
    assert whole.shape == (80, 120, 2) and whole.dtype == np.float32
    at = np.array([[[3.0, 4.0], [100.0, 70.0]]])
    assert np.allclose(found.come_from(at)[0], whole[[4, 70], [3, 100]], atol=0.05)


def test_one_motion_after_another():
    first, second = motion(1.1 + 0.05j, 2 - 3j, seed=1), motion(0.95j + 0.2, 90 + 5j, seed=2)
    both = second.after(first)
    expected = second.come_from(first.come_from(PLACES))
    assert np.abs(both.come_from(PLACES) - expected).max() < 0.1


def test_a_share_of_a_motion():
    found = motion(1.2 + 0.1j, 4 + 2j, seed=1)
    half = found.weakened(0.5).come_from(PLACES) - PLACES
    assert np.allclose(half, (found.come_from(PLACES) - PLACES) / 2, atol=0.01)
    assert np.array_equal(found.weakened(0.0).come_from(PLACES), PLACES)


def test_it_is_as_much_larger_in_the_result_as_the_person():
    found = motion(1.1 + 0j, 2 - 3j)
    placed = replace(found, scale=2.0, origin=10 + 20j)
    there = found.come_from(PLACES) - PLACES
    assert np.allclose(placed.displacements(2 * PLACES + (10, 20)), 2 * there)


def test_the_average_takes_trembling_out_and_leaves_shaking():
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.1, 60)
    steady = steady_camera([motion(shift=complex(3 + x, 0)) for x in steps], rate=30)
    left = np.array([one.shift.real for one in steady])
    assert left.std() < 0.75 * steps.std() and left.mean() == pytest.approx(3, abs=0.05)
    shake = 5 * np.sin(2 * np.pi * 3 * np.arange(60) / 30)  # three times a second
    shaken = steady_camera([motion(shift=complex(x, 0)) for x in shake], rate=30)
    assert np.ptp([one.shift.real for one in shaken]) > 0.85 * np.ptp(shake)


def test_a_turn_is_averaged_about_the_middle_of_the_frame():
    middle = CameraMotion.none(SIZE).center
    turns = [np.exp(0.1j * np.sin(k)) for k in range(30)]
    turned = [motion(turn=complex(t), shift=middle - complex(t) * middle) for t in turns]
    for one in steady_camera(turned, rate=30):
        assert abs(one.turn * middle + one.shift - middle) < 1e-9


def test_few_frames_a_second_are_left_alone():
    moved = [motion(shift=complex(k, 0)) for k in range(4)]
    assert [one.shift for one in steady_camera(moved, rate=6)] == [0, 1, 2, 3]


def test_a_mistake_of_a_moment_does_not_bend_the_picture():
    bent = [motion(seed=1 if k == 6 else None) for k in range(13)]
    assert not any(one.mesh.any() for one in steady_camera(bent, rate=30))
    slow = [replace(motion(seed=1), mesh=motion(seed=1).mesh * np.float16(k)) for k in range(13)]
    assert np.allclose(steady_camera(slow, rate=30)[6].mesh, slow[6].mesh, atol=0.01)
