"""Drawn people: who they are, what they do, where every joint is.

The data `mini` is trained on. Everything is drawn from numbers: an `Identity` (body, clothes, hair,
face shape, background, camera) and a `DrawnMotion` (angles, expression), from which
`drawn_skeleton.place_points` computes the exact OpenPose points and `figure.paint_person` paints
the picture. All tensors have one row a picture; lengths are in body heights until the camera turns
them into pixels. "Right" is the person's own, which is the picture's left when they face the
camera.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magicpose_cli.arrays import Pictures, Points
from magicpose_cli.pose.keypoints import Pose

if TYPE_CHECKING:
    from typing_extensions import Self

TEST_SEEDS = 1 << 31  # seeds from here on are for testing; training draws from below
_CPU_PIXELS = 1 << 19  # painted at a time on a CPU
_MAX_SEED = 1 << 32  # a CPU generator looks at the lower 32 bits of its seed only


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
    waist: Tensor  # width of the waist, 1 usual
    blush: Tensor  # 0..1
    beard: Tensor  # 0 shaved .. 1
    glasses: Tensor  # 0 or 1
    skin: Tensor
    hair: Tensor
    hair_length: Tensor  # 0 bald, 0..1 short, above 1 falls on the shoulders
    hair_style: Tensor  # integer: 0 smooth, 1 curly, 2 with a knot
    hairline: Tensor
    part: Tensor  # where the hair is parted, -1..1
    iris: Tensor
    top: Tensor  # (N, 2, 3) two colors
    bottom: Tensor
    top_pattern: Tensor
    bottom_pattern: Tensor
    frequency: Tensor
    sleeve: Tensor  # 0 none .. 2 to the wrist
    trousers: Tensor  # 0 shorts .. 2 to the ankle
    skirt: Tensor  # 0 or 1
    hem: Tensor  # of the top, along the torso
    neckline: Tensor  # 0 at the neck .. 1 low
    shoes: Tensor
    sole: Tensor
    shadow: Tensor  # on the wall, 0 none .. 1 black
    light: Tensor  # where it comes from, -1 left .. 1 right
    background: Tensor  # (N, 3, S, S)
    camera: Tensor  # (N, 3) pixels a body height, x and y of the standing person's hips


@dataclass
class DrawnMotion(_Rows):
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
class DrawnPoints(_Rows):
    """Exact points in pixels.

    Attributes:
        body: Joints (N, 18, 2).
        face: Points (N, 68, 2).
        hands: Points (N, 2, 21, 2), the right hand first.
    """

    body: Tensor
    face: Tensor
    hands: Tensor

    def pose(self, index: int, size: int) -> Pose:
        """One row as a Pose; what lies outside of the picture is unseen."""

        def scored(points: Tensor) -> Points:
            seen = ((points >= 0) & (points < size)).all(-1, keepdim=True)
            values: Points = torch.cat([points, seen.to(points.dtype)], -1).cpu().numpy()
            return values

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
    """Drawn pictures of people.

    Attributes:
        images: RGB (N, 3, S, S) in 0..1.
        labels: Index into canvas.LABELS, (N, S, S) uint8.
        points: Where joints, faces and fingers are.
        body_maps: Maps of their bodies behind each other, (N, S, S, 3 * maps) uint8 RGB, where
            they were asked for and there are bodies.
    """

    images: Tensor
    labels: Tensor
    points: DrawnPoints
    body_maps: Pictures | None = None

    def poses(self) -> list[Pose]:
        """Every row as a Pose."""
        return [self.points.pose(i, self.images.shape[-1]) for i in range(len(self.images))]


def draw_people(
    seed: int,
    count: int,
    frames: int,
    size: int,
    device: torch.device | str = "cpu",
    *,
    is_film: bool = False,
) -> People:
    """Draw new people in several motions each.

    Args:
        seed: Fixes everything, 0 <= seed < 2**32.
        count: How many people.
        frames: Pictures of each.
        size: Side of the pictures in pixels.
        device: Where they are painted.
        is_film: Whether each moves smoothly from picture to picture, instead of in several
            motions.

    Returns:
        Picture k of person i is row `i * frames + k`.

    Raises:
        ValueError: The seed repeats the people of another one.
    """
    from magicpose_cli.synthetic.casting import animate_motions, sample_identities, sample_motions

    if not 0 <= seed < _MAX_SEED:
        raise ValueError(f"seed {seed} repeats the people of another one: take 0 <= seed < 2**32")
    generator = torch.Generator().manual_seed(seed)
    identity = sample_identities(count, size, generator, device)
    rows = torch.arange(count, device=device).repeat_interleave(frames)
    if is_film:
        motion = animate_motions(count, frames, generator, device)
    else:
        motion = sample_motions(count * frames, generator, device)
    return render(identity.rows(rows), motion)


def render(identity: Identity, motion: DrawnMotion) -> People:
    """Paint each row with its identity in its motion.

    On a CPU a few rows of similar size at a time: their shapes then have windows of similar size,
    and what is worked on stays in the cache.
    """
    from magicpose_cli.synthetic.canvas import Canvas
    from magicpose_cli.synthetic.drawn_skeleton import place_points
    from magicpose_cli.synthetic.figure import Sitter, paint_person

    points = place_points(identity, motion)
    background = identity.background
    count, _, size, _ = background.shape
    images = torch.empty_like(background)
    labels = torch.empty(count, size, size, dtype=torch.uint8, device=background.device)
    together = count if background.is_cuda else max(4, _CPU_PIXELS // size**2)
    person = replace(identity, background=background[..., :1, :1])  # picked without its room
    order = torch.argsort(identity.camera[:, 0], stable=True)
    for start in range(0, count, together):
        index = order[start : start + together]
        canvas = Canvas.of(background[index], identity.light[index])
        everyone = torch.arange(len(index), device=index.device)
        paint_person(
            canvas, Sitter(person.rows(index), motion.rows(index), points.rows(index), everyone)
        )
        images[index], labels[index] = canvas.image.clamp_(0, 1), canvas.labels
    return People(images, labels, points)
