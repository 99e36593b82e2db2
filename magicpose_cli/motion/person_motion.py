"""One person's motion: followed through the detections, then laid onto the reference's person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.cut_reference import (
    is_cut,
    is_half_body,
    is_own_frame,
    near_own_place,
    neck_held,
    neck_strays,
)
from magicpose_cli.pose.retargeting.in_picture import inside_picture
from magicpose_cli.pose.retargeting.in_place import in_place
from magicpose_cli.pose.retargeting.retarget import Retargeted, retarget
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.track import TrackReport, track


def follow_person(
    people: Sequence[Sequence[Detection]], fps: float, motion: MotionSettings, *, cleanup: bool
) -> tuple[PoseClip, TrackReport]:
    """One person's motion out of what was detected, one pose a frame.

    Args:
        people: everybody in each frame.
        fps: frames a second.
        motion: whom to follow, what gaps to fill, how much to smooth.
        cleanup: what a detector saw is cleaned up and smoothed; a pose file is what somebody meant,
            so that only the person is chosen and gaps are filled.

    Raises:
        DetectionError: where there is no such person.
    """
    return track(
        people,
        fps,
        person=str(motion.person),
        max_gap_s=motion.max_gap_s,
        smooth=float(cleanup) if motion.smooth is None else motion.smooth,
        cleanup=cleanup,
    )


def retarget_person(
    clip: PoseClip, fps: float, target: Pose | None, motion: MotionSettings
) -> Retargeted:
    """The motion on the reference's person `target`, kept in place where that is asked for.

    Who would leave the picture, or the edge that cuts them off, is kept inside, unless `follow` is
    False.

    Raises:
        DetectionError: where there is no target, or the two have no points in common.
    """
    mode = motion.retarget
    if motion.follow:
        clip = in_place(clip, fps)
    elif motion.follow is None and mode != "none" and target and not target.is_empty:
        return _kept_near(clip, fps, target, motion)
    if mode == "chain":
        from magicpose_cli.motion.chain import retarget_in_space

        mode = "auto"
        if target is not None and not target.is_empty:
            moved = retarget_in_space(
                clip, target, fps,
                anchor=str(motion.anchor), expression=motion.expression, head=motion.head,
                gaze=motion.gaze,
            )  # fmt: skip
            if moved is not None:
                return moved
    return retarget(
        clip,
        target,
        mode,
        anchor=str(motion.anchor),
        expression=motion.expression,
        head=motion.head,
        gaze=motion.gaze,
    )


def _kept_near(clip: PoseClip, fps: float, target: Pose, motion: MotionSettings) -> Retargeted:
    """The motion on a reference that is not carried out of its picture, or off its edge."""
    let_go = motion.model_copy(update={"follow": False})
    if is_own_frame(clip, target):
        return retarget_person(clip, fps, target, let_go)
    strays = is_cut(target) and not is_half_body(target) and neck_strays(clip)
    if strays:
        clip = neck_held(clip, fps)
    moved = retarget_person(clip, fps, target, let_go)
    poses = moved.poses
    if is_cut(target):
        poses = near_own_place(poses, target) or poses
    poses = inside_picture(poses, target) or poses
    return replace(moved, poses=poses, is_held=strays or poses is not moved.poses)
