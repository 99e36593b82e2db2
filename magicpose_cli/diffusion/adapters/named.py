"""The files that a model's settings name, some with a scale or a word behind a colon.

Nothing heavy is imported here: a run looks at these files before torch is there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.models import is_hub_id, located

if TYPE_CHECKING:
    from magicpose_cli.config.preset import ModelSettings

OF_MODELS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json", ".yaml", ".yml"}
MAPS_BY_NAME = {"depth": "depth", "normal": "normal-bae"}
"""What is in a ControlNet's name, and the map that such a network of Stable Diffusion 1.5 reads."""
PEFT_CONFIG = "adapter_config.json"  # beside a LoRA of peft: its scales
OWN_IDENTITY_FOLDER = "identity_adapter"  # in a model's folder
DEFAULT_IDENTITY = "ip-adapter-plus-face"  # of the catalog, for models without their own


def place_of(text: str) -> Path:
    """The file or folder that a setting names: a path, or something fetched (catalog, ORG/NAME)."""
    path = expanded(text)
    if path.exists():
        return path
    place = located(text) or path
    if not place.exists() and is_hub_id(text) and not path.suffix and not path.parent.exists():
        raise ModelError(f"{text} is not fetched; run: magicpose models fetch {text}")
    return place


def file_and_scale(text: str) -> tuple[Path, float]:
    """A LoRA's "FILE" or "FILE:SCALE"; without a scale it is 1. Raises ConfigError."""
    file, scale = _cut(text)
    try:
        strength = 1.0 if scale is None else float(scale)
    except ValueError:
        strength = math.nan
    if not math.isfinite(strength):
        raise ConfigError(
            f"model.lora: {text!r}; expected FILE or FILE:SCALE such as style.safetensors:0.6"
        )
    return file, strength


def file_and_word(text: str) -> tuple[Path, str | None]:
    """A textual inversion's "FILE" or "FILE:WORD"."""
    return _cut(text)


def _cut(text: str) -> tuple[Path, str | None]:
    """Cut at the last colon, but not at a drive's (`C:`) or in the name of a file that is there."""
    name, colon, rest = text.rpartition(":")
    if not colon or len(name) < 2 or "/" in rest or "\\" in rest or Path(text).exists():
        return place_of(text), None
    return place_of(name), rest


def body_maps_read(model: ModelSettings, own: Sequence[str]) -> tuple[str, ...]:
    """Name the maps of the body that the network is shown, in the order in which it reads them.

    Args:
        model: Tells whether they are asked for, and of which ControlNet.
        own: Those that the model's own ControlNet reads; nothing for a model without.

    Raises:
        ConfigError: They are asked for and nothing reads them, or it is not told which.
    """
    if not model.wants_body_maps:
        return ()
    if model.body_map_model is None:
        if not own:
            raise ConfigError(
                "body-map: this model has no ControlNet for maps of the body; name one with "
                "--body-map-model, such as depth-controlnet, or leave out --body-map"
            )
        return tuple(own)
    if model.body_map_kind != "auto":
        return (model.body_map_kind,)
    plain = re.sub(r"[^a-z]", "", Path(model.body_map_model).name.lower())
    for word, told in MAPS_BY_NAME.items():
        if word in plain:
            return (told,)
    raise ConfigError(
        f"body-map-model: {model.body_map_model!r} does not tell what it reads; name its map with "
        "--body-map-kind"
    )


def identity_place(model: ModelSettings, folder: Path | None) -> Path:
    """Find the IP-Adapter for `--identity`: the named one, the model's own or the catalog's.

    Args:
        model: The settings.
        folder: Of the model; None of one that was loaded from none.
    """
    if model.identity_model is not None:
        return place_of(model.identity_model)
    if folder is not None and (own := folder / OWN_IDENTITY_FOLDER).is_dir():
        return own
    return place_of(DEFAULT_IDENTITY)


def _places(model: ModelSettings, folder: Path) -> list[tuple[str, Path]]:
    """List the files and folders that a model's settings name beside the model, with their kind."""
    adapter = model.motion_adapter if model.is_steady else None
    body = model.body_map_model if model.wants_body_maps else None
    kinds = ("base", "vae", "motion_adapter", "body_map_model")
    plain = zip(kinds, (model.base, model.vae, adapter, body), strict=True)
    places = [(kind, place_of(text)) for kind, text in plain if text is not None]
    if model.identity and (face := identity_place(model, folder)).parent != folder:
        places.append(("identity_model", face))
    places += [("lora", _cut(text)[0]) for text in model.lora]
    return places + [("embedding", _cut(text)[0]) for text in model.embedding]


def named_files(model: ModelSettings, folder: Path) -> list[tuple[str, Path]]:
    """List the files and folders that a model's settings name beside the model, with their kind.

    Args:
        model: The settings.
        folder: Of the model.

    Raises:
        ConfigError: The scale of a LoRA is no number.
        ModelError: One of them is not there.
    """
    for text in model.lora:
        file_and_scale(text)
    places = _places(model, folder)
    for kind, path in places:
        if not path.exists():
            raise ModelError(
                f"model.{kind}: {path} is not there; expected a path or the name of something that "
                "`magicpose models fetch` has brought"
            )
    return places


def files_of(model: ModelSettings, folder: Path) -> list[Path]:
    """List every file beside the model itself that its settings name.

    What lies beside such a file and tells how it is meant belongs to it: a base's YAML, the scales
    of a LoRA of peft. Of a folder, which might be any, only what may be of a model is listed.

    Args:
        model: The settings.
        folder: Of the model.
    """
    files = []
    for _, place in _places(model, folder):
        if place.is_dir():
            inside = (file for depth in ("*", "*/*") for file in place.glob(depth))
            files += sorted(file for file in inside if file.suffix.lower() in OF_MODELS)
        else:
            beside = (*map(place.with_suffix, (".yaml", ".yml")), place.with_name(PEFT_CONFIG))
            files += [place, *(file for file in beside if file.is_file())]
    return files
