"""The driver's motion on the network's canvas, and the maps that show it to the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.driver import Detections, Driver, follow, see
from magicpose_cli.motion.framing import (
    DrawnExtent,
    Extent,
    Framing,
    extent,
    frame,
    frame_both,
    frame_clip,
    frame_figure,
    same_shape,
)
from magicpose_cli.pose.keypoints import BODY_JOINTS, EXTRAS, PARTS, Pose
from magicpose_cli.pose.retargeting.in_place import in_place
from magicpose_cli.pose.retargeting.missing_parts import names_of
from magicpose_cli.pose.retargeting.retarget import retarget
from magicpose_cli.pose.tracking.stack import mesh_rows, meshes_of
from magicpose_cli.pose.tracking.track import TrackReport

SPACES = ("body_3d", "face_3d")
POINTS = tuple(name for part in PARTS for name in (part, f"{part}_score"))
STILL = "reference_"  # before the names of the reference's own points
DRIVER = "driver_"  # and of the driver's
GONE = 1 / 3  # of the joints outside of the picture: the person leaves it, not a raised hand
Size = tuple[int, int]
"""Width, height in pixels."""


@dataclass
class Motion:
    """The driver's motion in the reference's picture, and how it came there.

    poses: one a frame, in pixels of the network's canvas; [] for ready-drawn maps. framing: of the
    reference's picture for the network; shown: for the result, where that is another. retarget: the
    mode used. anchor: the driver's frame that was laid onto the reference. track: what was mended.
    notes: what a user should know, a line each. still: the reference's own pose, in pixels of the
    canvas, where it was looked for. tracked: the poses in the driver's own pixels, where they are
    needed. placing: of ready-drawn maps for the network.
    """

    poses: list[Pose]
    framing: Framing
    detector: str = ""
    retarget: str = "none"
    anchor: int | None = None
    track: TrackReport | None = None
    notes: tuple[str, ...] = ()
    still: Pose | None = None
    shown: Framing | None = None
    tracked: list[Pose] = field(default_factory=list)
    placing: Framing | None = None

    @property
    def result_framing(self) -> Framing:
        """Of the reference's picture, as the result shows it."""
        return self.shown or self.framing

    def in_result(self, pose: Pose) -> Pose:
        """A pose of the network's canvas, in pixels of the result."""
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

    def arrays(self) -> dict[str, np.ndarray]:
        """The poses of all frames, a part's points (frames, n, 2) and scores (frames, n), exact.

        Meshes (frames, 478, 3) are NaN where a frame has none. The guesses of the joints are kept
        of the reference alone.
        """
        arrays = _arrays_of(self.poses)
        if self.tracked:
            arrays |= {DRIVER + name: rows for name, rows in _arrays_of(self.tracked).items()}
        if self.still is not None:
            kept = {name: getattr(self.still, name) for name in (*POINTS, *EXTRAS)}
            arrays |= {STILL + name: value for name, value in kept.items() if value is not None}
        return arrays

    @classmethod
    def restored(
        cls,
        arrays: dict[str, np.ndarray],
        told: dict[str, Any],
        size: tuple[int, int],
        driver_size: tuple[int, int] = (0, 0),
    ) -> Motion:
        """The same motion out of its `arrays` and `report`.

        size: (width, height) of the network's canvas; driver_size: of the driver's frames.
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
        still = None
        if STILL + POINTS[0] in arrays:
            kept = [name for name in (*POINTS, *EXTRAS) if STILL + name in arrays]
            still = Pose(width, height, **{name: arrays[STILL + name] for name in kept})
        return cls(
            _poses_of(arrays, size),
            _framing(told["network_window"], width, height),
            told["detector"],
            told["retarget"],
            told["anchor"],
            track,
            tuple(told["notes"]),
            still,
            _framing(**told["shown"]) if told["shown"] else None,
            _poses_of(own, driver_size) if own else [],
            _framing(maps, width, height) if (maps := told["maps_window"]) else None,
        )

    def sources(self, frames: int, threshold_px: float) -> list[int]:
        """For each frame the one whose picture it shows: itself, or an earlier one in its pose.

        A frame follows the last one made where no point has come, gone or moved by more than
        `threshold_px` since; with 0 what is reused is the same picture. Ready-drawn maps are not
        compared.
        """
        if not self.poses:
            return list(range(frames))
        sources: list[int] = []
        for i, pose in enumerate(self.poses):
            still = sources and _still(self.poses[sources[-1]], pose, threshold_px)
            sources.append(sources[-1] if still else i)
        return sources


def _framing(window: Sequence[float], width: int, height: int) -> Framing:
    """Out of what JSON keeps of one."""
    left, top, right, bottom = window
    return Framing((left, top, right, bottom), width, height)


def _arrays_of(poses: Sequence[Pose]) -> dict[str, np.ndarray]:
    arrays = {}
    for part, points in PARTS.items():
        for name, shape in ((part, (points, 2)), (f"{part}_score", (points,))):
            values = [getattr(pose, name) for pose in poses]
            arrays[name] = np.stack(values) if values else np.zeros((0, *shape), np.float32)
    for name in SPACES:
        if any(getattr(pose, name) is not None for pose in poses):
            unknown = np.full((EXTRAS[name], 3), np.nan, np.float32)
            values = [getattr(pose, name) for pose in poses]
            arrays[name] = np.stack([unknown if value is None else value for value in values])
    meshes = meshes_of(poses)
    if meshes is not None:
        arrays["face_mesh"] = meshes
    return arrays


def _poses_of(arrays: dict[str, np.ndarray], size: tuple[int, int]) -> list[Pose]:
    names = [*POINTS, *(name for name in SPACES if name in arrays)]
    columns = [arrays[name] for name in names]
    meshes = mesh_rows(arrays.get("face_mesh"), len(arrays[POINTS[0]]))
    return [
        Pose(*size, **dict(zip(names, row, strict=True)), face_mesh=mesh)
        for *row, mesh in zip(*columns, meshes, strict=True)
    ]


def find_people(path: Path, picture: np.ndarray, detector: str) -> list[Pose]:
    """Who is in a reference; the first is the person to be moved. Raises DetectionError where
    nobody is."""
    from magicpose_cli.pose.detection.detect import detect_settled, load_detector

    loaded = load_detector(detector, still=True)
    try:
        people = detect_settled(loaded, detector, picture)
    finally:
        loaded.close()
    if not people:
        raise DetectionError(
            f"{path}: no person was found in the reference; choose a picture that shows one, or "
            "use the driver's poses where they are with --retarget none --warp off"
        )
    return people


def needs_target(driver: Driver, preset: Preset) -> bool:
    """Whether the driver's motion is laid onto the reference's person."""
    return driver.kind != "pose-maps" and preset.motion.retarget != "none"


def lacks_person(driver: Driver, preset: Preset, picture: np.ndarray, size: Size) -> bool:
    """Whether the reference's person should be looked for although nothing is laid onto them: a
    window of another shape than the picture has to know where they are."""
    whole = (picture.shape[1], picture.shape[0])
    crops = preset.frame.fit == "crop" and not same_shape(whole, size)
    return crops and not needs_target(driver, preset)


def read_motion(
    driver: Driver,
    target: Pose | None,
    picture: np.ndarray,
    size: Size,
    preset: Preset,
    seen: Detections | None = None,
    shown_size: Size | None = None,
) -> Motion:
    """Track, retarget and frame: the driver's motion on the network's canvas (width, height), moved
    onto the reference's body.

    target: the person of the reference `picture`, where it is known; ready-drawn maps, and with
    `retarget = "none"` poses, keep their place in the driver's own picture. seen: what `driver.see`
    has found; None looks now. shown_size: (width, height) of a result that is more than the
    network's frame.
    """
    settings, frames = preset.motion, preset.frame
    whole = (picture.shape[1], picture.shape[0])
    own = (driver.clip.width, driver.clip.height)
    if driver.kind == "pose-maps":
        drawn = None if same_shape(own, size) or frames.fit != "crop" else _drawn(driver)
        framing, placing = _in_place(whole, own, size, frames.fit, target, drawn)
        lines = [*driver.notes, *_cut(framing, target)]
        if preset.output.save_poses:
            lines.append("pose maps are pictures, so that there are no poses to save")
        return Motion([], framing, notes=tuple(lines), placing=placing)
    seen = seen or see(driver, settings)
    poses, report = follow(driver, seen.people, settings)
    moved = retarget(
        in_place(poses, float(driver.rate)) if settings.follow else poses,
        target,
        settings.retarget,
        anchor=str(settings.anchor),
        expression=settings.expression,
        head=settings.head,
    )
    if moved.mode == "none":
        framing, placing = _in_place(whole, own, size, frames.fit, target, extent(moved.poses))
    else:
        framing = placing = frame_clip(
            whole, size, frames.fit, target, moved.poses,
            zoom=frames.paste_back, fade=frames.feather,
        )  # fmt: skip
    shown = None
    if shown_size is not None:
        laid = moved.poses if moved.mode != "none" else []
        shown = _shown(whole, shown_size, preset, framing, target, laid)
    placed = [placing.pose(pose) for pose in moved.poses]
    result = framing.between(shown) if shown else Framing((0, 0, *size), *size)
    notes = (
        *driver.notes, *seen.notes, *report.notes(), *moved.notes(),
        *_cut(shown or framing, target), *_leaving(result, placed, settings.follow),
    )  # fmt: skip
    return Motion(
        poses=placed,
        framing=framing,
        detector=seen.detector,
        retarget=moved.mode,
        anchor=moved.anchor,
        track=report,
        notes=notes,
        shown=shown,
        tracked=poses if shown and driver.kind == "video" and moved.anchor is not None else [],
    )


def _in_place(
    whole: Size, own: Size, size: Size, fit: str, person: Pose | None, held: Extent | None
) -> tuple[Framing, Framing]:
    """The framings of the reference and of poses that keep their place in pictures of size `own`.

    Two pictures of one shape show the same place: they have one window. person: of the reference.
    held: where the poses are.
    """
    if fit != "crop":
        return frame(whole, size, fit), frame(own, size, fit)
    still = None if person is None else extent([person])
    if not same_shape(own, whole):
        return frame_both(whole, size, still, None), frame_figure(own, size, held)
    across, down = whole[0] / own[0], whole[1] / own[1]
    moving = None if held is None else held.scaled(across, down)
    framing = frame_both(whole, size, still, moving)
    left, top, right, bottom = framing.window
    window = (left / across, top / down, right / across, bottom / down)
    return framing, Framing(window, *size)


def _drawn(driver: Driver) -> Extent | None:
    """Where somebody is drawn in ready-drawn maps; takes a look through all of the film."""
    drawn = DrawnExtent()
    for picture in driver.frames():
        drawn.add(picture)
    return drawn.extent()


def _cut(framing: Framing, person: Pose | None) -> Iterator[str]:
    """A line where the window of a crop leaves out what the reference shows of its person."""
    if person is None:
        return
    inside = Framing((0, 0, person.width, person.height), person.width, person.height)
    cut = inside.shows(person.body) & ~framing.shows(person.body)
    names = names_of({name for name, lost in zip(BODY_JOINTS, cut, strict=True) if lost})
    if names:
        yield (
            f"a frame of {framing.width}x{framing.height} leaves out the reference's "
            f"{', '.join(names)}; --size with one number takes the picture's own shape, --fit pad "
            "shows all of it"
        )


def _leaving(window: Framing, poses: Sequence[Pose], followed: bool) -> Iterator[str]:
    """A line where the person moves out of the picture."""
    body = np.stack([pose.body for pose in poses])
    seen = np.isfinite(body).all(axis=2)
    out = seen & ~window.shows(body)
    count = int((out.sum(axis=1) > GONE * seen.sum(axis=1)).sum())
    if count:
        help = "" if followed else "; --follow keeps them in it"
        yield f"the person leaves the picture in {count} of {len(poses)} frames{help}"


def _shown(
    whole: Size,
    size: Size,
    preset: Preset,
    framing: Framing,
    target: Pose | None,
    poses: Sequence[Pose],
) -> Framing:
    """The part of the reference that a warped result shows: all of it, or the window that is pasted
    back into it, or what another aspect cuts out."""
    if preset.frame.paste_back:
        left, top, right, bottom = framing.window
        wide, high = right - left, bottom - top
        scale = min(1.0, min(size) / min(wide, high))
        return Framing(framing.window, max(1, round(scale * wide)), max(1, round(scale * high)))
    if "x" not in str(preset.frame.size) and same_shape(whole, size):
        return frame(whole, size, "stretch")  # of its own aspect but for a rounded pixel
    return frame_clip(whole, size, preset.frame.fit, target, poses)


def draw_maps(
    driver: Driver,
    motion: Motion,
    canvas: int,
    size: tuple[int, int],
    preset: Preset,
    frames: Sequence[int],
) -> Iterator[np.ndarray]:
    """What the network sees, one (H, W, 3) uint8 picture for each of these frames.

    frames: rising indices into the chosen frames of the driver.
    """
    from PIL import Image

    from magicpose_cli.pose.pose_map import pose_map

    if driver.kind != "pose-maps":
        return (pose_map(motion.poses[i], canvas) for i in frames)
    framing = motion.placing
    assert framing is not None  # as of all such maps
    return (
        framing.picture(picture, Image.Resampling.BILINEAR)
        for picture in picked(driver.frames(), frames)
    )


def picked(pictures: Iterator[np.ndarray], indices: Iterable[int]) -> Iterator[np.ndarray]:
    """Those of a sequence that stand at these rising indices."""
    at = 0
    for index in indices:
        yield from islice(pictures, index - at, index - at + 1)
        at = index + 1


def _still(one: Pose, other: Pose, threshold_px: float) -> bool:
    """No point, of the face's mesh neither, has come, gone or moved by more than so many pixels."""
    if not _mesh_still(one.face_mesh, other.face_mesh, threshold_px):
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


def _mesh_still(one: np.ndarray | None, other: np.ndarray | None, threshold_px: float) -> bool:
    if one is None or other is None:
        return one is other
    if threshold_px == 0:
        return np.array_equal(one, other)
    moved = other[:, :2] - one[:, :2]
    return bool(np.hypot(moved[:, 0], moved[:, 1]).max() <= threshold_px)
