"""What workers cost here, and the simulation against real ones."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from typer.testing import CliRunner

from magicpose_cli.benchmarks import worker_costs
from magicpose_cli.benchmarks.worker_costs import (
    check_ray,
    costs_of_size,
    measure_worker_costs,
    pipe_costs,
    ray_costs,
)
from magicpose_cli.cli.bench import app
from magicpose_cli.errors import ConfigError


@pytest.mark.slow
def test_the_simulation_tells_what_real_workers_take(tiny_model, monkeypatch):
    """Measured once, through the command, which adds what is typed."""
    told = []

    def measured(*given, **named):
        told.append(measure_worker_costs(*given, **named))
        return told[-1]

    monkeypatch.setattr(worker_costs, "MEASURED_BATCHES", 6)
    monkeypatch.setattr(worker_costs, "measure_worker_costs", measured)
    arguments = ["workers", "--model", str(tiny_model), "--workers", "1,4", "--frames", "400"]
    arguments += ["--frame-ms", "100", "--seeds", "1", "--batch-size", "8", "--json", "--quiet"]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    shown = json.loads(run.stdout)
    assert [scale["workers"] for scale in shown["scales"]] == [1, 4]
    assert shown["costs"]["frame_s"] == 0.1 and len(shown["seen"]) == 2
    ((costs, seen),) = told
    assert costs.frame_bytes == 64 * 64 * 3 and costs.lost_per_hour == 0
    for name in ("frame_s", "start_s", "draw_s", "send_s", "receive_s", "keep_s", "encode_s"):
        assert getattr(costs, name) > 0, name
    assert [run.workers for run in seen] == [1, 2]
    for run in seen:  # on a machine that does other things, too
        assert 0.2 < run.predicted_s / run.seen_s < 5
    larger = costs_of_size(costs, 256, 2)
    assert larger.frame_bytes == 256 * 256 * 3 and larger.frame_s == costs.frame_s
    assert larger.keep_s > costs.keep_s


@pytest.mark.slow
def test_more_bytes_take_longer_through_a_pipe():
    small, large = (sum(pipe_costs(np.zeros((4, side, side, 3), np.uint8))) for side in (32, 1024))
    assert 0 < small < large


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_ray_moves_frames_too():
    assert all(0 < seconds < 1 for seconds in ray_costs(64 * 64 * 3, 2))


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_one_line_says_how_to_get_it():
    with pytest.raises(ConfigError, match=r"magicpose\[ray\]"):
        check_ray()
