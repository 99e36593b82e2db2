"""The fitted body with the colors of one picture, for views that the picture does not show.

What the picture shows keeps its colors; the rest takes those of the nearest skin or cloth that is
seen: front for back, left for right, so that a shirt keeps its color from all sides. The body is
that of a person in close clothes: skirts become trousers, and long hair ends at the head.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.spatial import cKDTree

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.reference_body import ReferenceBody
from magicpose_cli.body.renderer import interpolate, rasterize, vertex_normals
from magicpose_cli.warping.matte import Matte

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.laid_motion import BodyMotion

CLOTH_M = 0.014  # of clothes and hair before the skin
SEEN_COSINE = 0.25  # between a surface and the way to the camera: flatter ones show the background
SEEN_ALPHA = 0.75  # of the matte
TEXTURE_EDGE_PX = 5  # whose colors the background may have touched, as the side of a square
DEPTH_WEIGHT = 0.12  # of front and back in the search for a like place, against height and width
PART_APART_M = 0.6  # added between parts, so that arms take the colors of arms
SUPERSAMPLED = 2
_LIMBS = {"upper_arm": 1, "lower_arm": 2, "hand": 3, "upper_leg": 4, "lower_leg": 5, "foot": 6}


class TexturedBody:
    """One person's body with colors.

    Args:
        reference: The body that was fitted in the picture.
        matte: Of the picture's person.
    """

    def __init__(self, reference: ReferenceBody, matte: Matte) -> None:
        import torch

        self._reference = reference
        body = reference.body
        with torch.no_grad():
            own = reference.rotations[None]
            vertices = self._clothed(own, reference.root_joint_m[None])
            colors, seen = _colors_seen(reference, vertices, matte)
            rest = body.rest(reference.shape).vertices[0].double().numpy()
        parts = _vertex_parts(body.faces.numpy(), body.face_parts.numpy(), len(rest))
        self._colors = torch.from_numpy(_filled(colors, seen, rest, parts)).float()

    def _clothed(self, rotations: Tensor, place_m: Tensor) -> Tensor:
        """(F, V, 3) vertices a little before the skin."""
        reference = self._reference
        body = reference.body
        rest = body.rest(reference.shape).joints[0, 0]
        posed = body(reference.shape, None, rotations, place_m - rest).vertices
        return posed + CLOTH_M * vertex_normals(posed, body.faces)

    def draw(self, motion: BodyMotion, frame: int) -> tuple[Floats, Floats]:
        """Draw one frame of a motion.

        Returns:
            (S, S, 3) float32 RGB in 0..255, and how much of each pixel is the body's, (S, S).
        """
        import torch

        body = self._reference.body
        rows = slice(frame, frame + 1)
        camera = self._reference.camera.scaled(SUPERSAMPLED)
        with torch.no_grad():
            vertices = self._clothed(motion.rotations[rows], motion.place_m[rows])
            fragments = rasterize(vertices, body.faces, camera, cull_back=True)
            colors = interpolate(fragments, body.faces, self._colors[None])[0].numpy()
            hit = (fragments.triangles[0] >= 0).float().numpy()
        size = (self._reference.camera.width, self._reference.camera.height)
        alpha = cv2.resize(hit, size, interpolation=cv2.INTER_AREA)
        sums = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
        shown = sums / np.maximum(alpha, 1e-6)[..., None]
        return np.asarray(shown, np.float32), np.asarray(alpha, np.float32)


def body_silhouette(reference: ReferenceBody, motion: BodyMotion, frame: int) -> Mask:
    """(S, S) bool, where a body of a frame is seen by the picture's camera."""
    import torch

    body = reference.body
    rows = slice(frame, frame + 1)
    with torch.no_grad():
        rest = body.rest(reference.shape).joints[0, 0]
        posed = body(
            reference.shape, None, motion.rotations[rows], motion.place_m[rows] - rest
        ).vertices
        clothed = posed + CLOTH_M * vertex_normals(posed, body.faces)
        seen = rasterize(clothed, body.faces, reference.camera, cull_back=True)
    mask: Mask = (seen.triangles[0] >= 0).numpy()
    return mask


def _colors_seen(reference: ReferenceBody, vertices: Tensor, matte: Matte) -> tuple[Floats, Mask]:
    """Colors (V, 3) in 0..255 of the vertices that the picture shows, and which these are."""
    from torch.nn.functional import normalize

    body, camera = reference.body, reference.camera
    fragments = rasterize(vertices, body.faces, camera, cull_back=True)
    pixels, depth = camera.project(vertices[0])
    away = normalize(-vertices[0], dim=-1)  # the camera is at the origin
    facing = (vertex_normals(vertices, body.faces)[0] * away).sum(-1).numpy()
    at = pixels.numpy()
    x = np.clip(np.floor(at[:, 0]), 0, camera.width - 1).astype(int)
    y = np.clip(np.floor(at[:, 1]), 0, camera.height - 1).astype(int)
    nearest = fragments.depth[0].numpy()[y, x]
    is_front = depth.numpy() < nearest + 2 * CLOTH_M
    inner = cv2.erode(matte.alpha, np.ones((TEXTURE_EDGE_PX, TEXTURE_EDGE_PX), np.uint8))
    seen = is_front & (facing > SEEN_COSINE) & (inner[y, x] > SEEN_ALPHA)
    return matte.foreground[y, x].astype(np.float64), np.asarray(seen)


def _vertex_parts(faces: Integers, face_parts: Integers, count: int) -> Integers:
    """(V,) the kind of part that a vertex belongs to; left and right are of one kind."""
    kinds = np.zeros(len(BODY_PARTS), np.int64)
    for number, name in enumerate(BODY_PARTS):
        limb = next((kind for ending, kind in _LIMBS.items() if name.endswith(ending)), 0)
        kinds[number] = 7 if name in ("head", "eyes", "mouth") else limb
    found = np.zeros(count, np.int64)
    found[faces.ravel()] = np.repeat(kinds[face_parts], 3)
    return found


def _filled(colors: Floats, seen: Mask, rest: Floats, parts: Integers) -> Floats:
    """Give every vertex a color: its own, or that of the likest place that is seen."""
    if not seen.any():
        return np.full_like(colors, 128.0)
    is_head = parts == 7
    across = np.where(is_head, rest[:, 0], np.abs(rest[:, 0]))
    through = np.where(is_head, 1.0, DEPTH_WEIGHT) * rest[:, 2]
    places = np.stack([across, rest[:, 1], through, PART_APART_M * parts], axis=1)
    _, likest = cKDTree(places[seen]).query(places[~seen], k=3)
    whole = colors.copy()
    whole[~seen] = np.median(colors[seen][likest], axis=1)
    return whole


def moved_matte(matte: Matte, corner: tuple[int, int], side: int) -> Matte:
    """The matte of a crop in a square canvas; beyond the crop nobody is."""
    x, y = corner
    height, width = matte.alpha.shape
    room = ((y, side - height - y), (x, side - width - x))
    return replace(
        matte,
        alpha=np.pad(matte.alpha, room),
        foreground=np.pad(matte.foreground, (*room, (0, 0)), mode="edge"),
    )
