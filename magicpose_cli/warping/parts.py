"""The parts that a person moves in, and how much every pixel belongs to each (skin weights).

Seeds lie where a part is sure to be: around bones, in the face's outline, in the trunk. From them a
random walker (Grady 2006) goes through the matte, where colors change slowly more readily, so that
a sleeve goes with its arm and hair with its head.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.smoothed_points import SIDES, Points, known

LIMBS = {
    f"{side}_{part}": (f"{side}_{upper}", f"{side}_{lower}")
    for side in SIDES
    for part, upper, lower in (
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
        ("thigh", "hip", "knee"),
        ("shin", "knee", "ankle"),
    )
}
ARMS = {side: [f"{side}_{part}" for part in ("upper_arm", "forearm", "hand")] for side in SIDES}
ARM_PARTS = {part for names in ARMS.values() for part in names}
# Whose motion a part takes in frames that do not show it, the nearest first.
NEIGHBORS = {
    **{f"{side}_hand": (f"{side}_forearm", f"{side}_upper_arm", "trunk") for side in SIDES},
    **{f"{side}_forearm": (f"{side}_upper_arm", "trunk") for side in SIDES},
    **{f"{side}_shin": (f"{side}_thigh", "trunk") for side in SIDES},
}
TRUNK = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
# Thickness of a seed along a limb, in body heights, and from where on of an upper arm: its begin
# lies in the trunk.
THICKNESS = {"upper_arm": 0.035, "forearm": 0.03, "thigh": 0.05, "shin": 0.035}
FIRST, FIRST_OF_ARM, LAST = 0.12, 0.3, 0.9
RIM = 0.025  # body heights around an arm's seed, that may be the arm as well as the trunk
TRUNK_LENGTH = 0.3  # body heights below the shoulders, where no hips are known
TRUNK_SHARE = (0.8, 0.85)  # of the quadrangle between the joints, across and down
HAND_LENGTH = 0.6  # forearms, to the knuckles
BARE, BEYOND = (0.75, 0.98), (1.1, 1.4)  # shares of the forearm that are compared for a hand
SKIN_ALIKE = 40.0  # levels of 255
SKULL = (0.38, 0.25)  # half axes of what is surely head above the brows, in the face's extents
# A bust without a trunk stands still from this many face heights below the chin.
BUST_BELOW = 0.35
COLOR_CONTRAST = 60.0  # how hard it is to walk across a change of color, of squares in 0..1
LEAST = 1e-4  # weight below which a node is not a part's
LEAK = 0.003  # through everything, so that every pixel is reached
PRIORITY = {"rest": 0, "trunk": 1, "head": 3}  # of overlapping seeds the highest; limbs are 2


def parts_of(still: Points) -> list[str]:
    """The parts that the reference's points tell of."""
    parts = [name for name, ends in LIMBS.items() if still.has(*ends)]
    if sum(still.has(joint) for joint in TRUNK) >= 2:
        parts.append("trunk")
    parts += [f"{s}_hand" for s in SIDES if f"{s}_forearm" in parts and still.has_hand(s)]
    if still.has_face:
        parts.append("head")
    if "trunk" not in parts:
        parts.append("rest")
    return parts


def skin_weights(
    parts: list[str],
    still: Points,
    height: float,
    grid: Grid,
    picture: np.ndarray,
    alpha: np.ndarray,
) -> np.ndarray:
    """(parts, h, w) float32 at the grid's nodes, of sum 1.

    height: of the whole body, pixels. picture (RGB, 0..255), alpha: float32 of the padded size.
    """
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import splu

    rows, columns = grid.shape
    colors = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA) / 255
    inside = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    seeds = [_seed(part, still, height, grid) > 0 for part in parts]
    if "trunk" in parts:  # what lies beside an arm's bone may be its rim: let the colors tell
        arms = [seed for part, seed in zip(parts, seeds, strict=True) if part in ARM_PARTS]
        room = np.ones((max(1, round(2 * RIM * height / grid.step)) | 1,) * 2, np.uint8)
        for seed in arms:
            seeds[parts.index("trunk")] &= cv2.dilate(seed.astype(np.uint8), room) == 0
    labels = np.full((rows, columns), -1)
    for index in sorted(range(len(parts)), key=lambda i: PRIORITY.get(parts[i], 2)):
        labels[seeds[index]] = index
    numbers = np.arange(rows * columns).reshape(rows, columns)
    starts, ends, weights = [], [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        change = ((colors[one] - colors[other]) ** 2).sum(-1)
        ease = np.exp(-COLOR_CONTRAST * change) * np.minimum(inside[one], inside[other]) ** 2 + LEAK
        starts += [numbers[one].ravel(), numbers[other].ravel()]
        ends += [numbers[other].ravel(), numbers[one].ravel()]
        weights += [ease.ravel().astype(np.float64)] * 2
    graph = csr_matrix(
        (np.concatenate(weights), (np.concatenate(starts), np.concatenate(ends))),
        shape=(rows * columns,) * 2,
    )
    laplacian = csr_matrix(diags(np.asarray(graph.sum(1)).ravel()) - graph)
    label = labels.ravel()
    free, seeded = np.flatnonzero(label < 0), np.flatnonzero(label >= 0)
    shares = np.zeros((rows * columns, len(parts)))
    shares[seeded, label[seeded]] = 1
    walked = -(laplacian[free][:, seeded] @ shares[seeded])
    shares[free] = splu(laplacian[free][:, free].tocsc()).solve(walked)
    smooth = [cv2.GaussianBlur(s.reshape(rows, columns), (0, 0), 1.0) for s in shares.T]
    found = np.stack(smooth)
    return (found / found.sum(0)).astype(np.float32)


def _seed(part: str, still: Points, height: float, grid: Grid) -> np.ndarray:
    """(h, w) uint8 of the grid, 1 where the part surely is."""
    mask = np.zeros(grid.shape, np.uint8)
    if part in LIMBS:
        start, end = limb_ends(part, still)
        first = FIRST_OF_ARM if part.endswith("upper_arm") else FIRST
        thickness = THICKNESS[part.partition("_")[2]] * height / grid.step
        points = np.array([start + first * (end - start), start + LAST * (end - start)])
        ends = grid.fixed(points).tolist()
        cv2.line(mask, ends[0], ends[1], (1,), max(1, int(thickness)), shift=grid.FRACTION)
    elif part == "trunk":
        below = np.array([0, 0.02 * height])
        _fill(mask, grid, shrunk(trunk_quad(still, height), TRUNK_SHARE) + below)
    elif part.endswith("hand"):
        hand = still.hands[part.partition("_")[0]]
        _fill(mask, grid, hand[known(hand)])
    elif part == "head":
        face = still.outline()
        _fill(mask, grid, face)
        (left, top), (right, bottom) = face.min(0), face.max(0)
        center = grid.fixed(np.array([(left + right) / 2, top]))
        axes = np.rint(np.multiply(SKULL, (right - left, bottom - top)) / grid.step).astype(int)
        middle = tuple((center >> grid.FRACTION).tolist())
        cv2.ellipse(mask, middle, axes.tolist(), 0, 0, 360, (1,), -1)
    else:
        _fill_rest(mask, still, grid)
    return mask


def _fill_rest(mask: np.ndarray, still: Points, grid: Grid) -> None:
    """What stands still of a bust: below the chin, else the lowest rows."""
    from_row = mask.shape[0] - max(2, mask.shape[0] // 50)
    if still.has_face:
        face = still.outline()
        top, chin = face[:, 1].min(), face[:, 1].max()
        below = grid.fixed(np.array([0.0, chin + BUST_BELOW * (chin - top)]))[1]
        from_row = min(from_row, max(0, int(below) >> grid.FRACTION))
    mask[from_row:] = 1


def limb_ends(part: str, still: Points) -> tuple[np.ndarray, np.ndarray]:
    """Where a limb begins and ends; a forearm with a hand that shows but was not read goes on."""
    start, end = (still.joint(name) for name in LIMBS[part])
    side, _, name = part.partition("_")
    if name == "forearm" and side in still.wrists and not still.has_hand(side):
        end = end + HAND_LENGTH * (end - start)
    return start, end


def hand_shows(picture: np.ndarray, still: Points, side: str) -> bool:
    """Whether a picture, (H, W, 3) uint8, goes on in the forearm's colors beyond a wrist: a hand
    that was not read, not one behind a back or in a pocket."""
    if not still.has(f"{side}_elbow", f"{side}_wrist"):
        return False
    elbow, wrist = still.joint(f"{side}_elbow"), still.joint(f"{side}_wrist")
    colors = []
    for first, last in (BARE, BEYOND):
        at = elbow + np.linspace(first, last, 9)[:, None] * (wrist - elbow)
        x, y = np.rint(at).astype(int).T
        inside = (x >= 0) & (x < picture.shape[1]) & (y >= 0) & (y < picture.shape[0])
        if not inside.any():
            return False
        colors.append(np.median(picture[y[inside], x[inside]].astype(float), axis=0))
    return bool(np.abs(colors[0] - colors[1]).max() < SKIN_ALIKE)


def trunk_quad(still: Points, height: float) -> np.ndarray:
    """(4, 2) pixels: right shoulder, left shoulder, left hip, right hip; unknown hips lie below the
    shoulders, unknown shoulders above the hips."""
    down = np.array([0, TRUNK_LENGTH * height])
    joints = {name: still.joint(name) for name in TRUNK}
    for side, other in zip(SIDES, SIDES[::-1], strict=True):
        upper, lower = f"{side}_shoulder", f"{side}_hip"
        if not still.has(upper):
            beside = joints[f"{other}_shoulder"]
            joints[upper] = joints[lower] - down if still.has(lower) else beside
        if not still.has(lower):
            joints[lower] = joints[upper] + down
    quad = np.array([joints[n] for n in (TRUNK[0], TRUNK[1], TRUNK[3], TRUNK[2])])
    return quad[known(quad)]


def shrunk(points: np.ndarray, share: tuple[float, float]) -> np.ndarray:
    """Points drawn to their middle, or away from it, across and down."""
    middle = points.mean(0)
    return middle + (points - middle) * share


def _fill(mask: np.ndarray, grid: Grid, points: np.ndarray) -> None:
    cv2.fillConvexPoly(mask, cv2.convexHull(grid.fixed(points)), (1,), shift=grid.FRACTION)
