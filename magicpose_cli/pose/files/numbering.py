"""Frames in their order by the names or numbers that others give them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeVar

from magicpose_cli.files import natural
from magicpose_cli.pose.files.json_values import refuse

NumberedName = str | int
FileFrame = TypeVar("FileFrame")

NUMBER = re.compile(r"(.*?)(\d{1,15})(\D*)", re.DOTALL)
MOST_EMPTY = 9  # frames without anybody for each that is told, beyond which numbers count no frames


def name_in(where: str, entry: dict[str, Any], key: str) -> NumberedName:
    """What an object names or numbers by this key. Errors: InputError."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        refuse(where, key, "a number or a name", value)
    return value


def in_number_order(
    where: str, told: Mapping[NumberedName, list[FileFrame]], notes: list[str], *, fill: bool = True
) -> list[list[FileFrame]]:
    """What is told of each frame, in the natural order of their names.

    Where the names are numbers, those that lack are frames without anybody, which many programs
    leave out: they are put in (with `fill`, unless they are many), and noted. Numbers that run in
    equal steps lack none.
    """
    names = sorted(told, key=lambda name: (natural(str(name)), str(name)))
    ordered = [told[name] for name in names]
    numbers = _numbers(names)
    if numbers is None or len(numbers) < 2:
        return ordered
    steps = [after - before for before, after in pairwise(numbers)]
    step = math.gcd(*steps) if len(steps) > 1 else 1  # of two, nobody knows
    count = (numbers[-1] - numbers[0]) // step + 1
    lacking = count - len(numbers)
    if not lacking:
        return ordered
    first = next(before + step for before, after in pairwise(numbers) if after - before > step)
    lack = f"{where}: {lacking} of {count} frames lack, by their numbers (the first is {first}); "
    if not fill or lacking > MOST_EMPTY * len(numbers):
        notes.append(f"{lack}the others are taken one after another")
        return ordered
    notes.append(f"{lack}they are taken as frames without anybody")
    frames: list[list[FileFrame]] = [[] for _ in range(count)]
    for number, people in zip(numbers, ordered, strict=True):
        frames[(number - numbers[0]) // step] = people
    return frames


def _numbers(names: list[NumberedName]) -> list[int] | None:
    """The one number in which names differ, ascending; None where they differ otherwise."""
    found = [NUMBER.fullmatch(str(name)) for name in names]
    told = [match for match in found if match]
    if len(told) < len(names) or len({(match[1], match[3]) for match in told}) != 1:
        return None
    numbers = [int(match[2]) for match in told]
    return numbers if all(a < b for a, b in pairwise(numbers)) else None
