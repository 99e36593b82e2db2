"""Judge a made picture: the pose found again, the silhouette, the person's colors, blur."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask, Picture
from magicpose_cli.augmentation.augment_settings import JudgeSettings
from magicpose_cli.augmentation.picture_maker import MadePicture
from magicpose_cli.augmentation.seen_person import (
    ENLARGED_HEIGHT_PX,
    PersonFinder,
    SeenPerson,
)
from magicpose_cli.body.filmed_points import HIDDEN_SCORE
from magicpose_cli.config.extras import needed
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.matte import SURE_MASK, person_mask
from magicpose_cli.warping.person_segmentation import segment

LIMB_HALF_SHARE = 0.022  # of the person's height: well within clothes
MIN_PART_PX = 6
MADE_SHARE = 0.85  # of a made picture's height that its person fills
COLOR_PARTS = ("head", "trunk", "legs")
TRUNK_JOINTS_ASKED = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
LEG_BONES = tuple(
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("right", "left") for upper, lower in (("hip", "knee"), ("knee", "ankle"))
)  # fmt: skip
HEAD_JOINTS_SEEN = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


@dataclass(frozen=True)
class PictureScores:
    """What was measured of a made picture; None where it cannot be told.

    Attributes:
        joints_found: Share of the asked joints, 0..1.
        pose_error: Mean distance of found from asked joints, of the person's height.
        silhouette: Overlap of the person and the asked body, 0..1.
        color_difference: CIEDE2000, mean over the parts that both pictures show.
        sharpness: Variance of the Laplacian, as a share of the source's at the same size.
    """

    joints_found: float = 0.0
    pose_error: float | None = None
    silhouette: float | None = None
    color_difference: float | None = None
    sharpness: float | None = None


class Judge:
    """Judges pictures made of one seen person.

    Args:
        finder: Whose detector looks again.
        seen: The person.
        size: (width, height) of the made pictures in pixels.
    """

    def __init__(self, finder: PersonFinder, seen: SeenPerson, size: tuple[int, int]) -> None:
        self._finder = finder
        mask = person_mask(seen.crop, seen.crop_pose)
        self._colors = part_colors(seen.crop, seen.crop_pose, mask)
        tall = float(np.nanmax(seen.crop_pose.body[:, 1]) - np.nanmin(seen.crop_pose.body[:, 1]))
        # Both at the size at which the smaller of them shows people.
        made_tall = MADE_SHARE * size[1]
        share = min(1.0, made_tall / max(tall, 1.0))
        self._made_share = min(1.0, tall / made_tall)
        small = _resized(seen.crop, share)
        own = _resized(mask.astype(np.uint8), share) > 0
        self._sharpness = max(_sharpness(small, np.asarray(own)), 1e-6)

    def scores(self, made: MadePicture) -> PictureScores:
        """Measure a made picture."""
        height, width = made.picture.shape[:2]
        scale = max(1.0, ENLARGED_HEIGHT_PX / height)
        large = Framing((0, 0, width, height), round(width * scale), round(height * scale))
        picture = np.ascontiguousarray(large.picture(made.picture))
        asked = large.pose(made.pose)
        found = self._finder.detect(picture)
        mask = _resized(made.silhouette.astype(np.uint8), 1.0, (picture.shape[1],
                                                                picture.shape[0])) > 0  # fmt: skip
        colors = part_colors(picture, asked, np.asarray(mask))
        sharpness = self._made_sharpness(made) / self._sharpness
        shown = None
        if found is not None:
            share = segment(picture, found)
            shown = None if share is None else share > SURE_MASK
        return PictureScores(
            *_pose_scores(asked, found),
            _overlap(mask, shown),
            color_distance(self._colors, colors),
            round(float(sharpness), 4),
        )

    def _made_sharpness(self, made: MadePicture) -> float:
        if self._made_share == 1.0:
            return _sharpness(made.picture, made.silhouette)
        mask = _resized(made.silhouette.astype(np.uint8), self._made_share) > 0
        return _sharpness(_resized(made.picture, self._made_share), np.asarray(mask))


def reason_to_drop(scores: PictureScores, limits: JudgeSettings) -> str:
    """Tell why a picture is dropped, in words for a table; "" where it is kept."""
    if scores.pose_error is None or scores.joints_found < limits.min_joints_found:
        return "pose not found"
    if scores.pose_error > limits.max_pose_error:
        return "another pose"
    if scores.silhouette is not None and scores.silhouette < limits.min_silhouette:
        return "silhouette"
    if (
        scores.color_difference is not None
        and scores.color_difference > limits.max_color_difference
    ):
        return "colors"
    if scores.sharpness is not None and scores.sharpness < limits.min_sharpness:
        return "blur"
    return ""


def _pose_scores(asked: Pose, found: Pose | None) -> tuple[float, float | None]:
    """The share of asked joints that are found, and their mean distance in heights."""
    wanted = (asked.body_score > HIDDEN_SCORE + 1e-3) & np.isfinite(asked.body).all(axis=1)
    if found is None or not wanted.any():
        return 0.0, None
    both = wanted & (found.body_score > 0) & np.isfinite(found.body).all(axis=1)
    if not both.any():
        return 0.0, None
    tall = max(float(np.ptp(asked.body[wanted, 1])), 1.0)
    apart = np.linalg.norm(asked.body[both] - found.body[both], axis=1).mean() / tall
    return round(float(both.sum() / wanted.sum()), 4), round(float(apart), 4)


def _overlap(asked: Mask, shown: Mask | None) -> float | None:
    if shown is None or not (asked | shown).any():
        return None
    return round(float((asked & shown).sum() / (asked | shown).sum()), 4)


def part_colors(picture: Picture, pose: Pose, mask: Mask) -> dict[str, Floats]:
    """The usual color of head, trunk and legs.

    Args:
        picture: (H, W, 3) uint8 RGB.
        pose: Of the person, in its pixels.
        mask: (H, W) bool, where the person is.

    Returns:
        CIELAB (3,) of the parts that are shown.
    """
    found = {}
    for part in COLOR_PARTS:
        own = _part_region(pose, part).astype(bool) & mask
        if own.sum() >= MIN_PART_PX:
            lab = needed("skimage.color").rgb2lab(picture[own][None])[0]
            found[part] = np.asarray(np.median(lab, axis=0), np.float64)
    return found


def color_distance(one: dict[str, Floats], other: dict[str, Floats]) -> float | None:
    """CIEDE2000, mean over the parts that both have; None where they have none in common."""
    common = [part for part in one if part in other]
    if not common:
        return None
    apart = needed("skimage.color").deltaE_ciede2000(
        np.stack([one[part] for part in common]), np.stack([other[part] for part in common])
    )
    return round(float(np.mean(apart)), 3)


def _part_region(pose: Pose, part: str) -> Integers:
    """(H, W) uint8, 1 well inside of a part."""
    region = np.zeros((pose.height, pose.width), np.uint8)
    joints = {
        name: tuple(int(v) for v in np.rint(point))
        for name, point in zip(BODY_JOINTS, pose.body, strict=True)
        if np.isfinite(point).all()
    }
    tall = max((y for _, y in joints.values()), default=1) - min(
        (y for _, y in joints.values()), default=0
    )
    half = max(1, round(LIMB_HALF_SHARE * tall))
    if part == "trunk":
        corners = [joints[name] for name in TRUNK_JOINTS_ASKED if name in joints]
        if len(corners) >= 3:
            cv2.fillConvexPoly(region, cv2.convexHull(np.array(corners)), (1,))
        for start, end in zip(corners[:2], corners[:1:-1], strict=False):  # seen from the side
            cv2.line(region, start, end, (1,), 2 * half)
    elif part == "legs":
        for upper, lower in LEG_BONES:
            if upper in joints and lower in joints:
                cv2.line(region, joints[upper], joints[lower], (1,), 2 * half)
    else:
        for name in HEAD_JOINTS_SEEN:
            if name in joints:
                cv2.circle(region, joints[name], half, (1,), -1)
    return region


def _sharpness(picture: Picture, mask: Mask) -> float:
    """Variance of the Laplacian of the gray person."""
    gray = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    edges = cv2.Laplacian(gray.astype(np.float32), cv2.CV_32F)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float(edges[inside].var()) if inside.any() else 0.0


def _resized(values: Integers, share: float, size: tuple[int, int] | None = None) -> Picture:
    wide, tall = size or (
        max(1, round(values.shape[1] * share)), max(1, round(values.shape[0] * share)),
    )  # fmt: skip
    return np.asarray(cv2.resize(values, (wide, tall), interpolation=cv2.INTER_AREA), np.uint8)
