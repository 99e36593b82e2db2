"""Memory does not grow with the clip."""

import pytest

from magicpose_cli.benchmarks.clip_length import LengthResult, measure_lengths, plot_lengths
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.video import read_picture


@pytest.mark.slow
def test_ten_times_the_frames_take_no_more_memory(tiny_model):
    short, long = measure_lengths([100, 1000], tiny_model)
    assert (short.frames, long.frames) == (100, 1000)
    assert short.peak_memory > 100e6  # torch alone
    assert long.peak_memory < 1.05 * short.peak_memory


@pytest.mark.slow
def test_a_run_that_fails_is_an_error(tmp_path):
    with pytest.raises(MagicPoseError, match=r"exit code 1 .*no folder"):
        measure_lengths([2], tmp_path / "none")


def test_the_plot_is_a_picture(tmp_path):
    results = [LengthResult(frames, 500 << 20, 1.0) for frames in (10, 100, 1000)]
    plot_lengths(results, tmp_path / "memory.png")
    assert read_picture(tmp_path / "memory.png").std() > 10
