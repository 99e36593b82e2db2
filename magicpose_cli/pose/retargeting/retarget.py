"""The driver's motion on the reference's body.

`align` moves and scales the whole clip at once, so proportions stay the driver's. `skeleton` puts
the motion on the reference's bones. `full` puts the expression and the turn of the head on the
reference's own face as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Mask, Points, Scores
from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.align import BELOW_HEAD, HEAD_POINTS, align, shift_at
from magicpose_cli.pose.retargeting.anchor import find_anchor
from magicpose_cli.pose.retargeting.face_motion import retarget_face
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.pose.retargeting.mesh import carried_meshes
from magicpose_cli.pose.retargeting.missing_parts import missing_parts
from magicpose_cli.pose.retargeting.points import (
    FACE,
    POINT_INDEX,
    POINT_INDICES,
    POINT_NAMES,
    named_points,
)
from magicpose_cli.pose.retargeting.proportions import Ratios, alike_lines, compare_proportions
from magicpose_cli.pose.retargeting.reference_parts import keep_reference_parts
from magicpose_cli.pose.retargeting.skeleton import find_root, on_bones

MODES = ("auto", "none", "align", "skeleton", "full")
TRUNK_JOINTS = ("neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip")
CLOSE = 0.25  # of the picture's height, brows to chin: a body below that fits into it but in part
BODY_SHARE = 0.25  # of the frames: a person may leave the picture, a talking head has glimpses
LIMB_JOINTS = ("right_elbow", "left_elbow", "right_knee", "left_knee")


@dataclass(frozen=True)
class Retargeted:
    """The poses in the reference's picture, and what was decided.

    Attributes:
        poses: one a frame.
        mode: what "auto" became.
        anchor: the driver's frame that was laid onto the reference; None where there is none.
        dropped: parts of the driver that the reference lacks.
        held: parts that the driver does not show, kept as the reference has them.
        lends_face: whether the driver's face is put on a reference on whose head none was found.
        is_held: whether the person is kept inside of the picture.
    """

    poses: PoseClip
    mode: str
    anchor: int | None = None
    dropped: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    lends_face: bool = False
    is_held: bool = False

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
        if self.is_held:
            lines.append(
                "the driver would carry the person out of the reference's picture, or off the edge "
                "that cuts them off: they are kept inside; --no-follow lets go"
            )
        return lines


def retarget(
    poses: Sequence[Pose],
    target: Pose | None,
    mode: str = "auto",
    *,
    anchor: str = "best",
    expression: float = 1.0,
    head: float = 1.0,
    gaze: float = 1.0,
) -> Retargeted:
    """Move a clip onto the person of the reference picture.

    Args:
        poses: the driver's person, one pose a frame.
        target: the reference's person.
        mode: "none" leaves the poses as they are, in the driver's pixels; `target` is not looked
            at. "align" takes one scale for the whole clip; body and head are laid onto the
            reference's. "skeleton" turns every bone in the driver's direction with the reference's
            length. "full" moves the face as well. "auto" is skeleton where both show a body; else,
            and where the driver is mostly face, align with the head at its own size. Skeleton and
            full become align where the two have no joint in common to begin at.
        anchor: "best", "first" or a frame's number: where the driver stands as the reference does.
        expression: scales the expression, 0 to 2, with "full".
        head: scales the turn of the head, 0 to 2, with "full".
        gaze: scales the gaze of a dense face, 0 to 2.

    Returns:
        Poses in the target's pixels and size; a part that the target lacks because the picture ends
        there is dropped, and a part that the driver hardly ever shows stays as the target has it.

    Raises:
        DetectionError: where `target` is empty or shares no two points with the driver.
        ConfigError: for an unknown mode or anchor.
    """
    if mode not in MODES:
        raise ConfigError(f"retarget: {mode!r} is not known; expected one of {', '.join(MODES)}")
    clip = PoseClip.of(poses)
    if mode == "none":
        return Retargeted(clip, mode)
    if target is None or target.is_empty:
        raise DetectionError(
            "reference: no person was found in the picture to align the driver with; "
            "take a clearer picture, or pass --retarget none to use the driver's poses as they are"
        )
    frame = find_anchor(clip, target, anchor)
    ratios = compare_proportions(target, clip, frame)
    moved, mode, alike = _laid_on(clip, target, mode, ratios, frame, best=anchor == "best")
    if mode == "full":
        _put_on_face(moved, retarget_face(clip, target, frame, expression=expression, head=head))
    moved[~np.isfinite(named_points(clip))] = np.nan
    meshes = carried_meshes(
        clip, moved, target, frame,
        alike=alike, least_turn=anchor == "best", expression=expression, head=head, gaze=gaze,
    )  # fmt: skip
    scale = ratios.body_scale if ratios else 1.0
    return completed(clip, target, moved, mode, frame, meshes=meshes, scale=scale)


def completed(
    clip: PoseClip,
    target: Pose,
    moved: Floats,
    mode: str,
    anchor: int,
    *,
    meshes: Points | None,
    scale: float,
) -> Retargeted:
    """Make poses of points that are laid onto the reference.

    Args:
        clip: The driver's person.
        target: The reference's person.
        moved: (frames, points, 2) of POINT_NAMES in the target's picture, NaN where unseen; it is
            changed in place.
        mode: How they were laid on.
        anchor: The driver's frame that was laid onto the reference.
        meshes: (frames, 478, 3) dense faces in the target's picture.
        scale: Reference pixels a pixel of the driver.

    Returns:
        Poses without the parts that the target lacks because the picture ends there, and with the
        target's own of those that the driver hardly ever shows.
    """
    seen, reference = named_points(clip), named_points([target])[0]
    dropped, indices = missing_parts(target, seen, scale)
    moved[:, indices] = np.nan
    lends = np.isfinite(moved[:, FACE]).any() and not np.isfinite(target.face).any()
    held, kept = keep_reference_parts(moved, reference)
    points, scores = _in_picture(moved, kept, clip, target)
    placed = PoseClip(
        target.width, target.height, points, scores, clip.body_3d, face_mesh=meshes, fps=clip.fps
    )
    return Retargeted(placed, mode, anchor, dropped, held, bool(lends))


def _laid_on(
    clip: PoseClip, target: Pose, mode: str, ratios: Ratios | None, frame: int, *, best: bool
) -> tuple[Floats, str, bool]:
    """Body and head on the reference's.

    Returns:
        (frames, points, 2) of POINT_NAMES; the mode used; whether the driver stands as the
        reference does
        in the anchor's `frame`. best: whether that frame was chosen for standing so.
    """
    root = find_root(target, clip)
    bust = mode == "auto" and (_is_close(clip) or not _shows_body(clip))
    if mode == "auto":
        mode = "skeleton" if _shows_body(PoseClip.of([target])) and not bust else "align"
    if mode == "align" or ratios is None or root is None:
        return align(clip, target, ratios, frame, bust=bust), "align", True
    alike = not best or bool(alike_lines(target, clip[frame]).any())
    moved = on_bones(clip, target, ratios, root, frame, alike)
    if alike:
        shift_onto_reference(moved, named_points([target])[0], frame)
    return moved, mode, alike


def _shows_body(clip: PoseClip) -> bool:
    """Whether a good share of the frames shows more of a body than a head on shoulders."""
    body = np.isfinite(clip.part("body")).all(axis=2)
    trunk, limbs = (
        body[:, [BODY_JOINTS.index(name) for name in names]].sum(axis=1)
        for names in (TRUNK_JOINTS, LIMB_JOINTS)
    )
    return bool(((trunk >= 3) & (trunk + limbs >= 4)).mean() >= BODY_SHARE)


def _is_close(clip: PoseClip) -> bool:
    """Whether the face fills so much of the picture that the rest of the body is hardly seen."""
    face = clip.part("face").astype(np.float64)
    seen = np.isfinite(face).all(axis=(1, 2))
    if not seen.any():
        return False
    heights = np.ptp(face[seen, :, 1], axis=1) / clip.height
    return bool(np.median(heights) >= CLOSE)


def shift_onto_reference(moved: Floats, reference: Floats, frame: int) -> None:
    """Shift body and head, in place, onto the reference's in a frame that stands as it does.

    No bone's length is known to the pixel. moved: (frames, points, 2) of POINT_NAMES.
    """
    for group, goes_along in (
        (BELOW_HEAD, list(range(len(POINT_NAMES)))),
        (HEAD_POINTS, HEAD_POINTS),
    ):
        shift = shift_at(reference, moved, frame, group)
        if shift is not None:
            moved[:, goes_along] += shift


def _put_on_face(moved: Floats, offsets: Floats) -> None:
    """Face and head joints of (frames, points, 2) from their offsets to the nose, in place."""
    new = moved[:, None, POINT_INDEX["nose"]] + offsets
    indices = [*range(FACE.start, FACE.stop), *HEAD_JOINTS]
    moved[:, indices] = np.where(np.isfinite(new), new, moved[:, indices])


def _in_picture(moved: Floats, kept: Mask, clip: PoseClip, target: Pose) -> tuple[Points, Scores]:
    """Points and scores of a PoseClip from (frames, points, 2) of POINT_NAMES.

    kept: (points,) of POINT_NAMES, those that have the reference's scores, not the driver's.
    """
    points = moved[:, POINT_INDICES].astype(np.float32)
    own = np.where(kept[POINT_INDICES], PoseClip.of([target]).scores[0], np.float32(0))
    scores = np.where(own > 0, own, clip.scores)
    unseen = ~((scores > 0) & np.isfinite(points).all(axis=2))
    points[unseen], scores[unseen] = np.nan, 0.0
    return points, np.clip(scores, 0.0, 1.0)
