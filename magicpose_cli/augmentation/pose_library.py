"""Poses to draw people in: the built-in ones, or those of motion files, pose files and films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError
from magicpose_cli.progress import OnProgress, silent

if TYPE_CHECKING:
    from torch import Tensor

LIBRARY_FILE = Path(__file__).with_name("poses.npz")
BUILT_IN = "library"
MAX_POSES_OF_FILE = 200  # spread evenly over a motion or a film
DESCRIBED_JOINTS = tuple(range(1, 14))  # of the 18: neck, arms and legs


@dataclass(frozen=True, eq=False)
class TargetPoses:
    """P poses of a body, whoever's it is.

    Attributes:
        rotations: (P, J, 3, 3) local, as Body takes them; the root faces ahead and may lean.
        names: P names, such as "walking 12" or "dance.bvh 40".
        own_fingers: Whether the fingers are to be the picture's.
    """

    rotations: Tensor
    names: tuple[str, ...]
    own_fingers: bool = True

    def __len__(self) -> int:
        """The number of poses."""
        return len(self.names)


def read_target_poses(
    sources: Sequence[str], body: Body, on_progress: OnProgress = silent
) -> TargetPoses:
    """Gather the poses of several sources.

    Args:
        sources: "library", or paths of motion files, pose files, films or pictures.
        body: Whose skeleton turns.
        on_progress: Told of films that are searched for people.

    Raises:
        InputError: A source cannot be read or shows nobody.
    """
    import torch

    found = [
        built_in_poses(body) if source == BUILT_IN else _poses_of_file(Path(source), body,
                                                                      on_progress)
        for source in sources or (BUILT_IN,)
    ]  # fmt: skip
    rotations = torch.cat([poses.rotations for poses in found])
    return TargetPoses(rotations, tuple(name for poses in found for name in poses.names))


@cache
def built_in_poses(body: Body) -> TargetPoses:
    """The poses that the package ships."""
    import torch

    with np.load(LIBRARY_FILE, allow_pickle=False) as file:
        vectors, root = file["axis_angles"], file["root"]
        families, joints = file["family"].tolist(), file["joints"].tolist()
    rotations = body.identity(len(vectors))
    turned = matrix_from_axis_angle(torch.from_numpy(vectors.astype(np.float32)))
    rotations[:, [body.joint(name) for name in joints]] = turned
    rotations[:, 0] = matrix_from_axis_angle(torch.from_numpy(root.astype(np.float32)))
    return TargetPoses(rotations, tuple(f"{name} {i}" for i, name in enumerate(families)))


def _poses_of_file(path: Path, body: Body, on_progress: OnProgress) -> TargetPoses:
    from magicpose_cli.motion.motion_driver import is_driving_motion, read_driving_motion

    if not path.exists():
        raise InputError(
            f"--poses {path}: does not exist; expected {BUILT_IN}, or the path of a motion file "
            "(.bvh, .glb, .npz), a pose file or a film"
        )
    settings = MotionSettings()
    if is_driving_motion(path):
        from magicpose_cli.body.laid_motion import motion_on_body
        from magicpose_cli.body.motion_editing import motion_at
        from magicpose_cli.body.reference_body import mean_reference_body

        motion = read_driving_motion(path, settings)
        chosen = _spread(len(motion))
        laid = motion_on_body(mean_reference_body(body, 256, 256), motion_at(motion, chosen))
        rotations = laid.rotations
    else:
        from magicpose_cli.body.detector_joints import joint_offsets
        from magicpose_cli.body.fit import fit_clip
        from magicpose_cli.motion.extract import extract_poses

        clip = extract_poses(path, None, settings, follow=True, on_progress=on_progress).clip
        person = clip.largest
        chosen = _spread(len(person))
        fitted = fit_clip(
            body, person.points, person.scores, person.width, person.height,
            points_3d=person.body_3d,
            offsets_m=joint_offsets(person.body_3d), on_progress=on_progress,
        )  # fmt: skip
        rotations = fitted.rotations[chosen]
    names = tuple(f"{path.name} {index}" for index in chosen.tolist())
    return TargetPoses(facing_ahead(rotations), names)


def _spread(count: int) -> Floats:
    """Rising indices of at most MAX_POSES_OF_FILE frames, spread evenly."""
    chosen: Floats = np.unique(np.linspace(0, count - 1, min(count, MAX_POSES_OF_FILE)).round())
    return chosen.astype(np.int64)


def facing_ahead(rotations: Tensor) -> Tensor:
    """Take out the root's turn about the vertical, and keep how it leans."""
    import torch

    ahead = rotations[:, 0, :, 2]
    yaw = torch.atan2(ahead[:, 0], ahead[:, 2])
    back = torch.stack([torch.zeros_like(yaw), -yaw, torch.zeros_like(yaw)], dim=1)
    turned = rotations.clone()
    turned[:, 0] = matrix_from_axis_angle(back) @ rotations[:, 0]
    return turned


def describe_poses(body: Body, rotations: Tensor) -> Floats:
    """Describe poses by where neck, arms and legs are, seen from the hips.

    Args:
        body: Of the layers REFERENCE_LAYERS; its mean shape is posed, so that people of
            any size compare.
        rotations: (P, J, 3, 3) local; the root's turn about the vertical does not count.

    Returns:
        (P, 39) meters.
    """
    import torch

    from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, make_rig

    rig = make_rig(body, list(range(POSE_SLICES["body"].stop)))
    moments, joints = rig.shaped(torch.zeros(SHAPE_COMPONENTS))
    with torch.no_grad():
        turned = facing_ahead(rotations)
        world, placed = body.transforms(joints[None], turned)
        points = rig.points(rig.parts(moments, joints, world, placed))
    points = points - points[:, [8, 11]].mean(dim=1, keepdim=True)
    described: Floats = points[:, DESCRIBED_JOINTS].flatten(1).double().numpy()
    return described
