"""Kinds of values that settings have beyond numbers and words, each with its check."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from magicpose_cli.config.camera_view import parse_camera_view


def _check_size(text: str | int) -> str:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", str(text))
    if not match:
        raise ValueError("expected a side in pixels such as 512, or WIDTHxHEIGHT such as 512x768")
    sides = [int(side) for side in match.groups() if side]
    if any(side % 8 or not 64 <= side <= 4096 for side in sides):
        raise ValueError("expected multiples of 8 from 64 to 4096")
    return str(text)


def _check_steps(text: str | int) -> str:
    match = re.fullmatch(r"(\d{1,4})(%?)", str(text))
    number = int(match[1]) if match else 0
    if not match or not 1 <= number <= (100 if match[2] else 1000):
        raise ValueError(
            'expected a whole number from 1 to 1000, or a share of the model\'s own such as "40%"'
        )
    return str(text)


def _check_anchor(text: str | int) -> str:
    if not re.fullmatch(r"best|first|[0-9]{1,9}", str(text)):
        raise ValueError("expected best, first or the number of a frame from 0")
    return str(text)


def _check_person(text: str | int) -> str:
    text = str(text).lower().replace(" ", "")
    point = r"\d{1,6}(\.\d{1,6})?"
    if not re.fullmatch(rf"largest|left|right|center|[1-9]\d{{0,3}}|{point},{point}", text):
        raise ValueError(
            'expected largest, left, right, center, a number that counts from the left, or "x,y"'
        )
    return text


def _check_canvas(text: str) -> str:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or not all(1 <= int(side) <= 16384 for side in match.groups()):
        raise ValueError("expected WIDTHxHEIGHT in pixels such as 1280x720")
    return text


def _check_camera(text: str) -> str:
    parse_camera_view(text)
    return text


def _check_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", text):
        raise ValueError("expected auto, cpu, cuda, cuda:N or mps")
    return text


DeviceName = Annotated[str, AfterValidator(_check_device)]
ResultSize = Annotated[str | int, AfterValidator(_check_size)]
StepCount = Annotated[str | int, AfterValidator(_check_steps)]
PersonChoice = Annotated[str | int, AfterValidator(_check_person)]
AnchorChoice = Annotated[str | int, AfterValidator(_check_anchor)]
CanvasText = Annotated[str, AfterValidator(_check_canvas)]
CameraText = Annotated[str, AfterValidator(_check_camera)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
NonEmptyNames = Annotated[
    list[NonEmpty], BeforeValidator(lambda x: [x] if isinstance(x, str) else x)
]
"""Several of a kind; a single one needs no brackets."""
