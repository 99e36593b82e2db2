"""One person through the clip, from what the detector saw to a motion without mistakes.

The stages are files beside this one, in this order: `look` (what people wear), `follow` and `join`
(who is who), `person` (which of them), `others`, `upside_down`, `flips`, `jumps`, `gaps`, `smooth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.appearance import look_of
from magicpose_cli.pose.tracking.gaps import bridge, follow_outside, hold, nobody
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.others import take_out_others
from magicpose_cli.pose.tracking.outliers import cuts, take_out_flicker, take_out_jumps
from magicpose_cli.pose.tracking.person import parse_person, pick_person
from magicpose_cli.pose.tracking.side_swaps import give_hands_to_wrists, mend_flips
from magicpose_cli.pose.tracking.smooth import smooth as smooth_shot
from magicpose_cli.pose.tracking.stack import COLUMNS, Stack, runs, sizes
from magicpose_cli.pose.tracking.upside_down import take_out_upside_down

__all__ = ["Detection", "TrackReport", "look_of", "parse_person", "track"]


@dataclass(frozen=True)
class TrackReport:
    """What was found and mended in a clip.

    missing: frames (indices) in which the person was not seen, or not believed. held: (first, last)
    frames of those that were too long to bridge and show the person as seen last. people: seen at
    once at most. flips: frames in which left and right were exchanged. jumps: joints, hands and
    faces taken out for a frame. jitter_before, jitter_after: mean second difference of the body
    joints in % of the person's size (diagonal of the box around the joints), over the frames that
    were seen. upside_down: frames taken out in which the person stood on their head. mixed: frames
    in which parts of somebody else were on the person, and were taken out. parts: of each
    part the shares of its points, over all frames, that were "seen" and believed, "mended" (filled
    from neighbors) and "held", and how often ("gaps") and for how long at most ("longest_gap",
    frames) none of them was seen.
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
                f"in {self.mixed} frames parts of somebody else were read as the person's: left out"
            )
        if self.people > 1:
            lines.append(f"up to {self.people} people are in the driver; --person chooses one")
        return lines


def track(
    sightings: Sequence[Sequence[Detection]],
    fps: float,
    *,
    person: str = "largest",
    max_gap_s: float = 0.5,
    smooth: float = 1.0,
    mend: bool = True,
) -> tuple[list[Pose], TrackReport]:
    """Follow one person through the clip, mend what the detector got wrong, smooth the motion.

    sightings: everybody in each frame. person: see `parse_person` and `pick_person`. max_gap_s: the
    longest gap in which a point is interpolated; a frame without anybody in a longer one holds the
    person as seen last, a single point stays unseen. smooth: 0 off, 1 usual, 2 strong; without lag.
    mend: take out flips, jumps and flicker; False leaves every point where it is.
    One pose a frame; scores are the detector's (lower where filled in), points in space and guesses
    too. The face's mesh goes where its points go: smoothed, filled in and held with them.
    Errors: ConfigError for a bad `person`, DetectionError where there is no such person.
    """
    max_gap_s = min(max_gap_s, len(sightings) / fps)  # it may be endless
    who, people = pick_person(sightings, fps, parse_person(person))
    poses = _chosen(sightings, who)
    stack = Stack.of(poses, mesh=True)
    seen = stack.seen.any(axis=1)
    if not seen.any():
        raise nobody(len(poses))
    size = sizes(stack, fps)
    jitter_before = _jitter(stack, seen, size)
    space = [pose.body_3d for pose in poses]
    flips = jumps = upside_down = mixed = 0
    if mend:
        mixed = take_out_others(stack, sightings, who, fps)
        upside_down = take_out_upside_down(stack, size, fps)
        flips = mend_flips(stack, space, size, fps)
        jumps = take_out_jumps(stack, ["body"], size, fps)  # before hands are judged by wrists
        exchanged, strays = give_hands_to_wrists(stack)
        flips += exchanged
        jumps += strays + take_out_jumps(stack, ["face", "left_hand", "right_hand"], size, fps)
        jumps += take_out_flicker(stack, fps, max_gap_s, (poses[0].width, poses[0].height))
    stack.forget_meshes()
    believed = stack.seen
    seen = believed.any(axis=1)
    if not seen.any():
        raise nobody(len(poses))
    if mend:
        follow_outside(stack, poses)
    for start, end in pairwise(cuts(stack, size, fps)):
        shot = stack.between(start, end)
        bridge(shot, round(max_gap_s * fps))
        smooth_shot(shot, float(np.median(size[start:end])), fps, smooth)
    jitter_after = _jitter(stack, seen, size)
    bridged = stack.seen
    held = hold(stack)
    report = TrackReport(
        frames=len(poses),
        missing=tuple(np.flatnonzero(~seen).tolist()),
        held=tuple((start, end - 1) for start, end in runs(held)),
        people=people,
        flips=flips,
        jumps=jumps,
        jitter_before=jitter_before,
        jitter_after=jitter_after,
        upside_down=upside_down,
        mixed=mixed,
        parts=_parts(believed, bridged, stack.seen),
    )
    return stack.poses(poses, space), report


def _chosen(sightings: Sequence[Sequence[Detection]], who: np.ndarray) -> list[Pose]:
    """The person's pose in each frame, an empty one of the film's size where they are not seen."""
    known = next(people[0].pose for people in sightings if people)
    return [
        people[index].pose if index >= 0 else Pose.of(known.width, known.height)
        for people, index in zip(sightings, who, strict=True)
    ]


def _parts(
    believed: np.ndarray, bridged: np.ndarray, shown: np.ndarray
) -> dict[str, dict[str, float]]:
    """See `TrackReport`; all (frames, 128) bool, each holds the one before."""
    told = {}
    for part, columns in COLUMNS.items():
        gaps = [end - start for start, end in runs(~believed[:, columns].any(axis=1))]
        told[part] = {
            "seen": round(float(believed[:, columns].mean()), 4),
            "mended": round(float((bridged & ~believed)[:, columns].mean()), 4),
            "held": round(float((shown & ~bridged)[:, columns].mean()), 4),
            "gaps": len(gaps),
            "longest_gap": max(gaps, default=0),
        }
    return told


def _jitter(stack: Stack, seen: np.ndarray, size: np.ndarray) -> float:
    """Mean length of the joints' second differences in % of the person's size, over frames that
    are `seen` with both neighbors; 0 where there are none."""
    body = stack.points[:, COLUMNS["body"]]
    bend = np.hypot(*np.moveaxis(np.diff(body, 2, axis=0), 2, 0))[seen[:-2] & seen[1:-1] & seen[2:]]
    bend = 100 * bend / size[1:-1][seen[:-2] & seen[1:-1] & seen[2:], None]
    known = np.isfinite(bend)
    return round(float(bend[known].mean()), 3) if known.any() else 0.0
