"""Which frames are made together, and which are finished with each batch."""

import numpy as np
import pytest

from magicpose_cli.run.frame_batches import FrameBatches


def pictures(indices) -> np.ndarray:
    return np.stack([np.full((2, 2, 3), index, np.uint8) for index in indices])


def finished(batches: FrameBatches, done: int) -> list[tuple[list[int], np.ndarray]]:
    made = map(pictures, batches.left(done))
    return [(list(indices), frames) for indices, frames in batches.finish(made, done)]


def test_frames_apart_are_finished_with_their_batch():
    batches = FrameBatches.apart([0, 2, 3, 7, 9], 2)
    assert [list(part) for part in batches.made] == [[0, 2], [3, 7], [9]]
    assert [indices for indices, _ in finished(batches, 1)] == [[3, 7], [9]]


@pytest.mark.parametrize("wanted", [range(50), [13], [0, 1, 30, 49], [49]])
def test_windows_finish_every_wanted_frame_once(wanted):
    batches = FrameBatches.steady(list(wanted), 50)
    found = finished(batches, 0)
    assert [index for indices, _ in found for index in indices] == list(wanted)
    for indices, frames in found:
        assert frames[:, 0, 0, 0].tolist() == indices


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
def test_a_resumed_run_makes_what_is_left_alike(done):
    batches = FrameBatches.steady(list(range(50)), 50)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (len(batches.made), 16, 2, 2, 3), np.uint8)
    whole = list(batches.finish(iter(noise), 0))
    first = len(batches.made) - len(batches.left(done))
    resumed = list(batches.finish(iter(noise[first:]), done))
    assert len(resumed) == len(whole) - done
    for (indices, frames), (wanted, truth) in zip(resumed, whole[done:], strict=True):
        assert list(indices) == list(wanted)
        np.testing.assert_array_equal(frames, truth)


def test_windows_without_a_wanted_frame_are_left_out():
    batches = FrameBatches.steady([0, 99], 100)
    assert batches.made == (range(16), range(84, 100))
