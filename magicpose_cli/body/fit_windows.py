"""A long clip in windows that overlap, so that memory does not grow with it.

A window's frames hang together; where two windows overlap, the one fades into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpose_cli.body.fit_steps import FitState
from magicpose_cli.body.rotations import axis_angle_from_matrix, matrix_from_axis_angle

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 240  # frames; about 1.2 MB each
OVERLAP = 24


def windows_of(frames: int, window: int = WINDOW, overlap: int = OVERLAP) -> list[slice]:
    """Windows of nearly the same length, none above `window`, over all frames."""
    count = max(1, -(-(frames - overlap) // (window - overlap)))
    step = (frames - overlap) / count
    starts = [round(number * step) for number in range(count)]
    stops = [*(start + overlap for start in starts[1:]), frames]
    return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def joined(parts: list[FitState | None], windows: list[slice]) -> FitState:
    """One state of all frames; windows without a state (None) hold their neighbor's last frame.

    At least one part must be there; the shape is the first one's.
    """
    import torch

    known = [part for part in parts if part is not None]
    total = windows[-1].stop
    turn = torch.empty(total, 3, 3)
    angles = torch.empty(total, *known[0].angles.shape[1:])
    place = torch.empty(total, 3)
    done = 0
    for number, (part, window) in enumerate(zip(parts, windows, strict=True)):
        own = part or _held(parts, number, window)
        shared = done - window.start  # frames that the former window has, too
        amount = (torch.arange(shared) + 1) / (shared + 1)
        both, rest = slice(window.start, done), slice(done, window.stop)
        turn[both] = _between(turn[both], own.turn[:shared], amount)
        angles[both] = torch.lerp(angles[both], own.angles[:shared], amount[:, None, None])
        place[both] = torch.lerp(place[both], own.place[:shared], amount[:, None])
        turn[rest], angles[rest] = own.turn[shared:], own.angles[shared:]
        place[rest] = own.place[shared:]
        done = window.stop
    return FitState(turn, angles, place, known[0].shape)


def _held(parts: list[FitState | None], number: int, window: slice) -> FitState:
    """The nearest window's last frame, or first, held over this window."""
    near = min(
        (other for other, part in enumerate(parts) if part is not None),
        key=lambda other: abs(other - number),
    )
    part = parts[near]
    assert part is not None
    frame = slice(-1, None) if near < number else slice(0, 1)
    count = window.stop - window.start
    return FitState(
        part.turn[frame].expand(count, -1, -1),
        part.angles[frame].expand(count, -1, -1),
        part.place[frame].expand(count, -1),
        part.shape,
    )


def _between(first: Tensor, second: Tensor, amount: Tensor) -> Tensor:
    """Rotations (n, 3, 3) on the shortest way from the first to the second."""
    way = axis_angle_from_matrix(second @ first.mT)
    return matrix_from_axis_angle(amount[:, None] * way) @ first
