"""The report: metrics.json with every number, report.html with everything to look at."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from magicpose_cli.errors import OutputError
from magicpose_cli.evaluation.evaluation import EvaluatedModel, Evaluation
from magicpose_cli.evaluation.extras import needed
from magicpose_cli.evaluation.learned_metrics import PROTOCOLS_OF_SETS
from magicpose_cli.evaluation.metrics import COPY
from magicpose_cli.evaluation.plots import distributions, identity_against_pose
from magicpose_cli.evaluation.strips import SampleGrid, parts_of_strip
from magicpose_cli.evaluation.table import heads, number, table_rows
from magicpose_cli.evaluation.totals import column
from magicpose_cli.files import check_writable, whole_folder, write_json

JSON_NAME, HTML_NAME = "metrics.json", "report.html"
OWN = r"metrics\.json|report\.html"
SHOWN = 4  # strips of each group
MOST_CLIPS = 200  # listed one by one on the page; metrics.json has all


def check_report(folder: Path, overwrite: bool) -> None:
    """Raise OutputError where a report cannot be put, or would replace what is no report."""
    if folder.is_file():
        raise OutputError(f"{folder} is a file; name a folder for the report")
    check_writable(folder, overwrite, OWN)


def write_report(
    folder: Path, evaluation: Evaluation, album: SampleGrid, run: dict[str, Any], overwrite: bool
) -> dict[str, Any]:
    """Write both files at once; returns what metrics.json holds.

    run: what else is worth keeping, such as the command. Raises OutputError.
    """
    check_report(folder, overwrite)
    scatter, correlations = identity_against_pose(
        evaluation.poses,
        {subject.name: subject.rows for subject in evaluation.subjects},
    )
    numbers = as_json(evaluation, correlations, run)
    page = as_html(evaluation, album, scatter, numbers)
    with whole_folder(folder, overwrite, OWN) as hidden:
        write_json(hidden / JSON_NAME, numbers)
        (hidden / HTML_NAME).write_text(page, encoding="utf-8", errors="backslashreplace")
    return numbers


def as_json(
    evaluation: Evaluation, correlations: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    """Every number, how it was measured, and of what."""

    def told(subject: EvaluatedModel) -> dict[str, Any]:
        totals = {key: asdict(total) for key, total in evaluation.totals(subject).items()}
        clips = {}
        if evaluation.kind != "drawn":
            for clip in dict.fromkeys(evaluation.clips):
                clips[clip] = evaluation.totals_of_clip(subject, clip)
        return {
            "name": subject.name,
            **subject.facts,
            "totals": totals,
            "sets": subject.sets,
            "color_against_pose": correlations.get(subject.name),
            "clips": clips,
            "pictures": subject.rows,
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
        "pictures": [{"name": name, "clip": clip, **pose} for name, clip, pose in pictures],
        "models": [told(subject) for subject in evaluation.subjects],
        "baselines": [told(subject) for subject in evaluation.baselines.values()],
    }


def as_html(
    evaluation: Evaluation, album: SampleGrid, scatter: str | None, numbers: dict[str, Any]
) -> str:
    """One page that needs nothing beside it."""
    jinja2 = needed("jinja2")
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (Path(__file__).parent / "evaluation_report.html.jinja").read_text(encoding="utf-8")
    )
    facts = [{"name": "command", "value": numbers.get("command", "")}]
    facts += [
        {"name": subject.name, "value": json.dumps(subject.facts)}
        for subject in evaluation.subjects
    ]
    facts.append({"name": "versions", "value": json.dumps(numbers.get("versions", {}))})
    return template.render(
        description=evaluation.description,
        heads=heads(evaluation),
        rows=table_rows(evaluation),
        missing=list(evaluation.missing.values()),
        scatter=scatter,
        plots=_plots(evaluation),
        albums=_albums(evaluation, album),
        clips=_clip_tables(evaluation),
        facts=facts,
    )


def _plots(evaluation: Evaluation) -> list[str]:
    plots = []
    for metric in evaluation.metrics:
        if metric.key in ("found", "psnr_wrapped"):  # yes or no; for comparison only
            continue
        subjects = list(evaluation.subjects)
        if base := evaluation.baselines.get(metric.baseline or ""):
            subjects.append(base)
        columns = {s.name: column(s.rows, metric.key) for s in subjects}
        if plot := distributions(metric, columns, metric.baseline):
            plots.append(plot)
    return plots


def _albums(evaluation: Evaluation, album: SampleGrid) -> list[dict[str, Any]]:
    """The same pairs by every model, then each one's worst, median and best by PSNR."""
    first = evaluation.subjects[0]
    inside = any(row.get("psnr_inside") is not None for row in first.rows)
    key = "psnr_inside" if inside else "psnr"
    reference = any(row.get("psnr") is not None for row in evaluation.baselines[COPY].rows)
    pose = any(row["person_height"] is not None for row in evaluation.poses)
    parts = parts_of_strip(reference, pose)

    def strip(subject: EvaluatedModel, index: int, named: bool = False) -> dict[str, str]:
        told = f"{evaluation.names[index]}: {_told(evaluation, subject, index)}"
        return {
            "caption": f"{subject.name}, {told}" if named else told,
            "data": base64.b64encode(album.jpeg(subject.name, index)).decode(),
        }

    albums = []
    if len(evaluation.subjects) > 1:
        kept = album.kept(first.name, len(first.rows))
        same = kept[:: max(1, len(kept) // SHOWN)][:SHOWN]
        strips = [strip(s, index, named=True) for index in same for s in evaluation.subjects]
        albums.append({"title": f"The same by everyone: {parts}", "groups": [{"strips": strips}]})
    for subject in evaluation.subjects:
        values = column(subject.rows, key)
        ranked = sorted(album.kept(subject.name, len(values)), key=lambda i: values[i])
        groups = [
            {
                "name": f"{name} by PSNR{' inside the masks' if inside else ''}",
                "strips": [strip(subject, index) for index in indices],
            }
            for name, indices in _groups(ranked)
        ]
        albums.append({"title": f"{subject.name}: {parts}", "groups": groups})
    return albums


def _groups(ranked: list[int]) -> list[tuple[str, list[int]]]:
    """Worst, middle and best of indices in rising order, none of them twice."""
    if len(ranked) <= 3 * SHOWN:
        return [("All, the worst first", ranked)]
    middle = (len(ranked) - SHOWN) // 2
    return [
        ("Worst", ranked[:SHOWN]),
        ("Median", ranked[middle : middle + SHOWN]),
        ("Best", ranked[-SHOWN:][::-1]),
    ]


def _told(evaluation: Evaluation, subject: EvaluatedModel, index: int) -> str:
    row = subject.rows[index]
    return ", ".join(
        f"{head.name} {number(row[head.key], head.key)}"
        for head in heads(evaluation)
        if row.get(head.key) is not None and head.key not in ("found", "psnr_wrapped")
    )


def _clip_tables(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Of videos and data folders, the means of each clip."""
    if evaluation.kind == "drawn":
        return []
    clips = list(dict.fromkeys(evaluation.clips))[:MOST_CLIPS]
    blocks = []
    for subject in evaluation.subjects:
        rows = []
        for clip in clips:
            means = evaluation.totals_of_clip(subject, clip)
            cells = [number(means.get(head.key), head.key) for head in heads(evaluation)]
            rows.append({"name": clip, "cells": cells})
        blocks.append({"name": subject.name, "rows": rows})
    return blocks
