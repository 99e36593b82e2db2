"""A model's configurations make no library fetch or import anything."""

import json
import shutil
import socket

import huggingface_hub
import pytest

from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline, offline
from magicpose_cli.errors import ModelError

ASKING = {
    ("text_encoder", "config.json"): [
        {"attn_implementation": "an-org/x"},
        {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation_internal": "paged|an-org/x@main:y"},
        {"attn_implementation": {"": "sdpa", "vision": "an-org/x"}},
        {"text_config": {"attn_implementation": "an-org/x"}},
        {"experts_implementation": "an-org/x"},
        {"auto_map": {"AutoModel": "an-org/x--modeling.Model"}},
        {"quantization_config": {"quant_method": "eetq"}},
        {"use_kernels": True},
    ],
    ("unet", "config.json"): [{"quantization_config": {"quant_method": "gguf"}}],
    ("tokenizer", "tokenizer_config.json"): [
        {"auto_map": {"AutoTokenizer": ["an-org/x--t.T", None]}}
    ],
    ("text_encoder", "adapter_config.json"): [{"base_model_name_or_path": "an-org/x"}],
    (".", "model_index.json"): [{"custom_pipeline": "an-org/x"}],
}


@pytest.mark.parametrize(
    ("place", "asked"), [(place, asked) for place, all_ in ASKING.items() for asked in all_]
)
def test_what_asks_for_others_is_refused(place, asked, tmp_path):
    (tmp_path / place[0]).mkdir(exist_ok=True)
    (tmp_path / place[0] / place[1]).write_text(json.dumps(asked))
    with pytest.raises(ValueError, match=place[1]):
        check_configs(tmp_path)


@pytest.mark.parametrize(
    "told",
    [
        {"_name_or_path": "openai/clip-vit-large-patch14", "attn_implementation": None},
        {"attn_implementation": "sdpa", "_attn_implementation_autoset": True},
        {"quantization_config": None, "auto_map": None, "model_max_length": 77},
    ],
)
def test_what_everybody_writes_is_fine(told, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(told))
    check_configs(tmp_path)


@pytest.fixture
def calls(monkeypatch):
    """Names that were looked up; nothing is reached."""
    asked = []

    def refuse(host, *_, **__):
        asked.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def test_a_model_that_asks_is_one_line_and_reaches_nothing(tiny_model, tmp_path, calls):
    shutil.copytree(tiny_model, tmp_path / "model")
    file = tmp_path / "model" / "unet" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"auto_map": {"AutoModel": "an-org/x--m.M"}}))
    with pytest.raises(ModelError, match=r"unet/config\.json: auto_map asks for code") as caught:
        load_pipeline(tmp_path / "model")
    assert "\n" not in str(caught.value) and not calls
    file.write_text(json.dumps(config | {"_name_or_path": "an-org/x"}))
    load_pipeline(tmp_path / "model")
    assert not calls


def test_the_hub_answers_nobody_while_a_model_is_loaded(calls):
    with offline(), pytest.raises(OSError):
        huggingface_hub.HfApi(endpoint="https://hub.invalid").model_info("an-org/x")
    assert not calls
    with pytest.raises(Exception, match=r"no network|hub"):
        huggingface_hub.HfApi(endpoint="https://hub.invalid").model_info("an-org/x", timeout=1)
    assert calls  # it would have asked
