"""A motion as one picture: the body as it goes, angles, contacts of the feet and speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_summary import (
    foot_contacts,
    foot_heights,
    ground_speed,
    joint_angles,
    turned_angles,
)
from magicpose_cli.body.skeletal_motion import SkeletalMotion, forward_kinematics
from magicpose_cli.errors import OutputError
from magicpose_cli.files import check_writable, whole_file

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

# Okabe and Ito's colors: the left side is green, the right one orange, in every panel.
LEFT, RIGHT, MIDDLE = "#009E73", "#D55E00", "#0072B2"
OTHERS = ("#0072B2", "#E69F00", "#CC79A7", "#000000")
FRAME, GRID, TEXT, QUIET = "#888888", "#E8E8E8", "#000000", "#555555"
WIDTH, MARGIN_LEFT, MARGIN_RIGHT = 1400, 90, 150
FINER = 2  # drawn so many times as large, then reduced: smooth lines
POSES = 12
HEIGHTS = {"front": 170, "side": 184, "angles": 130, "feet": 130, "speed": 110,
           "curves": 130}  # fmt: skip
FACE_ALONE = 3  # joints: a head and its eyes
GAP, TOP, BOTTOM = 34, 74, 48
MAX_POINTS = 4000  # of a line

PanelBox = tuple[int, int, int, int]


def check_motion_plot(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError where a plot could not be written, before any work."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path}: a plot is written as .png; name it so")
    check_writable(path, overwrite)


def write_motion_plot(
    path: Path, motion: SkeletalMotion, title: str, *, overwrite: bool = False
) -> None:
    """Draw the motion as a PNG. Errors: OutputError."""
    check_motion_plot(path, overwrite)
    from PIL import Image, ImageDraw

    places = forward_kinematics(motion)
    bones = humanoid_joints(motion.names, motion.parents)
    angles = joint_angles(places, bones) or turned_angles(motion)
    groups = list(dict.fromkeys(name.split(" ")[-1] for name in angles)) if bones else [""]
    panels = _panels(motion, groups, bool(foot_heights(places, bones)))
    heights = [HEIGHTS[panel.split(" ")[0]] for panel in panels]
    size = (WIDTH, TOP + sum(heights) + GAP * len(heights) + BOTTOM)
    picture = Image.new("RGB", (size[0] * FINER, size[1] * FINER), "white")
    pen = _Pen(ImageDraw.Draw(picture))
    pen.text((MARGIN_LEFT, 22), title, size=19)
    pen.text((MARGIN_LEFT, 48), _headline(motion), color=QUIET)
    seconds = (len(motion) - 1) / float(motion.fps)
    top = TOP
    for panel, height in zip(panels, heights, strict=True):
        box = (MARGIN_LEFT, top + GAP - 8, WIDTH - MARGIN_RIGHT, top + GAP - 8 + height)
        kind, _, group = panel.partition(" ")
        if kind in ("front", "side"):
            _draw_bodies(pen, box, kind, motion, places, bones)
        elif kind == "angles":
            chosen = {name: line for name, line in angles.items() if name.endswith(group)}
            label = f"{group or 'turned'} [degrees]"
            _draw_lines(pen, box, label, chosen)
        elif kind == "curves":
            _draw_lines(pen, box, "face curves that move the most", _busiest(motion))
        elif kind == "feet":
            _draw_feet(pen, box, motion, places, bones, seconds)
        else:
            speed = {"root": ground_speed(motion)}
            _draw_lines(pen, box, "speed over the ground [m/s]", speed)
        top += height + GAP
    _draw_seconds(pen, box, seconds)
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    with whole_file(path, overwrite) as hidden:
        picture.save(hidden, format="PNG")


def _panels(motion: SkeletalMotion, groups: list[str], feet: bool) -> list[str]:
    """What there is to be drawn."""
    panels = ["front", "side"] if len(motion.names) > FACE_ALONE else []
    panels += [f"angles {group}" for group in groups]
    panels += ["feet"] if feet else []
    panels += ["speed"] if np.ptp(motion.root_m, axis=0).any() else []
    return panels + (["curves"] if motion.curves else [])


def _busiest(motion: SkeletalMotion) -> dict[str, AnyArray]:
    order = sorted(motion.curves, key=lambda name: -float(np.ptp(motion.curves[name])))
    return {name: motion.curves[name] for name in order[: len(OTHERS)]}


class _Pen:
    """Draws in the picture's own pixels, whatever FINER is."""

    def __init__(self, draw: ImageDraw.ImageDraw):
        self._draw = draw
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def text(
        self, place: tuple[float, float], text: str, *, color: str = TEXT, size: int = 13,
        anchor: str = "lm",
    ) -> None:  # fmt: skip
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * FINER)
        shown = "".join(c if c.isprintable() else "?" for c in text)[:120]
        self._draw.text((place[0] * FINER, place[1] * FINER), shown, fill=color,
                        font=self._fonts[size], anchor=anchor)  # fmt: skip

    def line(self, points: AnyArray, color: str, width: float = 1.4) -> None:
        """points: (N, 2) pixels."""
        if len(points) == 1:
            points = points + np.array([[-2.0, 0.0], [2.0, 0.0]])
        flat = [(float(x) * FINER, float(y) * FINER) for x, y in points]
        self._draw.line(flat, fill=color, width=max(round(width * FINER), 1), joint="curve")

    def box(self, box: tuple[float, float, float, float], color: str) -> None:
        left, top, right, bottom = (side * FINER for side in box)
        self._draw.rectangle((left, top, max(right, left), max(bottom, top)), fill=color)


def _headline(motion: SkeletalMotion) -> str:
    told = [f"{len(motion)} frames", f"{float(motion.fps):.5g} fps", f"{motion.duration_s:.2f} s",
            f"{len(motion.names)} joints"]  # fmt: skip
    if motion.curves:
        told.append(f"{len(motion.curves)} face curves")
    return ", ".join(told) + "; left is green, right is orange"


def _side_color(name: str, bones: Mapping[str, int], joint: int) -> str:
    for bone, number in bones.items():
        if number == joint:
            name = bone
    lower = name.lower()
    return LEFT if lower.startswith("left") else RIGHT if lower.startswith("right") else MIDDLE


def _draw_bodies(
    pen: _Pen,
    box: PanelBox,
    view: str,
    motion: SkeletalMotion,
    places: AnyArray,
    bones: Mapping[str, int],
) -> None:
    """Bodies at even times, seen from the front (x to the right) or from their left side.

    The one ground is the lowest that any joint is; what the root travels is taken out.
    """
    left, top, right, bottom = box
    bottom -= 14 if view == "side" else 0  # for the times
    frames = np.linspace(0, len(places) - 1, min(POSES, len(places))).round().astype(int)
    shown = places[frames] - places[frames][:, :1] * [1.0, 0.0, 1.0]
    lowest, highest = float(places[..., 1].min()), float(places[..., 1].max())
    scale = (bottom - top) / max(highest - lowest, 0.2)
    across = shown[..., 0] if view == "front" else -shown[..., 2]
    step = (right - left) / len(frames)
    widest = max(float(np.quantile(np.abs(shown[..., [0, 2]]).max(axis=(1, 2)), 0.9)), 1e-6)
    scale = min(scale, 0.98 * step / (2 * widest))  # the same from both sides
    pen.line(np.array([[left, bottom], [right, bottom]]), FRAME, 1)
    pen.text((left, top - 12), f"seen from the {'front' if view == 'front' else 'left side'}",
             color=QUIET)  # fmt: skip
    colors = [_side_color(name, bones, joint) for joint, name in enumerate(motion.names)]
    for number in range(len(frames)):
        x = left + step * (number + 0.5) + across[number] * scale
        y = bottom - (shown[number, :, 1] - lowest) * scale
        points = np.stack([x, y], axis=1)
        for joint in range(1, len(motion.names)):
            pen.line(points[[motion.parents[joint], joint]], colors[joint], 1.6)
    if view == "side":
        for number, frame in enumerate(frames):
            time = f"{frame / float(motion.fps):.2f} s"
            pen.text((left + step * (number + 0.5), bottom + 11), time, color=QUIET, anchor="mm")


def _draw_lines(pen: _Pen, box: PanelBox, label: str, lines: Mapping[str, AnyArray]) -> None:
    """Lines over time with a scale from 0 or below, and their names to the right."""
    left, top, right, bottom = box
    low = min(0.0, *(float(line.min()) for line in lines.values()))
    high = max(float(line.max()) for line in lines.values())
    high = high if high - low > 1e-6 else low + 1.0
    ticks = _ticks(low, high)
    high = max(high, ticks[-1])
    for tick in ticks:
        y = bottom - (tick - low) / (high - low) * (bottom - top)
        pen.line(np.array([[left, y], [right, y]]), GRID, 1)
        pen.text((left - 8, y), f"{tick:g}", color=QUIET, anchor="rm")
    pen.text((left, top - 12), label, color=QUIET)
    for number, (name, line) in enumerate(lines.items()):
        color = _line_color(name, number)
        pen.line(_curve(box, line, low, high), color)
        pen.text((right + 10, top + 10 + 20 * number), name[:18], color=color)


def _line_color(name: str, number: int) -> str:
    if name.startswith("left "):
        return LEFT
    return RIGHT if name.startswith("right ") else OTHERS[number % len(OTHERS)]


def _curve(box: PanelBox, line: AnyArray, low: float, high: float) -> AnyArray:
    left, top, right, bottom = box
    kept = np.linspace(0, len(line) - 1, min(len(line), MAX_POINTS)).round().astype(int)
    x = left + kept / max(len(line) - 1, 1) * (right - left)
    y = bottom - (line[kept] - low) / (high - low) * (bottom - top)
    return np.stack([x, y], axis=1)


def _draw_feet(
    pen: _Pen, box: PanelBox, motion: SkeletalMotion, places: AnyArray, bones: Mapping[str, int],
    seconds: float,
) -> None:  # fmt: skip
    """The ankles' heights, and below them a bar wherever a foot stands."""
    left, top, right, bottom = box
    heights = {f"{side} ankle": line for side, line in foot_heights(places, bones).items()}
    _draw_lines(pen, (left, top, right, bottom - 28), "height of the ankles [m], and where a foot "
                "stands", heights)  # fmt: skip
    for number, (side, stands) in enumerate(foot_contacts(motion, places, bones).items()):
        color = LEFT if side == "left" else RIGHT
        y = bottom - 18 + 11 * number
        pen.text((right + 10, y + 4), f"{side}: {100 * stands.mean():.0f} %", color=color, size=11)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], stands.astype(int), [0]])))
        for start, end in edges.reshape(-1, 2):
            x = [left + place / len(stands) * (right - left) for place in (start, end)]
            pen.box((x[0], y, x[1], y + 8), color)


def _draw_seconds(pen: _Pen, box: PanelBox, seconds: float) -> None:
    left, _, right, bottom = box
    for tick in _ticks(0.0, seconds) if seconds > 0 else [0.0]:
        x = left + (tick / seconds * (right - left) if seconds > 0 else 0)
        if x <= right + 1:
            pen.text((x, bottom + 14), f"{tick:g}", color=QUIET, anchor="mm")
    pen.text(((left + right) / 2, bottom + 32), "seconds", color=QUIET, anchor="mm")


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about four."""
    rough = max((high - low) / 4, 1e-9)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    return [round(float(step * number), 12) + 0.0 for number in np.arange(first, last + 1)]
