"""The command `magicpose evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import Quiet, Typed, setting_options
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.evaluation.evaluation import Evaluation
    from magicpose_cli.evaluation.strips import SampleGrid
    from magicpose_cli.progress import OnProgress

ONLY_ON_THE_PAGE = ("psnr_wrapped", "l1_inside")
ONLY_ON_THE_PAGE_OF_FILMS = ("psnr_inside", "flicker", "body", "found")
MAX_FILMS_PRINTED = 100
FILM_SETTINGS = ("motion__every", "motion__end_s")  # settings that go with --films alone
TABLE_WIDTH, NAME_WIDTH = 120, 16


@setting_options(
    "sampling.steps",
    "sampling.guidance",
    "sampling.seed",
    "sampling.refine_hands",
    "frame.size",
    "frame.keep_background",
    "frame.warp",
    "motion.every",
    "motion.end_s",
    "model.motion_adapter",
    "model.steady",
    "model.identity",
    "model.identity_model",
    "model.body_map",
    "model.body_map_model",
    "model.device",
    "model.batch_size",
)
def command(
    result: Annotated[Path | None, typer.Argument(metavar="[RESULT]",
        help="Finished video, or a folder of videos or picture sequences.")] = None,
    truth: Annotated[Path | None, typer.Argument(metavar="[TRUTH]",
        help="True videos of the same names and lengths.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", "-m", metavar="NAME|FOLDER",
        help="Model to evaluate; several times for one table of several.")] = None,
    drawn: Annotated[int | None, typer.Option(min=1, max=100_000, metavar="N",
        help="Pairs of drawn people that no training has seen (default: 256).")] = None,
    rendered: Annotated[int | None, typer.Option(min=1, max=100_000, metavar="N",
        help="Pairs of rendered people that no training has seen, instead.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DATA",
        help="Clips of a folder written by `magicpose dataset` instead.")] = None,
    films: Annotated[list[Path] | None, typer.Option("--films", metavar="FILM|FOLDER",
        help="Films of real people instead: of each one frame is the reference, the film the "
        "driver, and the other frames the truth; repeatable.")] = None,
    at: Annotated[float | None, typer.Option("--at", min=0, metavar="SECONDS",
        help="Where in --films the reference stands (default: the first frame).")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="PICTURE",
        help="Reference that RESULT was made of: what copying it reaches is told.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER",
        help="Where report.html and metrics.json go.")] = Path("magicpose-evaluation"),
    grid: Annotated[Path | None, typer.Option(metavar="PNG",
        help="Also draw one person in 8 poses and 8 people in one, by the first model.")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", metavar="FILE",
        help="Also write metrics.json here.")] = None,
    detector: Annotated[str, typer.Option(metavar="NAME",
        help="As of animate, or none to go without pose following.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files.")] = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Measure generated pictures against the truth, as a table, JSON and a page.

    With --model, models make pairs of drawn or rendered people (or of DATA) and are compared; with
    RESULT and TRUTH, finished videos are. With --films, a model lets films of real people act
    themselves again, as `animate` does.

    Examples:
    * `magicpose evaluate --model mini --model runs/mine/model --drawn 64`
    * `magicpose evaluate --films clips --every 5 --model mini --warp on`
    """
    measured = _Measured(
        result=result, truth=truth, models=model or [], drawn=drawn, rendered=rendered, data=data,
        films=films or [], at_s=at, reference=reference, grid=grid, detector=detector, typed=typed,
    )  # fmt: skip
    measured.check_usage()
    evaluation = _report(measured, out, json_to, overwrite, quiet)
    _print(evaluation)
    if not quiet:
        say(f"{out / 'report.html'}: the same with plots and pictures")
    if evaluation.failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Measured:
    """What is measured, as it was typed: finished videos, films, or pairs that models make."""

    result: Path | None
    truth: Path | None
    models: list[str]
    drawn: int | None
    rendered: int | None
    data: Path | None
    films: list[Path]
    at_s: float | None
    reference: Path | None
    grid: Path | None
    detector: str
    typed: Typed

    def check_usage(self) -> None:
        """Refuse mixtures of the three ways, before any file is looked at."""
        pairs = [each for each in (self.drawn, self.rendered, self.data) if each]
        if (self.result is None) != (self.truth is None):
            raise typer.BadParameter("RESULT needs a TRUTH to be held against")
        if self.result is not None and (self.models or pairs or self.grid):
            raise typer.BadParameter(
                "give either RESULT and TRUTH, or --model with --drawn, --rendered or --data"
            )
        if self.result is None and self.reference:
            raise typer.BadParameter("--reference goes with RESULT and TRUTH")
        if len(pairs) > 1:
            raise typer.BadParameter("give one of --drawn, --rendered and --data")
        chooses = self.at_s is not None or any(key in self.typed for key in FILM_SETTINGS)
        if not self.films and chooses:
            raise typer.BadParameter("--at, --every and --end go with --films")
        if self.films and (self.result is not None or pairs or self.grid):
            raise typer.BadParameter("give either --films, or RESULT and TRUTH, or --model")
        if self.films and len(self.models) > 1:
            raise typer.BadParameter("--films takes one --model; run it once for each")

    def evaluate(self, sample_grid: SampleGrid, on_progress: OnProgress) -> Evaluation:
        """Measure it; samples go into the grid. For errors see the library's functions."""
        from magicpose_cli.config.preset import Preset
        from magicpose_cli.evaluation.evaluation import evaluate_models, evaluate_videos

        if self.films:
            return self._evaluate_films(sample_grid, on_progress)
        settings = Preset().with_options(**self.typed)
        if self.result is not None and self.truth is not None:
            return evaluate_videos(
                self.result, self.truth, sample_grid, reference=self.reference,
                device=settings.model.device, detector=self.detector, on_progress=on_progress,
            )  # fmt: skip
        return evaluate_models(
            self.models or ["auto"], settings, sample_grid, drawn=self.drawn or 256,
            rendered=self.rendered, data=self.data, detector=self.detector, grid=self.grid,
            on_progress=on_progress,
        )  # fmt: skip

    def _evaluate_films(self, sample_grid: SampleGrid, on_progress: OnProgress) -> Evaluation:
        from magicpose_cli.evaluation.evaluation import evaluate_films
        from magicpose_cli.run.preflight import resolve_preset

        name = self.models[0] if self.models else None
        settings = resolve_preset(None, name).with_options(model__name=name, **self.typed)
        return evaluate_films(
            self.films, settings, sample_grid, at_s=self.at_s or 0.0, detector=self.detector,
            on_progress=on_progress, on_failed=say,
        )  # fmt: skip


def _report(
    measured: _Measured, out: Path, json_to: Path | None, overwrite: bool, quiet: bool
) -> Evaluation:
    """Measure, and write the page and the numbers; what cannot be written is told before."""
    import shlex
    import sys
    from contextlib import closing

    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.evaluation.disentangling import check_grid
    from magicpose_cli.evaluation.evaluation_report import check_report, write_report
    from magicpose_cli.evaluation.strips import SampleGrid
    from magicpose_cli.files import check_writable, write_json
    from magicpose_cli.run.fingerprint import versions

    check_report(out, overwrite)
    if measured.grid is not None:
        check_grid(measured.grid, overwrite)
    if json_to is not None:
        check_writable(json_to, overwrite)
    with closing(SampleGrid()) as sample_grid:
        with shown(quiet) as on_progress:
            evaluation = measured.evaluate(sample_grid, on_progress)
        run = {"command": shlex.join(["magicpose", *sys.argv[1:]]), "versions": versions()}
        numbers = write_report(out, evaluation, sample_grid, run, overwrite)
    if json_to is not None:
        write_json(json_to, numbers)
    return evaluation


def _print(evaluation: Evaluation) -> None:
    """The table on stdout, wide enough for every column; what was not measured on stderr."""
    from dataclasses import replace

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from magicpose_cli.evaluation.table import TableRow, clip_rows, heads, table_rows

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(evaluation.description, ratio=1, min_width=NAME_WIDTH)
    columns = heads(evaluation)
    hidden = ONLY_ON_THE_PAGE_OF_FILMS if evaluation.kind == "films" else ONLY_ON_THE_PAGE
    shown = [index for index, head in enumerate(columns) if head.key not in hidden]
    for head in (columns[index] for index in shown):
        name = head.name.replace(" ", "\n")
        table.add_column(f"{name}\n{head.unit} {head.arrow}", justify="right", no_wrap=True)

    def add(row: TableRow) -> None:
        cells = [row.cells[index] for index in shown]
        lines = ["\n".join(filter(None, (cell.value, cell.against))) for cell in cells]
        if any(cell.value != "–" for cell in cells):
            table.add_row(row.name, *lines, style="dim" if row.base else "")

    if evaluation.kind == "films":
        for row in clip_rows(evaluation, evaluation.models[0], MAX_FILMS_PRINTED):
            add(replace(row, name=f"{row.name}\n  copying it"))
        table.add_section()
    for row in table_rows(evaluation):
        add(row)
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)  # a narrow terminal wraps, nothing is cut off
    console.print(table)
    say(*evaluation.missing.values())
