"""A clip of poses as one picture: what is seen when, how the joints move, where the gaps are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.config.extras import needed
from magicpose_cli.errors import OutputError
from magicpose_cli.files import check_writable, whole_file
from magicpose_cli.pose.clip import PART_COLUMNS, PeopleClip, PoseClip
from magicpose_cli.pose.summary import Summary, summarize
from magicpose_cli.pose.tracking.runs import runs

# Okabe and Ito's colors, which people of every color vision tell apart.
PART_COLORS = {
    "body": "#0072B2",
    "face": "#E69F00",
    "left_hand": "#009E73",
    "right_hand": "#CC79A7",
}
PLOTTED_JOINT_COLORS = {
    "nose": "#000000",
    "right_wrist": "#CC79A7",
    "left_wrist": "#009E73",
    "right_ankle": "#D55E00",
    "left_ankle": "#56B4E9",
}
GAP_COLOR = "#DDDDDD"
SIZE_INCHES, DOTS_PER_INCH = (12.8, 8.0), 110
MAX_COLUMNS = 1200  # of the bars: as many as there are dots across


def check_plot(path: Path, overwrite: bool = False) -> None:
    """Raise where a plot could not be written, before any work.

    Errors: OutputError for another suffix and for what exists; ConfigError without matplotlib.
    """
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path}: a plot is written as .png; name it so")
    check_writable(path, overwrite)
    needed("matplotlib.figure", "plot:")


def write_plot(path: Path, clip: PeopleClip, title: str, *, overwrite: bool = False) -> None:
    """Draw the clip's largest person as a PNG. Errors: OutputError, ConfigError."""
    figure = needed("matplotlib.figure", "plot:").Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    person, summary = clip.largest, summarize(clip)
    person.forget_impossible_points()
    step = 1 / clip.fps if clip.fps else 1.0
    times = np.arange(len(person)) * step
    grid = figure.add_gridspec(
        4, 2, width_ratios=(2.6, 1), height_ratios=(1.1, 1.3, 1.3, 1),
        left=0.085, right=0.975, top=0.875, bottom=0.07, hspace=0.24, wspace=0.16,
    )  # fmt: skip
    figure.text(0.085, 0.955, title, fontsize=13, weight="bold", parse_math=False)
    figure.text(0.085, 0.925, _headline(summary), fontsize=9.5, color="#444444")
    over_time = [figure.add_subplot(grid[row, 0]) for row in range(4)]
    _draw_seen(over_time[0], person, times, step)
    _draw_joints(over_time[1], person, times, 0, "left to right [px]")
    _draw_joints(over_time[2], person, times, 1, "top to bottom [px]")
    _draw_scores(over_time[3], person, times)
    gaps = list(runs(~person.seen.any(axis=1)))
    for axes in over_time:
        axes.set_xlim(times[0] - step / 2, times[-1] + step / 2)
        axes.spines[["top", "right"]].set_visible(False)
        if axes is not over_time[-1]:
            axes.tick_params(labelbottom=False)
        for start, end in gaps:
            axes.axvspan((start - 0.5) * step, (end - 0.5) * step, color=GAP_COLOR, lw=0, zorder=0)
    over_time[-1].set_xlabel("seconds" if clip.fps else "frames")
    _draw_paths(figure.add_subplot(grid[:2, 1]), person)
    _draw_parts(figure.add_subplot(grid[2, 1]), summary)
    _draw_jitter(figure.add_subplot(grid[3, 1]), summary)
    with whole_file(path, overwrite) as hidden:
        figure.savefig(hidden, format="png")


def _headline(summary: Summary) -> str:
    told = [f"{summary.frames} frames", f"{summary.width}x{summary.height}"]
    if summary.fps:
        told.insert(1, f"{summary.fps:g} fps")
    told.append(f"somebody in {100 * summary.seen:.4g} % of the frames")
    if summary.gaps:
        longest = summary.longest_gap
        length = f"{longest / summary.fps:.2f} s" if summary.fps else f"{longest} frames"
        told.append(f"{summary.gaps} gaps (shaded), the longest {length}")
    if summary.people_most > 1:
        told.append(f"up to {summary.people_most} people; drawn is the largest")
    return ", ".join(told)


def _named(part: str) -> str:
    return part.replace("_", " ")


def _draw_seen(axes: Any, clip: PoseClip, times: Floats, step: float) -> None:
    """A bar a part, in full color where all of its points are seen and white where none are."""
    from matplotlib.colors import to_rgb

    edges = np.linspace(0, len(clip), min(MAX_COLUMNS, len(clip)) + 1).round().astype(int)
    for row, (part, columns) in enumerate(PART_COLUMNS.items()):
        share = np.add.reduceat(clip.seen[:, columns].mean(axis=1), edges[:-1]) / np.diff(edges)
        color = np.array(to_rgb(PART_COLORS[part]))
        picture = np.concatenate([np.broadcast_to(color, (len(share), 3)), share[:, None]], axis=1)[
            None
        ]
        extent = (times[0] - step / 2, times[-1] + step / 2, row + 0.4, row - 0.4)
        axes.imshow(picture, extent=extent, aspect="auto", interpolation="nearest", zorder=2)
    axes.set_ylim(len(PART_COLUMNS) - 0.5, -0.5)
    axes.set_yticks(range(len(PART_COLUMNS)), [_named(part) for part in PART_COLUMNS])
    axes.tick_params(left=False)
    axes.set_title("points seen", fontsize=9, loc="left", pad=3)


def _draw_joints(axes: Any, clip: PoseClip, times: Floats, axis: int, label: str) -> None:
    for joint, color in PLOTTED_JOINT_COLORS.items():
        axes.plot(times, clip.joint(joint)[:, axis], color=color, lw=1.2, zorder=2,
                  marker="." if len(times) == 1 else None, label=_named(joint))  # fmt: skip
    axes.set_ylabel(label, fontsize=9)
    if axis == 1:
        axes.invert_yaxis()
    else:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 0.95), ncols=len(PLOTTED_JOINT_COLORS),
            fontsize=8.5,
            frameon=False, handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
    axes.grid(axis="y", color="#EEEEEE", zorder=0)


def _draw_scores(axes: Any, clip: PoseClip, times: Floats) -> None:
    """The mean score of the points that are seen."""
    for part, columns in PART_COLUMNS.items():
        scores, seen = clip.scores[:, columns], clip.seen[:, columns].sum(axis=1)
        mean = np.where(seen > 0, scores.sum(axis=1) / np.maximum(seen, 1), np.nan)
        axes.plot(times, mean, color=PART_COLORS[part], lw=1.2, zorder=2,
                  marker="." if len(times) == 1 else None)  # fmt: skip
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("mean score", fontsize=9)
    axes.grid(axis="y", color="#EEEEEE", zorder=0)


def _draw_paths(axes: Any, clip: PoseClip) -> None:
    """Where the joints go in the picture."""
    for joint, color in PLOTTED_JOINT_COLORS.items():
        axes.plot(*clip.joint(joint).T, ".-", color=color, lw=0.9, ms=1.5, alpha=0.8)
    axes.set_xlim(0, clip.width)
    axes.set_ylim(clip.height, 0)
    axes.set_aspect("equal")
    axes.set_title("paths in the picture [px]", fontsize=9, loc="left", pad=3)
    axes.set_anchor("N")
    axes.tick_params(labelsize=8, labelbottom=False)


def _draw_parts(axes: Any, summary: Summary) -> None:
    shares = {_named(part): 100 * told.seen for part, told in summary.parts.items()}
    _draw_bars(axes, shares, "{:.0f} %", 100)
    axes.set_title("points seen, over all frames", fontsize=9, loc="left", pad=3)


def _draw_jitter(axes: Any, summary: Summary) -> None:
    told = {_named(part): part_summary.jitter for part, part_summary in summary.parts.items()}
    known = {name: jitter or 0.0 for name, jitter in told.items()}
    _draw_bars(axes, known, "{:.2f} %", max(*known.values(), 0.1))
    axes.set_title("jitter, of the person's size", fontsize=9, loc="left", pad=3)


def _draw_bars(axes: Any, values: dict[str, float], form: str, most: float) -> None:
    colors = list(PART_COLORS.values())
    axes.barh(range(len(values)), list(values.values()), color=colors, height=0.7)
    for row, value in enumerate(values.values()):
        axes.text(value + 0.02 * most, row, form.format(value), va="center", fontsize=8)
    axes.set_yticks(range(len(values)), list(values), fontsize=8.5)
    axes.set_xlim(0, 1.2 * most)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
