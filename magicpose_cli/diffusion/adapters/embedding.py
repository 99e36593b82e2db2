"""Textual inversion: a word that a model has learned to mean one thing, for the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.errors import ModelError

_SUFFIXES = (".safetensors", ".pt", ".bin")
_PICTURE_SUFFIXES = (".png", ".webp", ".avif", ".jxl")
_PREFERRED_FILES = ("learned_embeds.safetensors", "learned_embeds.bin")
LAYOUTS = "expected a textual inversion for Stable Diffusion 1.5, as diffusers or A1111 saves it"
NAMELESS = ("emb_params", "clip_l", "*")
"""Keys that name the layout and not the word."""
MOST_WORDS = 32  # in one file
FAMILIES = {1024: " (Stable Diffusion 2)", 1280: " (Stable Diffusion XL)"}


def add_embedding(pipeline: Any, place: Path, word: str | None = None) -> list[str]:
    """Teach the pipeline's tokenizer and text encoder the words of a file; returns them.

    place: a file, or a folder with one. word: what stands for it in a prompt; by default the
    file's own, or its name.

    Raises ModelError for a model without text, and for a file that is none or does not fit.
    """
    _require_text(pipeline, f"embedding {place}")
    if place.suffix.lower() in _PICTURE_SUFFIXES:
        raise ModelError(
            f"embedding {place}: a picture; textual inversions inside pictures are not read; "
            f"{LAYOUTS}"
        )
    file = file_in(place, "embedding", _SUFFIXES, _PREFERRED_FILES)
    found = list(_read(file))
    if word is not None and len(found) > 1:
        raise ModelError(
            f"embedding {file}: holds {len(found)} words ({', '.join(str(w) for w, _ in found)}), "
            f"which keep their names; leave out {word!r}"
        )
    return [
        add_word(pipeline, vectors, word or own or place.stem, f"embedding {file}")
        for own, vectors in found
    ]


def add_word(pipeline: Any, vectors: torch.Tensor, word: str, place: str) -> str:
    """Teach one word of vectors (n, width); returns it. place: where it is from, for messages."""
    from magicpose_cli.diffusion.checkpoint.opening import require_finite

    _require_text(pipeline, place)
    vectors = vectors.detach().float()
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.ndim != 2 or not len(vectors):
        raise ModelError(f"{place}: {word!r} is {list(vectors.shape)}; {LAYOUTS}")
    width = pipeline.text_encoder.config.hidden_size
    if vectors.shape[1] != width:
        raise ModelError(
            f"{place}: its vectors hold {vectors.shape[1]} numbers"
            f"{FAMILIES.get(vectors.shape[1], '')}, the model's text encoder takes {width}; "
            f"{LAYOUTS}"
        )
    require_finite(place, repr(word), vectors)
    if clash := _clash(word, len(vectors), pipeline.tokenizer):
        raise ModelError(
            f"{place}: the model knows the word {clash!r} already; name another one, as in "
            f"FILE:<{word.strip('<>')}-2>"
        )
    try:
        pipeline.load_textual_inversion(vectors, token=word)
    except ValueError as error:  # such as the second of two words that are alike
        raise ModelError(f"{place}: {error}") from error
    return word


def _require_text(pipeline: Any, place: str) -> None:
    if pipeline.text_encoder is None or pipeline.tokenizer is None:
        raise ModelError(
            f"{place}: this model has no text encoder or no tokenizer to learn a word; use a model "
            "that has both"
        )


def _clash(word: str, vectors: int, tokenizer: Any) -> str | None:
    """A known word that this one, whose vectors are `word`, `word_1`, ..., could be taken for."""
    known, learned = tokenizer.get_vocab(), tokenizer.added_tokens_encoder
    stem, _, number = word.rpartition("_")
    if number.isdecimal() and stem in learned:
        before = f"{stem}_{int(number) - 1}" if int(number) > 1 else stem
        if before in learned:
            return stem  # of which this one would become a vector
    names = (word, *(f"{word}_{i}" for i in range(1, vectors + 1)))
    return next((name for name in names if name in known), None)


def token_ids(tokenizer: Any, text: str) -> tuple[list[int], int]:
    """CLIP's ids of a text, padded to its length, and how many did not fit.

    A learned word of several vectors is one id of the tokenizer, and here the ids of all of them.
    (diffusers looks for the word in the text, and finds none that the tokenizer has lower-cased.)
    """
    start, *found, end = tokenizer(text, verbose=False).input_ids
    vectors = _vectors(tokenizer)
    ids = [each for i in found for each in vectors.get(i, (i,))]
    most = tokenizer.model_max_length
    kept = [start, *ids[: most - 2], end]
    return kept + [tokenizer.pad_token_id] * (most - len(kept)), max(0, len(ids) - (most - 2))


def _vectors(tokenizer: Any) -> dict[int, list[int]]:
    """The ids of all vectors of each learned word by the id of its first."""
    added = tokenizer.added_tokens_encoder
    words: dict[int, list[int]] = {}
    for word, first in added.items():
        words[first] = [first]
        while (following := f"{word}_{len(words[first])}") in added:
            words[first].append(added[following])
    return words


def notes_on_prompts(pipeline: Any, words: list[str], *prompts: str) -> Iterator[str]:
    """Lines on learned words that no prompt holds, and on what of a prompt is cut off."""
    if pipeline.tokenizer is None or pipeline.text_encoder is None:
        return
    ids = [token_ids(pipeline.tokenizer, prompt) for prompt in prompts]
    for word in words:
        first = pipeline.tokenizer.added_tokens_encoder.get(word)
        if not any(first in held for held, _ in ids):
            yield f"no prompt holds the word {word!r}: it changes nothing"
    for prompt, (held, lacking) in zip(prompts, ids, strict=True):
        if lacking:
            yield (
                f"prompt {prompt[:24]!r}...: its last {lacking} tokens are cut off, the text "
                f"encoder takes {len(held) - 2}"
            )


def _read(file: Path) -> Iterator[tuple[str | None, torch.Tensor]]:
    """The words of a file, each with its vectors; None for the word where the file tells none."""
    from magicpose_cli.diffusion.checkpoint.inert import Parameters
    from magicpose_cli.diffusion.checkpoint.opening import check_tensors, read_plain

    state = read_plain(file, LAYOUTS, f"embedding {file}")
    if isinstance(state, torch.Tensor):
        state = {"emb_params": state}
    if not isinstance(state, dict):
        raise ModelError(f"embedding {file}: holds a {type(state).__name__}; {LAYOUTS}")
    if "clip_g" in state:
        raise ModelError(f"embedding {file}: is for Stable Diffusion XL; {LAYOUTS}")
    word = None
    found = state
    if "string_to_param" in state:  # A1111, and the original code
        word, found = state.get("name"), state["string_to_param"]
        found = vars(found).get("tensors", {}) if isinstance(found, Parameters) else found
        found = {"*": next(iter(found.values()))} if _is_one_tensor(found) else {}
    elif "emb_params" in state:
        found = {"emb_params": state["emb_params"]}
    vectors = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
    kind = kind_of(vectors or found)
    if kind is not None and "--embedding" not in kind:
        raise ModelError(f"embedding {file}: is {kind}; {LAYOUTS}")
    alike = len({v.shape[-1:] for v in vectors.values()}) == 1
    flat = all(v.ndim in (1, 2) and v.is_floating_point() for v in vectors.values())
    if not (0 < len(vectors) <= MOST_WORDS and len(vectors) == len(found) and alike and flat):
        raise ModelError(f"embedding {file}: holds something else; {LAYOUTS}")
    check_tensors(file, vectors, LAYOUTS)
    for key, value in vectors.items():
        own = word if key in NAMELESS else str(key)
        yield own if isinstance(own, str) and own.strip() else None, value


def _is_one_tensor(found: Any) -> bool:
    return isinstance(found, dict) and len(found) == 1
