"""How much memory a preset needs, by arithmetic: nothing is loaded.

Weights are counted from the files' headers, the reference features from the denoiser's shape; what
a frame takes beside them is the figure by which `rendering.local` chooses its batches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpose_cli.diffusion.checkpoint.loading import STAYING_PARTS
from magicpose_cli.rendering.local import FRAME_BYTES, FRAME_CELLS, frames_at_once

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_SD15_CHANNELS = 320  # of its first block
_PROGRAM_BYTES = 1.0e9  # bytes of main memory of Python, torch and a detector; measured
_QUANTIZED = ("unet", "appearance_unet", "pose_controlnet")


@dataclass(frozen=True)
class NetworkWeights:
    """A part's weights: how many, how many of them in linear layers, and its largest tensor."""

    count: int
    linear: int
    largest: int


@dataclass(frozen=True)
class Need:
    """What a run needs, in bytes.

    Attributes:
        weights: Weights that are on the device at once.
        reference: Reference features of all steps.
        frame: What each frame of a batch takes.
        batch_size: Number of frames at once, which is no number of bytes.
        device: Memory of the device with so many frames at once.
        least: Memory of the device with one frame at once.
        main: Main memory; on the CPU the same as `device`.
    """

    weights: int
    reference: int
    frame: int
    batch_size: int
    device: int
    least: int
    main: int


def network_of(folder: Path) -> NetworkWeights:
    """Counted from the headers of a part's safetensors. OSError or ValueError where they are bad.

    Of files in two precisions or in shards every tensor counts once.
    """
    shapes: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        shapes |= _shapes(file)
    counts = {name: _product(shape) for name, shape in shapes.items()}
    linear = sum(counts[name] for name, shape in shapes.items() if len(shape) == 2)
    return NetworkWeights(sum(counts.values()), linear, max(counts.values(), default=0))


def _parts_of(
    folder: Path,
    index: dict[str, Any],
    vae: Path | None,
    motion: Path | None,
    body: Path | None,
) -> dict[str, NetworkWeights]:
    """Weights of a model's parts, of another autoencoder, and of what is added to the denoiser."""
    parts = {
        name: network_of(folder / name)
        for name in (
            "unet",
            "appearance_unet",
            "pose_controlnet",
            "vae",
            "text_encoder",
            "compositor",
        )
        if index.get(name) not in (None, [None, None])
    }
    if vae is not None:
        parts["other vae"] = network_of(vae)
    if motion is not None:
        parts["motion_adapter"] = _weights_at(motion)
    if body is not None:
        parts["body_controlnet"] = _weights_at(body)
    return parts


def _weights_at(place: Path) -> NetworkWeights:
    """Of a network; of a file that is no safetensors its size in half precision is taken."""
    if place.is_dir() and any(place.glob("*.safetensors")):
        return network_of(place)
    if place.is_dir():
        files = [file for file in place.iterdir() if file.suffix in (".pth", ".bin", ".ckpt")]
        return NetworkWeights(sum(file.stat().st_size for file in files) // 2, 0, 0)
    if place.suffix.lower() != ".safetensors":
        return NetworkWeights(place.stat().st_size // 2, 0, 0)
    counts = [_product(shape) for shape in _shapes(place).values()]
    return NetworkWeights(sum(counts), 0, max(counts, default=0))


def estimate(
    folder: Path,
    index: dict[str, Any],
    *,
    size: tuple[int, int],
    steps: int,
    dtype: str,
    free: int | None,
    offload: str = "none",
    quantize: str = "none",
    batch_size: int | None = None,
    vae: Path | None = None,
    motion_adapter: Path | None = None,
    steady: bool = False,
    body_controlnet: Path | None = None,
) -> Need:
    """Estimate what a model's folder needs.

    Args:
        folder: Folder of the model.
        index: Its checked index.
        size: (width, height) of the network's frames in pixels.
        steps: Denoising steps.
        dtype: Number format that the networks compute with.
        free: Free bytes of the device's memory, from which the batch is chosen; None for a device
            that computes in main memory.
        offload: What waits in main memory.
        quantize: Kind of quantized weights.
        batch_size: Frames at once; None chooses as a run does.
        vae: Folder of another autoencoder.
        motion_adapter: Folder or file of a motion adapter in place of the model's own.
        steady: Whether frames are made steady. A whole window is then made at once.
        body_controlnet: Folder or file of a ControlNet for maps of the body; None for none.

    Raises:
        OSError: The folder is incomplete; or ValueError or LookupError.
    """
    parts = _parts_of(
        folder, index, vae, (motion_adapter or folder / "motion_adapter") if steady else None,
        body_controlnet,
    )  # fmt: skip
    width = _BYTES[dtype]
    sizes = _sizes(parts, width, quantized=quantize != "none")
    everything = sum(sizes.values())
    weights = _on_device(sizes, parts, width, offload)
    unet = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    factor = _factor(folder, parts)
    latent = (size[0] // factor, size[1] // factor)
    own = unet["block_out_channels"][0] / _SD15_CHANNELS * latent[0] * latent[1]
    frame = int(FRAME_BYTES * own / FRAME_CELLS * width / 2)
    kept = 2 if offload == "none" else 1  # keys and values, or hidden states
    reference = kept * steps * reference_elements(unet, latent) * width
    if batch_size is None:
        left = None if free is None else max(0, free - weights - reference)
        batch_size = frames_at_once(own, left)
    held = weights + reference + (_PROGRAM_BYTES if free is None else 0)
    needed = int(held + batch_size * frame)
    least = needed if steady else int(held + frame)
    main = needed if free is None else int(_PROGRAM_BYTES + everything)
    return Need(weights, reference, frame, batch_size, needed, least, main)


def _sizes(parts: dict[str, NetworkWeights], width: int, *, quantized: bool) -> dict[str, int]:
    """Bytes of each part's weights; width: of a number."""
    sizes = {name: part.count * width for name, part in parts.items()}
    if quantized:
        for name in _QUANTIZED:
            sizes[name] -= parts[name].linear * (width - 1)
    return sizes


def reference_elements(unet: dict[str, Any], latent: tuple[int, int]) -> int:
    """Numbers in the hidden states that enter all self-attentions of a UNet once."""
    channels, layers = unet["block_out_channels"], unet["layers_per_block"]
    last = len(channels) - 1
    found = 0

    def at(level: int, blocks: int) -> int:
        return blocks * int(channels[level]) * (latent[0] >> level) * (latent[1] >> level)

    for level, kind in enumerate(unet["down_block_types"]):
        found += at(level, layers) if "Attn" in kind else 0
    for place, kind in enumerate(unet["up_block_types"]):
        found += at(last - place, layers + 1) if "Attn" in kind else 0
    return found + at(last, 1)


def _on_device(
    sizes: dict[str, int], parts: dict[str, NetworkWeights], width: int, offload: str
) -> int:
    """Bytes of weights that are on the device at once."""
    if offload == "sequential":
        return max(part.largest for part in parts.values()) * width
    if offload == "model":
        staying = sum(size for name, size in sizes.items() if name in (*STAYING_PARTS, "other vae"))
        return staying + max(size for name, size in sizes.items() if name not in STAYING_PARTS)
    return sum(sizes.values())


def _factor(folder: Path, parts: dict[str, NetworkWeights]) -> int:
    """Pixels that a latent is wide."""
    if "vae" not in parts:
        return 8
    config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    levels = len(config["block_out_channels"])
    return int(2 ** (levels - 1))


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
