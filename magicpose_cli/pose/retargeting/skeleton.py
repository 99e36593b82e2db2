"""The driver's motion on the reference's bones.

Every bone of the driver keeps its direction and is made longer or shorter by one ratio for the
whole clip. So a bone that the camera shortens stays shortened, a person who comes nearer grows, and
no point trembles that did not tremble before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import BODY, FACE, HAND_POINTS, POINT_INDEX, named_points
from magicpose_cli.pose.retargeting.proportions import Ratios

# Joint, the joint it hangs on, and the measure whose ratio the bone between them has.
SKELETON_BONES = (
    ("mid_hip", "neck", "torso"),
    ("right_hip", "mid_hip", "hips"), ("left_hip", "mid_hip", "hips"),
    ("right_knee", "right_hip", "thigh"), ("left_knee", "left_hip", "thigh"),
    ("right_ankle", "right_knee", "shin"), ("left_ankle", "left_knee", "shin"),
    ("right_shoulder", "neck", "shoulders"), ("left_shoulder", "neck", "shoulders"),
    ("right_elbow", "right_shoulder", "upper_arm"), ("left_elbow", "left_shoulder", "upper_arm"),
    ("right_wrist", "right_elbow", "forearm"), ("left_wrist", "left_elbow", "forearm"),
    ("nose", "neck", "neck"),
    ("right_eye", "nose", "head"), ("left_eye", "nose", "head"),
    ("right_ear", "nose", "head"), ("left_ear", "nose", "head"),
)  # fmt: skip
ROOTS = ("mid_hip", "neck", "nose")  # what the rest hangs on: the first that both show
# Where a root is looked for in a frame that does not show it.
ROOT_STAND_INS = (
    "neck",
    "mid_hip",
    "nose",
    "right_shoulder",
    "left_shoulder",
    "right_hip",
    "left_hip",
)
ANKLES = [POINT_INDEX["right_ankle"], POINT_INDEX["left_ankle"]]
STANDING = 0.05  # of the legs: a foot higher than this above the other carries little
GROUND_PERCENTILE = (
    90.0  # of the lower foot's height: where it comes down to, whatever jumps there are
)


def find_root(target: Pose, poses: Sequence[Pose]) -> str | None:
    """The first of ROOTS that the reference shows, and the driver about as often as any joint."""
    reference, driver = named_points([target])[0], named_points(poses)[:, : len(BODY)]
    often = np.isfinite(driver).all(axis=2).sum(axis=0)
    for name in ROOTS:
        if (
            np.isfinite(reference[POINT_INDEX[name]]).all()
            and 2 * often[POINT_INDEX[name]] >= often.max() > 0
        ):
            return name
    return None


def on_bones(
    poses: Sequence[Pose], target: Pose, ratios: Ratios, root: str, frame: int, alike: bool
) -> Floats:
    """The driver's motion with the reference's bones, in the reference's picture.

    Args:
        poses: the driver's person.
        target: the reference's person.
        ratios: reference over driver of each limb group.
        root: the joint that the rest hangs on.
        frame: where the root is laid onto the reference's.
        alike: whether the driver stands as the reference does there, so that the lower foot is laid
            on its ground; else that is done with the ground that the feet come down to in the whole
            clip.

    Returns:
        (frames, points, 2) of NAMES; joints are also told where the driver hides them for a while.
    """
    reference = named_points([target])[0]
    seen = named_points(poses)
    driver = _imputed(seen, root)
    moved = np.full_like(driver, np.nan)
    has_feet = np.isfinite(driver[:, ANKLES]).all()
    stride = (ratios["thigh"] + ratios["shin"]) / 2 if has_feet else ratios.body_scale
    moved[:, POINT_INDEX[root]] = stride * driver[:, POINT_INDEX[root]]
    _hang(moved, driver, root, ratios)
    if has_feet:
        moved += _feet_held(moved, driver, seen, stride)[:, None]
    _attach(moved, driver, "nose", FACE, ratios["head"])
    for side, hand in HAND_POINTS.items():
        _attach(moved, driver, f"{side}_wrist", hand, ratios["hand"])
    shift = reference[POINT_INDEX[root]] - moved[frame, POINT_INDEX[root]]
    ground, feet = reference[ANKLES, 1], moved[:, ANKLES, 1].max(axis=1)
    if np.isfinite(ground).any() and has_feet:
        lower = feet[frame] if alike else np.percentile(feet, GROUND_PERCENTILE)
        shift[1] = np.nanmax(ground) - lower
    placed: Floats = moved + shift
    return placed


def _tree(root: str) -> Iterator[tuple[str, str, str]]:
    """SKELETON_BONES from `root` outward: what comes later hangs on what came before."""
    reached, left = {root}, list(SKELETON_BONES)
    while left:
        bone = next(bone for bone in left if bone[0] in reached or bone[1] in reached)
        left.remove(bone)
        joint, parent, measure = bone
        if joint in reached:  # the tree's root hangs on another one here
            joint, parent = parent, joint
        reached.add(joint)
        yield joint, parent, measure


def _imputed(points: Floats, root: str) -> Floats:
    """The points with the body's joints carried through the frames that do not show them.

    A missing joint keeps its place relative to the joint it hangs on, between the frames before
    and after. What no frame shows stays NaN.
    """
    points = points.copy()
    for joint, double in (
        ("nose", "face_30"),
        *((f"{s}_wrist", f"{s}_hand_0") for s in HAND_POINTS),
    ):
        missing = ~np.isfinite(points[:, POINT_INDEX[joint]])
        points[:, POINT_INDEX[joint]][missing] = points[:, POINT_INDEX[double]][missing]
    for stand_in in ROOT_STAND_INS:
        _follow(points, POINT_INDEX[root], points[:, POINT_INDEX[stand_in]])
    _follow(points, POINT_INDEX[root], np.zeros((len(points), 2)))
    for joint, parent, _ in _tree(root):
        _follow(points, POINT_INDEX[joint], points[:, POINT_INDEX[parent]])
    return points


def _follow(points: Floats, joint: int, leader: Floats) -> None:
    """Fill `joint` in place where it is missing and the leader (frames, 2) is not.

    Their offset is carried through time.
    """
    offset = points[:, joint] - leader
    known = np.isfinite(offset).all(axis=1)
    missing = ~np.isfinite(points[:, joint]).all(axis=1)
    if known.any() and missing.any():
        frames = np.arange(len(points))
        for axis in (0, 1):
            carried = np.interp(frames[missing], frames[known], offset[known, axis])
            points[missing, joint, axis] = leader[missing, axis] + carried


def _hang(moved: Floats, driver: Floats, root: str, ratios: Ratios) -> None:
    """Place joint after joint in `moved`, in place.

    Each hangs on the nearest joint toward the root that the driver shows.
    """
    # The joint to hang on, and the ratios of the bones up to it.
    nearest: dict[str, tuple[str, list[float]]] = {root: (root, [])}
    for joint, parent, measure in _tree(root):
        leader, bones = nearest[parent]
        bones = [*bones, ratios[measure]]
        if np.isfinite(driver[:, POINT_INDEX[joint]]).all():
            bone = driver[:, POINT_INDEX[joint]] - driver[:, POINT_INDEX[leader]]
            moved[:, POINT_INDEX[joint]] = (
                moved[:, POINT_INDEX[leader]] + float(np.mean(bones)) * bone
            )
            nearest[joint] = (joint, [])
        else:
            nearest[joint] = (leader, bones)


def _attach(moved: Floats, driver: Floats, joint: str, part: slice, ratio: float) -> None:
    """Place a face or a hand in `moved`, in place: it goes with its joint, at its own size."""
    offset = driver[:, part] - driver[:, None, POINT_INDEX[joint]]
    moved[:, part] = moved[:, None, POINT_INDEX[joint]] + ratio * offset


def _feet_held(moved: Floats, driver: Floats, seen: Floats, stride: float) -> Floats:
    """(frames, 2) to add, so that the foot that carries the person moves as far as the driver's.

    Lengths are measured in legs. Thighs and shins of different ratios would otherwise let a
    standing foot slide as the knee bends.
    """
    shown = np.flatnonzero(np.isfinite(seen[:, ANKLES]).all(axis=(1, 2)))
    if not len(shown):
        return np.zeros((len(moved), 2))
    feet, new_feet = driver[:, ANKLES], moved[:, ANKLES]
    legs = np.linalg.norm(driver[:, [POINT_INDEX["mid_hip"]]] - feet, axis=2)
    height = max(1.0, float(np.nanmax(legs)) if np.isfinite(legs).any() else float(np.ptp(feet)))
    lift = (feet[:, 1, 1] - feet[:, 0, 1]) / (STANDING * height)  # y grows downward
    left = 0.5 + 0.5 * np.tanh(lift / 2)  # the share of the weight on the left foot
    share = np.stack([1 - left, left], axis=1)[:, :, None]
    slip = stride * (feet * share).sum(axis=1) - (new_feet * share).sum(axis=1)
    slip -= np.median(slip[shown], axis=0)
    frames = np.arange(len(moved))
    return np.stack([np.interp(frames, shown, slip[shown, axis]) for axis in (0, 1)], axis=1)
