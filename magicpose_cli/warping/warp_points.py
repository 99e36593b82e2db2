"""The points that steer a warp, of the reference and of each frame, in double precision."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.pose.keypoints import BODY_JOINTS, MIRRORED_BODY, OTHER_SIDE, Pose
from magicpose_cli.warping.boxes import PixelBox

MIN_GUESS_SCORE = 0.2  # from which on a guessed joint of the reference shows where a limb lies
JOINT_INDEX = {name: index for index, name in enumerate(BODY_JOINTS)}
MIN_KNOWN_FACE_POINTS = 30  # of 68: fewer show no expression
MIN_KNOWN_HAND_POINTS = 15  # of 21
HEAD_JOINTS = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
MIN_HEAD_JOINTS = 2  # that show where a head is whose face is not known
BODY_SIDES = tuple(OTHER_SIDE)


@dataclass(frozen=True)
class WarpPoints:
    """One person's points in pixels, float64, NaN where they are not known.

    Attributes:
        body: (18, 2).
        face: (68, 2).
        mesh: (478, 3), the face's points with their depth, or None.
        hands: (21, 2) by side.
        wrists: The sides whose wrist is seen and not only guessed; of a reference, those beyond
            which a hand shows.
        depths: By side, how far behind the trunk an arm is, in lengths of the trunk, where known.
    """

    body: Floats
    face: Floats
    mesh: Floats | None
    hands: dict[str, Floats]
    wrists: tuple[str, ...] = ()
    depths: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pose: Pose, *, guessed: bool = False) -> WarpPoints:
        """Take the points of a pose.

        Args:
            pose: In the pixels of the picture that is warped.
            guessed: Take the detector's guess too for joints that are not sure to be seen. That is
                for the reference alone, where a hidden forearm would else belong to the trunk; in
                a frame a guess would move pixels by mistake.
        """
        body = pose.body.astype(np.float64)
        hands = {side: getattr(pose, f"{side}_hand").astype(np.float64) for side in BODY_SIDES}
        for side, hand in hands.items():
            wrist = JOINT_INDEX[f"{side}_wrist"]
            if not np.isfinite(body[wrist]).all():
                body[wrist] = hand[0]
        wrists = tuple(s for s in BODY_SIDES if np.isfinite(body[JOINT_INDEX[f"{s}_wrist"]]).all())
        if guessed and pose.body_guess is not None:
            guess = pose.body_guess
            inside = ((guess[:, :2] >= 0) & (guess[:, :2] < (pose.width, pose.height))).all(1)
            take = inside & (guess[:, 2] >= MIN_GUESS_SCORE) & ~is_known(body)  # NaN compares false
            body[take] = guess[take, :2]
        return cls(
            body,
            pose.face.astype(np.float64),
            None if pose.face_mesh is None else pose.face_mesh.astype(np.float64),
            hands,
            wrists,
            _depths(pose),
        )

    def has(self, *joints: str) -> bool:
        """Tell whether all of these joints are known."""
        return bool(np.isfinite(self.body[[JOINT_INDEX[name] for name in joints]]).all())

    def joint(self, name: str) -> Floats:
        """Return the (2,) pixels of a joint of the body."""
        joint: Floats = self.body[JOINT_INDEX[name]]
        return joint

    def mirrored(self, width: int) -> WarpPoints:
        """Return body and hands in the mirror image of a picture so many pixels wide."""
        flip, shift = np.array((-1.0, 1.0)), np.array((width - 1.0, 0.0))
        return WarpPoints(
            self.body[MIRRORED_BODY] * flip + shift,
            np.full_like(self.face, np.nan),
            None,
            {side: self.hands[OTHER_SIDE[side]] * flip + shift for side in BODY_SIDES},
            tuple(OTHER_SIDE[side] for side in self.wrists),
            {OTHER_SIDE[side]: depth for side, depth in self.depths.items()},
        )

    @property
    def has_face(self) -> bool:
        """Whether enough of the face is known."""
        return self.mesh is not None or bool(is_known(self.face).sum() >= MIN_KNOWN_FACE_POINTS)

    def head_joints(self) -> list[str]:
        """List the joints of the head that are known: nose, eyes and ears."""
        return [name for name in HEAD_JOINTS if self.has(name)]

    def has_hand(self, side: str) -> bool:
        """Tell whether enough of a hand is known."""
        return bool(is_known(self.hands[side]).sum() >= MIN_KNOWN_HAND_POINTS)

    def outline(self) -> Floats:
        """Return the known points of the face without the irises, (n, 2) pixels."""
        return self.mesh[:468, :2] if self.mesh is not None else self.face[is_known(self.face)]


def _depths(pose: Pose) -> dict[str, float]:
    """Measure `WarpPoints.depths` on the body in space, where the detector gives one."""
    if pose.body_3d is None:
        return {}
    space = {name: pose.body_3d[index] for name, index in JOINT_INDEX.items()}
    ends = [[space[f"{side}_{joint}"] for side in BODY_SIDES] for joint in ("shoulder", "hip")]
    shoulders, hips = (np.mean(end, axis=0) for end in ends)
    length, middle = np.linalg.norm(shoulders - hips), (shoulders[2] + hips[2]) / 2
    found = {}
    for side in BODY_SIDES:
        arm = (space[f"{side}_elbow"][2] + space[f"{side}_wrist"][2]) / 2
        depth = float((arm - middle) / length) if length > 0 else np.nan
        if np.isfinite(depth):
            found[side] = depth
    return found


def is_known(points: Floats) -> Mask:
    """Tell which of (n, d) points are known, (n,) bool."""
    known: Mask = np.isfinite(points).all(1)
    return known


def colors_at(colors: Floats, points: Floats) -> Floats:
    """Return the colors (n, c) of a picture (H, W, c) at points (n, 2), or at its nearest edge."""
    height, width = colors.shape[:2]
    x, y = np.rint(points).astype(int).clip(0, (width - 1, height - 1)).T
    found: Floats = colors[y, x]
    return found


def window_around(
    points: Floats, shape: tuple[int, ...], corner: tuple[int, int]
) -> tuple[PixelBox, Integers] | None:
    """Find the rows and columns around points in a part of a frame.

    Args:
        points: (n, 2) pixels of the frame.
        shape: (height, width) of the part.
        corner: (x, y) of the part's upper left pixel in the frame.

    Returns:
        Rows and columns of the part, and the frame's pixel (x, y) where they begin, (2,); None
        where fewer than three of either lie in the part.
    """
    low = np.maximum(np.floor(points.min(0)).astype(int) - 4 - corner, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 5 - corner, shape[::-1])
    if (high - low).min() < 3:
        return None
    return np.s_[low[1] : high[1], low[0] : high[0]], low + corner
