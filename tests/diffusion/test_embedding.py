"""A learned word changes the prompt that holds it, and no other."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from magicpose_cli.diffusion.embedding import add_embedding
from magicpose_cli.diffusion.named import file_and_scale, file_and_word
from magicpose_cli.diffusion.options import apply_model_settings
from magicpose_cli.errors import ConfigError, ModelError

WIDTH = 64  # of the rebuilt checkpoint's text
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def speaking(pipeline, tmp_path):
    """The small pipeline with a small text encoder that spells."""
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), model_max_length=77
    )
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words), hidden_size=WIDTH, intermediate_size=WIDTH,
            num_hidden_layers=2, num_attention_heads=2, bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1, pad_token_id=len(words) - 1,
        )
    ).eval()  # fmt: skip
    pipeline.register_modules(text_encoder=text_encoder, tokenizer=tokenizer)
    return pipeline


VECTORS = torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH)


def saved(kind, folder):
    file = folder / f"style.{'safetensors' if 'safetensors' in kind else 'pt'}"
    if kind == "diffusers":
        torch.save({"<ink>": VECTORS[0]}, file)
    elif kind == "diffusers safetensors":
        save_file({"<ink>": VECTORS}, file)
    elif kind == "A1111":
        torch.save(
            {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(VECTORS)},
             "name": "<ink>", "step": 100},
            file,
        )  # fmt: skip
    else:
        save_file({"emb_params": VECTORS}, file)
    return file


@pytest.mark.parametrize("kind", ["diffusers", "diffusers safetensors", "A1111", "safetensors"])
def test_a_word_stands_for_its_vectors(speaking, tmp_path, kind):
    plain = speaking.encode_prompt("a b")
    file = saved(kind, tmp_path)
    word = add_embedding(speaking, file)
    assert word == ("style" if kind == "safetensors" else "<ink>")
    count = 1 if kind == "diffusers" else 2
    table = speaking.text_encoder.get_input_embeddings().weight
    assert torch.equal(table[-count:], VECTORS[:count])
    assert torch.equal(speaking.encode_prompt("a b"), plain)
    ids = speaking.tokenizer(
        speaking.maybe_convert_prompt(f"a {word}", speaking.tokenizer)
    ).input_ids
    assert ids[2:-1] == list(range(len(table) - count, len(table)))
    assert not torch.allclose(speaking.encode_prompt(f"a {word}"), speaking.encode_prompt("a"))


def test_a_word_of_ones_own(speaking, tmp_path):
    file = saved("A1111", tmp_path)
    apply_model_settings(
        speaking, embedding=[str(file), f"{file}:<mine>"], device="cpu", size=(64, 64)
    )
    vocabulary = speaking.tokenizer.get_vocab()
    assert "<ink>" in vocabulary and "<mine>" in vocabulary
    one, other = speaking.encode_prompt("<ink>"), speaking.encode_prompt("<mine>")
    assert torch.allclose(one, other, atol=1e-6)


def test_what_does_not_fit_is_one_line(speaking, tmp_path):
    wide = tmp_path / "wide.safetensors"
    save_file({"emb_params": torch.zeros(1, 2 * WIDTH)}, wide)
    lora = tmp_path / "lora.safetensors"
    save_file({"a.lora_up.weight": torch.zeros(4, 4), "b": torch.zeros(4, 4)}, lora)
    known = tmp_path / "a.safetensors"
    save_file({"emb_params": torch.zeros(1, WIDTH)}, known)
    for file, word, said in (
        (wide, None, "its vectors hold 128 numbers, the model's text encoder takes 64"),
        (lora, None, "holds something else"),
        (known, None, "the model knows the word 'a' already"),
        (tmp_path / "none.pt", None, "no such file"),
    ):
        with pytest.raises(ModelError, match=said) as caught:
            add_embedding(speaking, file, word)
        assert "\n" not in str(caught.value)


def test_a_model_without_text(pipeline, tmp_path):
    with pytest.raises(ModelError, match="no text encoder or no tokenizer"):
        add_embedding(pipeline, saved("diffusers", tmp_path))


class Payload:
    def __reduce__(self):
        return (open, ("payload-was-run", "w"))


def test_a_payload_is_refused_and_not_run(speaking, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"<ink>": Payload()}, tmp_path / "bad.pt")
    with pytest.raises(ModelError, match="refused, it holds more than tensors"):
        add_embedding(speaking, tmp_path / "bad.pt")
    assert not (tmp_path / "payload-was-run").exists()


def test_a_scale_or_a_word_after_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:name.safetensors").touch()
    for text, file, rest in (
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.5", "a.safetensors", 0.5),
        ("a.safetensors:-1", "a.safetensors", -1.0),
        ("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1.0),
        ("C:\\loras\\a.safetensors:0.5", "C:\\loras\\a.safetensors", 0.5),
        ("odd:name.safetensors", "odd:name.safetensors", 1.0),
        ("odd:name.safetensors:2", "odd:name.safetensors", 2.0),
    ):
        found, scale = file_and_scale(text)
        assert (str(found), scale) == (file, rest)
    with pytest.raises(ConfigError, match="expected FILE or FILE:SCALE"):
        file_and_scale("a.safetensors:much")
    assert file_and_word("a.pt:<ink>")[1] == "<ink>"
