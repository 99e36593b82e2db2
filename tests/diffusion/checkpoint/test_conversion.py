"""Conversion is total, strict, safe and leaves nothing half done."""

import json
import os
import pickle
import re
import zipfile

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint
from magicpose_cli.diffusion.checkpoint.tensor_plan import plan_conversion, portable_key
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.errors import ModelError, OutputError


def test_every_key_of_the_released_file_goes_somewhere(manifest):
    state = {key: torch.empty(shape, device="meta") for key, shape in manifest.items()}
    plan = plan_conversion(state)
    taken = [key for part in plan.parts.values() for key in part.sources.values()]
    filled = [key for part in plan.parts.values() for key in part.filled.values()]
    assert sorted([*taken, *plan.dropped]) == sorted([*manifest, *filled])
    assert filled == [
        f"model.diffusion_model.out.{i}.{n}" for i in (0, 2) for n in ("weight", "bias")
    ]
    assert set(plan.dropped.values()) == set(layout.DROPPED.values())
    assert list(plan.parts) == ["unet", "appearance_unet", "pose_controlnet", "vae", "text_encoder"]
    for name, part in plan.parts.items():
        wanted = {portable_key(name, key): t for key, t in part.model.state_dict().items()}
        assert part.sources.keys() == wanted.keys()
        for target, key in part.sources.items():
            assert tuple(wanted[target].shape) in (tuple(manifest[key]), tuple(manifest[key][:2]))
    assert round(sum(part.parameters for part in plan.parts.values()) / 1e6) == 2287


@pytest.mark.slow
def test_the_released_build_is_stable_diffusion_1_5(manifest):
    state = {key: torch.empty(shape, device="meta") for key, shape in manifest.items()}
    parts = plan_conversion(state).parts
    stock = parts["unet"].model.config
    assert stock["block_out_channels"] == (320, 640, 1280, 1280)
    assert stock["cross_attention_dim"] == 768 and stock["attention_head_dim"] == 8
    assert stock["down_block_types"] == (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
    assert parts["vae"].model.config.block_out_channels == (128, 256, 512, 512)
    text = parts["text_encoder"].model.config
    assert (text.hidden_size, text.num_hidden_layers, text.num_attention_heads) == (768, 12, 12)
    assert (text.vocab_size, text.intermediate_size) == (49408, 3072)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["nested", "legacy", "safetensors"])
def test_every_form_of_the_file_gives_the_same_model(form, small_state, small_model, tmp_path):
    source = tmp_path / f"model_state.{'safetensors' if form == 'safetensors' else 'th'}"
    if form == "safetensors":
        save_file(small_state, source)
    elif form == "nested":
        torch.save({"state_dict": small_state, "global_step": 110000}, source)
    else:
        torch.save(small_state, source, _use_new_zipfile_serialization=False)
    convert_checkpoint(source, tmp_path / "model")
    files = {path.relative_to(small_model) for path in small_model.rglob("*.*")}
    assert files == {
        path.relative_to(tmp_path / "model") for path in tmp_path.rglob("model/**/*.*")
    }
    for file in files:
        assert (tmp_path / "model" / file).read_bytes() == (small_model / file).read_bytes()


@pytest.mark.slow
def test_the_report_says_what_became_of_everything(small_state, tmp_path):
    torch.save(small_state, tmp_path / "model_state.th")
    seen = []
    report = convert_checkpoint(
        tmp_path / "model_state.th",
        tmp_path / "model",
        dtype="float16",
        progress=lambda *event: seen.append(event),
    )
    assert report.missing == ["vae", "text_encoder", "tokenizer"]
    assert report.filled.keys() == {
        f"appearance_unet.{module}.{leaf}"
        for module in ("conv_norm_out", "conv_out")
        for leaf in ("weight", "bias")
    }
    assert {key for key in small_state if "." not in key} < report.dropped.keys()
    assert any("position_ids" in key for key in report.dropped)
    assert seen == [
        ("unet", 0, 3),
        ("appearance_unet", 1, 3),
        ("pose_controlnet", 2, 3),
        ("", 3, 3),
    ]
    assert any("left out" in line for line in report.summary())
    weights = load_file(tmp_path / "model/unet/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def released_vae(vae: AutoencoderKL) -> dict[str, torch.Tensor]:
    """An autoencoder's tensors under the released names, told without the package's tables."""
    levels = len(vae.config.block_out_channels)
    state = {}
    for key, tensor in vae.state_dict().items():
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", key)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(
            r"up_blocks\.(\d)\.resnets\.(\d)",
            lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}",
            name,
        )
        name = re.sub(
            r"up_blocks\.(\d)\.upsamplers\.0",
            lambda m: f"up.{levels - 1 - int(m[1])}.upsample",
            name,
        )
        name = name.replace("mid_block.resnets.0", "mid.block_1")
        name = name.replace("mid_block.resnets.1", "mid.block_2")
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if "attentions" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1")
            name = name.replace("group_norm", "norm").replace("to_out.0", "proj_out")
            name = re.sub(r"to_([qkv])", r"\1", name)
            tensor = tensor[..., None, None] if tensor.ndim == 2 else tensor
        state[f"first_stage_model.{name}"] = tensor
    return state


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32, 64, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )


@pytest.fixture(scope="module")
def text_encoder() -> CLIPTextModel:
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=1,
        bos_token_id=98,
        eos_token_id=99,
    )
    return CLIPTextModel(config).eval()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["text_model.", ""])
def test_autoencoder_and_text_encoder_come_back_as_they_were(
    level, small_state, vae, text_encoder, tmp_path
):
    words = {
        f"cond_stage_model.transformer.{level}{key.removeprefix('text_model.')}": tensor
        for key, tensor in text_encoder.state_dict().items()
    }
    source, model = tmp_path / "model_state.th", tmp_path / "model"
    torch.save(small_state | released_vae(vae) | words, source)
    report = convert_checkpoint(source, model)
    assert report.missing == ["tokenizer"]
    pipe = MagicPosePipeline.from_pretrained(model)
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(pipe.vae(picture).sample, vae(picture).sample)
        start_and_ends = torch.tensor([[98, *[99] * 76]])
        embedding = text_encoder(start_and_ends).last_hidden_state
    assert torch.equal(pipe.encode_prompt(""), embedding)
    with pytest.raises(ModelError, match="tokenizer"):
        pipe.encode_prompt("a dancer")


@pytest.mark.slow
def test_a_base_gives_what_the_file_lacks(small_state, vae, text_encoder, tmp_path):
    base, source, model = tmp_path / "base", tmp_path / "model_state.th", tmp_path / "model"
    vae.save_pretrained(base / "vae")
    text_encoder.save_pretrained(base / "text_encoder")
    words = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (base / "tokenizer").mkdir()
    (base / "tokenizer/vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (base / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    (base / "tokenizer/tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"})
    )
    (base / "tokenizer/code.py").write_text("raise SystemExit")
    torch.save(small_state, source)
    report = convert_checkpoint(source, model, base=base, dtype="bfloat16")
    assert not report.missing and report.copied.keys() == {"vae", "text_encoder", "tokenizer"}
    pipe = MagicPosePipeline.from_pretrained(model, torch_dtype=torch.float32)
    assert torch.equal(pipe.vae.quant_conv.weight, vae.quant_conv.weight.bfloat16().float())
    assert pipe.encode_prompt("dance").shape == (1, 77, 64)
    assert not list(model.rglob("*.py"))

    wide = CLIPTextModel(CLIPTextConfig(hidden_size=128, num_hidden_layers=1, vocab_size=100))
    wide.save_pretrained(base / "text_encoder")
    with pytest.raises(ModelError, match="hidden_size 128, the checkpoint's networks take 64"):
        convert_checkpoint(source, tmp_path / "other", base=base)
    with pytest.raises(ModelError, match="no tokenizer"):
        convert_checkpoint(source, tmp_path / "other", base=tmp_path)
    assert not (tmp_path / "other").exists()


class Payload:
    """Unpickled without care, it would write a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write_wrong_file(kind: str, path, state: dict[str, torch.Tensor]) -> str:
    """A file that is no checkpoint; returns what its error must say."""
    first = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    if kind == "absent":
        return "no such file"
    if kind == "text":
        path.write_text("<html>Access denied</html>\n" * 99)
    elif kind == "empty":
        path.touch()
    elif kind == "payload":
        torch.save(state | {"extra": Payload(path.parent / "ran")}, path)
        return "refused"
    elif kind == "legacy payload":
        torch.save({"a": Payload(path.parent / "ran")}, path, _use_new_zipfile_serialization=False)
        return "refused"
    elif kind == "bare payload":
        path.write_bytes(pickle.dumps(Payload(path.parent / "ran")))
        return "refused"
    elif kind == "cut off":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("word/document.xml", "<xml/>")
    elif kind == "list":
        torch.save([1, 2], path)
        return "holds a list"
    elif kind == "other model":
        torch.save({"features.0.weight": torch.zeros(3)}, path)
        return "features.0.weight"
    elif kind == "no pose network":
        torch.save({k: t for k, t in state.items() if not k.startswith("pose_")}, path)
        return "no key begins with pose_control_model."
    elif kind == "wrong shape":
        torch.save(state | {first: torch.zeros(32, 32, 1, 1)}, path)
        return re.escape(first)
    elif kind == "integers":
        torch.save(state | {first: state[first].int()}, path)
        return re.escape(first)
    elif kind == "key too many":
        torch.save(state | {"model.diffusion_model.label_emb.weight": torch.zeros(2)}, path)
        return "label_emb.weight is unknown"
    elif kind == "foreign key":
        torch.save(state | {"motion.weight": torch.zeros(2)}, path)
        return "motion.weight belongs to no part"
    elif kind == "key too few":
        torch.save({k: t for k, t in state.items() if k != first}, path)
        return "unet gets nothing for down_blocks.0.resnets.0.conv1.weight"
    return "expected a MagicPose checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        *("absent", "text", "empty", "payload", "legacy payload", "bare payload", "cut off", "zip"),
        *("list", "other model", "no pose network", "wrong shape", "integers", "key too many"),
        *("foreign key", "key too few"),
    ],
)
def test_a_wrong_file_is_one_line_and_leaves_nothing(kind, small_state, tmp_path):
    source = tmp_path / "in" / "model_state.th"
    source.parent.mkdir()
    message = write_wrong_file(kind, source, small_state)
    with pytest.raises(ModelError, match=message) as error:
        convert_checkpoint(source, tmp_path / "out" / "model")
    assert "\n" not in str(error.value) and str(source) in str(error.value)
    assert "expected" in str(error.value)
    assert [path.name for path in tmp_path.rglob("*")] in (["in", "model_state.th"], ["in"])


def test_wrong_safetensors(tmp_path):
    source = tmp_path / "model.safetensors"
    for content in (b"", b"garbage" * 99, (8).to_bytes(8, "little") + b"{}      "):
        source.write_bytes(content)
        with pytest.raises(ModelError, match="expected a MagicPose checkpoint"):
            convert_checkpoint(source, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.slow
def test_the_destination_is_never_harmed(small_state, tmp_path):
    source, model = tmp_path / "model_state.th", tmp_path / "model"
    torch.save(small_state, source)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.png").touch()
    with pytest.raises(OutputError, match="no model folder"):
        convert_checkpoint(source, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos/mine.png").exists()
    model.mkdir()
    convert_checkpoint(source, model)  # an empty folder will do
    (model / "mark").touch()
    with pytest.raises(OutputError, match="--overwrite"):
        convert_checkpoint(source, model)

    def fail(part, done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(source, model, overwrite=True, progress=fail)
    assert (model / "mark").exists()
    convert_checkpoint(source, model, overwrite=True)
    assert not (model / "mark").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"model_state.th", "model", "photos"}
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        convert_checkpoint(source, tmp_path / "file" / "model")


def test_unknown_dtype(small_state, tmp_path):
    with pytest.raises(ModelError, match="'int8': expected one of float32, float16, bfloat16"):
        convert_checkpoint(tmp_path / "any", tmp_path / "model", dtype="int8")


@pytest.mark.slow
def test_a_dry_run_of_a_checkpoint_writes_nothing(small_state, media, tmp_path, monkeypatch):
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model
    from magicpose_cli.run.preflight import make_plan

    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    source = tmp_path / "model_state.th"
    torch.save(small_state, source)
    ends, preset = (media / "ref.png", media / "dance.mp4"), Preset()
    preset = preset.with_options(model__name=str(source))
    plan, *_ = make_plan(*ends, tmp_path / "out.mp4", preset, dry_run=True)
    assert (plan.model, plan.width, plan.steps) == (str(source), 512, 50)
    assert list(tmp_path.iterdir()) == [source]
    folder = resolve_model(str(source))
    plan, *_ = make_plan(*ends, tmp_path / "out.mp4", preset, dry_run=True)
    assert plan.model == str(folder)
    torch.save({"a": torch.zeros(1)}, source)
    with pytest.raises(ModelError, match=r"model_state\.th: no key begins with"):
        make_plan(*ends, tmp_path / "out.mp4", preset, dry_run=True)
