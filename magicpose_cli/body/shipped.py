"""Read the body that the package ships, `adult.npz` as body/baking.py makes it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.layout import LAYERS
from magicpose_cli.body.model import Body, KinematicLevel

if TYPE_CHECKING:
    from torch import Tensor

BASE_VERTICES = 19158  # of MakeHuman's base mesh "hm08"
FILE = Path(__file__).with_name("adult.npz")


@cache
def shipped_body(layers: tuple[str, ...]) -> Body:
    """The adult with these layers, which must be in the order of LAYERS."""
    with np.load(FILE, allow_pickle=False) as file:
        return _body_of({name: file[name] for name in file.files}, layers)


@cache
def vertex_of_base() -> AnyArray:
    """Where each of the 19,158 vertices of MakeHuman's base mesh lies among all layers' vertices.

    Clothes, hair and eyes of MakeHuman's library name their neighbors by the former. -1: left out.
    """
    with np.load(FILE, allow_pickle=False) as file:
        kept = file["base_index"]
    found = np.full(BASE_VERTICES, -1)
    found[kept] = np.arange(len(kept))
    return found


def _body_of(arrays: dict[str, AnyArray], layers: tuple[str, ...]) -> Body:
    """Cut the baked arrays down to these layers and their vertices."""
    import torch

    stops = dict(zip(LAYERS, arrays["layer_stops"].tolist(), strict=True))
    starts = dict(zip(LAYERS, [0, *arrays["layer_stops"].tolist()], strict=False))
    own = np.concatenate([np.arange(starts[name], stops[name]) for name in layers])
    joints = len(arrays["parents"])
    every = len(arrays["mean"]) - joints  # vertices of all layers, before the joints
    faces = arrays["faces"][own].astype(np.int64)
    count = int(faces.max()) + 1  # the visible layers' vertices come first
    moving, expression = _expression_basis(arrays, count)
    weights = torch.zeros(count, joints).scatter_add_(
        1,
        torch.from_numpy(arrays["skin_index"][:count].astype(np.int64)),
        torch.from_numpy(arrays["skin_weight"][:count]).float(),
    )
    lengths = np.cumsum([0] + [stops[name] - starts[name] for name in layers])
    points = arrays["point_column"].astype(np.int64)

    tensor = torch.from_numpy

    def cut(name: str) -> Tensor:
        values = tensor(arrays[name])
        return torch.cat([values[..., :count, :], values[..., every:, :]], dim=-2).float()

    return Body(
        joint_names=tuple(arrays["joint_names"].tolist()),
        parents=tuple(arrays["parents"].tolist()),
        expression_names=tuple(arrays["expression_names"].tolist()),
        layers={name: slice(int(lengths[i]), int(lengths[i + 1])) for i, name in enumerate(layers)},
        levels=_levels(arrays["parents"].tolist()),
        mean=cut("mean"),
        shape_basis=cut("shape").flatten(1),
        expression_vertices=tensor(moving.astype(np.int64)),
        expression_basis=tensor(expression).flatten(1),
        weights=weights / weights.sum(dim=1, keepdim=True),
        faces=tensor(faces),
        face_parts=tensor(arrays["face_parts"][own].astype(np.int64)),
        corners=tensor(arrays["corners"][own].astype(np.int64)),
        uv=tensor(arrays["uv"].astype(np.float32) / 65535),
        point_rows=tensor(arrays["point_row"].astype(np.int64)),
        point_columns=tensor(np.where(points < every, points, points - every + count)),
        point_weights=tensor(arrays["point_weight"]),
        phenotypes={
            name: tensor(arrays[f"phenotype_{name}"].astype(np.float32))
            for name in ("mask", "map", "center")
        },
    )


def _expression_basis(arrays: dict[str, AnyArray], count: int) -> tuple[AnyArray, AnyArray]:
    """Which of the first `count` vertices any facial action moves, and how far (52, n, 3)."""
    index, offsets = arrays["expression_index"], arrays["expression_offset"]
    own = index[:, 1] < count
    moving, position = np.unique(index[own, 1], return_inverse=True)
    basis = np.zeros((len(arrays["expression_names"]), len(moving), 3), np.float32)
    basis[index[own, 0], position] = offsets[own]
    return moving, basis


def _levels(parents: list[int]) -> tuple[KinematicLevel, ...]:
    """The skeleton's joints by their depth."""
    import torch

    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    levels = []
    above: list[int] = []
    for number in range(max(depth) + 1):
        own = [i for i, d in enumerate(depth) if d == number]
        their = [max(parents[i], 0) for i in own]
        positions = [above.index(p) if above else 0 for p in their]
        levels.append(KinematicLevel(*(torch.tensor(x) for x in (own, their, positions))))
        above = own
    return tuple(levels)
