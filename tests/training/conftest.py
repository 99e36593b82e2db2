"""A recipe that runs through every stage in seconds."""

import pytest

from magicpose_cli.training.recipe import Recipe, load_recipe


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
