"""Configurations of parts, looked at before a library builds whatever they ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST = 10**6  # of any number in a configuration: CLIP's vocabulary has 49408 words
MOST_LAYERS = 100  # at a level
MOST_ENTRIES = 1000  # of a list, such as a schedule's betas


def check_configs(folder: Path) -> None:
    """Raise ValueError for a part or a model that could take time or memory without end.

    folder: of a part, or of a model with its parts in folders of their own.
    """
    for name in ("config.json", "scheduler_config.json"):
        for file in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if file.is_file():
                place = f"{file.parent.name}/{name}"
                config = json.loads(file.read_text(encoding="utf-8"))
                if not isinstance(config, dict):  # diffusers would ask the hub for one of that name
                    raise ValueError(f"{place}: is no table of settings")
                _check(place, "", config)


def _check(place: str, key: str, value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(place, name, inner)
    elif isinstance(value, list):
        if len(value) > MOST_ENTRIES:
            raise ValueError(f"{place}: {key} has {len(value)} entries, at most {MOST_ENTRIES} fit")
        for inner in value:
            _check(place, key, inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        most = MOST_LAYERS if "layers" in key or "blocks" in key else MOST
        if not abs(value) <= most:
            raise ValueError(f"{place}: {key} is {value:.6g}, at most {most} fits")
