"""The head of a drawn person: face, features, ears, beard, glasses and hair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magicpose_cli.synthetic.canvas import SKIN_LABEL, Canvas

if TYPE_CHECKING:
    from magicpose_cli.synthetic.figure import Sitter
    from magicpose_cli.synthetic.people import Identity


class _Head:
    """Where a head is: middle (n, 2) and unit (n,), half its width, in pixels; tilt (n,)."""

    def __init__(self, sitter: Sitter):
        i, m, body = sitter.identity, sitter.motion, sitter.points.body
        up = body[:, 1] - body[:, (8, 11)].mean(1)
        up = up / up.norm(dim=1, keepdim=True).clamp_min(1e-3)
        self.unit = i.head * i.camera[:, 0]
        raised = 0.045 * i.camera[:, 0] + self.unit * i.head_height
        self.middle = body[:, 1] + up * raised[:, None]
        self.tilt = m.head_tilt + 0.5 * m.lean
        self.turn, self.nod = m.head_turn, m.head_nod

    def seen(self, x: float, y: float, z: float, height: Tensor) -> Tensor:
        """Turn a point in the head's own axes (half head widths, y in half heights) to pixels."""
        yy = y * height
        px = x * self.turn.cos() + z * self.turn.sin()
        pz = z * self.turn.cos() - x * self.turn.sin()
        py = yy * self.nod.cos() + pz * self.nod.sin()
        c, s = self.tilt.cos(), self.tilt.sin()
        turned = torch.stack([px * c - py * s, px * s + py * c], 1)
        place: Tensor = self.middle + turned * self.unit[:, None]
        return place

    def surface(self, canvas: Canvas, height: Tensor, swell: Tensor) -> tuple[Tensor, ...]:
        """Pixels to the head's own axes, (n, H, W) each: x, y, z on a swollen ellipsoid.

        Beyond the outline z is that of the outline.
        """
        u, v = canvas.local(self.middle, self.tilt)
        size = (self.unit * (1 + swell))[:, None, None]
        u, v = u / size, v / size
        z = (1 - u * u - (v / height[:, None, None]).square()).clamp_min_(0).sqrt_()
        c, s = self.nod.cos()[:, None, None], self.nod.sin()[:, None, None]
        y, z = v * c - z * s, z * c + v * s
        c, s = self.turn.cos()[:, None, None], self.turn.sin()[:, None, None]
        return u * c - z * s, y, z * c + u * s


def paint_head(canvas: Canvas, sitter: Sitter) -> None:
    """Skull, ears, face and the hair on the head."""
    i, face = sitter.identity, sitter.points.face
    head = _Head(sitter)
    bun = sitter.where((i.hair_style == 2) & (i.hair_length > 0))
    if len(bun.index):
        _bun(canvas, bun)
    with canvas.window(head.middle[:, None], 1.65 * head.unit, sitter.index) as near:
        _ears(near, sitter, head, front=False)
        _skin(near, sitter, head)
    for eye, brow in ((slice(36, 42), slice(17, 22)), (slice(42, 48), slice(22, 27))):
        points = torch.cat([face[:, eye], face[:, brow]], 1)
        with canvas.window(points, 0.25 * head.unit, sitter.index) as near:
            _eye(near, sitter, head, face[:, eye])
            color = (i.hair * 0.6 + i.skin * 0.12).clamp(0, 1)
            near.paint(near.polyline(face[:, brow], 0.045 * head.unit), color, opacity=0.85)
    with canvas.window(face[:, 27:36], 0.3 * head.unit, sitter.index) as near:
        _nose(near, sitter, head)
    with canvas.window(face[:, 48:60], 0.25 * head.unit, sitter.index) as near:
        _mouth(near, sitter, head)
    glasses = sitter.where(i.glasses > 0)
    if len(glasses.index):
        _glasses(canvas, glasses)
    haired = sitter.where(i.hair_length > 0)
    if len(haired.index):
        _hair(canvas, haired)
    cropped = sitter.where(i.hair_length <= 1)
    if len(cropped.index):
        top = _Head(cropped)
        with canvas.window(cropped.points.body[:, 16:18], 0.35 * top.unit, cropped.index) as near:
            _ears(near, cropped, top, front=True)


def _skin(canvas: Canvas, sitter: Sitter, head: _Head) -> None:
    """Skull, jaw and a beard where there is one."""
    i, chin, unit = sitter.identity, sitter.points.face[:, 8], head.unit
    h = i.head_height
    skull = canvas.ellipse(head.middle, unit, unit * h, head.tilt)
    jaw = canvas.ellipse(
        chin * 0.62 + head.middle * 0.38,
        unit * (0.55 + 0.14 * i.jaw),
        unit * 0.50 * h / 1.3,
        head.tilt,
    )
    shape = torch.minimum(skull, jaw)
    x, y, z = head.surface(canvas, h, torch.zeros_like(unit))
    light = canvas.light[:, None, None]
    tone = 1.0 + 0.06 * z - 0.08 * (y - 0.2).clamp_min(0) + (0.13 * light) * x
    canvas.paint(shape, i.skin[:, :, None, None] * tone[:, None], "skin")
    red = i.skin * i.skin.new_tensor([1.05, 0.72, 0.70])
    for side in (-1.0, 1.0):
        cheek = head.seen(0.50 * side, 0.32, 0.75, h)
        glow = canvas.ellipse(cheek, 0.30 * unit, 0.24 * unit, head.tilt)
        canvas.paint(glow, red, opacity=0.30 * i.blush, softness=0.30 * unit)
    squared = x * x  # low below the corners of the mouth, high at the lip and before the ears
    edge = 0.60 + squared * (1.6 - 2.3 * squared)
    beard = torch.maximum(shape, (edge - y) * unit[:, None, None])
    canvas.paint(beard, i.hair * 0.9, "hair", opacity=i.beard, softness=0.14 * unit)


def _ears(canvas: Canvas, sitter: Sitter, head: _Head, front: bool) -> None:
    """Both behind the head; the one that a turned head shows also before it."""
    i = sitter.identity
    for side, sign in ((16, -1.0), (17, 1.0)):
        shown = -0.15 * head.turn.cos() - sign * head.turn.sin()
        opacity = (shown * 8).clamp(0, 1) if front else torch.ones_like(shown)
        ear = sitter.points.body[:, side]
        outer = canvas.ellipse(ear, 0.16 * head.unit, 0.27 * head.unit, head.tilt)
        canvas.paint(outer, i.skin * 0.90, "skin", opacity=opacity)
        inner = canvas.ellipse(ear, 0.08 * head.unit, 0.16 * head.unit, head.tilt)
        canvas.paint(inner, i.skin * 0.68, opacity=opacity * 0.8, softness=0.06 * head.unit)


def _eye(canvas: Canvas, sitter: Sitter, head: _Head, eye: Tensor) -> None:
    i, m, unit, tilt = sitter.identity, sitter.motion, head.unit, head.tilt
    center = eye.mean(1)
    dark = i.skin * 0.5
    socket = canvas.ellipse(center, 0.30 * unit, 0.20 * unit, tilt)
    canvas.paint(socket, i.skin * 0.76, opacity=0.55, softness=0.25 * unit)
    lids = canvas.polygon(eye)
    canvas.paint(lids, torch.full_like(i.skin, 0.94))
    gaze = center + m.gaze * unit.new_tensor([0.08, 0.03]) * unit[:, None]
    for radius, color in ((0.105, i.iris), (0.05, torch.zeros_like(i.iris))):
        disc = canvas.ellipse(gaze, radius * unit, radius * unit, tilt)
        canvas.paint(torch.maximum(disc, lids), color)
    glint = gaze + unit.new_tensor([-0.03, -0.04]) * unit[:, None]
    disc = canvas.ellipse(glint, 0.025 * unit, 0.025 * unit, tilt)
    canvas.paint(torch.maximum(disc, lids), torch.ones_like(i.iris), opacity=0.9)
    canvas.paint(canvas.polyline(eye[:, :4], 0.026 * unit), dark * 0.35, opacity=0.9)
    lower = eye[:, (3, 4, 5, 0)]
    canvas.paint(canvas.polyline(lower, 0.012 * unit), dark, opacity=0.5)
    crease = eye[:, :4] - unit.new_tensor([0.0, 0.085]) * unit[:, None, None]
    canvas.paint(canvas.polyline(crease, 0.012 * unit), dark, opacity=0.5)


def _nose(canvas: Canvas, sitter: Sitter, head: _Head) -> None:
    i, unit, tilt = sitter.identity, head.unit, head.tilt
    face, dark = sitter.points.face, sitter.identity.skin * 0.5
    profile = canvas.polyline(face[:, 28:31], 0.09 * unit)  # it stands out of a turned head
    canvas.paint(profile, i.skin, "skin", opacity=(head.turn.abs() > 0.15).float())
    aside = torch.stack([torch.where(canvas.light > 0, -0.08, 0.08) * unit, 0 * unit], 1)
    ridge = canvas.polyline(face[:, 27:31] + aside[:, None], 0.06 * unit)
    canvas.paint(ridge, i.skin * 0.78, opacity=0.7, softness=0.12 * unit)
    bridge = canvas.polyline(face[:, 27:31] - aside[:, None] * 0.3, 0.035 * unit)
    bright = (i.skin * 1.12).clamp(0, 1)
    canvas.paint(bridge, bright, opacity=0.5, softness=0.06 * unit)
    tip = canvas.ellipse(face[:, 30], 0.13 * unit * i.nose, 0.10 * unit, tilt)
    canvas.paint(tip, bright, opacity=0.8, softness=0.1 * unit)
    base = canvas.polyline(face[:, 31:36], 0.028 * unit)
    canvas.paint(base, dark, opacity=0.6, softness=0.04 * unit)
    for nostril in (32, 34):
        hole = canvas.ellipse(face[:, nostril], 0.045 * unit, 0.03 * unit, tilt)
        canvas.paint(hole, dark * 0.5, opacity=0.8)


def _mouth(canvas: Canvas, sitter: Sitter, head: _Head) -> None:
    i, m, unit = sitter.identity, sitter.motion, head.unit
    face = sitter.points.face
    lips = canvas.polygon(face[:, 48:60])
    line = canvas.polyline(face[:, 60:65], 0.014 * unit)
    canvas.paint(lips, i.skin * unit.new_tensor([0.90, 0.52, 0.54]))
    lower = canvas.ellipse(face[:, 57] * 0.7 + face[:, 66] * 0.3, 0.12 * unit, 0.025 * unit,
                           head.tilt)  # fmt: skip
    canvas.paint(lower, (i.skin * 1.05).clamp(0, 1), opacity=0.35, softness=0.05 * unit)
    inner = canvas.polygon(face[:, 60:68])
    canvas.paint(inner, i.skin.new_tensor([[0.24, 0.05, 0.07]]).expand_as(i.skin))
    teeth = torch.maximum(inner, line - (0.05 * unit)[:, None, None])
    shown = ((m.mouth_open - 0.1) * 8).clamp(0, 1)
    canvas.paint(teeth, torch.full_like(i.skin, 0.92), opacity=shown)
    tongue = canvas.ellipse(face[:, 66], 0.16 * unit, 0.08 * unit, head.tilt)
    pink = i.skin.new_tensor([[0.70, 0.28, 0.30]]).expand_as(i.skin)
    canvas.paint(torch.maximum(tongue, inner), pink, opacity=shown * 0.8)
    canvas.paint(line, i.skin * 0.28, opacity=0.8)
    shade = face[:, 57] * 1.0
    shade = shade + (face[:, 8] - face[:, 57]) * 0.22
    below = canvas.ellipse(shade, 0.2 * unit, 0.04 * unit, head.tilt)
    canvas.paint(below, i.skin * 0.7, opacity=0.4 * (1 - i.beard), softness=0.08 * unit)


def _glasses(canvas: Canvas, sitter: Sitter) -> None:
    i, face = sitter.identity, sitter.points.face
    head = _Head(sitter)
    unit = head.unit
    frame = None
    with canvas.window(face[:, 36:48], 0.4 * unit, sitter.index) as near:
        for eye in (face[:, 36:42], face[:, 42:48]):
            width = (eye[:, 0] - eye[:, 3]).norm(dim=1) * 0.5 + 0.11 * unit
            lens = near.ellipse(eye.mean(1), width, 0.27 * unit, head.tilt)
            ring = lens.abs() - (0.028 * unit)[:, None, None]
            frame = ring if frame is None else torch.minimum(frame, ring)
        assert frame is not None
        inner = torch.stack([face[:, 39], face[:, 42]], 1)
        bridge = near.polyline(inner.lerp(inner.mean(1, keepdim=True), 0.35), 0.025 * unit)
        near.paint(torch.minimum(frame, bridge), i.iris * 0.3)


def _strands(i: Identity, x: Tensor, y: Tensor, z: Tensor, light: Tensor) -> Tensor:
    """(n, 3, H, W) color of hair: strands and a gleam on the lit side of the crown."""
    strand = 1 + 0.10 * torch.sin(x * 11 + z * 7) - 0.12 * y.clamp(-1.3, 1.0)
    gleam = (1 - 5 * (y + 0.85).square()).clamp_min(0) * (0.16 + 0.16 * light * x)
    return (i.hair[:, :, None, None] * strand[:, None] + gleam[:, None] * 0.6).clamp(0, 1)


def _hair(canvas: Canvas, sitter: Sitter) -> None:
    """The cap on the skull: it turns with the head, for it is cut from an ellipsoid."""
    i, head = sitter.identity, _Head(sitter)
    curly = (i.hair_style == 1).float()
    length = i.hair_length.clamp(max=1)
    swell = 0.03 + 0.09 * length + 0.16 * curly * length
    unit, h = head.unit[:, None, None], i.head_height
    with canvas.window(head.middle[:, None], 1.95 * head.unit, sitter.index) as near:
        shell = near.ellipse(
            head.middle, head.unit * (1 + swell), head.unit * h * (1 + swell), head.tilt
        )
        x, y, z = head.surface(near, h, swell)
        curl = curly[:, None, None]
        waves = torch.sin(x * 13) * torch.sin(y * 11 + z * 5)
        shell = shell - (0.05 * curl * waves) * unit
        line = i.hairline[:, None, None] + 0.42 * (x - i.part[:, None, None]).square()
        line = line + 0.05 * curl * waves
        side = (0.04 + 0.30 * length * (0.4 + curly * 0.6))[:, None, None]
        nape = torch.where(i.hair_length > 1, 0.55, 0.15 + 0.25 * length)[:, None, None]
        cut = torch.minimum(y - line, torch.maximum(z - side, y - nape)) * unit
        color = _strands(i, x, y, z, near.light[:, None, None])
        color = color * (1 + 0.10 * curl * waves)[:, None]
        near.paint(torch.maximum(shell, cut), color, "hair", softness=0.02 * head.unit + 0.8)


def _bun(canvas: Canvas, sitter: Sitter) -> None:
    """A knot on the crown."""
    i, head = sitter.identity, _Head(sitter)
    knot = head.seen(0.0, -1.18, -0.25, i.head_height)
    with canvas.window(knot[:, None], 0.5 * head.unit, sitter.index) as near:
        distance = near.ellipse(knot, 0.40 * head.unit, 0.34 * head.unit, head.tilt)
        u, _ = near.local(knot, head.tilt)
        across = (u / (0.4 * head.unit)[:, None, None]).clamp(-1, 1)
        near.paint(distance, i.hair * 0.9, "hair", across)


def paint_long_hair(canvas: Canvas, sitter: Sitter) -> None:
    """What falls behind the neck."""
    i, head = sitter.identity, _Head(sitter)
    length = (0.7 + 1.7 * (i.hair_length - 1).clamp(0, 1)) * head.unit
    start = head.seen(0.0, 0.0, -0.4, i.head_height)
    end = start + torch.stack([0 * length, length], 1)
    with canvas.window(torch.stack([start, end], 1), 1.4 * head.unit, sitter.index) as near:
        distance, along, across = near.limb(start, end, 1.08 * head.unit, 1.0 * head.unit)
        strand = (0.72 + 0.07 * torch.sin(across * 16 + along * 2))[:, None]
        near.paint(distance, i.hair[:, :, None, None] * strand, "hair", across)


def paint_locks(canvas: Canvas, sitter: Sitter) -> None:
    """What falls before the shoulders on both sides of the face."""
    i, head = sitter.identity, _Head(sitter)
    drop = (0.55 + 1.6 * (i.hair_length - 1).clamp(0, 1)) * head.unit
    for side in (-1.0, 1.0):
        start = head.seen(0.92 * side, -0.30, -0.25, i.head_height)
        shown = -0.25 * head.turn.cos() - 0.92 * side * head.turn.sin()  # toward the viewer
        before = (3.7 + 10 * shown).clamp(0, 1)  # a turned head hides the farther one
        swing = side * 0.12 * head.unit
        end = start + torch.stack([swing, drop], 1)
        with canvas.window(torch.stack([start, end], 1), 0.4 * head.unit, sitter.index) as near:
            distance, along, across = near.limb(start, end, 0.24 * head.unit, 0.13 * head.unit)
            strand = (0.96 + 0.10 * torch.sin(across * 6 + along * 3))[:, None]
            opacity = torch.maximum(before[:, None, None], (near.labels != SKIN_LABEL).float())
            near.paint(distance, i.hair[:, :, None, None] * strand, "hair", across * 0.8, opacity)
