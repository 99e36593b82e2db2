"""The command `magicpose presets`."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print all settings as JSON.")] = False,
) -> None:
    """List the shipped presets.

    Example: `magicpose presets --json`
    """
    import json

    from magicpose_cli.config.preset import list_presets
    from magicpose_cli.run.preflight import default_preset

    presets = list_presets()
    if as_json:
        typer.echo(json.dumps({name: p.model_dump() for name, p in presets.items()}, indent=2))
        return
    default = default_preset()
    for name, preset in presets.items():
        mark = " (default)" if name == default else ""
        typer.echo(f"{name + mark:<20}  {preset.description}")
