"""Compare the shipped body with Anny's own posing: `python -m magicpose_cli.body.baking_check`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from magicpose_cli.body.baking import ADULT, SEED, load_anny, random_adults, upright
from magicpose_cli.body.model import Body
from magicpose_cli.body.phenotypes import shape_from_phenotypes
from magicpose_cli.body.rotations import matrix_from_axis_angle

CHECKED_ADULTS = 40
SPREAD_DEG = 25.0  # of every joint's random turn


def check_baking() -> None:
    """Say how far vertices lie apart for random adults, faces and turns of every joint."""
    model = (
        load_anny()
        .Anny(
            topology="anny",
            facial_actions="all",
            phenotypes="all",
            phenotype_blendshapes="original",
        )
        .float()
    )
    body = Body.load(("skin", "eyes", "tongue"))
    generator = np.random.default_rng(SEED + 1)
    errors = []
    for adult in random_adults(CHECKED_ADULTS, SEED + 1):
        words = dict(zip(model.phenotype_labels, adult.tolist(), strict=True))
        turns = generator.normal(0, np.radians(SPREAD_DEG), (1, body.joint_count, 3))
        face = generator.uniform(size=(1, 52)) * (generator.uniform(size=(1, 52)) < 0.2)
        rotations = matrix_from_axis_angle(torch.from_numpy(turns).float())
        errors.append(_distances(model, body, words, torch.from_numpy(face).float(), rotations))
    for name, found in zip(("skinning alone", "whole"), zip(*errors, strict=True), strict=True):
        mm = 1000 * np.stack(found)
        sys.stdout.write(
            f"{name}: {CHECKED_ADULTS} adults posed, vertices {mm.mean():.4f} mm apart on average, "
            f"99 % {np.quantile(mm, 0.99):.4f} mm, largest {mm.max():.3f} mm\n"
        )


def _distances(
    model: Any, body: Body, words: dict[str, float], face: torch.Tensor, rotations: torch.Tensor
) -> tuple[Any, Any]:
    """(V,) meters: our skinning of Anny's rest, and our whole body, each against Anny's."""
    axes = torch.from_numpy(upright(np.eye(3)).T.copy()).float()  # ours = axes @ Anny's
    rest = model(phenotype_kwargs=words, facial_actions=face)
    heads = rest["rest_bone_heads"]
    joints = (heads - heads[:, :1]) @ axes.T
    world, placed = body.transforms(joints, rotations)
    poses = rest["rest_bone_poses"].clone()
    poses[:, :, :3, :3] = axes.T @ world @ axes @ poses[:, :, :3, :3]
    poses[:, :, :3, 3] = placed @ axes + heads[:, :1]
    theirs = model(
        pose_parameters=poses,
        phenotype_kwargs=words,
        facial_actions=face,
        pose_parameterization="world",
    )["vertices"]
    theirs = (theirs - heads[:, :1]) @ axes.T
    used = torch.unique(body.faces)
    mean = body.mean.clone()
    mean[used] = ((rest["rest_vertices"] - heads[:, :1]) @ axes.T)[0]
    mean[body.vertex_count :] = joints[0]
    given = replace(body, mean=mean)
    own = {**words, "age": max(0.0, (words["age"] - ADULT) / (1 - ADULT))}
    shape = shape_from_phenotypes(body, **own)
    root = torch.zeros(1, 3)
    skinned = given(torch.zeros_like(shape), None, rotations, root).vertices[:, used]
    whole = body(shape, face, rotations, root).vertices[:, used]
    return tuple((points - theirs)[0].norm(dim=1).numpy() for points in (skinned, whole))


if __name__ == "__main__":
    check_baking()
