"""Paths with a ~, of users with a home and without one."""

import os
import sys
from pathlib import Path

import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.config.user_home import NOWHERE, expanded, user_home
from magicpose_cli.diffusion.adapters.named import place_of
from magicpose_cli.diffusion.checkpoint.loading import resolve_model
from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.files import MAX_OWN_NAME_BYTES, name_that_fits
from magicpose_cli.models import models_home
from magicpose_cli.run.preflight import resolve_preset

NOBODY = "~nobody-of-this-name/x"


@pytest.fixture
def homeless(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for name in ("MAGICPOSE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)


def test_a_home_stands_for_the_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/models") == tmp_path / "models" and user_home() == tmp_path
    assert expanded("plain/~name") == Path("plain/~name")


def test_a_home_of_nobody_is_a_path_that_is_not_there():
    assert expanded(NOBODY) == Path(NOBODY) == place_of(NOBODY)
    with pytest.raises(ModelError):
        resolve_model(NOBODY)
    with pytest.raises(ConfigError, match="expected one of"):
        resolve_preset(NOBODY)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other caches")
def test_a_user_without_a_home_has_no_models_but_the_embedded(homeless, monkeypatch):
    assert NOWHERE in models_home().parents
    assert isinstance(resolve_preset(None), Preset)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert models_home() == Path("/somewhere/magicpose/models")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("me", "dance"), "me_dance.mp4"),
        (("a" * 250, "dance"), f"{'a' * 210}_dance.mp4"),
        (("a" * 250, "ü" * 120), f"{'a' * 107}_{'ü' * 53}.mp4"),
        (("\udcff" * 250, ""), "\udcff" * 215 + "_.mp4"),
    ],
)
def test_a_name_of_names_fits_the_disk(parts, expected):
    assert name_that_fits("{}_{}.mp4".format, *parts) == expected
    assert len(os.fsencode(expected)) <= MAX_OWN_NAME_BYTES
