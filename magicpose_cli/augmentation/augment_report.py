"""The page of a run: the gap before and after, what was dropped and why, pictures to look at."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.augmentation.augment_run import AUGMENT_FILE, AugmentResult
from magicpose_cli.augmentation.camera_ranges import AZIMUTH_BINS, ELEVATION_BIN_DEG
from magicpose_cli.augmentation.person_work import Row
from magicpose_cli.config.extras import needed
from magicpose_cli.dataset.data_folder import writing
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.files import write_bytes, write_json
from magicpose_cli.video.picture import read_picture

REPORT_FILE = "report.html"
SHOWN_PEOPLE, SHOWN_EACH, TILE_HEIGHT_PX = 8, 9, 160
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
    "svg{max-width:100%;height:auto}"
)
MEASURES = {
    "viewpoint_entropy": "azimuths, 0 (one) to 1 (all alike)",
    "pose_entropy": "pose clusters, 0 (one) to 1 (all alike)",
    "azimuths_per_person": f"azimuths of a person, of {AZIMUTH_BINS}",
    "cells_per_person": "cells of azimuth and pose of a person",
}
KEPT_MEASURES = {
    "joints_found": "asked joints found again, share",
    "pose_error": "error to the asked pose, of the person's height",
    "silhouette": "overlap with the asked body",
    "color_difference": "colors of the parts to the source's, CIEDE2000",
    "sharpness": "sharpness, of the source's",
}


def write_augment_report(result: AugmentResult) -> None:
    """Write report.html, and the totals into augment.json.

    Raises:
        OutputError: They cannot be written.
    """
    totals = result.totals()
    page = _page(result, totals)
    folder = result.folder
    with writing(folder):
        write_bytes(folder / REPORT_FILE, page.encode())
        path = folder / AUGMENT_FILE
        known = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, {"asked": known["asked"], "totals": totals})


def _page(result: AugmentResult, totals: dict[str, Any]) -> str:
    looked, useless = totals["pictures_looked_at"], totals["pictures_useless"]
    useless_lines = [row["reason"] for row in result.looked if "reason" in row]
    parts = [
        f"<h1>{html.escape(result.folder.name)}</h1>",
        f"<p>{totals['kept']} pictures of {totals['people_drawn']} of {totals['people']} "
        f"people are kept of {totals['made']} made. Of {looked} pictures that were looked at, "
        f"{useless} are of no use.</p>",
        "<h2>The gap</h2>",
        plot_gap(result),
        _table(
            ("", "before", "after"),
            [(text, totals["before"][name], totals["after"][name])
             for name, text in MEASURES.items()],
        ),
        "<h2>Kept or dropped</h2>",
        _table(("dropped for", "pictures"), list(totals["dropped"].items()) or [("nothing", 0)]),
        _table(
            ("of kept pictures", "mean"),
            [(text, "-" if totals["kept_means"][name] is None else totals["kept_means"][name])
             for name, text in KEPT_MEASURES.items()],
        ),
        "<p>The thresholds: " + html.escape(json.dumps(result.job.settings.judge.model_dump()))
        + "</p>",
        "<h2>Pictures</h2><p>The source at the left, then what was made of it and its person.</p>",
        _embedded(contact_rows(result)),
        "<h2>What was left out</h2>",
        *(f"<p>{html.escape(line)}</p>" for line in (*result.notes, *useless_lines)[:200]),
    ]  # fmt: skip
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Augmented set</title>"
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(str(c))}</{kind}>" for c in cells) + "</tr>"

    return f"<table>{line(heads, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def plot_gap(result: AugmentResult) -> str:
    """Draw viewpoints and pose clusters before and after, as an <svg> element."""
    figure = needed("matplotlib.figure").Figure(figsize=(9.5, 5.2))
    axes = figure.subplots(2, 2)
    for row, (name, coverage) in enumerate((("before", result.before), ("after", result.after))):
        _draw_viewpoints(axes[row][0], coverage.viewpoints, name, result)
        bars = axes[row][1]
        bars.barh(range(len(coverage.poses)), coverage.poses, color="#4477aa")
        bars.set_yticks(range(len(coverage.poses)), result.clusters.names, fontsize=7)
        bars.set_title(f"pose clusters, {name}", fontsize=9)
        bars.spines[["top", "right"]].set_visible(False)
    return _svg_text(figure)


def _draw_viewpoints(axes: Any, counts: Floats, name: str, result: AugmentResult) -> None:
    start = np.floor(result.job.ranges.elevation_deg[0] / ELEVATION_BIN_DEG) * ELEVATION_BIN_DEG
    axes.imshow(counts.T, origin="lower", aspect="auto", cmap="viridis")
    step = 360 // AZIMUTH_BINS
    axes.set_xticks(range(0, AZIMUTH_BINS, 3), [f"{i * step}" for i in range(0, AZIMUTH_BINS, 3)])
    labels = [f"{start + i * ELEVATION_BIN_DEG:g}" for i in range(counts.shape[1])]
    axes.set_yticks(range(counts.shape[1]), labels)
    axes.set_title(f"pictures over azimuth and elevation, {name}", fontsize=9)
    for (turn, height), count in np.ndenumerate(counts):
        axes.text(turn, height, f"{count:.0f}", ha="center", va="center", fontsize=6, color="w")


def _svg_text(figure: Any) -> str:
    matplotlib = needed("matplotlib")
    figure.tight_layout()
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "augment", "svg.fonttype": "none"}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = file.getvalue()
    return text[text.index("<svg") :]


def contact_rows(result: AugmentResult) -> Picture:
    """(H, W, 3) uint8: a row a person, the source at the left, then kept pictures."""
    by_person: dict[str, list[Row]] = {}
    for row in result.kept:
        by_person.setdefault(row["person"], []).append(row)
    people = list(by_person)[:: max(1, len(by_person) // SHOWN_PEOPLE)][:SHOWN_PEOPLE]
    width = round(TILE_HEIGHT_PX * result.job.size[0] / result.job.size[1])
    rows = []
    for person in people:
        shown = by_person[person][:SHOWN_EACH]
        paths = [Path(shown[0]["source"]), *(result.folder / row["file"] for row in shown)]
        tiles = [_tile(path, width) for path in paths]
        tiles += [np.full_like(tiles[0], 255)] * (SHOWN_EACH + 1 - len(tiles))
        rows.append(np.concatenate(tiles, axis=1))
    if not rows:
        return np.full((8, 8, 3), 255, np.uint8)
    return np.concatenate(rows)


def _tile(path: Path, width: int) -> Picture:
    try:
        picture = Image.fromarray(read_picture(path))
    except MagicPoseError:
        picture = Image.new("RGB", (width, TILE_HEIGHT_PX), "white")
    return np.asarray(picture.resize((width, TILE_HEIGHT_PX)))


def _embedded(picture: Picture) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="samples" src="data:image/jpeg;base64,{content}">'
