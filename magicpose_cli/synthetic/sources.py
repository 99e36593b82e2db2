"""Synthetic people by their kind: drawn in two dimensions, or rendered in three."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from magicpose_cli.synthetic.people import People

SyntheticKind = Literal["drawn", "rendered", "mixed"]
SYNTHETIC_KINDS: tuple[SyntheticKind, ...] = get_args(SyntheticKind)


def synthetic_people(
    kind: SyntheticKind,
    seed: int,
    count: int,
    frames: int,
    size: int,
    wardrobe: Path | None = None,
    rate: float | None = None,
    body_maps: tuple[str, ...] = (),
) -> People:
    """Draw or render people.

    Args:
        kind: One of SYNTHETIC_KINDS; of "mixed" ones those of even seeds are drawn.
        seed: Fixes everything.
        count: How many people.
        frames: Pictures of each.
        size: Side of the pictures in pixels.
        wardrobe: A folder of MakeHuman's library, from which half of the rendered people wear
            something.
        rate: Pictures a second of a film; None for pictures in any order.
        body_maps: Names of maps of the bodies of rendered people; the drawn ones have none.

    Returns:
        Picture k of person i is row `i * frames + k`.
    """
    from magicpose_cli.synthetic.people import draw_people
    from magicpose_cli.synthetic.rendered.rendered_people import render_people

    if kind == "drawn" or (kind == "mixed" and seed % 2 == 0):
        return draw_people(seed, count, frames, size, is_film=rate is not None)
    return render_people(seed, count, frames, size, wardrobe, rate, body_maps)
