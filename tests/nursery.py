"""Processes of the command line that start at once and can be killed.

They are forked off one that has everything imported, because loading torch takes longer than a
whole run of a tiny model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SINGLE = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # threads do not fork
NURSERY = """
import json, os, resource, sys, tempfile
from magicpose_cli.cli import main

def run(order):
    os.setsid()
    os.chdir(order["folder"])
    for stream in (1, 2):
        os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if order.get("stdin"):
        sys.stdin = open(order["stdin"])
    if order.get("temporary"):
        tempfile.tempdir = order["temporary"]
    if order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    return call(order["arguments"])

def call(arguments):
    sys.argv = ["magicpose", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code or 0

call(json.loads(sys.stdin.readline()))  # everything is imported now
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if isinstance(order, int):
        print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        continue
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = run(order) or 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    print(pid, flush=True)
"""


class Run:
    """A running command. pid: of its process. said: all that it has written."""

    def __init__(self, nursery: subprocess.Popen[str], log: Path, order: dict[str, Any]):
        self._nursery, self._log = nursery, log
        log.write_text("")
        self.pid = self._ask({**order, "log": str(log)})

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


@contextmanager
def open_nursery(folder: Path, first: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The process to fork from, in this folder; it runs the command once, with these arguments."""
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=folder, env=SINGLE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(first) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(timeout=60)
