"""The text of a BVH file: a tree of joints with their channels, and rows of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.checks import (
    MAX_JOINTS,
    check_counts,
    check_rate,
    rate_near,
    read_text_within,
    refuse_motion,
)
from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import MAX_CLIP_FRAMES

CHANNELS = {f"{axis}{kind}" for axis in "xyz" for kind in ("position", "rotation")}
MAX_DEPTH = 256
MAX_NUMBER = 1e7  # of an angle in degrees or a place in the file's unit
END = "_end"  # what an end site is called after its joint
LINES_AT_ONCE = 4096


@dataclass
class BvhJoint:
    """A joint as the file has it: offset in the file's unit, channels such as "xrotation"."""

    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)
    is_end: bool = False


@dataclass(frozen=True)
class BvhText:
    """joints: parents first. values: (F, C) numbers, channels in the joints' order."""

    joints: list[BvhJoint]
    values: AnyArray
    fps: float | Fraction
    notes: tuple[str, ...]


def parse_bvh(path: Path) -> BvhText:
    """Take the file apart.

    More or fewer frames than it tells are a note; a last row that is cut off is left out.

    Errors: InputError naming the line that is not as it should be.
    """
    lines = enumerate(read_text_within(path).splitlines(), 1)
    joints = _hierarchy(path, lines)
    told, fps = _head_of_motion(path, lines)
    width = sum(len(joint.channels) for joint in joints)
    if width == 0:
        refuse_motion(path, "CHANNELS", "rotations of joints", "none")
    numbers = _numbers(path, lines, width)
    frames, rest = divmod(len(numbers), width)
    check_counts(path, len(joints), frames)
    notes = []
    if rest:
        notes.append(f"the last of {frames + 1} frames is cut off and left out")
    if frames != told:
        notes.append(f"the file tells {told} frames and holds {frames}")
    return BvhText(joints, numbers[: frames * width].reshape(frames, width), fps, tuple(notes))


def _hierarchy(path: Path, lines: Iterator[tuple[int, str]]) -> list[BvhJoint]:
    joints: list[BvhJoint] = []
    open_joints: list[int] = []
    for number, line in lines:
        words = line.replace("{", " { ").replace("}", " } ").split()
        if not words or words[0].upper() == "HIERARCHY":
            continue
        if words[0].upper() == "MOTION":
            if open_joints or not joints:
                _refuse(path, number, "every joint closed by }" if joints else "a ROOT", line)
            return joints
        while words:
            word = words.pop(0)
            if word.upper() in ("ROOT", "JOINT", "END"):
                end = next((n for n, w in enumerate(words) if w in "{}"), len(words))
                name = " ".join(words[:end])
                _open(path, number, line, joints, open_joints, word.upper(), name)
                words = words[end:]
            elif word == "{":
                continue
            elif word == "}":
                if not open_joints:
                    _refuse(path, number, "as many } as {", line)
                open_joints.pop()
            elif word.upper() == "OFFSET" and open_joints:
                x, y, z = _three(path, number, words[:3], line)
                joints[open_joints[-1]].offset = (x, y, z)
                words = words[3:]
            elif word.upper() == "CHANNELS" and open_joints:
                count = int(words[0]) if words and re.fullmatch(r"\d", words[0]) else -1
                channels = [w.lower() for w in words[1 : 1 + count]]
                if len(channels) != count or not set(channels) <= CHANNELS:
                    _refuse(
                        path, number, "CHANNELS, their number, and Xrotation and the like", line
                    )
                if len(set(channels)) != count:
                    _refuse(path, number, "channels that differ", line)
                joints[open_joints[-1]].channels = channels
                words = words[1 + count :]
            else:
                _refuse(path, number, "ROOT, JOINT, End Site, OFFSET or CHANNELS", line)
    raise InputError(f"{path}: is no BVH file, or one that is cut off; expected a line MOTION")


def _open(
    path: Path, number: int, line: str, joints: list[BvhJoint], open_joints: list[int],
    kind: str, name: str,
) -> None:  # fmt: skip
    if (kind == "ROOT") != (not joints):
        _refuse(path, number, "one ROOT, then JOINTs in it", line)
    if kind != "ROOT" and not open_joints:
        _refuse(path, number, "a joint within another", line)
    if len(joints) >= MAX_JOINTS or len(open_joints) >= MAX_DEPTH:
        _refuse(path, number, f"{MAX_JOINTS} joints at most, {MAX_DEPTH} in a chain", line)
    parent = open_joints[-1] if open_joints else -1
    end = kind == "END"
    joints.append(BvhJoint(f"{joints[parent].name}{END}" if end else name, parent, is_end=end))
    open_joints.append(len(joints) - 1)


def _head_of_motion(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[int, float | Fraction]:
    """The number of frames and the rate."""
    frames: int | None = None
    for number, line in lines:
        if not line.strip():
            continue
        key, _, value = line.partition(":")
        key = " ".join(key.lower().split())
        value = value.strip().replace(",", ".")
        if key == "frames":
            if not re.fullmatch(r"\d{1,9}", value) or int(value) > MAX_CLIP_FRAMES:
                _refuse(path, number, f"Frames: up to {MAX_CLIP_FRAMES}", line)
            frames = int(value)
        elif key == "frame time":
            (seconds,) = _floats(path, number, [value], line)
            if not 0 < seconds < 1e4 or len(value) > 40:
                _refuse(path, number, "Frame Time: seconds above 0", line)
            if frames is None:
                _refuse(path, number, "Frames: before Frame Time:", line)
            return frames, check_rate(path, _rate(value, seconds))
        else:
            _refuse(path, number, "Frames: or Frame Time:", line)
    raise InputError(f"{path}: is cut off; expected Frames: and Frame Time: after MOTION")


def _rate(text: str, seconds: float) -> float | Fraction:
    """The rate that was rounded to this frame time."""
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return rate_near(1 / seconds, max(0.6 * 10.0**-decimals / seconds, 1e-6))


def _numbers(path: Path, lines: Iterator[tuple[int, str]], width: int) -> AnyArray:
    blocks: list[AnyArray] = []
    count, most = 0, MAX_CLIP_FRAMES * width
    while True:
        block = [entry for _, entry in zip(range(LINES_AT_ONCE), lines, strict=False)]
        if not block:
            return np.concatenate(blocks) if blocks else np.zeros(0)
        words = " ".join(line for _, line in block).split()
        try:
            numbers = np.array(words, np.float64)
        except ValueError:
            numbers = np.concatenate([np.zeros(0), *(
                _floats(path, number, line.split(), line) for number, line in block)])  # fmt: skip
        if not (np.abs(numbers) <= MAX_NUMBER).all():
            odd = words[int(np.argmax(~(np.abs(numbers) <= MAX_NUMBER)))]
            _refuse(path, block[0][0], f"numbers up to {MAX_NUMBER:g} from here on", odd)
        count += len(numbers)
        if count > most:
            refuse_motion(path, "frames", f"{MAX_CLIP_FRAMES} at most", "more")
        blocks.append(numbers)


def _three(path: Path, number: int, words: list[str], line: str) -> tuple[float, float, float]:
    if len(words) != 3:
        _refuse(path, number, "three numbers", line)
    values = _floats(path, number, words, line)
    if not (np.abs(values) <= MAX_NUMBER).all():
        _refuse(path, number, f"numbers up to {MAX_NUMBER:g}", line)
    x, y, z = values.tolist()
    return x, y, z


def _floats(path: Path, number: int, words: list[str], line: str) -> AnyArray:
    try:
        return np.array([float(word) for word in words], np.float64)
    except ValueError:
        _refuse(path, number, "numbers", line)


def _refuse(path: Path, number: int, expected: str, line: str) -> NoReturn:
    refuse_motion(path, f"line {number}", expected, repr(line.strip())[:60])
