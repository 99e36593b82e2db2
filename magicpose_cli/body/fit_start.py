"""Where the fit starts: rotations straight from the points of the body, frame by frame.

Points in space give every bone's direction. Where there are none, they are lifted from the picture:
a bone that is seen shorter than it is leans toward the camera or away from it by a known angle
(Taylor, CVIU 2000), and what a person's joints can do tells to which side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpose_cli.body.fit_rig import FitRig
from magicpose_cli.body.joint_groups import GROUP_NAMES
from magicpose_cli.body.rotations import axis_angle_from_matrix, cross_matrix
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

AT = {name: number for number, name in enumerate(BODY_JOINTS)}
FITTED_LIMBS = tuple(
    (f"{side}_{part}", f"{side}_{start}", f"{side}_{middle}", f"{side}_{end}")
    for side in ("left", "right")
    for part, start, middle, end in (
        ("arm", "shoulder", "elbow", "wrist"),
        ("leg", "hip", "knee", "ankle"),
    )
)  # fmt: skip
STRAIGHT = 0.25  # sine of the angle below which a limb is too straight to have a plane


def start_rotations(rig: FitRig, rest: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The root's rotations (F, 3, 3) and the groups' angles (F, G, 3).

    Args:
        rig: of the fit.
        rest: (18, 3) the body's points of the rest pose.
        seen: (F, 18, 3) in world axes; NaN where unknown.
    """
    import torch

    angles = seen.new_zeros(len(seen), len(GROUP_NAMES), 3)
    root = _trunk(seen, "hip") @ _trunk(rest[None], "hip").mT
    root = _filled(root)
    chest = _trunk(seen, "shoulder") @ _trunk(rest[None], "shoulder").mT
    chest = torch.where(chest.isfinite().all(-1).all(-1)[:, None, None], chest, root)
    angles[:, GROUP_NAMES.index("spine")] = axis_angle_from_matrix(root.mT @ chest)
    head = _head(seen) @ _head(rest[None]).mT
    turn = _clipped(axis_angle_from_matrix(chest.mT @ head).nan_to_num(), 1.0)
    angles[:, GROUP_NAMES.index("neck")] = turn
    for name, start, middle, end in FITTED_LIMBS:
        side, part = name.split("_")
        above = chest if part == "arm" else root
        upper, lower = (
            GROUP_NAMES.index(f"{side}_upper_{part}"),
            GROUP_NAMES.index(f"{side}_lower_{part}"),
        )
        bend_axis = rig.axes[lower][:, 1 if part == "arm" else 0]
        first = (above.mT @ (seen[:, AT[middle]] - seen[:, AT[start]])[..., None])[..., 0]
        second = (above.mT @ (seen[:, AT[end]] - seen[:, AT[middle]])[..., None])[..., 0]
        bones = rest[AT[middle]] - rest[AT[start]], rest[AT[end]] - rest[AT[middle]]
        turned = _upper(bones[0], bend_axis, first, second)
        angles[:, upper] = _clipped(axis_angle_from_matrix(turned).nan_to_num(), 2.8)
        local = (turned.mT @ second[..., None])[..., 0]
        bent = _hinge(bones[1], bend_axis, local)
        angles[:, lower] = (bent[:, None] * bend_axis).nan_to_num()
    return root, angles


def lifted(rest: Tensor, pixels: Tensor, faces_right: Tensor) -> Tensor:
    """(F, 18, 3) guessed points in world axes, up to a shift, of points in the picture.

    Args:
        rest: (18, 3) the body's points of the rest pose, meters.
        pixels: (F, 18, 2), NaN where unseen.
        faces_right: (F,) 1 where the person looks to the picture's right, -1 to its left, else 0.
    """
    import torch

    bones = [("neck", "hips"), ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")]
    bones += [pair for _, a, b, c in FITTED_LIMBS for pair in ((a, b), (b, c))]
    flat, model = _with_hips(pixels), _with_hips(rest[None])[0]
    own = {pair: (flat[:, _place(pair[1])] - flat[:, _place(pair[0])]) for pair in bones}
    length = {pair: (model[_place(pair[1])] - model[_place(pair[0])]).norm() for pair in bones}
    ratio = torch.stack([own[pair].norm(dim=-1) / length[pair] for pair in bones])
    scale = ratio.nan_to_num(0).topk(2, dim=0).values.mean(0)  # the bones that are seen longest
    scale = _smooth_upper(scale).clamp_min(1e-3)

    def depth(pair: tuple[str, str]) -> Tensor:
        short = own[pair].norm(dim=-1) / scale
        hidden: Tensor = (length[pair] ** 2 - short**2).clamp_min(0).sqrt()
        return hidden

    across = own["left_shoulder", "right_shoulder"][:, 0]  # to the right, seen from before
    turned = torch.where(faces_right >= 0, 1.0, -1.0)
    front = torch.where(across <= 0, 1.0, -1.0)  # the person faces the camera
    space = pixels.new_full((len(pixels), 20, 3), float("nan"))
    space[..., 0], space[..., 1] = flat[..., 0] / scale[:, None], -flat[..., 1] / scale[:, None]
    space[..., 2] = 0
    for a, b in (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")):
        half = turned * depth((a, b)) / 2
        space[:, AT[a], 2], space[:, AT[b], 2] = -half, half
    for name, a, b, c in FITTED_LIMBS:
        ways = (0.5, 1.0) if name.endswith("arm") else (1.0, -1.0)
        for (start, end), way in zip(((a, b), (b, c)), ways, strict=True):
            ahead = front * (1.0 if way > 0 else -1.0)
            space[:, AT[end], 2] = space[:, AT[start], 2] + ahead * depth((start, end))
    body: Tensor = space[:, : len(BODY_JOINTS)]
    return body


def _place(name: str) -> int:
    return {"hips": 18, "shoulders": 19}.get(name, AT.get(name, -1))


def _with_hips(points: Tensor) -> Tensor:
    """The 18 points, the middle of the hips, the middle of the shoulders."""
    import torch

    middles = [
        (points[:, AT[f"left_{name}"]] + points[:, AT[f"right_{name}"]]) / 2
        for name in ("hip", "shoulder")
    ]
    return torch.cat([points, torch.stack(middles, dim=1)], dim=1)


def _smooth_upper(values: Tensor, reach: int = 15) -> Tensor:
    """The largest value within `reach` frames, averaged over as many."""
    from torch.nn.functional import avg_pool1d, max_pool1d, pad

    width = 2 * reach + 1
    top = max_pool1d(values[None, None], width, stride=1, padding=reach)
    return avg_pool1d(pad(top, (reach, reach), mode="replicate"), width, stride=1)[0, 0]


def _frame(across: Tensor, up: Tensor) -> Tensor:
    """(F, 3, 3) rotations whose columns are `across`, and `up` as far as it is square to it."""
    import torch
    from torch.nn.functional import normalize

    x = normalize(across, dim=-1)
    z = normalize(torch.linalg.cross(x, up), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def _trunk(points: Tensor, pair: str) -> Tensor:
    with_middles = _with_hips(points)
    up = with_middles[:, 19] - with_middles[:, 18]
    return _frame(points[:, AT[f"left_{pair}"]] - points[:, AT[f"right_{pair}"]], up)


def _head(points: Tensor) -> Tensor:
    left, right = points[:, AT["left_ear"]], points[:, AT["right_ear"]]
    ahead = points[:, AT["nose"]] - (left + right) / 2
    return _frame(left - right, _cross(ahead, left - right))


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return (cross_matrix(a) @ b[..., None])[..., 0]


def _upper(bone: Tensor, bend_axis: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(F, 3, 3): turns the upper bone to `first`, so that the limb bends about its axis.

    A limb that is nearly straight has no plane: the shortest turn is taken.
    """
    import torch
    from torch.nn.functional import normalize

    a, b = normalize(first, dim=-1), normalize(second, dim=-1)
    normal = _cross(a, b)
    bent = normal.norm(dim=-1) > STRAIGHT
    start = normalize(bone, dim=-1).expand_as(a)
    planar = _frame(a, normal) @ _frame(start[:1], bend_axis[None]).mT
    axis = _cross(start, a)
    cosine = (start * a).sum(-1)[:, None, None]
    k = cross_matrix(axis)
    short = torch.eye(3) + k + k @ k / (1 + cosine).clamp_min(1e-3)
    return torch.where(bent[:, None, None], planar, short)


def _hinge(bone: Tensor, axis: Tensor, target: Tensor) -> Tensor:
    """(F,) radians about the axis that bring the bone nearest to the target."""
    import torch

    flat = bone - (bone @ axis) * axis
    side = torch.linalg.cross(axis, flat)
    return torch.atan2(target @ side, target @ flat)


def _filled(matrices: Tensor) -> Tensor:
    """Frames that are not known take the nearest one's before, or after; identity if none is."""
    import torch

    known = matrices.isfinite().all(-1).all(-1)
    if not known.any():
        return torch.eye(3).expand_as(matrices).clone()
    places = known.nonzero()[:, 0]
    frames = torch.arange(len(matrices))
    nearest = places[(frames[:, None] - places[None]).abs().argmin(dim=1)]
    return matrices[nearest]


def _clipped(vectors: Tensor, most: float) -> Tensor:
    length = vectors.norm(dim=-1, keepdim=True)
    shorter: Tensor = vectors * (most / length.clamp_min(1e-9)).clamp_max(1)
    return shorter
