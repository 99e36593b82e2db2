"""Curves of a face as a driver: expression, gaze and head on the reference's own face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats
from magicpose_cli.body.face_gaze import GAZE_CURVES
from magicpose_cli.body.face_model import curve_index
from magicpose_cli.body.face_motion import actions_of, gaze_of, head_turns
from magicpose_cli.body.face_rig import FACE_POINT_ROWS, HEAD_ROWS, FaceRig, make_face_rig
from magicpose_cli.body.motion_editing import motion_at, smoothed_motion
from magicpose_cli.body.motion_files.files import is_motion_file, read_motion_file
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.mesh import as_far_as_shown, rigid_change
from magicpose_cli.pose.retargeting.retarget import Retargeted

FACE_MODES = ("auto", "full", "chain")  # ways of --retarget that move a face
MAX_ACTION = 1.5  # of one that is exaggerated; lids and lips go no further than shut
SHUTTING = ("eyeBlinkLeft", "eyeBlinkRight", "mouthClose")


def lay_curves(motion: SkeletalMotion, target: Pose, settings: MotionSettings) -> Retargeted:
    """Move the face of a picture by curves; what is not the head stays where it is.

    All curves and angles at 0 leave every point in its place.

    Args:
        motion: Of a face, one frame for each of the result.
        target: The picture's person.
        settings: How much of expression, head and gaze is taken.

    Raises:
        InputError: The picture shows no face.
        ConfigError: The way of retargeting does not move faces.
    """
    if settings.retarget not in FACE_MODES:
        raise ConfigError(
            f"--retarget {settings.retarget}: curves of a face are laid onto the reference's own "
            "face; leave it out"
        )
    rig = make_face_rig(target)
    vectors = settings.head * head_turns(motion).as_rotvec()
    turns = Rotation.from_rotvec(as_far_as_shown(vectors))
    meshes = rig.turned(turns)
    still = PoseClip.of([target] * len(motion), float(motion.fps))
    clip = replace(
        still, points=still.points.copy(), body_3d=None, face_3d=None, body_guess=None,
        face_mesh=meshes.astype(np.float32) if rig.is_dense else None,
    )  # fmt: skip
    steps = (meshes - rig.points)[..., :2]
    clip.part("face")[:] += steps[:, FACE_POINT_ROWS]
    for joint, row in HEAD_ROWS.items():
        clip.joint(joint)[:] += steps[:, row]
    _add_moves(clip, turns.as_matrix(), _moves(rig, motion, settings))
    calm = np.abs(actions_of(motion)).sum(axis=1) + np.linalg.norm(vectors, axis=1)
    return Retargeted(clip, "face", int(np.argmin(calm)))


def with_curves(
    moved: Retargeted, target: Pose, motion: SkeletalMotion, settings: MotionSettings
) -> Retargeted:
    """Lay curves over the faces of a clip that moves otherwise; the head goes as it goes.

    Args:
        moved: On the picture's person, with a face that has no expression of its own.
        target: The picture's person.
        motion: With curves, one frame for each of the clip.
        settings: How much of expression and gaze is taken.

    Raises:
        InputError: The picture shows no face.
    """
    rig = make_face_rig(target)
    clip = replace(moved.poses, points=moved.poses.points.copy())
    turns = _turns_of(clip, rig)
    if clip.face_mesh is not None:
        clip.face_mesh = clip.face_mesh.copy()
    _add_moves(clip, turns, _moves(rig, motion, settings))
    return replace(moved, poses=clip)


def lay_face_file(
    moved: Retargeted,
    target: Pose | None,
    fps: float,
    settings: MotionSettings,
    *,
    is_face: bool,
) -> tuple[Retargeted, tuple[str, ...]]:
    """Lay the curves of `settings.face` over a clip on the picture's person.

    Args:
        moved: The clip.
        target: The picture's person; None where the clip is laid onto nobody.
        fps: Frames a second of the clip.
        settings: Which file, and how much of it is taken.
        is_face: Whether the clip itself is driven by curves.

    Returns:
        The clip, and what a user should know.

    Raises:
        ConfigError: The driver is curves itself, or is laid onto nobody.
        InputError: The file cannot be read, or the picture shows no face.
    """
    path = Path(str(settings.face))
    if is_face:
        raise ConfigError(f"--face {path}: the driver is curves of a face itself; choose one")
    if target is None or moved.mode == "none":
        raise ConfigError(
            f"--face {path}: curves are laid onto the reference's face; leave out --retarget none"
        )
    motion, notes = read_face_file(path, fps, len(moved.poses), settings.smooth)
    return with_curves(moved, target, motion, settings), notes


def read_face_file(
    path: Path, fps: float, count: int, smooth: float | None
) -> tuple[SkeletalMotion, tuple[str, ...]]:
    """Read the curves that go beside another driver.

    Args:
        path: A motion file with curves.
        fps: Frames a second of the result, the file's time 0 being its first frame.
        count: Frames of the result; curves that end before it are held.
        smooth: As the setting; None is 0.

    Returns:
        The curves in the result's frames, and what a user should know.

    Raises:
        InputError: The file cannot be read or holds no curves.
    """
    if not is_motion_file(path):
        raise InputError(
            f"--face {path}: is no file of curves; expected Live Link Face's or ARKit's .csv (of a "
            f"film: magicpose motion {path} -o {path.stem}.csv)"
        )
    if not path.exists():
        raise InputError(f"--face {path}: no such file; expected Live Link Face's or ARKit's .csv")
    motion = read_motion_file(path)
    if not motion.curves:
        raise InputError(f"--face {path}: holds no curves of a face; expected Live Link Face's")
    if smooth:
        motion = smoothed_motion(motion, smooth)
    frames = np.arange(count) * float(motion.fps) / fps
    last, notes = len(motion) - 1, list(motion.notes)
    if frames[-1] > last + 1:
        notes.append(f"{path.name} ends before the driver: its last frame is held")
    whole = np.round(frames)
    frames = np.where(np.abs(frames - whole) < 1e-3, whole, frames)
    return motion_at(motion, np.minimum(frames, last), fps), tuple(notes)


def _moves(rig: FaceRig, motion: SkeletalMotion, settings: MotionSettings) -> Floats:
    """(F, 478, 3) pixels in the picture of the reference's own view."""
    actions = np.clip(actions_of(motion), 0.0, 1.0)
    looks = [curve_index(name) for name in GAZE_CURVES]
    shuts = [curve_index(name) for name in SHUTTING]
    scaled = np.clip(settings.expression * actions, 0.0, MAX_ACTION)
    scaled[:, shuts] = scaled[:, shuts].clip(0.0, 1.0)
    scaled[:, looks] = np.clip(settings.gaze * actions[:, looks], 0.0, MAX_ACTION)
    return rig.moves(scaled, settings.gaze * gaze_of(motion))


def _turns_of(clip: PoseClip, rig: FaceRig) -> Floats:
    """(F, 3, 3) turns times growth of a clip's faces from the reference's own; 1 where unknown."""
    turns = np.repeat(np.eye(3)[None], len(clip), axis=0)
    if clip.face_mesh is None:
        return turns
    for frame in clip.mesh_frames():
        turn, grown = rigid_change(rig.points, clip.face_mesh[frame].astype(np.float64))
        turns[frame] = grown * turn.as_matrix()
    return turns


def _add_moves(clip: PoseClip, turns: Floats, moves: Floats) -> None:
    """Add an expression to faces that are turned so, in place."""
    turned = moves @ np.swapaxes(turns, 1, 2)
    clip.part("face")[:] += turned[:, FACE_POINT_ROWS, :2].astype(np.float32)
    if clip.face_mesh is not None:
        clip.face_mesh += turned.astype(np.float32)
    for name in ("right_eye", "left_eye"):
        clip.points[:, BODY_JOINTS.index(name)] += turned[:, HEAD_ROWS[name], :2].astype(np.float32)
