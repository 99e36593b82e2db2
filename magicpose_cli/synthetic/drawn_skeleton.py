"""Where every joint, face point and finger of a drawn person is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from magicpose_cli.synthetic.people import DrawnMotion, DrawnPoints, Identity

EYE_OUTLINE = (
    (-0.2, 0.0),
    (-0.085, -1.0),
    (0.085, -1.0),
    (0.2, 0.0),
    (0.085, 0.62),
    (-0.085, 0.62),
)

FacePoint = tuple[Tensor, Tensor, float]
"""x and y (N,), and how far the point stands out of the head's ellipsoid."""


def _direction(angle: Tensor) -> Tensor:
    """Unit vector turned from straight down toward the picture's right, (..., 2)."""
    return torch.stack([angle.sin(), angle.cos()], -1)


def place_points(identity: Identity, motion: DrawnMotion) -> DrawnPoints:
    """Compute where every joint, face point and finger is, in pixels."""
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
    return DrawnPoints(body * s, face * s, torch.stack(hands, 1) * s[:, None])


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


def _face(i: Identity, m: DrawnMotion) -> tuple[Tensor, Tensor, Tensor]:
    """Place the face in half head widths from the head's center.

    The face has three dimensions (x right, y down, z to the viewer); it is turned, nodded and
    tilted, then seen from the front.

    Returns:
        The 68 points of iBUG (N, 68, 2), the eyes and the ears (N, 2, 2).
    """
    one = torch.ones(len(m.brow), device=m.brow.device)
    points = [*_jaw(i, m), *_brows(i, m), *_nose(i), *_eyes(i, m), *_mouth(i, m)]
    points += [(sign * 1.0 * one, 0.06 * one, -0.15) for sign in (-1.0, 1.0)]  # ears
    x, y, lift = (torch.stack([c * one for c in axis], 1) for axis in zip(*points, strict=True))
    bulge = (1 - x.square() - (y / i.head_height[:, None]).square()).clamp_min(0).sqrt()
    turned = turn_head(m, torch.stack([x, y, bulge + lift], -1))
    face, ears = turned[:, :68], turned[:, 68:]
    eyes = torch.stack([face[:, 36:42].mean(1), face[:, 42:48].mean(1)], 1)
    return face, eyes, ears


def _jaw(i: Identity, m: DrawnMotion) -> Iterator[FacePoint]:
    """From the person's right ear to the left one."""
    for k in range(17):
        a = math.pi * k / 16
        widen = 1 + 0.10 * i.jaw * math.sin(2 * a) ** 2
        drop = 0.12 * m.mouth_open * math.sin(a) ** 4
        down = 0.05 + (i.head_height * 0.97 - 0.05) * math.sin(a) + drop
        yield -math.cos(a) * 0.98 * widen, down, -0.12


def _brows(i: Identity, m: DrawnMotion) -> Iterator[FacePoint]:
    """From left to right in the picture."""
    raised = -0.36 - 0.09 * m.brow
    for sign in (-1.0, 1.0):
        order = range(5) if sign < 0 else range(4, -1, -1)
        for k in order:
            t = k / 4  # 0 at the temple
            arch = 0.10 * math.sin(math.pi * (0.25 + 0.6 * t)) - 0.05 * (1 - t)
            yield sign * (i.eye_distance + 0.30 - 0.50 * t), raised - arch, 0.0


def _nose(i: Identity) -> Iterator[FacePoint]:
    """The bridge from the top, then the nostrils from left to right in the picture."""
    for k in range(4):
        yield 0 * i.nose, 0.02 + 0.145 * k * i.nose, 0.06 + 0.09 * k
    for k in range(5):
        inner = 2 - abs(k - 2)
        across = (k - 2) * 0.115 * i.nose
        yield across, (0.52 + 0.035 * inner) * i.nose, 0.12 + 0.05 * inner


def _eyes(i: Identity, m: DrawnMotion) -> Iterator[FacePoint]:
    lid = 0.115 * m.eye_open + 0.008
    for sign in (-1.0, 1.0):
        for dx, dy in EYE_OUTLINE:
            yield sign * i.eye_distance + dx, 0.02 + dy * lid, 0.0


def _mouth(i: Identity, m: DrawnMotion) -> Iterator[FacePoint]:
    """The outer outline of the lips, then the inner one."""
    width = 0.34 + 0.07 * m.smile.clamp_min(-0.5) - 0.06 * m.mouth_open
    corner = 0.80 - 0.07 * m.smile
    gap = 0.24 * m.mouth_open
    thick = 0.075 * i.lips

    def point(t: float, middle: Tensor) -> FacePoint:
        """Of a line through both corners; t: -1 at the left corner .. 1 at the right."""
        return width * t, corner * t * t + middle * (1 - t * t), 0.05

    outer = (-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0)
    for t in outer:
        bow = 0.7 + 0.3 * abs(t) if abs(t) < 0.3 else 1.0
        yield point(t, 0.80 - gap * 0.35 - thick * bow)
    for t in outer[-2:0:-1]:
        yield point(t, 0.80 + gap * 0.75 + thick * 1.2)
    inner = (-0.85, -0.4, 0.0, 0.4, 0.85)
    for t in inner:
        yield point(t, 0.80 - gap * 0.35)
    for t in inner[-2:0:-1]:
        yield point(t, 0.80 + gap * 0.75)


def turn_head(m: DrawnMotion, points: Tensor) -> Tensor:
    """Turn points (N, n, 3) in the head's own axes, as they are seen from the front, (N, n, 2)."""
    x, y, z = points.unbind(-1)
    c, s = m.head_turn.cos()[:, None], m.head_turn.sin()[:, None]
    x, z = x * c + z * s, z * c - x * s
    c, s = m.head_nod.cos()[:, None], m.head_nod.sin()[:, None]
    y = y * c + z * s
    tilt = (m.head_tilt + 0.5 * m.lean)[:, None]
    c, s = tilt.cos(), tilt.sin()
    return torch.stack([x * c - y * s, x * s + y * c], -1)
