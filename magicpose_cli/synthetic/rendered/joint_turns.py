"""Local rotations of a body's joints that are being set, group by group."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.joint_groups import JOINT_GROUPS, limit_axes
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle


class JointTurns:
    """Rotations of F frames.

    Attributes:
        rotations: (F, J, 3, 3) local rotations, identity at first.
    """

    def __init__(self, body: Body, frames: int):
        self._body = body
        self.rotations = body.identity(frames)

    def rest_joint(self, name: str) -> Tensor:
        """(3,) where a joint of the mean body is at rest, meters."""
        return self._body.mean[self._body.vertex_count + self._body.joint(name)]

    def joint_number(self, joint: str) -> int:
        """The index of a joint among the rotations."""
        return self._body.joint(joint)

    def turn(self, group: str, degrees: Floats) -> None:
        """Turn a group of joint_groups.JOINT_GROUPS by (F, 3) degrees about its axes."""
        joints = JOINT_GROUPS[group]
        axes = limit_axes(self._body, joints)
        vectors = torch.from_numpy(np.radians(degrees)).float() @ axes.T * joints.share
        for joint in joints.joints:
            self.set(joint, matrix_from_axis_angle(vectors))

    def set(self, joint: str, rotations: Tensor) -> None:
        """Set the (F, 3, 3) of one joint."""
        self.rotations[:, self._body.joint(joint)] = rotations
