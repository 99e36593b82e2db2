"""Safetensors whose headers lie, in place of every kind of weights."""

import json
import struct
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from magicpose_cli.diffusion.adapters.base import swap_denoiser
from magicpose_cli.diffusion.adapters.decoder import load_autoencoder
from magicpose_cli.diffusion.adapters.embedding import add_embedding
from magicpose_cli.diffusion.adapters.lora import METADATA, fuse_lora
from magicpose_cli.diffusion.checkpoint.loading import lacking_weights, load_pipeline, unreadable
from magicpose_cli.diffusion.checkpoint.opening import read_checkpoint
from magicpose_cli.diffusion.checkpoint.tensor_plan import plan_conversion
from tests.fuzz.conftest import anything, changed, damaged, fuzzed, read_or_refused, scalars, words

KINDS = ["F32", "F32", "F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F4",
         "C64", "X9", 5, None]  # fmt: skip
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
LORA_KEYS = [
    f"lora_unet_{LAYER.replace('.', '_')}{end}"
    for end in (".lora_down.weight", ".lora_up.weight", ".alpha")
] + [f"unet.{LAYER}{end}" for end in (".lora_A.weight", ".lora_B.weight", ".alpha")] + [
    "lora_te_text_model.x.lora_down.weight", "unet.\x1b[31m.lora_A.weight",
]  # fmt: skip
RELEASED_KEYS = [
    f"model.diffusion_model.{key}"
    for key in ("input_blocks.0.0.weight", "input_blocks.1.0.out_layers.3.weight", "out.2.weight",
                "input_blocks.1.1.proj_in.weight", "label_emb.weight", "input_blocks.2.0.op.weight",
                "middle_block.1.transformer_blocks.0.attn2.to_k.weight")
] + ["appearance_control_model.x", "pose_control_model.input_hint_block.0.weight",
     "pose_control_model.input_hint_block.2.weight", "first_stage_model.encoder.conv_in.weight",
     "first_stage_model.encoder.down.0.block.0.conv1.weight", "betas", "state_dict",
     "cond_stage_model.transformer.embeddings.token_embedding.weight", "emb_params"]  # fmt: skip
WRONG_SHAPES = st.sampled_from([[2**63], [10**10, 10**10], [-1], [2.5], "x", None, [0, 2**40]])
METADATAS = st.one_of(
    anything,
    st.builds(
        lambda alpha, pattern: {"unet.lora_alpha": alpha, "unet.alpha_pattern": pattern},
        scalars,
        st.dictionaries(st.sampled_from(["(", "(.*.)*(.*.)*(.*.)*@", LAYER, ".*"]) | words, scalars)
        | anything,
    ),
)


@st.composite
def files(draw, keys: list[str]) -> bytes:
    """A header about tensors that may be there, and so many bytes as it claims, or not."""
    header: dict = {}
    place = 0
    lies = draw(st.booleans())
    for key in draw(st.lists(st.sampled_from(keys) | words, max_size=5, unique=True)):
        shape = draw(
            st.one_of(
                st.lists(st.sampled_from([1, 1, 2, 4, 16, 32, 0]), max_size=4),
                st.sampled_from([[32, 32, 1, 1], [32, 4, 3, 3], [2, 16], [16, 2], [100, 64]]),
                *[WRONG_SHAPES] * lies,
            )
        )
        kind = draw(st.sampled_from(KINDS if lies else KINDS[:9]))
        sound = isinstance(shape, list) and all(isinstance(n, int) and 0 <= n < 99 for n in shape)
        size = int(torch.Size(shape).numel()) * {"F32": 4, "I32": 4, "F64": 8, "I64": 8, "U8": 1,
                "BOOL": 1, "F8_E4M3": 1, "C64": 8}.get(kind, 2) if sound else 8  # fmt: skip
        offsets = [place, place + size]
        place += size
        header[key] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    if draw(st.booleans()):
        header["__metadata__"] = draw(
            st.fixed_dictionaries({METADATA: METADATAS.map(json.dumps)}) | anything
        )
    if lies and draw(st.booleans()):
        header = draw(changed(header))
    text = json.dumps(header).encode()
    length = draw(st.just(len(text)) | st.integers(0, 2**64 - 1)) if lies else len(text)
    filling = draw(st.sampled_from([b"\0", b"\x3f", b"\xff", b"\x01"]))
    return (
        struct.pack("<Q", length)
        + text
        + filling * draw(st.sampled_from([place, place, 0, 7] if lies else [place]))
    )


DTYPES = (torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn,
          torch.complex64)  # fmt: skip


@st.composite
def loras(draw) -> bytes:
    """Sound files whose two matrices and scale may be of any shape and kind of numbers."""
    shapes = [[2, 16], [16, 2]] if draw(st.booleans()) else None
    shape = st.lists(st.sampled_from([1, 2, 16, 16, 0, 3]), max_size=4)
    first = draw(st.sampled_from([0, 3]))
    tensors = {}
    for place, key in enumerate(LORA_KEYS[first : first + 3]):
        if place < 2 or draw(st.booleans()):
            known = shapes[place] if shapes and place < 2 else None
            sides = known or draw(shape if place < 2 else st.just([]) | shape)
            tensors[key] = torch.ones(sides).to(draw(st.sampled_from(DTYPES)))
    metadata = {METADATA: json.dumps(draw(METADATAS))}
    return save(tensors, metadata if draw(st.booleans()) else None)


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return load_pipeline(tiny_model)


def checked(tmp_path, contents: st.SearchStrategy, work, or_raises=()) -> None:
    """Give each content to `work` as a file."""
    path = tmp_path / "any.safetensors"

    @fuzzed
    @given(content=contents)
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        read_or_refused(lambda: work(path), or_raises=or_raises)

    holds()


@pytest.mark.slow
def test_checkpoints(tmp_path):
    checked(tmp_path, files(RELEASED_KEYS), lambda path: plan_conversion(read_checkpoint(path)))


@pytest.mark.slow
def test_loras(tmp_path, pipeline):
    made = {key: torch.ones(2, 16) if "A" in key or "down" in key else torch.ones(16, 2)
            for key in LORA_KEYS[:2]} | {LORA_KEYS[2]: torch.tensor(1.0)}  # fmt: skip
    sound = save(made, {METADATA: json.dumps({"unet.lora_alpha": 2})})
    contents = st.one_of(files(LORA_KEYS), loras(), loras(), damaged(sound))
    checked(tmp_path, contents, lambda path: fuse_lora(pipeline.unet, path))


@pytest.mark.slow
def test_lacking_weights(tmp_path, pipeline):
    contents = files(sorted(pipeline.unet.state_dict())[:9])
    checked(tmp_path, contents, lambda path: lacking_weights(pipeline.unet, path.parent),
            or_raises=unreadable())  # fmt: skip


@pytest.mark.slow
def test_bases(tmp_path, pipeline):
    contents = files([*RELEASED_KEYS, *sorted(pipeline.unet.state_dict())[:9]])
    checked(tmp_path, contents, lambda path: swap_denoiser(pipeline, path))


@pytest.mark.slow
def test_damaged_bases(tmp_path, pipeline):
    state = {key: tensor.contiguous() for key, tensor in pipeline.unet.state_dict().items()}
    whole = save(state)
    header = 8 + int.from_bytes(whole[:8], "little")
    path = tmp_path / "base.safetensors"

    @fuzzed  # what hypothesis draws it keeps: the numbers are put in here
    @given(head=damaged(whole[:header]), end=st.just(len(whole)) | st.integers(header, len(whole)))
    def holds(head: bytes, end: int) -> None:
        path.write_bytes(head + whole[header:end])
        read_or_refused(lambda: swap_denoiser(pipeline, path))

    holds()


@pytest.mark.slow
def test_words(tmp_path, pipeline):
    class Words:
        """As much of a pipeline with text as is asked before a word is taken in."""

        class text_encoder:
            class config:
                hidden_size = 16

        class tokenizer:
            added_tokens_encoder: ClassVar = {}

            @staticmethod
            def get_vocab():
                return {}

        @staticmethod
        def load_textual_inversion(vectors, token):
            assert vectors.ndim == 2 and token

    contents = files(["<word>", "emb_params", "string_to_param", "a\x1b[1m"])
    checked(tmp_path, contents, lambda path: add_embedding(Words(), path))


@pytest.mark.slow
def test_decoders(tmp_path, pipeline):
    sound = json.loads(pipeline.vae.to_json_string())
    folder = tmp_path / "vae"
    pipeline.vae.save_pretrained(folder)

    @fuzzed
    @given(config=changed(sound))
    def holds(config) -> None:
        (folder / "config.json").write_text(json.dumps(config))
        read_or_refused(lambda: load_autoencoder(folder, torch.float32, 4, 8))

    holds()
