"""The skin of a fitted person on the humanoid's bones, for files that hold a mesh."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.humanoid_names import ancestors, humanoid_joints
from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_files.glb_writer import SkinnedMesh
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    rest_positions,
    world_rotations,
)

if TYPE_CHECKING:
    from torch import Tensor


def humanoid_mesh(body: Body, shape: Tensor, motion: SkeletalMotion) -> SkinnedMesh:
    """Return the skin of a person for motions that `humanoid()` makes of the person's own.

    The skin is taken from the body's rest pose to the humanoid's T-pose by linear blend skinning,
    with the turns between the two that the motions have as well.

    Args:
        body: Whose faces and weights the mesh has.
        shape: (1, k) components of the person.
        motion: Of the body's own joints, as `fitted_motion` makes it for this shape.
    """
    rest = body.rest(shape)
    own_joints = rest.joints[0].double().numpy()
    vertices = rest.vertices[0].double().numpy()
    target = humanoid(_at_rest(motion))
    turns = Rotation.from_quat(world_rotations(target)[0]).inv()
    places = rest_positions(target.parents, target.rest_offsets_m)
    bones = humanoid_joints(motion.names, motion.parents)
    sources = np.array([bones[name] for name in target.names])
    weights = _weights_of_bones(body.weights.double().numpy(), sources, body.parents)
    posed = np.zeros_like(vertices)
    for bone, source in enumerate(sources):
        moved = turns[bone].apply(vertices - own_joints[source]) + places[bone]
        posed += weights[:, bone, None] * moved
    used, faces = np.unique(body.faces.numpy(), return_inverse=True)
    return SkinnedMesh(posed[used], faces.reshape(-1, 3), weights[used])


def _at_rest(motion: SkeletalMotion) -> SkeletalMotion:
    """One frame in which no joint is turned."""
    still = np.zeros((1, len(motion.names), 4))
    still[..., 3] = 1.0
    return replace(motion, rotations=still, root_m=motion.rest_offsets_m[:1], curves={})


def _weights_of_bones(weights: AnyArray, sources: AnyArray, parents: tuple[int, ...]) -> AnyArray:
    """(V, bones): the weights (V, J) of joints, added to those of the nearest bone above."""
    bone_of = {int(joint): bone for bone, joint in enumerate(sources)}
    found = np.zeros((len(weights), len(sources)))
    for joint in range(weights.shape[1]):
        above = [joint, *ancestors(joint, parents)]
        found[:, next(bone_of[j] for j in above if j in bone_of)] += weights[:, joint]
    return found
