"""Maps of a fitted body for generators: depth, normals, parts and silhouette, frame by frame.

All maps of a frame are drawn from one view of the body, without soft edges, on black, so that they
show the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from magicpose_cli.arrays import AnyArray, Mask, Picture, Pictures
from magicpose_cli.body.layout import BODY_PARTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import NEAR_M, normal_map, part_map, rasterize, silhouette
from magicpose_cli.errors import InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.cameras import Camera
    from magicpose_cli.body.fit import FittedClip
    from magicpose_cli.body.renderer import Fragments

BODY_MAP_NAMES = ("depth", "normal", "normal-bae", "parts", "silhouette")
MAP_LAYERS = ("skin", "eyes", "tongue", "teeth", "tights")  # without holes, in a plain suit
# Of all 16 bits. The farthest skin is well above the background's 0, so that no encoder mixes them.
FARTHEST_LEVEL, NEAREST_LEVEL = 32 * 257, 255 * 257
FRAMES_POSED_AT_ONCE = 64  # whose vertices are kept at a time

# RGB of each of BODY_PARTS; any two differ by 127 in one channel at least, and so from black.
BODY_PART_COLORS: dict[str, tuple[int, int, int]] = {
    "head": (255, 255, 0),
    "torso": (0, 0, 255),
    "right_upper_arm": (255, 0, 0),
    "right_lower_arm": (255, 128, 0),
    "right_hand": (255, 128, 128),
    "left_upper_arm": (0, 255, 0),
    "left_lower_arm": (128, 255, 0),
    "left_hand": (128, 255, 128),
    "right_upper_leg": (255, 0, 255),
    "right_lower_leg": (255, 0, 128),
    "right_foot": (128, 0, 128),
    "left_upper_leg": (0, 255, 255),
    "left_lower_leg": (0, 255, 128),
    "left_foot": (0, 128, 128),
    "eyes": (255, 255, 255),
    "mouth": (128, 0, 0),
}


class DepthRange(NamedTuple):
    """What a clip's depth maps span, meters along the camera's axis."""

    near_m: float
    far_m: float


def check_map_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of maps, each once.

    Raises:
        InputError: A name is none of BODY_MAP_NAMES, or there is none.
    """
    chosen = tuple(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in BODY_MAP_NAMES]
    if unknown or not chosen:
        raise InputError(
            f"there is no map {', '.join(unknown) or 'without a name'}; expected some of "
            f"{', '.join(BODY_MAP_NAMES)}"
        )
    return chosen


def depth_range(body: Body, fitted: FittedClip) -> DepthRange:
    """Return how near and how far the body's surface is over all frames; see `depth_range_of`."""
    import torch

    def posed() -> Iterator[Tensor]:
        for start in range(0, len(fitted.root), FRAMES_POSED_AT_ONCE):
            part = slice(start, start + FRAMES_POSED_AT_ONCE)
            yield body(fitted.shape, None, fitted.rotations[part], fitted.root[part]).vertices

    with torch.no_grad():
        return depth_range_of(posed(), fitted.camera)


def depth_range_of(clip: Iterable[Tensor], camera: Camera) -> DepthRange:
    """Return how near and how far a body's surface is over all frames, inside of the picture.

    Both sides of the body count, so that the far end is a little behind what is seen. Where no
    frame has any of the body in the picture, the whole body counts.

    Args:
        clip: Vertices (F, V, 3) in meters of the world, some frames at a time.
        camera: That sees them.
    """
    import torch

    size = torch.tensor([camera.width, camera.height])
    inside, whole = [], []
    for vertices in clip:
        pixels, depth = camera.project(vertices)
        shown = ((pixels >= 0) & (pixels <= size)).all(dim=-1) & (depth > NEAR_M)
        whole.append(torch.stack(depth.aminmax()))
        if shown.any():
            inside.append(torch.stack(depth[shown].aminmax()))
    ends = torch.stack(inside or whole)
    return DepthRange(float(ends[:, 0].min()), float(ends[:, 1].max()))


def draw_body_maps(
    body: Body,
    fitted: FittedClip,
    frame: int,
    names: Iterable[str],
    depths: DepthRange,
    seen: Mask | None = None,
) -> dict[str, AnyArray]:
    """Draw maps of one frame.

    Args:
        body: The body that was fitted.
        fitted: To the clip.
        frame: Number of the frame in the clip.
        names: Some of BODY_MAP_NAMES.
        depths: Of the whole clip, of `depth_range`.
        seen: (128,) whether each point of the frame's pose is, where limbs that a fit could but
            guess are to be left out, see `without_guessed_parts`.

    Returns:
        A map by its name: "depth" as (H, W) uint16, see `depth_levels`; the others as (H, W, 3)
        uint8 RGB. They have the size of the fitted camera's picture.
    """
    import torch

    only = slice(frame, frame + 1)
    with torch.no_grad():
        posed = body(fitted.shape, None, fitted.rotations[only], fitted.root[only])
        shown = body if seen is None else without_guessed_parts(body, seen)
        return draw_posed_maps(shown, posed.vertices, fitted.camera, names, depths)


def draw_posed_maps(
    body: Body, vertices: Tensor, camera: Camera, names: Iterable[str], depths: DepthRange
) -> dict[str, AnyArray]:
    """Draw maps of a body whose vertices are known.

    Args:
        body: Whose faces and parts are drawn.
        vertices: (1, V, 3) meters of the world.
        camera: That sees them.
        names: As of `draw_body_maps`.
        depths: As of `draw_body_maps`.

    Returns:
        As of `draw_body_maps`.
    """
    fragments = rasterize(vertices, body.faces, camera, cull_back=True)
    normals = None
    if any(name.startswith("normal") for name in names):
        normals = normal_map(fragments, vertices, body.faces, camera)[0]
    return {name: _drawn(name, body, fragments, normals, depths) for name in names}


def without_guessed_parts(body: Body, seen: Mask) -> Body:
    """Leave out forearms and hands, shins and feet whose place a fit could but guess.

    A forearm that leaves the picture would else come up before the person.

    Args:
        body: That was fitted.
        seen: (128,) whether each point of the pose is.
    """
    import torch

    guessed = []
    for side in ("left", "right"):
        wrist, ankle = (seen[BODY_JOINTS.index(f"{side}_{end}")] for end in ("wrist", "ankle"))
        if not (wrist or seen[POSE_SLICES[f"{side}_hand"]].any()):
            guessed += [f"{side}_lower_arm", f"{side}_hand"]
        if not ankle:
            guessed += [f"{side}_lower_leg", f"{side}_foot"]
    numbers = torch.tensor([BODY_PARTS.index(part) for part in guessed])
    kept = ~torch.isin(body.face_parts, numbers)
    return replace(
        body, faces=body.faces[kept], face_parts=body.face_parts[kept], corners=body.corners[kept]
    )


def map_channels(maps: Mapping[str, AnyArray]) -> Pictures:
    """Lay maps of one frame behind each other, (H, W, 3 * number) uint8, as networks read them."""
    in_8_bits = (depth_picture(each) if each.ndim == 2 else each for each in maps.values())
    return np.concatenate(list(in_8_bits), axis=2)


def depth_picture(depth: AnyArray) -> Picture:
    """Return a depth map (H, W) uint16 in 8 bits, (H, W, 3) uint8 gray."""
    return np.repeat((depth >> 8).astype(np.uint8)[..., None], 3, axis=2)


def depth_levels(depth_m: AnyArray, depths: DepthRange) -> AnyArray:
    """Return gray levels, uint16, of depths in meters: near is bright, infinitely far is 0.

    The scale is linear: `depths.near_m` becomes 65535 and `depths.far_m` 8224.
    """
    span = max(depths.far_m - depths.near_m, 1e-6)
    seen = np.isfinite(depth_m)
    share = (depths.far_m - np.where(seen, depth_m, depths.far_m)) / span
    levels = FARTHEST_LEVEL + share.clip(0, 1) * (NEAREST_LEVEL - FARTHEST_LEVEL)
    return np.asarray(np.where(seen, levels.round(), 0), np.uint16)


def _drawn(
    name: str, body: Body, fragments: Fragments, normals: Tensor | None, depths: DepthRange
) -> AnyArray:
    """One map of one frame."""
    if name == "depth":
        return depth_levels(fragments.depth[0].double().numpy(), depths)
    if name == "parts":
        table = np.array([*(BODY_PART_COLORS[part] for part in BODY_PARTS), (0, 0, 0)], np.uint8)
        return np.asarray(table[part_map(fragments, body.face_parts)[0].numpy()])  # -1: the last
    covered = silhouette(fragments)[0, ..., None].numpy()
    if name == "silhouette":
        return np.repeat(covered.astype(np.uint8) * 255, 3, axis=2)
    assert normals is not None
    # Camera axes are x right, y down, z away: up and toward the camera are bright in both kinds.
    signs = (-1, -1, -1) if name == "normal-bae" else (1, -1, -1)
    colors = 127.5 + 127.5 * normals.numpy() * np.array(signs, np.float32)
    return np.asarray(np.where(covered, colors.round().clip(0, 255), 0), np.uint8)
