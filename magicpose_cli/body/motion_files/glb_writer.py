"""SkeletalMotion as binary glTF 2.0: a skin's joints, their animation and, if given, a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.glb_container import INDICES, VERTICES, GlbBuilder
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    children_of,
    rest_positions,
)

INFLUENCES = 4  # joints that move a vertex


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """A mesh that a skeleton moves, as it is where no joint turns.

    vertices_m: (V, 3) meters, the root at its rest offset.
    faces: (T, 3) vertices' numbers, counterclockwise seen from outside.
    weights: (V, J) how much each joint moves a vertex; the largest 4 are kept.
    shapes_m: (V, 3) offsets each, by the names of curves.
    color: red, green, blue, 0 to 1 (linear).
    """

    vertices_m: AnyArray
    faces: AnyArray
    weights: AnyArray
    shapes_m: Mapping[str, AnyArray] = field(default_factory=dict)
    color: tuple[float, float, float] = (0.6, 0.6, 0.6)


def write_glb(
    path: Path,
    motion: SkeletalMotion,
    mesh: SkinnedMesh | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write in one step, names as they are (see humanoid() for VRM's).

    Nodes stand in the rest pose; the animation turns them and moves the root. Curves go along where
    the mesh has shapes of their names. Errors: OutputError.
    """
    builder = GlbBuilder()
    joints = len(motion.names)
    nodes = _nodes(motion)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "magicpose"},
        "scene": 0,
        "scenes": [{"nodes": [0] if mesh is None else [0, joints]}],
        "nodes": nodes,
        "skins": [_skin(builder, motion)],
    }
    if mesh is not None:
        nodes.append({"name": "body", "mesh": 0, "skin": 0})
        document["meshes"] = [_mesh(builder, mesh, joints)]
        red, green, blue = mesh.color
        document["materials"] = [{"name": "body", "pbrMetallicRoughness": {
            "baseColorFactor": [red, green, blue, 1.0], "metallicFactor": 0.0,
            "roughnessFactor": 0.8}}]  # fmt: skip
    document["animations"] = [_animation(builder, motion, mesh, joints)]
    builder.write(path, document, overwrite=overwrite)


def _nodes(motion: SkeletalMotion) -> list[dict[str, Any]]:
    children = children_of(motion.parents)
    nodes = []
    for joint, name in enumerate(motion.names):
        node: dict[str, Any] = {"name": name, "translation": motion.rest_offsets_m[joint].tolist()}
        if children[joint]:
            node["children"] = children[joint]
        nodes.append(node)
    return nodes


def _skin(builder: GlbBuilder, motion: SkeletalMotion) -> dict[str, Any]:
    joints = len(motion.names)
    inverse = np.tile(np.eye(4, dtype="<f4"), (joints, 1, 1))
    inverse[:, :3, 3] = -rest_positions(motion.parents, motion.rest_offsets_m)
    by_columns = inverse.transpose(0, 2, 1).reshape(joints, 16)
    return {
        "joints": list(range(joints)),
        "skeleton": 0,
        "inverseBindMatrices": builder.add(by_columns, "MAT4"),
    }


def _mesh(builder: GlbBuilder, mesh: SkinnedMesh, joints: int) -> dict[str, Any]:
    if mesh.weights.shape != (len(mesh.vertices_m), joints):
        raise ValueError(f"weights: expected ({len(mesh.vertices_m)}, {joints})")
    most = np.argsort(-mesh.weights, axis=1, kind="stable")[:, :INFLUENCES]
    weights = np.take_along_axis(mesh.weights, most, axis=1)
    weights = np.pad(weights, ((0, 0), (0, INFLUENCES - weights.shape[1])))
    most = np.pad(most, ((0, 0), (0, INFLUENCES - most.shape[1])))
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    most[weights == 0] = 0  # as glTF wants it
    more = {"JOINTS_0": (most.astype("<u2"), "VEC4"), "WEIGHTS_0": (_f4(weights), "VEC4")}
    return add_mesh(builder, "body", mesh, more)


class Mesh(Protocol):
    """Triangles with shapes: vertices (V, 3) in meters, faces (T, 3), offsets (V, 3) by names."""

    @property
    def vertices_m(self) -> AnyArray: ...  # noqa: D102
    @property
    def faces(self) -> AnyArray: ...  # noqa: D102
    @property
    def shapes_m(self) -> Mapping[str, AnyArray]: ...  # noqa: D102


def add_mesh(
    builder: GlbBuilder, name: str, mesh: Mesh, more: Mapping[str, tuple[AnyArray, str]]
) -> dict[str, Any]:
    """Store a mesh; returns what glTF says of it.

    Args:
        builder: Of the file.
        name: Of the mesh.
        mesh: Its places, triangles and shapes.
        more: Further attributes of the vertices by their names, each with its kind.
    """
    attributes = {
        "POSITION": builder.add(_f4(mesh.vertices_m), "VEC3", bounds=True, target=VERTICES),
        "NORMAL": builder.add(_f4(mesh_normals(mesh.vertices_m, mesh.faces)), "VEC3",
                              target=VERTICES),
    }  # fmt: skip
    for attribute, (values, kind) in more.items():
        attributes[attribute] = builder.add(values, kind, target=VERTICES)
    faces = builder.add(mesh.faces.astype("<u4").reshape(-1), "SCALAR", target=INDICES)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": faces, "material": 0}
    told: dict[str, Any] = {"name": name, "primitives": [primitive]}
    if mesh.shapes_m:
        primitive["targets"] = [
            {"POSITION": builder.add(_f4(shape), "VEC3", bounds=True, target=VERTICES)}
            for shape in mesh.shapes_m.values()
        ]
        told["weights"] = [0.0] * len(mesh.shapes_m)
        told["extras"] = {"targetNames": list(mesh.shapes_m)}
    return told


def mesh_normals(vertices: AnyArray, faces: AnyArray) -> AnyArray:
    """(V, 3) unit normals, each the mean of its faces' by their areas; up where there is none."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], normal)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])


def _animation(
    builder: GlbBuilder, motion: SkeletalMotion, mesh: SkinnedMesh | None, mesh_node: int
) -> dict[str, Any]:
    times = builder.add(_f4(np.arange(len(motion)) / float(motion.fps)), "SCALAR", bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def animate(node: int, what: str, values: int) -> None:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": what}})
        samplers.append({"input": times, "output": values, "interpolation": "LINEAR"})

    animate(0, "translation", builder.add(_f4(motion.root_m), "VEC3"))
    for joint in range(len(motion.names)):
        if joint == 0 or motion.rotations[:, joint, :3].any():
            animate(joint, "rotation", builder.add(_f4(motion.rotations[:, joint]), "VEC4"))
    if mesh is not None and mesh.shapes_m and motion.curves:
        none = np.zeros(len(motion))
        weights = np.stack([motion.curves.get(name, none) for name in mesh.shapes_m], axis=1)
        animate(mesh_node, "weights", builder.add(_f4(weights.reshape(-1)), "SCALAR"))
    return {"name": "motion", "channels": channels, "samplers": samplers}


def _f4(array: AnyArray) -> AnyArray:
    return np.ascontiguousarray(array, "<f4")
