"""The driver's motion in the network's frame, and how it is kept for a run that goes on later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import EXTRAS, PARTS, Pose
from magicpose_cli.pose.tracking.track import TrackReport

POINT_FIELDS = tuple(name for part in PARTS for name in (part, f"{part}_score"))
REFERENCE = "reference_"  # before the names of the reference's own points
DRIVER = "driver_"  # and of the driver's


@dataclass
class Motion:
    """The driver's motion in the reference's picture, and how it came there.

    Attributes:
        poses: one a frame, in pixels of the network's frame; no frames for ready-drawn maps.
        framing: of the reference's picture for the network.
        detector: that saw the driver's person; "" for a pose file.
        retarget: the mode used.
        anchor: the driver's frame that was laid onto the reference.
        track: what was found and put right in following the person.
        notes: what a user should know, a line each.
        reference_pose: the reference's own pose, in pixels of the network's frame, where it was
            looked for.
        shown: the framing of the reference's picture for the result, where that is another.
        tracked: the poses in the driver's own pixels, where they are needed.
        placing: the framing of ready-drawn maps for the network.
    """

    poses: PoseClip
    framing: Framing
    detector: str = ""
    retarget: str = "none"
    anchor: int | None = None
    track: TrackReport | None = None
    notes: tuple[str, ...] = ()
    reference_pose: Pose | None = None
    shown: Framing | None = None
    tracked: PoseClip = field(default_factory=lambda: PoseClip.empty(0, 0))
    placing: Framing | None = None

    @property
    def result_framing(self) -> Framing:
        """Of the reference's picture, as the result shows it."""
        return self.shown or self.framing

    def in_result(self, pose: Pose) -> Pose:
        """A pose of the network's frame, in pixels of the result."""
        return self.framing.between(self.result_framing).pose(pose)

    def report(self) -> dict[str, Any]:
        """All but the poses, for JSON."""
        told = ("detector", "retarget", "anchor", "notes")
        return {
            **{name: getattr(self, name) for name in told},
            "window": self.result_framing.window,
            "shown": asdict(self.shown) if self.shown else None,
            "network_window": self.framing.window,
            "maps_window": self.placing.window if self.placing else None,
            "track": asdict(self.track) if self.track else None,
        }

    def arrays(self) -> dict[str, AnyArray]:
        """The poses of all frames, a part's points (frames, n, 2) and scores (frames, n), exact.

        Meshes (frames, 478, 3) are NaN where a frame has none. The guesses of the joints are kept
        of the reference alone.
        """
        arrays = _kept(self.poses)
        if self.tracked:
            arrays |= {DRIVER + name: rows for name, rows in _kept(self.tracked).items()}
        if self.reference_pose is not None:
            own = {name: getattr(self.reference_pose, name) for name in (*POINT_FIELDS, *EXTRAS)}
            arrays |= {REFERENCE + name: value for name, value in own.items() if value is not None}
        return arrays

    @classmethod
    def restored(
        cls,
        arrays: dict[str, AnyArray],
        told: dict[str, Any],
        size: tuple[int, int],
        driver_size: tuple[int, int] = (0, 0),
    ) -> Motion:
        """The same motion out of its `arrays` and `report`.

        size: (width, height) of the network's frame; driver_size: of the driver's frames.
        """
        width, height = size
        own = {n.removeprefix(DRIVER): rows for n, rows in arrays.items() if n.startswith(DRIVER)}
        track = told["track"]
        if track is not None:
            track = TrackReport(
                **{
                    **track,
                    "missing": tuple(track["missing"]),
                    "held": tuple((first, last) for first, last in track["held"]),
                }
            )
        reference_pose = None
        if REFERENCE + POINT_FIELDS[0] in arrays:
            kept = [name for name in (*POINT_FIELDS, *EXTRAS) if REFERENCE + name in arrays]
            values: dict[str, Any] = {name: arrays[REFERENCE + name] for name in kept}
            reference_pose = Pose(width, height, **values)
        return cls(
            PoseClip.from_arrays(arrays, width, height),
            _framing(told["network_window"], width, height),
            told["detector"],
            told["retarget"],
            told["anchor"],
            track,
            tuple(told["notes"]),
            reference_pose,
            _framing(**told["shown"]) if told["shown"] else None,
            PoseClip.from_arrays(own, *driver_size) if own else PoseClip.empty(*driver_size),
            _framing(maps, width, height) if (maps := told["maps_window"]) else None,
        )

    def sources(self, frames: int, threshold_px: float) -> list[int]:
        """For each frame the one whose picture it shows: itself, or an earlier one in its pose.

        A frame follows the last one made where no point has come, gone or moved by more than
        `threshold_px` since; with 0 what is reused is the same picture. Ready-drawn maps are not
        compared.
        """
        if not len(self.poses):
            return list(range(frames))
        sources: list[int] = []
        for i, pose in enumerate(self.poses):
            repeats = sources and is_unchanged(self.poses[sources[-1]], pose, threshold_px)
            sources.append(sources[-1] if repeats else i)
        return sources


def _framing(window: Sequence[float], width: int, height: int) -> Framing:
    """Out of what JSON keeps of one."""
    left, top, right, bottom = window
    return Framing((left, top, right, bottom), width, height)


def _kept(clip: PoseClip) -> dict[str, AnyArray]:
    """A clip's arrays but for the guesses."""
    return {name: rows for name, rows in clip.arrays().items() if name != "body_guess"}


def is_unchanged(one: Pose, other: Pose, threshold_px: float) -> bool:
    """Whether no point has come, gone or moved by more than so many pixels."""
    if not _is_mesh_unchanged(one.face_mesh, other.face_mesh, threshold_px):
        return False
    for part in PARTS:
        seen, now = getattr(one, f"{part}_score") > 0, getattr(other, f"{part}_score") > 0
        if not np.array_equal(seen, now):
            return False
        moved = getattr(other, part)[now] - getattr(one, part)[now]
        if moved.size and not np.hypot(moved[:, 0], moved[:, 1]).max() <= threshold_px:
            return False
        if threshold_px == 0 and not np.array_equal(
            getattr(one, f"{part}_score"), getattr(other, f"{part}_score")
        ):
            return False
    return True


def _is_mesh_unchanged(one: AnyArray | None, other: AnyArray | None, threshold_px: float) -> bool:
    if one is None or other is None:
        return one is other
    if threshold_px == 0:
        return np.array_equal(one, other)
    moved = other[:, :2] - one[:, :2]
    return bool(np.hypot(moved[:, 0], moved[:, 1]).max() <= threshold_px)
