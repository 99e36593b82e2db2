"""Windows at fixed places of a clip, and frames out of overlapping ones."""

import numpy as np
import pytest

from magicpose_cli.diffusion.motion_windows import (
    FRAMES_TOGETHER,
    blended,
    finished_frames,
    first_window_with,
    motion_windows,
)

LENGTHS = (1, 5, 16, 17, 27, 28, 29, 40, 41, 100)


@pytest.mark.parametrize("frames", LENGTHS)
def test_windows_cover_the_clip_and_none_is_short(frames):
    windows = motion_windows(frames)
    assert {i for window in windows for i in window} == set(range(frames))
    assert all(len(window) == min(frames, FRAMES_TOGETHER) for window in windows)
    assert windows[:2] == [range(16), range(12, 28)][: len(windows)] or frames < 28


@pytest.mark.parametrize("frames", LENGTHS)
def test_every_frame_is_finished_once_and_in_order(frames):
    finished = finished_frames(motion_windows(frames))
    assert [i for part in finished for i in part] == list(range(frames))


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_frames_on_which_windows_agree_stay_as_they_are(frames, kind):
    rng = np.random.default_rng(frames)
    clip = (rng.random((frames, 4, 4, 3)) * 255).astype(kind)
    windows = motion_windows(frames)
    joined = np.concatenate(list(blended(windows, (clip[w.start : w.stop] for w in windows))))
    assert joined.dtype == clip.dtype
    np.testing.assert_array_equal(joined, clip)


def test_weights_grow_from_the_edge_of_a_window_inward():
    windows = motion_windows(28)
    made = [np.full((16, 1), 0, np.float32), np.full((16, 1), 1, np.float32)]
    joined = np.concatenate(list(blended(windows, made)))[:, 0]
    np.testing.assert_allclose(joined[11:17], [0, 0.2, 0.4, 0.6, 0.8, 1])


def test_frames_come_as_soon_as_no_later_window_has_them():
    windows = motion_windows(40)
    taken = []

    def made():
        for window in windows:
            taken.append(window)
            yield np.zeros((len(window), 1), np.uint8)

    for at, frames in enumerate(blended(windows, made())):
        assert len(taken) == at + 1
        assert len(frames) == len(finished_frames(windows)[at])


def test_a_window_that_is_left_out_leaves_the_others_alone():
    windows = [motion_windows(100)[i] for i in (0, 3, 4)]
    made = [np.full((16, 1), w.start, np.uint8) for w in windows]
    parts = list(blended(windows, made))
    assert [len(part) for part in parts] == [16, 12, 16]
    assert parts[1][0] == 36


def test_the_first_window_with_a_frame():
    windows = motion_windows(40)
    assert first_window_with(windows, 12) == 0
    assert first_window_with(windows, 16) == 1
