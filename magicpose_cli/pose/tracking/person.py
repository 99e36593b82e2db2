"""Which of the people in a clip is followed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.tracking.crossings import undo_crossing_swaps
from magicpose_cli.pose.tracking.gaps import nobody_seen
from magicpose_cli.pose.tracking.linking import Detection, link
from magicpose_cli.pose.tracking.merging import TrackedPerson, merge_tracklets

Wanted = str | int | tuple[float, float]
"""largest, left, right or center; N, counted from the left; a point in pixels of the film."""

WORDS = ("largest", "left", "right", "center")
LASTING_SHARE = 0.2  # of the longest time anybody is seen: who is seen for less only passes by
# A person who is seen alone while the chosen one is away is taken for them after this time (a film
# cut from a full view to a close-up shows other clothes); anything shorter is a ghost.
ALONE_S = 0.4


@dataclass(frozen=True, eq=False)
class PickedPerson:
    """The person who is followed.

    Attributes:
        detection_index: (frames,) of their detection in each frame, -1 where they are not seen.
        at_once: how many people are seen at once at most, for a fifth of the longest time that
            anybody is seen: neither who passes by nor a reflection that is taken for somebody now
            and then counts.
        others: everybody else, as `detection_index`; never a detection of the person's.
    """

    detection_index: Integers
    at_once: int
    others: tuple[Integers, ...]


def parse_person(text: str | int) -> Wanted:
    """Read what was asked for: largest, left, right, center, N from 1, or "x,y" in pixels.

    Errors: ConfigError.
    """
    words = str(text).strip().lower()
    if words in WORDS:
        return words
    if re.fullmatch(r"\d{1,4}", words) and int(words) >= 1:
        return int(words)
    point = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*,\s*(\d{1,6}(?:\.\d{1,6})?)", words)
    if point:
        return float(point[1]), float(point[2])
    raise ConfigError(
        f"person: {str(text)!r} is not known; expected {', '.join(WORDS)}, a number that counts "
        'from the left (1 is the leftmost), or a point "x,y" in pixels of the film'
    )


def pick_person(
    detections: Sequence[Sequence[Detection]], fps: float, wanted: Wanted
) -> PickedPerson:
    """Follow everybody through the clip and pick one.

    The choice is made over all frames: "largest" is who takes most room for longest; "left",
    "right", "center" and N go by where people are on average, N counting from the left, among
    those who are seen for a fifth as long as anybody; a point picks whoever is the first to stand
    there, or comes nearest to it.

    Raises:
        DetectionError: where nobody is seen, or not as many people as N.
    """
    tracklets = link(detections, fps)
    undo_crossing_swaps(tracklets, detections, fps)
    people = merge_tracklets(tracklets, len(detections), fps)
    if not people:
        raise nobody_seen(len(detections))
    longest = max(person.seen.sum() for person in people)
    lasting = [person for person in people if person.seen.sum() >= LASTING_SHARE * longest]
    at_once = np.sum([person.seen for person in lasting], axis=0)
    chosen = lasting[0] if len(lasting) == 1 else _choose(lasting, detections, wanted)
    if isinstance(wanted, int) and wanted > len(lasting):
        raise DetectionError(
            f"person: {wanted} was asked for, but {len(lasting)} "
            f"{'person is' if len(lasting) == 1 else 'people are'} seen for long enough in the "
            f"driver; pass a number from 1 to {len(lasting)}, or leave it out"
        )
    most = np.sort(at_once)[::-1][max(int(np.ceil(LASTING_SHARE * longest)), 1) - 1]
    index = _with_lone_others(chosen, people, fps)
    others = [person.detection_index for person in people if person is not chosen]
    others = [np.where(other == index, -1, other) for other in others]
    lasting_others = tuple(other for other in others if (other >= 0).any())
    return PickedPerson(index, max(int(most), 1), lasting_others)


def _choose(
    people: list[TrackedPerson], detections: Sequence[Sequence[Detection]], wanted: Wanted
) -> TrackedPerson:
    boxes = [_boxes(person, detections) for person in people]
    if isinstance(wanted, tuple):
        return people[_at_point(boxes, np.array(wanted))]
    if wanted == "largest":
        room = [np.hypot(*(box[:, 2:] - box[:, :2]).T).sum() for _, box in boxes]
        return people[int(np.argmax(room))]
    middle = np.array([(box[:, 0] + box[:, 2]).mean() / 2 for _, box in boxes])
    if wanted == "center":
        width = next(s.pose.width for everybody in detections for s in everybody)
        return people[int(np.argmin(np.abs(middle - width / 2)))]
    order = np.argsort(middle, kind="stable")
    rank = {"left": 0, "right": -1}[wanted] if isinstance(wanted, str) else wanted - 1
    return people[int(order[min(rank, len(order) - 1)])]


def _boxes(
    person: TrackedPerson, detections: Sequence[Sequence[Detection]]
) -> tuple[Integers, Floats]:
    """Frames in which somebody is seen, and the boxes around them: (n,), (n, 4)."""
    frames = np.flatnonzero(person.seen)
    index = person.detection_index
    clip = PoseClip.of([detections[frame][index[frame]].pose for frame in frames])
    clip.forget_impossible_points()
    low = np.nan_to_num(clip.points, nan=np.inf).min(axis=1)
    high = np.nan_to_num(clip.points, nan=-np.inf).max(axis=1)
    return frames, np.concatenate([low, high], axis=1).astype(np.float64)


def _at_point(boxes: list[tuple[Integers, Floats]], point: Floats) -> int:
    """Who is the first whose box holds the point, else whose box comes nearest.

    Of several who hold it at once the one whose middle is nearest to it.
    """
    ranks = []
    for frames, box in boxes:
        outside = np.maximum(np.maximum(box[:, :2] - point, point - box[:, 2:]), 0.0)
        distance = np.hypot(*outside.T)
        first = int(np.argmin(distance))  # the first of those at 0
        from_middle = float(np.hypot(*((box[first, :2] + box[first, 2:]) / 2 - point)))
        ranks.append((float(distance[first]), int(frames[first]), from_middle))
    return ranks.index(min(ranks))


def _with_lone_others(chosen: TrackedPerson, people: list[TrackedPerson], fps: float) -> Integers:
    """(frames,) the chosen one's detections, and those of who is alone while they are away.

    There is nobody else to choose then; that they are never seen together makes them the same
    person in other clothes, light or framing more often than not.
    """
    index = chosen.detection_index.copy()
    anybody = np.sum([person.seen for person in people], axis=0)
    for person in sorted(people, key=lambda person: -int(person.seen.sum())):
        together = (person.seen & (index >= 0)).any()
        alone = (anybody[person.seen] == 1).all()
        if person is not chosen and not together and alone and person.seen.sum() >= ALONE_S * fps:
            index[person.seen] = person.detection_index[person.seen]
    return index
