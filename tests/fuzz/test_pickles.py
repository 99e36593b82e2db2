"""Pickles that would do something: none of it is done, whatever the file is called."""

import builtins
import importlib
import io
import os
import pickle
import runpy
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint
from magicpose_cli.diffusion.checkpoint.opening import read_checkpoint, read_plain
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.pose.files.read_write import read_clip
from tests.fuzz.conftest import damaged, fuzzed, read_or_refused

NAMES = ("a.th", "a.pth", "a.pt", "a.ckpt", "a.bin", "a.safetensors", "a.pkl", "a.npz", "a.npy",
         "a.json")  # fmt: skip


class Payload:
    """Whoever unpickles it calls what it is made of."""

    def __init__(self, call: Any, *arguments: Any):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def payloads(mark: Path) -> list[Payload]:
    """Each would leave the mark."""
    code = f"__import__('os').mkdir({str(mark)!r})"
    script = mark.with_name("script.py")
    script.write_text(code)
    return [
        Payload(os.system, f"mkdir {mark}"),
        Payload(os.mkdir, str(mark)),
        Payload(builtins.eval, code),
        Payload(builtins.exec, code),
        Payload(builtins.open, str(mark), "w"),
        Payload(builtins.getattr, Payload(importlib.import_module, "os"), "getcwd"),
        Payload(subprocess.check_call, ["mkdir", str(mark)]),
        Payload(runpy.run_path, str(script)),
        Payload(torch.save, {}, str(mark)),
        Payload(np.save, str(mark), [1]),
        Payload(Path.touch, mark),
    ]


FORMS = st.sampled_from(["zip", "legacy", 0, 1, 2, 3, 4, 5])


def pickled(value: Any, form: str | int) -> bytes:
    if isinstance(form, int):
        return pickle.dumps(value, form)
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


def hidden(inner: st.SearchStrategy) -> st.SearchStrategy:
    """Among tensors and containers, and where a pickle's own machinery looks."""
    tensor = st.builds(torch.zeros, st.integers(0, 3))
    return st.recursive(
        inner,
        lambda value: st.one_of(
            st.builds(lambda v, t: [t, v], value, tensor),
            st.builds(lambda v, t: {"state_dict": {"a": t, "b": v}}, value, tensor),
            st.builds(lambda v: {"state_dict": v, "global_step": 1}, value),
            st.builds(lambda v: Payload(dict, [("a", v)]), value),
            st.builds(lambda v: Payload(set, [v]), value),
        ),
        max_leaves=2,
    )


def read_all(folder: Path, content: bytes) -> None:
    """By every door, under every name."""
    for name in NAMES:
        (folder / name).write_bytes(content)
        if name.endswith((".npz", ".npy", ".json", ".pkl")):
            read_or_refused(lambda name=name: read_clip(folder / name))
        else:
            read_or_refused(lambda name=name: read_checkpoint(folder / name))


def test_payloads_are_refused_unexecuted(tmp_path):
    mark = tmp_path / "ran"
    known = payloads(mark)

    @fuzzed
    @given(value=hidden(st.sampled_from(known)), form=FORMS, name=st.sampled_from(NAMES))
    def holds(value, form, name) -> None:
        (tmp_path / name).write_bytes(pickled(value, form))
        open_it = read_clip if name.endswith((".npz", ".npy", ".json", ".pkl")) else read_checkpoint
        with pytest.raises(MagicPoseError) as error:
            open_it(tmp_path / name)
        assert str(error.value).isprintable()
        assert not mark.exists()

    holds()
    pickle.loads(pickled(known[1], 4))  # they do work, where nobody is careful
    assert mark.exists()


def test_a_payload_among_the_networks_is_refused_unexecuted(tmp_path):
    mark = tmp_path / "ran"
    state = {f"{root}x": torch.zeros(1) for root in ("model.diffusion_model.", "betas")}
    for payload in payloads(mark):
        for form in ("zip", "legacy"):
            (tmp_path / "a.th").write_bytes(pickled(state | {"extra": payload}, form))
            with pytest.raises(MagicPoseError, match="refused"):
                convert_checkpoint(tmp_path / "a.th", tmp_path / "model")
            assert not mark.exists() and not (tmp_path / "model").exists()


MODULES = ["os", "builtins", "posix", "subprocess", "torch", "torch._utils", "torch.storage",
           "collections", "_codecs", "numpy.core.multiarray", "torch.serialization", "torch.hub",
           "torch._tensor", "functools", "importlib", "torch.nn.parameter"]  # fmt: skip
OBJECTS = ["system", "mkdir", "eval", "exec", "getattr", "OrderedDict", "_rebuild_tensor_v2",
           "FloatStorage", "encode", "bytearray", "_reconstruct", "_rebuild_parameter", "load",
           "_rebuild_meta_tensor_no_storage", "Tensor", "set", "partial", "__import__", "Size",
           "_rebuild_from_type_v2", "device", "_get_layout", "Counter", "complex"]  # fmt: skip


@st.composite
def opcodes(draw, mark: str) -> bytes:
    """A pickle's own instructions in any order, on names that could do harm."""
    ops = [b"\x80" + bytes([draw(st.sampled_from([2, 2, 3, 4, 9]))])]
    number = st.integers(0, 2**31 - 1)
    short = st.one_of(
        st.sampled_from([b"(", b")", b"}", b"]", b"N", b"\x88", b"\x89", b"\x85", b"\x86", b"\x87",
                         b"t", b"R", b"R", b"b", b"o", b"\x81", b"\x92", b"a", b"e", b"s", b"u",
                         b"0", b"2", b"Q", b"\x94", b"\x93", b"\x8f", b"\x90", b"q\x00", b"h\x00"]),
        st.builds(lambda m, o: f"c{m}\n{o}\n".encode(), st.sampled_from(MODULES),
                  st.sampled_from(OBJECTS)),
        st.builds(lambda m, o: f"i{m}\n{o}\n".encode(), st.sampled_from(MODULES),
                  st.sampled_from(OBJECTS)),
        st.sampled_from([mark, f"mkdir {mark}", "storage", "cpu", "utf-8", "state_dict", "a", ""])
        .map(lambda text: b"X" + len(text).to_bytes(4, "little") + text.encode()),
        number.map(lambda n: b"J" + n.to_bytes(4, "little")),
        number.map(lambda n: b"\x8a\x06" + (n << 16).to_bytes(6, "little")),
        number.map(lambda n: b"X" + n.to_bytes(4, "little") + b"ab"),
        number.map(lambda n: b"B" + n.to_bytes(4, "little") + b"ab"),
        st.binary(max_size=2),
    )  # fmt: skip
    ops += draw(st.lists(short, max_size=14))
    return b"".join(ops) + b"."


def as_zip(pickle_data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickle_data)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/data/0", b"\0" * 64)
        archive.writestr("a/version", "3\n")
    return file.getvalue()


def as_legacy(pickle_data: bytes) -> bytes:
    head = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION,
            {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]  # fmt: skip
    return b"".join(pickle.dumps(part, 2) for part in head) + pickle_data + pickle.dumps([], 2)


def test_any_pickle_is_read_or_refused(tmp_path):
    mark = tmp_path / "ran"

    @fuzzed
    @given(data=opcodes(str(mark)), form=st.sampled_from([as_zip, as_legacy, bytes]))
    def holds(data, form) -> None:
        (tmp_path / "a.th").write_bytes(form(data))
        read_or_refused(lambda: read_checkpoint(tmp_path / "a.th"))
        assert not mark.exists()

    holds()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_any_damaged_checkpoint_is_read_or_refused(form, tmp_path):
    state = {"state_dict": {"a.weight": torch.ones(2, 3), "b": torch.arange(4)}, "epoch": 1}

    @fuzzed
    @given(content=damaged(pickled(state, form)))
    def holds(content: bytes) -> None:
        (tmp_path / "a.ckpt").write_bytes(content)
        read_or_refused(lambda: read_checkpoint(tmp_path / "a.ckpt"))

    holds()


def test_any_bytes_are_refused_by_every_door(tmp_path):
    @fuzzed
    @given(content=st.binary(max_size=80))
    def holds(content: bytes) -> None:
        read_all(tmp_path, content)

    holds()


def huge_call(name: str, size: int) -> bytes:
    """builtins.NAME(size), which unpicklers of weights allow for some names."""
    return b"\x80\x02c__builtin__\n" + name.encode() + b"\n" + (
        b"\x8a\x08" + size.to_bytes(8, "little")
    ) + b"\x85R."  # fmt: skip


@pytest.mark.parametrize("form", [as_zip, as_legacy, bytes])
def test_a_small_file_that_asks_for_much_is_refused(form, tmp_path):
    for size in (2**33, 2**45):
        (tmp_path / "a.th").write_bytes(form(huge_call("bytearray", size)))
        with pytest.raises(MagicPoseError, match="expected"):
            read_plain(tmp_path / "a.th", "expected weights")


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_larger_than_its_bytes_is_refused(tmp_path):
    for tensor in (torch.zeros(1).expand(10**6, 10**6), torch.empty(10**9, device="meta"),
                   torch.sparse_coo_tensor(size=(10**6, 10**6))):  # fmt: skip
        torch.save({"a": tensor}, tmp_path / "a.th")
        with pytest.raises(MagicPoseError, match="expected"):
            read_checkpoint(tmp_path / "a.th")


@pytest.mark.slow
def test_a_zip_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.th", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + b"\x88" * (1 << 28) + b".")
        archive.writestr("a/version", "3\n")
    with pytest.raises(MagicPoseError, match="expected"):
        read_checkpoint(tmp_path / "a.th")
