"""A motion on the body of a picture's person: turned, placed on the person's ground, filmed.

The camera is the picture's own. It is moved around the person by moving the person before it: the
turns and places here are those of a person in the camera's world (x right, y up, the camera at the
origin, looking along -z).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats
from magicpose_cli.body.chain_retargeting import retarget_chain
from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, make_rig
from magicpose_cli.body.fitted_motion import GROUND_PERCENT, skeleton_names
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.joint_groups import JOINT_GROUPS, limit_axes
from magicpose_cli.body.layout import COCO_23, POSE_POINTS, POSE_SLICES
from magicpose_cli.body.reference_body import ReferenceBody
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.config.camera_view import CameraView
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

SOLES = tuple(
    POSE_POINTS + COCO_23.index(f"{side}_{point}")
    for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
)  # fmt: skip
ANKLE_JOINTS = [BODY_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
BODY_SHOULDERS = [BODY_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
_NECK = BODY_JOINTS.index("neck")
START_S = 1.0  # of the motion, in which the person's front is where the camera begins
WAY_S = 2.0  # what sways faster than in about this time is motion, not the person's way
CONTACT_HEIGHT_SHARE = 0.03  # of the root's height above the soles: lower ones may stand
STANDING_M_S = 0.4  # a point of a sole that is slower stands
LEVEL_M = 0.25  # a ground that rises more within a clip is one of stairs, not a capture's drift
FLOOR_WINDOW_S = 2.0  # in which somebody who walks sets down a foot
FLOOR_STEADY_S = 0.3  # over which a change of the ground's height is spread
RELAXED_DEG = 20.0  # each joint of a finger of which neither motion nor picture tells anything


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """The turns and places of a body.

    Attributes:
        rotations: (F, J, 3, 3) local, as Body takes them.
        place_m: (F, 3) meters of the root joint.
        expression: (F, 52) facial actions, or None.
    """

    rotations: Tensor
    place_m: Tensor
    expression: Tensor | None = None


def motion_on_body(reference: ReferenceBody, motion: SkeletalMotion) -> BodyMotion:
    """Carry a person's motion onto the skeleton of a picture's person.

    Bones point where the motion's do. Fingers that the motion does not have are as in the picture,
    or relaxed where it does not show them.

    Raises:
        InputError: The joints are not those of a person.
    """
    import torch

    body = reference.body
    rest = reference.rest_joints.double().numpy()
    parents = np.array(body.parents)
    offsets = rest - np.where(parents[:, None] < 0, 0.0, rest[np.maximum(parents, 0)])
    laid = retarget_chain(motion, skeleton_names(body), parents, offsets)
    matrices = Rotation.from_quat(laid.rotations.reshape(-1, 4)).as_matrix()
    rotations = torch.from_numpy(matrices.reshape(len(laid), len(parents), 3, 3)).float()
    bones = humanoid_joints(motion.names, motion.parents)
    for side in ("left", "right"):
        if f"{side}MiddleProximal" not in bones and f"{side}IndexProximal" not in bones:
            _set_fingers(rotations, reference, side)
    expression = None
    if motion.curves:
        still = np.zeros(len(motion))
        curves = [motion.curves.get(name, still) for name in body.expression_names]
        expression = torch.from_numpy(np.stack(curves, axis=1)).float().clamp(0, 1)
    return BodyMotion(rotations, torch.from_numpy(laid.root_m).float(), expression)


def _set_fingers(rotations: Tensor, reference: ReferenceBody, side: str) -> None:
    """Hold the fingers of a hand, in place."""
    import torch

    body, shown = reference.body, reference.shown[POSE_SLICES[f"{side}_hand"]].any()
    for finger in range(1, 6):
        group = JOINT_GROUPS[f"{side}_finger_{finger}"]
        bend = limit_axes(body, group)[:, 1] * float(np.radians(RELAXED_DEG))
        for name in group.joints:
            joint = body.joint(name)
            relaxed = matrix_from_axis_angle(bend) if finger > 1 else torch.eye(3)
            rotations[:, joint] = reference.rotations[joint] if shown else relaxed


class BodySketch:
    """The body's 18 joints and its soles, without its skin: quick for whole clips.

    Args:
        reference: Whose proportions it has.
    """

    def __init__(self, reference: ReferenceBody) -> None:
        self._rig = make_rig(reference.body, [*range(len(BODY_JOINTS)), *SOLES])
        self._moments, self._joints = self._rig.shaped(reference.shape[0, :SHAPE_COMPONENTS])

    def joints_and_soles(self, motion: BodyMotion) -> tuple[Tensor, Tensor]:
        """(F, 18, 3) joints and (F, 6, 3) points of the soles in meters."""
        world, placed = self._rig.body.transforms(self._joints[None], motion.rotations)
        parts = self._rig.parts(self._moments, self._joints, world, placed)
        shift = motion.place_m - self._joints[0]
        points = self._rig.points(parts) + shift[:, None]
        return points[:, : len(BODY_JOINTS)], points[:, len(BODY_JOINTS) :]


def own_pose(reference: ReferenceBody) -> BodyMotion:
    """The one pose of the picture."""
    return BodyMotion(reference.rotations[None], reference.root_joint_m[None])


def facing_camera(motion: BodyMotion, reference: ReferenceBody, fps: float) -> BodyMotion:
    """Turn the whole motion so that the person at first faces the camera from where they stand."""
    ahead = motion.rotations[: max(1, round(START_S * fps)), 0, :, 2].mean(dim=0)
    own = np.arctan2(float(ahead[0]), float(ahead[2]))
    to_camera = -reference.root_joint_m
    wanted = np.arctan2(float(to_camera[0]), float(to_camera[2]))
    return turned_about_vertical(motion, wanted - own)


def turned_about_vertical(motion: BodyMotion, angle_rad: float) -> BodyMotion:
    """Turn the whole motion about the vertical through the root's first place."""
    turn = turns_about("y", np.array([angle_rad]))[0]
    start = motion.place_m[:1]
    return replace(
        motion,
        rotations=_turned_roots(motion.rotations, turn[None]),
        place_m=(motion.place_m - start) @ turn.T + start,
    )


def kept_in_place(motion: BodyMotion, fps: float) -> BodyMotion:
    """Take out the smooth way over the ground; who sways goes on to sway."""
    import torch

    frames = 2 * round(WAY_S * fps / 2) + 1
    window = min(frames, len(motion.place_m) - 1 + len(motion.place_m) % 2)
    if window < 3:
        return motion
    way = motion.place_m.double().numpy()
    smooth = savgol_filter(way, window, min(2, window - 1), axis=0)
    steps = (smooth - smooth[:1]) * [1.0, 0.0, 1.0]
    return replace(motion, place_m=motion.place_m - torch.from_numpy(steps).float())


def on_level_ground(motion: BodyMotion, sketch: BodySketch, fps: float) -> BodyMotion:
    """Take out the drift of a capture's floor, so that feet that stand do so at one height.

    The ground's height is that of the soles that stand, in a straight line between them. Ground
    that rises by more than LEVEL_M (stairs, slopes) stays.
    """
    import torch

    _, soles = sketch.joints_and_soles(motion)
    places = soles.double().numpy()
    lowest = places[..., 1].min(axis=1)
    around = min(2 * round(FLOOR_WINDOW_S * fps / 2) + 1, 2 * len(lowest) + 1)
    floor = percentile_filter(lowest, GROUND_PERCENT, size=around, mode="nearest")
    tall = float(motion.place_m[:, 1].mean()) - float(lowest.mean())
    half = max(round(0.05 * fps), 1)
    index = np.arange(len(places))
    before, after = np.maximum(index - half, 0), np.minimum(index + half, len(places) - 1)
    way = np.linalg.norm(places[after] - places[before], axis=-1)
    speed = way * fps / np.maximum(after - before, 1)[:, None]
    low = places[..., 1] < (floor + CONTACT_HEIGHT_SHARE * tall)[:, None]
    stands = low & (speed < STANDING_M_S)
    known = np.flatnonzero(stands.any(axis=1))
    if not len(known):
        return motion
    heights = np.where(stands, places[..., 1], np.inf).min(axis=1)[known]
    if np.ptp(heights) > LEVEL_M:
        return motion
    drift = gaussian_filter1d(
        np.interp(index, known, heights), max(FLOOR_STEADY_S * fps / 2, 1e-3), mode="nearest"
    )
    steps = np.zeros((len(places), 3))
    steps[:, 1] = drift
    return replace(motion, place_m=motion.place_m - torch.from_numpy(steps).float())


def on_ground(
    motion: BodyMotion, reference: ReferenceBody, sketch: BodySketch, anchor: int, *, alike: bool
) -> BodyMotion:
    """Shift the whole motion to where the picture's person stands.

    The root joint is over the same spot of the ground at the anchor. Where the picture shows an
    ankle, the lowest soles are on the person's ground; else the neck is as high as the person's at
    the anchor.

    Args:
        motion: In the camera's world.
        reference: The person.
        sketch: Of the same person.
        anchor: Index of the frame.
        alike: Whether the soles of that frame are laid on the ground, not those of most frames.
    """
    import torch

    joints, soles = sketch.joints_and_soles(motion)
    own_joints, own_soles = sketch.joints_and_soles(own_pose(reference))
    shift = reference.root_joint_m - motion.place_m[anchor]
    if reference.shown[ANKLE_JOINTS].any():
        lowest = soles[..., 1].amin(dim=1)
        ground = torch.quantile(lowest, GROUND_PERCENT / 100)
        shift[1] = own_soles[..., 1].min() - (lowest[anchor] if alike else ground)
    else:
        shift[1] = own_joints[0, _NECK, 1] - joints[anchor, _NECK, 1]
    return replace(motion, place_m=motion.place_m + shift)


def with_neck_held(motion: BodyMotion, reference: ReferenceBody, sketch: BodySketch) -> BodyMotion:
    """Let the neck stay where the picture's is: of a close face only the head is to move."""
    neck = sketch.joints_and_soles(motion)[0][:, _NECK]
    own_neck = sketch.joints_and_soles(own_pose(reference))[0][:, _NECK]
    return replace(motion, place_m=motion.place_m + own_neck - neck)


def seen_from(motion: BodyMotion, view: CameraView, fps: float, pivot_m: Tensor) -> BodyMotion:
    """Turn the person before the camera as if the camera went around `pivot_m`.

    The pivot keeps its pixel, whatever the view is.
    """
    frames = np.arange(len(motion.place_m))
    azimuth = np.radians(view.azimuth + 360 * view.orbit * frames / fps)
    elevation = np.full(len(frames), np.radians(view.elevation))
    turn = turns_about("x", elevation) @ turns_about("y", -azimuth)
    arm = (turn @ (motion.place_m - pivot_m)[..., None])[..., 0]
    return replace(
        motion,
        rotations=_turned_roots(motion.rotations, turn),
        place_m=arm + view.distance * pivot_m,
    )


def view_pivot(reference: ReferenceBody, sketch: BodySketch) -> Tensor:
    """(3,) meters: the ground below the person, or the neck where no ankle is shown."""
    joints, soles = sketch.joints_and_soles(own_pose(reference))
    if not reference.shown[ANKLE_JOINTS].any():
        return joints[0, _NECK]
    pivot: Tensor = reference.root_joint_m.clone()
    pivot[1] = soles[..., 1].min()
    return pivot


def _turned_roots(rotations: Tensor, turns: Tensor) -> Tensor:
    turned = rotations.clone()
    turned[:, 0] = turns @ rotations[:, 0]
    return turned


def turns_about(axis: str, angles_rad: Floats) -> Tensor:
    """(F, 3, 3) rotations about one axis."""
    import torch

    vectors = angles_rad[:, None] * np.eye(3)["xyz".index(axis)]
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).float()
