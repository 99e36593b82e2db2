"""What a file of weights is, told by the names of its tensors: a message says it by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from magicpose_cli.errors import ModelError

CHECKPOINT_KINDS = (
    ("an AnimateDiff motion module or motion LoRA", r"motion_modules\."),
    ("a ControlNet", r"^(control_model|lllite|lora_controlnet)|controlnet_|input_hint_block"),
    ("an IP-Adapter", r"^(image_proj|ip_adapter)\."),
    ("a T2I-Adapter", r"^(adapter\.)?body\.\d+\."),
    ("Custom Diffusion", r"_custom_diffusion\."),
    ("a LoRA or one of its relatives (--lora)", r"[._]lora[._]|^lora_|^bundle_emb\.|hada_|lokr_"),
    ("a textual inversion (--embedding)", r"^(emb_params|string_to_param|clip_[gl])$"),
    ("a whole checkpoint or a denoiser (--base)", r"diffusion_model\.|^(unet\.)?conv_in\.weight$"),
    ("an autoencoder (--vae)", r"^(first_stage_model\.|vae\.)?(en|de)coder\.(up|down|mid|layers)"),
    ("a hypernetwork", r"^(320|640|768|1024|1280)$"),
    ("a text encoder", r"text_model\.|^embeddings\.token_embedding|cond_stage_model\."),
)
"""Kinds and what one of their keys looks like; the first that fits."""


def kind_of(keys: Iterable[object]) -> str | None:
    """The kind by its name, with the option that takes it where one does; None if unknown."""
    names = [str(key) for key in keys]
    return next(
        (kind for kind, trait in CHECKPOINT_KINDS if any(re.search(trait, name) for name in names)),
        None,
    )


def file_in(place: Path, what: str, suffixes: tuple[str, ...], preferred: Iterable[str]) -> Path:
    """The file itself, or the one of a folder: one of the preferred names, or the only one.

    what: the kind of plug-in, as a message names it. Raises ModelError where there is none.
    """
    if place.is_dir():
        for name in preferred:
            if (place / name).is_file():
                return place / name
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in suffixes)
        if len(files) == 1 and files[0].is_file():
            return files[0]
        there = f"holds {len(files)}: {', '.join(file.name for file in files[:4])}"
        raise ModelError(
            f"{what} {place}: a folder that {there if files else 'holds none'}; expected one file "
            f"({', '.join(suffixes)})"
        )
    if not place.is_file():
        raise ModelError(f"{what} {place}: no such file; expected {', '.join(suffixes)}")
    if place.suffix.lower() not in suffixes:
        raise ModelError(
            f"{what} {place}: {place.suffix or 'a name without ending'} is not read; expected "
            f"{', '.join(suffixes)}"
        )
    return place
