"""Sample sheets: what the networks make of people they never train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from magicpose_cli.arrays import Picture, to_pictures
from magicpose_cli.config.user_home import expanded
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.synthetic.sources import SYNTHETIC_KINDS, synthetic_people
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import to_float
from magicpose_cli.training.recipe import Recipe

SHEET_ROWS = 6


class SampleSheet:
    """A fixed set of pairs, drawn again by every sheet: reference | pose | truth | result."""

    def __init__(self, recipe: Recipe):
        self._recipe = recipe
        self._rows = [_row(recipe, index) for index in range(SHEET_ROWS)]

    @torch.no_grad()
    def write(self, path: Path, networks: Networks, kind: str) -> None:
        """Write a PNG.

        In the base stage the result is what the denoiser makes without reference and pose.
        """
        model = self._recipe.model
        pipeline = networks.pipeline()
        pipeline.set_progress_bar_config(disable=True)
        lines = []
        for reference, own, maps, truth in self._rows:
            pose, bodies = maps[..., :3], maps[..., 3:]
            if kind == "autoencoder":
                pictures = torch.from_numpy(truth.copy())[None].to(networks.device)
                latents = networks.encode(to_float(pictures))
                result = pipeline.decode(latents)[0].permute(1, 2, 0).numpy()
            else:
                (result,) = pipeline(
                    Image.fromarray(reference),
                    Image.fromarray(pose),
                    body_maps=[
                        Image.fromarray(each)
                        for each in np.split(bodies, len(model.body_maps), axis=2)
                    ]
                    if model.body_maps
                    else [],
                    reference_pose_map=Image.fromarray(own),
                    num_inference_steps=model.default_steps,
                    guidance_scale=0.0 if kind == "base" else model.default_guidance,
                    generator=torch.Generator().manual_seed(0),
                    output_type="np",
                    return_dict=False,
                )[0]
            drawn = (np.clip(result, 0, 1) * 255).round().astype(np.uint8)
            lines.append(np.concatenate([reference, pose, truth, drawn], 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(lines)).save(path)


def _row(recipe: Recipe, index: int) -> tuple[Picture, Picture, Picture, Picture]:
    """Reference, pose maps of it and of the truth, and this, each (S, S, 3) uint8.

    Behind the pose map of the truth lie the maps of its body that the model reads.
    """
    model = recipe.model
    if recipe.data.source not in SYNTHETIC_KINDS:
        from magicpose_cli.dataset.clips import open_clips, sample_pair

        clips = open_clips(expanded(recipe.data.source))
        rng = np.random.default_rng(index)
        reference, own, truth, maps, _ = sample_pair(clips, rng, model.size, model.pose_canvas)
        return reference, own, maps, truth
    from magicpose_cli.synthetic.people import TEST_SEEDS

    kind = recipe.data.source
    people = synthetic_people(
        kind, TEST_SEEDS + 7000 + index, 1, 2, model.size, body_maps=model.body_maps
    )
    pictures = to_pictures(people.images)
    own, maps = (pose_map(pose, model.pose_canvas) for pose in people.poses())
    if people.body_maps is not None:
        maps = np.concatenate([maps, people.body_maps[1]], axis=2)
    return pictures[0], own, maps, pictures[1]
