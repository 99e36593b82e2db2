"""Trains the network that tells a person's parts apart, on rendered people alone.

    python -m magicpose_cli.training.part_training RUN --people 400 --steps 2000

RUN/examples/   rendered and detected people, made once
RUN/state.pt    where a training goes on that was cut off
RUN/part_network.safetensors   the weights in half precision; `warping/` ships such a file
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.files import whole_file
from magicpose_cli.training.part_examples import (
    PartExample,
    disturbed,
    exact,
    read_examples,
    render_examples,
)
from magicpose_cli.warping.part_features import SEGMENTED_PARTS
from magicpose_cli.warping.part_network import PartNetwork

FIRST_SEED, HELD_OUT_SEED = 910_000, 900_000
HELD_OUT_PEOPLE = 20
BATCH = 12
LEARNING_RATE, LAST_SHARE, WARMUP_STEPS = 2e-3, 0.02, 50
WEIGHT_DECAY = 1e-3
AVERAGE_DECAY, AVERAGE_WARMUP = 0.995, 20
SAVE_EVERY = 100  # steps
CLASS_WEIGHTS = {"background": 0.3, "arm": 1.5, "forearm": 1.5, "hand": 1.5}
"""By the last word of the class: arms are what the network is for."""


class PartTraining:
    """Steps of AdamW on disturbed examples; step k sees the same in every run."""

    def __init__(self, examples: list[PartExample], steps: int) -> None:
        self.step, self.steps, self._examples = 0, steps, examples
        self.network = PartNetwork()
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self._class_weights = torch.tensor(
            [CLASS_WEIGHTS.get(part.rpartition("_")[2], 1.0) for part in SEGMENTED_PARTS]
        )

    def advance(self) -> float:
        """Make one step; return its loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        features, classes = self._batch()
        self.network.train()
        loss = cross_entropy(self.network(features), classes, weight=self._class_weights)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.step += 1
        decay = min(AVERAGE_DECAY, self.step / (self.step + AVERAGE_WARMUP))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Return all that it takes to go on."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a former state."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self._optimizer.load_state_dict(state["optimizer"])

    def _learning_rate(self) -> float:
        """Rise, then fall along half a cosine."""
        rise = min(1.0, (self.step + 1) / WARMUP_STEPS)
        fall = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        return LEARNING_RATE * rise * (LAST_SHARE + (1 - LAST_SHARE) * fall)

    def _batch(self) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([FIRST_SEED, self.step])
        rows: list[tuple[Floats, Integers]] = []
        while len(rows) < BATCH:
            row = disturbed(self._examples[int(rng.integers(len(self._examples)))], rng)
            if row is not None:
                rows.append(row)
        features, classes = (np.stack(column) for column in zip(*rows, strict=True))
        return torch.from_numpy(features), torch.from_numpy(classes).long()


def overlaps(weights: dict[str, Tensor], examples: list[PartExample]) -> dict[str, float]:
    """Measure intersection over union of each class, over all examples, undisturbed."""
    network = PartNetwork()
    network.load_state_dict(weights)
    network.eval()
    both, either = np.zeros((2, len(SEGMENTED_PARTS)))
    for example in examples:
        row = exact(example)
        if row is None:
            continue
        features, classes = row
        with torch.inference_mode():
            found = network(torch.from_numpy(features)[None])[0].argmax(0).numpy()
        for index in range(len(SEGMENTED_PARTS)):
            both[index] += ((found == index) & (classes == index)).sum()
            either[index] += ((found == index) | (classes == index)).sum()
    return dict(zip(SEGMENTED_PARTS, (both / np.maximum(either, 1)).tolist(), strict=True))


def train_parts(folder: Path, people: int, steps: int) -> Path:
    """Train, or go on; return the file of the weights.

    Args:
        folder: Of the run.
        people: How many are rendered to learn from.
        steps: Of BATCH examples each.
    """
    examples = read_examples(render_examples(folder / "examples", FIRST_SEED, people))
    training, state = PartTraining(examples, steps), folder / "state.pt"
    if state.is_file():
        training.resume(torch.load(state, weights_only=True))
    while training.step < steps:
        loss = training.advance()
        if training.step % SAVE_EVERY == 0 or training.step == steps:
            sys.stdout.write(f"step {training.step} of {steps}: loss {loss:.4f}\n")
            with whole_file(state, overwrite=True) as partial:
                torch.save(training.state(), partial)
    half = {n: v.half() if v.is_floating_point() else v for n, v in training.average.items()}
    path = folder / "part_network.safetensors"
    with whole_file(path, overwrite=True) as partial:
        save_file(half, partial)
    return path


def train_from_command_line() -> None:
    """Read the command line, train, and tell how well held-out people are told apart."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the run; the same one goes on")
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--steps", type=int, default=3000)
    asked = parser.parse_args()
    path = train_parts(asked.folder, asked.people, asked.steps)
    held_out = render_examples(asked.folder / "held_out", HELD_OUT_SEED, HELD_OUT_PEOPLE)
    weights = torch.load(asked.folder / "state.pt", weights_only=True)["average"]
    for part, overlap in overlaps(weights, read_examples(held_out)).items():
        sys.stdout.write(f"{part:16} {overlap:.3f}\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    train_from_command_line()
