"""Jobs: the videos to be made, from a list or from all pairs of files."""

from __future__ import annotations

import glob
import os
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magicpose_cli.batch.lists import read_rows
from magicpose_cli.batch.names import (
    JOB_FIELDS,
    JOB_FILES,
    JobRow,
    named_row,
    preset_with_settings,
    read_assignments,
)
from magicpose_cli.config.preset import Preset
from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import ConfigError
from magicpose_cli.files import MAX_OWN_NAME_BYTES, name_that_fits
from magicpose_cli.run.preflight import default_preset, resolve_preset

OUTPUT_TEMPLATE = "{ref}_{driver}.mp4"
PATH_SETTINGS = (
    "preset",
    "model.name",
    "model.base",
    "model.lora",
    "model.embedding",
    "model.vae",
    "model.motion_adapter",
    "model.identity_model",
    "model.body_map",
    "model.body_map_model",
    "motion.face",
)
"""Settings that name a file or a folder, where they look like a path."""
PATH_PATTERN = re.compile(r"/|\.(toml|safetensors|ckpt|th|pt|bin)(:[^:]*)?$")
HUB_ID_PATTERN = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Job:
    """One video to be made.

    Attributes:
        number: From 1.
        reference: Path, "" if unknown.
        driver: Path, "" if unknown.
        output: Path, "" if unknown.
        preset: Name or path; None is the default one.
        settings: By dotted name, laid over the preset.
        mistake: Why this job cannot be done.
    """

    number: int
    reference: str
    driver: str
    output: str
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    mistake: str | None = None

    def __str__(self) -> str:
        reference, driver, output = (
            name or "?" for name in (self.reference, self.driver, self.output)
        )
        return f"job {self.number} ({reference} + {driver} -> {output})"

    def resolve(self) -> Preset:
        """Return all settings of this job.

        Raises:
            ConfigError: The job has a mistake, or its settings do not fit.
        """
        if self.mistake is not None:
            raise ConfigError(self.mistake)
        return preset_with_settings(resolve_preset(self.preset), self.settings)


@dataclass(frozen=True)
class ForAll:
    """Options for every job, which win over the job's own.

    Attributes:
        preset: Name or path.
        settings: By dotted name.
        name: A template for outputs that a job does not name, with {ref}, {driver}, {n} and
            {preset} in it.
        out_dir: Where relative outputs go; None is the list's folder.
    """

    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = OUTPUT_TEMPLATE
    out_dir: Path | None = None

    @classmethod
    def typed(
        cls, preset: str | None, assignments: Iterable[str], name: str | None, out_dir: Path | None
    ) -> ForAll:
        """Read options as they were typed.

        Raises:
            ConfigError: An option fits no job.
        """
        if preset is not None:
            resolve_preset(preset)
        for_all = cls(preset, read_assignments(assignments), name or OUTPUT_TEMPLATE, out_dir)
        for_all.output_name("ref", "driver", 1, "preset")
        return for_all

    def output_name(self, reference: str, driver: str, number: int, preset: str | None) -> str:
        """Fill the template in."""
        values: dict[str, Any] = {"n": number}
        try:
            names = {part for _, part, _, _ in string.Formatter().parse(self.name) if part}
            if unknown := names - {"ref", "driver", "n", "preset"}:
                raise ValueError(f"unknown {', '.join(sorted(unknown))}")
            if "preset" in names:
                values["preset"] = Path(preset or default_preset()).stem
            return name_that_fits(
                lambda ref, driver: self.name.format(ref=ref, driver=driver, **values),
                Path(reference).stem, Path(driver).stem,
            )  # fmt: skip
        except (ValueError, IndexError, KeyError) as error:
            raise ConfigError(
                f"--name {self.name!r}: {error}; expected a name such as {OUTPUT_TEMPLATE!r} with "
                "{ref}, {driver}, {n} or {preset} in it"
            ) from error


def read_jobs(source: str, for_all: ForAll | None = None) -> list[Job]:
    """Read the jobs of a file, or of JSONL on stdin ("-"), numbered from 1 in their order.

    A mistake in one job alone becomes its `mistake`.

    Raises:
        ConfigError: The list as a whole cannot be used: it is unreadable, has unknown columns or
            [defaults], no jobs, or two with one output.
    """
    rows, folder = read_rows(source)
    every = for_all or ForAll()
    return _distinct([_job(i, row, folder, every) for i, row in enumerate(rows, 1)])


def pair_jobs(
    references: Iterable[str], drivers: Iterable[str], for_all: ForAll | None = None
) -> list[Job]:
    """Pair every reference with every driver; both are paths or patterns such as people/*.png.

    Raises:
        ConfigError: A pattern matches nothing, or two pairs would have one output.
    """
    found, moves = _expanded(references, "--refs"), _expanded(drivers, "--drivers")
    rows = [{"reference": one, "driver": other} for one in found for other in moves]
    every = for_all or ForAll()
    return _distinct([_job(i, row, Path(), every) for i, row in enumerate(rows, 1)])


def _expanded(patterns: Iterable[str], option: str) -> list[str]:
    paths: dict[str, None] = {}
    for pattern in patterns:
        whole = str(expanded(pattern))
        found = [whole]
        if not os.path.lexists(whole):  # a name may hold brackets that are meant
            # Path.glob would find hidden files, too.
            found = sorted(glob.glob(whole, recursive=True))  # noqa: PTH207
        if not found:
            raise ConfigError(f"{option} {pattern!r}: no file has such a name")
        paths.update(dict.fromkeys(found))
    return list(paths)


def _job(number: int, row: JobRow, folder: Path, for_all: ForAll) -> Job:
    """Make a job of its row; relative paths are in `folder`."""
    mistakes = []
    try:
        row = named_row(row)
    except ConfigError as error:
        row = {name: row.get(name) for name in JOB_FILES}
        mistakes.append(str(error))
    for name in JOB_FIELDS:
        if row.get(name) is not None and not _is_name(row[name]):
            mistakes.append(f"{name}: {row.pop(name)!r}; expected a path")
    for name in PATH_SETTINGS:
        if name in row:
            row[name] = _in_folder(row[name], folder, may_be_hub_id=name != "preset")
    preset = row.pop("preset", None)
    preset = for_all.preset or preset
    given = {name: row.pop(name, None) for name in JOB_FILES}
    files = {
        name: str(folder / expanded(given[name])) if given[name] else ""
        for name in ("reference", "driver")
    }
    mistakes += [f"has no {name}; expected a path" for name, path in files.items() if not path]
    reference, driver = files["reference"], files["driver"]
    output = given["out"] or ""
    if not output and reference and driver:
        output = for_all.output_name(reference, driver, number, preset)
    if output:
        output = str((for_all.out_dir or folder) / expanded(output))
        mistakes += _unfit(output, files)
    settings = {**row, **for_all.settings}
    mistake = "; ".join(mistakes) or None
    return Job(number, reference, driver, output, preset, settings, mistake)


def _unfit(output: str, files: Mapping[str, str]) -> list[str]:
    """List what is wrong with the name of an output."""
    mistakes = [
        f"out is the {name} itself; give another name"
        for name, path in files.items()
        if path and os.path.realpath(path) == os.path.realpath(output)
    ]
    if len(os.fsencode(Path(output).name)) > MAX_OWN_NAME_BYTES:
        mistakes.append(f"out: longer than {MAX_OWN_NAME_BYTES} bytes; give a shorter one")
    return mistakes


def _is_name(value: Any) -> bool:
    """Tell whether a value is text that a file system takes; JSON's escapes can make other text."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _in_folder(value: Any, folder: Path, *, may_be_hub_id: bool) -> Any:
    """Put the list's folder before a setting, or each of several, that looks like a path."""
    if isinstance(value, list):
        return [_in_folder(one, folder, may_be_hub_id=may_be_hub_id) for one in value]
    if not isinstance(value, str) or not PATH_PATTERN.search(value):
        return value
    path = folder / expanded(value)
    if may_be_hub_id and HUB_ID_PATTERN.fullmatch(value) and not path.exists():
        return value
    return str(path)


def _distinct(jobs: list[Job]) -> list[Job]:
    """Return the jobs.

    Raises:
        ConfigError: Two jobs would write one file.
    """
    writers: dict[str, list[Job]] = {}
    for job in jobs:
        if job.output:
            writers.setdefault(os.path.realpath(job.output), []).append(job)
    doubles = [
        f"{several[0].output} by jobs {' and '.join(str(job.number) for job in several)}"
        for several in writers.values()
        if len(several) > 1
    ]
    if doubles:
        more = f" and {len(doubles) - 5} more" if len(doubles) > 5 else ""
        raise ConfigError(
            f"two jobs with one output: {'; '.join(doubles[:5])}{more}; give each its own out, "
            "or --name with {n} in it"
        )
    return jobs
