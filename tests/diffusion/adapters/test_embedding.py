"""A learned word changes the prompt that holds it, and no other."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from magicpose_cli.config.preset import ModelSettings
from magicpose_cli.diffusion.acceleration import apply_model_settings
from magicpose_cli.diffusion.adapters.embedding import add_embedding, token_ids
from magicpose_cli.diffusion.adapters.named import file_and_scale, file_and_word, files_of
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
    (word,) = add_embedding(speaking, file)
    assert word == ("style" if kind == "safetensors" else "<ink>")
    count = 1 if kind == "diffusers" else 2
    table = speaking.text_encoder.get_input_embeddings().weight
    assert torch.equal(table[-count:], VECTORS[:count])
    assert torch.equal(speaking.encode_prompt("a b"), plain)
    ids, cut = token_ids(speaking.tokenizer, f"a {word}")
    assert ids[2 : 3 + count] == [*range(len(table) - count, len(table)), 53] and not cut
    assert not torch.allclose(speaking.encode_prompt(f"a {word}"), speaking.encode_prompt("a"))


def test_a_word_of_ones_own(speaking, tmp_path):
    file = saved("A1111", tmp_path)
    settings = ModelSettings(embedding=[str(file), f"{file}:<mine>"])
    apply_model_settings(speaking, settings, device="cpu", size=(64, 64))
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
        (lora, None, "is a LoRA or one of its relatives"),
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


def test_what_lies_beside_a_file_belongs_to_it(tmp_path):
    for name in ("dream.safetensors", "dream.yaml", "adapter_model.safetensors",
                 "adapter_config.json", "other.yaml"):  # fmt: skip
        (tmp_path / name).touch()
    model = ModelSettings(base=str(tmp_path / "dream.safetensors"))
    assert [file.name for file in files_of(model, tmp_path)][1:] == [
        "dream.yaml",
        "adapter_config.json",
    ]
    assert files_of(ModelSettings(), tmp_path) == []


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
    for scale in ("much", "nan", "inf"):
        with pytest.raises(ConfigError, match="expected FILE or FILE:SCALE"):
            file_and_scale(f"a.safetensors:{scale}")
    assert file_and_word("a.pt:<ink>")[1] == "<ink>"


@pytest.mark.parametrize("word", ["EasyNegative", "<INK>", "my Style", "ink", "bad-hands-5"])
def test_all_vectors_of_a_word_count_however_it_is_written(speaking, tmp_path, word):
    """The text encoder is given each vector in turn, as it would be by its ids."""
    save_file({"emb_params": torch.randn(8, WIDTH)}, tmp_path / "any.safetensors")
    add_embedding(speaking, tmp_path / "any.safetensors", word)
    first = len(speaking.text_encoder.get_input_embeddings().weight) - 8
    ids = [52, 26, *range(first, first + 8), 27, *[53] * 66]  # start, a, the word, b, end
    with torch.no_grad():
        wanted = speaking.text_encoder(torch.tensor([ids]))[0]
    for written in (word, word.lower(), word.upper()):
        assert token_ids(speaking.tokenizer, f"a {written} b") == (ids, 0)
        assert torch.equal(speaking.encode_prompt(f"a {written} b"), wanted)


def test_a_prompt_without_words_is_what_the_tokenizer_makes_of_it(speaking):
    for text in ("", "a b", "a " * 90):
        plain = speaking.tokenizer(text, padding="max_length", max_length=77, truncation=True)
        assert token_ids(speaking.tokenizer, text) == (
            plain.input_ids,
            max(0, text.count("a") - 75),
        )


def test_a_word_is_not_taken_for_a_vector_of_another(speaking, tmp_path):
    file = tmp_path / "any.safetensors"
    save_file({"emb_params": torch.randn(2, WIDTH)}, file)
    add_embedding(speaking, file, "ink")
    for word in ("ink", "ink_1", "ink_2"):
        with pytest.raises(ModelError, match=r"knows the word 'ink(_1)?' already"):
            add_embedding(speaking, file, word)
    add_embedding(speaking, file, "ink_4")
    assert token_ids(speaking.tokenizer, "ink ink_4")[0][1:5] == [54, 55, 56, 57]


def test_what_was_learned_and_what_is_cut_is_told(speaking, tmp_path):
    file = saved("A1111", tmp_path)
    usual = {"device": "cpu", "size": (64, 64)}
    own, renamed = (ModelSettings(embedding=[name]) for name in (str(file), f"{file}:<other>"))
    prompts = ("style", "a " * 74 + "<ink> c")
    assert apply_model_settings(speaking, own, **usual, prompts=prompts) == [
        "embedding style.pt: '<ink>' stands for it",
        f"prompt {'a ' * 12!r}...: its last 2 tokens are cut off, the text encoder takes 75",
    ]
    assert apply_model_settings(speaking, renamed, **usual, prompts=("<ink>", "")) == [
        "no prompt holds the word '<other>': it changes nothing"
    ]


def files_of_2022(kind, folder):
    """Other layouts of which there are many files, each with VECTORS. Returns (place, word)."""
    file = folder / "style.pt"
    if kind == "the original code's":
        table = torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)})
        torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": table}, file)
        return file, "style"
    if kind == "a folder of the concepts library":
        (folder / "cat-toy").mkdir()
        torch.save({"<cat-toy>": VECTORS}, folder / "cat-toy" / "learned_embeds.bin")
        return folder / "cat-toy", "<cat-toy>"
    if kind == "a bare tensor":
        torch.save(VECTORS, file)
        return file, "style"
    if kind == "an ending in capitals":
        save_file({"emb_params": VECTORS}, folder / "style.SAFETENSORS")
        return folder / "style.SAFETENSORS", "style"
    save_file({"clip_l": VECTORS}, folder / "style.safetensors")  # diffusers' advanced trainer
    return folder / "style.safetensors", "style"


@pytest.mark.parametrize(
    "kind",
    ["the original code's", "a folder of the concepts library", "a bare tensor",
     "an ending in capitals", "clip_l"],
)  # fmt: skip
def test_layouts_of_the_years(speaking, tmp_path, kind):
    place, word = files_of_2022(kind, tmp_path)
    assert add_embedding(speaking, place) == [word]
    assert torch.equal(speaking.text_encoder.get_input_embeddings().weight[-2:], VECTORS)


def test_several_words_of_one_file(speaking, tmp_path):
    save_file({"<a>": VECTORS, "<b>": VECTORS[:1].clone()}, tmp_path / "two.safetensors")
    assert add_embedding(speaking, tmp_path / "two.safetensors") == ["<a>", "<b>"]
    with pytest.raises(ModelError, match="holds 2 words"):
        add_embedding(speaking, tmp_path / "two.safetensors", "<c>")


def test_other_kinds_are_named(speaking, tmp_path):
    for tensors, said in (
        ({"clip_l": VECTORS, "clip_g": VECTORS.clone()}, "is for Stable Diffusion XL"),
        ({"emb_params": torch.zeros(1, 1024)}, r"1024 numbers \(Stable Diffusion 2\)"),
        ({"emb_params": VECTORS * torch.nan}, "not finite"),
        ({"first_stage_model.decoder.mid.x": VECTORS}, "is an autoencoder"),
        ({"768": VECTORS}, "is a hypernetwork"),
    ):
        save_file(tensors, tmp_path / "any.safetensors")
        with pytest.raises(ModelError, match=said):
            add_embedding(speaking, tmp_path / "any.safetensors")
    torch.save({"string_to_param": torch.nn.ParameterDict()}, tmp_path / "any.pt")
    with pytest.raises(ModelError, match="holds something else"):
        add_embedding(speaking, tmp_path / "any.pt")
    torch.save({768: [], 320: []}, tmp_path / "any.pt")
    with pytest.raises(ModelError, match="is a hypernetwork"):
        add_embedding(speaking, tmp_path / "any.pt")
    (tmp_path / "any.png").touch()
    with pytest.raises(ModelError, match="inside pictures are not read"):
        add_embedding(speaking, tmp_path / "any.png")
