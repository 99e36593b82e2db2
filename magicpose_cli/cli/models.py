"""`magicpose models`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.outcome import with_exit_code

app = typer.Typer(help="List and convert models.", no_args_is_help=True)


@app.command("list")
@with_exit_code
def list_models() -> None:
    """List the installed models and where they lie."""
    from magicpose_cli.diffusion.weights import installed_models, resolve_model

    default = resolve_model("auto")
    for name, folder in installed_models().items():
        mark = " (default)" if folder == default else ""
        typer.echo(f"{name + mark:<20}  {folder}")


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
