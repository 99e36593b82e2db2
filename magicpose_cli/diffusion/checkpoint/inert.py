"""Stand-ins for what training scripts leave beside the tensors in a checkpoint.

Lightning's callbacks, numpy's numbers, paths and settings are named in a pickle by their classes.
None of these is imported or called: an empty stand-in takes each one's place, and is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

OBJECT_CLASSES = {
    "argparse": "Namespace",
    "datetime": "datetime date timedelta",
    "lightning.pytorch.callbacks.early_stopping": "EarlyStopping",
    "lightning.pytorch.callbacks.model_checkpoint": "ModelCheckpoint",
    "lightning_fabric.utilities.types": "_Stateful",
    "numpy": "dtype ndarray bool_ float16 float32 float64 int32 int64",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.dtypes": "Float32DType Float64DType Int64DType",
    "omegaconf.base": "ContainerMetadata Metadata",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode BooleanNode FloatNode IntegerNode StringNode",
    "pathlib": "Path PosixPath PurePath PurePosixPath WindowsPath PureWindowsPath",
    "pytorch_lightning.callbacks.early_stopping": "EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
    "pytorch_lightning.callbacks.progress.tqdm_progress": "TQDMProgressBar",
    "pytorch_lightning.utilities.enums": "AMPType",
    "types": "SimpleNamespace",
    "typing": "Any",
}
DICT_CLASSES = {
    "collections": "defaultdict",
    "lightning.fabric.utilities.data": "AttributeDict",
    "lightning.pytorch.utilities.parsing": "AttributeDict",
    "lightning_fabric.utilities.data": "AttributeDict",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
}
"""Classes by module: those with a state of their own, and those that are filled like a dict."""
BUILTIN_NAMES = ("bool", "dict", "float", "int", "list", "object", "str", "tuple")
"""Builtins that are named by such objects as types; they are not called either."""


class _Inert:
    """Takes whatever a pickle gives it and keeps none of it."""

    def __new__(cls, *arguments: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *arguments: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class Parameters(_Inert):
    """torch's own ParameterDict, in which textual inversions of 2022 keep their vectors."""

    tensors: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        kept = state.get("_parameters") if isinstance(state, dict) else None
        self.tensors = dict(kept) if isinstance(kept, dict) else {}


class _Table:
    """A dict in the place of a class that is one."""

    def __new__(cls, *arguments: Any) -> Any:
        return {}


def _stand_ins() -> list[Callable[..., Any]]:
    """One class each: torch takes them by module and name."""
    made: list[Callable[..., Any]] = [
        type(name, (kind,), {"__module__": module, "__qualname__": name})
        for table, kind in ((OBJECT_CLASSES, _Inert), (DICT_CLASSES, _Table))
        for module, names in table.items()
        for name in names.split()
    ]
    made += [type(name, (_Inert,), {"__module__": "builtins"}) for name in BUILTIN_NAMES]
    return [*made, Parameters]


Parameters.__module__, Parameters.__qualname__ = "torch.nn.modules.container", "ParameterDict"
INERT_CLASSES = _stand_ins()


def harmless_allowed() -> AbstractContextManager[None]:
    """While it lasts, torch reads these names as stand-ins; releases before 2.5 refuse them."""
    allowed = getattr(torch.serialization, "safe_globals", None)
    return nullcontext() if allowed is None else allowed(INERT_CLASSES)
