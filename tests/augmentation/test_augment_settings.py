import pytest

from magicpose_cli.augmentation.augment_settings import AugmentSettings, load_augment_settings
from magicpose_cli.errors import ConfigError


def test_the_shipped_preset_shows_every_setting_with_its_default():
    shipped = load_augment_settings("market1501").model_dump(exclude={"description"})
    assert shipped == AugmentSettings().model_dump(exclude={"description"})


def test_a_wrong_threshold_is_named(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[judge]\nmin_silhouette = 2.0\n")
    with pytest.raises(ConfigError, match=r"judge\.min_silhouette"):
        load_augment_settings(str(path))
