"""Commands that are imported when they are asked for: `magicpose --help` needs none of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, Literal

import typer
from typer.core import TyperGroup

COMMANDS = {  # in the order of --help, with the first sentence of each module's own help
    "animate": "Move the person of REF like the person of DRIVER and write a video.",
    "batch": "Make many videos with the models loaded once; a failing job does not stop the "
    "others.",
    "demo": "Render a person and another who gestures, then run the main job on them.",
    "poses": "Find, convert, summarize, draw and retarget poses.",
    "motion": "Find a person's motion in space, convert, change, summarize and draw it.",
    "turn": "Show the person of one picture from other sides.",
    "report": "Write one HTML page to look at a run: its films in step, its settings, its gaps.",
    "doctor": "Tell what is installed, what a preset would use here, and whether it can run.",
    "presets": "List the shipped presets.",
    "dataset": "Make training data of VIDEOS: frames with their poses, cropped to the person and "
    "sorted out.",
    "augment": "Draw each person of a re-identification set again, in poses and from cameras it "
    "lacks.",
    "train": "Train MagicPose in its stages; the same command again goes on where it stopped.",
    "distill": "Teach a model to make its frames in a few steps without guidance.",
    "evaluate": "Measure generated pictures against the truth, as a table, JSON and a page.",
    "bench": "Measure the speed, memory and arithmetic of making frames; subcommands measure the "
    "rest.",
    "models": "List, fetch, check, convert and remove models and weights.",
}
MARKUP: Literal["markdown"] = "markdown"


class LazyCommands(MutableMapping[str, Any]):
    """The commands by their names, each imported when it is taken."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _imported(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError(f"{name}: commands are listed in COMMANDS")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name}: commands are listed in COMMANDS")

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """The root of the command line; its help shows the sentences of COMMANDS."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without importing a command."""
        real, self.commands = (
            self.commands,
            {name: _only_help(name, text) for name, text in COMMANDS.items()},
        )
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = real


def _only_help(name: str, text: str) -> Any:
    def stand_in() -> None: ...

    return _made(name, stand_in, help=text)


def _imported(name: str) -> Any:
    from magicpose_cli.cli.outcome import with_exit_code

    module = importlib.import_module(f"magicpose_cli.cli.{name}")
    if hasattr(module, "app"):
        group = typer.main.get_command(module.app)
        group.name = name
        return group
    return _made(name, with_exit_code(module.command))


def _made(name: str, function: Any, help: str | None = None) -> Any:
    """A command of its own that is part of no group yet."""
    own = typer.Typer(rich_markup_mode=MARKUP, add_completion=False)
    own.command(name, help=help)(function)
    return typer.main.get_command(own)
