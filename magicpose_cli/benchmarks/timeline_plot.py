"""Who worked when, as a picture: a row a stage, a bar for each piece of work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magicpose_cli.config.extras import needed
from magicpose_cli.evaluation.plots import COLORS
from magicpose_cli.files import whole_file
from magicpose_cli.run.stage_timer import Span

THINNEST = 1 / 2000  # of the width, so that the shortest piece of work is seen


def plot_timeline(spans: Sequence[Span], path: Path) -> None:
    """Draw the spans of a Clock; the picture's format is the suffix's.

    Stages stand in the order in which they began, each with its share of the whole time.
    """
    rows: dict[str, list[tuple[float, float]]] = {}
    for stage, begin, end in sorted(spans, key=lambda span: span[1]):
        rows.setdefault(stage, []).append((begin, end))
    whole = max(end for _, _, end in spans)
    figure = needed("matplotlib.figure").Figure(
        figsize=(9, 0.9 + 0.35 * len(rows)), layout="constrained"
    )
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    for row, (pieces, color) in enumerate(zip(rows.values(), COLORS * len(rows), strict=False)):
        bars = [(begin, max(end - begin, whole * THINNEST)) for begin, end in pieces]
        axes.broken_barh(bars, (row - 0.35, 0.7), facecolors=color)
    axes.set_yticks(range(len(rows)), [_told(*row, whole) for row in rows.items()])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, whole)
    axes.set_xlabel("seconds")
    with whole_file(path, overwrite=True) as hidden:
        figure.savefig(hidden, dpi=120, format=path.suffix[1:] or "png")


def busy_share(pieces: Sequence[tuple[float, float]], whole: float) -> float:
    """The share of `whole` seconds in which at least one piece of work went on."""
    busy, until = 0.0, 0.0
    for begin, end in sorted(pieces):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy / whole if whole else 0.0


def _told(stage: str, pieces: Sequence[tuple[float, float]], whole: float) -> str:
    return f"{stage}, {100 * busy_share(pieces, whole):.0f} %"
