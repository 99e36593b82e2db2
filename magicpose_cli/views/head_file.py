"""A head as binary glTF: textured, with its facial actions as morph targets of ARKit's names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from magicpose_cli.body.motion_files.glb_container import GlbBuilder
from magicpose_cli.body.motion_files.glb_writer import add_mesh
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
    return add_mesh(builder, name, mesh, {"TEXCOORD_0": (mesh.uv.astype("<f4"), "VEC2")})
