"""What somebody wears from a wardrobe, in place of what is cut, grown and painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.rendered.complexion import Complexion
from magicpose_cli.synthetic.rendered.mhclo import LibraryGarment
from magicpose_cli.synthetic.rendered.skin import mean_tone
from magicpose_cli.synthetic.rendered.surfaces import Surface
from magicpose_cli.synthetic.rendered.wardrobe import (
    Wardrobe,
    garment_picture,
    library_surfaces,
    read_texture,
)

WEARER_SHARE = 0.5
PIECE_SHARES = {"suit": 0.7, "shoes": 0.7, "hair": 0.6, "skin": 0.6, "eyes": 0.7, "lashes": 0.8}
SIMILAR_SKINS = 3  # one of so many of the nearest tones is taken

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class WornPieces:
    """Pieces by their kind, as library_surfaces() names them; skin and eyes are pictures.

    Attributes:
        garments: of the kinds "suit", "shoes", "hair", "brows" and "lashes".
        skin: a picture, None for painted skin.
        eyes: a picture, None for painted eyes.
        seed: of their colors.
    """

    garments: dict[str, LibraryGarment] = field(default_factory=dict)
    skin: Path | None = None
    eyes: Path | None = None
    seed: int = 0

    def surfaces(
        self, body: Body, rest: Tensor, complexion: Complexion
    ) -> tuple[list[Surface], Tensor]:
        """All garments on a person (F, V, 3) at rest, and (V,) which vertices they hide."""
        hidden = torch.zeros(rest.shape[1], dtype=torch.bool)
        found: list[Surface] = []
        for number, (kind, garment) in enumerate(self.garments.items()):
            rng = np.random.default_rng([self.seed, number])
            tint = {"hair": complexion.hair, "brows": complexion.hair * 0.8}.get(kind)
            texture = garment_picture(garment, kind, tint, rng)
            is_on_face = kind in ("brows", "lashes", "hair")
            own = rest if is_on_face else rest[:1]
            found += library_surfaces(garment, body, own, kind, texture)
            hidden[torch.from_numpy(garment.hidden)] = True
        return found, hidden


def sample_pieces(
    wardrobe: Wardrobe, rng: np.random.Generator, is_woman: bool, complexion: Complexion
) -> WornPieces:
    """What somebody wears from a wardrobe: nothing for half of the people."""
    if rng.random() >= WEARER_SHARE:
        return WornPieces()
    chosen = {kind for kind, share in PIECE_SHARES.items() if rng.random() < share}
    suits = [each for each in wardrobe.suits if _suits(each.name, is_woman)]
    hair = [each for each in wardrobe.hair if each.name.startswith("short") != is_woman]
    picked = {
        "suit": _one(rng, suits),
        "shoes": _one(rng, wardrobe.shoes),
        "hair": _one(rng, hair or wardrobe.hair),
        "lashes": _one(rng, wardrobe.lashes),
    }
    garments = {kind: each for kind, each in picked.items() if each and kind in chosen}
    skin = _skin_like(wardrobe, rng, is_woman, complexion) if "skin" in chosen else None
    brows = _one(rng, wardrobe.brows)
    if skin and brows:
        garments["brows"] = brows
    eyes = _one(rng, wardrobe.eyes) if "eyes" in chosen else None
    return WornPieces(garments, skin, eyes, int(rng.integers(1 << 31)))


def _one(rng: np.random.Generator, items: Sequence[_Item]) -> _Item | None:
    return items[int(rng.integers(len(items)))] if items else None


def _suits(name: str, is_woman: bool) -> bool:
    """Whether a name does not speak of the other sex."""
    is_for_women = "female" in name
    is_for_men = "male" in name and not is_for_women
    return not (is_for_men if is_woman else is_for_women)


def _skin_like(
    wardrobe: Wardrobe, rng: np.random.Generator, is_woman: bool, complexion: Complexion
) -> Path | None:
    """A picture of a skin whose tone is near to a person's own."""
    tones = []
    for path in wardrobe.skins:
        picture = read_texture(path, 512) if _suits(path.stem, is_woman) else None
        if picture is not None:
            tones.append((float(np.abs(mean_tone(picture) - complexion.skin).mean()), path))
    tones.sort()
    near = [path for away, path in tones[:SIMILAR_SKINS] if away < 0.2]
    return _one(rng, near)
