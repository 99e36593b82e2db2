"""Memory does not grow with the clip, and what a frame takes is told."""

import json

import pytest

from magicpose_cli.benchmarks.clip_length import (
    LengthResult,
    _followed,
    measure_lengths,
    plot_lengths,
)
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.video import read_picture


@pytest.mark.slow
def test_ten_times_the_frames_take_no_more_memory(tiny_model):
    short, long = measure_lengths([100, 1000], tiny_model)
    assert (short.frames, long.frames) == (100, 1000)
    assert short.peak_memory > 100e6  # torch alone
    assert long.peak_memory < 1.05 * short.peak_memory
    for run in (short, long):
        assert 0 < run.first_frame_s < run.seconds
        assert run.frame_s is not None and run.frames * run.frame_s < run.seconds
    assert 0 < short.cpu_s < long.cpu_s


@pytest.mark.slow
def test_a_run_that_fails_is_an_error(tmp_path):
    with pytest.raises(MagicPoseError, match=r"exit code 1 .*no folder"):
        measure_lengths([2], tmp_path / "none")


def test_events_tell_when_how_many_frames_were_there():
    events = [
        {"event": "progress", "stage": "poses", "done": 3, "total": 3},
        {"event": "progress", "stage": "render", "done": 0, "total": 9},
        {"event": "progress", "stage": "render", "done": 4, "total": 9},
        {"event": "progress", "stage": "render", "done": 9, "total": 9},
        {"event": "result", "frames": 9},
    ]
    told, drawn = _followed([*(f"{json.dumps(event)}\n" for event in events), "1234"], 0.0)
    assert told == "1234" and [done for _, done in drawn] == [4, 9]
    assert drawn[0][0] <= drawn[1][0]


def test_the_plot_is_a_picture(tmp_path):
    results = [LengthResult(frames, 500 << 20, 9.0, 5.0, 0.01, 8.0) for frames in (10, 100, 1000)]
    plot_lengths(results, tmp_path / "memory.png")
    assert read_picture(tmp_path / "memory.png").std() > 10
