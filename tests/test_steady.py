"""Steady frames from end to end: the same whoever makes them, and nothing where it is off."""

from pathlib import Path

import numpy as np
import pytest
import torch

from magicpose_cli import Resources, animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.diffusion.motion_module import motion_layers, new_motion_adapter
from magicpose_cli.pose.files.openpose_json import write_poses
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.run.resources import WorkerConfig
from magicpose_cli.run.run_record import read_run_record
from magicpose_cli.video import read_picture, write_picture

pytestmark = pytest.mark.slow

FRAMES, SIZE = 32, 64  # two batches of frames apart, three windows of steady ones


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """ref.png and dance.json of points that move a little from frame to frame."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(3)
    write_picture(folder / "ref.png", random.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    home = {part: random.uniform(8, SIZE - 8, (count, 2)) for part, count in PARTS.items()}
    poses = []
    for _ in range(FRAMES):
        parts = {
            part: np.column_stack([at + random.uniform(-3, 3, at.shape), np.ones(len(at))])
            for part, at in home.items()
        }
        poses.append(Pose.of(SIZE, SIZE, **parts))
    write_poses(folder / "dance.json", poses, 25.0)
    return folder


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory) -> dict[str, Path]:
    """Folders of one model: without an adapter, with one that changes nothing, with one at work."""
    folder = tmp_path_factory.mktemp("models")
    found = {"none": tiny_model}
    for name in ("zero", "moving"):
        pipeline = load_pipeline(tiny_model)
        torch.manual_seed(5)
        adapter = new_motion_adapter(pipeline.unet)
        if name == "moving":
            for layer in motion_layers(adapter).values():
                torch.nn.init.normal_(layer.proj_out.weight, std=0.5)
        pipeline.set_motion_adapter(adapter)
        pipeline.save_pretrained(folder / name)
        found[name] = folder / name
    return found


def preset(model: Path, steady="on", **options) -> Preset:
    return Preset().with_options(
        model__name=str(model), model__device="cpu", model__steady=steady,
        sampling__steps="2", motion__retarget="none", **options,
    )  # fmt: skip


def made(given: Path, out: Path, settings: Preset, **options):
    record = animate(given / "ref.png", given / "dance.json", out, settings, **options)
    frames = [read_picture(path) for path in sorted(out.glob("*.png"))]
    return np.stack(frames), record


@pytest.fixture(scope="module")
def steady(given, models, tmp_path_factory) -> np.ndarray:
    out = tmp_path_factory.mktemp("steady") / "frames"
    frames, record = made(given, out, preset(models["moving"]))
    assert record.plan.steady
    assert read_run_record(out).plan.steady
    return frames


def test_off_and_new_adapters_change_no_byte(given, models, steady, tmp_path):
    alone, _ = made(given, tmp_path / "alone", preset(models["none"], model__batch_size=16))
    for name, model, switch in (
        ("off", "moving", "off"),
        ("auto", "moving", "auto"),
        ("zero", "zero", "on"),
    ):
        settings = preset(models[model], switch, model__batch_size=16)
        frames, record = made(given, tmp_path / name, settings)
        np.testing.assert_array_equal(frames, alone)
        assert record.plan.steady is (name == "zero")
    assert (steady != alone).any(axis=(1, 2, 3)).all()


def test_a_file_in_place_of_the_models_own(given, models, steady, tmp_path):
    adapter = str(models["moving"] / "motion_adapter")
    settings = preset(models["none"], "auto", model__motion_adapter=adapter)
    frames, record = made(given, tmp_path / "frames", settings)
    np.testing.assert_array_equal(frames, steady)
    assert record.plan.steady
    assert record.files_sha256


def test_a_model_without_one_says_so(given, models, tmp_path):
    frames, record = made(given, tmp_path / "frames", preset(models["none"]))
    assert len(frames) == FRAMES
    assert not record.plan.steady
    assert any("no motion adapter" in note for note in record.notes)


@pytest.mark.parametrize("at", [1, 13, 30])
def test_an_interrupted_run_goes_on_to_the_same_bytes(given, models, steady, tmp_path, at):
    out = tmp_path / "frames"

    def interrupt(progress):
        if progress.stage == "render" and progress.done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(given, out, preset(models["moving"]), on_progress=interrupt)
    frames, record = made(given, out, preset(models["moving"]))
    np.testing.assert_array_equal(frames, steady)
    assert record.resumed in (0, 12, 16, FRAMES)


def test_two_workers_make_what_one_process_makes(given, models, steady, tmp_path):
    with Resources(WorkerConfig(count=2)) as workers:
        frames, _ = made(given, tmp_path / "w", preset(models["moving"]), resources=workers)
    np.testing.assert_array_equal(frames, steady)
