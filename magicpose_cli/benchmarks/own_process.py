"""A function in a process of its own, with a time limit: its crash or hang loses nothing else."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpose_cli.errors import MagicPoseError
from magicpose_cli.files import write_json
from magicpose_cli.run.temporary import temporary_folder

_CHILD = "from magicpose_cli.benchmarks.own_process import serve_parent; serve_parent()"
_MAX_REASON_CHARS = 300


@dataclass(frozen=True)
class ProcessOutcome:
    """What became of a function in a process of its own.

    Attributes:
        value: What the function returned, as JSON gives it back; None where it failed.
        seconds: From the start of the process to its end.
        reason: Why there is no value, in one line; "" where there is one.
    """

    value: Any
    seconds: float
    reason: str = ""


def call_in_process(function: str, arguments: dict[str, Any], limit_s: float) -> ProcessOutcome:
    """Call a function in a new process, and end that and all its children at the limit.

    They also end with this process, however it ends.

    Args:
        function: "module:name"; its value is JSON.
        arguments: Given by name, as JSON.
        limit_s: Seconds that the process may take in all.
    """
    began = time.perf_counter()
    with temporary_folder() as folder:
        answer, log = folder / "answer.json", folder / "log.txt"
        request = {"function": function, "arguments": arguments, "answer": str(answer)}
        with log.open("wb") as said:
            child = subprocess.Popen(
                [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=said, stderr=said,
                start_new_session=os.name == "posix",
            )  # fmt: skip
            assert child.stdin is not None
            is_late = False
            try:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(json.dumps(request).encode() + b"\n")
                    child.stdin.flush()
                child.wait(limit_s)
            except subprocess.TimeoutExpired:
                is_late = True
            finally:
                _kill_all(child)
        seconds = time.perf_counter() - began
        if is_late:
            return ProcessOutcome(None, seconds, f"took longer than its limit of {limit_s:.0f} s")
        return _outcome(child.returncode, answer, log, seconds)


def serve_parent() -> None:
    """Serve `call_in_process` as its child: one request on stdin, the answer into a file.

    The pipe stays open as long as the parent lives; when it closes, this process group ends.
    """
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, name = request["function"].partition(":")
    try:
        answer = {"value": getattr(importlib.import_module(module), name)(**request["arguments"])}
    except MagicPoseError as error:
        answer = {"reason": str(error)}
    write_json(Path(request["answer"]), answer)
    sys.stdout.flush()
    os._exit(0)  # threads of libraries may hang at the end, and all is written


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing more is sent; unlike a file object it holds no lock
    if os.name == "posix":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    """End the child and what it has started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def _outcome(code: int, answer: Path, log: Path, seconds: float) -> ProcessOutcome:
    if answer.exists():
        told = json.loads(answer.read_text(encoding="utf-8"))
        return ProcessOutcome(told.get("value"), seconds, told.get("reason", ""))
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1][:_MAX_REASON_CHARS] if lines else "nothing was said"
    if code < 0:
        return ProcessOutcome(None, seconds, f"ended by {signal.Signals(-code).name} ({last})")
    return ProcessOutcome(None, seconds, f"ended with exit code {code} ({last})")
