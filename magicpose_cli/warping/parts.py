"""The parts of a person that move, and how much every pixel belongs to each (skin weights).

Seeds lie where a part is sure to be: around bones, in the face's outline, in the trunk. From them a
random walker (Grady 2006) goes through the matte, the more readily the less the color changes, so
that a sleeve belongs to its arm and hair to its head.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Picture
from magicpose_cli.pose.keypoints import OTHER_SIDE, Pose
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.warp_points import (
    BODY_SIDES,
    MIN_HEAD_JOINTS,
    WarpPoints,
    is_known,
)

PART_JOINTS = {
    f"{side}_{part}": (f"{side}_{upper}", f"{side}_{lower}")
    for side in BODY_SIDES
    for part, upper, lower in (
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
        ("thigh", "hip", "knee"),
        ("shin", "knee", "ankle"),
    )
}
ARM_PARTS_BY_SIDE = {
    side: [f"{side}_{part}" for part in ("upper_arm", "forearm", "hand")] for side in BODY_SIDES
}
ARM_PARTS = {part for names in ARM_PARTS_BY_SIDE.values() for part in names}
LEG_PARTS = ("thigh", "shin")
PARTS_TO_SEGMENT = ARM_PARTS | {f"{side}_{name}" for side in BODY_SIDES for name in LEG_PARTS}
"""A network tells where one of these ends and another begins."""
FALLBACK_PARTS = {
    **{f"{side}_hand": (f"{side}_forearm", f"{side}_upper_arm", "trunk") for side in BODY_SIDES},
    **{f"{side}_forearm": (f"{side}_upper_arm", "trunk") for side in BODY_SIDES},
    **{f"{side}_shin": (f"{side}_thigh", "trunk") for side in BODY_SIDES},
    **{f"{side}_foot": (f"{side}_thigh", "trunk") for side in BODY_SIDES},
}
"""Whose motion a part takes in frames that do not show it, the nearest first."""
TRUNK_CORNERS = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
SEED_THICKNESS = {"upper_arm": 0.035, "forearm": 0.03, "thigh": 0.05, "shin": 0.035}
"""Of a seed along a limb, in body heights."""
SEED_START, ARM_SEED_START, SEED_END = 0.12, 0.3, 0.9
"""Shares of a limb; an upper arm begins in the trunk, so that its seed starts later."""
ARM_RIM = 0.025  # body heights around an arm's seed, which may be the arm as well as the trunk
TRUNK_LENGTH = 0.3  # body heights from the shoulders to the hips, where one of them is unknown
TRUNK_SEED = (0.8, 0.85)  # of the quadrangle between the joints, across and down
HAND_LENGTH = 0.6  # forearms, to the knuckles
FOREARM_SPAN, HAND_SPAN = (0.75, 0.98), (1.1, 1.4)  # forearms from the elbow, compared for a hand
MAX_SKIN_CHANGE = 40.0  # levels of 255, from the forearm to the hand
SKULL_AXES = (0.38, 0.25)  # half axes of what is surely head above the brows, in the face's extents
HEAD_RADIUS = 0.045  # body heights around the middle of nose, eyes and ears: surely head
BUST_BELOW = 0.35  # face heights below the chin, from where on a bust without a trunk is at rest
COLOR_CONTRAST = 60.0  # how hard it is to walk across a change of color, per square in 0..1
NEAREST_FADE = 0.02  # body heights, over which the nearest bone's share falls to 1 / e
LEG_EDGE = 3.0  # how much steeper than a network's guess the edge between two legs is
THIGH_SPAN, SHIN_SPAN = (0.2, 0.6), (0.6, 0.9)  # of their bones, whose colors are compared
MAX_LEG_CHANGE = 50.0  # levels of 255, from a thigh to its shin, that are no skirt's hem
SURE_LEG = 0.2  # of a network's certainty, from which on it is believed which leg a pixel is
MIN_WEIGHT = 1e-4  # below which a node does not belong to a part
BASE_EASE = 0.003  # of a walk through anything, so that every pixel is reached
SEED_PRIORITY = {"rest": 0, "trunk": 1, "head": 3}  # of overlapping seeds the highest; limbs are 2


def mirrored_part(part: str) -> str:
    """Return the name of the part, limb or hand that this one is in a mirrored picture."""
    side, _, name = part.partition("_")
    return f"{OTHER_SIDE[side]}_{name}" if side in OTHER_SIDE else part


def body_parts(reference: WarpPoints) -> list[str]:
    """List the parts whose place the reference's points show."""
    parts = [name for name, ends in PART_JOINTS.items() if reference.has(*ends)]
    if shows_trunk(reference):
        parts.append("trunk")
    parts += [f"{s}_hand" for s in BODY_SIDES if f"{s}_forearm" in parts and reference.has_hand(s)]
    if reference.has_face or len(reference.head_joints()) >= MIN_HEAD_JOINTS:
        parts.append("head")
    if "trunk" not in parts:
        parts.append("rest")
    return parts


def shows_forearms(pose: Pose) -> bool:
    """Tell whether a reference shows, or lets guess, both forearms: else a network draws them."""
    reference = WarpPoints.of(pose, guessed=True)
    return all(reference.has(f"{side}_elbow", f"{side}_wrist") for side in BODY_SIDES)


def skin_weights(
    parts: list[str],
    reference: WarpPoints,
    height: float,
    grid: Grid,
    picture: Floats,
    alpha: Floats,
) -> Floats:
    """Find how much each node of the grid belongs to each part.

    Source: Grady 2006, "Random Walks for Image Segmentation".

    Args:
        parts: As of `body_parts`.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
        picture: (H, W, 3) float32 RGB in 0..255, of the padded size.
        alpha: (H, W) float32, 0 to 1, of the padded size.

    Returns:
        (parts, rows, columns) float32 of sum 1.
    """
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import splu

    rows, columns = grid.shape
    colors = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA) / 255
    inside = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    numbers = np.arange(rows * columns).reshape(rows, columns)
    starts, ends, weights = [], [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        change = ((colors[one] - colors[other]) ** 2).sum(-1)
        ease = (
            np.exp(-COLOR_CONTRAST * change) * np.minimum(inside[one], inside[other]) ** 2
            + BASE_EASE
        )
        starts += [numbers[one].ravel(), numbers[other].ravel()]
        ends += [numbers[other].ravel(), numbers[one].ravel()]
        weights += [ease.ravel().astype(np.float64)] * 2
    graph = csr_matrix(
        (np.concatenate(weights), (np.concatenate(starts), np.concatenate(ends))),
        shape=(rows * columns,) * 2,
    )
    laplacian = csr_matrix(diags(np.asarray(graph.sum(1)).ravel()) - graph)
    label = _labels(parts, reference, height, grid).ravel()
    free, seeded = np.flatnonzero(label < 0), np.flatnonzero(label >= 0)
    shares = np.zeros((rows * columns, len(parts)))
    shares[seeded, label[seeded]] = 1
    walked = -(laplacian[free][:, seeded] @ shares[seeded])
    shares[free] = splu(laplacian[free][:, free].tocsc()).solve(walked)
    smooth = [cv2.GaussianBlur(s.reshape(rows, columns), (0, 0), 1.0) for s in shares.T]
    found = np.stack(smooth)
    return np.asarray(found / found.sum(0), np.float32)


def _labels(parts: list[str], reference: WarpPoints, height: float, grid: Grid) -> Integers:
    """Return the index of the part whose seed holds each node, (rows, columns), else -1."""
    seeds = [_seed(part, reference, height, grid) > 0 for part in parts]
    if "trunk" in parts:  # what lies beside an arm's bone may be its rim: let the colors tell
        arms = [seed for part, seed in zip(parts, seeds, strict=True) if part in ARM_PARTS]
        room = np.ones((max(1, round(2 * ARM_RIM * height / grid.step)) | 1,) * 2, np.uint8)
        for seed in arms:
            seeds[parts.index("trunk")] &= cv2.dilate(seed.astype(np.uint8), room) == 0
    labels = np.full(grid.shape, -1)
    for index in sorted(range(len(parts)), key=lambda i: SEED_PRIORITY.get(parts[i], 2)):
        labels[seeds[index]] = index
    return labels


def _seed(part: str, reference: WarpPoints, height: float, grid: Grid) -> Integers:
    """Return 1 where the part surely is, (rows, columns) uint8 of the grid."""
    mask = np.zeros(grid.shape, np.uint8)
    if part in PART_JOINTS:
        start, end = limb_segment(part, reference)
        first = ARM_SEED_START if part.endswith("upper_arm") else SEED_START
        thickness = SEED_THICKNESS[part.partition("_")[2]] * height / grid.step
        points = np.array([start + first * (end - start), start + SEED_END * (end - start)])
        ends = grid.fixed(points).tolist()
        cv2.line(mask, ends[0], ends[1], (1,), max(1, int(thickness)), shift=grid.FRACTION)
    elif part == "trunk":
        below = np.array([0, 0.02 * height])
        _fill(mask, grid, scaled_about_mean(trunk_outline(reference, height), TRUNK_SEED) + below)
    elif part.endswith("hand"):
        hand = reference.hands[part.partition("_")[0]]
        _fill(mask, grid, hand[is_known(hand)])
    elif part == "head":
        _fill_head(mask, reference, height, grid)
    else:
        _fill_rest(mask, reference, grid)
    return mask


def _fill_head(mask: Integers, reference: WarpPoints, height: float, grid: Grid) -> None:
    """Set what is surely head to 1: face and skull, or the middle of nose, eyes and ears."""
    if not reference.has_face:
        joints = np.array([reference.joint(name) for name in reference.head_joints()])
        x, y = (grid.fixed(joints.mean(0)) >> grid.FRACTION).tolist()
        cv2.circle(mask, (x, y), max(1, round(HEAD_RADIUS * height / grid.step)), (1,), -1)
        return
    face = reference.outline()
    _fill(mask, grid, face)
    (left, top), (right, bottom) = face.min(0), face.max(0)
    x, y = (grid.fixed(np.array([(left + right) / 2, top])) >> grid.FRACTION).tolist()
    axes = np.rint(np.multiply(SKULL_AXES, (right - left, bottom - top)) / grid.step).astype(int)
    cv2.ellipse(mask, (x, y), axes.tolist(), 0, 0, 360, (1,), -1)


def _fill_rest(mask: Integers, reference: WarpPoints, grid: Grid) -> None:
    """Set what is at rest of a bust to 1: what lies below the chin, else the lowest rows."""
    from_row = mask.shape[0] - max(2, mask.shape[0] // 50)
    if reference.has_face:
        face = reference.outline()
        top, chin = face[:, 1].min(), face[:, 1].max()
        below = grid.fixed(np.array([0.0, chin + BUST_BELOW * (chin - top)]))[1]
        from_row = min(from_row, max(0, int(below) >> grid.FRACTION))
    mask[from_row:] = 1


def limb_segment(part: str, reference: WarpPoints) -> tuple[Floats, Floats]:
    """Return where a limb begins and ends, (2,) pixels each.

    A forearm ends at the knuckles of a hand that shows although no detector has read its points.
    """
    start, end = (reference.joint(name) for name in PART_JOINTS[part])
    side, _, name = part.partition("_")
    if name == "forearm" and side in reference.wrists and not reference.has_hand(side):
        end = end + HAND_LENGTH * (end - start)
    return start, end


def with_legs_apart(
    parts: list[str],
    weights: Floats,
    right: Floats,
    legs: Floats,
    grid: Grid,
    *,
    sharp: bool = False,
) -> Floats:
    """Share what is of any leg among the two.

    Args:
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        right: (H, W) of the picture, how much of a leg's pixel is of the right one.
        legs: (H, W), how surely a pixel is a leg's; of others `right` says nothing.
        grid: Of the reference.
        sharp: Whether `right` is made steeper, for legs that the picture shows apart.

    Returns:
        Weights of the same shape and sum.
    """
    if sharp:
        right = np.clip(LEG_EDGE * (right - 0.5) + 0.5, 0, 1)
    at_nodes, sure = (
        cv2.resize(grid.widened(share), grid.shape[::-1], interpolation=cv2.INTER_AREA)
        for share in (right, np.clip(legs / SURE_LEG, 0, 1))
    )
    shared = weights.copy()
    for name in LEG_PARTS:
        own = [parts.index(f"{side}_{name}") for side in BODY_SIDES if f"{side}_{name}" in parts]
        if len(own) == len(BODY_SIDES):
            both = weights[own].sum(0)
            walked = weights[own[0]] / np.maximum(both, 1e-9)
            of_right = walked + sure * (at_nodes - walked)
            shared[own] = both * of_right, both * (1 - of_right)
    return shared


def erase_hull(away: AnyArray, points: Integers, fraction: int) -> None:
    """Set a picture, (h, w) uint8, to 0 on the line between two points or on the hull of more.

    Args:
        away: Changed in place.
        points: (n, 2) in fixed point.
        fraction: Bits behind their point.
    """
    if len(points) == 2:
        cv2.line(away, points[0].tolist(), points[1].tolist(), (0,), 1, shift=fraction)
    else:
        cv2.fillConvexPoly(away, cv2.convexHull(points), (0,), shift=fraction)


def nearest_shares(parts: list[str], reference: WarpPoints, height: float, grid: Grid) -> Floats:
    """Share each node among limbs and hands by how near their bones are.

    Args:
        parts: Limbs and hands alone.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.

    Returns:
        (parts, rows, columns) float32 of sum 1.
    """
    distances = []
    for part in parts:
        away = np.ones(grid.shape, np.uint8)
        if part in PART_JOINTS:
            shape = np.array(limb_segment(part, reference))
        else:
            hand = reference.hands[part.partition("_")[0]]
            shape = hand[is_known(hand)]
        erase_hull(away, grid.fixed(shape), grid.FRACTION)
        distances.append(cv2.distanceTransform(away, cv2.DIST_L2, 5))
    apart = np.stack(distances) * grid.step / (NEAREST_FADE * height)
    near = np.exp(apart.min(0) - apart)
    return np.asarray(near / near.sum(0), np.float32)


def hand_shows(picture: Picture, reference: WarpPoints, side: str) -> bool:
    """Tell whether a picture, (H, W, 3) uint8 RGB, has the forearm's colors beyond a wrist too.

    Then a hand shows there although its points were not read; behind a back or in a pocket it
    does not.
    """
    arm, hand = (forearm_color(picture, reference, side, s) for s in (FOREARM_SPAN, HAND_SPAN))
    if arm is None or hand is None:
        return False
    return bool(np.abs(arm - hand).max() < MAX_SKIN_CHANGE)


def forearm_color(
    picture: Picture,
    reference: WarpPoints,
    side: str,
    span: tuple[float, float] = FOREARM_SPAN,
) -> Floats | None:
    """Return the median RGB along a forearm's line, (3,); None where the picture does not show it.

    Args:
        picture: (H, W, 3) uint8 RGB.
        reference: The person's points.
        side: Of the person.
        span: In forearms from the elbow.
    """
    return _bone_color(picture, reference, f"{side}_forearm", span)


def shows_both_legs(picture: Picture, reference: WarpPoints) -> bool:
    """Tell whether a picture's legs are bare or in trousers: a skirt has other colors than a shin.

    Args:
        picture: (H, W, 3) uint8 RGB.
        reference: The person's points.
    """
    for side in BODY_SIDES:
        thigh = _bone_color(picture, reference, f"{side}_thigh", THIGH_SPAN)
        shin = _bone_color(picture, reference, f"{side}_shin", SHIN_SPAN)
        if thigh is None or shin is None or np.abs(thigh - shin).max() > MAX_LEG_CHANGE:
            return False
    return True


def _bone_color(
    picture: Picture, reference: WarpPoints, part: str, span: tuple[float, float]
) -> Floats | None:
    """Return the median RGB along a part of a limb's bone, (3,); None where it is not shown."""
    if not reference.has(*PART_JOINTS[part]):
        return None
    start, end = (reference.joint(name) for name in PART_JOINTS[part])
    at = start + np.linspace(*span, 9)[:, None] * (end - start)
    x, y = np.rint(at).astype(int).T
    inside = (x >= 0) & (x < picture.shape[1]) & (y >= 0) & (y < picture.shape[0])
    if not inside.any():
        return None
    median: Floats = np.median(picture[y[inside], x[inside]].astype(float), axis=0)
    return median


def shows_trunk(reference: WarpPoints) -> bool:
    """Tell whether enough of the trunk's corners are known to tell where it is."""
    return sum(reference.has(joint) for joint in TRUNK_CORNERS) >= 2


def trunk_outline(reference: WarpPoints, height: float) -> Floats:
    """Return right shoulder, left shoulder, left hip, right hip, (4, 2) pixels.

    Unknown hips are taken to lie TRUNK_LENGTH below the shoulders, unknown shoulders as far above
    the hips.
    """
    down = np.array([0, TRUNK_LENGTH * height])
    joints = {name: reference.joint(name) for name in TRUNK_CORNERS}
    for side, other in OTHER_SIDE.items():
        upper, lower = f"{side}_shoulder", f"{side}_hip"
        if not reference.has(upper):
            beside = joints[f"{other}_shoulder"]
            joints[upper] = joints[lower] - down if reference.has(lower) else beside
        if not reference.has(lower):
            joints[lower] = joints[upper] + down
    first, second, third, fourth = TRUNK_CORNERS
    quad: Floats = np.array([joints[name] for name in (first, second, fourth, third)])
    known: Floats = quad[is_known(quad)]
    return known


def scaled_about_mean(points: Floats, share: tuple[float, float]) -> Floats:
    """Scale points (n, 2) about their mean, across and down."""
    mean = points.mean(0)
    scaled: Floats = mean + (points - mean) * share
    return scaled


def _fill(mask: Integers, grid: Grid, points: Floats) -> None:
    cv2.fillConvexPoly(mask, cv2.convexHull(grid.fixed(points)), (1,), shift=grid.FRACTION)
