"""Textual inversion: a word that a model has learned to mean one thing, for the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from magicpose_cli.errors import ModelError

SUFFIXES = (".safetensors", ".pt", ".bin")
LAYOUTS = "expected a textual inversion for Stable Diffusion 1.5, as diffusers or A1111 saves it"


def add_embedding(pipeline: Any, file: Path, word: str | None = None) -> str:
    """Teach the pipeline's tokenizer and text encoder one word more; returns the word.

    word: what stands for it in a prompt; by default the file's own, or its name.

    Raises ModelError for a model without text, and for a file that is none or does not fit.
    """
    if pipeline.text_encoder is None or pipeline.tokenizer is None:
        raise ModelError(
            f"embedding {file}: this model has no text encoder or no tokenizer to learn a word; "
            "use a model that has both"
        )
    vectors, own = _read(file)
    width = pipeline.text_encoder.config.hidden_size
    if vectors.shape[1] != width:
        raise ModelError(
            f"embedding {file}: its vectors hold {vectors.shape[1]} numbers, the model's text "
            f"encoder takes {width}; {LAYOUTS}"
        )
    word = word or own or file.stem
    if word in pipeline.tokenizer.get_vocab():
        raise ModelError(
            f"embedding {file}: the model knows the word {word!r} already; name another one, as in "
            f"{file.name}:<{file.stem}>"
        )
    try:
        pipeline.load_textual_inversion(vectors, token=word)
    except ValueError as error:  # such as the second of two words that are alike
        raise ModelError(f"embedding {file}: {error}") from error
    return word


def _read(file: Path) -> tuple[torch.Tensor, str | None]:
    """The vectors (n, width) float32 of a word, and the word where the file tells it."""
    from magicpose_cli.diffusion.read import check_tensors, read_plain

    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        raise ModelError(f"embedding {file}: no such file; expected one of {', '.join(SUFFIXES)}")
    state = read_plain(file, LAYOUTS)
    word = None
    if isinstance(state, dict):
        if isinstance(state.get("string_to_param"), dict):  # A1111
            word = state.get("name")
            found = list(state["string_to_param"].values())
        elif "emb_params" in state:
            found = [state["emb_params"]]
        else:  # diffusers: the word itself is the key
            found = list(state.values())
            word = next(iter(state), None)
        if len(found) == 1 and isinstance(found[0], torch.Tensor):
            check_tensors(file, {"it": found[0]}, LAYOUTS)
            vectors = found[0].detach().float()
            vectors = vectors[None] if vectors.ndim == 1 else vectors
            if vectors.ndim == 2 and len(vectors):
                return vectors, word if isinstance(word, str) and word.strip() else None
    raise ModelError(f"embedding {file}: holds something else; {LAYOUTS}")
