"""The released model in one go, from a hub on this machine that holds a small one."""

import json
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel

from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.models.catalog import SD15, TOKENIZER
from magicpose_cli.video import probe
from tests.diffusion.checkpoint.test_conversion import released_vae
from tests.models.loopback import Hub
from tests.nursery import Shell, open_nursery

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]


@pytest.fixture(scope="module")
def released(small_state, tmp_path_factory):
    """A whole checkpoint in the released layout: three networks, autoencoder, text encoder."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 32, 32), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(WORDS), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=1, bos_token_id=len(WORDS) - 2, eos_token_id=len(WORDS) - 1,
        )
    )  # fmt: skip
    text = {
        f"cond_stage_model.transformer.text_model.{key.removeprefix('text_model.')}": tensor
        for key, tensor in text_encoder.state_dict().items()
    }
    file = tmp_path_factory.mktemp("released") / "model_state-110000.th"
    torch.save(small_state | released_vae(vae) | text, file)
    return file.read_bytes()


@pytest.fixture(scope="module")
def served():
    """A hub on this machine, empty."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def hub(served, released):
    served.asked.clear()
    tokenizer = {
        "vocab.json": json.dumps({word: i for i, word in enumerate(WORDS)}),
        "merges.txt": "#version: 0.2\n",
        "tokenizer_config.json": json.dumps({"model_max_length": 77}),
        "special_tokens_map.json": "{}",
    }
    served.repositories["Boese0601/MagicDance"] = {"model_state-110000.th": released}
    served.repositories[SD15] = {name: tokenizer[name.split("/")[1]].encode() for name in TOKENIZER}
    return served


@pytest.fixture(scope="module")
def shell(served, tmp_path_factory) -> Iterator[Shell]:
    """Processes whose hub, as its client reads it when it is imported, is the one here."""
    folder = tmp_path_factory.mktemp("client")
    variables = {
        "HF_ENDPOINT": served.address,
        "NO_PROXY": "127.0.0.1",
        "HF_HOME": str(folder / "hf"),
    }
    with open_nursery(folder, ["models", "list"], **variables) as nursery:
        yield Shell(nursery, folder)


@pytest.fixture
def run(shell, hub, tmp_path):
    return partial(shell, cwd=tmp_path, MAGICPOSE_HOME=str(tmp_path / "home"))


@pytest.mark.slow
def test_two_commands_from_nothing_to_a_video(run, hub, released, media, tmp_path):
    unasked = run("models", "fetch", "magicpose")
    assert unasked.returncode == 1 and "pass --yes" in unasked.stderr
    assert "research and non-profit" in unasked.stderr and "MB  model_state" in unasked.stderr
    assert not any(method == "GET" and "resolve" in path for method, path, _ in hub.asked)
    fetched = run("models", "fetch", "magicpose", "--yes", "--dtype", "float32", "--free")
    assert fetched.returncode == 0, fetched.stderr
    home = tmp_path / "home" / "models"
    assert fetched.stdout.strip() == str(home / "magicpose")
    assert not (home / "magicpose.source").exists()
    pipeline = load_pipeline(home / "magicpose")
    assert pipeline.tokenizer is not None and pipeline.text_encoder is not None
    made = run(
        "animate", media / "ref.png", media / "dance.mp4", "-o", "out.mp4", "--steps", 1,
        "--size", 64, "--end", 0.3,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stderr.startswith(f"model {home / 'magicpose'} (64x64, 1 step)")
    assert probe(tmp_path / "out.mp4").frame_count == 2
    again = run("models", "fetch", "magicpose", "--yes")
    assert again.returncode == 1 and "--overwrite makes it anew" in again.stderr


@pytest.mark.slow
def test_another_content_of_a_trusted_file_is_refused(run, hub, tmp_path):
    assert run("models", "fetch", "magicpose", "--yes", "-q").returncode == 0
    assert run("models", "remove", "magicpose", "--yes").returncode == 0
    content = hub.repositories["Boese0601/MagicDance"]["model_state-110000.th"]
    hub.repositories["Boese0601/MagicDance"]["model_state-110000.th"] = content[:-1] + b"!"
    refused = run("models", "fetch", "magicpose", "--yes", "-q")
    assert refused.returncode == 1 and "other content than expected" in refused.stderr
    assert not (tmp_path / "home" / "models" / "magicpose").exists()
