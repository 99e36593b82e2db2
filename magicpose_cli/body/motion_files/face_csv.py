"""Face curves as CSV: of Epic's Live Link Face, and plain ones with a column of seconds.

Live Link Face writes `Timecode` (HH:MM:SS:FF.fff), `BlendshapeCount`, Apple's 52 curves with a
capital first letter, and nine angles in radians, of the head and of both eyes. The angles become
rotations of the joints head, leftEye and rightEye: yaw about y, then pitch about x, then roll about
z. The app documents no signs; a mirrored picture may be meant.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_files.checks import (
    check_counts,
    check_rate,
    checked_motion,
    known_curve,
    rate_near,
    read_text_within,
    refuse_motion,
)
from magicpose_cli.body.skeletal_motion import (
    ARKIT_CURVES,
    SkeletalMotion,
    world_rotations,
)
from magicpose_cli.errors import InputError
from magicpose_cli.files import whole_file
from magicpose_cli.pose.files.clip import MAX_CLIP_FRAMES

TIMECODE, COUNT = "Timecode", "BlendshapeCount"
FACE_JOINTS = ("head", "leftEye", "rightEye")
FACE_PARENTS = (-1, 0, 0)
FACE_OFFSETS_M = ((0.0, 0.0, 0.0), (0.032, 0.07, 0.08), (-0.032, 0.07, 0.08))
ANGLES = tuple(f"{joint}{way}" for joint in ("Head", "LeftEye", "RightEye")
               for way in ("Yaw", "Pitch", "Roll"))  # fmt: skip
SECONDS = {"time", "times", "seconds", "timestamp"}
CODE_RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120)  # frames that a time code may count in a second
MAX_CSV_COLUMNS = 256
LIVE_LINK_FPS = 60.0


def read_face_csv(path: Path, *, fps: float | None = None) -> SkeletalMotion:
    """Read a CSV of face curves.

    Frames that are missing or not even in time are made up between their neighbors.

    Args:
        path: the file.
        fps: frames a second, in place of what the times tell.

    Returns: a motion of head and eyes with curves.
    Errors: InputError naming line and column.
    """
    text = read_text_within(path)
    header, rows = _table(path, text)
    coded = header[0].strip().lower() == TIMECODE.lower()
    if not coded and _plain(header[0]) not in SECONDS | {"frame"}:
        raise InputError(
            f"{path}: is no CSV of face curves; expected a first column {TIMECODE} (of Live Link "
            f"Face), time in seconds or frame, got {header[0]!r:.40}"
        )
    columns = {known: number for number, name in enumerate(header) if (known := known_curve(name))}
    angles = {_plain(name): number for number, name in enumerate(header)
              if _plain(name) in {angle.lower() for angle in ANGLES}}  # fmt: skip
    if not columns:
        refuse_motion(path, "columns", "ARKit's curves such as jawOpen", ", ".join(header[:6]))
    values = _values(path, header, rows, sorted({*columns.values(), *angles.values()}))
    notes: list[str] = []
    if coded:
        times = _times_of_codes(path, rows, fps, notes)
    elif _plain(header[0]) == "frame":
        times = np.arange(len(rows)) / (fps or LIVE_LINK_FPS)
    else:
        times = _column(path, header, rows, 0)
    times, values, rate = _even(path, times, values, fps, notes)
    curves = {name: values[number] for name, number in columns.items()}
    count = len(times)
    turns = np.zeros((count, len(FACE_JOINTS), 3))
    for place, angle in enumerate(ANGLES):
        if angle.lower() in angles:
            turns[:, place // 3, place % 3] = values[angles[angle.lower()]]
    rotations = Rotation.from_euler("YXZ", turns.reshape(-1, 3)).as_quat()
    return checked_motion(
        path, FACE_JOINTS, FACE_PARENTS, np.array(FACE_OFFSETS_M),
        rotations.reshape(count, len(FACE_JOINTS), 4), np.zeros((count, 3)), rate, curves,
        notes=tuple(notes),
    )  # fmt: skip


def write_live_link_csv(path: Path, motion: SkeletalMotion, *, overwrite: bool = False) -> None:
    """Write as Live Link Face does: all 52 curves, those that are lacking as 0, and angles.

    The head's are relative to the hips, the eyes' to the head. Time codes count as many frames a
    second as the motion has, rounded. Errors: OutputError.
    """
    frames = max(round(motion.fps), 1)
    header = [TIMECODE, COUNT, *(_capital(name) for name in ARKIT_CURVES), *ANGLES]
    columns = np.concatenate([_curve_table(motion), face_angles(motion)], axis=1)
    rows = []
    for number, values in enumerate(columns):
        seconds, part = divmod(Fraction(number) / Fraction(motion.fps), 1)
        code = _code(int(seconds), float(part * frames), frames)
        rows.append([code, str(len(ARKIT_CURVES) + len(ANGLES)), *map(_number, values)])
    _write_table(path, header, rows, overwrite)


def write_curves_csv(path: Path, motion: SkeletalMotion, *, overwrite: bool = False) -> None:
    """Write a column of seconds and ARKit's 52 curves. Errors: OutputError."""
    header = ["time", *ARKIT_CURVES]
    rows = [[f"{float(number / motion.fps):.6f}", *map(_number, values)]
            for number, values in enumerate(_curve_table(motion))]  # fmt: skip
    _write_table(path, header, rows, overwrite)


def face_angles(motion: SkeletalMotion) -> AnyArray:
    """(F, 9) radians: yaw, pitch and roll of the head and of both eyes; 0 of those unknown."""
    joints = humanoid_joints(motion.names, motion.parents)
    if not joints:
        joints = {name: motion.names.index(name) for name in FACE_JOINTS if name in motion.names}
    angles = np.zeros((len(motion), len(ANGLES)))
    world = world_rotations(motion)
    for place, name in enumerate(FACE_JOINTS):
        base = joints.get("hips" if name == "head" else "head")
        if name not in joints:
            continue
        turn = Rotation.from_quat(world[:, joints[name]])
        if base is not None:
            turn = Rotation.from_quat(world[:, base]).inv() * turn
        x, y, z = turn.as_matrix().transpose(2, 1, 0)  # (3, F) each: the axes' columns
        angles[:, 3 * place] = np.arctan2(z[0], z[2])
        angles[:, 3 * place + 1] = np.arctan2(-z[1], np.hypot(z[0], z[2]))
        angles[:, 3 * place + 2] = np.arctan2(x[1], y[1])
    return angles


def _curve_table(motion: SkeletalMotion) -> AnyArray:
    none = np.zeros(len(motion))
    return np.stack([motion.curves.get(name, none) for name in ARKIT_CURVES], axis=1)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(value: float) -> str:
    return f"{value:.9g}"


def _code(seconds: int, frame: float, frames: int) -> str:
    whole = min(int(frame), frames - 1)
    rest = min(round((frame - whole) * 1000), 999)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}:{whole:02}.{rest:03}"


def _write_table(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], overwrite: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    with whole_file(path, overwrite) as hidden:
        hidden.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def _table(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    try:
        lines = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV ({error}); expected curves of a face") from error
    if len(lines) < 2:
        refuse_motion(path, "rows", "a header and rows of numbers", f"{len(lines)} lines")
    header, rows = lines[0], lines[1:]
    if not 2 <= len(header) <= MAX_CSV_COLUMNS:
        refuse_motion(path, "columns", f"2 to {MAX_CSV_COLUMNS}", len(header))
    check_counts(path, len(FACE_JOINTS), len(rows))
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            refuse_motion(path, f"line {number}", f"{len(header)} values", len(row))
    return header, rows


def _values(
    path: Path, header: list[str], rows: list[list[str]], numbers: list[int]
) -> dict[int, AnyArray]:
    return {number: _column(path, header, rows, number) for number in numbers}


def _column(path: Path, header: list[str], rows: list[list[str]], number: int) -> AnyArray:
    try:
        column = np.array([row[number] for row in rows], np.float64)
    except ValueError:
        _refuse_column(path, header[number], rows, number)
    if not (np.abs(column) < 1e9).all():  # nor NaN
        _refuse_column(path, header[number], rows, number)
    return column


def _refuse_column(path: Path, name: str, rows: list[list[str]], number: int) -> NoReturn:
    for line, row in enumerate(rows, 2):
        if not re.fullmatch(r"\s*[-+]?\d*\.?\d*(e[-+]?\d+)?\s*", row[number], re.IGNORECASE):
            refuse_motion(path, f"line {line}: {name:.40}", "a number", repr(row[number])[:40])
    refuse_motion(path, f"{name:.40}", "numbers below 1e9", "others")


def _times_of_codes(
    path: Path, rows: list[list[str]], fps: float | None, notes: list[str]
) -> AnyArray:
    """(F,) seconds of the time codes from the first one on, over midnight, too."""
    whole, frames = np.zeros(len(rows)), np.zeros(len(rows))
    for number, row in enumerate(rows):
        found = re.fullmatch(
            r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,3}(?:\.\d{1,9})?)\s*", row[0]
        )
        if not found:
            refuse_motion(
                path, f"line {number + 2}: {TIMECODE}", "HH:MM:SS:FF.fff", repr(row[0])[:40]
            )
        hours, minutes, seconds, frame = (float(part) for part in found.groups())
        whole[number], frames[number] = 3600 * hours + 60 * minutes + seconds, frame
    above = [rate for rate in CODE_RATES if rate > np.floor(frames.max())]
    if not above:
        refuse_motion(path, TIMECODE, f"frames below {CODE_RATES[-1]}", f"{frames.max():g}")
    rate = fps or (above[0] if np.ptp(whole) > 0 else max(above[0], LIVE_LINK_FPS))
    fewest = np.floor(frames.max()) + 1  # of files of any rate, such as our own
    if not fps and np.ptp(whole) > 0 and _are_even(np.diff(_seconds(whole, frames, fewest))):
        rate = fewest
    notes.append(f"the time codes are taken to count {rate:g} frames a second")
    return _seconds(whole, frames, rate)


def _seconds(whole: AnyArray, frames: AnyArray, rate: float) -> AnyArray:
    """(F,) from the first one on; rate: of the frames within the seconds."""
    times = whole + frames / rate
    times[np.cumsum(np.diff(times, prepend=times[0]) < -43200) > 0] += 86400
    return np.asarray(times - times[0])


def _are_even(steps: AnyArray) -> bool:
    step = float(np.median(steps))
    return bool(np.abs(steps - step).max() < 0.1 * step)


def _even(
    path: Path, times: AnyArray, values: dict[int, AnyArray], fps: float | None, notes: list[str]
) -> tuple[AnyArray, dict[int, AnyArray], float | Fraction]:
    """Frames even in time, their values and the rate."""
    if (np.diff(times) <= 0).any():
        line = int(np.argmax(np.diff(times) <= 0)) + 3
        refuse_motion(path, f"line {line}", "a time after the one before", f"{times[line - 2]:g} s")
    if len(times) == 1:
        return times, values, check_rate(path, fps or LIVE_LINK_FPS)
    steps = np.diff(times)
    step = float(np.median(steps))
    even = _are_even(steps)
    step = float(steps.mean()) if even else step
    rate = check_rate(path, fps or rate_near(1 / step, 0.01 if even else 0.03))
    if even and abs(float(rate) * step - 1) < 0.03:
        return times, values, rate
    count = int(min((times[-1] - times[0]) * float(rate), 1e9) + 1e-6) + 1
    if count > min(MAX_CLIP_FRAMES, 100 * len(times) + 1000):
        refuse_motion(path, "times", "frames without gaps of minutes", f"{times[-1]:g} s")
    check_counts(path, len(FACE_JOINTS), count)
    notes.append(
        f"{len(times)} frames, not even in time, became {count} at {float(rate):g} a second"
    )
    wanted = times[0] + np.arange(count) / float(rate)
    return wanted, {n: np.interp(wanted, times, column) for n, column in values.items()}, rate
