"""One prepared run on a GPU that is at hand for a few minutes: part after part, each on its own.

Every part has a process and a time limit, and its record is written as soon as it ends. A run that
is cut anywhere goes on with the part in which it was cut.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from magicpose_cli.benchmarks.gpu_parts import REHEARSAL, GpuScale
from magicpose_cli.benchmarks.own_process import call_in_process
from magicpose_cli.errors import ConfigError, DeviceError, InputError
from magicpose_cli.files import check_writable, write_json

RECORDS = "gpu.json"
TABLE = "gpu.md"
TRAINING_FOLDER = "training"
TESTS, TRAINING = "tests", "training"
_OWN_FILES = rf"{re.escape(RECORDS)}|{re.escape(TABLE)}|{TRAINING_FOLDER}|\..*"
_PARTS_MODULE = "magicpose_cli.benchmarks.gpu_parts"
_AUTO_BATCH = 16  # frames at once where the search for the best number has failed
_SHORTEST_S = 15.0  # no part is begun with less time left
_ENDING_S = 40.0  # kept from the training's time, to start and to write its checkpoint
_LIMITS_S = {  # of the parts in their order, from the start of the process to its end
    "operations": 300.0,
    "device": 60.0,
    "batch": 100.0,
    "exact": 200.0,
    "fast": 90.0,
    "naive": 90.0,
    "compiled": 240.0,
    "lowvram": 90.0,
}
_TEST_LIMIT_S = 120.0  # of each file
_WITH_OPERATIONS = ("batch", "exact", "fast", "naive", "compiled", "lowvram")
_WITH_BATCH_SIZE = ("exact", "fast", "naive", "compiled", "lowvram")


@dataclass
class PartRecord:
    """What became of a part; the fields are keys of the JSON.

    Attributes:
        status: "unfinished" is a training that goes on with the next run.
        seconds: That its process took.
        value: What was measured.
        reason: Why nothing was, in one line.
    """

    status: Literal["done", "failed", "unfinished"]
    seconds: float
    value: Any = None
    reason: str = ""


@dataclass
class GpuRun:
    """All parts of a run, as its JSON holds them.

    Attributes:
        scale: How large everything is.
        device: As torch names it.
        recipe: That is trained at the end; "" for none.
        parts: Records by name, in the order in which they ended.
    """

    scale: GpuScale
    device: str
    recipe: str
    parts: dict[str, PartRecord] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """What a part has measured; None where it has not."""
        record = self.parts.get(name)
        return record.value if record is not None else None


OnRecord = Callable[[str, PartRecord], None]


def default_recipe(*, rehearse: bool = False) -> str:
    """Choose what is trained: mini where the model that it grows from is there, else that one."""
    from magicpose_cli.training.recipe import load_recipe

    if rehearse:
        return "toy"
    return "mini" if Path(load_recipe("mini").model.grow_from).is_dir() else "mini-half"


def open_gpu_run(
    folder: Path, device: str, *, rehearse: bool = False, recipe: str = "mini"
) -> GpuRun:
    """Begin a run, or take up the one that the folder holds.

    Args:
        folder: Of the results.
        device: A CUDA device; anything for a rehearsal.
        rehearse: Whether to take the small sizes.
        recipe: To train at the end; "" trains nothing.

    Raises:
        ConfigError: The folder holds a run of another kind.
        InputError: The folder's records cannot be read.
        OutputError: The folder cannot be written, or holds other files.
    """
    check_writable(folder, overwrite=True, own=_OWN_FILES)
    run = GpuRun(REHEARSAL if rehearse else GpuScale(), device, recipe)
    path = folder / RECORDS
    if not path.exists():
        return run
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        own = json.loads(json.dumps(asdict(run)))
        same = all(told[key] == own[key] for key in ("scale", "device"))
        run.parts = {name: PartRecord(**record) for name, record in told["parts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); remove it, or choose another folder"
        ) from error
    if not same:
        raise ConfigError(
            f"{path} is of another run (device {told['device']}, "
            f"{told['scale']['networks']}); choose another folder"
        )
    return run


def check_gpu(device: str) -> None:
    """Check that a CUDA device is there.

    Raises:
        DeviceError: It is not.
    """
    import torch

    kind, _, number = device.partition(":")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and (not number or number.isdecimal()) and int(number or 0) < found:
        return
    raise DeviceError(
        f"--device {device}: expected a CUDA device, torch sees {found} here; run this where there "
        "is one, or rehearse it on the CPU with --rehearse"
    )


def part_names(run: GpuRun) -> list[str]:
    """Name all parts in order: the measurements, a part a file of tests, the training."""
    tests = [f"{TESTS} {file}" for file in gpu_test_files()]
    return [*_LIMITS_S, *tests, *([TRAINING] if run.recipe else [])]


def gpu_test_files() -> list[str]:
    """Files of tests that need a GPU, from the checkout's root; none in an installed package."""
    root = _checkout()
    mark = "mark." + "gpu"
    return sorted(
        path.relative_to(root).as_posix()
        for path in (root / "tests").rglob("test_*.py")
        if mark in path.read_text(encoding="utf-8")
    )


def waiting_parts(run: GpuRun) -> list[str]:
    """Parts that are still to be run: new ones in order, then failed ones, then the training."""
    names = [name for name in part_names(run) if name != TRAINING]
    new = [name for name in names if name not in run.parts]
    failed = [name for name in names if name in run.parts and run.parts[name].status == "failed"]
    done = run.parts.get(TRAINING)
    trains = run.recipe and (done is None or done.status in ("failed", "unfinished"))
    return [*new, *failed, *([TRAINING] if trains else [])]


def run_gpu_parts(
    run: GpuRun,
    folder: Path,
    minutes: float,
    only: tuple[str, ...] = (),
    on_part: OnRecord = lambda name, record: None,
) -> list[str]:
    """Run what is not done yet, as far as the time allows, and write each record as it comes.

    Args:
        run: Is filled with the records.
        folder: Takes `gpu.json` and the training.
        minutes: For all parts of this call together.
        only: Names of the parts to run; all by default.
        on_part: Is told each part that has ended.

    Returns:
        Names of the parts that no time was left for.

    Raises:
        OutputError: The folder cannot be written.
    """
    deadline = time.monotonic() + 60 * minutes
    waiting = [name for name in waiting_parts(run) if not only or name in only]
    write_gpu_run(run, folder)
    while waiting:
        left = deadline - time.monotonic()
        if left < _SHORTEST_S:
            return waiting
        name = waiting.pop(0)
        if name == TRAINING and left < _ENDING_S + _SHORTEST_S:
            return [name]
        run.parts[name] = _run_part(run, name, folder, left)
        write_gpu_run(run, folder)
        on_part(name, run.parts[name])
    return []


def write_gpu_run(run: GpuRun, folder: Path) -> None:
    """Write all records as JSON.

    Raises:
        OutputError: The folder cannot be written.
    """
    write_json(folder / RECORDS, asdict(run), lasting=True)


def _run_part(run: GpuRun, name: str, folder: Path, left_s: float) -> PartRecord:
    kind, _, file = name.partition(" ")
    if kind == TESTS:
        arguments: dict[str, Any] = {"file": file, "root": str(_checkout())}
        limit = min(left_s, run.scale.patience * _TEST_LIMIT_S)
    elif kind == TRAINING:
        return _train(run, folder, left_s)
    else:
        limit = min(left_s, run.scale.patience * _LIMITS_S[kind])
        arguments = _arguments(run, kind, limit)
    outcome = call_in_process(f"{_PARTS_MODULE}:{kind}_part", arguments, limit)
    status: Literal["done", "failed"] = "failed" if outcome.reason else "done"
    return PartRecord(status, round(outcome.seconds, 1), outcome.value, outcome.reason)


def _arguments(run: GpuRun, kind: str, limit_s: float) -> dict[str, Any]:
    if kind == "device":
        return {"device": run.device}
    arguments: dict[str, Any] = {"scale": asdict(run.scale)}
    if kind in _WITH_OPERATIONS:
        known = run.value("operations") or {}
        arguments |= {"device": run.device, "limit_s": limit_s, "operations": known}
    if kind in _WITH_BATCH_SIZE:
        found = run.value("batch")
        arguments["batch_size"] = found["batch_size"] if found else _AUTO_BATCH
    return arguments


def _train(run: GpuRun, folder: Path, left_s: float) -> PartRecord:
    """The training takes all the time that is left, but for what its start and its end take."""
    minutes = (left_s - _ENDING_S) / 60
    arguments = {
        "recipe": run.recipe,
        "device": run.device,
        "folder": str(folder / TRAINING_FOLDER),
        "minutes": minutes,
    }
    outcome = call_in_process(f"{_PARTS_MODULE}:training_part", arguments, left_s)
    status: Literal["done", "failed", "unfinished"] = "failed"
    if not outcome.reason:
        status = "done" if outcome.value["complete"] else "unfinished"
    return PartRecord(status, round(outcome.seconds, 1), outcome.value, outcome.reason)


def _checkout() -> Path:
    """Where the package lies, with its tests beside it in a checkout."""
    import magicpose_cli

    return Path(magicpose_cli.__file__).resolve().parents[1]
