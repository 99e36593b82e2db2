"""From points to a painted person: body, clothes, face, hair and hands on a Canvas."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magicpose_cli.training.drawing import Canvas, pattern

if TYPE_CHECKING:
    from magicpose_cli.training.people import Identity, Motion, Points

Layer = tuple[Tensor, Tensor, str, Tensor]  # distance, color, label, across


def paint_person(canvas: Canvas, i: Identity, m: Motion, points: Points) -> None:
    """From the back to the front; what is nearer hides what is farther."""
    scale = i.camera[:, 0]
    body = points.body
    feet = body[:, (10, 13)].mean(1)
    canvas.paint(
        canvas.ellipse(feet, 0.16 * scale, 0.025 * scale, 0 * scale),
        torch.full_like(i.skin, 0.05),
        opacity=0.45,
        softness=0.03 * float(scale.mean()),
    )
    arms = [_arm(canvas, i, points, side) for side in (0, 1)]
    if bool((i.hair_length > 1).any()):
        _long_hair(canvas, i, points)
    for side in (0, 1):
        _paint_layers(canvas, arms[side], (~m.arm_in_front[:, side]).float())
    for side in (0, 1):
        _leg(canvas, i, points, side)
    _torso(canvas, i, points)
    _head(canvas, i, m, points)
    for side in (0, 1):
        _paint_layers(canvas, arms[side], m.arm_in_front[:, side].float())


def _paint_layers(canvas: Canvas, layers: list[Layer], opacity: Tensor) -> None:
    for distance, color, label, across in layers:
        canvas.paint(distance, color, label, across, opacity)


def _cloth(i: Identity, which: str, u: Tensor, v: Tensor) -> Tensor:
    """(N, 3, S, S) color of the top or bottom at u along, v across in body heights."""
    colors = getattr(i, which)
    amount = pattern(getattr(i, f"{which}_pattern"), u, v, i.frequency)[:, None]
    first, second = colors[:, 0, :, None, None], colors[:, 1, :, None, None]
    return first + amount * (second - first)


def _sleeved(
    canvas: Canvas,
    i: Identity,
    joints: Tensor,
    radii: tuple[float, float, float],
    lengths: tuple[Tensor, Tensor],
    covered: Tensor,
    which: str,
) -> list[Layer]:
    """Two bones (N, 3, 2) of skin under a garment that covers 0..2 of them."""
    thick = [r * i.bulk * i.camera[:, 0] for r in radii]
    layers: list[Layer] = []
    for k in (1, 0):  # the outer bone first: the garment's upper part lies over it
        start, end = joints[:, k], joints[:, k + 1]
        distance, _, across = canvas.limb(start, end, thick[k], thick[k + 1])
        layers.append((distance, i.skin, "skin", across))
        share = (covered - k).clamp(0, 1)
        hem = start + (end - start) * share[:, None]
        hem_radius = thick[k] + (thick[k + 1] - thick[k]) * share
        distance, h, across = canvas.limb(start, hem, thick[k] * 1.15, hem_radius * 1.2)
        distance = distance + (share < 0.02)[:, None, None] * 1e4
        color = _cloth(
            i, which, h * (lengths[k] * share)[:, None, None] + k * 0.15, across * radii[k]
        )
        layers.append((distance, color, which, across))
    return layers


def _arm(canvas: Canvas, i: Identity, points: Points, side: int) -> list[Layer]:
    first = 2 if side == 0 else 5
    joints = points.body[:, first : first + 3]
    layers = _sleeved(
        canvas, i, joints, (0.030, 0.024, 0.017), (i.upper_arm, i.forearm), i.sleeve, "top"
    )
    return [*_hand(canvas, i, points.hands[:, side]), *layers]


def _hand(canvas: Canvas, i: Identity, hand: Tensor) -> list[Layer]:
    scale = i.camera[:, 0]
    finger = 0.0062 * scale
    palm = canvas.limb(hand[:, 0], hand[:, 9], 0.016 * scale, 0.021 * scale)
    fingers = None
    for root in (1, 5, 9, 13, 17):
        distance = canvas.polyline(hand[:, root : root + 4], finger)
        fingers = distance if fingers is None else torch.minimum(fingers, distance)
    assert fingers is not None
    dark = i.skin * 0.8
    return [
        (
            torch.minimum(fingers, palm[0]) - 0.0025 * scale[:, None, None],
            dark,
            "skin",
            palm[2] * 0,
        ),
        (palm[0], i.skin, "skin", palm[2]),
        (fingers, i.skin * 0.97, "skin", palm[2] * 0),
    ]


def _leg(canvas: Canvas, i: Identity, points: Points, side: int) -> None:
    first = 8 if side == 0 else 11
    joints = points.body[:, first : first + 3]
    scale, sign = i.camera[:, 0], (-1.0 if side == 0 else 1.0)
    ankle = joints[:, 2]
    toe = ankle + torch.stack([sign * 0.035 * scale, 0.030 * scale], 1)
    layers = _sleeved(
        canvas, i, joints, (0.049, 0.036, 0.023), (i.thigh, i.shin), i.trousers, "bottom"
    )
    _paint_layers(canvas, layers, torch.ones_like(scale))
    distance, _, across = canvas.limb(ankle, toe, 0.022 * scale, 0.019 * scale)
    canvas.paint(distance, i.shoes, "shoes", across)


def _torso(canvas: Canvas, i: Identity, points: Points) -> None:
    body, scale = points.body, i.camera[:, 0]
    neck = body[:, 1]
    hips = (body[:, 8] + body[:, 11]) / 2
    shoulder = (body[:, 2] - body[:, 5]).norm(dim=1) / 2
    hip = (body[:, 8] - body[:, 11]).norm(dim=1) / 2
    down = hips - neck
    length = down.norm(dim=1).clamp_min(1e-3)
    angle = torch.atan2(down[:, 1], down[:, 0])
    u, v = canvas.local(neck, angle)
    t = u / length[:, None, None]

    def widths(*knots: tuple[float, Tensor]) -> Tensor:
        """Half width along the torso, linear between (t, width) knots."""
        result = knots[0][1][:, None, None].expand_as(t)
        for (t0, w0), (t1, w1) in pairwise(knots):
            share = ((t - t0) / (t1 - t0)).clamp(0, 1)
            result = result + share * (w1 - w0)[:, None, None]
        return result

    def between(start: float, end: float) -> Tensor:
        """Distance to the part of the axis from start to end, in pixels."""
        return torch.maximum(start - t, t - end) * length[:, None, None]

    def garment(which: str) -> Tensor:
        return _cloth(i, which, t * 0.29, v / scale[:, None, None])

    pad = 0.022 * i.bulk * scale
    waist = (0.62 * shoulder + 0.25 * hip) * (0.75 + 0.25 * i.bulk)
    # bottom garment: the pelvis, or a skirt that widens to above the knee
    pelvis = widths((0.7, waist), (1.05, hip + pad * 1.6), (1.2, hip * 0.9))
    distance = torch.maximum(v.abs() - pelvis, between(0.72, 1.13))
    canvas.paint(distance, garment("bottom"), "bottom", v / pelvis)
    flare = widths((0.75, waist), (1.0, hip + pad * 1.7), (1.6, hip + pad * 3.2))
    distance = torch.maximum(v.abs() - flare, between(0.75, 1.55))
    canvas.paint(distance, garment("bottom"), "bottom", (v / flare).clamp(-1, 1), i.skirt)
    # neck before the top, whose collar lies over it
    chin = points.face[:, 8] * 0.55 + body[:, 1] * 0.45
    distance, _, across = canvas.limb(neck, chin, 0.030 * scale, 0.028 * scale)
    canvas.paint(distance, i.skin * 0.86, "skin", across)
    chest = widths(
        (-0.13, shoulder * 0.30),
        (-0.04, shoulder * 0.82),
        (0.05, shoulder + pad * 0.3),
        (0.3, shoulder * 0.93 + pad * 0.2),
        (0.68, waist),
        (1.0, hip + pad * 1.3),
    )
    distance = torch.maximum(v.abs() - chest, between(-0.13, 0.92))
    collar = canvas.ellipse(neck - down * 0.12, 0.036 * scale, 0.042 * scale, 0 * scale)
    distance = torch.maximum(distance, -collar)
    canvas.paint(distance, garment("top"), "top", (v / chest).clamp(-1, 1))


def _head(canvas: Canvas, i: Identity, m: Motion, points: Points) -> None:
    face, body = points.face, points.body
    unit = i.head * i.camera[:, 0]
    tilt = m.head_tilt + 0.5 * m.lean
    middle = _head_center(i, points)
    ear = 0.16 * unit
    for side in (16, 17):
        canvas.paint(canvas.ellipse(body[:, side], ear, ear * 1.7, tilt), i.skin * 0.85, "skin")
    u, v = canvas.local(middle, tilt)
    h = i.head_height
    skull = canvas.ellipse(middle, unit, unit * h, tilt)
    chin = canvas.ellipse(
        face[:, 8] * 0.62 + middle * 0.38, unit * (0.55 + 0.12 * i.jaw), unit * 0.50 * h / 1.3, tilt
    )
    across = (u / unit[:, None, None]).clamp(-1, 1)
    down = (v / (unit * h)[:, None, None]).clamp(-1, 1)
    tone = i.skin[:, :, None, None] * (1.03 - 0.10 * down.clamp_min(0).square())[:, None]
    canvas.paint(torch.minimum(skull, chin), tone, "skin", across * 0.9)
    _features(canvas, i, m, face, unit, tilt)
    _hair(canvas, i, m, skull, u / unit[:, None, None], v / unit[:, None, None], unit)


def _head_center(i: Identity, points: Points) -> Tensor:
    neck, hips = points.body[:, 1], (points.body[:, 8] + points.body[:, 11]) / 2
    up = neck - hips
    up = up / up.norm(dim=1, keepdim=True).clamp_min(1e-3)
    return neck + up * ((0.045 + i.head * i.head_height) * i.camera[:, 0])[:, None]


def _features(
    canvas: Canvas, i: Identity, m: Motion, face: Tensor, unit: Tensor, tilt: Tensor
) -> None:
    dark = i.skin * 0.55
    for eye in (slice(36, 42), slice(42, 48)):
        center = face[:, eye].mean(1)
        socket = canvas.ellipse(center, 0.30 * unit, 0.20 * unit, tilt)
        canvas.paint(socket, i.skin * 0.78, softness=_soft(unit, 0.25), opacity=0.6)
        lids = canvas.polygon(face[:, eye])
        canvas.paint(lids, torch.full_like(i.skin, 0.93))
        gaze = center + m.gaze * torch.tensor([0.08, 0.03], device=unit.device) * unit[:, None]
        iris = torch.maximum(canvas.ellipse(gaze, 0.10 * unit, 0.10 * unit, tilt), lids)
        canvas.paint(iris, i.iris)
        pupil = torch.maximum(canvas.ellipse(gaze, 0.045 * unit, 0.045 * unit, tilt), lids)
        canvas.paint(pupil, torch.full_like(i.skin, 0.03))
        upper = face[:, eye][:, :4]
        canvas.paint(canvas.polyline(upper, 0.022 * unit), dark * 0.5, opacity=0.9)
    brow_color = (i.hair * 0.6 + i.skin * 0.12).clamp(0, 1)
    for brow in (slice(17, 22), slice(22, 27)):
        canvas.paint(canvas.polyline(face[:, brow], 0.042 * unit), brow_color, opacity=0.85)
    side = torch.where(canvas.light > 0, -0.07, 0.07) * unit
    offset = torch.stack([side, 0 * side], 1)
    ridge = face[:, 27:31] + offset[:, None]
    canvas.paint(
        canvas.polyline(ridge, 0.06 * unit), i.skin * 0.80, softness=_soft(unit, 0.12), opacity=0.7
    )
    tip = canvas.ellipse(face[:, 30], 0.13 * unit * i.nose, 0.10 * unit, tilt)
    canvas.paint(tip, (i.skin * 1.06).clamp(0, 1), softness=_soft(unit, 0.1), opacity=0.8)
    base = canvas.polyline(face[:, 31:36], 0.028 * unit)
    canvas.paint(base, dark, opacity=0.6, softness=_soft(unit, 0.03))
    for nostril in (32, 34):
        hole = canvas.ellipse(face[:, nostril], 0.045 * unit, 0.03 * unit, tilt)
        canvas.paint(hole, dark * 0.5, opacity=0.8)
    red = torch.tensor([0.92, 0.58, 0.58], device=unit.device)
    canvas.paint(canvas.polygon(face[:, 48:60]), i.skin * red)
    canvas.paint(canvas.polyline(face[:, 60:65], 0.012 * unit), dark * 0.6, opacity=0.8)
    mouth = canvas.polygon(face[:, 60:68])
    canvas.paint(mouth, torch.tensor([[0.22, 0.05, 0.06]], device=unit.device).expand_as(i.skin))
    teeth = torch.maximum(mouth, canvas.polyline(face[:, 60:65], 0.06 * unit))
    canvas.paint(teeth, torch.full_like(i.skin, 0.9), opacity=(m.mouth_open > 0.15).float())


def _soft(unit: Tensor, share: float) -> float:
    """Edge width of soft shading: a share of the batch's mean head size, at least a pixel."""
    return max(1.0, share * float(unit.mean()))


def _hair(
    canvas: Canvas, i: Identity, m: Motion, skull: Tensor, u: Tensor, v: Tensor, unit: Tensor
) -> None:
    """The cap on the skull; u, v: position on the head in half head widths."""
    volume = (0.05 + 0.10 * i.hair_length.clamp(max=1)) * unit
    toward = (m.head_turn.sin() * 0.75)[:, None, None]
    nod = (m.head_nod.sin() * 0.9)[:, None, None]
    line = i.hairline[:, None, None] + nod + 0.75 * (u - toward).square()
    sides = (0.55 * i.hair_length.clamp(max=1) - 0.45)[:, None, None]
    line = torch.minimum(line, sides.expand_as(line) + nod * 0.3)
    cap = torch.maximum(skull - volume[:, None, None], (v - line) * unit[:, None, None])
    strands = 1 + 0.10 * (u * 9 + v * 2).sin() - 0.25 * v.clamp(-1.5, 0.5) * 0.4
    color = (i.hair[:, :, None, None] * strands[:, None]).clamp(0, 1)
    canvas.paint(cap, color, "hair", u.clamp(-1, 1) * 0.8, (i.hair_length > 0.02).float())
    falling = (i.hair_length > 1).float()
    drop = (i.hair_length - 1).clamp(0, 1)[:, None, None]
    locks = torch.maximum(
        (u.abs() - 1.02).abs() - 0.17, torch.maximum(-0.7 - v, v - 0.5 - 1.3 * drop)
    )
    canvas.paint(locks * unit[:, None, None], color, "hair", opacity=falling)


def _long_hair(canvas: Canvas, i: Identity, points: Points) -> None:
    """What falls behind the neck."""
    unit = i.head * i.camera[:, 0]
    middle = _head_center(i, points)
    length = (0.6 + 1.4 * (i.hair_length - 1).clamp(0, 1)) * unit
    end = middle + torch.stack([0 * length, length], 1)
    distance, _, across = canvas.limb(middle, end, 1.15 * unit, 1.05 * unit)
    canvas.paint(distance, i.hair * 0.75, "hair", across, (i.hair_length > 1).float())
