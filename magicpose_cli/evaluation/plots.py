"""Plots as SVG, drawn by matplotlib, to be laid into a page as they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.config.extras import needed
from magicpose_cli.evaluation.totals import MetricRow, column, correlation, without

COLORS = ("#3366aa", "#dd7722", "#338855", "#aa3377", "#777777", "#bb9911")


def distributions(metric: Any, columns: dict[str, Floats], baseline: str | None) -> str | None:
    """SVG of how a metric's values spread, one line a row of the table; None without values.

    columns: values by the row's name, NaN where there are none. baseline: name of the row that is
    drawn dashed.
    """
    finite = {name: values[np.isfinite(values)] for name, values in columns.items()}
    finite = {name: values for name, values in finite.items() if len(values) > 1}
    if not finite:
        return None
    everything = np.concatenate(list(finite.values()))
    low, high = np.percentile(everything, (0.5, 99.5))
    if low == high:
        return None
    figure, axes = _figure()
    bins = np.linspace(low, high, int(np.clip(2 * len(everything) ** 0.5, 8, 32)))
    colors = iter(COLORS * len(finite))
    for name, values in finite.items():
        dashed = name == baseline
        axes.hist(
            np.clip(values, low, high),
            bins,
            histtype="step",
            color="black" if dashed else next(colors),
            linestyle="--" if dashed else "-",
            label=f"{name}: {values.mean():.3g}",
        )
    unit = f" [{metric.unit}]" if metric.unit else ""
    axes.set_xlabel(f"{metric.name}{unit} ({metric.better} is better)")
    axes.set_ylabel("pictures")
    _legend(axes)
    return _svg(figure, metric.key)


def identity_against_pose(
    poses: Sequence[MetricRow], rows: dict[str, list[MetricRow]]
) -> tuple[str | None, dict[str, Any]]:
    """SVG of color error over pose distance, and the correlation of each row of the table.

    poses: pose_distance and person_height of each picture. Identity and pose come apart where the
    error does not grow with the distance: r near 0. Small people have more joints in the picture,
    hence larger distances, and smaller regions: so r is also told with the part of both that
    follows the person's height (its logarithm) taken out.
    """
    distance, size = column(poses, "pose_distance"), np.log(column(poses, "person_height"))
    figure, axes = _figure(wide=True)
    found: dict[str, Any] = {}
    for (name, own), color in zip(rows.items(), COLORS * len(rows), strict=False):
        error = column(own, "color")
        r, count = correlation(distance, error)
        if r is None:
            continue
        both = np.isfinite(distance) & np.isfinite(error)
        slope, start = np.polyfit(distance[both], error[both], 1)
        alike, _ = correlation(without(distance, size), without(error, size))
        found[name] = {
            "r": r,
            "r_at_equal_size": alike,
            "slope_per_percent": float(slope),
            "count": count,
        }
        axes.plot(distance, error, ".", markersize=4, alpha=0.6, color=color)
        ends = np.array([distance[both].min(), distance[both].max()])
        axes.plot(ends, start + slope * ends, color=color, label=_captioned(name, r, alike))
    axes.set_xlabel("distance between the reference's and the asked pose [% of body height]")
    axes.set_ylabel("color error [dE00]")
    axes.set_ylim(bottom=0)
    if found:
        _legend(axes)
    return (_svg(figure, "scatter") if found else None), found


def _figure(wide: bool = False) -> tuple[Any, Any]:
    """A figure that belongs to nobody: matplotlib's own state is left alone."""
    figure = needed("matplotlib.figure").Figure(figsize=(7.2 if wide else 4.2, 2.8))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _captioned(name: str, r: float, alike: float | None) -> str:
    return f"{name}: r = {r:+.2f}" + ("" if alike is None else f", at equal size {alike:+.2f}")


def _legend(axes: Any) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=8)


def _svg(figure: Any, salt: str) -> str:
    """The <svg> element; equal for equal data, with names of its own in a page of several."""
    matplotlib = needed("matplotlib")
    figure.tight_layout()
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = file.getvalue()
    return text[text.index("<svg") :]
