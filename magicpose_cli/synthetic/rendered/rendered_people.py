"""Rendered people: each clip is a person, a motion and a scene, made from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import LAYERS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.phenotypes import shape_from_phenotypes
from magicpose_cli.body.skinning import skinned, skinning_matrices
from magicpose_cli.synthetic.people import DrawnPoints, People
from magicpose_cli.synthetic.rendered.anatomy import (
    eye_surfaces,
    lash_surface,
    mouth_surfaces,
    skin_surface,
)
from magicpose_cli.synthetic.rendered.body_maps import imperfect_maps
from magicpose_cli.synthetic.rendered.complexion import Complexion, sample_complexion
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.garments import Tailoring, dress, sample_tailoring
from magicpose_cli.synthetic.rendered.hair import Haircut, grow_hair, sample_haircut
from magicpose_cli.synthetic.rendered.joint_motion import (
    CLIP_LENGTH_S,
    STYLE_SHARES,
    STYLES,
    BodyClip,
    sample_body_clip,
)
from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
from magicpose_cli.synthetic.rendered.scene_renderer import SceneRenderer
from magicpose_cli.synthetic.rendered.scenes import SHOTS, sample_scene
from magicpose_cli.synthetic.rendered.skin import (
    SKIN_TEXTURE_SIZES,
    photographed_skin,
    skin_texture,
)
from magicpose_cli.synthetic.rendered.surfaces import Surface
from magicpose_cli.synthetic.rendered.wardrobe import Wardrobe, read_texture, read_wardrobe
from magicpose_cli.synthetic.rendered.worn_pieces import WornPieces, sample_pieces

SHOT_SHARES = {"talk": (0.1, 0.4, 0.5), "gesture": (0.3, 0.5, 0.2), "dance": (0.75, 0.25, 0.0)}
FACE_SEEN = 0.15  # how far the nose must point to the camera, as a cosine, for landmarks
IRIS = (
    np.array(  # sRGB
        [[70, 42, 24], [45, 28, 18], [96, 128, 150], [92, 112, 70], [110, 105, 100]]
    )
    / 255
)


@dataclass(frozen=True, eq=False)
class RenderedIdentity:
    """Who somebody is.

    Attributes:
        shape: (1, K) of the body.
        complexion: Colors.
        haircut: See Haircut.
        tailoring: What they wear.
        iris: sRGB (3,).
        seed: Of fabrics.
        pieces: What they wear from a wardrobe.
    """

    shape: Tensor
    complexion: Complexion
    haircut: Haircut
    tailoring: Tailoring
    iris: Floats
    seed: int
    pieces: WornPieces


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """F frames of one person before a camera that stands still.

    Attributes:
        images: RGB (F, 3, S, S), 0..1.
        labels: Index into synthetic.canvas.LABELS, (F, S, S) uint8.
        parts: 1 + the index into body.layout.BODY_PARTS, clothes included, (F, S, S) uint8; else 0.
        depth: Meters along the camera's axis, (F, S, S), infinite beside the person.
        normals: Camera axes (F, S, S, 3).
        points: Pixels (F, 128, 2) as in pose/keypoints.py; NaN where a detector could not see them.
        points_m: (F, 128, 3) of the world, meters.
        camera: Which saw them.
        shape: (1, K) of the body.
        motion: Of the body, standing as it was seen.
    """

    images: Tensor
    labels: Tensor
    parts: Tensor
    depth: Tensor
    normals: Tensor
    points: Tensor
    points_m: Tensor
    camera: Camera
    shape: Tensor
    motion: BodyClip


def sample_identity(
    body: Body, rng: np.random.Generator, wardrobe: Wardrobe | None = None
) -> RenderedIdentity:
    """Sample somebody, an adult, always dressed; what a wardrobe adds changes nothing else."""
    is_woman = bool(rng.random() < 0.5)
    origins = rng.dirichlet([0.5] * 3)
    age = float(rng.choice([rng.uniform(0, 0.45), rng.uniform(0.45, 1)], p=[0.7, 0.3]))
    shape = shape_from_phenotypes(
        body,
        gender=float(np.clip(rng.normal(0.93 if is_woman else 0.07, 0.05), 0, 1)),
        age=age,
        muscle=float(rng.uniform(0.3, 0.8)),
        weight=float(rng.uniform(0.25, 0.8)),
        height=float(rng.uniform(0.3, 0.7)),
        proportions=float(rng.uniform(0.1, 0.6)),
        cupsize=float(rng.uniform(0.3, 0.6)),
        african=float(origins[0]), asian=float(origins[1]), caucasian=float(origins[2]),
    )  # fmt: skip
    shape = shape + 0.25 * torch.from_numpy(rng.normal(size=shape.shape)).float()
    darkness = float(np.clip(0.9 * origins[0] + 0.3 * origins[1] + rng.normal(0.08, 0.08), 0, 1))
    complexion = sample_complexion(rng, is_woman, darkness, age)
    haircut = sample_haircut(rng, is_woman)
    tailoring = sample_tailoring(rng, is_woman)
    iris = IRIS[rng.choice(5, p=[0.4, 0.3, 0.12, 0.1, 0.08])]
    seed = int(rng.integers(1 << 31))
    pieces = sample_pieces(wardrobe, rng, is_woman, complexion) if wardrobe else WornPieces()
    return RenderedIdentity(shape, complexion, haircut, tailoring, iris, seed, pieces)


def dressed(
    body: Body, identity: RenderedIdentity, rest: Tensor, joints: Tensor, shot: str
) -> list[Surface]:
    """All surfaces of a person.

    Args:
        body: with all layers.
        identity: who it is.
        rest: (F, V, 3) at rest, with each frame's expression; the first row's neck and below are
            those of all.
        joints: (J, 3) at rest.
        shot: one of scenes.SHOTS, which tells how fine the skin must be.
    """
    figure = Figure.of(body, rest[0], joints)
    pieces, complexion = identity.pieces, identity.complexion
    surfaces, hidden = pieces.surfaces(body, rest, complexion)
    rng = np.random.default_rng(identity.seed)
    cut, under = dress(figure, identity.tailoring, rng, tuple(pieces.garments))
    hidden |= under
    if "hair" not in pieces.garments:
        surfaces += grow_hair(figure, identity.haircut, complexion)
    if "lashes" not in pieces.garments:
        surfaces.append(lash_surface(body, rest, complexion.makeup))
    has_hair = any(each.kind == "hair" for each in surfaces)
    texture = _skin_picture(identity, 0.95 if has_hair else 0.35, SKIN_TEXTURE_SIZES[shot])
    eyes = read_texture(pieces.eyes, 256) if pieces.eyes else None
    return [
        skin_surface(body, rest, hidden, texture),
        *mouth_surfaces(body, rest),
        *eye_surfaces(body, identity.iris, rest, eyes),
        *surfaces,
        *cut,
    ]


def _skin_picture(identity: RenderedIdentity, scalp: float, size: int) -> Tensor:
    """(size, size, 4) linear RGBA: photographed, or painted where there is no picture."""
    path = identity.pieces.skin
    picture = read_texture(path, size) if path else None
    if picture is None:
        return skin_texture(identity.complexion, scalp, size)
    return photographed_skin(picture, identity.complexion, scalp)


def render_clip(
    seed: int,
    frames: int,
    size: int,
    style: str | None = None,
    shot: str | None = None,
    wardrobe: Path | None = None,
    rate: float | None = None,
) -> RenderedClip:
    """Render a person who moves.

    Args:
        seed: fixes everything, 0 <= seed < 2**32.
        frames: how many pictures.
        size: side of the pictures in pixels.
        style: one of joint_motion.STYLES; None for any.
        shot: one of scenes.SHOTS; None for one that suits the style.
        wardrobe: a folder of MakeHuman's library, from which half of the people wear something.
        rate: frames a second of a film; None for frames at random times of CLIP_LENGTH_S.

    Raises:
        InputError: The wardrobe holds no garment, or a broken one.
    """
    body = Body.load(LAYERS)
    who, what, where = (np.random.default_rng([seed, i]) for i in range(3))
    library = read_wardrobe(wardrobe) if wardrobe else None
    identity = sample_identity(body, who, library)
    style = style or str(what.choice(STYLES, p=STYLE_SHARES))
    times_s = np.sort(what.uniform(0, CLIP_LENGTH_S, frames))
    if rate is not None:
        times_s = np.arange(frames) / rate
    motion = sample_body_clip(body, body.rest(identity.shape), what, times_s, style)
    shot = shot or str(where.choice(SHOTS, p=SHOT_SHARES[style]))
    return rendered_motion(body, identity, motion, where, size, shot, seed)


def rendered_motion(
    body: Body,
    identity: RenderedIdentity,
    motion: BodyClip,
    where: np.random.Generator,
    size: int,
    shot: str,
    seed: int,
    drawn: Sequence[int] | None = None,
    one_floor: bool = False,
) -> RenderedClip:
    """Render a person in a motion.

    Args:
        body: With all layers.
        identity: Who it is.
        motion: The frames.
        where: Where the scene's chance comes from.
        size: Side of the pictures in pixels.
        shot: One of scenes.SHOTS.
        seed: Of the camera's noise.
        drawn: Frames of which there are pictures; the points are of all. None: all.
        one_floor: The floor lies where the first frame stands; else everybody stands in each.
    """
    rest = body.rest(identity.shape, motion.expression)
    joints = rest.joints[0]
    mesh = SurfaceMesh.of(dressed(body, identity, rest.vertices, joints, shot), body.joint_names)
    world, placed = body.transforms(rest.joints, motion.rotations)
    matrices = skinning_matrices(rest.joints, world, placed, motion.root)
    vertices = mesh.posed(matrices)
    floor = vertices[..., 1].amin(1)
    if one_floor:
        floor = floor[:1].expand(len(floor))
    vertices[..., 1] -= floor[:, None]
    matrices = matrices.view(len(matrices), -1, 3, 4)
    matrices[..., 1, 3] -= floor[:, None]
    points = _key_points(body, rest.vertices, matrices, placed + motion.root[:, None], floor)
    head = points[:, POSE_SLICES["face"]].mean(1)
    scene = sample_scene(where, vertices.flatten(0, 1)[::29], head, size, shot)
    renderer = SceneRenderer(mesh, scene, seed)
    chosen = range(len(vertices)) if drawn is None else drawn
    pictures = [renderer.frame(vertices[frame]) for frame in chosen]
    pixels = scene.camera.project(points).pixels
    return RenderedClip(
        torch.stack([each.image for each in pictures]),
        torch.stack([each.labels for each in pictures]),
        torch.stack([each.parts for each in pictures]),
        torch.stack([each.depth for each in pictures]),
        torch.stack([each.normals for each in pictures]),
        _as_seen(pixels, points, scene.camera.to_world(torch.zeros(1, 3))[0]),
        points,
        scene.camera,
        identity.shape,
        replace(motion, root=motion.root - torch.nn.functional.pad(floor[:, None], (1, 1))),
    )


def _key_points(
    body: Body, rest: Tensor, matrices: Tensor, joints: Tensor, floor: Tensor
) -> Tensor:
    """(F, 128, 3) key points of the posed body."""
    vertices = skinned(body.weights, matrices.flatten(2), rest)
    down = torch.zeros(len(floor), 1, 3)
    down[..., 1] = floor[:, None]
    return body.key_points(vertices, joints - down).pose


def _as_seen(pixels: Tensor, points: Tensor, eye: Tensor) -> Tensor:
    """Pixels (F, 128, 2); a face that is turned away has no landmarks, ears and eyes."""
    face = points[:, POSE_SLICES["face"]]
    across = face[:, 16] - face[:, 0]
    up = face[:, 27] - face[:, 8]
    front = torch.nn.functional.normalize(torch.linalg.cross(across, up), dim=1)
    toward = torch.nn.functional.normalize(eye - face.mean(1), dim=1)
    away = (front * toward).sum(1) < FACE_SEEN
    seen = pixels.clone()
    seen[away, POSE_SLICES["face"]] = float("nan")
    return seen


def render_people(
    seed: int,
    count: int,
    frames: int,
    size: int,
    wardrobe: Path | None = None,
    rate: float | None = None,
    body_maps: tuple[str, ...] = (),
) -> People:
    """Render new people in several poses each, as people.draw_people() draws them.

    Args:
        seed: fixes everything; person i has the seed `seed * count + i`.
        count: how many people.
        frames: pictures of each.
        size: side of the pictures in pixels.
        wardrobe: as of render_clip().
        rate: as of render_clip().
        body_maps: names of maps of the bodies, as of body.maps.BODY_MAP_NAMES.
    """
    clips = [
        render_clip(seed * count + number, frames, size, wardrobe=wardrobe, rate=rate)
        for number in range(count)
    ]
    points = torch.cat([clip.points for clip in clips])
    hands = torch.stack([points[:, POSE_SLICES[part]] for part in ("right_hand", "left_hand")], 1)
    rng = np.random.default_rng([seed, len(body_maps)])
    maps = [imperfect_maps(clip, body_maps, rng) for clip in clips] if body_maps else []
    return People(
        torch.cat([clip.images for clip in clips]),
        torch.cat([clip.labels for clip in clips]),
        DrawnPoints(points[:, POSE_SLICES["body"]], points[:, POSE_SLICES["face"]], hands),
        np.concatenate(maps) if maps else None,
    )
