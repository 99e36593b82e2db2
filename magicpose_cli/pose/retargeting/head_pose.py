"""How a head is turned: a known shape in space laid onto points in a picture.

The camera is taken for a distant one (weak perspective): a point X of the shape is seen at
`scale * rotation @ X + shift`, of which the picture shows x and y. Points are (frames, 73, 3), NaN
where unseen; z is NaN where the detector knows no depth. Axes and unit of the shape as in
head_shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats, Mask

TOGETHER = 512  # frames fitted at once: 40 kB each
MIN_POINTS = 3  # two would leave the turn to the prior alone
OUT_OF_PLANE = 0.7  # radians; how far heads turn and nod as a rule, for where few points are seen
FIT_STEPS = 8  # Gauss-Newton steps; three do for clear faces
REWEIGH_EVERY = 3
TOLERATED = 3.0  # standard deviations from which on a point is taken for a mistake
_UNKNOWN = 1e6  # variance of what was not measured


@dataclass(frozen=True)
class HeadPoses:
    """One row a frame; NaN where there is no head: rotation (T, 3, 3), scale (T,), shift (T, 3)."""

    rotation: Floats
    scale: Floats
    shift: Floats

    def project(self, shape: Floats) -> Floats:
        """Where a shape (73, 3) or (T, 73, 3) is seen: (T, 73, 3)."""
        turned = shape @ np.swapaxes(self.rotation, 1, 2)
        seen: Floats = self.scale[:, None, None] * turned + self.shift[:, None]
        return seen

    def unproject(self, seen: Floats) -> Floats:
        """(T, 73, 3) of the picture in the face's own axes."""
        in_own_axes: Floats = (
            (seen - self.shift[:, None]) / self.scale[:, None, None]
        ) @ self.rotation
        return in_own_axes

    def after(self, first: HeadPoses) -> HeadPoses:
        """The poses that do first `first` (one row), then these."""
        return HeadPoses(
            self.rotation @ first.rotation[0],
            self.scale * first.scale[0],
            self.scale[:, None] * (self.rotation @ first.shift[0]) + self.shift,
        )

    def row(self, index: int) -> HeadPoses:
        """One frame, as poses of one row."""
        rows = slice(index, index + 1)
        return HeadPoses(self.rotation[rows], self.scale[rows], self.shift[rows])


def fit_heads(points: Floats, shape: Floats, spread: Floats) -> HeadPoses:
    """The pose of the head in each frame, the most likely one.

    shape: (73, 3), or (T, 73, 3) where it changes with the expression. spread: (73, 3), how far the
    points may be from it, as standard deviations along the face's own axes; points further away
    weigh little.
    """
    shape = np.broadcast_to(shape, points.shape)
    seen = np.isfinite(points[..., :2]).all(axis=2)
    center, size = _extent(points, seen)
    usable = (seen.sum(axis=1) >= MIN_POINTS) & (size > 0) & np.isfinite(size)
    rotation = np.full((len(points), 3, 3), np.nan)
    scale, shift = np.full(len(points), np.nan), np.full((len(points), 3), np.nan)
    if usable.any():
        flat = np.where(usable, size, 1.0)[usable, None, None]
        unit = (points[usable] - center[usable, None]) / flat
        blocks = [slice(at, at + TOGETHER) for at in range(0, len(unit), TOGETHER)]
        fits = [_refine(unit[b], seen[usable][b], shape[usable][b], spread) for b in blocks]
        rotation[usable], s, c = (np.concatenate(part) for part in zip(*fits, strict=True))
        scale[usable] = s * size[usable]
        shift[usable] = c * size[usable, None] + center[usable]
    return HeadPoses(rotation, scale, shift)


def rotation_vectors(rotation: Floats) -> Floats:
    """(T, 3, 3) rotations as axis times angle (T, 3), in radians up to pi; NaN stays NaN."""
    vectors = np.full((len(rotation), 3), np.nan)
    known = np.isfinite(rotation).all(axis=(1, 2))
    if known.any():
        vectors[known] = Rotation.from_matrix(rotation[known]).as_rotvec()
    return vectors


def rotations(vectors: Floats) -> Floats:
    """Axis times angle (T, 3) as rotations (T, 3, 3)."""
    return np.asarray(Rotation.from_rotvec(vectors).as_matrix())


def _cross(vectors: Floats) -> Floats:
    """(..., 3) -> (..., 3, 3), the matrices of the cross product with them."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _extent(points: Floats, seen: Mask) -> tuple[Floats, Floats]:
    """Middle (T, 3) and size (T,) of the seen points; the depth's middle is its own."""
    known = np.isfinite(points) & seen[..., None]
    count = np.maximum(known.sum(axis=1), 1)
    center = np.where(known, points, 0.0).sum(axis=1) / count
    around = np.where(seen[..., None], points - center[:, None], 0.0)[..., :2]
    return center, np.sqrt(np.square(around).sum(axis=(1, 2)) / np.maximum(seen.sum(axis=1), 1))


def _refine(
    points: Floats, seen: Mask, shape: Floats, spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """Rotation, scale, shift by Gauss-Newton from a closed form; points of size 1 about 0."""
    deep = seen & np.isfinite(points[..., 2])
    given = np.where(np.stack([seen, seen, deep], axis=-1), points, 0.0)
    rotation, scale, shift = _start(given, seen, shape, spread)
    weight = np.zeros(0)
    for step in range(FIT_STEPS):
        turned = shape @ np.swapaxes(rotation, 1, 2)
        wrong = (given - shift[:, None]) / scale[:, None, None] - turned
        if step % REWEIGH_EVERY == 0:
            weight = _weights(wrong, rotation, spread, seen, deep)
        turn, grow, move = _step(turned, wrong, weight, rotation)
        rotation = rotations(turn) @ rotation
        shift = shift + scale[:, None] * move
        scale = scale * np.exp(grow)
    return rotation, scale, shift


def _start(
    given: Floats, seen: Mask, shape: Floats, spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """The best affine map, made a rotation: finds profiles too, which small steps would not.

    Where few points are seen it stays near the best turn in the plane of the picture.
    """
    weight = seen / np.square(spread).sum(axis=1)
    weight = (weight / weight.sum(axis=1, keepdims=True))[..., None]
    middle, origin = (weight * shape).sum(axis=1), (weight * given).sum(axis=1)
    model, picture = shape - middle[:, None], (given - origin[:, None])[..., :2]
    a, b = model[..., 0] + 1j * model[..., 1], picture[..., 0] + 1j * picture[..., 1]
    plane = (weight[..., 0] * a.conj() * b).sum(1) / (weight[..., 0] * np.abs(a) ** 2).sum(1)
    flat = np.zeros((len(given), 2, 3))
    flat[:, 0, 0] = flat[:, 1, 1] = plane.real
    flat[:, 1, 0], flat[:, 0, 1] = plane.imag, -plane.imag
    weighted = np.swapaxes(weight * model, 1, 2)
    rigidity = 0.003 * np.eye(3)
    missing = picture - model @ np.swapaxes(flat, 1, 2)
    affine = flat + np.swapaxes(
        np.linalg.solve(weighted @ model + rigidity, weighted @ missing), 1, 2
    )
    u, lengths, v = np.linalg.svd(affine, full_matrices=False)
    rows = u @ v
    rotation = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    scale = np.maximum(lengths.mean(axis=1), 1e-6)
    return rotation, scale, origin - scale[:, None] * (rotation @ middle[..., None])[..., 0]


def _weights(wrong: Floats, rotation: Floats, spread: Floats, seen: Mask, deep: Mask) -> Floats:
    """(T, 73, 3, 3) inverse covariances, small for what is far off."""
    axes = rotation[:, None] * np.square(spread)[None, :, None]
    covariance = axes @ np.swapaxes(rotation, 1, 2)[:, None]
    covariance[..., 2, 2] += np.where(deep, 0.0, _UNKNOWN)
    weight = np.linalg.inv(covariance)
    distance = np.einsum("tni,tnij,tnj->tn", wrong, weight, wrong) / TOLERATED**2
    robust: Floats = weight * (seen / (1 + distance))[..., None, None]
    return robust


def _step(
    turned: Floats, wrong: Floats, weight: Floats, rotation: Floats
) -> tuple[Floats, Floats, Floats]:
    """One Gauss-Newton step: a turn (T, 3), the logarithm of a growth (T,), a shift (T, 3)."""
    frames, count, _ = turned.shape
    unit = np.broadcast_to(np.eye(3), (frames, count, 3, 3))
    slope = np.concatenate([-_cross(turned), turned[..., None], unit], axis=-1)
    weighted = np.swapaxes(slope, -1, -2) @ weight  # (T, n, 7, 3)
    left = np.einsum("tnai,tnib->tab", weighted, slope, optimize=True)
    right = np.einsum("tnai,tni->ta", weighted, wrong, optimize=True)
    # The line of sight of a face, (0, 0, 1) when it looks into the camera, rarely turns far away.
    sight = rotation[..., 2]
    lean = -_cross(sight)[:, :2]
    left[:, :3, :3] += np.swapaxes(lean, 1, 2) @ lean / OUT_OF_PLANE**2
    right[:, :3] -= (np.swapaxes(lean, 1, 2) @ sight[:, :2, None])[..., 0] / OUT_OF_PLANE**2
    left += 1e-6 * np.eye(7)  # the depth's shift where no depth is known
    step = np.linalg.solve(left, right[..., None])[..., 0]
    length = np.maximum(np.linalg.norm(step[:, :4], axis=1, keepdims=True) / 0.5, 1.0)
    step = step / length  # half a radian at once is enough
    return step[:, :3], step[:, 3], step[:, 4:]
