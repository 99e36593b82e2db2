"""The examination: its arithmetic against real networks, broken parts as lines of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.diffusion.checkpoint.loading import MINI, load_pipeline, read_index
from magicpose_cli.diffusion.motion_module import new_motion_adapter
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference_features import reference_features
from magicpose_cli.doctor import machine
from magicpose_cli.doctor.estimate import estimate, network_of, reference_elements
from magicpose_cli.doctor.examine import examine
from magicpose_cli.doctor.finding import without_home
from magicpose_cli.models import in_units
from magicpose_cli.rendering.local import batch_size_for

SECTIONS = ["program", "machine", "films", "detectors", "models", "weights", "folders", "packages",
            "preset"]  # fmt: skip


def needed(folder=MINI, **options):
    usual = {"size": (128, 128), "steps": 6, "dtype": "float32", "free": None}
    return estimate(folder, read_index(folder), **usual | options)


@pytest.fixture(scope="module")
def mini() -> MagicPosePipeline:
    return load_pipeline(MINI)


def parameters(*networks) -> list[torch.Tensor]:
    return [p for network in networks for p in network.parameters()]


def test_weights_are_counted_from_the_files_headers(mini):
    small = (mini.pose_controlnet, mini.vae, mini.compositor)
    networks = (mini.unet, mini.appearance_unet, *small)
    count = sum(p.numel() for p in parameters(*networks))
    assert needed().weights == 4 * count
    assert needed(dtype="float16").weights == 2 * count
    largest = max(p.numel() for p in parameters(*networks))
    assert needed(offload="sequential").weights == 4 * largest
    staying = sum(p.numel() for p in parameters(*small))
    unet, appearance = (
        sum(p.numel() for p in parameters(part)) for part in (mini.unet, mini.appearance_unet)
    )
    assert appearance > unet  # its first convolution reads the reference's pose, too
    assert needed(offload="model").weights == 4 * (staying + appearance)


def test_quantized_are_the_weights_of_linear_layers(mini):
    linear = sum(
        module.weight.numel()
        for network in (mini.unet, mini.appearance_unet, mini.pose_controlnet)
        for module in network.modules()
        if isinstance(module, torch.nn.Linear)
    )
    assert needed().weights - needed(quantize="int8").weights == 3 * linear > 10**6


def test_another_autoencoder_lies_beside_the_own(mini):
    own = sum(p.numel() for p in parameters(mini.vae))
    assert network_of(MINI / "vae").count == own
    assert needed(vae=MINI / "vae").weights - needed().weights == 4 * own


def test_a_motion_adapter_adds_its_weights_and_takes_a_window_at_once(mini, tmp_path):
    adapter = new_motion_adapter(mini.unet)
    adapter.save_pretrained(tmp_path)
    count = sum(t.numel() for t in adapter.state_dict().values())
    steady = needed(steady=True, motion_adapter=tmp_path, batch_size=16)
    assert steady.weights - needed().weights == 4 * count
    assert steady.batch_size == 16
    assert steady.least == steady.device
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    assert needed(steady=True, motion_adapter=file, batch_size=16) == steady


def test_what_a_model_has_of_its_own_is_told(tiny_model):
    settings = {"model__device": "cpu", "model__steady": "on"}
    plain = examine(Preset().with_options(model__name=str(tiny_model), **settings))
    found = {finding.name: finding for finding in plain.sections["preset"]}
    assert "has no motion adapter" in found["steady"].value
    assert not found["steady"].facts["on"]
    whole = examine(Preset().with_options(model__name="mini", model__identity=0.5, **settings))
    found = {finding.name: finding for finding in whole.sections["preset"]}
    assert found["steady"].value == "on" and found["steady"].facts["on"]
    assert found["identity"].facts["adapter"].endswith("mini/identity_adapter")


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_the_reference_features_are_those_of_the_appearance_network(tiny_model, size):
    pipeline = load_pipeline(tiny_model)
    pipeline.scheduler.set_timesteps(3)
    latents = torch.zeros(1, 4, size[1] // 8, size[0] // 8)
    text = torch.zeros(1, 1, 8)
    times = [float(t) for t in pipeline.scheduler.timesteps]
    [features, *_] = all_features = reference_features(pipeline, latents, text, times)
    elements = sum(hidden.numel() for hidden in features.values())
    config = json.loads((tiny_model / "unet" / "config.json").read_text())
    assert reference_elements(config, (size[0] // 8, size[1] // 8)) == elements
    need = needed(tiny_model, size=size, steps=3, dtype="float16")
    two_bytes, keys_and_values = 2, 2
    assert need.reference == len(all_features) * elements * two_bytes * keys_and_values
    assert needed(tiny_model, size=size, steps=3, offload="model").reference == 3 * elements * 4


@pytest.mark.parametrize("size", [128, 256, 512, 1024])
def test_the_batch_is_the_one_that_a_run_takes(mini, size):
    assert needed(size=(size, size)).batch_size == batch_size_for(mini, size, size)
    assert needed(batch_size=7).batch_size == 7


def test_on_a_gpu_the_batch_is_what_fits_beside_the_weights():
    few = needed(size=(512, 512), dtype="float16", free=10**9)
    many = needed(size=(512, 512), dtype="float16", free=10**10)
    none = needed(size=(512, 512), dtype="float16", free=0)
    assert 1 < few.batch_size < many.batch_size == 16 and none.batch_size == 1
    assert few.device <= 10**9 < none.least + 10**9
    assert few.least == few.weights + few.reference + few.frame < few.main


def test_everything_is_examined_and_mini_can_run():
    examination = examine("mini")
    assert list(examination.sections) == SECTIONS
    assert examination.can_run and examination.obstacle == ""
    told = examination.as_dict()["sections"]
    assert told["machine"]["memory"]["free"] <= told["machine"]["memory"]["total"]
    assert set(told["films"]["encoders"]["present"]) >= {"libx264", "libvpx-vp9", "aac"}
    assert told["models"]["mini"]["size"] > 20e6
    assert (told["preset"]["size, steps, guidance"]["width"], told["folders"]["work"]["path"]) == (
        256, str(Path.cwd()),
    )  # fmt: skip
    assert json.loads(json.dumps(examination.as_dict())) == examination.as_dict()
    assert "broken" not in [found.value for part in examination.sections.values() for found in part]


def test_a_network_has_its_own_size_where_the_reference_is_warped():
    for warp, side in (("on", 256), ("off", 512)):
        preset = load_preset("mini").with_options(frame__warp=warp, frame__size=512)
        told = examine(preset).as_dict()["sections"]["preset"]
        assert told["warp"]["on"] is (warp == "on")
        assert told["size, steps, guidance"]["width"] == side
        need = needed(size=(side, side), steps=told["size, steps, guidance"]["steps"])
        assert told["frames at once"]["batch_size"] == need.batch_size
        assert told["memory"]["least"] == need.least


def test_who_cuts_the_person_out_is_told(tmp_path, monkeypatch):
    wheel = tmp_path / "mediapipe"
    wheel.mkdir()
    (wheel / "__init__.py").write_text("raise ImportError('it is not imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mediapipe", raising=False)
    [line] = machine.segmentation()
    assert not line.facts["at_hand"] and "the pose cuts the person out" in line.value
    (wheel / "python" / "solutions").mkdir(parents=True)
    (wheel / "python" / "solutions" / "selfie_segmentation.py").touch()
    [line] = machine.segmentation()
    assert line.facts["at_hand"] and not line.warning


@pytest.mark.parametrize(
    ("options", "obstacle"),
    [
        ({"model__name": "nowhere"}, "model 'nowhere'"),
        ({"model__device": "cuda:99"}, "model.device: 'cuda:99' cannot be used"),
        ({"sampling__scheduler": "EulerAncestralDiscreteScheduler"}, "draws noise at every step"),
        ({"model__vae": "nowhere/vae"}, "nowhere/vae is not fetched"),
        ({"model__lora": ["nowhere/few.safetensors:0.5"]}, "few.safetensors is not there"),
        ({"motion__detector": "dwpose-mm"}, "pip install"),
        ({"motion__detector": "bogus"}, "'bogus' is not known"),
    ],
)
def test_what_is_not_to_be_had_is_an_obstacle(options, obstacle, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    examination = examine(load_preset("mini").with_options(**options))
    assert not examination.can_run and obstacle in examination.obstacle
    assert "\n" not in examination.obstacle
    assert list(examination.sections) == SECTIONS


def test_an_unknown_preset_is_an_obstacle():
    examination = examine("bogus")
    assert "preset 'bogus': expected one of" in examination.obstacle
    assert list(examination.sections) == SECTIONS


def test_files_that_are_there_are_told(tmp_path):
    lora = tmp_path / "few:steps.safetensors"
    lora.touch()
    preset = Preset().with_options(model__name="mini", model__lora=[f"{lora}:0.5"])
    told = {found.name: found.value for found in examine(preset).sections["preset"]}
    assert told["lora"] == str(lora) and "memory" in told


def test_a_checkpoint_is_not_converted_to_be_examined(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    file = tmp_path / "model_state.th"
    file.write_bytes(b"nothing that could be converted")
    examination = examine(Preset().with_options(model__name=str(file)))
    assert examination.can_run and not (tmp_path / "home").exists()
    assert "models convert" in examination.sections["preset"][-1].warning


def test_a_container_may_have_less_memory_than_its_host(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CGROUP_LIMITS", (limit,))
    limit.write_text("max\n")
    assert machine.memory_limits()[0] > 10**9
    limit.write_text("600000000\n")
    assert machine.memory_limits()[0] == 600_000_000 >= machine.memory_limits()[1]
    examination = examine("mini")
    assert "are needed on cpu (estimated)" in examination.obstacle
    assert "does not fit" in examination.sections["preset"][-1].value


def test_a_broken_model_is_a_line_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    [mini, mine] = examine("mini").sections["models"]
    assert mini.facts["default"] and not mini.warning
    assert "not of a MagicPosePipeline" in mine.warning


def test_damaged_weights_are_an_obstacle_not_a_traceback(tmp_path):
    import shutil

    shutil.copytree(MINI, tmp_path / "bad")
    (tmp_path / "bad" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\xff" * 99)
    examination = examine(load_preset("mini").with_options(model__name=str(tmp_path / "bad")))
    assert "no safetensors file" in examination.obstacle


def examined(code="", **environment):
    """`examine("mini")` in a process of its own: what it tells, and the modules it has loaded."""
    run = subprocess.run(
        [sys.executable, "-c", f"""{code}
import json, sys
from magicpose_cli.doctor.examine import examine
print(json.dumps([examine("mini").as_dict(), sorted(sys.modules)]))"""],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return json.loads(run.stdout)


@pytest.mark.slow
def test_no_network_is_loaded_and_nothing_is_written(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    told, modules = examined(MAGICPOSE_HOME=str(home), HF_HOME=str(home / "hub"))
    assert told["can_run"] and not {"diffusers", "transformers", "mediapipe"} & set(modules)
    assert not list(home.iterdir())


@pytest.mark.slow
def test_broken_packages_are_lines(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so: bad ELF')")
    (tmp_path / "psutil.py").write_text("raise ImportError('psutil is not for this machine')")
    (tmp_path / "ffmpeg").write_text("no program")
    told, _ = examined(PYTHONPATH=str(tmp_path), IMAGEIO_FFMPEG_EXE=str(tmp_path / "ffmpeg"))
    sections = told["sections"]
    assert list(sections) == SECTIONS
    assert "bad ELF" in sections["machine"]["torch build"]["warning"]
    assert "psutil is not for" in sections["machine"]["memory"]["warning"]
    assert sections["films"]["films"]["value"] == "broken"
    assert not told["can_run"] and "bad ELF" in told["obstacle"]


@pytest.mark.slow
def test_packages_that_do_not_fit_are_told(tmp_path):
    info = tmp_path / "magicpose-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: magicpose\nVersion: 0.1.0\n"
        "Requires-Dist: numpy>=99\nRequires-Dist: nowhere-there>=2; python_version > '3'\n"
        "Requires-Dist: other-system; sys_platform == 'nothing'\n"
        "Requires-Dist: not-needed; extra == 'train'\nRequires-Dist: pytest>=99; extra == 'dev'\n"
    )
    packages = examined(PYTHONPATH=str(tmp_path))[0]["sections"]["packages"]
    assert packages.keys() == {"numpy", "nowhere-there"}
    assert "pip install 'numpy>=99'" in packages["numpy"]["warning"]
    assert "pip install 'nowhere-there>=2'" in packages["nowhere-there"]["warning"]


def test_a_gpu_that_torch_cannot_use_is_told(tmp_path, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("torch can use this one")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '570.1, NVIDIA A10'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = {line.name: line for line in machine.torch_build()}
    assert found["NVIDIA driver"].value == "570.1, NVIDIA A10"
    assert "without CUDA" in found["torch"].warning


def test_homes_are_hidden_and_sizes_short(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert without_home(f"{tmp_path}/models of {tmp_path}") == "~/models of ~"
    assert [in_units(size) for size in (4.21e9, 151.4e6, 0)] == ["4.2 GB", "151 MB", "0 kB"]
