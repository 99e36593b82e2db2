"""The head of one picture as a textured model: a morphable head in the face's own shape, and hair.

The parametric head is bent so that its 68 points lie where the face's mesh has them. Its texture is
the picture where it faces the camera; where its mirror image does so better, that; else the colors
of the side that is turned away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask, Picture
from magicpose_cli.body.layout import BODY_PARTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_files.glb_writer import mesh_normals
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.views.sheets import make_sheets
from magicpose_cli.views.solid import Solid, padded_alpha
from magicpose_cli.views.subject import Subject
from magicpose_cli.warping.head import EAR_POINTS
from magicpose_cli.warping.interpolation import apply_map, similarity
from magicpose_cli.warping.warp import as_bytes

TO_BODY_AXES = np.array([1.0, -1.0, -1.0])  # from the picture's axes to the body's
HEAD_PART_INDICES = tuple(BODY_PARTS.index(name) for name in ("head", "eyes", "mouth"))
BEND_SMOOTHING = 1e-6  # square meters, of the points that bend the head
SKULL_ANCHORS = 60  # vertices far from the face that stay where they are
SKULL_AWAY_M = 0.07  # from the nearest of the face's points
MIN_FACING = 0.15  # cosine to the camera: less is looked up on the side that is turned away
MIRROR_GAIN = 0.25  # of that cosine, by which the mirror image must be better
MOUTH_COLORS = {"teeth": (225, 215, 200), "tongue": (150, 70, 70)}
PATCH_PX = 8  # side of the patch that has such a color in the texture
HAIR_SHARE = 0.5  # of `Solid.head`, from which on a sheet belongs to the hair


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """Triangles with a texture.

    Attributes:
        vertices_m: (V, 3) meters: x to the person's left, y up, z to where they face.
        faces: (F, 3) vertices, counterclockwise as seen from outside.
        uv: (V, 2) 0 to 1, u right, v down.
        shapes_m: (V, 3) offsets by the names of facial actions.
    """

    vertices_m: Floats
    faces: Integers
    uv: Floats
    shapes_m: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head and its hair with one texture, (h, w, 3) uint8 RGB."""

    head: TexturedMesh
    hair: TexturedMesh
    texture: Picture


@dataclass(frozen=True)
class _Atlas:
    """Front and back textures side by side, with a strip of plain colors below.

    Attributes:
        texture: (h, 2 w, 3) uint8.
        width: Of one of them, w.
        height: Without the strip.
        pad: Of the padded picture.
    """

    texture: Picture
    width: int
    height: int
    pad: int

    @staticmethod
    def of(textures: tuple[Floats, Floats], pad: int) -> _Atlas:
        sides = np.concatenate([as_bytes(each) for each in textures], 1)
        strip = np.zeros((PATCH_PX, sides.shape[1], 3), np.uint8)
        for number, color in enumerate(MOUTH_COLORS.values()):
            strip[:, number * PATCH_PX : (number + 1) * PATCH_PX] = color
        height, width = textures[0].shape[:2]
        return _Atlas(np.concatenate([sides, strip]), width, height, pad)

    def places(self, pixels: Floats, is_back: Mask) -> Floats:
        """(n, 2) u, v of the picture's pixels (n, 2), on the front or the back."""
        low, high = 1.0, np.array([self.width - 2.0, self.height - 2.0])
        at = np.clip(pixels + self.pad, low, high) + 0.5
        at[:, 0] += np.where(is_back, self.width, 0)
        return np.asarray(at / self.texture.shape[1::-1], np.float32)

    def patch(self, name: str) -> Floats:
        """(2,) u, v of a plain color."""
        number = list(MOUTH_COLORS).index(name)
        at = np.array([(number + 0.5) * PATCH_PX, self.height + PATCH_PX / 2])
        return np.asarray(at / self.texture.shape[1::-1], np.float32)


def build_head_model(
    subject: Subject, solid: Solid, textures: tuple[Floats, Floats]
) -> HeadModel | None:
    """Build the head of a picture; None where no mesh of the face was found.

    Args:
        subject: The person.
        solid: Their depths.
        textures: Of front and back, see `ViewRenderer.textures`.
    """
    import torch

    mesh = subject.pose.face_mesh
    if mesh is None:
        return None
    body = Body.load()
    shape = torch.zeros(1, body.component_count) if subject.body is None else subject.body.shape
    with torch.no_grad():
        rest = body.rest(shape)
        points = body.key_points(*rest).pose[0, POSE_SLICES["face"]].double().numpy()
        vertices = rest.vertices[0].double().numpy()
    face = mesh.astype(np.float64) * TO_BODY_AXES
    into_head = similarity(face[list(FACE_FROM_478)], points)
    wanted = apply_map(into_head, face[list(FACE_FROM_478)])
    own = np.isin(body.face_parts.numpy(), HEAD_PART_INDICES)
    used = np.unique(body.faces.numpy()[own])
    bent = _bent(vertices[used], points, wanted)
    atlas = _Atlas.of(textures, solid.grid.pad)
    head = _head(body, own, used, bent, into_head, atlas)
    ears_depth = float(mesh[list(EAR_POINTS), 2].mean())
    hair = _hair(subject, solid, into_head, ears_depth, atlas)
    return HeadModel(head, hair, atlas.texture)


def _bent(vertices: Floats, points: Floats, wanted: Floats) -> Floats:
    """Bend a head (V, 3) so that its points (68, 3) go where they are wanted."""
    from scipy.interpolate import RBFInterpolator
    from scipy.spatial import cKDTree

    away = cKDTree(points).query(vertices)[0]
    far = np.flatnonzero(away > SKULL_AWAY_M)
    anchors = vertices[far[:: max(1, len(far) // SKULL_ANCHORS)]]
    places = np.concatenate([points, anchors])
    steps = np.concatenate([wanted - points, np.zeros_like(anchors)])
    bend = RBFInterpolator(places, steps, smoothing=BEND_SMOOTHING)
    return np.asarray(vertices + bend(vertices))


def _head(
    body: Body, own: Mask, used: Integers, bent: Floats, into_head: Floats, atlas: _Atlas
) -> TexturedMesh:
    """Texture the bent head; each triangle's corners lie on one side of the texture.

    Args:
        body: Whose head it is.
        own: (F,) the body's triangles that are the head's.
        used: (V,) the head's vertices among the body's.
        bent: (V, 3) where these are.
        into_head: From the picture to the head, see `similarity`.
        atlas: The texture.
    """
    row = np.full(body.vertex_count, -1)
    row[used] = np.arange(len(used))
    faces = row[body.faces.numpy()[own]]
    turn = into_head[:, :3] / np.cbrt(np.linalg.det(into_head[:, :3]))
    normals = mesh_normals(bent, faces)
    ahead = normals @ turn[:, 2]  # cosine to the camera, of the reference's own view
    aside = (normals * [-1, 1, 1]) @ turn[:, 2]
    facing, mirrored = ahead[faces].mean(1), aside[faces].mean(1)
    source = np.where(facing >= MIN_FACING, 0, 2)
    source[(mirrored > np.maximum(facing, 0) + MIRROR_GAIN) & (mirrored >= MIN_FACING)] = 1
    key = (faces + source[:, None] * len(used)).ravel()
    corners, split = np.unique(key, return_inverse=True)
    vertex, side = corners % len(used), corners // len(used)
    looked_up = bent[vertex] * np.where((side == 1)[:, None], [-1, 1, 1], 1)
    uv = atlas.places(_pixels(looked_up, into_head), side == 2)
    layer_of = np.full(len(body.faces), "", object)
    for name in MOUTH_COLORS:
        layer_of[body.layers[name]] = name
    plain = np.repeat(layer_of[own], 3)
    rows = split.reshape(-1)
    for name in MOUTH_COLORS:
        uv[rows[plain == name]] = atlas.patch(name)
    basis = body.expression_basis.view(len(body.expression_names), -1, 3).numpy()
    moving = row[body.expression_vertices.numpy()]
    shapes = {}
    for name, steps in zip(body.expression_names, basis, strict=True):
        offsets = np.zeros((len(used), 3), np.float32)
        offsets[moving[moving >= 0]] = steps[moving >= 0]
        shapes[name] = offsets[vertex]
    return TexturedMesh(bent[vertex], rows.reshape(-1, 3), uv, shapes)


def _hair(
    subject: Subject, solid: Solid, into_head: Floats, ears_depth: float, atlas: _Atlas
) -> TexturedMesh:
    """Cut hair and ears out of the solid: what is head in the picture, but not the face's mesh."""
    alpha = padded_alpha(solid.grid, subject.matte.alpha)
    own = (solid.head > HAIR_SHARE) & (alpha > HAIR_SHARE)
    sheets = make_sheets(solid, alpha * own, np.ones_like(alpha))
    column, line = np.rint(sheets.texture).astype(int).T
    faces = []
    for number, side in enumerate(sheets.faces):
        is_hair = own[line, column] & ((solid.face[line, column] == 0) | (number == 1))
        faces.append(side[is_hair[side].all(1)])
    joined = np.concatenate(faces)
    used, rows = np.unique(joined, return_inverse=True)
    pixels = sheets.texture[used].astype(np.float64) - solid.grid.pad
    depth = sheets.points[used, 2].astype(np.float64) + ears_depth
    vertices = apply_map(into_head, np.column_stack([pixels, depth]) * TO_BODY_AXES)
    is_back = used >= len(sheets.points) // 2
    uv = atlas.places(pixels, is_back)
    return TexturedMesh(vertices, rows.reshape(-1, 3), uv, {})


def _pixels(vertices: Floats, into_head: Floats) -> Floats:
    """Where the picture shows points of the head, (n, 2) pixels."""
    turn = into_head[:, :3]
    back = (vertices - into_head[:, 3]) @ np.linalg.inv(turn).T
    return np.asarray((back * TO_BODY_AXES)[:, :2])
