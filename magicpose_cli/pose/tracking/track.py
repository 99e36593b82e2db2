"""One person through the clip, from what the detector saw to a motion without mistakes.

The stages are files beside this one, in this order: `appearance` (what people wear), `linking`,
`crossings` and `merging` (which detections are one person), `person` (which of the people),
`cleanup` (mistakes out: `shared_limbs`, `other_people`, `upside_down`, `side_swaps`, `outliers`),
`gaps`, `smooth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.cleanup import CleanupCounts, clean_up
from magicpose_cli.pose.tracking.gaps import (
    fill_from_guesses,
    hold_last,
    interpolate_gaps,
    nobody_seen,
)
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.outliers import shot_bounds
from magicpose_cli.pose.tracking.person import parse_person, pick_person
from magicpose_cli.pose.tracking.person_size import person_sizes
from magicpose_cli.pose.tracking.runs import runs
from magicpose_cli.pose.tracking.smooth import smooth_shot


@dataclass(frozen=True)
class TrackReport:
    """What was found and put right in a clip.

    Attributes:
        frames: how many there are.
        missing: frames (indices) in which the person was not seen, or not believed.
        held: (first, last) frames of those gaps that were too long to interpolate and show the
            person as seen last.
        people: seen at once at most.
        flips: frames in which left and right were exchanged.
        jumps: joints, hands and faces taken out for a frame.
        jitter_before: mean second difference of the body joints in % of the person's size (diagonal
            of the box around the joints), over the frames that were seen, as detected.
        jitter_after: the same in the result.
        upside_down: frames taken out in which the person stood on their head.
        mixed: frames in which parts of somebody else were on the person, and were given back or
            taken out.
        parts: of each part the shares of its points, over all frames, that were "seen" and
            believed, "mended" (filled from neighbors) and "held", and how often ("gaps") and for
            how long at most ("longest_gap", frames) none of them was seen.
    """

    frames: int
    missing: tuple[int, ...]
    held: tuple[tuple[int, int], ...]
    people: int
    flips: int
    jumps: int
    jitter_before: float
    jitter_after: float
    upside_down: int = 0
    mixed: int = 0
    parts: dict[str, dict[str, float]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What a user should know of it, a line each."""
        lines = []
        if self.missing:
            held = sum(last - first + 1 for first, last in self.held)
            lines.append(
                f"the person was not found in {len(self.missing)} of {self.frames} frames: "
                f"{len(self.missing) - held} filled from neighbors, {held} held still"
            )
        if self.upside_down:
            lines.append(f"in {self.upside_down} frames the person was read upside down: left out")
        if self.mixed:
            lines.append(
                f"in {self.mixed} frames the person could not be told apart from somebody else who "
                "is near: what is doubtful is left out"
            )
        if self.people > 1:
            lines.append(f"up to {self.people} people are in the driver; --person chooses one")
        return lines


def track(
    detections: Sequence[Sequence[Detection]],
    fps: float,
    *,
    person: str = "largest",
    max_gap_s: float = 0.5,
    smooth: float = 1.0,
    cleanup: bool = True,
) -> tuple[PoseClip, TrackReport]:
    """Follow one person through the clip, put right what the detector got wrong, smooth the motion.

    Args:
        detections: everybody in each frame.
        fps: frames a second.
        person: see `parse_person` and `pick_person`.
        max_gap_s: the longest gap in which a point is interpolated; a frame without anybody in a
            longer one holds the person as seen last, a single point stays unseen.
        smooth: 0 off, 1 usual, 2 strong; without lag.
        cleanup: take out side swaps, outliers and flicker; False leaves every point where it is.

    Returns:
        One pose a frame, with the detector's scores (lower where filled in), points in space and
        guesses; the face's mesh goes where its points go. And what was found.

    Raises:
        ConfigError: for a bad `person`.
        DetectionError: where there is no such person.
    """
    max_gap_s = min(max_gap_s, len(detections) / fps)  # it may be endless
    picked = pick_person(detections, fps, parse_person(person))
    clip = _chosen(detections, picked.detection_index)
    clip.forget_impossible_points()
    seen = _frames_seen(clip)
    size = person_sizes(clip, fps)
    jitter_before = _jitter(clip, seen, size)
    counts = CleanupCounts()
    if cleanup:
        counts = clean_up(clip, detections, picked, size, fps, max_gap_s)
    clip.forget_faceless_meshes()
    believed, seen = clip.seen, _frames_seen(clip)
    if cleanup:
        fill_from_guesses(clip)
    _fill_and_smooth(clip, size, fps, max_gap_s, smooth)
    jitter_after = _jitter(clip, seen, size)
    interpolated = clip.seen
    held = hold_last(clip)
    report = TrackReport(
        frames=len(clip),
        missing=tuple(np.flatnonzero(~seen).tolist()),
        held=tuple((start, end - 1) for start, end in runs(held)),
        people=picked.at_once,
        jitter_before=jitter_before,
        jitter_after=jitter_after,
        parts=_parts(believed, interpolated, clip.seen),
        **vars(counts),
    )
    return clip, report


def _fill_and_smooth(
    clip: PoseClip, size: Floats, fps: float, max_gap_s: float, smooth: float
) -> None:
    """Each shot for itself: nothing goes over a cut."""
    for start, end in pairwise(shot_bounds(clip, size, fps)):
        shot = clip[start:end]
        interpolate_gaps(shot, round(max_gap_s * fps))
        smooth_shot(shot, float(np.median(size[start:end])), fps, smooth)


def _chosen(detections: Sequence[Sequence[Detection]], detection_index: Integers) -> PoseClip:
    """The person's pose in each frame, an empty one of the film's size where they are not seen."""
    known = next(people[0].pose for people in detections if people)
    nobody = Pose.of(known.width, known.height)
    poses = [
        people[index].pose if index >= 0 else nobody
        for people, index in zip(detections, detection_index, strict=True)
    ]
    return PoseClip.of(poses)


def _frames_seen(clip: PoseClip) -> Mask:
    """(frames,) in which the person is seen; raises DetectionError where that is none."""
    seen: Mask = clip.seen.any(axis=1)
    if not seen.any():
        raise nobody_seen(len(clip))
    return seen


def _parts(believed: Mask, interpolated: Mask, shown: Mask) -> dict[str, dict[str, float]]:
    """See `TrackReport`; all (frames, 128) bool, each holds the one before."""
    told = {}
    for part, columns in PART_COLUMNS.items():
        gaps = [end - start for start, end in runs(~believed[:, columns].any(axis=1))]
        told[part] = {
            "seen": round(float(believed[:, columns].mean()), 4),
            "mended": round(float((interpolated & ~believed)[:, columns].mean()), 4),
            "held": round(float((shown & ~interpolated)[:, columns].mean()), 4),
            "gaps": len(gaps),
            "longest_gap": max(gaps, default=0),
        }
    return told


def _jitter(clip: PoseClip, seen: Mask, size: Floats) -> float:
    """Mean length of the joints' second differences in % of the person's size; 0 of none.

    Over frames that are `seen` with both neighbors.
    """
    body = clip.points[:, PART_COLUMNS["body"]]
    bend = np.hypot(*np.moveaxis(np.diff(body, 2, axis=0), 2, 0))[seen[:-2] & seen[1:-1] & seen[2:]]
    bend = 100 * bend / size[1:-1][seen[:-2] & seen[1:-1] & seen[2:], None]
    known = np.isfinite(bend)
    return round(float(bend[known].mean()), 3) if known.any() else 0.0
