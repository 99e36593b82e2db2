"""Weights' files of strangers, opened without running anything or taking memory on their word.

torch's unpickler of weights runs no code, but it trusts what a file says of sizes: a few bytes can
ask for any amount of memory. That is refused here.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from magicpose_cli.diffusion.checkpoint.inert import harmless_allowed
from magicpose_cli.diffusion.checkpoint.loading import unreadable
from magicpose_cli.diffusion.checkpoint.tensor_plan import EXPECTED_CHECKPOINT
from magicpose_cli.errors import ModelError

LEGACY_PICKLES = 4  # magic number, version, system, then what was saved
SHARED = 4  # times that a file's bytes may be used, by tensors of the same memory
ALLOCATORS = ("bytearray",)  # what torch lets a pickle call that fills as much memory as it is told


def read_checkpoint(
    source: Path, expected: str = f"expected {EXPECTED_CHECKPOINT}", place: str | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by key, mapped from the file where its format allows.

    Nothing but tensors and plain containers is ever unpickled; a few harmless classes that trainers
    leave are read as nothing. What is no tensor, and what stands beside a `state_dict`, is training
    state and not returned. place: how a message begins, the file's path by default.
    """
    place = place or str(source)
    if not source.is_file():
        raise ModelError(f"{place}: no such file; {expected}")
    state = read_plain(source, expected, place)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise ModelError(f"{place}: holds a {type(state).__name__}; {expected}")
    tensors = {str(k): value for k, value in state.items() if isinstance(value, torch.Tensor)}
    check_tensors(source, tensors, expected)
    return tensors


def read_plain(source: Path, expected: str, place: str | None = None) -> Any:
    """What a safetensors or a pickled file holds: tensors and plain containers, or ModelError.

    expected: the end of the line that says what else it should have been. place: its beginning,
    the file's path by default.
    """
    place = place or str(source)
    try:
        if is_safetensors(source):
            return load_file(source)
        _check_modest(source)
        with warnings.catch_warnings(), harmless_allowed():
            warnings.simplefilter("ignore")  # advice to developers on old formats
            return torch.load(
                source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source)
            )
    except pickle.UnpicklingError as error:
        if re.search(r"GLOBAL|Unsupported (global|class|operand)", str(error)):
            named = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
            which = f", {named[1]}" if named else ""
            raise ModelError(
                f"{place}: refused, it holds more than tensors{which} (none of its code was run); "
                f"{expected}"
            ) from error
        raise ModelError(f"{place}: is no checkpoint; {expected}") from error
    except unreadable() as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(f"{place}: cannot be read ({reason}); {expected}") from error


def is_safetensors(source: Path) -> bool:
    """By its name or, as some are renamed, by how it begins: a length, then a JSON table."""
    with source.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    begins = start[8:] == b"{" and length < source.stat().st_size
    return source.suffix.lower() == ".safetensors" or begins


def metadata_of(source: Path) -> dict[str, str]:
    """What a file of safetensors tells beside its tensors; nothing for other files."""
    if not is_safetensors(source):
        return {}
    with safe_open(source, "pt") as opened:
        return dict(opened.metadata() or {})


def require_finite(place: str, key: str, tensor: torch.Tensor) -> None:
    """ModelError for weights of which a trainer or a merger has made inf or NaN."""
    if (
        tensor.is_floating_point()
        and not torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor).all()
    ):
        raise ModelError(
            f"{place}: {key[:160]} holds numbers that are not finite (inf or NaN); it is damaged: "
            "use another copy or version"
        )


def check_tensors(source: Path, tensors: Mapping[str, torch.Tensor], expected: str) -> None:
    """ModelError unless these are plain numbers that the file really holds."""
    for key, tensor in tensors.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.is_quantized or tensor.is_complex():
            raise ModelError(f"{source}: {key[:80]} is no plain array of numbers; {expected}")
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > SHARED * (there := source.stat().st_size):
        raise ModelError(
            f"{source}: tells of {claimed / 1e6:.0f} MB of numbers in {there / 1e6:.1f} MB; "
            f"{expected}"
        )


def fill(
    network: Any,
    state: Mapping[str, torch.Tensor],
    place: str,
    name: str,
    *,
    lacking: str,
    misfit: str,
) -> None:
    """Give a network the weights of `state`, which may hold more; nothing changes where one fails.

    place, name: what is read and what the network is, as a message names them. lacking, misfit: how
    the message ends where a weight is not there, or of another shape.
    """
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    if any(key.endswith((".scale_weight", ".weight_scale", ".absmax")) for key in state):
        raise ModelError(f"{place}: is quantized, with scales beside its weights; {misfit}")
    if absent := sorted(shapes.keys() - state.keys()):
        raise ModelError(
            f"{place}: lacks {len(absent)} of the {name}'s {len(shapes)} weights "
            f"({absent[0]}, ...); {lacking}"
        )
    for key, shape in shapes.items():
        found = state[key].shape
        if found not in (shape, (*shape, 1, 1)):  # a 1x1 convolution for a linear layer
            raise ModelError(
                f"{place}: {key} is {list(found)}, this model's {name} has {list(shape)}; {misfit}"
            )
        if not state[key].is_floating_point():
            raise ModelError(f"{place}: {key} is quantized to {state[key].dtype}; {misfit}")
    dtypes = {key: weight.dtype for key, weight in network.state_dict().items()}
    for key in shapes:  # what is finite may be more than half precision holds
        require_finite(place, key, state[key].to(dtypes[key]))
    network.load_state_dict({key: state[key].reshape(shape) for key, shape in shapes.items()})


def _check_modest(source: Path) -> None:
    """ValueError for a pickled file that would take memory for what it does not hold."""
    for stream in _pickles(source):
        for operation, argument, _ in pickletools.genops(stream):
            called = str(argument).split(" ")[-1] if operation.name == "GLOBAL" else ""
            if called in ALLOCATORS:
                raise ValueError(f"it makes a {called}, which no tensor needs")


def _pickles(source: Path) -> Iterator[IO[bytes]]:
    """Where the pickles of a file begin, one after the other."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed, which torch's files are not")
            for member in members:
                if member.filename.lower().endswith("data.pkl"):
                    yield io.BytesIO(archive.read(member))
    else:
        with source.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                if file.peek(1):
                    yield file
