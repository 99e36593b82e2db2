"""A person as a solid: how near every pixel's front is, and how far its back.

Depth comes from the fitted body and from the face's mesh. It closes at the matte's outline, so that
hair and clothes that stick out of any body are part of the solid. Lengths are pixels: at depth 0 a
pixel of the picture is one unit, and the camera is as far away as its focal length.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.fit import FOCAL
from magicpose_cli.pose.height import body_height
from magicpose_cli.views.body_depth import middle_and_half
from magicpose_cli.views.subject import Subject
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.head import EAR_POINTS, MESH_FACE_POINTS
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.parts import body_parts, skin_weights
from magicpose_cli.warping.warp import FACES_PER_BODY
from magicpose_cli.warping.warp_points import WarpPoints

SOLID_ALPHA = 0.5  # of the matte, from which on a pixel counts as the person
EDGE_PX = 3.0  # inside the outline, at a short side of 512, where the solid is flat yet
TRUNK_HALF_DEPTH = 0.065  # body heights, where no body could be fitted
BROW_POINTS = (105, 334)  # of the mesh's 478
# Of a head, in heights of the face's mesh (forehead to chin):
HEAD_HALF_WIDTH = 0.42
FOREHEAD_AHEAD, HAIR_AHEAD = 0.5, 0.1  # of the ears' plane: hair above and beside the face
BACK_BEHIND, NAPE_BEHIND = 0.58, 0.22  # that plane: the back of the head, and of the neck
NAPE_BELOW = 0.5  # the ears
RIM_FADE = 0.12  # around the mesh, over which its depth fades into the hair's
SHARE_SMOOTH, DEPTH_SMOOTH = 0.03, 0.02  # of the border between head and trunk, and of all depth
EAR_SIZE = 0.2  # half of it: what sticks out of a head and is narrower is flat
CAMERA_FACES = 6.0  # heights of a face that a camera is away at least: some 1.2 m, as for portraits
CLOSE_UP = 4.0  # of a person who is shown: up to it an orbit goes around the head


@dataclass(frozen=True, eq=False)
class Solid:
    """Depths of a person in the padded picture of `grid`.

    Attributes:
        grid: Of the picture.
        front: (h, w) float32 pixels away from the camera.
        back: (h, w) float32 likewise, of the side that is turned away.
        head: (h, w) float32, 0 to 1, how much of a pixel is head and hair.
        face: (h, w) float32, 1 in the face's mesh, else 0.
        focal_px: Of the camera.
        face_height: Of the mesh in pixels; without one what the body's height tells.
        head_pivot: (3,) x, y in the picture's pixels and depth, where the head turns on the neck.
        body_pivot: (3,) likewise, on the axis of the whole person.
        chin: y in the picture's pixels, where the head ends.
    """

    grid: Grid
    front: Floats
    back: Floats
    head: Floats
    face: Floats
    focal_px: float
    face_height: float
    head_pivot: Floats
    body_pivot: Floats
    chin: float


def build_solid(subject: Subject) -> Solid:
    """Find the depths of a person."""
    height, width = subject.picture.shape[:2]
    grid = Grid(width, height)
    points = WarpPoints.of(subject.pose, guessed=True)
    alpha = padded_alpha(grid, subject.matte.alpha)
    person = (alpha > SOLID_ALPHA).astype(np.float32)
    tall = _tall(subject, points)
    depths = None if subject.body is None else middle_and_half(subject.body, grid, person, tall)
    if depths is None:
        flat = np.zeros(person.shape, np.float32)
        depths = flat, flat + np.float32(TRUNK_HALF_DEPTH * tall)
    middle, half = depths
    edge = EDGE_PX * min(width, height) / 512
    closing = _round(_inside(person, 0, edge) / half)
    front, back = middle - half * closing, middle + half * closing
    head, face = np.zeros_like(front), np.zeros_like(front)
    face_height = tall / FACES_PER_BODY
    if points.mesh is not None:
        face_height = float(np.ptp(points.mesh[:MESH_FACE_POINTS, 1]))
        head = _head_share(subject, points, tall, grid, alpha, face_height)
        inside = _inside(person, EAR_SIZE * face_height, edge)
        own_front, own_back, face = _head_depths(points.mesh, grid, inside, face_height)
        front = front + head * (own_front - front)
        back = back + head * (own_back - back)
    front = cv2.GaussianBlur(front, (0, 0), max(1.0, DEPTH_SMOOTH * face_height))
    back = np.maximum(back, front)
    head_pivot, body_pivot, chin = _pivots(subject, points, person[grid.unpadded], face_height)
    return Solid(
        grid, front.astype(np.float32), back.astype(np.float32), head, face,
        max(FOCAL * max(width, height), CAMERA_FACES * face_height), face_height, head_pivot,
        body_pivot, chin,
    )  # fmt: skip


def padded_alpha(grid: Grid, alpha: Floats) -> Floats:
    """Continue a matte beyond those edges of the picture that the person reaches, mirrored."""
    pad = grid.pad
    wide = np.asarray(grid.widened(alpha), np.float32)
    wide[:pad] *= wide[pad]
    wide[-pad:] *= wide[-pad - 1]
    wide[:, :pad] *= wide[:, pad : pad + 1]
    wide[:, -pad:] *= wide[:, -pad - 1 : -pad]
    return wide


def _tall(subject: Subject, points: WarpPoints) -> float:
    """The height of the whole body in pixels."""
    found = body_height(subject.pose)
    if points.has_face:
        by_face = FACES_PER_BODY * float(np.ptp(points.outline()[:, 1]))
        return max(found, by_face) if found else by_face
    return found or float(max(subject.pose.width, subject.pose.height))


def _head_share(
    subject: Subject, points: WarpPoints, tall: float, grid: Grid, alpha: Floats, face_height: float
) -> Floats:
    """How much of each pixel is head and hair, (h, w) float32 of the padded picture."""
    parts = body_parts(points)
    picture = grid.widened(subject.picture).astype(np.float32)
    share = skin_weights(parts, points, tall, grid, picture, alpha)[parts.index("head")]
    large = cv2.resize(share, grid.padded, interpolation=cv2.INTER_LINEAR)
    sigma = max(1.0, SHARE_SMOOTH * face_height)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), sigma), np.float32)


def _head_depths(
    mesh: Floats, grid: Grid, inside: Floats, face_height: float
) -> tuple[Floats, Floats, Floats]:
    """Front and back of a head, and where its face is, (h, w) each; the ears are at depth 0.

    Args:
        mesh: (478, 3).
        grid: Of the picture.
        inside: (h, w) pixels from the outline of the head without its ears.
        face_height: In pixels.
    """
    shape = mesh[:MESH_FACE_POINTS].copy()
    shape[:, 2] -= shape[list(EAR_POINTS), 2].mean()
    depth, face, away = _mesh_depth(shape, grid)
    brow, ear = (float(shape[list(rows), 1].mean()) for rows in (BROW_POINTS, EAR_POINTS))
    y = np.arange(grid.padded[1], dtype=np.float32)[:, None] - grid.pad
    above = np.clip((ear - y) / max(ear - brow + 0.1 * face_height, 1.0), 0, 1)
    below = np.clip((y - ear) / (NAPE_BELOW * face_height), 0, 1)
    skull = face_height * _round(inside / (HEAD_HALF_WIDTH * face_height))
    hair = -(HAIR_AHEAD + above * (FOREHEAD_AHEAD - HAIR_AHEAD)) * skull
    rim = np.exp(-away / (RIM_FADE * face_height))
    front = hair + rim * (depth - hair)
    return front, (BACK_BEHIND + below * (NAPE_BEHIND - BACK_BEHIND)) * skull, face


def _mesh_depth(mesh: Floats, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Depth of the face's mesh, continued; its mask; and the distance to it, (h, w) each."""
    from scipy.interpolate import LinearNDInterpolator

    shape = grid.padded[::-1]
    low = np.maximum(np.floor(mesh[:, :2].min(0) + grid.pad).astype(int), 0)
    high = np.minimum(np.ceil(mesh[:, :2].max(0) + grid.pad).astype(int) + 1, shape[::-1])
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    found = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(np.stack([x, y], -1) - grid.pad)
    depth, known = np.zeros((*shape, 1), np.float32), np.zeros(shape, np.float32)
    box = np.s_[low[1] : high[1], low[0] : high[0]]
    depth[box] = np.nan_to_num(found)[..., None]
    known[box] = np.isfinite(found)
    away = cv2.distanceTransform((known == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return push_pull(depth, known)[..., 0], known, np.asarray(away, np.float32)


def _inside(person: Floats, opening_px: float, edge_px: float) -> Floats:
    """Pixels from the outline and its edge, (h, w) float32; 0 in what is narrower than openings."""
    mask = person.astype(np.uint8)
    if opening_px >= 1:
        side = 2 * round(opening_px) + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk), np.uint8)
    away = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    return np.asarray(np.maximum(away - edge_px, 0), np.float32)


def _round(share: Floats) -> Floats:
    """The profile of a circle: 0 at its edge, 1 from its middle on."""
    return np.asarray(np.sqrt(1 - (1 - np.clip(share, 0, 1)) ** 2), np.float32)


def _pivots(
    subject: Subject, points: WarpPoints, person: Floats, face_height: float
) -> tuple[Floats, Floats, float]:
    """`Solid.head_pivot`, `body_pivot` and `chin`."""
    rows, columns = np.nonzero(person)
    middle = np.array([np.median(columns), np.median(rows), 0.0])
    if points.mesh is not None and subject.head is not None:
        ears = np.array([0.0, 0.0, points.mesh[list(EAR_POINTS), 2].mean()])
        chin = float(points.mesh[:MESH_FACE_POINTS, 1].max())
        is_close = float(np.ptp(rows)) < CLOSE_UP * face_height
        neck, skull = (joint - ears for joint in subject.head)
        return neck, skull if is_close else middle, chin
    neck = points.joint("neck")
    at = neck if np.isfinite(neck).all() else middle[:2]
    return np.array([at[0], at[1], 0.0]), middle, float(at[1]) - 0.4 * face_height
