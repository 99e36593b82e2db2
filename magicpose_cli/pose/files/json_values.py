"""JSON of strangers: opened within bounds, and values that are what they should be, or one line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import MAX_COORDINATE, MAX_FPS, MAX_SIDE, MIN_FPS, PixelSize

MAX_BYTES = 1 << 29  # of a file
SIZE_KEYS = tuple(
    (f"{of}width", f"{of}height") for of in ("canvas_", "", "image_", "frame_", "video_")
)
Document = tuple[str, Any]
"""Where something was read, and what it holds."""
TIMES = {"timestamp_ms": 0.001, "timestampMs": 0.001, "timestamp": 1.0, "time": 1.0}
MAX_TIME = 1e12
RATE_KEYS = ("fps", "frame_rate", "frameRate")


def load_json(path: Path) -> Any:
    """What a file holds; of one value a line, a list of them.

    Errors: InputError for what is no JSON, or larger than MAX_BYTES.
    """

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(
                f"{path}: holds {size >> 20} MB of JSON; expected poses of {MAX_BYTES >> 20} MB at "
                "most, cut it into parts"
            )
        text = path.read_text(encoding="utf-8-sig")
        lines = text.split("\n", 2)
        if len(lines) > 1 and lines[0].startswith("{") and lines[1].startswith("{"):  # one a line
            text = f"[{','.join(line for line in text.split(chr(10)) if line.strip())}]"
        return json.loads(text, parse_constant=refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, NaN, too deep
        raise InputError(f"{path}: is not JSON ({error}); expected poses in JSON") from error


def refuse(where: str, key: str, expected: str, got: Any) -> NoReturn:
    """Raise InputError: what was expected at a place, and what stands there."""
    if isinstance(got, list):
        shown = f"a list of {len(got)}"
    elif isinstance(got, dict):
        shown = f"an object of {', '.join(map(str, got)):.60}" if got else "an empty object"
    elif got is None:
        shown = "nothing"
    else:
        shown = repr(got) if len(repr(got)) <= 40 else repr(got)[:40] + "..."
    place = f"{where}: {key}" if key else where
    raise InputError(f"{place}: expected {expected}, got {shown}")


def objects(where: str, key: str, value: Any) -> list[dict[str, Any]]:
    """A list of objects. Errors: InputError."""
    if not isinstance(value, list):
        refuse(where, key, "a list of objects", value)
    for item in value:
        if not isinstance(item, dict):
            refuse(where, key, "a list of objects", item)
    return value


def numbers(where: str, key: str, values: Sequence[Any]) -> AnyArray:
    """(n,) float64 of finite numbers up to MAX_COORDINATE. Errors: InputError."""
    if not set(map(type, values)) <= {int, float}:  # bool is a subclass of int
        odd = next(value for value in values if type(value) not in (int, float))
        refuse(where, key, f"numbers up to {MAX_COORDINATE:.0f}", odd)
    for extreme in (min(values, default=0), max(values, default=0)):
        if not -MAX_COORDINATE <= extreme <= MAX_COORDINATE:
            refuse(where, key, f"numbers up to {MAX_COORDINATE:.0f}", extreme)
    return np.array(values, dtype=np.float64)


def flat_rows(where: str, key: str, value: Any, counts: Sequence[int], columns: int) -> AnyArray:
    """(n, columns) float64 of a flat list of numbers, n one of `counts`. Errors: InputError."""
    if not isinstance(value, list) or len(value) not in [columns * n for n in counts]:
        told = " or ".join(f"{columns * n} numbers ({n} points)" for n in counts)
        refuse(where, key, told, value)
    return numbers(where, key, value).reshape(-1, columns)


def rows(where: str, key: str, value: list[Any], lengths: Sequence[int]) -> AnyArray:
    """(n, columns) float64 of a list of lists of one of these lengths.

    Null, and rows of null, stand for NaN.

    Raises:
        InputError: for anything else.
    """
    columns = next((len(row) for row in value if isinstance(row, list)), lengths[0])
    full = [[None] * columns if row is None else row for row in value]
    for row in full:
        if not isinstance(row, list) or len(row) != columns or columns not in lengths:
            refuse(where, key, f"lists of {' or '.join(map(str, lengths))} numbers", row)
    flat = list(chain.from_iterable(full))
    known = [number is not None for number in flat]
    data = np.full(len(flat), np.nan)
    data[known] = numbers(where, key, [number for number in flat if number is not None])
    return data.reshape(-1, columns)


def size_in(where: str, entry: dict[str, Any]) -> PixelSize | None:
    """Width and height of the picture, in pixels, where an object tells them."""
    for keys in SIZE_KEYS:
        sides = [_side(where, entry, key) for key in keys]
        if sides[0] and sides[1]:
            return sides[0], sides[1]
        if sides[0] or sides[1]:
            refuse(where, ", ".join(keys), "both or neither", sides)
    return None


def rate_in(where: str, entry: dict[str, Any]) -> float | None:
    """Frames a second, where an object tells them."""
    key = next((key for key in RATE_KEYS if entry.get(key) is not None), None)
    if key is None:
        return None
    rate = float(numbers(where, key, [entry[key]])[0])
    if not MIN_FPS <= rate <= MAX_FPS:
        refuse(where, key, f"{MIN_FPS:g} to {MAX_FPS:g} frames a second", entry[key])
    return rate


def rate_of_times(where: str, times: Sequence[float]) -> float | None:
    """Frames a second of frames at these seconds; None of one frame. Errors: InputError."""
    if len(times) < 2:
        return None
    if not all(a < b for a, b in pairwise(times)):
        raise InputError(f"{where}: timestamp: expected seconds that grow from frame to frame")
    rate = (len(times) - 1) / (times[-1] - times[0])
    if not math.isfinite(rate):
        raise InputError(f"{where}: timestamp: the frames lie too close together")
    if rate < MIN_FPS:
        raise InputError(f"{where}: timestamp: the frames lie {1 / rate:.0f} seconds apart")
    return round(rate, 9)


def rate_in_times(entries: Sequence[Any], frames: int) -> float | None:
    """Frames a second, told from the times of the first and the last of some entries.

    None where they do not tell their times, or no film has such a rate.
    """
    if len(entries) < 2 or not all(isinstance(entries[end], dict) for end in (0, -1)):
        return None
    for key, unit in TIMES.items():
        first, last = entries[0].get(key), entries[-1].get(key)
        if {type(first), type(last)} <= {int, float} and abs(first) + abs(last) < MAX_TIME:
            apart = (last - first) * unit
            if apart > 0 and 1 <= (frames - 1) / apart <= MAX_FPS:
                rate: float | None = round((frames - 1) / apart, 6)
                return rate
    return None


def _side(where: str, entry: dict[str, Any], key: str) -> int | None:
    value: Any = entry.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not 1 <= value <= MAX_SIDE or value != int(value):
        refuse(where, key, f"whole pixels from 1 to {MAX_SIDE}", value)
    return int(value)
