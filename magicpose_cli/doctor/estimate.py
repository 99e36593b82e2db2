"""How much memory a preset needs, by arithmetic: nothing is loaded.

Weights are counted from the files' headers, the bank from the denoiser's shape; what a frame takes
beside them is the figure by which `render` chooses its batches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
FRAME = 0.75e9  # bytes of a frame of SD 1.5 at 512x512 in half precision: two passes and decoding
CELLS = 64 * 64  # latents of such a frame
WIDTH = 320  # channels of SD 1.5's first block
PROGRAM = 1.0e9  # bytes of main memory of Python, torch and a detector; measured
QUANTIZED = ("unet", "appearance_unet", "pose_controlnet")
STAYING = ("pose_controlnet", "vae")  # on the device with offload = model
MOST = 16  # frames at once


@dataclass(frozen=True)
class Network:
    """A part's weights: how many, how many of them in linear layers, and its largest tensor."""

    count: int
    linear: int
    largest: int


@dataclass(frozen=True)
class Need:
    """Bytes. device: with batch_size frames at once; least: with one; main: of main memory, on the
    CPU the same as device."""

    weights: int
    reference: int
    frame: int
    batch_size: int
    device: int
    least: int
    main: int


def network_of(folder: Path) -> Network:
    """Counted from the headers of a part's safetensors. OSError or ValueError where they are bad.

    Of files in two precisions or in shards every tensor counts once.
    """
    shapes: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        shapes |= _shapes(file)
    counts = {name: _product(shape) for name, shape in shapes.items()}
    linear = sum(counts[name] for name, shape in shapes.items() if len(shape) == 2)
    return Network(sum(counts.values()), linear, max(counts.values(), default=0))


def estimate(
    folder: Path,
    index: dict[str, Any],
    *,
    size: tuple[int, int],
    steps: int,
    dtype: str,
    on_cpu: bool,
    free: int,
    offload: str = "none",
    quantize: str = "none",
    batch_size: int | None = None,
    vae: Path | None = None,
) -> Need:
    """What a model's folder needs for pictures of this size, (width, height) in pixels.

    free: bytes of the device's memory, from which the batch is chosen. vae: another autoencoder's
    folder. Raises OSError, ValueError or LookupError for a folder that is incomplete.
    """
    parts = {
        name: network_of(folder / name)
        for name in ("unet", "appearance_unet", "pose_controlnet", "vae", "text_encoder")
        if index.get(name) not in (None, [None, None])
    }
    if vae is not None:
        parts["other vae"] = network_of(vae)
    width = BYTES[dtype]
    sizes = {name: part.count * width for name, part in parts.items()}
    if quantize != "none":
        for name in QUANTIZED:
            sizes[name] -= parts[name].linear * (width - 1)
    everything = sum(sizes.values())
    weights = _on_device(sizes, parts, width, offload)
    unet = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    factor = _factor(folder, parts)
    latent = (size[0] // factor, size[1] // factor)
    own = unet["block_out_channels"][0] / WIDTH * latent[0] * latent[1]
    frame = int(FRAME * own / CELLS * width / 2)
    kept = 2 if offload == "none" else 1  # keys and values, or hidden states
    reference = kept * steps * reference_elements(unet, latent) * width
    if batch_size is None:
        room = 0.6 * max(0, free - weights - reference) / (FRAME * own / CELLS)
        batch_size = max(1, min(MOST, int(4096 / own if on_cpu else room)))
    held = weights + reference + (PROGRAM if on_cpu else 0)
    needed, least = int(held + batch_size * frame), int(held + frame)
    main = needed if on_cpu else int(PROGRAM + everything)
    return Need(weights, reference, frame, batch_size, needed, least, main)


def reference_elements(unet: dict[str, Any], latent: tuple[int, int]) -> int:
    """Numbers in the hidden states that enter all self-attentions of a UNet once."""
    channels, layers = unet["block_out_channels"], unet["layers_per_block"]
    last = len(channels) - 1
    found = 0

    def at(level: int, blocks: int) -> int:
        return blocks * channels[level] * (latent[0] >> level) * (latent[1] >> level)

    for level, kind in enumerate(unet["down_block_types"]):
        found += at(level, layers) if "Attn" in kind else 0
    for place, kind in enumerate(unet["up_block_types"]):
        found += at(last - place, layers + 1) if "Attn" in kind else 0
    return found + at(last, 1)


def _on_device(sizes: dict[str, int], parts: dict[str, Network], width: int, offload: str) -> int:
    """Bytes of weights that are on the device at once."""
    if offload == "sequential":
        return max(part.largest for part in parts.values()) * width
    if offload == "model":
        staying = sum(size for name, size in sizes.items() if name in (*STAYING, "other vae"))
        return staying + max(size for name, size in sizes.items() if name not in STAYING)
    return sum(sizes.values())


def _factor(folder: Path, parts: dict[str, Network]) -> int:
    """Pixels that a latent is wide."""
    if "vae" not in parts:
        return 8
    config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    return 2 ** (len(config["block_out_channels"]) - 1)


def _shapes(file: Path) -> dict[str, list[int]]:
    """The shapes in a safetensors file. Raises ValueError for one that is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as tensors:
            return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file ({error})") from error


def _product(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
