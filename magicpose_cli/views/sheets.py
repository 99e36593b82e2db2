"""The solid's front and back as two sheets of triangles, and their turns."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.views.angles import ViewAngles
from magicpose_cli.views.solid import Solid
from magicpose_cli.warping.head import EAR_POINTS

SHEET_STEP_PX = 2.0  # between a sheet's vertices, at a short side of 512
FRONT_ALPHA, BACK_ALPHA = 0.02, 0.6  # of the matte, from which on a sheet has triangles
NECK_LENGTH, HAIR_LENGTH = 0.5, 0.75  # face heights below the chin, where a head's turn ends
NECK_REACH = (0.5, 0.9)  # face heights beside the pivot, over which a neck's turn fades out, too
MIRROR_FROM = 0.14  # sine of the head's own yaw, from which on its mirror image is worth drawing
MIRRORED_POINTS = ((127, 356), (234, 454), (33, 263), (61, 291), (172, 397))  # right and left
MIRROR_SHARE = 0.5  # of `Solid.head`, from which on a pixel is mirrored


LEAST_SHARE = 0.01  # of a turn: less is none


@dataclass(frozen=True, eq=False)
class Sheets:
    """Vertices of the front sheet, as many of the back, and of the front's mirror image, if any.

    Attributes:
        points: (k n, 3) float32: x, y from the picture's middle and depth, in the solid's pixels.
        texture: (k n, 2) float32 pixels of the padded picture.
        share: (k n,) float32 how much of a turn each vertex takes.
        faces: (m, 3) int64 each, vertices of the front's, the back's and the mirror's triangles.
    """

    points: Floats
    texture: Floats
    share: Floats
    faces: tuple[Integers, ...]


def make_sheets(solid: Solid, alpha: Floats, share: Floats, mesh: Floats | None = None) -> Sheets:
    """Cut what turns of the solid into triangles.

    Args:
        solid: Depths.
        alpha: (h, w) float32 of the padded picture.
        share: (h, w) likewise, how much of a turn each pixel takes.
        mesh: (478, 3) of the face, by which the head's mirror image is added.
    """
    grid = solid.grid
    step = SHEET_STEP_PX * max(1.0, min(grid.width, grid.height) / 512)
    width, height = grid.padded
    columns, rows = (round((side - 1) / step) + 1 for side in (width, height))
    x, y = np.meshgrid(
        np.linspace(0, width - 1, columns, dtype=np.float32),
        np.linspace(0, height - 1, rows, dtype=np.float32),
    )

    def at(values: Floats) -> Floats:
        return np.asarray(cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR))

    around = np.ones((2 * int(np.ceil(step)) + 1,) * 2, np.uint8)
    wide = cv2.dilate(((alpha > FRONT_ALPHA) & (share > 0)).astype(np.float32), around)
    present = at(np.asarray(wide, np.float32)) > 0
    number = np.cumsum(present.ravel()).reshape(present.shape) - 1
    whole = present[:-1, :-1] & present[1:, :-1] & present[:-1, 1:] & present[1:, 1:]
    a, b = number[:-1, :-1][whole], number[1:, :-1][whole]
    c, d = number[:-1, 1:][whole], number[1:, 1:][whole]
    front = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int64)
    inner = (at(alpha) > BACK_ALPHA)[present]
    place = np.stack([x[present], y[present]], 1)
    points = [_unprojected(solid, place, at(side)[present]) for side in (solid.front, solid.back)]
    back = np.ascontiguousarray(front[inner[front].all(1)][:, ::-1] + len(place))
    faces = [front, back]
    mirrored = None if mesh is None else mirrored_points(solid, mesh, points[0])
    if mirrored is not None:
        is_head = ((at(solid.head) > MIRROR_SHARE) & (at(alpha) > BACK_ALPHA))[present]
        points.append(mirrored)
        faces.append(front[is_head[front].all(1)] + 2 * len(place))
    count = len(points)
    return Sheets(
        np.concatenate(points),
        np.tile(place, (count, 1)),
        np.tile(at(share)[present], count),
        tuple(faces),
    )


def head_turn_share(solid: Solid) -> Floats:
    """How much of a head's turn every pixel takes, (h, w) float32: a head all, a trunk nothing."""
    grid, unit = solid.grid, solid.face_height
    y = np.arange(grid.padded[1], dtype=np.float32)[:, None] - grid.pad
    x = np.abs(np.arange(grid.padded[0], dtype=np.float32) - grid.pad - solid.head_pivot[0])
    first, last = NECK_REACH
    beside = np.clip((last * unit - x) / ((last - first) * unit), 0, 1)
    neck, hair = (
        np.clip((solid.chin - y) / (length * unit) + 1, 0, 1)
        for length in (NECK_LENGTH, HAIR_LENGTH)
    )
    share = np.maximum(_eased(neck) * _eased(beside), _eased(hair) * solid.head)
    return np.asarray(np.where(share < LEAST_SHARE, 0, share), np.float32)


def mirrored_points(solid: Solid, mesh: Floats, points: Floats) -> Floats | None:
    """Reflect points (n, 3) in the axes of `Sheets.points` at the head's plane of symmetry.

    Args:
        solid: Depths.
        mesh: (478, 3) of the face.
        points: Of the front sheet.

    Returns:
        None where the head looks at the camera: then both of its sides are seen equally well.
    """
    right, left = (mesh[list(side)] for side in zip(*MIRRORED_POINTS, strict=True))
    ears = mesh[list(EAR_POINTS), 2].mean()
    ends = [_unprojected(solid, s[:, :2] + solid.grid.pad, s[:, 2] - ears) for s in (right, left)]
    across = (ends[1] - ends[0]).sum(0)
    normal = across / np.linalg.norm(across)
    if abs(normal[2]) < MIRROR_FROM:
        return None
    middle = (ends[0] + ends[1]).mean(0) / 2
    off = (points - middle) @ normal
    return np.asarray(points - 2 * off[:, None] * normal, np.float32)


def _eased(share: Floats) -> Floats:
    """0 to 1 without kinks at the ends."""
    return np.asarray(share * share * (3 - 2 * share))


def pivot_point(solid: Solid, pivot: Floats) -> Floats:
    """A pivot of the solid, (3,), in the axes of `Sheets.points`."""
    place = pivot[None, :2] + solid.grid.pad
    point: Floats = _unprojected(solid, place, pivot[2:])[0].astype(np.float64)
    return point


def rotation(angles: ViewAngles) -> Floats:
    """(3, 3) the turn of a person by these angles, in axes x right, y down, z away."""
    yaw, pitch = np.radians(angles)
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    )
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    return np.asarray(turn @ nod)


def turned(sheets: Sheets, pivot: Floats, angles: ViewAngles) -> Floats:
    """(2 n, 3) float32 the vertices after a turn around a pivot, (3,), each by its share."""
    yaw, pitch = (np.radians(angle) * sheets.share for angle in angles)
    x, y, z = (sheets.points - pivot).astype(np.float32).T
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    return np.asarray(np.stack([x, y, z], 1) + pivot, np.float32)


def _unprojected(solid: Solid, place: Floats, depth: Floats) -> Floats:
    """(n, 3) float32 of places (n, 2) in the padded picture with depths (n,)."""
    grid = solid.grid
    middle = np.array([grid.width / 2, grid.height / 2]) + grid.pad - 0.5
    flat = (place - middle) * (1 + depth[:, None] / solid.focal_px)
    return np.column_stack([flat, depth]).astype(np.float32)
