"""A recipe that runs through every stage in seconds."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from magicpose_cli.training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from magicpose_cli.training.pair_source import PairSource


@pytest.fixture(scope="session", autouse=True)
def short_trainings() -> Iterator[None]:
    """Drawn people come from a thread, as a process takes longer to start; sheets have two rows.

    `test_clip_pool.py` and trainings that run as a process of their own have the real ones.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("magicpose_cli.training.clip_pool.worker_processes", ThreadPoolExecutor)
        patch.setattr("magicpose_cli.training.sample_sheet.SHEET_ROWS", 2)
        yield


@pytest.fixture(scope="session")
def toy() -> Recipe:
    """The shipped toy recipe with four steps a stage and eight clips."""
    recipe = load_recipe("toy")
    stages = {
        name: stage.model_copy(update={"steps": 4, "warmup": 2, "batch": 4})
        for name, stage in recipe.stages.items()
    }
    data = recipe.data.model_copy(update={"clips": 8, "workers": 1, "resample_every": 2})
    return recipe.model_copy(update={"stages": stages, "data": data})


@pytest.fixture(scope="module")
def source(recipe: Recipe) -> "Iterator[PairSource]":
    """Where the module's recipe takes its people from."""
    import torch

    from magicpose_cli.progress import silent
    from magicpose_cli.training.pair_source import open_source

    source = open_source(recipe, 0, torch.device("cpu"), silent)
    yield source
    source.close()


@pytest.fixture
def whole_and_halves(tmp_path, monkeypatch) -> Callable[[Recipe], tuple[dict, dict]]:
    """Trains a recipe of one stage twice: at once, and stopped after two steps and gone on with."""
    from magicpose_cli.training import loop
    from magicpose_cli.training.checkpoints import checkpoints, read_tensors
    from magicpose_cli.training.run import train

    def trained(recipe: Recipe) -> tuple[dict, dict]:
        monkeypatch.setattr(loop, "CHECK_EVERY", 1)

        def stop(progress):
            if progress.unit == "steps" and progress.done == 2:
                raise KeyboardInterrupt

        train(recipe, tmp_path / "whole", device="cpu")
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "halves", device="cpu", on_progress=stop)
        train(recipe, tmp_path / "halves", device="cpu")
        [stage] = recipe.stages
        one, other = (
            read_tensors(checkpoints(tmp_path / run / "stages" / stage)[-1])
            for run in ("whole", "halves")
        )
        return one, other

    return trained
