"""Model folders whose index or parts say something else."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpose_cli.diffusion.checkpoint.loading import load_pipeline, read_index, resolve_model
from magicpose_cli.errors import ModelError
from tests.fuzz.conftest import CASES, anything, changed, damaged, fuzzed, read_or_refused

LOADED = settings(fuzzed, max_examples=max(1, CASES // 10))  # each takes 100 ms
PARTS = ("unet", "appearance_unet", "pose_controlnet", "vae", "scheduler")
STRANGERS = st.sampled_from(
    [["os", "system"], ["builtins", "eval"], ["diffusers", "DiffusionPipeline"], ["diffusers"],
     ["transformers", "pipeline"], ["magicpose_cli.evil", "X"], ["diffusers", "EvilScheduler"],
     ["diffusers", "DDIMScheduler"], "../../evil", "https://example.com/x", [None, None], ["a", 1],
     {"quant_method": "bitsandbytes", "load_in_8bit": True}, {"AutoModel": "evil.Model"}]
)  # fmt: skip
EVIL = 'import pathlib; pathlib.Path(__file__).with_name("ran").touch()\n'


@pytest.fixture
def folder(tiny_model, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_any_index_is_read_or_refused(folder):
    file = folder / "model_index.json"
    sound = json.loads(file.read_text())
    texts = changed(sound, anything | STRANGERS).map(json.dumps).map(str.encode)

    @fuzzed
    @given(content=texts | texts | damaged(file.read_bytes()))
    def holds(content: bytes) -> None:
        file.write_bytes(content)
        index = read_or_refused(lambda: read_index(folder))
        if index is not None:
            read_or_refused(lambda: resolve_model(str(folder)))
            assert all(index[name] for name in PARTS if name != "vae")

    holds()


def test_any_index_is_loaded_or_refused(folder):
    file = folder / "model_index.json"
    sound = json.loads(file.read_text())

    @LOADED
    @given(index=changed(sound, anything | STRANGERS))
    def holds(index) -> None:
        file.write_text(json.dumps(index))
        read_or_refused(lambda: load_pipeline(folder))

    holds()


@pytest.mark.parametrize("part", PARTS)
def test_any_part_is_loaded_or_refused(folder, part):
    """Beside code that would leave a mark, in a place that configurations can name."""
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    whole = file.read_bytes()
    sound = json.loads(whole) | {"auto_map": {}, "quantization_config": None}
    evil = folder.parent / "evil.py"
    evil.write_text(EVIL)
    contents = changed(sound, anything | STRANGERS).map(json.dumps).map(str.encode)

    @LOADED
    @given(content=st.one_of(contents, contents, damaged(whole)))
    def holds(content: bytes) -> None:
        file.write_bytes(content)
        read_or_refused(lambda: load_pipeline(folder))

    holds()
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize("content", ["false", "null", "[]", '"a/b"', "1"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_no_table_is_refused(folder, part, content):
    """The libraries would take it for a name and ask the hub, for half a minute."""
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    file.write_text(content)
    with pytest.raises(ModelError, match="no table of settings"):
        load_pipeline(folder)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("unet", "layers_per_block", 10**9),
        ("unet", "transformer_layers_per_block", 10**9),
        ("vae", "num_encoder_blocks", [0, 0, 0, 10**9]),
        ("pose_controlnet", "conditioning_embedding_out_channels", [8] * 100_000),
        ("scheduler", "num_train_timesteps", 10**8),
        ("unet", "block_out_channels", [10**7, 10**7]),
    ],
)
def test_a_part_that_asks_for_much_is_refused_at_once(folder, part, key, value):
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(ModelError, match=key):
        load_pipeline(folder)


@pytest.mark.slow
def test_any_weights_are_loaded_or_refused(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")

    @LOADED
    @given(head=damaged(whole[:header]))
    def holds(head: bytes) -> None:
        file.write_bytes(head + whole[header:])
        read_or_refused(lambda: load_pipeline(folder))

    holds()
