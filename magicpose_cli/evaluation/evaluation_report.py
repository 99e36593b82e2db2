"""The report: metrics.json with every number, report.html with everything to look at."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from magicpose_cli.config.extras import needed
from magicpose_cli.errors import OutputError
from magicpose_cli.evaluation.evaluation import EvaluatedModel, Evaluation
from magicpose_cli.evaluation.learned_metrics import PROTOCOLS_OF_SETS
from magicpose_cli.evaluation.metrics import COPY
from magicpose_cli.evaluation.plots import distributions, identity_against_pose
from magicpose_cli.evaluation.strips import SampleGrid, parts_of_strip
from magicpose_cli.evaluation.table import clip_rows, formatted, heads, table_rows
from magicpose_cli.evaluation.totals import column
from magicpose_cli.files import check_writable, whole_folder, write_json
from magicpose_cli.synthetic.sources import SYNTHETIC_KINDS

JSON_NAME, HTML_NAME = "metrics.json", "report.html"
REPORT_FILES = r"metrics\.json|report\.html"
NOT_SPREAD = ("found", "hands", "same_person", "psnr_wrapped")  # yes or no; for comparison only
STRIPS_SHOWN = 4  # strips of each group
MAX_LISTED_CLIPS = 200  # listed one by one on the page; metrics.json has all


def check_report(folder: Path, overwrite: bool) -> None:
    """Check that a report can be put here.

    Raises:
        OutputError: The folder is a file, or holds what is no report.
    """
    if folder.is_file():
        raise OutputError(f"{folder} is a file; name a folder for the report")
    check_writable(folder, overwrite, REPORT_FILES)


def write_report(
    folder: Path,
    evaluation: Evaluation,
    sample_grid: SampleGrid,
    run: dict[str, Any],
    overwrite: bool,
) -> dict[str, Any]:
    """Write both files at once.

    Args:
        folder: Where they go.
        evaluation: What was measured.
        sample_grid: Strips of pictures to choose from.
        run: What else is worth keeping, such as the command.
        overwrite: Whether a former report is replaced.

    Returns:
        What metrics.json holds.

    Raises:
        OutputError: See `check_report`.
    """
    check_report(folder, overwrite)
    scatter, correlations = identity_against_pose(
        evaluation.poses,
        {model.name: model.rows for model in evaluation.models},
    )
    numbers = as_json(evaluation, correlations, run)
    page = as_html(evaluation, sample_grid, scatter, numbers)
    with whole_folder(folder, overwrite, REPORT_FILES) as hidden:
        write_json(hidden / JSON_NAME, numbers)
        (hidden / HTML_NAME).write_text(page, encoding="utf-8", errors="backslashreplace")
    return numbers


def as_json(
    evaluation: Evaluation, correlations: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    """Collect every number, how it was measured, and of what."""

    def as_entry(model: EvaluatedModel) -> dict[str, Any]:
        totals = {key: asdict(total) for key, total in evaluation.totals(model).items()}
        clips = {}
        if evaluation.kind not in SYNTHETIC_KINDS:
            for clip in dict.fromkeys(evaluation.clips):
                clips[clip] = evaluation.totals_of_clip(model, clip)
        return {
            "name": model.name,
            **model.metadata,
            "totals": totals,
            "sets": model.sets,
            "color_against_pose": correlations.get(model.name),
            "clips": clips,
            "pictures": model.rows,
        }

    pictures = zip(evaluation.names, evaluation.clips, evaluation.poses, strict=True)
    return {
        **run,
        "kind": evaluation.kind,
        "description": evaluation.description,
        "protocol": {
            metric.key: {
                "name": metric.name,
                "unit": metric.unit,
                "better": metric.better,
                "against": metric.baseline,
                "protocol": metric.protocol,
            }
            for metric in evaluation.metrics
        }
        | {
            key: {"name": key, "unit": "", "better": "lower", "against": None, "protocol": text}
            for key, text in PROTOCOLS_OF_SETS.items()
            if key not in evaluation.missing
        },
        "not_measured": evaluation.missing,
        "failed": evaluation.failed,
        "pictures": [{"name": name, "clip": clip, **pose} for name, clip, pose in pictures],
        "models": [as_entry(model) for model in evaluation.models],
        "baselines": [as_entry(model) for model in evaluation.baselines.values()],
    }


def as_html(
    evaluation: Evaluation, sample_grid: SampleGrid, scatter: str | None, numbers: dict[str, Any]
) -> str:
    """Write one page that needs nothing beside it."""
    jinja2 = needed("jinja2")
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (Path(__file__).parent / "evaluation_report.html.jinja").read_text(encoding="utf-8")
    )
    metadata = [{"name": "command", "value": numbers.get("command", "")}]
    metadata += [
        {"name": model.name, "value": json.dumps(model.metadata)} for model in evaluation.models
    ]
    metadata.append({"name": "versions", "value": json.dumps(numbers.get("versions", {}))})
    page: str = template.render(
        description=evaluation.description,
        of_films=evaluation.kind == "films",
        heads=heads(evaluation),
        rows=table_rows(evaluation),
        missing=[*evaluation.failed.values(), *evaluation.missing.values()],
        scatter=scatter,
        plots=_plots(evaluation),
        sample_grids=_sample_grids(evaluation, sample_grid),
        clips=_clip_tables(evaluation),
        metadata=metadata,
    )
    return page


def _plots(evaluation: Evaluation) -> list[str]:
    plots = []
    for metric in evaluation.metrics:
        if metric.key in NOT_SPREAD:
            continue
        models = list(evaluation.models)
        if base := evaluation.baselines.get(metric.baseline or ""):
            models.append(base)
        columns = {s.name: column(s.rows, metric.key) for s in models}
        if plot := distributions(metric, columns, metric.baseline):
            plots.append(plot)
    return plots


def _sample_grids(evaluation: Evaluation, sample_grid: SampleGrid) -> list[dict[str, Any]]:
    """The same pairs by every model, then each one's worst, median and best by PSNR."""
    first = evaluation.models[0]
    inside = any(row.get("psnr_inside") is not None for row in first.rows)
    key = "psnr_inside" if inside else "psnr"
    reference = any(row.get("psnr") is not None for row in evaluation.baselines[COPY].rows)
    pose = any(row["person_height"] is not None for row in evaluation.poses)
    parts = parts_of_strip(reference, pose)

    def strip(model: EvaluatedModel, index: int, named: bool = False) -> dict[str, str]:
        caption = f"{evaluation.names[index]}: {_captioned(evaluation, model, index)}"
        return {
            "caption": f"{model.name}, {caption}" if named else caption,
            "data": base64.b64encode(sample_grid.jpeg(model.name, index)).decode(),
        }

    sample_grids = []
    if len(evaluation.models) > 1:
        kept = sample_grid.kept(first.name, len(first.rows))
        same = kept[:: max(1, len(kept) // STRIPS_SHOWN)][:STRIPS_SHOWN]
        strips = [strip(s, index, named=True) for index in same for s in evaluation.models]
        sample_grids.append(
            {"title": f"The same by everyone: {parts}", "groups": [{"strips": strips}]}
        )
    for model in evaluation.models:
        values = column(model.rows, key)
        ranked = sorted(sample_grid.kept(model.name, len(values)), key=lambda i: values[i])
        groups = [
            {
                "name": f"{name} by PSNR{' inside the masks' if inside else ''}",
                "strips": [strip(model, index) for index in indices],
            }
            for name, indices in _groups(ranked)
        ]
        sample_grids.append({"title": f"{model.name}: {parts}", "groups": groups})
    return sample_grids


def _groups(ranked: list[int]) -> list[tuple[str, list[int]]]:
    """Worst, middle and best of indices in rising order, none of them twice."""
    if len(ranked) <= 3 * STRIPS_SHOWN:
        return [("All, the worst first", ranked)]
    middle = (len(ranked) - STRIPS_SHOWN) // 2
    return [
        ("Worst", ranked[:STRIPS_SHOWN]),
        ("Median", ranked[middle : middle + STRIPS_SHOWN]),
        ("Best", ranked[-STRIPS_SHOWN:][::-1]),
    ]


def _captioned(evaluation: Evaluation, model: EvaluatedModel, index: int) -> str:
    row = model.rows[index]
    return ", ".join(
        f"{head.name} {formatted(row[head.key], head.key)}"
        for head in heads(evaluation)
        if row.get(head.key) is not None and head.key not in NOT_SPREAD
    )


def _clip_tables(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Of videos, films and data folders, the means of each clip."""
    if evaluation.kind in SYNTHETIC_KINDS:
        return []
    return [
        {"name": model.name, "rows": clip_rows(evaluation, model, MAX_LISTED_CLIPS)}
        for model in evaluation.models
    ]
