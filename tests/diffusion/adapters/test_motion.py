"""Motion adapters out of files of both layouts, and what is refused with a reason."""

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from safetensors.torch import save_file

from magicpose_cli.diffusion.adapters.motion import load_motion_adapter, plan_motion_adapter
from magicpose_cli.diffusion.checkpoint.random_weights import SD15_SHAPE, TINY
from magicpose_cli.diffusion.motion_module import new_motion_adapter
from magicpose_cli.errors import ModelError


@pytest.fixture(scope="module")
def unet():
    return UNet2DConditionModel(**TINY.unet_config())


@pytest.fixture(scope="module")
def adapter(unet):
    torch.manual_seed(0)
    adapter = new_motion_adapter(unet)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.normal_(std=0.1)
    return adapter


def in_layout_of_animatediff(state):
    """Names as AnimateDiff's authors have them; each attention has its own table of positions."""
    original = {}
    for key, tensor in state.items():
        block, modules, rest = key.partition(".motion_modules.")
        number, _, rest = rest.partition(".")
        name = f"{block}{modules}{number}.temporal_transformer.{rest}"
        if name.endswith("pos_embed.pe"):
            for attention in (0, 1):
                part = f"attention_blocks.{attention}.pos_encoder.pe"
                original[name.replace("pos_embed.pe", part)] = tensor
            continue
        for new, old in (
            (".norm1.", ".norms.0."),
            (".norm2.", ".norms.1."),
            (".norm3.", ".ff_norm."),
            (".attn1.", ".attention_blocks.0."),
            (".attn2.", ".attention_blocks.1."),
        ):
            name = name.replace(new, old)
        original[name] = tensor
    return original


def assert_alike(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(t, other.state_dict()[key]) for key, t in one.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_of_animatediff(unet, adapter, tmp_path, prefix):
    original = in_layout_of_animatediff(adapter.state_dict())
    state = {f"{prefix}{key}": tensor for key, tensor in original.items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "mm.ckpt")
    assert_alike(load_motion_adapter(tmp_path / "mm.ckpt", unet), adapter)


def test_a_file_without_positions_has_the_usual_ones(unet, adapter, tmp_path):
    state = {k: t for k, t in adapter.state_dict().items() if not k.endswith("pos_embed.pe")}
    save_file(state, tmp_path / "mm.safetensors")
    assert_alike(load_motion_adapter(tmp_path / "mm.safetensors", unet), adapter)


def test_a_folder_of_diffusers(unet, tmp_path):
    torch.manual_seed(1)
    four_heads = MotionAdapter(
        block_out_channels=(32, 64), motion_layers_per_block=1, motion_num_attention_heads=4,
        motion_max_seq_length=24, use_motion_mid_block=False,
    )  # fmt: skip
    four_heads.save_pretrained(tmp_path)
    loaded = load_motion_adapter(tmp_path, unet)
    assert_alike(loaded, four_heads)
    assert loaded.config.motion_num_attention_heads == 4
    assert loaded.mid_block is None


def test_half_precision_follows_the_denoiser(adapter, tmp_path):
    half = UNet2DConditionModel(**TINY.unet_config()).half()
    save_file(adapter.state_dict(), tmp_path / "mm.safetensors")
    assert load_motion_adapter(tmp_path / "mm.safetensors", half).dtype is torch.float16


@pytest.mark.slow
@pytest.mark.parametrize(("mid", "positions"), [(True, 32), (False, 32), (False, 24)])
@pytest.mark.parametrize("original", [True, False])
def test_the_released_ones_fit_at_full_size_with_every_key(mid, positions, original):
    """Version 2 has a middle block, versions 1 and 3 have none; the first tells 24 frames."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15_SHAPE.unet_config())
        adapter = MotionAdapter(use_motion_mid_block=mid, motion_max_seq_length=positions)
    state = adapter.state_dict()
    given = in_layout_of_animatediff(state) if original else state
    config, named = plan_motion_adapter(given, unet, "motion adapter v.ckpt")
    assert {key: t.shape for key, t in named.items()} == {key: t.shape for key, t in state.items()}
    assert config["motion_max_seq_length"] == positions
    with torch.device("meta"):
        assert_same_config(MotionAdapter(**config), adapter)


def assert_same_config(one, other):
    keys = ("motion_max_seq_length", "use_motion_mid_block", "motion_num_attention_heads")
    assert [one.config[key] for key in keys] == [other.config[key] for key in keys]


def changed(state, how):
    first = next(iter(state))
    if how == "more":
        return {**state, "down_blocks.0.motion_modules.9.norm.weight": torch.zeros(32)}
    if how == "stranger":
        return {**state, "conv_in.weight": torch.zeros(32, 9, 3, 3)}
    if how == "fewer":
        return {key: t for key, t in state.items() if key != first}
    if how == "not finite":
        return {**state, first: torch.full_like(state[first], torch.nan)}
    if how == "short":
        return {k: t[:, :8].clone() if k.endswith("pe") else t for k, t in state.items()}
    if how == "other shape":
        key = "mid_block.motion_modules.0.proj_in.weight"
        return {**state, key: torch.zeros(64, 32)}
    return {}


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("more", r"1 of its \d+ weights are none of this model's .*motion_modules\.9"),
        ("stranger", r"1 of its \d+ weights are none of this model's .*conv_in"),
        ("fewer", r"lacks 1 of the \d+ weights"),
        ("not finite", "not finite"),
        ("short", "tells 8 frames apart; expected at least 16"),
        ("other shape", r"is \[64, 32\], this model's motion module has \[64, 64\]"),
    ],
)
def test_every_key_is_accounted_for(unet, adapter, tmp_path, how, told):
    file = tmp_path / "mm.safetensors"
    save_file(changed(adapter.state_dict(), how), file)
    with pytest.raises(ModelError, match=told) as error:
        load_motion_adapter(file, unet)
    assert "\n" not in str(error.value)


def test_attentions_with_different_positions_are_refused(unet, adapter, tmp_path):
    state = in_layout_of_animatediff(adapter.state_dict())
    key = next(key for key in state if key.endswith("attention_blocks.1.pos_encoder.pe"))
    save_file({k: t + 1 if k == key else t.clone() for k, t in state.items()}, tmp_path / "m.ckpt")
    with pytest.raises(ModelError, match="differs from one attention to another"):
        load_motion_adapter(tmp_path / "m.ckpt", unet)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (
            "down_blocks.0.motion_modules.0.temporal_transformer.to_q_lora.down.weight",
            "motion LoRA",
        ),
        ("lora_unet_mid_block.lora_down.weight", "a LoRA"),
        ("image_proj.proj.weight", "an IP-Adapter"),
        ("anything", "something else"),
    ],
)
def test_others_are_refused_by_their_names(unet, tmp_path, key, told):
    save_file({key: torch.zeros(4, 4)}, tmp_path / "file.safetensors")
    with pytest.raises(ModelError, match=f"is .*{told}"):
        load_motion_adapter(tmp_path / "file.safetensors", unet)


def test_one_of_another_width_is_refused(tmp_path):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15_SHAPE.unet_config())
        xl = MotionAdapter(block_out_channels=(320, 640, 1280), use_motion_mid_block=False)
    with pytest.raises(ModelError, match=r"\[320, 640, 1280\] channels \(Stable Diffusion XL\)"):
        plan_motion_adapter(xl.state_dict(), unet, "motion adapter xl")


def test_a_pickle_that_runs_code_is_refused(unet, tmp_path):
    class Bad:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"state_dict": Bad()}, tmp_path / "mm.ckpt")
    with pytest.raises(ModelError, match="refused, it holds more than tensors"):
        load_motion_adapter(tmp_path / "mm.ckpt", unet)


def test_a_folder_that_says_it_is_something_else(unet, adapter, tmp_path):
    adapter.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"MotionAdapter"', '"ControlNetModel"'))
    with pytest.raises(ModelError, match="it is of a ControlNetModel"):
        load_motion_adapter(tmp_path, unet)
