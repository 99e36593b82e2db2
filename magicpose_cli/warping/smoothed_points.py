"""The points that a warp goes by, of the reference and of each frame, in doubles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

GUESSED = 0.2  # score from where on a joint of the reference tells where a limb of it lies
JOINT = {name: index for index, name in enumerate(BODY_JOINTS)}
MIN_FACE = 30  # of the 68 points: fewer tell nothing of an expression
MIN_HAND = 15  # of the 21 points
SIDES = ("right", "left")


@dataclass(frozen=True)
class Points:
    """body (18, 2), face (68, 2), hands by side (21, 2): float64 pixels, NaN where not known; mesh
    (478, 3) or None. wrists: the sides whose wrist is seen and not only guessed; of a reference,
    those beyond which a hand shows. depths: by side, how far behind the trunk an arm is, in lengths
    of the trunk, where that is known."""

    body: np.ndarray
    face: np.ndarray
    mesh: np.ndarray | None
    hands: dict[str, np.ndarray]
    wrists: tuple[str, ...] = ()
    depths: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pose: Pose, *, guessed: bool = False) -> Points:
        """guessed: also joints that are not sure to be seen, where the detector has a guess.

        A joint that is not moved by much is moved by mistake where it is only guessed, so that
        guesses are for the reference alone: without them a hidden forearm belongs to the trunk.
        """
        body = pose.body.astype(np.float64)
        wrists = tuple(s for s in SIDES if np.isfinite(body[JOINT[f"{s}_wrist"]]).all())
        if guessed and pose.body_guess is not None:
            guess = pose.body_guess
            inside = ((guess[:, :2] >= 0) & (guess[:, :2] < (pose.width, pose.height))).all(1)
            take = inside & (guess[:, 2] >= GUESSED) & ~known(body)  # NaN compares false
            body[take] = guess[take, :2]
        return cls(
            body,
            pose.face.astype(np.float64),
            None if pose.face_mesh is None else pose.face_mesh.astype(np.float64),
            {side: getattr(pose, f"{side}_hand").astype(np.float64) for side in SIDES},
            wrists,
            _depths(pose),
        )

    def has(self, *joints: str) -> bool:
        """Whether all of these joints are known."""
        return bool(np.isfinite(self.body[[JOINT[name] for name in joints]]).all())

    def joint(self, name: str) -> np.ndarray:
        """(2,) of a joint of the body."""
        return self.body[JOINT[name]]

    @property
    def has_face(self) -> bool:
        """Whether enough of the face is known."""
        return self.mesh is not None or known(self.face).sum() >= MIN_FACE

    def has_hand(self, side: str) -> bool:
        """Whether enough of a hand is known."""
        return bool(known(self.hands[side]).sum() >= MIN_HAND)

    def outline(self) -> np.ndarray:
        """(n, 2) known points of the face without the irises."""
        return self.mesh[:468, :2] if self.mesh is not None else self.face[known(self.face)]


def _depths(pose: Pose) -> dict[str, float]:
    if pose.body_3d is None:
        return {}
    space = {name: pose.body_3d[index] for name, index in JOINT.items()}
    ends = [[space[f"{side}_{joint}"] for side in SIDES] for joint in ("shoulder", "hip")]
    shoulders, hips = (np.mean(end, axis=0) for end in ends)
    length, middle = np.linalg.norm(shoulders - hips), (shoulders[2] + hips[2]) / 2
    found = {}
    for side in SIDES:
        arm = (space[f"{side}_elbow"][2] + space[f"{side}_wrist"][2]) / 2
        depth = float((arm - middle) / length) if length > 0 else np.nan
        if np.isfinite(depth):
            found[side] = depth
    return found


def known(points: np.ndarray) -> np.ndarray:
    """(n,) bool of (n, d) points."""
    return np.isfinite(points).all(1)


def window_around(
    points: np.ndarray, shape: tuple[int, ...], corner: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """Rows and columns around points (n, 2) of a frame in a part of it of this shape, whose upper
    left pixel is `corner` (x, y), and where these begin, (2,); None where none is in it."""
    low = np.maximum(np.floor(points.min(0)).astype(int) - 4 - corner, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 5 - corner, shape[::-1])
    if (high - low).min() < 3:
        return None
    return np.s_[low[1] : high[1], low[0] : high[0]], low + corner
