"""Any relative of the denoiser can stand in for it, and nothing else."""

import json
import pickle
import re

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

from magicpose_cli.config.preset import ModelSettings
from magicpose_cli.diffusion.acceleration import apply_model_settings
from magicpose_cli.diffusion.adapters.base import swap_denoiser
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.schedulers import scheduler_by_name
from magicpose_cli.errors import ConfigError, ModelError

PREFIX = "model.diffusion_model."


@pytest.fixture(scope="module")
def other_state(small_state) -> dict[str, torch.Tensor]:
    """The rebuilt checkpoint's denoiser with other numbers, by the original code's names."""
    generator = torch.Generator().manual_seed(1)
    return {
        key: tensor + 0.1 * tensor.std() * torch.randn(tensor.shape, generator=generator)
        for key, tensor in small_state.items()
        if key.startswith(PREFIX)
    }


@pytest.fixture
def other(small_model, other_state, tmp_path) -> UNet2DConditionModel:
    """The same as a network of diffusers', converted together with the rest."""
    from magicpose_cli.diffusion.checkpoint import layout

    shape = layout.unet_shape(layout.Tensors(other_state))
    modules = layout.unet_modules(shape)
    unet = UNet2DConditionModel.from_pretrained(small_model, subfolder="unet")
    unet.load_state_dict(
        {
            layout.renamed(key.removeprefix(PREFIX), modules): tensor.reshape(
                unet.get_parameter(layout.renamed(key.removeprefix(PREFIX), modules)).shape
            )
            for key, tensor in other_state.items()
        }
    )
    return unet


def place(kind, other, other_state, folder):
    """The other denoiser in one of the forms in which people have it."""
    if kind == "unet folder":
        other.save_pretrained(folder / "unet")
        return folder / "unet"
    if kind == "pipeline folder in half precision":
        other.half().save_pretrained(folder / "unet", variant="fp16")
        other.float()
        return folder
    file = folder / f"dream.{'safetensors' if 'safetensors' in kind else 'ckpt'}"
    rest = {"first_stage_model.x": torch.ones(1), "cond_stage_model.y": torch.ones(1)}
    if kind == "safetensors":
        save_file({**other_state, **rest}, file)
    elif kind == "safetensors of diffusers":
        save_file(other.state_dict(), file)
    else:
        torch.save({"state_dict": {**other_state, **rest}, "epoch": 3}, file)
    return file


@pytest.mark.parametrize(
    "kind",
    ["unet folder", "pipeline folder in half precision", "safetensors", "ckpt",
     "safetensors of diffusers"],
)  # fmt: skip
def test_every_form_of_a_base_takes_the_place(pipeline, other, other_state, tmp_path, kind):
    appearance = {k: v.clone() for k, v in pipeline.appearance_unet.state_dict().items()}
    wanted = {k: v.clone() for k, v in other.state_dict().items()}
    swap_denoiser(pipeline, place(kind, other, other_state, tmp_path))
    for key, weight in pipeline.unet.state_dict().items():
        if "half" in kind:
            assert torch.equal(weight, wanted[key].half().float())
        else:
            assert torch.equal(weight, wanted[key])
    for key, weight in pipeline.appearance_unet.state_dict().items():
        assert torch.equal(weight, appearance[key])


def small_inputs(golden):
    """What `denoise` takes, for a frame of 64x64 pixels."""
    return (
        golden["x_T"][:1, :, :8, :8],
        golden["reference_latent"][..., 4:12, 4:12],
        golden["pose_map"][:1, :, 32:96, 32:96],
        golden["text_embedding"],
    )


@pytest.mark.slow
def test_a_frame_is_what_a_pipeline_of_these_parts_makes(pipeline, other, golden, tmp_path):
    by_hand = MagicPosePipeline(
        unet=other,
        appearance_unet=pipeline.appearance_unet,
        pose_controlnet=pipeline.pose_controlnet,
        scheduler=pipeline.scheduler,
    )
    by_hand.set_progress_bar_config(disable=True)
    inputs = small_inputs(golden)
    wanted = by_hand.denoise(*inputs, num_inference_steps=2, guidance_scale=3.0)
    former = pipeline.denoise(*inputs, num_inference_steps=2, guidance_scale=3.0)
    other.save_pretrained(tmp_path / "base" / "unet")
    settings = ModelSettings(base=str(tmp_path / "base"))
    apply_model_settings(pipeline, settings, device="cpu", size=(64, 64))
    found = pipeline.denoise(*inputs, num_inference_steps=2, guidance_scale=3.0)
    assert (found - wanted).norm() / wanted.norm() < 1e-5
    assert (found - former).norm() / former.norm() > 1e-2


def narrow(state, width):
    """Its text so wide."""
    return {
        key: torch.zeros(len(tensor), width) if re.search(r"attn2\.to_[kv]\.", key) else tensor
        for key, tensor in state.items()
    }


STRANGERS = {
    "is Stable Diffusion 2 ": lambda state: narrow(state, 1024),
    "is Stable Diffusion XL": lambda state: narrow(state, 2048),
    "is Stable Diffusion XL;": lambda state: {
        **state, f"{PREFIX}label_emb.0.0.weight": torch.zeros(4, 4),
    },
    "is an inpainting model": lambda state: {
        **state, f"{PREFIX}input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3),
    },
    "is a diffusion transformer": lambda state: {
        f"{PREFIX}joint_blocks.0.x.weight": torch.zeros(4, 4),
    },
    r"lacks 1 of the denoiser's \d+ weights": lambda state: {
        key: tensor for key, tensor in state.items() if key != f"{PREFIX}out.2.bias"
    },
    r"conv_norm_out.bias is \[5\], this model's denoiser has \[32\]": lambda state: {
        **state, f"{PREFIX}out.0.bias": torch.zeros(5),
    },
    r"lacks \d+ of the denoiser's": lambda state: {"some.thing": torch.zeros(3)},
}  # fmt: skip


@pytest.mark.parametrize("said", STRANGERS)
def test_what_cannot_stand_in_is_one_clear_line(pipeline, other_state, tmp_path, said):
    before = {key: weight.clone() for key, weight in pipeline.unet.state_dict().items()}
    file = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in STRANGERS[said](other_state).items()}, file)
    with pytest.raises(ModelError, match=said) as caught:
        swap_denoiser(pipeline, file)
    assert "\n" not in str(caught.value) and "Stable Diffusion 1.5" in str(caught.value)
    for key, weight in pipeline.unet.state_dict().items():
        assert torch.equal(weight, before[key])


@pytest.mark.slow
def test_a_folder_brings_what_it_predicts(pipeline, other, tmp_path):
    other.save_pretrained(tmp_path / "unet")
    (tmp_path / "scheduler").mkdir()
    told = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "beta_end": 0.012}
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(told))
    stock = pipeline.scheduler
    for place in (tmp_path, tmp_path / "unet"):
        pipeline.register_modules(scheduler=stock)
        (note,) = swap_denoiser(pipeline, place)
        assert "prediction_type v_prediction" in note
    assert pipeline.scheduler.config["prediction_type"] == "v_prediction"
    assert pipeline.scheduler.config["rescale_betas_zero_snr"] is True
    assert pipeline.scheduler.config["timestep_spacing"] == "leading"  # how to sample is ours
    with pytest.raises(ConfigError, match="knows nothing of rescale_betas_zero_snr True"):
        scheduler_by_name("pndm", pipeline.scheduler)
    file.write_text(json.dumps({"prediction_type": "flow_prediction"}))
    with pytest.raises(ModelError, match=r"noise schedule \(prediction_type flow_prediction"):
        swap_denoiser(pipeline, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["key", "metadata", "yaml", None])
def test_velocity_is_denoised_as_velocity(pipeline, other, other_state, golden, tmp_path, mark):
    """A file that tells of it by any of three marks: the frame is that of stock parts."""
    tensors = dict(other_state) | ({"v_pred": torch.tensor([])} if mark == "key" else {})
    metadata = {"modelspec.prediction_type": "v"} if mark == "metadata" else None
    save_file(tensors, tmp_path / "vpred.safetensors", metadata)
    if mark == "yaml":
        text = 'model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n'
        (tmp_path / "vpred.yaml").write_text(text)
    kind = "v_prediction" if mark else "epsilon"
    by_hand = MagicPosePipeline(
        unet=other,
        appearance_unet=pipeline.appearance_unet,
        pose_controlnet=pipeline.pose_controlnet,
        scheduler=DDIMScheduler.from_config(pipeline.scheduler.config, prediction_type=kind),
    )
    by_hand.set_progress_bar_config(disable=True)
    inputs = small_inputs(golden)
    wanted = by_hand.denoise(*inputs, num_inference_steps=2, guidance_scale=3.0)
    assert len(swap_denoiser(pipeline, tmp_path / "vpred.safetensors")) == (mark is not None)
    found = pipeline.denoise(*inputs, num_inference_steps=2, guidance_scale=3.0)
    assert (found - wanted).norm() / wanted.norm() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "diffusion_model."])
def test_a_denoiser_alone_by_the_original_names(pipeline, other, other_state, tmp_path, prefix):
    state = {prefix + key.removeprefix(PREFIX): tensor for key, tensor in other_state.items()}
    save_file(state, tmp_path / "alone.SAFETENSORS")
    swap_denoiser(pipeline, tmp_path / "alone.SAFETENSORS")
    for key, weight in other.state_dict().items():
        assert torch.equal(pipeline.unet.state_dict()[key], weight)


def test_a_folder_with_one_checkpoint(pipeline, other, other_state, tmp_path):
    torch.save(other_state, tmp_path / "dream.bin")
    swap_denoiser(pipeline, tmp_path)
    assert torch.equal(pipeline.unet.conv_in.weight, other.conv_in.weight)


OTHER_KINDS = {
    "is a LoRA or one of its relatives": "lora_unet_conv_in.lora_up.weight",
    "is a ControlNet": "controlnet_cond_embedding.conv_in.weight",
    "is a ControlNet;": "control_model.input_hint_block.0.weight",
    "is an autoencoder": "decoder.up.0.block.0.conv1.weight",
    "is an autoencoder ": "decoder.mid_block.resnets.0.conv1.weight",
    "is a textual inversion": "emb_params",
    "is an AnimateDiff motion module": "down_blocks.0.motion_modules.0.norm.weight",
    "is an IP-Adapter": "image_proj.proj.weight",
    "is a T2I-Adapter": "adapter.body.0.block1.weight",
    "is a text encoder": "text_model.encoder.layers.0.mlp.fc1.weight",
}


@pytest.mark.parametrize("said", OTHER_KINDS)
def test_other_kinds_of_files_are_named(pipeline, tmp_path, said):
    save_file({OTHER_KINDS[said]: torch.zeros(2, 2)}, tmp_path / "any.safetensors")
    with pytest.raises(ModelError, match=said):
        swap_denoiser(pipeline, tmp_path / "any.safetensors")


@pytest.mark.slow
def test_weights_that_are_not_finite_or_quantized(pipeline, other_state, tmp_path):
    before = {key: weight.clone() for key, weight in pipeline.unet.state_dict().items()}
    key = f"{PREFIX}out.2.bias"
    for state, said in (
        ({key: torch.tensor([1.0, torch.nan, 0, 0])}, "not finite"),
        ({key: torch.tensor([1, 2, 3, 4])}, "is quantized to torch.int64"),
        ({f"{PREFIX}out.2.scale_weight": torch.ones(1)}, "is quantized, with scales beside"),
    ):
        save_file(other_state | state, tmp_path / "any.safetensors")
        with pytest.raises(ModelError, match=said):
            swap_denoiser(pipeline, tmp_path / "any.safetensors")
    pipeline.unet.half()
    save_file(other_state | {key: torch.full((4,), 1e5)}, tmp_path / "any.safetensors")
    with pytest.raises(ModelError, match="not finite"):  # more than half precision holds
        swap_denoiser(pipeline, tmp_path / "any.safetensors")
    for key, weight in pipeline.unet.float().state_dict().items():
        assert torch.equal(weight, before[key].half().float())


class Payload:
    def __reduce__(self):
        return (open, ("payload-was-run", "w"))


def test_a_payload_is_refused_and_not_run(pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"x": Payload()}}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps({"x": Payload()}))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(ModelError, match="refused, it holds more than tensors"):
            swap_denoiser(pipeline, tmp_path / name)
    assert not (tmp_path / "payload-was-run").exists()


def test_no_base_there(pipeline, tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor"):
        swap_denoiser(pipeline, tmp_path / "none")
    with pytest.raises(ModelError, match=r"a folder that holds none"):
        swap_denoiser(pipeline, tmp_path)
