"""The driver's motion on the reference's body.

`align` moves and scales the whole clip at once, so proportions stay the driver's. `skeleton` puts
the motion on the reference's bones. `full` puts the expression and the turn of the head on the
reference's own face as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.align import BELOW_HEAD, HEAD, align, shift_at
from magicpose_cli.pose.retargeting.anchor import find_anchor
from magicpose_cli.pose.retargeting.face_motion import retarget_face
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.pose.retargeting.holding import hold_rest
from magicpose_cli.pose.retargeting.mesh import carried_meshes
from magicpose_cli.pose.retargeting.missing_parts import lacking
from magicpose_cli.pose.retargeting.points import FACE, INDEX, NAMES, PLACES, named_points
from magicpose_cli.pose.retargeting.proportions import alike_lines, compare
from magicpose_cli.pose.retargeting.skeleton import find_root, on_bones

MODES = ("auto", "none", "align", "skeleton", "full")
TRUNK = ("neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip")
CLOSE = 0.25  # of the picture's height, brows to chin: a body below that fits into it but in part
BODY_SHARE = 0.25  # of the frames: a person may leave the picture, a talking head has glimpses
LIMBS = ("right_elbow", "left_elbow", "right_knee", "left_knee")


@dataclass(frozen=True)
class Retargeted:
    """The poses in the reference's picture, and what was decided.

    mode: what "auto" became. anchor: the driver's frame that was laid onto the reference; None
    where there is none. dropped: parts of the driver that the reference lacks. held: parts that the
    driver does not show, kept as the reference has them. lends_face: whether the driver's face is
    put on a reference on whose head none was found.
    """

    poses: list[Pose]
    mode: str
    anchor: int | None = None
    dropped: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    lends_face: bool = False

    def notes(self) -> list[str]:
        """What a user should know of it, a line each."""
        lines = []
        if self.dropped:
            lines.append(f"the reference does not show {', '.join(self.dropped)}: left out")
        if self.held:
            lines.append(
                f"the driver does not show {', '.join(self.held)}: kept as in the reference"
            )
        if self.lends_face:
            lines.append("the reference's head shows no face points: the driver's are put on it")
        return lines


def retarget(
    poses: Sequence[Pose],
    target: Pose | None,
    mode: str = "auto",
    *,
    anchor: str = "best",
    expression: float = 1.0,
    head: float = 1.0,
) -> Retargeted:
    """Move the clip `poses` onto the person of the reference picture, `target`.

    mode:
        none: the poses as they are, in the driver's pixels; `target` is not looked at.
        align: one scale for the whole clip; body and head are laid onto the reference's.
        skeleton: every bone in the driver's direction with the reference's length.
        full: also the face; `expression` and `head` (0..2) scale expression and turn of the head.
        auto: skeleton where both show a body; else, and where the driver is mostly face, align with
            the head at its own size. Skeleton and full become align where the two have no joint in
            common to begin at.
    anchor: "best", "first" or a frame's number: where the driver stands as the reference does.

    Results are in the target's pixels and size; a part that the target lacks because the picture
    ends there is dropped, and a part that the driver hardly ever shows stays as the target has it.
    Errors: DetectionError where `target` is empty or shares no two points with the driver,
    ConfigError for an unknown mode or anchor.
    """
    if mode not in MODES:
        raise ConfigError(f"retarget: {mode!r} is not known; expected one of {', '.join(MODES)}")
    if mode == "none":
        return Retargeted(list(poses), mode)
    if target is None or target.is_empty:
        raise DetectionError(
            "reference: no person was found in the picture to align the driver with; "
            "take a clearer picture, or pass --retarget none to use the driver's poses as they are"
        )
    frame = find_anchor(poses, target, anchor)
    ratios = compare(target, poses, frame)
    root = find_root(target, poses)
    bust = mode == "auto" and (_is_close(poses) or not _shows_body(poses))
    if mode == "auto":
        mode = "skeleton" if _shows_body([target]) and not bust else "align"
    seen = named_points(poses)
    if mode == "align" or ratios is None or root is None:
        mode, alike = "align", True
        moved = align(poses, target, ratios, frame, bust=bust)
    else:
        alike = anchor != "best" or bool(alike_lines(target, poses[frame]).any())
        moved = on_bones(poses, target, ratios, root, frame, alike)
        if alike:
            _lay_on(moved, named_points([target])[0], frame)
    if mode == "full":
        _put_on_face(moved, retarget_face(poses, target, frame, expression=expression, head=head))
    moved[~np.isfinite(seen)] = np.nan
    meshes = carried_meshes(
        poses, moved, target, frame, alike=alike, expression=expression, head=head
    )
    dropped, indices = lacking(target, seen, ratios.whole if ratios else 1.0)
    moved[:, indices] = np.nan
    lends = np.isfinite(moved[:, FACE]).any() and not np.isfinite(target.face).any()
    held, still = hold_rest(moved, named_points([target])[0])
    scores = np.where(still, _scores(target), 0.0)
    placed = [
        replace(_posed(pose, points, scores, target), face_mesh=mesh, body_3d=pose.body_3d)
        for pose, points, mesh in zip(poses, moved, meshes, strict=True)
    ]
    return Retargeted(placed, mode, frame, dropped, held, bool(lends))


def _shows_body(poses: Sequence[Pose]) -> bool:
    """Whether a good share of the frames shows more of a body than a head on shoulders."""
    body = np.isfinite(np.stack([pose.body for pose in poses])).all(axis=2)
    trunk, limbs = (
        body[:, [BODY_JOINTS.index(name) for name in names]].sum(axis=1) for names in (TRUNK, LIMBS)
    )
    return bool(((trunk >= 3) & (trunk + limbs >= 4)).mean() >= BODY_SHARE)


def _is_close(poses: Sequence[Pose]) -> bool:
    """Whether the face fills so much of the picture that the rest of the body is hardly seen."""
    face = np.stack([pose.face for pose in poses]).astype(np.float64)
    seen = np.isfinite(face).all(axis=(1, 2))
    if not seen.any():
        return False
    heights = np.ptp(face[seen, :, 1], axis=1) / poses[0].height
    return bool(np.median(heights) >= CLOSE)


def _lay_on(moved: np.ndarray, reference: np.ndarray, frame: int) -> None:
    """Body and head of `moved` (frames, points, 2) onto the reference's in a frame that stands as
    it does, in place: no bone's length is known to the pixel."""
    for group, goes_along in ((BELOW_HEAD, list(range(len(NAMES)))), (HEAD, HEAD)):
        shift = shift_at(reference, moved, frame, group)
        if shift is not None:
            moved[:, goes_along] += shift


def _put_on_face(moved: np.ndarray, offsets: np.ndarray) -> None:
    """Face and head joints of (frames, points, 2) from their offsets to the nose, in place."""
    new = moved[:, None, INDEX["nose"]] + offsets
    indices = [*range(FACE.start, FACE.stop), *HEAD_JOINTS]
    moved[:, indices] = np.where(np.isfinite(new), new, moved[:, indices])


def _scores(pose: Pose) -> np.ndarray:
    """(points,) of NAMES."""
    scores = np.zeros(len(NAMES))
    for part, where in PLACES.items():
        scores[where] = getattr(pose, f"{part}_score")
    return scores


def _posed(pose: Pose, points: np.ndarray, held: np.ndarray, target: Pose) -> Pose:
    """The pose with its points moved to (points, 2) of NAMES, in the target's picture.

    held: (points,) scores of those that are not the driver's, else 0.
    """
    scores = np.where(held > 0, held, _scores(pose))
    scores[~np.isfinite(points).all(axis=1)] = 0.0
    rows = np.column_stack([points, scores])
    parts = {part: rows[where] for part, where in PLACES.items()}
    return Pose.of(target.width, target.height, **parts)
