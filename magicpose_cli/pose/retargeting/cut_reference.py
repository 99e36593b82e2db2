"""A reference that the picture's edge cuts off, which a driver must not carry away from that edge.

Of a head the picture shows a piece of the neck, of a bust the trunk down to its edge, of a half
body the thighs. A driver who walks, bends or jumps would stretch the one and show the others' end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from magicpose_cli.arrays import Floats, softly_limited
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.pose.retargeting.in_place import filled
from magicpose_cli.pose.retargeting.points import FACE, POINT_INDEX, named_points

_NECK = BODY_JOINTS.index("neck")
_HIPS, _ANKLES = ([BODY_JOINTS.index(f"{side}_{name}") for side in ("right", "left")]
                  for name in ("hip", "ankle"))  # fmt: skip
# How far something goes at most to a side, up and down, in heights of the face, brows to chin.
HEAD_REACH, BUST_REACH = (0.7, 0.7, 0.7), (0.7, 0.15, 0.7)  # from their own place in the picture
NECK_REACH = (0.4, 0.25, 0.8)  # a head from its own place above the neck of a bust
FREE_SHARE = 4 / 7  # of these, up to which it goes freely
HALF_BODY_RISE = 0.06  # of the picture's short side, by which it may be continued below its edge
STRAYED = 0.5  # heights of the face, by which a neck is away from where it mostly is
OWN_FRAME = 0.06  # heights of the face, by which most points of one picture, found twice, differ
FACES_PER_PERSON = 8.0  # heights of a face in somebody whose face is not known
STRAYS_OFTEN = 0.1  # of the frames
SEEN_OFTEN = 0.5  # of the frames
HOLD_S = 0.1  # standard deviation of the average over time: a neck's point trembles


def is_cut(target: Pose) -> bool:
    """Tell whether a reference shows a face and no ankle."""
    return bool(np.isfinite(target.face).any() and not np.isfinite(target.body[_ANKLES]).any())


def is_half_body(target: Pose) -> bool:
    """Tell whether a cut reference shows hips; else it is a head or a bust."""
    return bool(np.isfinite(target.body[_HIPS]).any())


def is_own_frame(poses: Sequence[Pose], target: Pose) -> bool:
    """Tell whether a reference stands in its picture as the driver does in one of the frames.

    It is then taken from the film, and goes where the film goes.
    """
    clip = PoseClip.of(poses)
    own = PoseClip.of([target]).points[0].astype(np.float64)
    by = np.array([target.width / clip.width, target.height / clip.height])
    apart = np.linalg.norm(clip.points * by - own, axis=2)
    known = np.isfinite(apart)
    enough = known.sum(axis=1) >= np.isfinite(own[:, 0]).sum() / 2
    if not enough.any():
        return False
    height = _face_height(target) if np.isfinite(target.face).any() else 0.0
    if not height:
        height = float(np.ptp(own[np.isfinite(own[:, 1]), 1])) / FACES_PER_PERSON
    return bool(np.nanmedian(apart[enough], axis=1).min() <= OWN_FRAME * height)


def neck_strays(poses: Sequence[Pose]) -> bool:
    """Tell whether the neck often goes farther than a cut reference could show.

    Known only of a film that shows shoulders.
    """
    clip = PoseClip.of(poses)
    points = named_points(clip)
    neck, face = points[:, POINT_INDEX["neck"]], points[:, FACE]
    known = np.isfinite(neck).all(axis=1)
    seen = np.isfinite(face).all(axis=(1, 2))
    if known.mean() < SEEN_OFTEN or not seen.any():
        return False
    height = float(np.median(np.ptp(face[seen, :, 1], axis=1)))
    away = np.linalg.norm(neck[known] - np.median(neck[known], axis=0), axis=1)
    return bool((away > STRAYED * height).mean() > STRAYS_OFTEN)


def neck_held(poses: Sequence[Pose], fps: float) -> PoseClip:
    """Move each pose so that the neck stays where it begins: what is left is the head's motion."""
    clip = PoseClip.of(poses)
    neck = named_points(clip)[:, POINT_INDEX["neck"]]
    smooth = gaussian_filter1d(filled(neck), HOLD_S * fps, axis=0)
    return clip.shifted((smooth[0] - smooth).astype(np.float32))


def near_own_place(poses: Sequence[Pose], target: Pose) -> PoseClip | None:
    """Let a cut reference go no farther than its picture can show.

    What goes farther comes to rest softly: the middle of a head's face at HEAD_REACH, the neck of a
    bust at BUST_REACH, its head over that neck at NECK_REACH. A half body goes anywhere, but rises
    no higher than HALF_BODY_RISE.

    Args:
        poses: Laid onto the reference, in its pixels.
        target: The reference's own pose, as `is_cut` wants it.

    Returns:
        None where nothing goes so far.
    """
    clip = PoseClip.of(poses)
    if is_half_body(target):
        return _not_risen(clip, target)
    height = _face_height(target)
    faces, face = _middle_of_faces(clip, target)
    if not np.isfinite(target.body[_NECK]).all():
        steps = _steps_back(faces - face, HEAD_REACH, height)
        return None if steps is None else clip.shifted(steps)
    necks, neck = clip.part("body")[:, _NECK], target.body[_NECK]
    steps = _steps_back(necks.astype(np.float64) - neck, BUST_REACH, height)
    if steps is not None:
        clip = clip.shifted(steps)
    head_steps = _steps_back((faces - necks) - (face - neck), NECK_REACH, height)
    if head_steps is not None:
        clip = _with_heads_shifted(clip, head_steps)
    return None if steps is None and head_steps is None else clip


def _steps_back(off: Floats, reach: tuple[float, float, float], height: float) -> Floats | None:
    """(frames, 2) pixels back to where each frame comes to rest; None where all go freely.

    off: (frames, 2) pixels, NaN where unseen. reach: see HEAD_REACH; height: of the face.
    """
    if not np.isfinite(off).all(axis=1).any():
        return None
    off = filled(off)
    side, up, down = np.multiply(reach, height)
    most = np.stack([np.full(len(off), side), np.where(off[:, 1] < 0, up, down)], axis=1)
    far = np.linalg.norm(off / most, axis=1)
    if (far <= FREE_SHARE).all():
        return None
    rests = softly_limited(far, FREE_SHARE, 1.0) / np.maximum(far, 1e-9)
    return np.asarray(off * (rests - 1)[:, None], np.float32)


def _with_heads_shifted(clip: PoseClip, steps: Floats) -> PoseClip:
    """The clip with each frame's head moved by its own step, (frames, 2) pixels."""
    whole, points = clip.shifted(steps), clip.points.copy()
    face = PART_COLUMNS["face"]
    points[:, face] = whole.points[:, face]
    points[:, HEAD_JOINTS] = whole.points[:, HEAD_JOINTS]
    return replace(clip, points=points, face_mesh=whole.face_mesh)


def _not_risen(clip: PoseClip, target: Pose) -> PoseClip | None:
    """Lower a half body in the frames that would lift its end into the picture; None without."""
    hips = clip.part("body")[:, _HIPS].astype(np.float64)
    own = np.nanmean(target.body[_HIPS, 1])
    known = np.isfinite(hips[..., 1]).any(axis=1)
    most = HALF_BODY_RISE * min(target.width, target.height)
    rise = np.zeros((len(clip), 2))
    rise[known, 1] = own - np.nanmean(hips[known, :, 1], axis=1)
    if (rise <= most / 2).all():
        return None
    rise[~known] = np.nan
    rise = filled(rise)
    return clip.shifted((rise - softly_limited(rise, most / 2, most)).astype(np.float32))


def _middle_of_faces(clip: PoseClip, target: Pose) -> tuple[Floats, Floats]:
    """The middle of each frame's face, (frames, 2), NaN where unseen, and of the target's, (2,)."""
    faces, own = clip.part("face"), target.face
    if clip.face_mesh is not None and target.face_mesh is not None:
        faces, own = clip.face_mesh[..., :2], target.face_mesh[:, :2]
    middle = np.full((len(clip), 2), np.nan)
    known = np.isfinite(faces).all(axis=2).any(axis=1)
    middle[known] = np.nanmean(faces[known].astype(np.float64), axis=1)
    return middle, np.nanmean(own.astype(np.float64), axis=0)


def _face_height(pose: Pose) -> float:
    return float(np.ptp(pose.face[np.isfinite(pose.face).all(axis=1), 1]))
