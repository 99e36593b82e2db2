"""Which points of a pose a camera sees of a body, by a small z-buffer of its skin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import BODY_PARTS, POSE_POINTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import part_map, rasterize
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

VISIBILITY_SIDE = 192  # pixels of the z-buffer's long side
SKIN_M = 0.03  # in front of a point of the skin, and what the coarse z-buffer rounds
JOINT_M = 0.16  # in front of a joint within its own limb
HEAD_PARTS = ("head", "eyes", "mouth")
_OWN_PARTS = {
    "neck": ("torso", "head"),
    "shoulder": ("torso", "{}_upper_arm"),
    "elbow": ("{}_upper_arm", "{}_lower_arm"),
    "wrist": ("{}_lower_arm", "{}_hand"),
    "hip": ("torso", "{}_upper_leg"),
    "knee": ("{}_upper_leg", "{}_lower_leg"),
    "ankle": ("{}_lower_leg", "{}_foot"),
}


def hidden_points(body: Body, vertices: Tensor, points: Tensor, camera: Camera) -> Tensor:
    """Tell which points lie behind the body itself.

    A point of the head, or of a joint in its own limb, is hidden where the skin is nearer to the
    camera by more than the point can lie below it. A point of another part that is nearer hides it
    as well. What lies outside of the picture counts as seen.

    Args:
        body: Whose faces the vertices have.
        vertices: (B, V, 3) meters of the world.
        points: (B, 128, 3) meters.
        camera: The camera.

    Returns:
        (B, 128) bool.
    """
    import torch

    small = _reduced_view(camera)
    fragments = rasterize(vertices, body.faces, small, cull_back=True)
    parts = part_map(fragments, body.face_parts)
    pixels, depth = small.project(points)
    x, y = pixels.floor().long().unbind(-1)
    inside = (x >= 0) & (x < small.width) & (y >= 0) & (y < small.height)
    x, y = x.clamp(0, small.width - 1), y.clamp(0, small.height - 1)
    rows = torch.arange(len(points))[:, None]
    nearer = depth - fragments.depth[rows, y, x]
    own_part, room_m = _own_parts(points)
    is_own = own_part[torch.arange(POSE_POINTS), parts[rows, y, x]]  # -1 is the last: no part
    allowed = torch.where(is_own, room_m, SKIN_M)
    return inside & (nearer > allowed)


def _own_parts(like: Tensor) -> tuple[Tensor, Tensor]:
    """(128, parts + 1) bool: the parts that a point belongs to; (128,) meters below their skin."""
    import torch

    own = torch.zeros(POSE_POINTS, len(BODY_PARTS) + 1, dtype=torch.bool)
    room_m = like.new_full((POSE_POINTS,), SKIN_M)
    head = [BODY_PARTS.index(part) for part in HEAD_PARTS]
    for row, name in enumerate(BODY_JOINTS):
        side, _, joint = name.rpartition("_")
        if joint in _OWN_PARTS:
            room_m[row] = JOINT_M
            for part in _OWN_PARTS[joint]:
                own[row, BODY_PARTS.index(part.format(side))] = True
        else:
            own[row, head] = True
    own[POSE_SLICES["face"].start : POSE_SLICES["face"].stop, head] = True
    for side in ("left", "right"):
        rows = POSE_SLICES[f"{side}_hand"]
        room_m[rows] = 2 * SKIN_M
        for part in ("hand", "lower_arm"):
            own[rows, BODY_PARTS.index(f"{side}_{part}")] = True
    return own, room_m


def _reduced_view(camera: Camera) -> Camera:
    """The same view in a picture whose long side is VISIBILITY_SIDE."""
    share = VISIBILITY_SIDE / max(camera.width, camera.height)
    return replace(
        camera,
        width=max(round(camera.width * share), 1),
        height=max(round(camera.height * share), 1),
        focal_px=None if camera.focal_px is None else camera.focal_px * share,
        pixels_per_m=None if camera.pixels_per_m is None else camera.pixels_per_m * share,
    )
