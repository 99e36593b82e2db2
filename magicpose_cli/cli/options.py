"""Options that commands share: made from the settings of a preset, or of how work is spread."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_type_hints

import typer

from magicpose_cli.cli import complete
from magicpose_cli.config.option import Setting, settings_of
from magicpose_cli.config.preset import OUTPUT, SPEED, Preset

OPTIONS_BY_NAME = {setting.name: setting for setting in settings_of(Preset)}

Typed = dict[str, Any]
"""What was typed of a preset's settings, as `Preset.with_options` takes it."""


def option(
    *names: str,
    help: str,
    panel: str,
    metavar: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """An option in a panel of `--help` that is no setting of a preset."""
    return typer.Option(
        *names, help=help, rich_help_panel=panel, metavar=metavar, autocompletion=complete
    )


def whole_numbers(name: str, text: str, most: int, example: str) -> list[int]:
    """Read an option that takes whole numbers from 1 to `most` with commas between them."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= most for part in parts):
        raise typer.BadParameter(f"{name} {text!r}: expected numbers such as {example}")
    return [int(part) for part in parts]


def setting_options(
    *names: str, without: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these settings, in the place of its parameter `typed`.

    The command gets what was typed of them as `typed`, a `Typed`. names: dotted, or of a whole
    section. without: settings of these that are left out.
    """
    chosen = [
        setting
        for setting in OPTIONS_BY_NAME.values()
        if setting.option is not None
        and setting.name not in without
        and (setting.name in names or setting.name.split(".")[0] in names)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*args: Any, **values: Any) -> None:
            typed = {setting.key: values.pop(setting.key) for setting in chosen}
            given = {key: value for key, value in typed.items() if value not in (None, [])}
            command(*args, typed=given, **values)

        hints = get_type_hints(command, include_extras=True)
        parameters = []
        for own in inspect.signature(command).parameters.values():
            if own.name == "typed":
                parameters += [_parameter(setting) for setting in chosen]
            else:
                parameters.append(own.replace(annotation=hints[own.name]))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    option = setting.option
    assert option is not None
    made = typer.Option(
        option.names, *([option.short] if option.short else []), help=setting.help,
        rich_help_panel=option.panel, metavar=setting.metavar, autocompletion=_offered(setting),
    )  # fmt: skip
    return inspect.Parameter(
        setting.key, inspect.Parameter.KEYWORD_ONLY, default=None,
        annotation=Annotated[setting.kind | None, made],
    )  # fmt: skip


def _offered(setting: Setting) -> Callable[[str], list[str]] | None:
    """What the shell offers for a setting."""
    if setting.choices:
        return lambda incomplete: complete.starting_with(incomplete, setting.choices)
    if setting.option is not None and setting.option.completes == "models":
        return complete.installed_model_names
    return None


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Silent = Annotated[bool, option("--quiet", "-q", panel=OUTPUT, help="No progress and no summary.")]
OverwriteFiles = Annotated[bool, option("--overwrite", "-y", panel=OUTPUT, help="Replace files.")]
SummaryEvents = Annotated[
    bool,
    option(
        "--json",
        panel=OUTPUT,
        help="Events on stdout, one JSON object a line; the last is the summary.",
    ),
]
TrainingData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="A folder made by `magicpose dataset`, or drawn, rendered or mixed people.",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes", min=0.01, help="Stop after so long, leaving a checkpoint to go on from."
    ),
]
Workers = Annotated[
    int,
    option(
        "--workers",
        panel=SPEED,
        metavar="N",
        help="Spread the frames over N processes (on CUDA: GPUs).",
    ),
]
Devices = Annotated[
    str,
    option(
        "--devices",
        panel=SPEED,
        metavar="NAMES",
        help="One process a device, such as cuda:0,cuda:1.",
    ),
]
RayAddress = Annotated[
    str | None,
    option(
        "--ray",
        panel=SPEED,
        metavar="ADDRESS",
        help="Spread the frames over a Ray cluster: its address, auto or local.",
    ),
]
