"""What a detector got wrong about the followed person: found, taken out or put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.other_people import remove_other_people
from magicpose_cli.pose.tracking.outliers import remove_flicker, remove_outliers
from magicpose_cli.pose.tracking.person import PickedPerson
from magicpose_cli.pose.tracking.shared_limbs import remove_shared_limbs
from magicpose_cli.pose.tracking.side_swaps import give_hands_to_wrists, undo_side_swaps
from magicpose_cli.pose.tracking.upside_down import remove_upside_down

MIN_LEFT = 0.7  # of a person's joints, once others' are taken out, that are still a person


@dataclass(frozen=True)
class CleanupCounts:
    """How much was put right in a clip.

    Attributes:
        mixed: frames in which parts of somebody else were on the person.
        upside_down: frames in which the person stood on their head.
        flips: frames in which left and right were exchanged.
        jumps: joints, hands and faces taken out, counted by frames.
    """

    mixed: int = 0
    upside_down: int = 0
    flips: int = 0
    jumps: int = 0


def clean_up(
    clip: PoseClip,
    detections: Sequence[Sequence[Detection]],
    picked: PickedPerson,
    size: Floats,
    fps: float,
    max_gap_s: float,
) -> CleanupCounts:
    """Take out of a clip, in place, what is not the person's or not where it should be.

    A clip of which nothing would be left stays as it is: rather somebody doubtful than nobody.

    Args:
        clip: the followed person.
        detections: everybody in each frame.
        picked: the person, and everybody else.
        size: (frames,) of the person, pixels.
        fps: frames a second.
        max_gap_s: the longest gap that will be filled.
    """
    found = clip.points.copy(), clip.scores.copy()
    mixed = _remove_others(clip, detections, picked, size, fps)
    upside_down = remove_upside_down(clip, size, fps)
    flips = undo_side_swaps(clip, size, fps)
    jumps = remove_outliers(clip, ["body"], size, fps)  # before hands are judged by wrists
    exchanged, strays = give_hands_to_wrists(clip)
    jumps += remove_outliers(clip, ["face", "left_hand", "right_hand"], size, fps)
    jumps += remove_flicker(clip, fps, max_gap_s)
    clip.forget_impossible_points()  # which those had from whom something was taken
    if not clip.seen.any():
        clip.points[:], clip.scores[:] = found
    return CleanupCounts(int(mixed.sum()), upside_down, flips + exchanged, jumps + strays)


def _remove_others(
    clip: PoseClip,
    detections: Sequence[Sequence[Detection]],
    picked: PickedPerson,
    size: Floats,
    fps: float,
) -> Mask:
    """Take out what is somebody else's, in place; (frames,) where there was some.

    A frame of which little is left is left out whole: what is left is no surer.
    """
    body = PART_COLUMNS["body"]
    seen, index = clip.seen[:, body].sum(axis=1), picked.detection_index
    mixed = remove_shared_limbs(clip, detections, index, picked.others, size, fps)
    mixed |= remove_other_people(clip, detections, index, fps)
    doubtful = mixed & (clip.seen[:, body].sum(axis=1) < MIN_LEFT * seen)
    clip.forget(np.broadcast_to(doubtful[:, None], clip.seen.shape))
    return mixed
