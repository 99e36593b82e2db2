"""The files that hold job lists: .csv, .jsonl and .toml, and JSONL on stdin."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

from magicpose_cli.batch.names import JOB_FIELDS, SURPLUS_CELLS, JobRow, named_row, setting_name
from magicpose_cli.config.sections import read_toml
from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import ConfigError

STDIN_NAME = "-"
EXAMPLE_LINE = '{"reference": "me.png", "driver": "dance.mp4", "out": "out.mp4"}'


def read_rows(source: str) -> tuple[list[JobRow], Path]:
    """Read the rows of a list, and the folder of its relative paths.

    Args:
        source: A file, or "-" for JSONL on stdin.

    Raises:
        ConfigError: The list as a whole cannot be used.
    """
    if source == STDIN_NAME:
        rows, folder = _jsonl(_text(sys.stdin.buffer.read(), "stdin"), "stdin"), Path()
    else:
        path = expanded(source)
        if path.suffix.lower() not in READERS:
            raise ConfigError(
                f"job file {source}: expected .csv, .jsonl, .toml, or - for JSONL on stdin"
            )
        rows, folder = READERS[path.suffix.lower()](path), path.parent
    if not rows:
        raise ConfigError(f"job file {source}: holds no jobs")
    return rows, folder


def _csv(path: Path) -> list[JobRow]:
    """Read CSV; the delimiter is the comma, semicolon or tab that the header has most of."""
    text = _read(path)
    header = text.lstrip().split("\n", 1)[0]
    lines = csv.DictReader(
        io.StringIO(text.lstrip(), newline=""), restkey=SURPLUS_CELLS, strict=True,
        delimiter=max(",;\t", key=header.count), skipinitialspace=True,
    )  # fmt: skip
    try:
        columns = lines.fieldnames or []
        named = [setting_name(column, also=JOB_FIELDS) for column in columns]
        rows = [row for row in lines if any(row.values())]
    except (csv.Error, ConfigError) as error:
        raise ConfigError(f"job file {path}: line {max(1, lines.line_num)}: {error}") from error
    lacking = [name for name in ("reference", "driver") if name not in named]
    twice = sorted({name for name in named if named.count(name) > 1})
    if lacking or twice:
        raise ConfigError(
            f"job file {path}: "
            + "; ".join(
                [*(f"no column {n}" for n in lacking), *(f"two columns {n}" for n in twice)]
            )
            + "; expected a header such as reference,driver,out,steps"
        )
    return rows


def _jsonl_file(path: Path) -> list[JobRow]:
    return _jsonl(_read(path), f"job file {path}")


def _jsonl(text: str, origin: str) -> list[JobRow]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{origin}: line {number}: no valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{origin}: line {number}: expected an object such as {EXAMPLE_LINE}")
        rows.append(row)
    return rows


def _toml(path: Path) -> list[JobRow]:
    tables = read_toml(path, "job file")
    jobs, defaults = tables.pop("job", []), tables.pop("defaults", {})
    whole = isinstance(jobs, list) and all(isinstance(job, dict) for job in jobs)
    if tables or not whole or not isinstance(defaults, dict):
        raise ConfigError(f"job file {path}: expected [[job]] tables and at most one [defaults]")
    try:
        defaults = named_row(defaults)
    except ConfigError as error:
        raise ConfigError(f"job file {path}: defaults: {error}") from error
    return [_over(defaults, job) for job in jobs]


def _over(defaults: JobRow, job: JobRow) -> JobRow:
    """Lay a job's own values over the defaults; a job with a mistake is returned as it is."""
    try:
        return {**defaults, **named_row(job)}
    except ConfigError:
        return job


def _read(path: Path) -> str:
    try:
        return _text(path.read_bytes(), f"job file {path}")
    except OSError as error:
        raise ConfigError(f"job file {path}: cannot be read ({error.strerror})") from error


def _text(content: bytes, origin: str) -> str:
    """Decode UTF-8, without the byte order mark that spreadsheets put in front."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{origin}: no UTF-8 text") from error


READERS: dict[str, Callable[[Path], list[JobRow]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl_file,
    ".toml": _toml,
}
