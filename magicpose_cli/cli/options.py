"""Options that several commands have: of how a driver is read, laid on and spread over workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer


def option(
    *names: str,
    help: str,
    panel: str,
    metavar: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """An option in a panel of `--help`; its default stands in the preset."""
    return typer.Option(
        *names, help=help, rich_help_panel=panel, metavar=metavar, autocompletion=complete
    )


MOTION = "Motion"
SPEED = "Speed and memory"

Fps = Annotated[
    float | None,
    option(
        "--fps",
        panel=MOTION,
        metavar="RATE",
        help="Another frame rate, time is kept; or that of files that do not tell it.",
    ),
]
Start = Annotated[
    float | None,
    option("--start", panel=MOTION, metavar="SECONDS", help="Begin here in the driver."),
]
End = Annotated[
    float | None, option("--end", panel=MOTION, metavar="SECONDS", help="Stop here in the driver.")
]
Every = Annotated[
    int | None,
    option("--every", panel=MOTION, metavar="N", help="Take every N-th frame; time is kept."),
]
Detector = Annotated[
    str | None,
    option(
        "--detector",
        panel=MOTION,
        metavar="NAME",
        help="auto (the best at hand), dwpose, mediapipe or mediapipe-tasks.",
    ),
]
Canvas = Annotated[
    str | None,
    option(
        "--canvas",
        panel=MOTION,
        metavar="WxH",
        help="Size of the picture, for pose files that do not tell it.",
    ),
]
Person = Annotated[
    str | None,
    option(
        "--person",
        panel=MOTION,
        metavar="WHO",
        help="Whom to follow: largest, left, right, center, N from the left, or X,Y.",
    ),
]
Follow = Annotated[
    bool | None,
    option(
        "--follow/--no-follow",
        panel=MOTION,
        help="Keep a person in place who walks, or whom the camera follows.",
    ),
]
Smooth = Annotated[
    float | None,
    option(
        "--smooth",
        panel=MOTION,
        metavar="0..2",
        help="Take out jitter, without lag: 0 none, 1 usual.",
    ),
]
MaxGap = Annotated[
    float | None,
    option(
        "--max-gap",
        panel=MOTION,
        metavar="SECONDS",
        help="Longest time without a detection that is filled; longer ones are held.",
    ),
]
Retarget = Annotated[
    str | None,
    option(
        "--retarget",
        panel=MOTION,
        metavar="HOW",
        help="auto, none, align (scale and shift), skeleton (the reference's bones) or full (its "
        "face as well).",
    ),
]
Anchor = Annotated[
    str | None,
    option(
        "--anchor",
        panel=MOTION,
        metavar="WHICH",
        help="Driver's frame that stands as the reference does: best, first or a number.",
    ),
]
Expression = Annotated[
    float | None,
    option(
        "--expression",
        panel=MOTION,
        metavar="0..2",
        help="Strength of the expression with --retarget full.",
    ),
]
Head = Annotated[
    float | None,
    option(
        "--head",
        panel=MOTION,
        metavar="0..2",
        help="Strength of the head's turn with --retarget full.",
    ),
]

Workers = Annotated[
    int,
    option(
        "--workers",
        panel=SPEED,
        metavar="N",
        help="Spread the frames over N processes (on CUDA: GPUs).",
    ),
]
Devices = Annotated[
    str,
    option(
        "--devices",
        panel=SPEED,
        metavar="NAMES",
        help="One process a device, such as cuda:0,cuda:1.",
    ),
]
RayAddress = Annotated[
    str | None,
    option(
        "--ray",
        panel=SPEED,
        metavar="ADDRESS",
        help="Spread the frames over a Ray cluster: its address, auto or local.",
    ),
]
