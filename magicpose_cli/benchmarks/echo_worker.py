"""A worker that makes nothing: what it is sent comes back, so that moving alone is timed."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from magicpose_cli.rendering.worker import Reply


def echo_frames(pipe: Connection) -> None:
    """Answer as a process, until the pipe is closed."""
    try:
        while True:
            _, arguments = pipe.recv()
            pipe.send(Reply("done", (arguments[0], [])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class EchoActor:
    """Answer as an actor of Ray."""

    def do(self, task: str, *arguments: Any) -> Reply:
        """Give back what comes."""
        return Reply("done", (np.array(arguments[0]), []))
