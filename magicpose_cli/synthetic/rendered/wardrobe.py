"""A folder of MakeHuman's garments, hair, brows, eyes and skins, worn by rendered people.

The folder has the library's own layout: clothes/, hair/, eyebrows/, eyelashes/, eyes/materials/ and
skins/textures/. Its assets are not part of this project; see docs/synthetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import LAYERS
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import rasterize
from magicpose_cli.body.shipped import vertex_of_base
from magicpose_cli.errors import InputError
from magicpose_cli.synthetic.canvas import LABELS, SKIN_LABEL
from magicpose_cli.synthetic.rendered.fabrics import plain_fabric
from magicpose_cli.synthetic.rendered.figure import ARM_PREFIXES, Figure
from magicpose_cli.synthetic.rendered.mhclo import (
    TEXTURE_SUFFIXES,
    LibraryGarment,
    inside,
    read_garment,
)
from magicpose_cli.synthetic.rendered.surfaces import Surface
from magicpose_cli.video.picture import damaged, open_picture

KINDS = {"clothes": "clothes", "hair": "hair", "brows": "eyebrows", "lashes": "eyelashes"}
TEXTURE_FOLDERS = {"eyes": "eyes/materials", "skins": "skins/textures"}
TEXTURE_SIZE = 512
BARE_SHARE = 0.15  # of the trunk that clothes may leave free: a neckline, no belly


@dataclass(frozen=True)
class Wardrobe:
    """What there is to wear: garments that cover trunk and legs (suits), and all else."""

    suits: tuple[LibraryGarment, ...]
    shoes: tuple[LibraryGarment, ...]
    hair: tuple[LibraryGarment, ...]
    brows: tuple[LibraryGarment, ...]
    lashes: tuple[LibraryGarment, ...]
    eyes: tuple[Path, ...]
    skins: tuple[Path, ...]


@lru_cache(maxsize=4)
def read_wardrobe(folder: Path) -> Wardrobe:
    """Read a library's folder, once per process.

    Raises:
        InputError: The folder holds no garment, or one of its files is broken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one of MakeHuman's library")
    found = {kind: _garments_in(folder / name, folder) for kind, name in KINDS.items()}
    if not any(found.values()):
        names = ", ".join(KINDS.values())
        raise InputError(
            f"{folder} holds no garment (.mhclo); expected MakeHuman's folders {names}"
        )
    pictures = {kind: _pictures_in(folder / name) for kind, name in TEXTURE_FOLDERS.items()}
    shoes = tuple(each for each in found["clothes"] if _is_shoe(each))
    others = (each for each in found["clothes"] if not _is_shoe(each))
    return Wardrobe(
        tuple(each for each in others if bare_share(each) < BARE_SHARE),
        shoes,
        tuple(each for each in found["hair"] if each.texture),
        tuple(each for each in found["brows"] if each.texture),
        tuple(each for each in found["lashes"] if each.texture),
        pictures["eyes"],
        tuple(path for path in pictures["skins"] if "diffuse" in path.stem),
    )


def _garments_in(folder: Path, library: Path) -> list[LibraryGarment]:
    return [
        read_garment(inside(path, library), library) for path in sorted(folder.rglob("*.mhclo"))
    ]


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(path for path in sorted(folder.iterdir()) if path.suffix in TEXTURE_SUFFIXES)


def _is_shoe(garment: LibraryGarment) -> bool:
    words = garment.tags | {garment.name.lower()}
    return any(word.startswith(("shoe", "boot")) for word in words)


def fitted(garment: LibraryGarment, rest: Tensor) -> Tensor:
    """(B, n, 3) vertices of a garment on bodies (B, V, 3) at rest, meters."""
    rows = torch.from_numpy(garment.rows)
    weights = torch.from_numpy(garment.weights)
    growth = rest.new_ones(len(rest), 1, 3)
    for axis, scale in enumerate(garment.scales):
        if scale is not None and scale.length_dm > 0:
            first, second = (_our_vertex(index) for index in scale[:2])
            if first >= 0 and second >= 0:
                apart = (rest[:, first, axis] - rest[:, second, axis]).abs()
                growth[:, 0, axis] = 10 * apart / scale.length_dm
    placed = (rest[:, rows] * weights[..., None]).sum(2)
    return placed + torch.from_numpy(garment.offsets_dm) * growth / 10


def _our_vertex(index: int) -> int:
    return int(vertex_of_base()[index])


def bare_share(garment: LibraryGarment) -> float:
    """How much of the mean body's trunk a garment leaves free, seen from before and behind."""
    body = Body.load(LAYERS)
    rest = body.mean[: body.vertex_count][None]
    figure = Figure.of(body, rest[0], body.mean[body.vertex_count :])
    skin = body.faces[body.layers["skin"]]
    middle = rest[0, skin].mean(1)
    own = (middle[:, 1] < figure.neck[1] - 0.12) & (middle[:, 1] > figure.hip_m - 0.12)
    own &= figure.fields[skin, 0].amax(1) < 0.05
    worn = torch.from_numpy(garment.faces) + body.vertex_count
    vertices = torch.cat([rest, fitted(garment, rest)], dim=1)
    counts = [0, 0]
    for azimuth in (0.0, 180.0):
        camera = Camera(96, 160, azimuth_deg=azimuth, distance_m=5.0, pixels_per_m=90.0)
        alone = rasterize(vertices, skin, camera).triangles[0]
        both = rasterize(vertices, torch.cat([skin, worn]), camera).triangles[0]
        trunk = (alone >= 0) & own[alone.clamp_min(0)]
        counts[0] += int((trunk & (both < len(skin))).sum())
        counts[1] += int(trunk.sum())
    return counts[0] / max(counts[1], 1)


def library_surfaces(
    garment: LibraryGarment, body: Body, rest: Tensor, kind: str, texture: Tensor
) -> list[Surface]:
    """A garment on a person; suits are told apart at the waist into top and bottom.

    Args:
        garment: what is worn.
        body: with all layers.
        rest: (F, V, 3) of the person at rest, or one for all frames.
        kind: "suit", "shoes", "hair", "brows" or "lashes".
        texture: (h, w, 4), see garment_picture().
    """
    vertices = fitted(garment, rest)
    rows, weights = torch.from_numpy(garment.rows), torch.from_numpy(garment.weights)
    joints = (body.weights[rows] * weights[..., None]).sum(1).clamp_min(0)
    joints = joints / joints.sum(1, keepdim=True)
    faces, uv = torch.from_numpy(garment.faces), torch.from_numpy(garment.uv)
    lit = {"suit": "cloth", "shoes": "shoes", "hair": "hair"}.get(kind, "skin")
    parts = {LABELS.index("hair") if kind == "hair" else SKIN_LABEL: torch.ones(len(faces)) > 0}
    if kind == "shoes":
        parts = {LABELS.index("shoes"): torch.ones(len(faces)) > 0}
    if kind == "suit":
        leg = torch.tensor([name.startswith(("upperleg", "lowerleg")) for name in body.joint_names])
        hip = rest[0, rows].mean(1)[:, 1] < _waist_m(rest)
        low = (hip & ~_on_arm(body, joints) | (joints[:, leg].sum(1) > 0.5))[faces].all(1)
        parts = {LABELS.index("bottom"): low, LABELS.index("top"): ~low}
    return [
        Surface(
            label, lit, vertices, joints, faces[own], uv[own], texture, is_open=True,
            has_holes=kind != "suit" and kind != "shoes",
            is_hidden_from_light=kind in ("brows", "lashes"),
        )
        for label, own in parts.items()
        if own.any()
    ]  # fmt: skip


def _on_arm(body: Body, joints: Tensor) -> Tensor:
    arm = torch.tensor([name.startswith(ARM_PREFIXES) for name in body.joint_names])
    return joints[:, arm].sum(1) > 0.3


def _waist_m(rest: Tensor) -> float:
    """About the height of the waist of a person at rest (F, V, 3)."""
    low, high = rest[0, :, 1].amin(), rest[0, :, 1].amax()
    return float(low + 0.58 * (high - low))


def garment_picture(
    garment: LibraryGarment, kind: str, tint: Floats | None, rng: np.random.Generator
) -> Tensor:
    """(h, w, 4) linear RGBA of a garment; without a picture, or with a broken one, plain fabric.

    Args:
        garment: whose picture it is.
        kind: as of library_surfaces().
        tint: sRGB (3,) that hair, brows and lashes take on; None leaves colors as they are.
        rng: of new colors of clothes, and of fabric.
    """
    picture = read_texture(garment.texture, TEXTURE_SIZE) if garment.texture else None
    if picture is None:
        return plain_fabric(rng)
    color, cover = picture[..., :3], picture[..., 3:]
    if tint is not None:
        gray = color.mean(2, keepdims=True)
        opaque = cover[..., 0] > 0.5
        level = float(gray[opaque].mean()) if opaque.any() else 0.5
        color = np.clip(tint * (0.35 + 0.65 * gray / max(level, 0.02)), 0, 1)
    elif kind == "suit" and rng.random() < 0.6:
        color = _recolored(color, rng)
    linear = np.concatenate([color**2.2, cover], axis=2)
    return torch.from_numpy(np.ascontiguousarray(linear, np.float32))


def _recolored(color: AnyArray, rng: np.random.Generator) -> AnyArray:
    """A picture (h, w, 3) with its hues turned, stronger or weaker, brighter or darker."""
    hsv = cv2.cvtColor(np.ascontiguousarray(color, np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 360)) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 1.6), 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] * rng.uniform(0.6, 1.2), 0, 1)
    found: AnyArray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return found


@lru_cache(maxsize=64)
def read_texture(path: Path, size: int) -> AnyArray | None:
    """(size, size, 4) sRGB and coverage, float32, 0..1; None for a picture that cannot be read."""
    try:
        with open_picture(path) as picture:
            small = picture.convert("RGBA").resize((size, size))
    except InputError:
        return None
    except damaged():
        return None
    return np.asarray(small, np.float32) / 255
