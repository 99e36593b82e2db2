"""What trainers leave in a checkpoint is read as nothing; everything else is still refused."""

import argparse
import collections
import pathlib
import pickle
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from magicpose_cli.diffusion.checkpoint.inert import INERT_CLASSES
from magicpose_cli.diffusion.checkpoint.opening import read_checkpoint, read_plain
from magicpose_cli.errors import ModelError

needs_stand_ins = pytest.mark.skipif(
    not hasattr(torch.serialization, "safe_globals"), reason="torch before 2.5 refuses them"
)


def foreign(module: str, name: str, base: type = object) -> type:
    """A class as a package that is not here would have it; whoever calls its methods fails."""

    def called(self: Any, *arguments: Any) -> None:
        raise AssertionError("code of a file's class was run")

    return type(name, (base,), {"__module__": module, "__setstate__": called})


@pytest.fixture
def lightning(monkeypatch):
    """Modules with classes of Lightning's and omegaconf's names, for pickling alone."""
    names = {
        "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint", object),
        "pytorch_lightning.utilities.parsing": ("AttributeDict", dict),
        "omegaconf.dictconfig": ("DictConfig", object),
    }
    classes = {}
    for module, (name, base) in names.items():
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            path = ".".join(parts[:i])
            monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
        classes[name] = foreign(module, name, base)
        setattr(sys.modules[module], name, classes[name])
    return classes


@needs_stand_ins
def test_a_checkpoint_of_lightning(lightning, tmp_path, monkeypatch):
    config = object.__new__(lightning["DictConfig"])
    config.__dict__ = {"_content": {"lr": 1e-4}, "_metadata": None}
    saved = {
        "state_dict": {"a.weight": torch.arange(6.0).view(2, 3)},
        "epoch": 3,
        "callbacks": {lightning["ModelCheckpoint"]: {"best_model_score": np.float64(0.5)}},
        "hparams": lightning["AttributeDict"](lr=np.float32(1e-4), config=config),
        "history": collections.defaultdict(list, loss=[np.float64(1.0)]),
        "args": argparse.Namespace(out=pathlib.Path("runs"), betas=np.zeros((2, 2))),
    }
    for new in (True, False):
        torch.save(saved, tmp_path / "a.ckpt", _use_new_zipfile_serialization=new)
        with monkeypatch.context() as bare:
            for name in [
                n for n in sys.modules if n.startswith(("pytorch_lightning", "omegaconf"))
            ]:
                bare.delitem(sys.modules, name)
            found = read_checkpoint(tmp_path / "a.ckpt")
        assert list(found) == ["a.weight"]
        assert torch.equal(found["a.weight"], saved["state_dict"]["a.weight"])


def test_nothing_of_the_list_is_the_real_thing():
    named = {f"{each.__module__}.{each.__qualname__}": each for each in INERT_CLASSES}
    assert len(named) == len(INERT_CLASSES)
    for name in ("pathlib.PosixPath", "numpy.core.multiarray.scalar", "builtins.list"):
        assert named[name]("a", 1) is not None
        assert named[name].__mro__[-2].__module__ in (
            "magicpose_cli.diffusion.checkpoint.inert",
            named[name].__module__,
        )


class Payload:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_neighbors_of_the_list_are_refused(tmp_path):
    """Calls, and classes of the same modules that are not on it."""
    mark = tmp_path / "ran"
    for payload in (
        Payload(pathlib.Path.touch, mark),
        Payload(np.save, str(mark), [1]),
        Payload(eval, "1"),
        Payload(getattr, pathlib.Path(mark), "touch"),
        Payload(np.fromfile, str(mark)),
        collections.deque([1]),
    ):
        torch.save({"state_dict": {"a": torch.ones(1)}, "b": payload}, tmp_path / "a.ckpt")
        with pytest.raises(ModelError, match="refused, it holds more than tensors") as error:
            read_checkpoint(tmp_path / "a.ckpt")
        assert not mark.exists()
    assert "more than tensors, collections.deque (none" in str(error.value)


@needs_stand_ins
def test_the_list_is_forgotten_afterwards(tmp_path):
    torch.save({"a": argparse.Namespace(b=1)}, tmp_path / "a.ckpt")
    assert read_plain(tmp_path / "a.ckpt", "")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.ckpt", weights_only=True)
