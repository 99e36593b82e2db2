"""Drawn people: who they are, what they do, where every joint is.

The data `mini` is trained on. Everything is drawn from numbers: an `Identity` (body, clothes, hair,
face shape, background, camera), a `Motion` (angles, expression), from which `place` computes the
exact OpenPose points and `render` paints the picture. All tensors have one row a picture; lengths
are in body heights until the camera turns them into pixels. "Right" is the person's own, which is
the picture's left when they face the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.training.drawing import Canvas, photo_noise
from magicpose_cli.training.figure import paint_person

if TYPE_CHECKING:
    from typing_extensions import Self

TEST_SEEDS = 1 << 40  # seeds from here on are for testing; training draws from below
FRAMINGS = ("full", "half", "portrait")

SKIN = ((0.96, 0.84, 0.74), (0.93, 0.76, 0.63), (0.82, 0.62, 0.47), (0.62, 0.44, 0.32),
        (0.45, 0.30, 0.22), (0.30, 0.20, 0.15))  # fmt: skip
EYE = ((-0.2, 0.0), (-0.085, -1.0), (0.085, -1.0), (0.2, 0.0), (0.085, 0.62), (-0.085, 0.62))
HAIR = ((0.08, 0.07, 0.07), (0.22, 0.14, 0.09), (0.40, 0.25, 0.14), (0.72, 0.53, 0.28),
        (0.87, 0.76, 0.52), (0.50, 0.20, 0.10), (0.62, 0.60, 0.58))  # fmt: skip


@dataclass
class _Rows:
    """Dataclass of tensors with one row a picture."""

    def rows(self, index: Tensor | slice) -> Self:
        """Pick rows."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass
class Identity(_Rows):
    """What stays the same through a clip; body lengths in body heights, colors RGB in 0..1."""

    shoulder: Tensor  # half width between the shoulder joints
    hip: Tensor
    torso: Tensor  # neck to middle of the hips
    upper_arm: Tensor
    forearm: Tensor
    thigh: Tensor
    shin: Tensor
    head: Tensor  # half width of the head
    head_height: Tensor  # half height over half width
    jaw: Tensor  # width of the chin, 0 pointed .. 1 square
    eye_distance: Tensor
    nose: Tensor
    lips: Tensor
    bulk: Tensor  # thickness of limbs and waist
    skin: Tensor
    hair: Tensor
    hair_length: Tensor  # 0 bald, 0..1 short, above 1 falls on the shoulders
    hairline: Tensor
    iris: Tensor
    top: Tensor  # (N, 2, 3) two colors
    bottom: Tensor
    top_pattern: Tensor
    bottom_pattern: Tensor
    frequency: Tensor
    sleeve: Tensor  # 0 none .. 2 to the wrist
    trousers: Tensor  # 0 shorts .. 2 to the ankle
    skirt: Tensor  # 0 or 1
    shoes: Tensor
    light: Tensor
    background: Tensor  # (N, 3, S, S)
    camera: Tensor  # (N, 3) pixels a body height, x and y of the standing person's hips


@dataclass
class Motion(_Rows):
    """What moves; angles in radians, index 0 the right side and 1 the left."""

    shift: Tensor  # (N, 2) of the hips
    lean: Tensor
    turn: Tensor  # of the torso about the vertical
    arm: Tensor  # (N, 2) upper arm from hanging, positive outward
    elbow: Tensor
    arm_depth: Tensor  # (N, 2, 2) apparent over true length of upper arm and forearm
    arm_in_front: Tensor  # (N, 2) bool
    leg: Tensor
    knee: Tensor
    leg_depth: Tensor
    head_turn: Tensor
    head_nod: Tensor
    head_tilt: Tensor
    brow: Tensor  # -1..1
    eye_open: Tensor  # 0..1
    gaze: Tensor  # (N, 2) -1..1
    mouth_open: Tensor  # 0..1
    smile: Tensor  # -1..1
    curl: Tensor  # (N, 2) of the fingers, 0 open .. 1 fist
    spread: Tensor


@dataclass
class Points:
    """Exact points in pixels: body (N, 18, 2), face (N, 68, 2), hands (N, 2, 21, 2) right, left."""

    body: Tensor
    face: Tensor
    hands: Tensor

    def pose(self, index: int, size: int) -> Pose:
        """One row as a Pose; what lies outside of the picture is unseen."""

        def scored(points: Tensor) -> np.ndarray:
            seen = ((points >= 0) & (points < size)).all(-1, keepdim=True)
            return torch.cat([points, seen.to(points.dtype)], -1).cpu().numpy()

        right, left = self.hands[index]
        return Pose.of(
            size,
            size,
            body=scored(self.body[index]),
            face=scored(self.face[index]),
            left_hand=scored(left),
            right_hand=scored(right),
        )


@dataclass
class People:
    """A drawn batch: images (N, 3, S, S) RGB in 0..1, labels (N, S, S), exact points."""

    images: Tensor
    labels: Tensor
    points: Points

    def poses(self) -> list[Pose]:
        """Every row as a Pose."""
        return [self.points.pose(i, self.images.shape[-1]) for i in range(len(self.images))]


def draw_people(
    seed: int, count: int, frames: int, size: int, device: torch.device | str = "cpu"
) -> People:
    """`count` new people in `frames` motions each, row `i * frames + k`; fixed by the seed."""
    generator = torch.Generator().manual_seed(seed)
    identity = sample_identities(count, size, generator, device)
    rows = torch.arange(count, device=device).repeat_interleave(frames)
    motion = sample_motions(count * frames, generator, device)
    return render(identity.rows(rows), motion)


def sample_identities(
    count: int,
    size: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    framing: str | None = None,
) -> Identity:
    """People before a camera with pictures of `size` pixels square; framing: one of FRAMINGS."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    def pick(table: tuple) -> Tensor:
        colors = torch.tensor(table)[torch.randint(len(table), (count,), generator=generator)]
        return (colors + uniform(-0.05, 0.05, 3)).clamp(0.02, 0.98)

    def garment() -> Tensor:
        colors = uniform(0.03, 0.97, 2, 3)
        colors[:, 1] = torch.lerp(colors[:, 0], colors[:, 1], uniform(0.3, 1.0, 1))
        gray = colors.mean(-1, keepdim=True)
        return (gray + (colors - gray) * uniform(0.1, 1.3, 1, 1)).clamp(0.03, 0.97)

    def integers(high: int) -> Tensor:
        return torch.randint(high, (count,), generator=generator)

    leg = uniform(0.44, 0.50)
    hair_length = uniform(0.25, 2.0) * (uniform(0, 1) > 0.06)
    torso = uniform(0.27, 0.31)
    values = {
        "shoulder": uniform(0.088, 0.122),
        "hip": uniform(0.047, 0.064),
        "torso": torso,
        "upper_arm": uniform(0.145, 0.180),
        "forearm": uniform(0.125, 0.155),
        "thigh": leg * 0.52,
        "shin": leg * 0.48,
        "head": uniform(0.046, 0.058),
        "head_height": uniform(1.25, 1.42),
        "jaw": uniform(0, 1),
        "eye_distance": uniform(0.38, 0.45),
        "nose": uniform(0.8, 1.2),
        "lips": uniform(0.7, 1.3),
        "bulk": uniform(0.8, 1.3),
        "skin": pick(SKIN),
        "hair": pick(HAIR),
        "hair_length": hair_length,
        "hairline": uniform(-0.85, -0.6),
        "iris": uniform(0.05, 0.45, 3),
        "top": garment(),
        "bottom": garment(),
        "top_pattern": integers(5) * (uniform(0, 1) > 0.5).long(),
        "bottom_pattern": integers(4) * (uniform(0, 1) > 0.85).long(),
        "frequency": uniform(9, 22),
        "sleeve": uniform(0.3, 2.2).clamp(max=2),
        "trousers": uniform(0.3, 2.6).clamp(max=2),
        "skirt": (uniform(0, 1) > 0.82).float(),
        "shoes": uniform(0.03, 0.9, 3),
        "light": uniform(-1, 1),
        "background": _backgrounds(count, size, generator, device),
        "camera": _cameras(count, size, torso, generator, framing),
    }
    return Identity(**{name: value.to(device) for name, value in values.items()})


def _cameras(
    count: int,
    size: int,
    torso: Tensor,
    generator: torch.Generator,
    framing: str | None,
) -> Tensor:
    """(N, 3): pixels a body height; where the hips of the standing person are, in pixels."""
    kinds = torch.randint(len(FRAMINGS), (count,), generator=generator)
    if framing is not None:
        kinds = torch.full((count,), FRAMINGS.index(framing))
    draw = torch.rand(count, 4, generator=generator)
    shown = torch.stack([1.02 + 0.25 * draw[:, 0], 0.5 + 0.2 * draw[:, 0], 0.3 + 0.1 * draw[:, 0]])
    shown = shown.gather(0, kinds[None])[0]  # body heights that the picture's height holds
    scale = size / shown
    top = 0.03 + draw[:, 1] * torch.where(kinds == 0, (shown - 1.0).clamp_min(0) * 0.8, 0.03)
    crown_to_hips = torso + 0.165
    sway = torch.where(kinds == 0, 0.12, 0.05) * size
    x = size / 2 + (draw[:, 2] - 0.5) * 2 * sway
    return torch.stack([scale, x, (top + crown_to_hips) * scale], 1)


def _backgrounds(
    count: int, size: int, generator: torch.Generator, device: torch.device | str
) -> Tensor:
    """Wall and floor of 1/f texture with a few things standing about, (N, 3, S, S)."""
    noise = photo_noise(count, size, 2, generator, device)
    rand = torch.rand(count, 64, generator=generator).to(device)
    colors = torch.stack([rand[:, 0:3] * 0.85 + 0.08, rand[:, 3:6] * 0.85 + 0.05])
    gray = colors.mean(2, keepdim=True)
    wall, floor = gray + (colors - gray) * rand[:, 9:10]
    blend = rand[:, 6:7]
    floor = floor * blend + wall * (1 - blend)
    canvas = Canvas(wall[:, :, None, None].expand(-1, -1, size, size), rand[:, 7] * 2 - 1)
    horizon = canvas.y - (0.45 + 0.5 * rand[:, 8])[:, None, None] * size
    canvas.paint(-horizon.expand(-1, -1, size), floor, softness=2.0)
    for k in range(3):
        r = rand[:, 10 + 12 * k : 22 + 12 * k]
        center = torch.stack([r[:, 0], r[:, 1]], 1) * size
        width, height = (0.03 + 0.18 * r[:, 2]) * size, (0.03 + 0.3 * r[:, 3]) * size
        u, v = canvas.local(center, (r[:, 4] - 0.5) * 0.3)
        box = torch.maximum(u.abs() - width[:, None, None], v.abs() - height[:, None, None])
        shape = torch.where(
            (r[:, 5] > 0.5)[:, None, None], box, canvas.ellipse(center, width, height, r[:, 4])
        )
        canvas.paint(shape, r[:, 6:9], opacity=(r[:, 9] > 0.4).float() * 0.9, softness=1.5)
    strength = (0.02 + 0.10 * rand[:, 60])[:, None, None, None]
    slope = (canvas.x / size - 0.5) * (rand[:, 61] - 0.5)[:, None, None] * 0.4
    tint = torch.cat([noise[:, :1], noise[:, :1] * 0.8 + noise[:, 1:] * 0.3, noise[:, :1]], 1)
    return (canvas.image + tint * strength + slope[:, None]).clamp(0, 1)


def sample_motions(
    count: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Motion:
    """Independent motions: standing, dancing, gesturing, turning and speaking people."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    def normal(spread: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator).clamp(-2.5, 2.5) * spread

    lively = uniform(0, 1, 1)  # calm people keep their arms low
    arm = uniform(-0.15, 1, 2) * (0.5 + 2.2 * lively) * (uniform(0, 1, 2) > 0.15)
    elbow = torch.where(uniform(0, 1, 2) > 0.35, uniform(-0.1, 2.2, 2), -uniform(0.0, 2.0, 2))
    values = {
        "shift": normal(0.015, 2),
        "lean": normal(0.07),
        "turn": normal(0.3),
        "arm": arm,
        "elbow": elbow * (0.25 + 0.75 * lively),
        "arm_depth": 1 - uniform(0, 0.4, 2, 2) * (uniform(0, 1, 2, 2) > 0.5),
        "arm_in_front": uniform(0, 1, 2) > 0.25,
        "leg": 0.06 + normal(0.16, 2).abs(),
        "knee": -uniform(0, 0.5, 2) * (uniform(0, 1, 2) > 0.4),
        "leg_depth": 1 - uniform(0, 0.2, 2, 2) * (uniform(0, 1, 2, 2) > 0.6),
        "head_turn": normal(0.3),
        "head_nod": normal(0.14),
        "head_tilt": normal(0.1),
        "brow": normal(0.5),
        "eye_open": uniform(0.45, 1) * (uniform(0, 1) > 0.05),
        "gaze": normal(0.4, 2),
        "mouth_open": (uniform(-0.6, 1)).clamp_min(0),
        "smile": normal(0.5),
        "curl": uniform(0, 0.9, 2),
        "spread": uniform(0.5, 1.2, 2),
    }
    return Motion(**{name: value.to(device) for name, value in values.items()})


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


def render(identity: Identity, motion: Motion) -> People:
    """Paint each row; the painter's order is from the back to the front."""
    points = place(identity, motion)
    canvas = Canvas(identity.background, identity.light)
    paint_person(canvas, identity, motion, points)
    return People(canvas.image.clamp(0, 1), canvas.labels, points)
