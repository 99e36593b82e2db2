"""How the re-identification sets name their pictures: person, camera and the rest.

Market-1501 and DukeMTMC: 0002_c1s1_000451_03.jpg, 0005_c2_f0046985.jpg (person, camera).
MSMT17: 0000_000_01_0303morning_0015_0.jpg in a folder of the person (person, number, camera).
CUHK03: 1_023_2_07.png (pair of cameras, person, view, number).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SetFormat = Literal["market1501", "msmt17", "folders", "coco"]
SET_FORMATS: tuple[SetFormat, ...] = get_args(SetFormat)

MARKET_NAME = re.compile(r"(?P<person>-?\d{1,6})_c(?P<camera>\d)(s\d+_\d+_\d+|_f\d+)?")
MSMT_NAME = re.compile(r"(?P<person>\d{4,6})_\d{3,6}_(?P<camera>\d{2})_.+")
CUHK_NAME = re.compile(r"(?P<pair>\d)_(?P<person>\d{3})_(?P<camera>\d)_\d{2}")
JUNK_PEOPLE = (-1, 0)  # of Market-1501: distractors and background; MSMT17 counts people from 0
MARKET_CAMERAS, DUKE_CAMERAS = 6, 8
"""The most cameras that torchreid's and fastreid's loaders of these sets take."""
MARKET_PEOPLE = 1501


@dataclass(frozen=True)
class NamedPicture:
    """What a picture's name tells.

    Attributes:
        person: Their name in the set.
        camera: From 1; 0 where the name tells none.
        is_junk: The set says that it shows no person of its own.
    """

    person: str
    camera: int
    is_junk: bool = False


def parse_name(path: Path) -> NamedPicture | None:
    """Read a picture's name by the naming of the set that it looks like; None for none of them."""
    stem = path.stem
    if found := MSMT_NAME.fullmatch(stem):
        return NamedPicture(found["person"], int(found["camera"]))
    if found := MARKET_NAME.match(stem):
        is_junk = int(found["person"]) in JUNK_PEOPLE
        return NamedPicture(found["person"], int(found["camera"]), is_junk)
    if found := CUHK_NAME.fullmatch(stem):
        # A pair of cameras has people of its own, so that both tell who it is.
        return NamedPicture(f"{found['pair']}{found['person']}", int(found["camera"]))
    return None


def market_name(person: int, camera: int, number: int) -> str:
    """A name by which loaders of Market-1501 find person and camera; a sequence 9 is a made one."""
    return f"{person:04d}_c{camera}s9_{number:06d}_00.jpg"


def msmt_name(person: int, camera: int, number: int) -> str:
    """A path in the folder of pictures by which loaders of MSMT17 find the camera."""
    return f"{person:04d}/{person:04d}_{number:03d}_{camera:02d}_0000made_{number:04d}_0.jpg"
