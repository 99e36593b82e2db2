"""The command `magicpose models`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli import complete
from magicpose_cli.cli.options import Quiet
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.models import Entry

app = typer.Typer(
    help="List, fetch, check, convert and remove models and weights.", no_args_is_help=True
)
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", "-y", help="Replace what stands.")]
ModelName = Annotated[
    str,
    typer.Argument(
        help="A name that `list` shows, or a hub's ORG/NAME.",
        autocompletion=complete.known_model_names,
    ),
]
DTYPE = "float32, float16 or bfloat16"


@app.command("list")
@with_exit_code
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
) -> None:
    """List what is installed, and what can be fetched, with size and license.

    Example: `magicpose models list --json`
    """
    import json

    from magicpose_cli.diffusion.checkpoint.loading import installed_models, resolve_model
    from magicpose_cli.models import CATALOG, state_of, weights_folder

    default = resolve_model("auto")
    models = {name: str(folder) for name, folder in installed_models().items()}
    if as_json:
        entries = {name: {**_as_dict(entry), "state": state_of(name),
                          "folder": str(weights_folder(name))}
                   for name, entry in CATALOG.items()}  # fmt: skip
        typer.echo(json.dumps({"models": models, "default": str(default), "catalog": entries}))
        return
    for name, folder in models.items():
        mark = " (default)" if folder == str(default) else ""
        typer.echo(f"{name + mark:<20}  {folder}")
    typer.echo()
    for name, entry in CATALOG.items():
        size = entry.told_size
        typer.echo(f"{name:<20}  {state_of(name):<11}  {size:>12}  {entry.kind:<14}  {entry.title}")
        typer.echo(f"{'':<20}  license {entry.license}; for {entry.use}")


@app.command("fetch")
@with_exit_code
def fetch_command(
    name: ModelName,
    yes: Yes = False,
    dtype: Annotated[
        str, typer.Option(help=f"Of the converted model: {DTYPE}; `magicpose` alone.")
    ] = "float16",
    free: Annotated[
        bool, typer.Option("--free", help="Delete the source once converted; `magicpose` alone.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Fetch weights, checked by their hash; `magicpose` is converted and registered as well.

    Says what comes, how large and under which license, and asks. An interrupted download goes on.

    Examples:
    * `magicpose models fetch magicpose --free`
    * `magicpose models fetch dwpose --yes`
    * `magicpose models fetch an-org/a-model`
    """
    from magicpose_cli import models as catalog
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.diffusion.checkpoint import installation as install
    from magicpose_cli.diffusion.checkpoint.loading import RELEASED_MODEL
    from magicpose_cli.errors import ConfigError

    entry, folder = catalog.asked(name), catalog.weights_folder(name)
    lines = [f"{entry.title}; {entry.told_size}, license {entry.license}"]
    lines += [
        f"  {catalog.in_units(file.size):>8}  {file.name}  {file.source}" for file in entry.files
    ]
    if unsure := sum(not file.sha256 for file in entry.files):
        lines.append(f"{unsure} of them have no published hash: what comes now is trusted later on")
    say(*lines, f"into {folder}")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"nobody is there to be asked whether to fetch {name}; pass --yes")
        typer.confirm("Fetch them?", abort=True, err=True)
    with shown(quiet) as on_progress:
        if name == RELEASED_MODEL:
            folder, told = install.install_released(
                on_progress, entry=entry, dtype=dtype, free=free, overwrite=overwrite
            )
            if not quiet:
                say(*told)
        else:
            catalog.fetch(name, on_progress, entry)
    typer.echo(folder)


@app.command("verify")
@with_exit_code
def verify_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names (default: all that is fetched).", metavar="[NAME]..."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Read all that was fetched and compare it with its hashes.

    Example: `magicpose models verify dwpose`
    """
    from magicpose_cli import models as catalog
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.errors import ModelError

    here = [name for name in catalog.CATALOG if catalog.weights_folder(name).is_dir()]
    here += catalog.fetched_repositories()
    wrong: list[str] = []
    with shown(quiet) as on_progress:
        for name in names or here:
            found = catalog.verify(name, on_progress)
            if not found:
                typer.echo(f"{name}: as it came")
            wrong += found
    if wrong:
        raise ModelError("; ".join([*wrong, "run `magicpose models fetch` for them again"]))


@app.command("path")
@with_exit_code
def path(name: ModelName) -> None:
    """Print where a model or fetched weights lie.

    Example: `magicpose models path dwpose`
    """
    from magicpose_cli import models as catalog
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model

    if name in catalog.CATALOG and catalog.CATALOG[name].kind != "model":
        catalog.located(name)  # says what to do where it is not there
        typer.echo(catalog.weights_folder(name))
    else:
        typer.echo(catalog.located(name) if "/" in name and catalog.located(name)
                   else resolve_model(name))  # fmt: skip


@app.command("remove")
@with_exit_code
def remove_command(name: ModelName, yes: Yes = False) -> None:
    """Delete a model or fetched weights from the home; the embedded model stays.

    Example: `magicpose models remove sd15`
    """
    from magicpose_cli import models as catalog
    from magicpose_cli.errors import ConfigError

    catalog.folders_to_remove(name)  # nobody is asked about what is not there
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"nobody is there to be asked whether to delete {name}; pass --yes")
        typer.confirm(f"Delete {name}?", abort=True, err=True)
    for folder in catalog.remove(name):
        say(f"deleted {folder}")


@app.command("convert")
@with_exit_code
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Released model_state-*.th.")],
    destination: Annotated[
        str,
        typer.Argument(metavar="DST", help="Name to install it under (magicpose) or a folder."),
    ],
    base: Annotated[
        str | None,
        typer.Option(help="SD 1.5 folder, or sd15, for parts that SRC lacks (the tokenizer)."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help=f"{DTYPE} (default: as in SRC).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a released checkpoint into a diffusers folder of safetensors.

    Example: `magicpose models convert model_state-110000.th magicpose --base sd15 --dtype float16`
    """
    from magicpose_cli.diffusion.adapters.named import place_of
    from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint
    from magicpose_cli.diffusion.checkpoint.loading import model_folder, quiet

    folder = model_folder(destination)
    place = None if base is None else place_of(base)
    with quiet():
        report = convert_checkpoint(source, folder, base=place, dtype=dtype, overwrite=overwrite)
    for line in report.summary():
        typer.echo(line)


def _as_dict(entry: Entry) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(entry), "size": entry.size}
