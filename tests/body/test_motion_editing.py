"""Motions changed: what must stay, stays."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from magicpose_cli.body.motion_editing import (
    blended_motions,
    cut_motion,
    looped_motion,
    mirrored_motion,
    resampled_motion,
    smoothed_motion,
    sped_motion,
)
from magicpose_cli.body.skeletal_motion import forward_kinematics
from magicpose_cli.errors import ConfigError
from tests.body.skeletons import lafan_frames, reframed, walk

few = settings(max_examples=15)


def apart_deg(first, second) -> float:
    """The largest angle between rotations of the same shape, degrees."""
    turns = Rotation.from_quat(first.reshape(-1, 4)).inv() * Rotation.from_quat(
        second.reshape(-1, 4)
    )
    return float(np.degrees(turns.magnitude().max()))


@pytest.mark.parametrize("like_lafan", [False, True])
def test_a_mirror_shows_the_mirrored_places(like_lafan):
    motion = walk(6)
    if like_lafan:  # axes that are not mirrored from side to side
        motion = reframed(motion, lafan_frames(motion.names))
    motion = replace(motion, curves={"mouthSmileLeft": np.arange(6.0), "jawOpen": np.ones(6),
                                     "mouthSmileRight": np.zeros(6)})  # fmt: skip
    mirrored = mirrored_motion(motion)
    before, after = forward_kinematics(motion), forward_kinematics(mirrored)
    for joint, name in enumerate(motion.names):
        other = name.replace("left", "~").replace("right", "left").replace("~", "right")
        shown = before[:, motion.index(other)] * [-1, 1, 1]
        assert np.allclose(after[:, joint], shown, atol=1e-12)
    assert mirrored.curves["mouthSmileRight"].tolist() == list(range(6))
    again = mirrored_motion(mirrored)
    assert np.allclose(forward_kinematics(again), before)
    assert apart_deg(again.rotations, motion.rotations) < 1e-6


@few
@given(
    st.integers(2, 30), st.sampled_from([24, 30, Fraction(30000, 1001), 59.94]), st.integers(2, 4)
)
def test_more_frames_a_second_hold_the_old_ones(frames, fps, times):
    motion = walk(frames, fps)
    finer = resampled_motion(motion, fps * times)
    assert len(finer) == (frames - 1) * times + 1
    assert apart_deg(finer.rotations[::times], motion.rotations) < 1e-5
    assert np.allclose(finer.root_m[::times], motion.root_m)
    assert np.allclose(np.linalg.norm(finer.rotations, axis=-1), 1)
    back = resampled_motion(finer, fps)
    assert len(back) == frames and back.fps == fps
    assert apart_deg(back.rotations, motion.rotations) < 1e-5


def test_resampling_keeps_time():
    slow, fast = walk(61, 60), resampled_motion(walk(121, 120), 60)
    assert apart_deg(slow.rotations, fast.rotations) < 1e-5
    coarse = resampled_motion(walk(61, 60), 25)
    assert len(coarse) == 26
    assert apart_deg(coarse.rotations, walk(26, 25).rotations) < 0.3
    assert np.abs(coarse.root_m - walk(26, 25).root_m).max() < 1e-4


@few
@given(st.floats(0.3, 4))
def test_speed_divides_the_time(factor):
    motion = walk(50)
    faster = sped_motion(motion, factor)
    assert faster.fps == motion.fps
    assert abs((len(faster) - 1) - 49 / factor) <= 1
    way = motion.root_m[-1, 2] - motion.root_m[0, 2]
    per_frame = way / 49 * factor
    assert np.allclose(np.diff(faster.root_m[:, 2]), per_frame, atol=1e-6)


@few
@given(st.floats(0, 1.5), st.floats(0.05, 2))
def test_a_cut_has_the_frames_between(start, length):
    motion = walk(60)
    times = np.arange(60) / 30
    near = 1e-6 / 30
    inside = (times >= start - near) & (times < start + length - near)
    if not inside.any():
        return
    part = cut_motion(motion, start, start + length)
    assert np.array_equal(part.root_m, motion.root_m[inside])


def test_a_cut_beyond_the_end_is_refused():
    with pytest.raises(ConfigError, match=r"lasts 0\.800 s"):
        cut_motion(walk(24), 5)


def test_a_loop_goes_on_where_it_began():
    motion = walk(60)
    loop = looped_motion(motion, 0.4)
    assert len(loop) == 48
    steps = np.linalg.norm(np.diff(forward_kinematics(loop), axis=0), axis=-1).max(axis=1)
    around = forward_kinematics(loop)[[-1, 0]]
    jump = np.linalg.norm(around[1] - around[0], axis=-1).max()
    assert jump < 1.5 * steps.max()
    raw = np.linalg.norm(forward_kinematics(motion)[-1] - forward_kinematics(motion)[0], axis=-1)
    assert raw.max() > 10 * jump
    assert np.abs(loop.root_m[:, 2]).max() < 0.1  # in place


def test_a_blend_begins_as_the_first_and_ends_as_the_second():
    first, second = walk(40), walk(50, 60)
    second = replace(second, root_m=second.root_m + np.array([5, 0, -3]))
    both = blended_motions(first, second, 0.3)
    assert len(both) == 40 + 25 - 9
    assert np.array_equal(both.rotations[:31], first.rotations[:31])
    last = resampled_motion(second, 30)
    assert apart_deg(both.rotations[-10:, 1:], last.rotations[-10:, 1:]) < 1e-5
    places = forward_kinematics(both)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    assert steps.max() < 0.15  # nobody leaps
    # who comes in faces the way that the first one goes
    forward = Rotation.from_quat(both.rotations[:, 0]).apply([0, 0, 1])
    assert (forward[:, 2] > 0.8).all()


def test_a_blend_of_other_joints_is_refused():
    with pytest.raises(ConfigError, match="same joints"):
        blended_motions(walk(5), walk(5, bones=["hips", "spine", "head", "neck"]), 0.1)


def test_smoothing_takes_out_jitter_without_lag():
    clean = walk(120)
    rng = np.random.default_rng(1)
    noise = Rotation.from_rotvec(rng.normal(0, 0.03, (120 * 22, 3)))
    turns = (Rotation.from_quat(clean.rotations.reshape(-1, 4)) * noise).as_quat()
    signs = np.where(rng.random(len(turns)) < 0.5, -1, 1)  # q and -q are one rotation
    noisy = replace(clean, rotations=(turns * signs[:, None]).reshape(clean.rotations.shape))
    calm = smoothed_motion(noisy, 1)
    inner = slice(10, -10)
    joint = clean.index("leftUpperLeg")

    def off(motion, shift=0):
        other = np.roll(motion.rotations, shift, axis=0)
        turn = Rotation.from_quat(other[inner].reshape(-1, 4)).inv() * Rotation.from_quat(
            clean.rotations[inner].reshape(-1, 4)
        )
        return turn.magnitude().reshape(-1, 22)[:, joint].mean()

    assert off(calm) < 0.7 * off(noisy)
    assert off(calm) < min(off(calm, -1), off(calm, 1))
    assert np.allclose(np.linalg.norm(calm.rotations, axis=-1), 1)
    assert smoothed_motion(noisy, 0) is noisy


@pytest.mark.parametrize("strength", [-1, 1e20, np.inf, np.nan])
def test_smoothing_of_an_odd_strength_is_refused(strength):
    smoothed_motion(walk(5), 100)
    with pytest.raises(ConfigError, match="smooth: expected 0 to 100, got"):
        smoothed_motion(walk(5), strength)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_motions_are_no_error(frames):
    motion = walk(frames)
    for change in (mirrored_motion, looped_motion, smoothed_motion):
        assert np.isfinite(change(motion).rotations).all()
    for changed in (resampled_motion(motion, 100), sped_motion(motion, 0.5),
                    blended_motions(motion, motion)):  # fmt: skip
        assert np.isfinite(forward_kinematics(changed)).all()


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(value):
    for change in (resampled_motion, sped_motion):
        with pytest.raises(ConfigError):
            change(walk(3), value)
