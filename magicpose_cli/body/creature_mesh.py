"""A creature's simple skin: a capsule along each of its bones."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.creatures import Creature
from magicpose_cli.body.motion_files.bvh_parser import END
from magicpose_cli.body.motion_files.glb_writer import SkinnedMesh
from magicpose_cli.body.skeletal_motion import SkeletalMotion, rest_positions

_SIDES, _RINGS = 10, 4  # around a capsule, and of each of its half balls
_THICKNESS = 0.12  # of the length, where no radius is given
_THINNEST_M = 0.004


def creature_mesh(creature: Creature, motion: SkeletalMotion) -> SkinnedMesh:
    """Build capsules from each bone's joint to its children and its tip; they do not bend.

    Args:
        creature: Whose bones tell the radii.
        motion: The creature's, as creature_motion gives it: it has the joints.
    """
    places = rest_positions(motion.parents, motion.rest_offsets_m)
    vertices, faces, owners = [], [], []
    count = 0
    for joint in range(1, len(motion.names)):
        parent = int(motion.parents[joint])
        bone = creature.bones[parent]
        length = float(np.linalg.norm(places[joint] - places[parent]))
        usual = max(_THICKNESS * length, _THINNEST_M)
        is_tip = motion.names[joint] == f"{bone.name}{END}"
        radius = min(bone.radius_m or usual, max(length, usual) if is_tip else np.inf)
        points, triangles = capsule(places[parent], places[joint], radius)
        vertices.append(points)
        faces.append(triangles + count)
        owners.append(np.full(len(points), parent))
        count += len(points)
    owner = np.concatenate(owners)
    weights = np.zeros((count, len(motion.names)))
    weights[np.arange(count), owner] = 1.0
    return SkinnedMesh(np.concatenate(vertices), np.concatenate(faces), weights)


def capsule(start: Floats, end: Floats, radius_m: float) -> tuple[Floats, Floats]:
    """A capsule's vertices (V, 3) and faces (T, 3), counterclockwise seen from outside.

    Args:
        start: (3,) center of one half ball, in meters.
        end: (3,) center of the other one.
        radius_m: Of both.
    """
    way = np.asarray(end, np.float64) - start
    length = float(np.linalg.norm(way))
    axis = way / length if length > 1e-9 else np.array([0.0, 1.0, 0.0])
    across = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    across /= np.linalg.norm(across)
    around = 2 * np.pi * np.arange(_SIDES) / _SIDES
    circle = np.cos(around)[:, None] * across + np.sin(around)[:, None] * np.cross(axis, across)
    heights = np.pi / 2 * np.linspace(0, 1, _RINGS + 1)[:-1]
    rings = [(-np.sin(h), np.cos(h), start) for h in heights[::-1]]
    rings += [(np.sin(h), np.cos(h), end) for h in heights]
    points = [start - axis * radius_m]
    points += [center + radius_m * (up * axis + out * circle) for up, out, center in rings]
    points.append(end + axis * radius_m)
    last = 1 + len(rings) * _SIDES
    near = np.arange(_SIDES)
    far = np.roll(near, -1)
    faces = [np.stack([np.zeros_like(near), 1 + far, 1 + near], axis=1)]
    for ring in range(len(rings) - 1):
        low, high = 1 + ring * _SIDES, 1 + (ring + 1) * _SIDES
        faces.append(np.stack([low + near, low + far, high + near], axis=1))
        faces.append(np.stack([low + far, high + far, high + near], axis=1))
    top = last - _SIDES
    faces.append(np.stack([top + near, top + far, np.full_like(near, last)], axis=1))
    return np.vstack(points), np.concatenate(faces)
