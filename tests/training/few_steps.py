"""A few steps of a stage by hand: the examples that it would see, and how its loss falls."""

from typing import Any

import torch
from torch import nn

from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairSource
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.stages import examples


def first_example(recipe: Recipe, networks: Networks, source: PairSource) -> tuple[Any, ...]:
    """The arguments of the task of a recipe's only stage, at its first step."""
    [stage] = recipe.stages.values()
    return next(examples(networks, stage, source, (0, 0), 0))


def falling_losses(
    networks: Networks, part: str, task: nn.Module, arguments: tuple[Any, ...]
) -> list[float]:
    """Train one part alone for twelve steps on the same arguments; the losses before each."""
    networks.requires_grad_(False)
    parameters = networks.part(part).requires_grad_(True).parameters()
    optimizer, losses = torch.optim.AdamW(parameters, lr=1e-2), []
    for _ in range(12):
        loss = task(*arguments)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses
