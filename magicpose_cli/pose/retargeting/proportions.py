"""How long a person's bones are, told from how long they look in the pictures.

A bone that points at the camera looks short, and everything looks large that is near. So a bone's
true length is near the greatest that it shows in a clip, measured in sizes of the person in that
frame; and where the driver stands as the reference does, the two are compared directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import POINT_INDEX, foreshortenings, named_points

PointPair = tuple[str, str]


@dataclass(frozen=True)
class LimbGroup:
    """A part of the body whose size is one number.

    pairs: the lines whose lengths tell it. weight: in telling how large the whole person is, high
    for what changes little as they move. low, high: the smallest and the largest ratio that is
    believed, as shares of the whole person's ratio.
    """

    pairs: tuple[PointPair, ...]
    weight: float
    low: float
    high: float


def _both(a: str, b: str) -> tuple[PointPair, ...]:
    return tuple((f"{side}_{a}", f"{side}_{b}") for side in ("right", "left"))


LIMB_GROUPS = {
    "torso": LimbGroup((("neck", "mid_hip"),), 4.0, 0.75, 1.35),
    "shoulders": LimbGroup((("right_shoulder", "left_shoulder"),), 2.0, 0.65, 1.5),
    "hips": LimbGroup((("right_hip", "left_hip"),), 1.0, 0.6, 1.7),
    "upper_arm": LimbGroup(_both("shoulder", "elbow"), 1.0, 0.8, 1.25),
    "forearm": LimbGroup(_both("elbow", "wrist"), 1.0, 0.8, 1.25),
    "thigh": LimbGroup(_both("hip", "knee"), 2.0, 0.8, 1.25),
    "shin": LimbGroup(_both("knee", "ankle"), 2.0, 0.8, 1.25),
    "neck": LimbGroup((("neck", "nose"),), 1.5, 0.7, 1.4),
    "head": LimbGroup(
        (
            ("right_eye", "left_eye"), ("right_ear", "left_ear"),
            ("face_27", "face_8"),   # between the eyes to the chin
            ("face_0", "face_16"),   # ear to ear along the jaw's ends
            ("face_36", "face_45"),  # outer corners of the eyes
        ),
        1.5, 0.6, 1.7,
    ),
    "hand": LimbGroup(
        tuple((f"{s}_hand_0", f"{s}_hand_{n}") for s in ("right", "left") for n in (5, 17)),
        0.0, 0.8, 1.25,
    ),
}  # fmt: skip
PAIRS = tuple(pair for group in LIMB_GROUPS.values() for pair in group.pairs)
_PAIR_WEIGHTS = np.array([m.weight / len(m.pairs) for m in LIMB_GROUPS.values() for _ in m.pairs])
LENGTH_PERCENTILE = 90.0  # not the greatest length, which may be a mistake of the detector
SIZE_QUANTILE = 0.75  # of a frame's bones: more than half of them may be foreshortened
MIN_FORESHORTENING = 0.3  # what points at the camera more than this tells no length
AGREEMENT = 0.9  # left over right from here on: the two sides look alike, neither is foreshortened
WIDE_LOW, WIDE_HIGH = 0.5, 2.0  # believed where both sides agree: a cartoon's arms may be short
NEAR_ANCHOR = 7  # frames on either side, for the person's size at the anchor
MIN_WEIGHT_SHARE = 0.05  # of the most telling measure's weight: less is not listened to
SAME_POSE_RAD = 0.12  # mean difference of the bones' directions in radians: the two stand alike
SAME_BONE = 0.15  # and for one bone


@dataclass(frozen=True)
class Ratios:
    """Reference over driver: of the whole person, and of each of LIMB_GROUPS that both show."""

    body_scale: float
    of: dict[str, float]

    def __getitem__(self, name: str) -> float:
        """What is not known is as large as the whole."""
        return self.of.get(name, self.body_scale)


def compare_proportions(target: Pose, poses: Sequence[Pose], anchor: int) -> Ratios | None:
    """How much larger the reference's bones are than the driver's at frame `anchor`.

    None where they show no limb group in common.
    """
    reference = _line_lengths(named_points([target]))[0]
    apparent = _line_lengths(named_points(poses))
    straight = reference / _known(foreshortenings([target], PAIRS))[0]
    true = true_lengths(apparent, foreshortenings(poses, PAIRS), anchor)
    raw = {name: _ratio(name, straight, true) for name in LIMB_GROUPS}
    alike = alike_lines(target, poses[anchor])
    direct = {name: _direct(name, reference, apparent[anchor], alike) for name in LIMB_GROUPS}
    known = {name: direct[name] or raw[name] for name in LIMB_GROUPS if direct[name] or raw[name]}
    if not known:
        return None
    often = np.isfinite(apparent).mean(axis=0)  # of the frames
    weights = {name: LIMB_GROUPS[name].weight * often[_columns(name)].max() for name in known}
    # What few frames show is a guess of the detector at what lies outside of the picture.
    known = {
        n: v for n, v in known.items() if weights[n] >= MIN_WEIGHT_SHARE * max(weights.values())
    }
    whole = _weighted_median(
        np.array(list(known.values())), np.array([weights[name] + 1e-9 for name in known])
    )
    ratios = {}
    for name in known:
        group, value, told = LIMB_GROUPS[name], direct[name], raw[name]
        if value is None or not group.low <= value / whole <= group.high:
            value = None if told is None else _believed(name, told, whole, straight)
        if value:
            ratios[name] = value
    return Ratios(whole, ratios)


def true_lengths(apparent: Floats, shares: Floats, anchor: int) -> Floats:
    """(pairs,) pixels at the distance from the camera that the driver has at `anchor`.

    apparent: (frames, pairs) pixels, NaN where unseen. shares: how much of its length each line
    shows, from points in space; NaN where those are not known.
    """
    lengths = np.where(apparent > 0, apparent / _known(shares), np.nan)
    in_space = bool(np.isfinite(shares).any())
    percentile = 50.0 if in_space else LENGTH_PERCENTILE
    size, longest = _settled(lengths, percentile, 0.5 if in_space else SIZE_QUANTILE)
    near = size[max(anchor - NEAR_ANCHOR, 0) : anchor + NEAR_ANCHOR + 1]
    return longest * float(np.median(near))


def sizes_of(points: Floats) -> Floats:
    """(frames,) how large the person of (frames, points, 2) looks in each frame.

    The sizes are known up to a factor that all frames have in common.
    """
    apparent = _line_lengths(points)
    lengths = np.where(apparent > 0, apparent, np.nan)
    return _settled(lengths, LENGTH_PERCENTILE, SIZE_QUANTILE)[0]


def _settled(lengths: Floats, percentile: float, quantile: float) -> tuple[Floats, Floats]:
    """The sizes (frames,) and the lines' lengths (pairs,) at size 1, which tell each other."""
    size = np.ones(len(lengths))
    longest = _percentile(lengths, percentile)
    for _ in range(3):  # settled after two rounds
        size = _sizes(lengths, longest, quantile)
        longest = _percentile(lengths / size[:, None], percentile)
    return size, longest


def _sizes(lengths: Floats, longest: Floats, quantile: float) -> Floats:
    """(frames,): how large the person is in each, 1 where as large as `longest` says."""
    shares = lengths / longest
    order = np.argsort(shares, axis=1)  # NaN at the end
    sorted_shares = np.take_along_axis(shares, order, axis=1)
    weights = np.where(np.isfinite(sorted_shares), _PAIR_WEIGHTS[order], 0.0)
    reached = np.cumsum(weights, axis=1)
    total = reached[:, -1:]
    column = (reached < quantile * total).sum(axis=1).clip(max=lengths.shape[1] - 1)
    size = sorted_shares[np.arange(len(lengths)), column]
    seen = (total[:, 0] > 0) & np.isfinite(size) & (size > 0)
    if not seen.any():
        return np.ones(len(lengths))
    frames = np.arange(len(lengths))
    return np.interp(frames, frames[seen], size[seen])


def _line_lengths(points: Floats) -> Floats:
    """(frames, points, 2) -> (frames, PAIRS) pixels; NaN where one end is unseen."""
    starts, ends = ([POINT_INDEX[pair[k]] for pair in PAIRS] for k in (0, 1))
    lengths: Floats = np.linalg.norm(points[:, starts] - points[:, ends], axis=2)
    return lengths


def _known(shares: Floats) -> Floats:
    """Foreshortenings to divide by: 1 where nothing is known."""
    return np.where(np.isfinite(shares), shares.clip(MIN_FORESHORTENING, 1.0), 1.0)


def _columns(name: str) -> list[int]:
    return [PAIRS.index(pair) for pair in LIMB_GROUPS[name].pairs]


def _ratio(name: str, reference: Floats, driver: Floats) -> float | None:
    """Reference over driver of one group, from the lines that both show."""
    columns = _columns(name)
    wanted, has = reference[columns], driver[columns]
    if name in ("head", "hand"):  # several lines across one thing
        ratios = wanted / has
        ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
        return float(np.median(ratios)) if len(ratios) else None
    wanted, has = wanted[wanted > 0], has[has > 0]  # NaN compares false
    if not len(wanted) or not len(has):
        return None
    return _of_two_sides(wanted) / _of_two_sides(has)


def _of_two_sides(lengths: Floats) -> float:
    """The mean of two sides that agree; else the longer one, for the other is foreshortened."""
    agree = lengths.min() >= AGREEMENT * lengths.max()
    return float(lengths.mean() if agree else lengths.max())


def _believed(name: str, ratio: float, whole: float, reference: Floats) -> float:
    """The ratio within what bodies can be.

    A reference may show an arm that points at the camera, and nobody's arms are half as long as
    they should be.
    """
    group = LIMB_GROUPS[name]
    low, high = group.low, group.high
    sides = reference[_columns(name)]
    if len(sides) == 2 and sides.min() >= AGREEMENT * sides.max():  # false for NaN
        low, high = WIDE_LOW, WIDE_HIGH
    return float(np.clip(ratio, low * whole, high * whole))


def alike_lines(target: Pose, pose: Pose) -> Mask:
    """(PAIRS,) the lines that lie the same way in both.

    All are False where the two do not stand alike as a whole.
    """
    points = named_points([target, pose])
    starts, ends = ([POINT_INDEX[pair[k]] for pair in PAIRS] for k in (0, 1))
    one, other = points[:, ends] - points[:, starts]
    turned = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    angle = np.abs(np.arctan2(turned, (one * other).sum(axis=1)))
    seen = np.isfinite(angle)
    if (
        not seen.any()
        or np.average(angle[seen], weights=_PAIR_WEIGHTS[seen] + 1e-3) > SAME_POSE_RAD
    ):
        return np.zeros(len(PAIRS), dtype=bool)
    alike: Mask = angle < SAME_BONE  # NaN compares false
    return alike


def _direct(name: str, reference: Floats, driver: Floats, alike: Mask) -> float | None:
    """Reference over driver from the one frame in which both stand alike; None where they do not.

    There both are foreshortened alike.
    """
    columns = [k for k in _columns(name) if alike[k]]
    wanted, has = reference[columns].sum(), driver[columns].sum()
    return float(wanted / has) if columns and wanted > 0 and has > 0 else None


def _percentile(values: Floats, percentile: float) -> Floats:
    """Along the frames, of what is not NaN; NaN for a column without anything."""
    result = np.full(values.shape[1], np.nan)
    for column in np.flatnonzero(np.isfinite(values).any(axis=0)):
        result[column] = np.percentile(values[np.isfinite(values[:, column]), column], percentile)
    return result


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
