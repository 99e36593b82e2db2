"""A motion file as a driver: its motion on the body of the reference's person, filmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Mask, Points
from magicpose_cli.body.face_motion import is_face_motion
from magicpose_cli.body.filmed_points import FilmedPoints, film
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.laid_motion import (
    BODY_SHOULDERS,
    BodyMotion,
    BodySketch,
    facing_camera,
    kept_in_place,
    motion_on_body,
    on_ground,
    on_level_ground,
    seen_from,
    view_pivot,
    with_neck_held,
)
from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_editing import motion_at, smoothed_motion
from magicpose_cli.body.motion_files.files import (
    PICKLE_SUFFIXES,
    is_motion_file,
    read_motion_file,
)
from magicpose_cli.body.reference_body import (
    REFERENCE_LAYERS,
    ReferenceBody,
    fit_reference_body,
    mean_reference_body,
)
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError
from magicpose_cli.motion.head_mesh import turned_meshes
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.anchor import find_anchor
from magicpose_cli.pose.retargeting.points import named_points
from magicpose_cli.pose.retargeting.retarget import Retargeted, completed
from magicpose_cli.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

MOTION_CANVAS = (768, 768)  # pixels, of a motion that is laid on nobody
BODY_MODES = ("auto", "chain")  # ways of --retarget that keep a motion in space
REST_DEG = (
    15.0  # from the skeleton's rest: where no joint but fingers is turned more, it is at rest
)
FINGER_BONES = ("Metacarpal", "Proximal", "Intermediate", "Distal")  # ends of their names
REST_JUMP_S = 0.25  # a motion's start, in which it may jump from its rest pose
REST_JUMP_DEG_S = 1200.0  # how fast no joint of a person turns who has just stood at rest
SETTLED_DEG_S = 600.0  # a jump goes on while any joint is faster
TOO_NEAR = 0.6  # of the person's distance from the camera
OUTSIDE = 1 / 3  # of the joints that the picture shows
FACE_JOINT_ROWS = [BODY_JOINTS.index(name) for name in ("nose", "right_eye", "left_eye")]
OFTEN = 0.1  # of the frames
SHOWN_DEG = 60.0  # from the picture's own view: what is turned further it hardly shows


@dataclass(frozen=True)
class LaidMotion:
    """A motion on the reference's person.

    Attributes:
        retargeted: The poses in the reference's picture.
        is_followed: Whether the person is kept in place.
        notes: What a user should know, a line each.
    """

    retargeted: Retargeted
    is_followed: bool
    notes: tuple[str, ...] = ()


def is_driving_motion(path: Path) -> bool:
    """Tell whether a driver is a motion file by its name, or by what a .npz holds."""
    if (suffix := path.suffix.lower()) != ".npz":
        return suffix not in PICKLE_SUFFIXES and not path.is_dir() and is_motion_file(path)
    from magicpose_cli.body.motion_files.motion_npz import member_names

    try:
        member_names(path)
    except InputError:
        return False  # the reader of poses says what is wrong
    return is_motion_file(path)


def read_driving_motion(path: Path, settings: MotionSettings) -> SkeletalMotion:
    """Read a motion that can move a person.

    Raises:
        InputError: It cannot be read, or its joints are not a person's.
    """
    motion = read_motion_file(path)
    if is_face_motion(motion):
        return smoothed_motion(motion, settings.smooth) if settings.smooth else motion
    if not humanoid_joints(motion.names, motion.parents):
        raise InputError(
            f"{path}: its joints ({', '.join(motion.names):.80}) are not told as a person's; "
            "expected hips, a head, legs and arms by names of CMU, LaFAN1, Mixamo, Rokoko, "
            "MocapNET, SMPL-X or VRM"
        )
    motion = _without_rest_start(motion)
    return smoothed_motion(motion, settings.smooth) if settings.smooth else motion


def _without_rest_start(motion: SkeletalMotion) -> SkeletalMotion:
    """Leave out a rest pose at the start and the jump from it, as converters of BVH add them."""
    bones = humanoid_joints(motion.names, motion.parents)
    large = [joint for bone, joint in bones.items() if joint and not bone.endswith(FINGER_BONES)]
    turns = np.abs(motion.rotations[:, large, 3]).clip(0, 1)
    if len(motion) < 3 or np.degrees(2 * np.arccos(turns[0])).max(initial=0) > REST_DEG:
        return motion
    count = min(len(motion) - 1, max(1, round(REST_JUMP_S * float(motion.fps))))
    start = motion.rotations[: count + 1]
    cosine = np.abs((start[1:] * start[:-1]).sum(axis=-1)).clip(0, 1)
    speed = np.degrees(2 * np.arccos(cosine)).max(axis=1) * float(motion.fps)
    if speed[0] < REST_JUMP_DEG_S:
        return motion
    first = int(np.argmin(np.append(speed > SETTLED_DEG_S, False)))
    kept = motion_at(motion, np.arange(first, len(motion)))
    note = f"the first {first} frames, a jump from the rest pose, are left out"
    return replace(kept, notes=(*motion.notes, note))


def lay_motion(
    motion: SkeletalMotion,
    target: Pose,
    settings: MotionSettings,
    on_progress: OnProgress = silent,
) -> LaidMotion | None:
    """Lay a motion onto the person of a picture; None where no body fits that person.

    Args:
        motion: Of a person, one frame for each of the result.
        target: The picture's person.
        settings: The view, the anchor, and whether the person is kept in place; of curves, how much
            of them is taken.
        on_progress: Told of the stage "poses".

    Raises:
        InputError: There are curves of a face alone, and the picture shows none.
        ConfigError: The anchor is none of the motion's frames.
    """
    if is_face_motion(motion):
        from magicpose_cli.motion.face_driver import lay_curves

        return LaidMotion(lay_curves(motion, target, settings), is_followed=False)
    reference = fit_reference_body(Body.load(REFERENCE_LAYERS), target)
    if reference is None:
        return None
    placed = _place(motion, reference, target, settings)
    speaks = bool(motion.curves) and target.face_mesh is not None
    shown = replace(placed.motion, expression=None) if speaks else placed.motion
    filmed = film(reference, shown, _teller(on_progress, len(motion)))
    clip = _as_clip(filmed, target.width, target.height, float(motion.fps))
    if not np.isfinite(target.face).any():
        clip.forget(_columns("face", len(clip)))
    meshes = turned_meshes(target, reference, filmed)
    moved = completed(
        clip, target, named_points(clip), "chain", placed.anchor, meshes=meshes, scale=1.0
    )
    if speaks and settings.face is None:
        from magicpose_cli.motion.face_driver import with_curves

        moved = with_curves(moved, target, motion, settings)
    notes = (*placed.notes, *_turned_away(placed.motion, reference))
    return LaidMotion(moved, placed.is_followed, notes)


def _turned_away(motion: BodyMotion, reference: ReferenceBody) -> Iterator[str]:
    """A line where the person is seen from a side that the picture does not show."""
    ahead, own = motion.rotations[:, 0, :, 2], reference.rotations[0, :, 2]
    count = int(((ahead * own).sum(dim=1) < float(np.cos(np.radians(SHOWN_DEG)))).sum())
    if count:
        yield (
            f"in {count} of {len(ahead)} frames the person is turned by more than "
            f"{SHOWN_DEG:g} degrees from how the reference stands: their other side is guessed"
        )


def film_mean_person(
    motion: SkeletalMotion, settings: MotionSettings, on_progress: OnProgress = silent
) -> PoseClip:
    """Film a mean person who moves so, in an empty picture.

    Raises:
        InputError: The motion is of a face alone.
    """
    if is_face_motion(motion):
        raise InputError(
            "curves of a face move a person who is given; name a picture or poses that show one "
            "with --retarget-to, and leave out --retarget none"
        )
    width, height = settings.canvas_size or MOTION_CANVAS
    reference = mean_reference_body(Body.load(REFERENCE_LAYERS), width, height)
    placed = _place(motion, reference, None, settings)
    filmed = film(reference, placed.motion, _teller(on_progress, len(motion)))
    return _as_clip(filmed, width, height, float(motion.fps))


@dataclass(frozen=True)
class _Placed:
    """A motion before the reference's camera."""

    motion: BodyMotion
    anchor: int
    is_followed: bool
    notes: tuple[str, ...] = ()


def _place(
    motion: SkeletalMotion, reference: ReferenceBody, target: Pose | None, settings: MotionSettings
) -> _Placed:
    fps, sketch = float(motion.fps), BodySketch(reference)
    pivot, view = view_pivot(reference, sketch), settings.camera_view
    on_body = on_level_ground(motion_on_body(reference, motion), sketch, fps)
    free = facing_camera(on_body, reference, fps)

    def at(path: BodyMotion, anchor: int) -> BodyMotion:
        if reference.shown[BODY_SHOULDERS].any():
            grounded = on_ground(path, reference, sketch, anchor, alike=False)
        else:
            grounded = with_neck_held(path, reference, sketch)
        return seen_from(grounded, view, fps, pivot)

    def anchored(path: BodyMotion) -> tuple[BodyMotion, int]:
        if target is None:
            return at(path, 0), 0
        joints, _ = sketch.joints_and_soles(at(path, 0))
        anchor = find_anchor(_joints_clip(joints, reference, target), target, str(settings.anchor))
        return at(path, anchor), anchor

    if settings.follow:
        return _Placed(*anchored(kept_in_place(free, fps)), is_followed=True)
    moving, anchor = anchored(free)
    if settings.follow is None:
        kept, kept_anchor = anchored(kept_in_place(free, fps))
        leaves, stays = (_leaving_share(one, reference, sketch) for one in (moving, kept))
        if leaves > max(OFTEN, stays):
            note = "the person would leave the picture and is kept in place; --no-follow lets go"
            return _Placed(kept, kept_anchor, True, (note,))
    return _Placed(moving, anchor, is_followed=False)


def _leaving_share(motion: BodyMotion, reference: ReferenceBody, sketch: BodySketch) -> float:
    """The share of the frames in which the person is too near, or they or their head outside."""
    camera = reference.camera
    joints, _ = sketch.joints_and_soles(motion)
    pixels, depth = (values.numpy() for values in camera.project(joints))
    shown = reference.shown[: len(BODY_JOINTS)]
    x, y = pixels[:, shown, 0], pixels[:, shown, 1]
    outside = (x < 0) | (x >= camera.width) | (y < 0) | (y >= camera.height)
    gone = outside.mean(axis=1) > OUTSIDE
    head = np.isin(np.flatnonzero(shown), FACE_JOINT_ROWS)
    if head.any():
        gone |= outside[:, head].all(axis=1)
    near = depth.mean(axis=1) < TOO_NEAR * -float(reference.root_joint_m[2])
    return float((near | gone).mean())


def _joints_clip(joints: Tensor, reference: ReferenceBody, target: Pose) -> PoseClip:
    """The 18 joints alone, as poses in the target's picture."""
    pixels = reference.camera.project(joints).pixels.numpy()
    points = np.full((len(joints), reference.shown.size, 2), np.nan, np.float32)
    points[:, PART_COLUMNS["body"]] = pixels
    scores = np.isfinite(points).all(axis=2).astype(np.float32)
    return PoseClip(target.width, target.height, points, scores)


def _as_clip(filmed: FilmedPoints, width: int, height: int, fps: float) -> PoseClip:
    space: Points = filmed.joints_m.copy()
    space -= space[:, [BODY_JOINTS.index(f"{side}_hip") for side in ("left", "right")]].mean(
        axis=1, keepdims=True
    )
    return PoseClip(width, height, filmed.points, filmed.scores, space, fps=fps)


def _columns(part: str, frames: int) -> Mask:
    chosen = np.zeros((frames, PART_COLUMNS["right_hand"].stop), bool)
    chosen[:, PART_COLUMNS[part]] = True
    return chosen


def _teller(on_progress: OnProgress, total: int) -> Callable[[int], None]:
    on_progress(Progress("poses", 0, total))
    return lambda done: on_progress(Progress("poses", done, total))
