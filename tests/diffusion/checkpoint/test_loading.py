"""Models by name: found, identified, loaded without code, noise or guesswork."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from magicpose_cli.diffusion.checkpoint import loading as weights
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline, model_hash, resolve_model
from magicpose_cli.errors import ModelError

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(small_model, tmp_path):
    """A copy that may be harmed."""
    return shutil.copytree(small_model, tmp_path / "copy")


@pytest.fixture
def mini(small_model, monkeypatch):
    """Stands in for the embedded model."""
    monkeypatch.setattr(weights, "MINI", small_model)
    return small_model


def edit_index(folder, **changes) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | changes))


def test_names(mini, home, monkeypatch, tmp_path):
    assert resolve_model(None) == resolve_model("auto") == resolve_model("mini") == mini
    installed = shutil.copytree(mini, home / "models/magicpose")
    shutil.copytree(mini, home / "models/.other.partial")
    assert resolve_model(None) == resolve_model("magicpose") == installed
    assert resolve_model("mini") == resolve_model(str(mini)) == mini
    assert weights.installed_models() == {"mini": mini, "magicpose": installed}
    monkeypatch.chdir(shutil.copytree(mini, tmp_path / "here/mine").parent)
    assert resolve_model("mine").resolve() == tmp_path / "here/mine"
    assert weights.model_folder("mine") == home / "models/mine"
    assert str(weights.model_folder("./mine")) == "mine"


def test_home_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("MAGICPOSE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.models_home() == tmp_path / "magicpose/models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert weights.models_home().match("Library/Caches/magicpose/models")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("magicpose", "models fetch magicpose"),
        ("an-org/dancer", "models fetch an-org/dancer"),
        ("no/such/folder", r"`magicpose models convert .*\.th no/such/folder`"),
        ("dancer", r"`magicpose models convert .*\.th dancer`"),
    ],
)
def test_a_model_that_is_not_there(name, way):
    with pytest.raises(ModelError, match=way) as error:
        resolve_model(name)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no readable model_index\.json"):
        resolve_model(str(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(ModelError, match="not of a MagicPosePipeline"):
        resolve_model(str(tmp_path))


def test_hash_is_of_the_contents(model, small_model):
    former = model_hash(model)
    assert former == model_hash(small_model)
    (model / "README.md").write_text("not a part of the model")
    assert model_hash(model) == former
    edit_index(model, pose_canvas=512)
    assert model_hash(model) != former


@pytest.mark.slow
def test_loads_in_the_asked_precision(model, small_state):
    file = model / UNET
    save_file({k: t.half() for k, t in load_file(file).items()}, file, {"format": "pt"})
    pipe = load_pipeline(model)
    assert {part.dtype for part in (pipe.unet, pipe.appearance_unet)} == {torch.float32}
    stored = small_state["model.diffusion_model.out.2.bias"]
    assert torch.equal(pipe.unet.conv_out.bias, stored.half().float())
    assert load_pipeline(model, dtype="bfloat16").unet.dtype == torch.bfloat16
    with pytest.raises(ModelError, match="'int8': expected one of float32"):
        load_pipeline(model, dtype="int8")


@pytest.mark.slow
def test_loading_is_silent(small_model):
    code = (
        "from pathlib import Path\n"
        "from magicpose_cli.diffusion.checkpoint.loading import load_pipeline\n"
        f"[load_pipeline(Path({str(small_model)!r}), kind) for kind in ('float32', 'float16')]"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")


def harm(kind: str, model) -> str:
    """Break a model folder; returns what its error must say."""
    if kind == "foreign class":
        edit_index(model, unet=["os", "system"])
        return r"unet is os\.system; expected UNet2DConditionModel"
    if kind == "foreign library":
        edit_index(model, unet=["pipeline", "UNet2DConditionModel"])
        return r"unet is pipeline\.UNet2DConditionModel"
    if kind == "foreign scheduler":
        edit_index(model, scheduler=["diffusers", "DiffusionPipeline"])
        return "expected a scheduler of diffusers"
    if kind == "foreign part":
        edit_index(model, safety_checker=["diffusers", "UNet2DConditionModel"])
        return "expected only the parts"
    if kind == "malformed part":
        edit_index(model, unet=[["diffusers"]])
        return "unet is"
    if kind == "no number":
        edit_index(model, default_steps=-1)
        return "default_steps is -1; expected a number above 0"
    if kind == "no share":
        edit_index(model, start_from_reference=1.0)
        return "start_from_reference is 1.0; expected a share from 0.0 to less than 1.0"
    if kind == "no flag":
        edit_index(model, keep_background=1)
        return "keep_background is 1; expected true or false"
    if kind == "no pose network":
        edit_index(model, pose_controlnet=[None, None])
        return "names no pose_controlnet"
    if kind == "code":
        (model / "unet/diffusers.py").write_text("raise SystemExit('executed')")
        return r"holds code \(diffusers\.py\)"
    if kind == "cut off":
        (model / UNET).write_bytes((model / UNET).read_bytes()[:5000])
    elif kind == "garbage":
        (model / UNET).write_bytes(b"garbage" * 999)
    elif kind == "no weights":
        (model / UNET).unlink()
    elif kind == "only a pickle":
        torch.save(load_file(model / UNET), (model / UNET).with_suffix(".bin"))
        (model / UNET).unlink()
    elif kind == "no part":
        shutil.rmtree(model / "scheduler")
    elif kind == "broken config":
        (model / "unet/config.json").write_text("{")
    elif kind == "other shape":
        stored = load_file(model / UNET) | {"conv_in.bias": torch.zeros(64)}
        save_file(stored, model / UNET, {"format": "pt"})
    elif kind == "weights lacking":
        stored = load_file(model / UNET)
        del stored["conv_in.bias"]
        save_file(stored, model / UNET, {"format": "pt"})
        return r"unet lacks 1 weights \(conv_in\.bias"
    return "cannot be loaded"


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        *("foreign class", "foreign library", "foreign scheduler", "foreign part"),
        *("malformed part", "no pose network", "code", "cut off", "garbage", "no weights"),
        *("only a pickle", "no part", "broken config", "other shape", "weights lacking"),
        *("no number", "no share", "no flag"),
    ],
)
def test_a_harmed_folder_is_one_line(kind, model):
    message = harm(kind, model)
    with pytest.raises(ModelError, match=message) as error:
        load_pipeline(model)
    assert "\n" not in str(error.value) and str(model) in str(error.value)


def test_logging_is_given_back(small_model, monkeypatch):
    import diffusers.utils.logging as log

    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    log.set_verbosity_info()
    load_pipeline(small_model)
    assert log.get_verbosity() == log.INFO and log.is_progress_bar_enabled()
    assert "TRANSFORMERS_VERBOSITY" not in os.environ
    log.set_verbosity_warning()
