"""What the part segmentation network learns from: rendered people, found by a detector, disturbed.

The network will see what `warping/` has of a photograph: a matte that is not exact, joints where
a detector believes them to be, hands that were not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Picture, to_pictures
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.files import whole_file
from magicpose_cli.pose.detection.detect import PoseDetector, load_detector
from magicpose_cli.pose.keypoints import MIRRORED_BODY, Pose
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.warping.part_features import (
    FEATURE_SIDE_PX,
    SEGMENTED_PARTS,
    FeatureSquare,
    part_features,
)
from magicpose_cli.warping.parts import mirrored_part
from magicpose_cli.warping.warp import figure_height
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints

PEOPLE_PER_FILE = 20
FRAMES = 3  # of each person
PICTURE_SIDE_PX = 256
FULL_SHARE = 0.45  # of people seen whole; the others are seen from the hips up
MIN_PERSON_PX = 300  # of a person who is still worth looking at
CLASS_OF_PART = {
    "torso": "trunk", "eyes": "head", "mouth": "head",
    **{f"{s}_{part}": f"{s}_{name}" for s in BODY_SIDES for part, name in (
        ("lower_arm", "forearm"), ("upper_leg", "thigh"), ("lower_leg", "shin"), ("foot", "shin"),
    )},
}  # fmt: skip
"""The network's name of a part of the body, where it is another one."""
CLASSES = np.array(
    [0, *(SEGMENTED_PARTS.index(CLASS_OF_PART.get(part, part)) for part in BODY_PARTS)], np.uint8
)
MIRRORED_CLASSES = np.array(
    [SEGMENTED_PARTS.index(mirrored_part(part)) for part in SEGMENTED_PARTS], np.uint8
)


@dataclass(frozen=True)
class PartExample:
    """One picture with what a detector found in it, and the truth.

    Attributes:
        picture: (S, S, 3) uint8 RGB.
        classes: (S, S) uint8, index into SEGMENTED_PARTS.
        points: (128, 2) float32 pixels: body, face, right hand, left hand; NaN where not found.
    """

    picture: Picture
    classes: Integers
    points: Floats


def render_examples(folder: Path, first_seed: int, people: int) -> list[Path]:
    """Render and detect what is not in the folder yet.

    Args:
        folder: Of the files, each of PEOPLE_PER_FILE people.
        first_seed: Of the people.
        people: How many.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for start in range(first_seed, first_seed + people, PEOPLE_PER_FILE):
        path = folder / f"{start:08d}.npz"
        files.append(path)
        if path.is_file():
            continue
        seeds = range(start, min(start + PEOPLE_PER_FILE, first_seed + people))
        detector = load_detector("mediapipe", still=True)
        try:
            found = [example for seed in seeds for example in _of_person(seed, detector)]
        finally:
            detector.close()
        arrays = {
            name: np.stack([getattr(example, name) for example in found])
            for name in ("picture", "classes", "points")
        }
        with whole_file(path, overwrite=True) as partial, partial.open("wb") as out:
            np.savez_compressed(out, **arrays)
    return files


def read_examples(files: list[Path]) -> list[PartExample]:
    """Read what `render_examples` has written."""
    examples = []
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:
            rows = zip(arrays["picture"], arrays["classes"], arrays["points"], strict=True)
            examples += [PartExample(*row) for row in rows]
    return examples


def _of_person(seed: int, detector: PoseDetector) -> Iterator[PartExample]:
    shot = "full" if np.random.default_rng([seed, 7]).random() < FULL_SHARE else "half"
    clip = render_clip(seed, FRAMES, PICTURE_SIDE_PX, shot=shot)
    for picture, parts in zip(to_pictures(clip.images), clip.parts.numpy(), strict=True):
        found = detector.detect(np.ascontiguousarray(picture))
        classes = CLASSES[parts]
        if found and (classes > 0).sum() >= MIN_PERSON_PX:
            seen = WarpPoints.of(found[0], guessed=True)
            hands = [seen.hands[side] for side in BODY_SIDES]
            points = np.concatenate([seen.body, seen.face, *hands]).astype(np.float32)
            yield PartExample(picture, classes, points)


def network_input(
    picture: Picture, alpha: Floats, points: Floats, classes: Integers
) -> tuple[Floats, Integers] | None:
    """Return features (channels, s, s) and classes (s, s) uint8; None where nobody is seen."""
    square = FeatureSquare.around(alpha)
    if square is None:
        return None
    reference, height = _as_reference(points, classes.shape[0])
    features = part_features(picture, alpha, reference, height, square)
    size = (FEATURE_SIDE_PX, FEATURE_SIDE_PX)
    truth = cv2.warpAffine(classes, square.matrix, size, flags=cv2.INTER_NEAREST)
    return features, np.asarray(truth, np.uint8)


def exact(example: PartExample) -> tuple[Floats, Integers] | None:
    """Return an example's input and classes as they are."""
    alpha = (example.classes > 0).astype(np.float32)
    return network_input(example.picture, alpha, example.points, example.classes)


def disturbed(example: PartExample, rng: np.random.Generator) -> tuple[Floats, Integers] | None:
    """Return an example's input and classes, turned, relit, cut, with points and matte astray."""
    moved, classes, points = _moved(example, rng)
    if rng.random() < 0.3:
        _cut(moved, classes, rng)
    if (classes > 0).sum() < MIN_PERSON_PX:
        return None
    _, height = _as_reference(points, len(classes))
    points = _strayed(points, height, rng)
    return network_input(_relit(moved, rng), _matted(classes, rng), points, classes)


def _as_reference(points: Floats, side_px: int) -> tuple[WarpPoints, float]:
    """Return the points as `warping/` has them, and the height of the body in pixels."""
    scored = np.column_stack([points, np.isfinite(points).all(1)])
    pose = Pose.of(
        side_px, side_px, body=scored[:18], face=scored[18:86],
        right_hand=scored[86:107], left_hand=scored[107:],
    )  # fmt: skip
    reference = WarpPoints.of(pose)
    return reference, figure_height(pose, reference)


def _moved(example: PartExample, rng: np.random.Generator) -> tuple[Floats, Integers, Floats]:
    """Turn, scale, shift and, half of the time, mirror."""
    side = len(example.classes)
    center = side / 2 + rng.normal(0, 10, 2)
    x, y = center.tolist()
    turn_deg, scale = rng.normal(0, 12), float(np.exp(rng.normal(0, 0.12)))
    matrix: AnyArray = np.asarray(cv2.getRotationMatrix2D((x, y), turn_deg, scale), np.float64)
    matrix[:, 2] += rng.normal(0, 12, 2)
    classes, points = example.classes, example.points
    if rng.random() < 0.5:
        mirror = np.array([[-1.0, 0, side - 1], [0, 1, 0], [0, 0, 1]])
        matrix = matrix @ mirror
        classes = MIRRORED_CLASSES[classes]
        body, face = points[:18][MIRRORED_BODY], points[18:86]
        points = np.concatenate([body, face, points[107:], points[86:107]])
    size = (side, side)
    picture = cv2.warpAffine(
        example.picture.astype(np.float32), matrix, size, borderMode=cv2.BORDER_REFLECT_101
    )
    moved = cv2.warpAffine(classes, matrix, size, flags=cv2.INTER_NEAREST)
    return np.asarray(picture), np.asarray(moved, np.uint8), points @ matrix[:, :2].T + matrix[:, 2]


def _cut(picture: Floats, classes: Integers, rng: np.random.Generator) -> None:
    """Let the picture end below, left or right of the person's middle, in place."""
    length = int(rng.integers(20, 90))
    part = (
        np.s_[-length:], np.s_[:, : length // 2], np.s_[:, -(length // 2) :],
    )[int(rng.integers(3))]  # fmt: skip
    picture[part], classes[part] = 0, 0


def _strayed(points: AnyArray, height: float, rng: np.random.Generator) -> Floats:
    """Shift joints, and lose hands."""
    points = points.copy()
    points[:18] = points[:18] + rng.normal(0, rng.uniform(0, 0.012) * height, (18, 2))
    for hand in (slice(86, 107), slice(107, 128)):
        astray = rng.normal(0, 0.006 * height, 2)
        points[hand] = np.nan if rng.random() < 0.25 else points[hand] + astray
    return points


def _relit(picture: Floats, rng: np.random.Generator) -> Picture:
    """Change gamma, contrast, brightness, color, light over the picture, sharpness and noise."""
    x = 255 * (picture / 255) ** np.exp(rng.normal(0, 0.25))
    x = (x - 128) * np.exp(rng.normal(0, 0.2)) + 128 + rng.normal(0, 15)
    x = x * np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < 0.15:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.5:
        light = rng.normal(0, 0.15, (5, 5)).astype(np.float32)
        x = x * np.exp(cv2.resize(light, x.shape[1::-1], interpolation=cv2.INTER_CUBIC))[..., None]
    if rng.random() < 0.4:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.2))
    x = x + rng.normal(0, rng.uniform(0, 8), x.shape)
    return np.asarray(x.clip(0, 255).round(), np.uint8)


def _matted(classes: Integers, rng: np.random.Generator) -> Floats:
    """Return a matte (S, S) that is too wide, too narrow, soft, or wrong in a place."""
    alpha, room = (classes > 0).astype(np.float32), np.ones((3, 3), np.uint8)
    change = int(rng.integers(4))
    if change == 1:
        alpha = np.asarray(cv2.dilate(alpha, room, iterations=int(rng.integers(1, 4))), np.float32)
    elif change == 2:
        alpha = np.asarray(cv2.erode(alpha, room), np.float32)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.5)), np.float32)
    if rng.random() < 0.2:
        x, y = (int(value) for value in rng.integers(0, len(classes), 2))
        cv2.circle(soft, (x, y), int(rng.integers(5, 25)), (float(rng.integers(2)),), -1)
    return soft
