"""Colors of the sides that a picture does not show."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.views.solid import Solid
from magicpose_cli.warping.interpolation import push_pull, ramp
from magicpose_cli.warping.structuring import square_element

OWN_ALPHA = (0.5, 0.95)  # of the matte: from the first to the second a color is the person's own
HAIR_ALPHA = (0.6, 0.9)  # likewise, of hair whose color is carried to the back
AROUND_FACE = 0.1  # face heights around the mesh that are no hair
CROWN_ABOVE = 0.75  # face heights above the head's pivot, from where on all is hair, or bald
HAIR_BELOW = 0.1  # face heights below that pivot, down to which hair is looked for
HAIR_BESIDE_NECK = 0.25  # of a row of the head, from which on the neck is hidden behind hair
NAPE_FADE = 0.2  # face heights above the head's pivot, over which a bare neck begins
MIN_HAIR_PX = 50.0
HAIR_LIKENESS = 0.25  # of its distance to the skin's color: hair is as near to its own


def front_colors(colors: Floats, alpha: Floats) -> Floats:
    """Colors of a person, continued to where the matte has none, (h, w, 3) float32."""
    return push_pull(colors, ramp(alpha, OWN_ALPHA))


def back_colors(front: Floats, alpha: Floats, solid: Solid, skin: Floats | None) -> Floats:
    """Colors of the side that is turned away.

    Of a head that is hair, smoothly filled in from where it is seen around the face; below, clothes
    are taken to look from behind as they do from before.

    Args:
        front: (h, w, 3) float32 of the padded picture.
        alpha: (h, w) its matte.
        solid: Depths.
        skin: (3,) the face's color, if it is known.
    """
    if skin is None:
        return front
    around_face = cv2.dilate(solid.face, square_element(AROUND_FACE * solid.face_height))
    hair = solid.head * (1 - around_face) * ramp(alpha, HAIR_ALPHA)
    level = solid.head_pivot[1] + solid.grid.pad
    crown = hair.copy()
    crown[max(0, int(level - CROWN_ABOVE * solid.face_height)) :] = 0
    head = bare = push_pull(front, (1 - around_face) * ramp(alpha, OWN_ALPHA))
    if crown.sum() >= MIN_HAIR_PX:
        tone = np.median(front[crown > 0.5], axis=0) if (crown > 0.5).any() else skin
        to_hair, to_skin = (np.linalg.norm(front - color, axis=-1) for color in (tone, skin))
        is_hair = to_hair <= HAIR_LIKENESS * to_skin  # an ear in the shade is neither
        hair = _eroded(hair * is_hair)
        hair[max(0, int(level + HAIR_BELOW * solid.face_height)) :] = 0
        if hair.sum() < MIN_HAIR_PX:  # too near the skin's color, or too varied
            hair = _eroded(crown)
        covered = _is_covered(hair, level, solid)[..., None]
        head = bare + covered * (push_pull(front, hair) - bare)
    return np.asarray(front + solid.head[..., None] * (head - front), np.float32)


def _eroded(share: Floats) -> Floats:
    return np.asarray(cv2.erode(share.astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)


def _is_covered(hair: Floats, level: float, solid: Solid) -> Floats:
    """How much hair hides the back of head and neck in each row, (h, 1) float32, 0 to 1.

    All of the head; the neck as far as hair hangs beside it.
    """
    beside = hair.sum(1) / np.maximum(solid.head.sum(1), 1)
    beside = np.clip(beside / HAIR_BESIDE_NECK, 0, 1)
    y = np.arange(len(hair), dtype=np.float32)
    above = np.clip((level - y) / (NAPE_FADE * solid.face_height), 0, 1)
    return np.asarray(np.maximum(beside, above)[:, None], np.float32)
