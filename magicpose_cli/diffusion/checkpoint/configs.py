"""Configurations of parts, looked at before a library builds whatever they ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MAX_CONFIG_NUMBER = 10**6  # of any number in a configuration: CLIP's vocabulary has 49408 words
MAX_CONFIG_LAYERS = 100  # at a level
MAX_CONFIG_ENTRIES = 1000  # of a list, such as a schedule's betas
CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "model_index.json",
    "scheduler_config.json",
    "tokenizer_config.json",
)
ATTENTION = re.compile(r"_?(attn|experts)_implementation(_internal)?")
OWN_ATTENTION = (None, "eager", "sdpa")  # all others are packages, or kernels of the hub
FOREIGN_CODE = re.compile(
    r"auto_map|custom_pipelines?|quantization_config|use_kernels|kernel_config|trust_remote_code"
)
ADAPTER = "adapter_config.json"  # names a model that the libraries would look for


def check_configs(folder: Path) -> None:
    """Raise ValueError for a part or a model that asks for more than its own files.

    Such as for kernels or code of the hub, or for time or memory without end. folder: of a part, or
    of a model with its parts in folders of their own.
    """
    for file in (folder / ADAPTER, *sorted(folder.glob(f"*/{ADAPTER}"))):
        if file.is_file():
            raise ValueError(f"{file.parent.name}/{ADAPTER}: an adapter of another model")
    for name in CONFIG_FILES:
        for file in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if file.is_file():
                told = json.loads(file.read_text(encoding="utf-8"))
                _check_own(f"{file.parent.name}/{name}", told)
    for name in ("config.json", "scheduler_config.json"):
        for file in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if file.is_file():
                place = f"{file.parent.name}/{name}"
                config = json.loads(file.read_text(encoding="utf-8"))
                if not isinstance(config, dict):  # diffusers would ask the hub for one of that name
                    raise ValueError(f"{place}: is no table of settings")
                _check(place, "", config)


def _check_own(place: str, value: Any) -> None:
    """ValueError for a setting that has libraries import or fetch something."""
    if isinstance(value, list):
        for inner in value:
            _check_own(place, inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if FOREIGN_CODE.fullmatch(key) and inner not in (None, False):
                raise ValueError(f"{place}: {key} asks for code or a format of others")
            if ATTENTION.fullmatch(key):
                asked = inner.values() if isinstance(inner, dict) else [inner]
                if any(kind not in OWN_ATTENTION for kind in asked):
                    raise ValueError(f"{place}: {key} {str(inner)[:80]!r} is not eager or sdpa")
            _check_own(place, inner)


def _check(place: str, key: str, value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(place, name, inner)
    elif isinstance(value, list):
        if len(value) > MAX_CONFIG_ENTRIES:
            raise ValueError(
                f"{place}: {key} has {len(value)} entries, at most {MAX_CONFIG_ENTRIES} fit"
            )
        for inner in value:
            _check(place, key, inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        most = MAX_CONFIG_LAYERS if "layers" in key or "blocks" in key else MAX_CONFIG_NUMBER
        if not abs(value) <= most:
            raise ValueError(f"{place}: {key} is {value:.6g}, at most {most} fits")
