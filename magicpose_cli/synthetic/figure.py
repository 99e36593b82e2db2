"""From points to a painted person: body, clothes, hands and shadows on a Canvas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from magicpose_cli.synthetic.canvas import SKIN_LABEL, Canvas, pattern, spline
from magicpose_cli.synthetic.drawn_head import paint_head, paint_locks, paint_long_hair

if TYPE_CHECKING:
    from magicpose_cli.synthetic.people import DrawnMotion, DrawnPoints, Identity

ARM_RADII = (0.029, 0.025, 0.0175)  # radii at the joints in body heights
LEG_RADII = (0.050, 0.037, 0.025)


@dataclass
class Sitter:
    """The rows that are being painted.

    Attributes:
        identity: Who they are.
        motion: What they do.
        points: Where their joints are.
        index: Their rows on the canvas, (n,).
    """

    identity: Identity
    motion: DrawnMotion
    points: DrawnPoints
    index: Tensor

    def where(self, chosen: Tensor) -> Sitter:
        """Take those rows for which chosen (n,) is true."""
        rows = chosen.nonzero()[:, 0]
        if len(rows) == len(chosen):
            return self
        return Sitter(
            self.identity.rows(rows),
            self.motion.rows(rows),
            self.points.rows(rows),
            self.index[rows],
        )


def paint_person(canvas: Canvas, sitter: Sitter) -> None:
    """Paint from the back to the front; what is nearer hides what is farther."""
    i, m = sitter.identity, sitter.motion
    everyone = torch.ones_like(m.arm_in_front[:, 0])
    right_leg_first = m.turn > 0  # turned to the picture's right, the left leg is nearer
    cast_shadow(canvas, sitter)
    steps: list[tuple[Tensor, Callable[..., None], tuple[int, ...]]] = [
        (i.hair_length > 1, paint_long_hair, ()),
        (~m.arm_in_front[:, 0], _arm, (0,)),
        (~m.arm_in_front[:, 1], _arm, (1,)),
        (right_leg_first, _leg, (0,)),
        (everyone, _leg, (1,)),
        (~right_leg_first, _leg, (0,)),
        (i.skirt > 0, _skirt, ()),
        (everyone, _torso, ()),
        (everyone, paint_head, ()),
        (i.hair_length > 1, paint_locks, ()),
        (m.arm_in_front[:, 0], _arm, (0,)),
        (m.arm_in_front[:, 1], _arm, (1,)),
    ]
    for chosen, paint, arguments in steps:
        some = sitter.where(chosen)
        if len(some.index):
            paint(canvas, some, *arguments)


def cast_shadow(canvas: Canvas, sitter: Sitter) -> None:
    """Darken the wall behind the person and the floor below the feet.

    A shadow is soft, so that it is drawn at a quarter of the size.
    """
    i, body = sitter.identity, sitter.points.body
    scale = i.camera[:, 0]
    size = canvas.image.shape[-1]
    side = max(size // 4, 16)
    axis = (torch.arange(side, device=body.device) + 0.5) * (size / side)
    low = Canvas(canvas.image[:, :, :1, :1], canvas.labels, axis[None, None], axis[None, :, None],
                 canvas.light)  # fmt: skip
    away = -0.10 * torch.where(canvas.light < 0, -1.0, 1.0) * (0.4 + canvas.light.abs())
    offset = torch.stack([away, torch.full_like(away, 0.03)], 1) * scale[:, None]
    hips = body[:, (8, 11)].mean(1)
    thick = scale * i.bulk
    bones = [(2, 3, 0.03), (3, 4, 0.03), (5, 6, 0.03), (6, 7, 0.03)]
    bones += [(8, 9, 0.045), (9, 10, 0.04), (11, 12, 0.045), (12, 13, 0.04)]
    dark = low.limb(body[:, 1] + offset, hips + offset, 0.1 * thick, 0.085 * thick)[0]
    head = sitter.points.face.mean(1) + offset
    dark = torch.minimum(dark, low.ellipse(head, 0.06 * scale, 0.085 * scale, 0 * scale))
    for start, end, radius in bones:
        pen = radius * thick
        bone = low.limb(body[:, start] + offset, body[:, end] + offset, pen, pen)[0]
        dark = torch.minimum(dark, bone)
    soft = (0.05 * scale)[:, None, None]
    wall = (0.5 - dark / soft).clamp(0, 1) * i.shadow[:, None, None]
    feet = body[:, (10, 13)].mean(1) + offset * 0.3
    width = (body[:, 10, 0] - body[:, 13, 0]).abs() * 0.5 + 0.09 * scale
    ground = low.ellipse(feet, width, 0.025 * scale, 0 * scale)
    floor = 0.5 * (0.5 - ground / (0.04 * scale)[:, None, None]).clamp(0, 1)
    light = (1 - torch.maximum(wall, floor))[:, None]
    canvas.image *= F.interpolate(light, size=(size, size), mode="bilinear")


def cloth(i: Identity, which: str, u: Tensor, v: Tensor) -> Tensor:
    """Color (N, 3, H, W) of the top or bottom at u along, v across in body heights."""
    colors = getattr(i, which)
    amount = pattern(getattr(i, f"{which}_pattern"), u, v, i.frequency)[:, None]
    first, second = colors[:, 0, :, None, None], colors[:, 1, :, None, None]
    return torch.addcmul(first, amount, second - first)


def _sleeved(
    canvas: Canvas,
    i: Identity,
    joints: Tensor,
    radii: tuple[float, float, float],
    covered: Tensor,
    which: str,
) -> None:
    """Two bones (N, 3, 2) of skin under a garment that covers 0..2 of them."""
    thick = [r * i.bulk * i.camera[:, 0] for r in radii]
    for k in (1, 0):  # the outer bone first: the garment's upper part lies over it
        start, end = joints[:, k], joints[:, k + 1]
        distance, along, across = canvas.limb(start, end, thick[k], thick[k + 1], 0.12)
        if k == 0:  # where the limb leaves the trunk there is no edge to shade
            across = across * (0.25 + 2.5 * along.clamp(0, 0.3))
        canvas.paint(distance, i.skin, "skin", across)
        share = (covered - k).clamp(0, 1)
        length = (end - start).norm(dim=1)
        end_of_cloth = torch.where(share < 0.04, -9.0, share)
        if k == 0:  # round an elbow or a knee the cloth goes on
            end_of_cloth = torch.where(share > 0.98, 9.0, end_of_cloth)
        hem = (along - end_of_cloth[:, None, None]) * length[:, None, None]
        distance = torch.maximum(distance - (0.16 * thick[k + 1])[:, None, None], hem)
        bone = (length / i.camera[:, 0])[:, None, None]
        color = cloth(i, which, along * bone + k * 0.15, across * radii[k])
        canvas.paint(distance, color, which, across)


def _contact(canvas: Canvas, i: Identity, joints: Tensor, radius: Tensor) -> None:
    """What a limb darkens of the person behind it."""
    offset = (0.012 * i.camera[:, 0])[:, None] * torch.stack(
        [-canvas.light.sign(), torch.ones_like(canvas.light)], 1
    )
    points = joints + offset[:, None]
    points = torch.cat([points[:, :1].lerp(points[:, 1:2], 0.45), points[:, 1:]], 1)
    distance = canvas.polyline(points, radius)
    opacity = 0.42 * (canvas.labels > 0)
    black = torch.zeros_like(i.skin)
    canvas.paint(distance, black, opacity=opacity, softness=0.028 * i.camera[:, 0])


def _arm(canvas: Canvas, sitter: Sitter, side: int) -> None:
    i, hand = sitter.identity, sitter.points.hands[:, side]
    first = 2 if side == 0 else 5
    joints = sitter.points.body[:, first : first + 3]
    scale = i.camera[:, 0]
    reach = torch.cat([joints, hand[:, ::4]], 1)
    with canvas.window(reach, 0.06 * scale * i.bulk, sitter.index) as near:
        _contact(near, i, torch.cat([joints, hand[:, 9:10]], 1), 0.022 * scale)
    with canvas.window(hand, 0.03 * scale, sitter.index) as near:
        _hand(near, i, hand)
    with canvas.window(joints, 0.05 * scale * i.bulk, sitter.index) as near:
        shoulder = joints[:, 0] * 0.86 + joints[:, 1] * 0.06 + sitter.points.body[:, 1] * 0.08
        rooted = torch.cat([shoulder[:, None], joints[:, 1:]], 1)
        _sleeved(near, i, rooted, ARM_RADII, i.sleeve, "top")


def _hand(canvas: Canvas, i: Identity, hand: Tensor) -> None:
    scale = i.camera[:, 0]
    palm, _, across = canvas.limb(hand[:, 0], hand[:, 9], 0.016 * scale, 0.021 * scale)
    fingers = None
    for root in (1, 5, 9, 13, 17):
        distance = canvas.polyline(hand[:, root : root + 4], 0.0064 * scale)
        fingers = distance if fingers is None else torch.minimum(fingers, distance)
    assert fingers is not None
    outline = torch.minimum(fingers, palm) - (0.0025 * scale)[:, None, None]
    canvas.paint(outline, i.skin * 0.72, "skin")
    canvas.paint(palm, i.skin, "skin", across)
    canvas.paint(fingers, i.skin * 0.98, "skin")


def _leg(canvas: Canvas, sitter: Sitter, side: int) -> None:
    i, first, sign = sitter.identity, (8, 11)[side], (-1.0, 1.0)[side]
    joints = sitter.points.body[:, first : first + 3]
    scale = i.camera[:, 0]
    ankle = joints[:, 2]
    heel = ankle + torch.stack([0 * scale, 0.012 * scale], 1)
    toe = ankle + torch.stack([sign * 0.030 * scale, 0.034 * scale], 1)
    with canvas.window(torch.stack([heel, toe], 1), 0.04 * scale, sitter.index) as near:
        distance, _, across = near.limb(heel, toe, 0.024 * scale, 0.021 * scale)
        near.paint(distance - (0.004 * scale)[:, None, None], i.sole, "shoes")
        near.paint(distance, i.shoes, "shoes", across)
    with canvas.window(joints, 0.075 * scale * i.bulk, sitter.index) as near:
        pen = 0.035 * scale
        _contact(near, i, joints, pen)
        _sleeved(near, i, joints, LEG_RADII, i.trousers, "bottom")


class _Trunk:
    """The torso's own axes over a window: t 0 at the neck and 1 at the hips, v across in pixels."""

    def __init__(self, canvas: Canvas, sitter: Sitter):
        body = sitter.points.body
        self.neck, self.hips = body[:, 1], body[:, (8, 11)].mean(1)
        self.shoulder = (body[:, 2] - body[:, 5]).norm(dim=1) / 2
        self.hip = (body[:, 8] - body[:, 11]).norm(dim=1) / 2
        down = self.hips - self.neck
        self.length = down.norm(dim=1).clamp_min(1e-3)
        u, self.v = canvas.local(self.neck, torch.atan2(down[:, 1], down[:, 0]))
        self.t = u / self.length[:, None, None]

    def between(self, start: Tensor | float, end: Tensor | float) -> Tensor:
        """Distance to the part of the axis from start to end, numbers or (n,), in pixels."""
        start, end = (x[:, None, None] if isinstance(x, Tensor) else x for x in (start, end))
        share: Tensor = torch.maximum(start - self.t, self.t - end)
        distance: Tensor = share * self.length[:, None, None]
        return distance

    def outline(self, knots: tuple[float, ...], widths: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(distance, across) of the body between smooth outlines of these half widths."""
        width, slope = spline(knots, torch.stack(widths, 1), self.t)
        slope = slope / self.length[:, None, None]
        distance = (self.v.abs() - width) / (1 + slope * slope).sqrt()
        return distance, (self.v / width.clamp_min(1)).clamp(-1, 1)


def _torso(canvas: Canvas, sitter: Sitter) -> None:
    i, points = sitter.identity, sitter.points
    body, scale = points.body, i.camera[:, 0]
    corners = body[:, (1, 2, 5, 8, 11)]
    chin = points.face[:, 8]
    with canvas.window(
        torch.cat([corners, chin[:, None]], 1), 0.06 * scale * i.bulk, sitter.index
    ) as near:
        trunk = _Trunk(near, sitter)
        shoulder, hip, pad = trunk.shoulder, trunk.hip, i.bulk * scale
        waist = (0.66 * shoulder + 0.36 * hip) * (0.78 + 0.22 * i.bulk) * i.waist
        neck = torch.full_like(scale, 0.030) * scale
        knots = (-0.22, -0.14, -0.06, 0.06, 0.35, 0.68, 0.88, 1.05)
        widths = [neck, neck * 1.3, shoulder * 0.78 + pad * 0.008, shoulder + pad * 0.012,
                  shoulder * 0.90 + pad * 0.008, waist, hip + pad * 0.040,
                  hip + pad * 0.047]  # fmt: skip
        distance, across = trunk.outline(knots, widths)
        folds = 1 + 0.035 * torch.sin(trunk.t * 17 + across * (4 * near.light)[:, None, None])
        across = across * (0.4 + 2.0 * trunk.t.clamp(0, 0.3))  # flat where the arms begin
        along, aside = trunk.t * 0.29, trunk.v / scale[:, None, None]
        lower = torch.maximum(distance, trunk.between(0.75, 1.12))
        fade = ((1.10 - trunk.t) * 8).clamp(0, 1)  # into the legs
        color = cloth(i, "bottom", along, aside)
        near.paint(lower, color, "bottom", across, opacity=fade)
        puff = (0.004 * scale)[:, None, None]
        top = torch.maximum(distance - puff, trunk.between(-0.13, i.hem))
        hem = torch.maximum(distance, trunk.between(i.hem - 0.02, i.hem + 0.06))
        near.paint(hem, torch.zeros_like(i.skin), opacity=0.25, softness=0.02 * scale)
        near.paint(top, cloth(i, "top", along, aside) * folds[:, None], "top", across)
        _neck(near, sitter, trunk, top)


def _neck(canvas: Canvas, sitter: Sitter, trunk: _Trunk, top: Tensor) -> None:
    """The neckline, cut into the top, and the neck with the shadow of the chin."""
    i, scale = sitter.identity, sitter.identity.camera[:, 0]
    chin = sitter.points.face[:, 8]
    down = trunk.hips - trunk.neck
    cut = canvas.ellipse(
        trunk.neck - down * 0.10,
        (0.036 + 0.012 * i.neckline) * scale,
        (0.030 + 0.045 * i.neckline) * scale,
        torch.zeros_like(scale),
    )
    rim = torch.maximum(cut - (0.006 * scale)[:, None, None], top)
    canvas.paint(rim, i.top[:, 1] * 0.9, "top")
    canvas.paint(torch.maximum(cut, top), i.skin * 0.94, "skin")
    upper = torch.lerp(trunk.neck, chin, 0.55)
    distance, _, across = canvas.limb(trunk.neck - down * 0.05, upper, 0.032 * scale, 0.028 * scale)
    canvas.paint(distance, i.skin * 0.92, "skin", across)
    shade = canvas.ellipse(
        chin + (trunk.neck - chin) * 0.12, 0.040 * scale, 0.030 * scale, 0 * scale
    )
    on_skin = 0.45 * (canvas.labels == SKIN_LABEL)
    canvas.paint(shade, i.skin * 0.4, opacity=on_skin, softness=0.03 * scale)


def _skirt(canvas: Canvas, sitter: Sitter) -> None:
    i, scale = sitter.identity, sitter.identity.camera[:, 0]
    body = sitter.points.body
    with canvas.window(body[:, (1, 8, 11, 9, 12)], 0.09 * scale * i.bulk, sitter.index) as near:
        trunk = _Trunk(near, sitter)
        hip, pad = trunk.hip, i.bulk * scale
        knots = (0.7, 1.0, 1.3, 1.6)
        widths = [hip, hip + pad * 0.05, hip + pad * 0.065, hip + pad * 0.08]
        distance, across = trunk.outline(knots, widths)
        distance = torch.maximum(distance, trunk.between(0.75, 1.55))
        pleats = 1 + 0.08 * torch.sin(across * 14)
        color = cloth(i, "bottom", trunk.t * 0.29, trunk.v / scale[:, None, None])
        near.paint(distance, color * pleats[:, None], "bottom", across)
