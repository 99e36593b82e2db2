"""A head as binary glTF: textured, with its facial actions as morph targets of ARKit's names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.glb_container import INDICES, VERTICES, GlbBuilder
from magicpose_cli.body.motion_files.glb_writer import mesh_normals
from magicpose_cli.views.head_model import HeadModel, TexturedMesh


def write_head(path: Path, model: HeadModel, *, overwrite: bool = False) -> None:
    """Write a head in one step; its hair is a mesh of its own.

    Raises:
        OutputError: The file cannot be written.
    """
    from PIL import Image

    builder = GlbBuilder()
    picture = io.BytesIO()
    Image.fromarray(model.texture).save(picture, "PNG")
    meshes = [_mesh(builder, "head", model.head)]
    if len(model.hair.faces):
        meshes.append(_mesh(builder, "hair", model.hair))
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "magicpose"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [{"name": mesh["name"], "mesh": i} for i, mesh in enumerate(meshes)],
        "meshes": meshes,
        "materials": [{
            "name": "picture", "doubleSided": True,
            "pbrMetallicRoughness": {
                "baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 0.9,
            },
        }],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"wrapS": 33071, "wrapT": 33071}],  # clamped to the edge
        "images": [{"bufferView": builder.add_bytes(picture.getvalue()), "mimeType": "image/png"}],
    }  # fmt: skip
    builder.write(path, document, overwrite=overwrite)


def _mesh(builder: GlbBuilder, name: str, mesh: TexturedMesh) -> dict[str, Any]:
    vertices = _f4(mesh.vertices_m)
    attributes = {
        "POSITION": builder.add(vertices, "VEC3", bounds=True, target=VERTICES),
        "NORMAL": builder.add(
            _f4(mesh_normals(mesh.vertices_m, mesh.faces)), "VEC3", target=VERTICES
        ),
        "TEXCOORD_0": builder.add(_f4(mesh.uv), "VEC2", target=VERTICES),
    }
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


def _f4(array: AnyArray) -> AnyArray:
    return np.ascontiguousarray(array, "<f4")
