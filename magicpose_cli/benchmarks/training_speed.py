"""How fast each stage of a recipe trains on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.training.checkpoints import checkpoints, read_train_state
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.run import train


@dataclass(frozen=True)
class StageSpeed:
    """One stage: samples a second, and the share of the time spent waiting for data."""

    stage: str
    batch: int
    samples_per_s: float
    data_wait_share: float

    def line(self) -> str:
        """As a row of a table."""
        return (
            f"{self.stage:<14} batch {self.batch:<5} {self.samples_per_s:8.1f} samples/s, "
            f"{100 * self.data_wait_share:5.1f} % of the time waiting for data"
        )


def measure_training(
    recipe: Recipe, steps: int, *, device: str = "auto", on_progress: OnProgress = silent
) -> list[StageSpeed]:
    """Train each stage for so many steps in a temporary folder; the last ten steps count."""
    stages = {
        name: stage.model_copy(update={"steps": steps, "minutes": None})
        for name, stage in recipe.stages.items()
    }
    short = recipe.model_copy(update={"stages": stages, "variants": {}, "sheet_every": steps + 1})
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(short, run, device=device, on_progress=on_progress)
        states = [read_train_state(checkpoints(path)[-1]) for path in (run / "stages").iterdir()]
    return [
        StageSpeed(
            stage=state.stages[-1],
            batch=stages[state.stages[-1]].batch,
            samples_per_s=state.samples_per_s or 0.0,
            data_wait_share=state.data_wait_share or 0.0,
        )
        for state in sorted(states, key=lambda state: state.tick)
    ]
