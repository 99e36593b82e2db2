"""Processes of the command line that start at once and can be killed.

They are forked off one that has everything imported, because loading torch and diffusers takes
longer than a whole run of a tiny model. But for that they are what a shell meets: processes of
their own, with their own streams, folder, environment and exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

SINGLE = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # threads do not fork
NURSERY = """
import contextlib, importlib, json, os, resource, sys, tempfile, traceback
from magicpose_cli.cli import main

def run(order):
    os.setsid()
    os.chdir(order["folder"])
    os.environ.update(order.get("environment", {}))
    for stream, name in enumerate(("stdin", "stdout", "stderr")):
        if name in order:
            kind = os.O_WRONLY | os.O_CREAT | os.O_APPEND if stream else os.O_RDONLY
            os.dup2(os.open(order[name], kind), stream)
    if "stdin" in order:
        sys.stdin = open(0, closefd=False)
    if order.get("temporary"):
        tempfile.tempdir = order["temporary"]
    if order.get("largest_file"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    return call(order["arguments"])

def call(arguments):
    sys.argv = ["magicpose", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code or 0

first = json.loads(sys.stdin.readline())
for name in first["imports"]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
with contextlib.redirect_stdout(sys.stderr):  # answers alone go to stdout
    call(first["arguments"])  # everything is imported now
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if isinstance(order, int):
        print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        continue
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = run(order) or 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    print(pid, flush=True)
"""
IMPORTS = (
    "mediapipe",
    "magicpose_cli.diffusion.pipeline",
    "magicpose_cli.evaluation.evaluation",
    "magicpose_cli.evaluation.evaluation_report",
    "magicpose_cli.motion.extract",
    "matplotlib.pyplot",
    "skimage.metrics",
)
"""What commands import at their work, and what takes longest of it."""


class Run:
    """A running command. pid: of its process. said: all that it has written."""

    def __init__(self, nursery: subprocess.Popen[str], log: Path, order: dict[str, Any]):
        self._nursery, self._log = nursery, log
        log.write_text("")
        self.pid = self._ask({"stdout": str(log), "stderr": str(log), **order})

    def _ask(self, question: Any) -> int:
        assert self._nursery.stdin is not None and self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(question) + "\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        return self._ask(self.pid)

    def end(self, how: int) -> int:
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)
        return self.wait()

    @property
    def said(self) -> str:
        return self._log.read_text()


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


class Shell:
    """shell(*arguments, cwd=..., stdin=..., NAME=value) -> what a finished `magicpose` has said."""

    def __init__(self, nursery: subprocess.Popen[str], folder: Path):
        self._nursery, self._folder, self._numbers = nursery, folder, count()

    def __call__(
        self, *arguments: object, cwd: Path, stdin: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        files = {name: folder / name for name in ("stdin", "stdout", "stderr")}
        files["stdin"].write_bytes(stdin)
        order: dict[str, Any] = {name: str(file) for name, file in files.items()}
        order |= {"arguments": [*map(str, arguments)], "folder": str(cwd)}
        code = Run(self._nursery, files["stdout"], order | {"environment": environment}).wait()
        said = [files[name].read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(order["arguments"], code, *said)


@contextmanager
def open_nursery(
    folder: Path, first: list[str], **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The process to fork from, in this folder; it runs the command once, with these arguments."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=folder, env=SINGLE | environment,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps({"imports": IMPORTS, "arguments": first}) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(timeout=60)
