"""The training run: it learns, stops, goes on to the same numbers, and loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from magicpose_cli.benchmarks.training_speed import measure_training
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ConfigError, OutputError, TrainingError
from magicpose_cli.training import loop as module
from magicpose_cli.training import sample_sheet
from magicpose_cli.training.checkpoints import checkpoints, read_tensors, read_train_state
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.run import train

pytestmark = pytest.mark.slow  # each test needs what takes seconds to make


def only(recipe: Recipe, *names: str) -> Recipe:
    """The recipe with some of its stages."""
    return recipe.model_copy(update={"stages": {n: recipe.stages[n] for n in names}})


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """A run through every stage, never interrupted."""
    run = tmp_path_factory.mktemp("run")
    events = []
    result = train(toy, run, device="cpu", on_progress=events.append)
    assert result.complete
    return run, events


def weights(folder):
    pipeline = load_pipeline(folder, "float32")
    return {
        f"{part}.{name}": value
        for part in ("unet", "appearance_unet", "pose_controlnet", "vae", "compositor")
        if getattr(pipeline, part) is not None
        for name, value in getattr(pipeline, part).state_dict().items()
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different, different[:3]


def test_every_stage_leaves_a_usable_model(finished, toy):
    run, events = finished
    stages = sorted(path.name for path in (run / "stages").iterdir())
    order = tuple(toy.stages)
    assert stages == sorted("-".join(order[:n]) for n in range(1, 8))
    for stage in stages:
        (folder,) = checkpoints(run / "stages" / stage)
        state = read_train_state(folder)
        assert (state.step, state.done) == (4, True)
        assert "-".join(state.stages) == stage
        load_pipeline(folder)
    assert state.loss is not None and state.samples_per_s > 0
    done = [e for e in events if e.stage == "joint"]
    assert (done[-1].done, done[-1].total) == (4, 4) and "loss" in done[-1].note


def test_a_stage_changes_its_own_parts_alone(finished, toy):
    run, _ = finished
    order = tuple(toy.stages)
    found = [weights(checkpoints(run / "stages" / "-".join(order[:n]))[0]) for n in range(1, 8)]
    changed = [
        {
            name.split(".")[0]
            for name in now
            if name not in former or not torch.equal(former[name], now[name])
        }
        for former, now in pairwise(found)
    ]
    assert changed[0] == {"unet"}
    assert changed[1] == {"appearance_unet"}
    assert changed[2] == {"appearance_unet", "pose_controlnet"}
    assert changed[3] == {"unet", "appearance_unet", "pose_controlnet"}
    assert changed[4] == {"unet", "appearance_unet", "pose_controlnet", "vae"}
    assert changed[5] == {"compositor"}


def test_the_sheet_shows_reference_pose_truth_and_result(finished):
    run, _ = finished
    (sheet,) = (run / "stages" / "autoencoder-base-appearance-pose").glob("sheet-*.png")
    picture = np.asarray(Image.open(sheet))
    assert picture.shape == (sample_sheet.SHEET_ROWS * 64, 4 * 64, 3)
    reference, pose, truth, result = np.split(picture, 4, axis=1)
    assert (pose[:8, :8] == 0).all() and pose.max() > 100
    assert reference.std() > 10 and truth.std() > 10 and result.std() > 0


def test_scalars_are_written(finished):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _ = finished
    events = EventAccumulator(str(run / "tensorboard" / "autoencoder-base"))
    events.Reload()
    assert {"loss", "rate", "samples_per_s", "data_wait_share"} <= set(events.Tags()["scalars"])


class _StopAfter:
    """Ctrl-C once the stage has come so far."""

    def __init__(self, step: int):
        self._step = step

    def __call__(self, progress):
        if progress.unit == "steps" and progress.done == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["autoencoder", "joint", "end-to-end", "compositor"])
def test_two_steps_and_two_more_are_four(toy, tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "CHECK_EVERY", 1)
    recipe = only(toy, name)
    train(recipe, tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "halves", device="cpu", on_progress=_StopAfter(2))
    (half,) = checkpoints(tmp_path / "halves" / "stages" / name)
    assert (read_train_state(half).step, read_train_state(half).done) == (2, False)
    assert not (tmp_path / "halves" / "model").exists()
    train(recipe, tmp_path / "halves", device="cpu")
    one, other = (
        read_tensors(checkpoints(tmp_path / run / "stages" / name)[-1])
        for run in ("whole", "halves")
    )
    assert_same(one, other)
    assert_same(weights(tmp_path / "whole" / "model"), weights(tmp_path / "halves" / "model"))


def test_accumulated_batches_are_as_good_as_one(toy, tmp_path):
    """Three steps of two batches see what six batches show, and divide by two."""
    stage = toy.stages["base"].model_copy(update={"steps": 3, "accumulate": 2})
    recipe = toy.model_copy(update={"stages": {"base": stage}})
    train(recipe, tmp_path / "run", device="cpu")
    (folder,) = checkpoints(tmp_path / "run" / "stages" / "base")
    assert (read_train_state(folder).step, read_train_state(folder).tick) == (3, 6)


def test_the_loss_falls(toy, tmp_path):
    changes = {"steps": 80, "batch": 16, "warmup": 5, "learning_rate": 4e-3}
    stage = toy.stages["base"].model_copy(update=changes)
    data = toy.data.model_copy(update={"resample_every": 1000})
    recipe = toy.model_copy(update={"stages": {"base": stage}, "data": data})
    events = []
    train(recipe, tmp_path / "run", device="cpu", on_progress=events.append)
    losses = [float(e.note.split()[1].strip(",")) for e in events if e.stage == "base"]
    assert len(losses) == 8
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECK_EVERY", 1)
    stage = toy.stages["base"].model_copy(update={"learning_rate": 1e30, "warmup": 0})
    recipe = only(toy, "autoencoder", "base").model_copy(
        update={"stages": {"autoencoder": toy.stages["autoencoder"], "base": stage}}
    )
    with pytest.raises(
        TrainingError, match=r"stages\.base\.learning_rate \(it is 1e\+30\)"
    ) as caught:
        train(recipe, tmp_path / "run", device="cpu")
    assert "\n" not in str(caught.value)
    assert not checkpoints(tmp_path / "run" / "stages" / "autoencoder-base")
    (intact,) = checkpoints(tmp_path / "run" / "stages" / "autoencoder")
    assert all(value.isfinite().all() for value in read_tensors(intact).values())


def test_another_recipe_is_refused(finished, toy, tmp_path):
    run, _ = finished
    with pytest.raises(ConfigError, match="another recipe"):
        train(toy.model_copy(update={"seed": 3}), run, device="cpu")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        train(toy, tmp_path, device="cpu")
    with pytest.raises(OutputError, match="other files"):
        train(toy, tmp_path, device="cpu", overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_finished_run_is_left_alone(finished, toy):
    run, _ = finished
    stamp = (run / "model" / "model_index.json").stat().st_mtime_ns
    events = []
    assert train(toy, run, device="cpu", on_progress=events.append).complete
    assert not events and (run / "model" / "model_index.json").stat().st_mtime_ns == stamp


def test_a_damaged_checkpoint_is_named(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECK_EVERY", 1)
    recipe = only(toy, "base")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", device="cpu", on_progress=_StopAfter(2))
    (folder,) = checkpoints(tmp_path / "run" / "stages" / "base")
    (file,) = (folder / "state").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="is damaged") as caught:
        train(recipe, tmp_path / "run", device="cpu")
    assert "\n" not in str(caught.value)


def test_variants_train_their_common_beginning_once(toy, tmp_path):
    order = {"one": ("base", "pose"), "two": ("base", "appearance")}
    recipe = only(toy, "base", "pose", "appearance").model_copy(
        update={"variants": {}, "order": ()}
    )
    data = recipe.model_dump() | {"variants": {k: {"order": v} for k, v in order.items()}}
    data["variants"]["plain"] = {"order": ("base", "pose"), "default_guidance": 1.0}
    recipe = Recipe.model_validate(data)
    events = []
    result = train(recipe, tmp_path / "run", device="cpu", on_progress=events.append)
    assert set(result.models) == {"one", "two", "plain"}
    assert len([e for e in events if e.stage == "base" and e.done == 4]) == 1
    one, plain = (
        json.loads((tmp_path / "run" / name / "model_index.json").read_text())
        for name in ("one", "plain")
    )
    assert (one["default_guidance"], plain["default_guidance"]) == (1.5, 1.0)
    assert_same(weights(tmp_path / "run" / "one"), weights(tmp_path / "run" / "plain"))


def test_the_benchmark_times_every_stage_and_leaves_nothing(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    rows = measure_training(only(toy, "base", "joint"), 2, device="cpu")
    assert [row.stage for row in rows] == ["base", "joint"]
    assert all(row.samples_per_s > 0 and 0 <= row.data_wait_share <= 1 for row in rows)
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
from pathlib import Path
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.run import train
if __name__ == "__main__":
    if len(sys.argv) > 3:
        import resource
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    recipe = Recipe.model_validate_json(Path(sys.argv[1]).read_text())
    train(recipe, Path(sys.argv[2]), device="cpu")
"""


def start(recipe: Recipe, tmp_path, *limit: str) -> subprocess.Popen:
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    command = [sys.executable, "run.py", "recipe.json", "run", *limit]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_model(toy, tmp_path):
    stage = toy.stages["joint"].model_copy(update={"steps": 12})
    recipe = toy.model_copy(update={"stages": {"joint": stage}, "sheet_every": 1000})
    killed = start(recipe.model_copy(update={"checkpoint_minutes": 0.001}), tmp_path)
    stages = tmp_path / "run" / "stages" / "joint"
    limit = time.monotonic() + 120
    while len(checkpoints(stages)) < 2 and time.monotonic() < limit and killed.poll() is None:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = read_train_state(checkpoints(stages)[-1])
    assert 0 < kept.step < 12 and not (tmp_path / "run" / "model").exists()
    train(recipe, tmp_path / "run", device="cpu")
    train(recipe, tmp_path / "whole", device="cpu")
    assert_same(weights(tmp_path / "run" / "model"), weights(tmp_path / "whole" / "model"))


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit")
def test_a_disk_that_takes_no_more_ends_the_run_in_one_line(toy, tmp_path):
    stopped = start(only(toy, "base"), tmp_path, "100000")
    _, stderr = stopped.communicate(timeout=120)
    last = stderr.decode().strip().split("\n")[-1]
    assert "OutputError" in last and "cannot be written" in last
    left = [path for path in (tmp_path / "run" / "stages" / "base").rglob("*") if path.is_dir()]
    assert not left


def test_without_cuda_there_are_no_graphs(toy, tmp_path):
    short = only(toy, "autoencoder")
    plain, graphs = (
        train(short.model_copy(update={"graphs": graphs}), tmp_path / str(graphs), device="cpu")
        for graphs in (False, True)
    )
    assert_same(weights(plain.models["model"]), weights(graphs.models["model"]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ["joint", "end-to-end", "compositor"])
def test_graphs_train_as_launched_kernels_do(toy, tmp_path, monkeypatch, name):
    """To the same weights, but for rounding; also from a checkpoint in the middle."""
    monkeypatch.setattr(module, "CHECK_EVERY", 1)
    stage = toy.stages[name].model_copy(update={"accumulate": 2})
    recipe = toy.model_copy(update={"stages": {name: stage}, "precision": "no"})
    graphs = recipe.model_copy(update={"graphs": True})
    train(recipe, tmp_path / "plain", device="cuda")
    train(graphs, tmp_path / "graphs", device="cuda")
    with pytest.raises(KeyboardInterrupt):
        train(graphs, tmp_path / "halves", device="cuda", on_progress=_StopAfter(2))
    train(graphs, tmp_path / "halves", device="cuda")
    plain, replayed, halves = (
        weights(tmp_path / run / "model") for run in ("plain", "graphs", "halves")
    )
    before = build_networks(recipe).state_dict()

    def apart(one, other):
        moving = (key for key in before if not key.startswith("vae"))
        return sum(float((one[key] - other[key]).norm()) for key in moving)

    for made in (replayed, halves):
        assert apart(made, plain) < 0.5 * apart(plain, before)  # 1 for what learns nothing


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_trains_compiled_and_in_half_precision(toy, tmp_path):
    recipe = only(toy.model_copy(update={"compile": True}), "autoencoder", "joint")
    result = train(recipe, tmp_path / "run", device="cuda")
    assert all(value.isfinite().all() for value in weights(result.models["model"]).values())
