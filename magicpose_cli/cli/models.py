"""`magicpose models`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.outcome import with_exit_code

app = typer.Typer(help="List, fetch and convert models.", no_args_is_help=True)


@app.command("list")
@with_exit_code
def list_models() -> None:
    """List the installed models, where they lie, and the detectors' weights."""
    from magicpose_cli.catalog import CATALOG, lacking, weights_folder
    from magicpose_cli.diffusion.weights import installed_models, resolve_model

    default = resolve_model("auto")
    for name, folder in installed_models().items():
        mark = " (default)" if folder == default else ""
        typer.echo(f"{name + mark:<20}  {folder}")
    for name, entry in CATALOG.items():
        place = f"not fetched ({_megabytes(entry.size)})" if lacking(name) else weights_folder(name)
        typer.echo(f"{name:<20}  {place}")


@app.command("fetch")
@with_exit_code
def fetch(
    name: Annotated[str, typer.Argument(help="dwpose or mediapipe-tasks.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Fetch the weights of a detector, checked by their hash.

    Example: magicpose models fetch dwpose
    """
    from magicpose_cli import catalog
    from magicpose_cli.cli.progress import shown
    from magicpose_cli.errors import ConfigError

    entry, folder = catalog.entry_of(name), catalog.weights_folder(name)
    lines = [f"{entry.title}; {_megabytes(entry.size)}, license {entry.license}"]
    lines += [f"  {_megabytes(file.size):>8}  {file.name}  {file.source}" for file in entry.files]
    typer.echo("\n".join([*lines, f"into {folder}"]), err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"nobody is there to be asked whether to fetch {name}; pass --yes")
        typer.confirm("Fetch them?", abort=True, err=True)
    with shown(quiet) as on_progress:
        catalog.fetch(name, on_progress)
    typer.echo(folder)


@app.command("path")
@with_exit_code
def path(
    name: Annotated[str, typer.Argument(help="An installed model, dwpose or mediapipe-tasks.")],
) -> None:
    """Print the folder of a model or of a detector's weights.

    Example: magicpose models path dwpose
    """
    from magicpose_cli import catalog
    from magicpose_cli.diffusion.weights import resolve_model
    from magicpose_cli.errors import ModelError

    if name in catalog.CATALOG and (missing := catalog.lacking(name)):
        raise ModelError(f"{missing[0]} is not there; run: magicpose models fetch {name}")
    typer.echo(catalog.weights_folder(name) if name in catalog.CATALOG else resolve_model(name))


@app.command("convert")
@with_exit_code
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Released model_state-*.th.")],
    destination: Annotated[
        str,
        typer.Argument(metavar="DST", help="Name to install it under (magicpose) or a folder."),
    ],
    base: Annotated[
        Path | None,
        typer.Option(help="SD 1.5 diffusers folder for parts that SRC lacks (the tokenizer)."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, float16 or bfloat16 (default: as in SRC).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace DST.")] = False,
) -> None:
    """Turn a released checkpoint into a diffusers folder of safetensors.

    Example: magicpose models convert model_state-110000.th magicpose --base sd15 --dtype float16
    """
    from magicpose_cli.diffusion.convert import convert_checkpoint
    from magicpose_cli.diffusion.weights import model_folder, quiet

    folder = model_folder(destination)
    with quiet():
        report = convert_checkpoint(source, folder, base=base, dtype=dtype, overwrite=overwrite)
    for line in report.summary():
        typer.echo(line)


def _megabytes(size: int) -> str:
    return f"{max(1, round(size / 1e6))} MB"
