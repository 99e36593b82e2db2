"""The command `magicpose distill`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import DeviceName, Minutes, Quiet, TrainingData
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.benchmarks.few_steps import FewStepsRow
    from magicpose_cli.progress import OnProgress
    from magicpose_cli.training.recipe import Recipe

TABLE_WIDTH = 120
MeasuredPairs = Annotated[int | None, typer.Option("--evaluate", min=1, max=100_000, metavar="N",
    help="Measure OUT beside MODEL on N pairs of drawn people; a finished OUT is only "
    "measured.")]  # fmt: skip


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False,
        help="An installed model's name or a folder: the teacher.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", show_default=False,
        help="Folder of the model that comes out, for `animate --model`.")],
    steps: Annotated[int | None, typer.Option(min=1, max=50, metavar="N",
        help="Denoising steps that are left (default: 4).")] = None,
    guidance: Annotated[float | None, typer.Option(min=1, max=100, metavar="SCALE",
        help="Image guidance that is taught (default: the model's own).")] = None,
    whole: Annotated[bool, typer.Option("--whole",
        help="Teach all weights of the denoiser, in place of a LoRA.")] = False,
    rank: Annotated[int | None, typer.Option(min=1, max=4096, metavar="N",
        help="Of the LoRA (default: 64).")] = None,
    data: TrainingData = None,
    recipe: Annotated[str, typer.Option(metavar="RECIPE",
        help="distill, distill-small, or a TOML file whose stages distill.")] = "distill",
    minutes: Minutes = None,
    device: DeviceName = "auto",
    evaluate: MeasuredPairs = None,
    detector: Annotated[str, typer.Option(metavar="NAME",
        help="Of --evaluate: as of animate, or none to go without pose following.")] = "auto",
    json_to: Annotated[Path | None, typer.Option("--json", metavar="FILE",
        help="Also write the rows of --evaluate here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y",
        help="Begin anew where OUT, or a run that was stopped, exists.")] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Teach a model to make its frames in a few steps without guidance.

    Examples:
    * `magicpose distill magicpose -o runs/fast --data data --device cuda`
    * `magicpose distill magicpose -o runs/fast --evaluate 64`
    * `magicpose animate me.jpg dance.mp4 --model runs/fast`
    """
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model
    from magicpose_cli.training import distill_run as run

    _check_evaluation(evaluate, json_to, overwrite)
    teacher = resolve_model(model)
    request = run.DistillationRequest(steps, guidance, rank, whole, data)
    settings = run.distillation_recipe(recipe, teacher, request)
    stands = (out / "model_index.json").is_file() and evaluate is not None and not overwrite
    with shown(quiet) as on_progress:
        if not stands and not run.distill(
            settings, out, device=device, minutes=minutes, overwrite=overwrite,
            on_progress=on_progress,
        ):  # fmt: skip
            if not quiet:
                say(f"not finished yet; the same command goes on from {run.run_folder(out)}")
            return
        if evaluate is None:
            typer.echo(str(out))
            return
        rows = _measured(teacher, out, evaluate, settings, detector, device, on_progress)
    _tell_rows(rows, f"{model}, {settings.model.size}x{settings.model.size}", json_to)


def _check_evaluation(evaluate: int | None, json_to: Path | None, overwrite: bool) -> None:
    """What measuring needs, before anything is trained."""
    from magicpose_cli.config.extras import needed
    from magicpose_cli.files import check_writable

    if json_to is not None:
        if evaluate is None:
            raise typer.BadParameter("--json goes with --evaluate")
        check_writable(json_to, overwrite)
    if evaluate is not None:
        needed("skimage")


def _measured(
    teacher: Path, out: Path, pairs: int, settings: Recipe, detector: str, device: str,
    on_progress: OnProgress,
) -> list[FewStepsRow]:  # fmt: skip
    """The model beside its teacher; what measures is imported when it is asked for."""
    from magicpose_cli.benchmarks.few_steps import measure_few_steps

    return measure_few_steps(
        teacher, out, pairs, detector=detector, device=device,
        guidance=settings.distillation.guidance, on_progress=on_progress,
    )  # fmt: skip


def _tell_rows(rows: list[FewStepsRow], title: str, json_to: Path | None) -> None:
    """As a table, and where it is asked for as a file."""
    from dataclasses import asdict

    from magicpose_cli.files import write_json

    _print(rows, title)
    if json_to is not None:
        write_json(json_to, [asdict(row) for row in rows])


def _print(rows: list[FewStepsRow], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, ratio=1)
    for head in (
        "steps", "guidance", "PSNR\ndB", "inside\ndB", "SSIM", "to teacher\ndB", "found\n%",
        "body\nmean %", "body\nmedian %", "s/frame", "faster", "GFLOP/frame",
    ):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            str(row.steps),
            f"{row.guidance:g}",
            f"{row.psnr:.2f}",
            f"{row.psnr_inside:.2f}",
            f"{row.ssim:.3f}",
            "–" if row is rows[0] else f"{row.psnr_teacher:.2f}",
            "–" if row.found is None else f"{row.found:.0f}",
            *("–" if v is None else f"{v:.2f}" for v in (row.body_error, row.body_median)),
            f"{row.frame_s:.3f}",
            f"{row.faster:.1f}x",
            f"{row.frame_flops / 1e9:,.1f}",
        )
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    console.print(table)
