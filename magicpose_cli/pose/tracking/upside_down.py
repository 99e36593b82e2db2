"""Frames in which a detector has stood somebody on their head: found and taken out.

A person turns over in some tenths of a second. Who is the other way up from one frame to the next
has been misread, in the one or the other; where a person was misread more often than not, the
clip does not tell, but for this: most people stand upright, and are read more surely as they are.
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip

FASTEST_S = 0.2  # for half a turn; what is farther apart tells nothing
UPRIGHT_WORTH = 1.25  # how many joints upside down one joint of somebody upright outweighs
SHORTEST = 0.05  # sizes of the person: a shorter trunk points at the camera, not up or down


def remove_upside_down(clip: PoseClip, size: Floats, fps: float) -> int:
    """Forget, in place, the frames in which the person is the wrong way up.

    size: (frames,) pixels, see `person_sizes`. Returns how many.
    """
    up = _up(clip)
    known = np.flatnonzero(np.hypot(*up.T) > SHORTEST * size)
    if len(known) < 2:
        return 0
    near = np.diff(known) <= max(1.0, FASTEST_S * fps)
    turned = near & ((up[known[1:]] * up[known[:-1]]).sum(axis=1) < 0)
    side = np.append(0, np.cumsum(turned)) % 2
    chain = np.append(0, np.cumsum(~near))
    worth = clip.scores[known][:, PART_COLUMNS["body"]].sum(axis=1)
    worth[up[known, 1] < 0] *= UPRIGHT_WORTH  # y grows downward
    one, other = (np.bincount(chain, worth * (side == which)) for which in (0, 1))
    wrong = known[side == (one >= other)[chain]]
    gone = np.zeros(clip.seen.shape, dtype=bool)
    gone[wrong] = True
    clip.forget(gone)
    return len(wrong)


def _up(clip: PoseClip) -> Floats:
    """(frames, 2) from the middle of the hips to the neck.

    From the neck to the nose where no hip is seen; NaN where that is unknown, too.
    """
    hips = np.stack([clip.joint("right_hip"), clip.joint("left_hip")])
    seen = np.isfinite(hips).all(axis=2, keepdims=True)
    middle = np.where(seen, hips, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    neck = clip.joint("neck")
    return np.where(seen.any(axis=0), neck - middle, clip.joint("nose") - neck).astype(np.float64)
