"""Writes reference.md out of the commands and settings themselves: python docs/make_reference.py"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from magicpose_cli.cli.app import app
from magicpose_cli.config.option import Setting, settings_of
from magicpose_cli.config.preset import Preset, list_presets

SHELLS = ("help", "install_completion", "show_completion")
KINDS = ("bool", "int", "float", "str")
SIGNS = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below"}
HEAD = """# Reference

Every command with its options, and every setting of a preset. This page is made from the code
(`python docs/make_reference.py`); a test compares them.
"""
SETTINGS_HEAD = """## Settings of a preset

A preset is a TOML file with these tables. What is absent keeps its default; an option that is typed
wins over it, and a job list has a column by the same name. `none` stands for "the model's own" or
"chosen".

| setting | option | default | values | what it is |
|---|---|---|---|---|"""


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
    for setting in settings_of(Preset):
        default = "none" if setting.field.default is None else repr(setting.field.default)
        lines.append(
            f"| `{setting.name}` | {_typed(setting)} | `{_cell(default)}` "
            f"| {_cell(_values(setting))} | {_cell(setting.description)} |"
        )
    return "\n".join(lines)


def _typed(setting: Setting) -> str:
    if setting.option is None:
        return ""
    names = [setting.option.names.split("/")[0], setting.option.short]
    return ", ".join(f"`{name}`" for name in names if name)


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(setting.choices)
    kinds = [kind for kind in KINDS if re.search(rf"\b{kind}\b", str(setting.field.annotation))]
    limits = (re.match(r"(Ge|Gt|Le|Lt)\(\w+=(.*)\)", str(m)) for m in setting.field.metadata)
    bounds = [f"{SIGNS[found[1]]} {found[2]}" for found in limits if found]
    return ", ".join([" or ".join(kinds), *bounds])


def _text(markdown: str | None) -> str:
    """Without the examples' lists, which `--help` shows."""
    return (markdown or "").split("\n\n")[0].replace("\n", " ").strip()


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).parent / "reference.md").write_text(reference(), encoding="utf-8")
