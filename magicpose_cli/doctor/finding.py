"""What an examination finds: lines with names, each with its facts and, if need be, a warning."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from magicpose_cli.config.user_home import user_home
from magicpose_cli.errors import MagicPoseError

BROKEN = (
    *(MagicPoseError, ImportError, OSError, RuntimeError, ValueError, LookupError, TypeError),
    *(AttributeError, AssertionError, subprocess.SubprocessError),
)
"""What a part that is broken may raise while it is looked at."""


@dataclass(frozen=True)
class Finding:
    """A line. facts: the same in numbers, for scripts. warning: what is wrong and what to do."""

    name: str
    value: str
    facts: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


Probe = Callable[[], Iterator[Finding]]


def probed(probe: Probe) -> list[Finding]:
    """What a probe finds; a part that is broken becomes a line of the probe's name."""
    found: list[Finding] = []
    try:
        found.extend(probe())
    except BROKEN as error:
        said = " ".join(str(error).split())[:300] or "no message"
        name = probe.__name__.replace("_", " ")
        found.append(Finding(name, "broken", {}, f"{type(error).__name__}: {said}"))
    return found


def without_home(text: str) -> str:
    """The text with the home folder as ~, to be shown to others."""
    home = str(user_home())
    return text if len(home) < 2 else text.replace(home, "~")
