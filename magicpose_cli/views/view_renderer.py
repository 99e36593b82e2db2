"""Views of a person from other sides, before the same background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.body.cameras import Camera
from magicpose_cli.views.angles import ViewAngles
from magicpose_cli.views.sheets import head_turn_share, make_sheets, pivot_point, turned
from magicpose_cli.views.side_colors import back_colors, front_colors
from magicpose_cli.views.solid import build_solid, padded_alpha
from magicpose_cli.views.subject import Subject
from magicpose_cli.warping.plate import make_plate
from magicpose_cli.warping.warp import UNMOVED_PX, as_bytes, skin_color
from magicpose_cli.warping.warp_points import WarpPoints

FRONT, BACK, MIRROR = range(3)  # of `Sheets.faces`
MIRROR_ROOM = 0.15  # face heights, by which the two halves of a head differ at most
MIRROR_FADE = 0.03  # face heights, over which one is shown in place of the other
STRETCHED = (1.8, 4.0)
"""Pixels of a view that one of the picture makes: up to the first it is sharp, from the second on
soft."""
SOFT_SIGMA = 0.02  # face heights, of the colors where the picture is stretched most
SOFT_FADE_PX = 2.0
FOLD = 0.05  # face heights, by which depth jumps where a sheet folds
COVERAGE_SIGMA_PX = 0.8  # of a sheet's edge
UNTOUCHED_PX = 9  # around the matte: farther away the plate is the picture


@dataclass(frozen=True, eq=False)
class View:
    """A person from another side.

    Attributes:
        picture: (H, W, 3) uint8 RGB, before the reference's background.
        cover: (H, W) float32, 0 to 1, how much of a pixel is the person.
    """

    picture: Picture
    cover: Floats


@dataclass(frozen=True, eq=False)
class _DrawnSheet:
    """colors (H, W, 3); alpha, depth, softness, the pixels that each has moved by, (H, W) each."""

    colors: Floats
    alpha: Floats
    depth: Floats
    softness: Floats
    moved: Floats


class ViewRenderer:
    """Draws a person from other sides; what all views share is made once.

    At the angles 0, 0 a view is the picture, exactly.

    Args:
        subject: The person.
        orbit: The whole person turns as one piece; else the head on the neck alone.

    Attributes:
        solid: The person's depths.
        pivot: (3,) around which they turn, in the axes of `Sheets.points`.
        textures: (h, w, 3) float32 each, of the front and of the back, of the padded picture.
    """

    def __init__(self, subject: Subject, *, orbit: bool = False) -> None:
        self.solid = solid = build_solid(subject)
        grid = solid.grid
        self._alpha = padded_alpha(grid, subject.matte.alpha)
        share = np.ones_like(solid.front) if orbit else head_turn_share(solid)
        self.pivot = pivot_point(solid, solid.body_pivot if orbit else solid.head_pivot)
        mesh = subject.pose.face_mesh
        self._sheets = make_sheets(solid, self._alpha, share, mesh)
        wide = grid.widened(subject.matte.foreground.astype(np.float32))
        front = front_colors(wide, self._alpha)
        skin = skin_color(subject.matte.foreground, WarpPoints.of(subject.pose))
        self.textures = front, back_colors(front, self._alpha, solid, skin)
        sigma = max(1.0, SOFT_SIGMA * solid.face_height)
        self._soft = [cv2.GaussianBlur(each, (0, 0), sigma) for each in self.textures]
        still = share[grid.unpadded] == 0
        plate, _ = make_plate(subject.picture, subject.matte.alpha)
        self._base = np.where(still[..., None], subject.picture, plate).astype(np.float32)
        self._still_cover = np.where(still, subject.matte.alpha, 0).astype(np.float32)
        square = np.ones((UNTOUCHED_PX,) * 2, np.uint8)
        self._untouched: Mask = still | (cv2.dilate(subject.matte.alpha, square) == 0)
        self._residual: Floats = subject.picture - self._composed(ViewAngles(0, 0))[0]

    def __call__(self, angles: ViewAngles) -> View:
        """Draw the person, turned by these angles from the picture's own side."""
        picture, cover, moved = self._composed(angles)
        picture += np.clip(UNMOVED_PX - moved, 0, 1)[..., None] * self._residual
        return View(as_bytes(picture), cover)

    def _composed(self, angles: ViewAngles) -> tuple[Floats, Floats, Floats]:
        """Picture (H, W, 3), cover (H, W), and by how many pixels what is seen has moved (H, W)."""
        vertices = turned(self._sheets, self.pivot, angles)
        front, back = (self._drawn(number, vertices) for number in (FRONT, BACK))
        if len(self._sheets.faces) > MIRROR and angles != (0, 0):
            front, back = self._filled(front, back, self._drawn(MIRROR, vertices))
        first = front.depth <= back.depth + 1
        picture, cover = self._base.copy(), self._still_cover.copy()
        for one, other in ((back, front), (front, back)):  # what is behind, then what is before
            colors = np.where(first[..., None], one.colors, other.colors)
            alpha = np.where(first, one.alpha, other.alpha)
            picture += alpha[..., None] * (colors - picture)
            cover += alpha * (1 - cover)
        moved = np.where(first, front.moved, back.moved)
        seen = np.isfinite(front.depth) | np.isfinite(back.depth)
        left = 0.0 if angles == (0, 0) else np.inf  # the person may have left this place
        return picture, cover, np.where(seen, moved, np.where(self._untouched, 0.0, left))

    def _filled(
        self, front: _DrawnSheet, back: _DrawnSheet, mirror: _DrawnSheet
    ) -> tuple[_DrawnSheet, _DrawnSheet]:
        """Show the head's mirror image where the front is stretched or the back comes before it."""
        room = MIRROR_ROOM * self.solid.face_height
        seen = mirror.alpha * (1 - mirror.softness)
        before = (mirror.depth < back.depth + room) * seen
        # An image of the other half is not exact: it covers nothing that the picture shows.
        behind = np.where(np.isfinite(front.depth), front.depth, -np.inf)
        far = replace(
            back,
            colors=back.colors + before[..., None] * (mirror.colors - back.colors),
            alpha=np.maximum(back.alpha, before),
            depth=np.where(before > 0.5, np.maximum(mirror.depth, behind), back.depth),
        )
        shown = 1 - self._joined(np.clip(2 * front.softness - 1, 0, 1), seen)
        return replace(front, alpha=front.alpha * shown), far

    def _joined(self, wanted: Floats, seen: Floats) -> Floats:
        """How much of the mirror image is shown, (H, W), without stripes and hard edges.

        Args:
            wanted: (H, W) how stretched the picture itself is.
            seen: (H, W) where its mirror image can be shown.
        """
        sigma = max(1.0, MIRROR_FADE * self.solid.face_height)
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(1.5 * sigma) + 1,) * 2)
        closed = cv2.morphologyEx(wanted.astype(np.float32), cv2.MORPH_CLOSE, disk)
        inner = cv2.erode(seen.astype(np.float32), disk)
        shown = cv2.GaussianBlur(closed, (0, 0), sigma) * cv2.GaussianBlur(inner, (0, 0), sigma)
        return np.asarray(shown, np.float32)

    def _drawn(self, number: int, vertices: Floats) -> _DrawnSheet:
        """Draw one of FRONT, BACK and MIRROR."""
        import torch

        from magicpose_cli.body.renderer import interpolate, rasterize

        grid, focal = self.solid.grid, self.solid.focal_px
        camera = Camera(grid.width, grid.height, distance_m=focal, focal_px=focal)
        faces = torch.from_numpy(self._sheets.faces[number])
        with torch.no_grad():
            world = torch.from_numpy(vertices * np.array([1, -1, -1], np.float32))
            seen = rasterize(world[None], faces, camera)
            texture = torch.from_numpy(self._sheets.texture)[None]
            place = interpolate(seen, faces, texture)[0].numpy()
        hit = seen.triangles[0].numpy() >= 0
        x, y = np.ascontiguousarray(place[..., 0]), np.ascontiguousarray(place[..., 1])
        side = BACK if number == BACK else FRONT
        sharp = cv2.remap(self.textures[side], x, y, cv2.INTER_CUBIC)
        soft = cv2.remap(self._soft[side], x, y, cv2.INTER_LINEAR)
        softness = _softness(place, hit)
        colors = sharp + softness[..., None] * (soft - sharp)
        depth = seen.depth[0].numpy()
        colors = _smoothed_folds(colors, depth, FOLD * self.solid.face_height)
        coverage = cv2.GaussianBlur(hit.astype(np.float32), (0, 0), COVERAGE_SIGMA_PX)
        alpha = np.clip(2 * coverage - 1, 0, 1)
        if number == FRONT:
            alpha *= cv2.remap(self._alpha, x, y, cv2.INTER_LINEAR)
        across, down = np.arange(grid.width) + grid.pad, np.arange(grid.height) + grid.pad
        moved = np.maximum(np.abs(x - across), np.abs(y - down[:, None]))
        return _DrawnSheet(colors, alpha, depth, softness, moved)


def _smoothed_folds(colors: Floats, depth: Floats, step_px: float) -> Floats:
    """Smooth colors (H, W, 3) where depth (H, W) jumps: there a sheet hides a part of itself."""
    near = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    hit = cv2.erode(np.isfinite(depth).astype(np.uint8), square)
    jumps = (cv2.dilate(near, square) - cv2.erode(near, square) > step_px) & (hit > 0)
    share = cv2.GaussianBlur(jumps.astype(np.float32), (0, 0), COVERAGE_SIGMA_PX)[..., None]
    smooth = cv2.GaussianBlur(colors, (0, 0), COVERAGE_SIGMA_PX)
    return np.asarray(colors + share * (smooth - colors), np.float32)


def _softness(place: Floats, hit: Mask) -> Floats:
    """How soft each pixel is to be, (H, W) float32, 0 to 1.

    Args:
        place: (H, W, 2) pixels of the picture that are seen.
        hit: (H, W) where anything is.
    """
    down, across = np.gradient(place, axis=(0, 1))
    lengths = (down**2).sum(-1) + (across**2).sum(-1)
    area = np.abs(down[..., 0] * across[..., 1] - down[..., 1] * across[..., 0])
    # About the smaller singular value of the map from the view to the picture.
    stretch = np.sqrt(np.maximum(lengths, 1e-6)) / np.maximum(area, 1e-3)
    share = np.clip((stretch - STRETCHED[0]) / (STRETCHED[1] - STRETCHED[0]), 0, 1).astype(
        np.float32
    )
    inner = cv2.erode(hit.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(share * inner, (0, 0), SOFT_FADE_PX), np.float32)
