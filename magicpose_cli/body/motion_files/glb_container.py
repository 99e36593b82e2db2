"""The container of glTF 2.0: a JSON chunk, a BIN chunk, and arrays (accessors) in the latter."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.checks import read_bytes_within, refuse_motion
from magicpose_cli.errors import InputError
from magicpose_cli.files import whole_file

MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
DTYPES_BY_NUMBER = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
NUMBERS_BY_DTYPE = {dtype: number for number, dtype in DTYPES_BY_NUMBER.items()}
ELEMENT_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
MAX_ITEMS = 100_000  # of a list in the JSON


class GlbBuilder:
    """Collects the arrays of a GLB that is being written."""

    def __init__(self) -> None:
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self._data = bytearray()

    def add(self, array: AnyArray, kind: str, *, bounds: bool = False, target: int = 0) -> int:
        """Store an array of numbers.

        Args:
            array: (N,) or (N, width) of one of DTYPES_BY_NUMBER' types.
            kind: one of ELEMENT_WIDTHS.
            bounds: tell the smallest and largest values, which glTF wants of places and times.
            target: VERTICES or INDICES for what is drawn.

        Returns: the accessor's number.
        """
        array = np.ascontiguousarray(array)
        self._data += b"\0" * (-len(self._data) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._data),
                                "byteLength": array.nbytes}  # fmt: skip
        if target:
            view["target"] = target
        self.views.append(view)
        self._data += array.tobytes()
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": NUMBERS_BY_DTYPE[array.dtype.newbyteorder("<").str.replace("|", "<")],
            "count": len(array),
            "type": kind,
        }
        if bounds:
            rows = array.reshape(len(array), -1)
            accessor["min"] = rows.min(axis=0).tolist()
            accessor["max"] = rows.max(axis=0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_bytes(self, content: bytes) -> int:
        """Store a file such as a picture; return the number of its buffer view."""
        self._data += b"\0" * (-len(self._data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self._data), "byteLength": len(content)})
        self._data += content
        return len(self.views) - 1

    def write(self, path: Path, document: dict[str, Any], *, overwrite: bool = False) -> None:
        """Write the document with the arrays. Errors: OutputError."""
        self._data += b"\0" * (-len(self._data) % 4)
        whole = document | {
            "buffers": [{"byteLength": len(self._data)}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self._data)
        with whole_file(path, overwrite) as hidden, hidden.open("wb") as file:
            file.write(struct.pack("<III", MAGIC, VERSION, length))
            file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
            file.write(struct.pack("<II", len(self._data), BIN_CHUNK))
            file.write(self._data)


class GlbDocument:
    """A GLB of a stranger's: its JSON, whose values may be anything, and its arrays."""

    def __init__(self, path: Path):
        """Open it. Errors: InputError where it is no GLB, cut off, or no JSON is in it."""
        self.path = path
        content = read_bytes_within(path)
        if len(content) < 20 or struct.unpack_from("<I", content)[0] != MAGIC:
            raise InputError(f"{path}: is no GLB file; expected binary glTF 2.0")
        _, version, length = struct.unpack_from("<III", content)
        if version != VERSION:
            self.refuse("version", "2", version)
        if length > len(content):
            self.refuse("length", f"{length} bytes", len(content))
        chunks = self._chunks(content[:length])
        self.buffer = chunks.get(BIN_CHUNK, b"")
        try:
            self.json = json.loads(
                chunks.get(JSON_CHUNK, b"").decode(), parse_constant=_no_constant
            )
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: its JSON cannot be read ({error!s:.80})") from error
        if not isinstance(self.json, dict):
            self.refuse("JSON", "an object", type(self.json).__name__)

    def _chunks(self, content: bytes) -> dict[int, bytes]:
        chunks: dict[int, bytes] = {}
        place = 12
        while place + 8 <= len(content):
            size, kind = struct.unpack_from("<II", content, place)
            if place + 8 + size > len(content):
                self.refuse("a chunk", f"{size} bytes", len(content) - place - 8)
            chunks.setdefault(kind, content[place + 8 : place + 8 + size])
            place += 8 + size + (-size % 4)
        return chunks

    def refuse(self, what: str, expected: str, got: object) -> NoReturn:
        """Raise InputError."""
        refuse_motion(self.path, what, expected, got)

    def objects(self, parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """A list of objects; empty where there is none."""
        value = parent.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, "a list of objects", value)
        if len(value) > MAX_ITEMS:
            self.refuse(key, f"{MAX_ITEMS} at most", len(value))
        return value

    def child(self, parent: dict[str, Any], key: str) -> dict[str, Any]:
        """An object; empty where there is none."""
        value = parent.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, "an object", value)
        return value

    def index(self, value: Any, key: str, count: int) -> int:
        """A number below `count`."""
        if type(value) is not int or not 0 <= value < count:
            self.refuse(key, f"a number below {count}", value)
        return int(value)

    def numbers(self, value: Any, key: str, count: int) -> AnyArray:
        """(count,) finite numbers of a list."""
        if not isinstance(value, list) or len(value) != count:
            self.refuse(key, f"{count} numbers", value)
        if not all(type(item) in (int, float) and abs(item) < 1e12 for item in value):  # nor NaN
            self.refuse(key, "finite numbers", value)
        return np.array(value, np.float64)

    def array(self, value: Any, key: str, kinds: tuple[str, ...]) -> AnyArray:
        """(N,) or (N, width) float64 of an accessor, normalized where it says so; finite.

        Args:
            value: its number.
            key: where that stands.
            kinds: of ELEMENT_WIDTHS, one of which it must be.
        """
        accessors = self.objects(self.json, "accessors")
        accessor = accessors[self.index(value, key, len(accessors))]
        kind, component = accessor.get("type"), accessor.get("componentType")
        if kind not in kinds or type(component) is not int or component not in DTYPES_BY_NUMBER:
            wanted = f"numbers of type {' or '.join(kinds)}"
            self.refuse(f"accessor of {key}", wanted, f"{kind} of component {component}")
        if "sparse" in accessor:
            self.refuse(f"accessor of {key}", "all of its numbers", "sparse ones")
        dtype = np.dtype(DTYPES_BY_NUMBER[component])
        width = ELEMENT_WIDTHS[kind]
        views = self.objects(self.json, "bufferViews")
        view = views[self.index(accessor.get("bufferView"), "bufferView", len(views))]
        self.index(view.get("buffer"), "buffer", 1)
        size = len(self.buffer)
        start = self.index(view.get("byteOffset", 0), "byteOffset", size + 1)
        length = self.index(view.get("byteLength"), "byteLength", size - start + 1)
        inner = self.index(accessor.get("byteOffset", 0), "byteOffset", length + 1)
        count = self.index(accessor.get("count"), "count", size + 1)
        row = dtype.itemsize * width
        stride = self.index(view.get("byteStride", row), "byteStride", 256)
        if stride < row or count == 0 or inner + (count - 1) * stride + row > length:
            self.refuse(f"accessor of {key}", "numbers within its buffer view", count)
        part = np.frombuffer(self.buffer, np.uint8, (count - 1) * stride + row, start + inner)
        rows = np.lib.stride_tricks.as_strided(part, (count, row), (stride, 1))
        array = np.ascontiguousarray(rows).view(dtype).astype(np.float64).reshape(count, width)
        if not (np.abs(array) < 1e12).all():
            self.refuse(f"accessor of {key}", "finite numbers", "others")
        if accessor.get("normalized") is True and dtype.kind in "iu":
            array = np.maximum(array / np.iinfo(dtype).max, -1.0)
        return array[:, 0] if kind == "SCALAR" else array


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
