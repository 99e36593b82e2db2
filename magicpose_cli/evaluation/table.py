"""The table, as data: heads and rows that the terminal and the page show alike."""

from __future__ import annotations

from dataclasses import dataclass

from magicpose_cli.evaluation.evaluation import EvaluatedModel, Evaluation
from magicpose_cli.evaluation.learned_metrics import PROTOCOLS_OF_SETS
from magicpose_cli.evaluation.metrics import COPY, Metric
from magicpose_cli.evaluation.totals import Total

ARROWS = {"higher": "↑", "lower": "↓", "closer to 1": "→1"}
THREE_DIGITS = ("ssim", "ssim_inside", "ssim_gray", "lpips", "face_cosine", "identity", "sharpness")
SET_NAMES = {"fid": "FID", "fid_vid": "FID-VID", "fvd": "FVD"}


@dataclass(frozen=True)
class TableHead:
    """A column: one metric."""

    key: str
    name: str
    unit: str
    arrow: str
    protocol: str


@dataclass(frozen=True)
class Cell:
    """A value as text.

    Attributes:
        value: The mean.
        interval: Of 95 %; empty where there is none.
        against: What a baseline reaches; empty without one.
    """

    value: str
    interval: str = ""
    against: str = ""


@dataclass(frozen=True)
class TableRow:
    """A model, a set of videos or a baseline."""

    name: str
    cells: list[Cell]
    base: bool


def heads(evaluation: Evaluation) -> list[TableHead]:
    """Make a column of everything that at least one row has."""
    everyone = (*evaluation.models, *evaluation.baselines.values())
    measured = {
        key
        for model in everyone
        for row in model.rows
        for key, value in row.items()
        if value is not None
    }
    found = [
        TableHead(m.key, m.name, m.unit, ARROWS[m.better], m.protocol)
        for m in evaluation.metrics
        if m.key in measured
    ]
    sets = {key for model in evaluation.models for key in model.sets}
    return found + [
        TableHead(key, SET_NAMES[key], "", "↓", PROTOCOLS_OF_SETS[key])
        for key in SET_NAMES
        if key in sets
    ]


def table_rows(evaluation: Evaluation) -> list[TableRow]:
    """Make the rows: models first, in the order they were given, then the baselines."""
    metrics = {metric.key: metric for metric in evaluation.metrics}
    bases = [base for base in evaluation.baselines.values() if evaluation.totals(base)]
    rows = []
    for model in (*evaluation.models, *bases):
        totals = evaluation.totals(model)
        cells = [
            _set_cell(model, head.key)
            if head.key not in metrics
            else _cell(metrics[head.key], totals.get(head.key))
            for head in heads(evaluation)
        ]
        rows.append(TableRow(model.name, cells, model in bases))
    return rows


def clip_rows(evaluation: Evaluation, model: EvaluatedModel, most: int) -> list[TableRow]:
    """Make a row of the means of each clip, beside them what copying the reference reaches.

    Args:
        evaluation: Every number of a run.
        model: Whose clips they are.
        most: How many clips at most.
    """
    copy = evaluation.baselines[COPY]
    rows = []
    for clip in list(dict.fromkeys(evaluation.clips))[:most]:
        means, copied = (evaluation.totals_of_clip(one, clip) for one in (model, copy))
        cells = [
            Cell(
                formatted(means.get(head.key), head.key),
                against=formatted(copied[head.key], head.key) if head.key in copied else "",
            )
            for head in heads(evaluation)
        ]
        rows.append(TableRow(clip, cells, False))
    return rows


def formatted(value: float | None, key: str) -> str:
    """Write a value with as many digits as mean something."""
    if value is None:
        return "–"
    return f"{value:.3f}" if key in THREE_DIGITS else f"{value:.2f}"


def _cell(metric: Metric, total: Total | None) -> Cell:
    if total is None:
        return Cell("–")
    interval = against = ""
    if total.low is not None and total.high is not None:
        interval = f"{formatted(total.low, metric.key)}–{formatted(total.high, metric.key)}"
    if total.against is not None:
        sign = f"{'+' if total.against > 0 else ''}{formatted(total.against, metric.key)}"
        against = sign if metric.baseline == COPY else f"×{total.against:.2f}"
    return Cell(formatted(total.mean, metric.key), interval, against)


def _set_cell(model: EvaluatedModel, key: str) -> Cell:
    return Cell(formatted(model.sets.get(key), key))
