"""Read garments of MakeHuman's library: .mhclo with its .obj and .mhmat, as text.

A garment's vertex lies on a triangle of MakeHuman's base mesh, with an offset in decimeters that
grows with the person; the file format is MakeHuman's own ("hm08" is its base mesh).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.body.shipped import BASE_VERTICES, vertex_of_base
from magicpose_cli.errors import InputError

MAX_FILE_BYTES = 64 * 2**20
MAX_GARMENT_ITEMS = 200_000  # vertices or triangles of a garment
TEXTURE_SUFFIXES = (".webp", ".png", ".jpg", ".jpeg")


class AxisScale(NamedTuple):
    """Two vertices of the body and how far apart they are on the base mesh, decimeters."""

    first: int
    second: int
    length_dm: float


@dataclass(frozen=True, eq=False)
class LibraryGarment:
    """A garment as its files have it, on our body's vertices.

    Attributes:
        name: of the file, without its suffix.
        tags: in lower case.
        rows: (n, 3) vertices of our body's layers that each vertex lies on.
        weights: (n, 3) of them, rows sum to one.
        offsets_dm: (n, 3) from there, at the base mesh's size.
        scales: how offsets grow along x, y and z; None where they do not.
        faces: (F, 3).
        uv: (F, 3, 2) of the corners, u right, v up.
        hidden: (k,) vertices of our body that the garment hides.
        texture: a picture, if there is one.
    """

    name: str
    tags: frozenset[str]
    rows: Integers
    weights: Floats
    offsets_dm: Floats
    scales: tuple[AxisScale | None, AxisScale | None, AxisScale | None]
    faces: Integers
    uv: Floats
    hidden: Integers
    texture: Path | None


@dataclass
class _Clothes:
    """What a .mhclo file says, line by line."""

    tags: set[str] = field(default_factory=set)
    obj: str = ""
    material: str = ""
    scales: dict[str, AxisScale] = field(default_factory=dict)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    weights: list[list[float]] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


def read_garment(path: Path, folder: Path) -> LibraryGarment:
    """Read one garment.

    Args:
        path: of the .mhclo file.
        folder: of the library; no file outside of it is opened.

    Raises:
        InputError: A file is missing, too large, outside of the folder or malformed.
    """
    clothes = _read_clothes(path, folder)
    if not clothes.obj:
        raise InputError(
            f"{path} has no line 'obj_file'; take a .mhclo file of MakeHuman's library"
        )
    obj = inside(path.parent / clothes.obj, folder)
    faces, uv = _read_obj(obj, folder, len(clothes.rows))
    rows, weights = _on_our_body(path, clothes)
    found = vertex_of_base()[sorted(clothes.hidden)] if clothes.hidden else np.zeros(0, np.int64)
    material = inside(path.parent / clothes.material, folder) if clothes.material else None
    texture = _texture_of(material, folder) if material and material.is_file() else None
    scales = clothes.scales
    return LibraryGarment(
        path.stem, frozenset(clothes.tags), rows, weights, np.array(clothes.offsets, np.float32),
        (scales.get("x"), scales.get("y"), scales.get("z")), faces, uv, found[found >= 0], texture,
    )  # fmt: skip


def inside(path: Path, folder: Path) -> Path:
    """A path that does not leave a folder, by ".." or by a link. Raises InputError if it does."""
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise InputError(f"{path} lies outside of {folder}; a library's files must lie within it")
    return resolved


def _lines(path: Path, folder: Path) -> list[tuple[str, list[str]]]:
    """Where each line is, for messages, and its words; comments and empty lines are left out."""
    path = inside(path, folder)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path} has {size} bytes; expected at most {MAX_FILE_BYTES}")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file") from error
    rows = (
        (f"{path}, line {number}", line.split()) for number, line in enumerate(text.split("\n"), 1)
    )
    return [(where, words) for where, words in rows if words and not words[0].startswith("#")]


def _number(where: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e6:
        raise InputError(f"{where}: {word!r} is no usable number; save the garment again")
    return value


def _index(where: str, word: str, count: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 10 and int(word) < count):
        raise InputError(f"{where}: {word!r} is no index; expected 0 to {count - 1}")
    return int(word)


def _read_clothes(path: Path, folder: Path) -> _Clothes:
    clothes = _Clothes()
    section = ""
    for where, words in _lines(path, folder):
        key = words[0]
        if key in ("verts", "delete_verts"):
            section = key
        elif key in ("x_scale", "y_scale", "z_scale") and len(words) == 4:
            first, second = (_index(where, word, BASE_VERTICES) for word in words[1:3])
            clothes.scales[key[0]] = AxisScale(first, second, _number(where, words[3]))
        elif key == "obj_file" and len(words) > 1:
            clothes.obj = " ".join(words[1:])
        elif key == "material" and len(words) > 1:
            clothes.material = " ".join(words[1:])
        elif key == "tag":
            clothes.tags.add(" ".join(words[1:]).lower())
        elif section == "verts" and key[0].isdigit():
            _add_vertex(clothes, where, words)
        elif section == "delete_verts":
            _add_hidden(clothes, where, words)
    if not clothes.rows:
        raise InputError(f"{path} has no vertices; take a .mhclo file of MakeHuman's library")
    return clothes


def _add_vertex(clothes: _Clothes, where: str, words: list[str]) -> None:
    """One index, or three with three weights and an offset."""
    if len(clothes.rows) >= MAX_GARMENT_ITEMS:
        raise InputError(f"{where}: more than {MAX_GARMENT_ITEMS} vertices; take a smaller garment")
    if len(words) == 1:
        index = _index(where, words[0], BASE_VERTICES)
        clothes.rows.append((index, index, index))
        clothes.weights.append([1.0, 0.0, 0.0])
        clothes.offsets.append([0.0, 0.0, 0.0])
    elif len(words) >= 9:
        a, b, c = (_index(where, word, BASE_VERTICES) for word in words[:3])
        clothes.rows.append((a, b, c))
        clothes.weights.append([_number(where, word) for word in words[3:6]])
        clothes.offsets.append([_number(where, word) for word in words[6:9]])
    else:
        raise InputError(f"{where}: a vertex has {len(words)} numbers; expected 1 or 9")


def _add_hidden(clothes: _Clothes, where: str, words: list[str]) -> None:
    """Indices and ranges "3 - 7"."""
    for first, last in re.findall(r"(\S+?)(?:\s*-\s*(\S+))?(?:\s+|$)", " ".join(words)):
        low = _index(where, first, BASE_VERTICES)
        high = _index(where, last, BASE_VERTICES) if last else low
        clothes.hidden.update(range(low, high + 1))


def _read_obj(path: Path, folder: Path, count: int) -> tuple[Integers, Floats]:
    """Triangles (F, 3) and the texture coordinates of their corners (F, 3, 2)."""
    places: list[list[float]] = []
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    vertices = 0
    for where, words in _lines(path, folder):
        if words[0] == "v":
            vertices += 1
        elif words[0] == "vt" and len(words) >= 3:
            places.append([_number(where, word) for word in words[1:3]])
        elif words[0] == "f":
            ends = [[*word.split("/"), ""][:2] for word in words[1:]]
            own = [_index(where, str(int(v) - 1) if v.isdigit() else v, count) for v, _ in ends]
            uv = [int(t) - 1 if t.isascii() and t.isdigit() else -1 for _, t in ends]
            for i in range(1, len(own) - 1):
                faces.append([own[0], own[i], own[i + 1]])
                corners.append([uv[0], uv[i], uv[i + 1]])
        if max(len(faces), len(places), vertices) > MAX_GARMENT_ITEMS:
            raise InputError(f"{where}: more than {MAX_GARMENT_ITEMS} items; take a smaller one")
    if not faces:
        raise InputError(f"{path} has no faces; take a garment of MakeHuman's library")
    places.append([0.0, 0.0])  # for corners without a place of their own
    table, index = np.array(places, np.float32), np.array(corners)
    index[(index < 0) | (index >= len(table))] = len(table) - 1
    return np.array(faces), table[index]


def _on_our_body(path: Path, clothes: _Clothes) -> tuple[Integers, Floats]:
    """Rows and weights among our body's vertices; those that it lacks leave theirs to others."""
    rows = vertex_of_base()[np.array(clothes.rows)]
    weights = np.array(clothes.weights, np.float32)
    known = rows >= 0
    if not known.any(1).all():
        vertex = int(np.flatnonzero(~known.any(1))[0])
        raise InputError(
            f"{path}: vertex {vertex} lies on a part that our body does not have; leave this "
            "garment out"
        )
    shared = known / known.sum(1, keepdims=True)
    weights = np.where(known.all(1, keepdims=True), weights, shared.astype(np.float32))
    return np.where(known, rows, rows.max(1, keepdims=True)), weights


def _texture_of(material: Path, folder: Path) -> Path | None:
    """The picture that a .mhmat file names, or one of the same stem."""
    for _, words in _lines(material, folder):
        if words[0] == "diffuseTexture" and len(words) > 1:
            named = inside(material.parent / " ".join(words[1:]), folder)
            for path in (named, *(named.with_suffix(suffix) for suffix in TEXTURE_SUFFIXES)):
                if path.is_file():
                    return inside(path, folder)
    return None
