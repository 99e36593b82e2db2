"""Writes reference.md out of the commands and settings themselves: python docs/make_reference.py"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from magicpose_cli.cli.app import app
from magicpose_cli.config.preset import Preset, list_presets
from magicpose_cli.config.sections import Section

SHELLS = ("help", "install_completion", "show_completion")
KINDS = ("bool", "int", "float", "str")
SIGNS = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below"}
HEAD = """# Reference

Every command with its options, and every setting of a preset. This page is made from the code
(`python docs/make_reference.py`); a test compares them.
"""
SETTINGS_HEAD = """## Settings of a preset

A preset is a TOML file with these tables. What is absent keeps its default; an option that is typed
wins over it. `none` stands for "the model's own" or "chosen".

| setting | default | values | what it is |
|---|---|---|---|"""


def reference() -> str:
    """The page, as Markdown."""
    root = typer.main.get_command(app)
    parts = [HEAD, _presets(), *_command("magicpose", root), _settings()]
    return "\n".join(parts).rstrip() + "\n"


def _presets() -> str:
    rows = [
        f"| `{name}` | {_cell(preset.description)} |" for name, preset in list_presets().items()
    ]
    return "\n".join(["## Presets\n", "| preset | what it is |", "|---|---|", *rows, ""])


def _command(name: str, command: Any) -> list[str]:
    inner = getattr(command, "commands", {})
    lines = [] if inner and name == "magicpose" else [f"## `{name}`\n", _text(command.help), ""]
    options = [option for option in command.params if option.name not in SHELLS]
    if options:
        lines += ["| | what it does |", "|---|---|"]
        for option in options:
            lines.append(f"| {_names(option)} | {_cell(getattr(option, 'help', '') or '')} |")
        lines.append("")
    for sub, below in inner.items():
        lines += _command(f"{name} {sub}", below)
    return lines


def _names(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.metavar or option.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} {_cell(option.metavar)}" if option.metavar else names


def _settings() -> str:
    lines = [SETTINGS_HEAD]
    for section, field in Preset.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            for name, setting in kind.model_fields.items():
                default = "none" if setting.default is None else repr(setting.default)
                lines.append(
                    f"| `{section}.{name}` | `{_cell(default)}` | {_cell(_values(setting))} "
                    f"| {_cell(setting.description or '')} |"
                )
    return "\n".join(lines)


def _values(setting: Any) -> str:
    annotation = setting.annotation
    if literal := re.search(r"Literal\[(.*?)\]", str(annotation)):
        return literal[1].replace("'", "")
    kinds = [kind for kind in KINDS if re.search(rf"\b{kind}\b", str(annotation))]
    limits = (re.match(r"(Ge|Gt|Le|Lt)\(\w+=(.*)\)", str(limit)) for limit in setting.metadata)
    bounds = [f"{SIGNS[found[1]]} {found[2]}" for found in limits if found]
    return ", ".join([" or ".join(kinds), *bounds])


def _text(markdown: str | None) -> str:
    """Without the examples' lists, which `--help` shows."""
    return (markdown or "").split("\n\n")[0].replace("\n", " ").strip()


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).parent / "reference.md").write_text(reference(), encoding="utf-8")
