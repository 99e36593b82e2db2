"""Where every joint, face point and finger of a drawn person is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magicpose_cli.synthetic.people import Identity, Motion, Points

EYE = ((-0.2, 0.0), (-0.085, -1.0), (0.085, -1.0), (0.2, 0.0), (0.085, 0.62), (-0.085, 0.62))


def _direction(angle: Tensor) -> Tensor:
    """Unit vector turned from straight down toward the picture's right, (..., 2)."""
    return torch.stack([angle.sin(), angle.cos()], -1)


def place(identity: Identity, motion: Motion) -> Points:
    """Where every joint, face point and finger is, in pixels."""
    i, m = identity, motion
    scale = i.camera[:, :1]
    hips = i.camera[:, 1:] / scale + m.shift
    up, across = -_direction(-m.lean), _direction(math.pi / 2 - m.lean)
    neck = hips + up * i.torso[:, None]
    narrow = m.turn.cos()[:, None]
    body = hips.new_zeros(len(hips), 18, 2)
    body[:, 1] = neck
    hands = []
    for side, sign in ((0, -1.0), (1, 1.0)):
        shoulder = neck + across * (sign * i.shoulder[:, None] * narrow) - up * 0.005
        upper = sign * m.arm[:, side] - m.lean
        lower = upper + sign * m.elbow[:, side]
        depth = m.arm_depth[:, side]
        elbow = shoulder + _direction(upper) * (i.upper_arm * depth[:, 0])[:, None]
        wrist = elbow + _direction(lower) * (i.forearm * depth[:, 1])[:, None]
        hip = hips + across * (sign * i.hip[:, None] * narrow)
        swing = sign * m.leg[:, side]
        knee = hip + _direction(swing) * (i.thigh * m.leg_depth[:, side, 0])[:, None]
        shin = swing + sign * m.knee[:, side]
        ankle = knee + _direction(shin) * (i.shin * m.leg_depth[:, side, 1])[:, None]
        arm, leg = (2, 8) if side == 0 else (5, 11)
        body[:, arm : arm + 3] = torch.stack([shoulder, elbow, wrist], 1)
        body[:, leg : leg + 3] = torch.stack([hip, knee, ankle], 1)
        hands.append(_hand(wrist, lower, sign, m.curl[:, side], m.spread[:, side]))
    center = neck + up * (0.045 + i.head * i.head_height)[:, None]
    face, eyes, ears = _face(i, m)
    face, eyes, ears = (center[:, None] + p * i.head[:, None, None] for p in (face, eyes, ears))
    body[:, 0], body[:, 14:16], body[:, 16:18] = face[:, 30], eyes, ears
    s = scale[:, None]
    return Points(body * s, face * s, torch.stack(hands, 1) * s[:, None])


def _hand(wrist: Tensor, angle: Tensor, sign: float, curl: Tensor, spread: Tensor) -> Tensor:
    """21 points (N, 21, 2): the wrist, then thumb to little finger from root to tip."""
    points = [wrist]
    fans = (0.75, 0.28, 0.06, -0.16, -0.38)
    roots = (0.020, 0.042, 0.043, 0.041, 0.038)
    lengths = (0.040, 0.040, 0.044, 0.040, 0.032)
    for fan, root, length in zip(fans, roots, lengths, strict=True):
        # thumbs point to the body's front, which for hanging arms is inward
        heading = angle - sign * fan * spread
        joint = wrist + _direction(heading) * root
        points.append(joint)
        bend = curl * (0.5 if fan == 0.75 else 1.0)
        for k in range(3):
            step = length * (0.42, 0.33, 0.25)[k] * (1 - 0.75 * bend)
            heading = heading - sign * 0.25 * bend
            joint = joint + _direction(heading) * step[:, None]
            points.append(joint)
    return torch.stack(points, 1)


def _face(i: Identity, m: Motion) -> tuple[Tensor, Tensor, Tensor]:
    """Face points in half head widths from the head's center: (N, 68, 2), eyes, ears (N, 2, 2).

    A face in three dimensions (x right, y down, z to the viewer) that is turned, nodded and tilted,
    then seen from the front; order of the points: iBUG 68.
    """
    n, dev = len(m.brow), m.brow.device
    one = torch.ones(n, device=dev)
    h = i.head_height
    x: list[Tensor] = []
    y: list[Tensor] = []
    lift: list[Tensor] = []  # toward the viewer, beyond the head's ellipsoid

    def add(px: Tensor, py: Tensor, pz: Tensor | float = 0.0) -> None:
        x.append(px * one)
        y.append(py * one)
        lift.append(pz * one)

    for k in range(17):  # jaw from the person's right ear to the left one
        a = math.pi * k / 16
        widen = 1 + 0.10 * i.jaw * math.sin(2 * a) ** 2
        drop = 0.12 * m.mouth_open * math.sin(a) ** 4
        down = 0.05 + (h * 0.97 - 0.05) * math.sin(a) + drop
        add(-math.cos(a) * 0.98 * widen, down, -0.12)
    raised = -0.36 - 0.09 * m.brow
    for sign in (-1.0, 1.0):  # brows, left to right in the picture
        order = range(5) if sign < 0 else range(4, -1, -1)
        for k in order:
            t = k / 4  # 0 at the temple
            arch = 0.10 * math.sin(math.pi * (0.25 + 0.6 * t)) - 0.05 * (1 - t)
            add(sign * (i.eye_distance + 0.30 - 0.50 * t), raised - arch)
    for k in range(4):
        add(0 * one, 0.02 + 0.145 * k * i.nose, 0.06 + 0.09 * k)
    for k in range(5):
        inner = 2 - abs(k - 2)
        add((k - 2) * 0.115 * i.nose, (0.52 + 0.035 * inner) * i.nose, 0.12 + 0.05 * inner)
    lid = 0.115 * m.eye_open + 0.008
    for sign in (-1.0, 1.0):
        for dx, dy in EYE:
            add(sign * i.eye_distance + dx, 0.02 + dy * lid)
    width = 0.34 + 0.07 * m.smile.clamp_min(-0.5) - 0.06 * m.mouth_open
    corner = 0.80 - 0.07 * m.smile
    gap = 0.24 * m.mouth_open
    thick = 0.075 * i.lips
    top = (-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0)
    for t in top:
        bow = 0.7 + 0.3 * abs(t) if abs(t) < 0.3 else 1.0
        add(width * t, corner * t * t + (0.80 - gap * 0.35 - thick * bow) * (1 - t * t), 0.05)
    for t in top[-2:0:-1]:
        add(width * t, corner * t * t + (0.80 + gap * 0.75 + thick * 1.2) * (1 - t * t), 0.05)
    line = (-0.85, -0.4, 0.0, 0.4, 0.85)
    for t in line:
        add(width * t, corner * t * t + (0.80 - gap * 0.35) * (1 - t * t), 0.05)
    for t in line[-2:0:-1]:
        add(width * t, corner * t * t + (0.80 + gap * 0.75) * (1 - t * t), 0.05)
    for sign in (-1.0, 1.0):  # two ears, behind the 68
        add(sign * 1.0 * one, 0.06 * one, -0.15)
    px, py, pz = torch.stack(x, 1), torch.stack(y, 1), torch.stack(lift, 1)
    bulge = (1 - px.square() - (py / h[:, None]).square()).clamp_min(0).sqrt()
    turned = turn_head(m, torch.stack([px, py, bulge + pz], -1))
    face, ears = turned[:, :68], turned[:, 68:]
    eyes = torch.stack([face[:, 36:42].mean(1), face[:, 42:48].mean(1)], 1)
    return face, eyes, ears


def turn_head(m: Motion, points: Tensor) -> Tensor:
    """(N, n, 3) in the head's own axes -> (N, n, 2) as seen from the front."""
    x, y, z = points.unbind(-1)
    c, s = m.head_turn.cos()[:, None], m.head_turn.sin()[:, None]
    x, z = x * c + z * s, z * c - x * s
    c, s = m.head_nod.cos()[:, None], m.head_nod.sin()[:, None]
    y = y * c + z * s
    tilt = (m.head_tilt + 0.5 * m.lean)[:, None]
    c, s = tilt.cos(), tilt.sin()
    return torch.stack([x * c - y * s, x * s + y * c], -1)
