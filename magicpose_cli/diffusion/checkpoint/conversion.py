"""The released checkpoint (`model_state-*.th`) -> a diffusers folder of safetensors.

`tensor_plan.py` says where each tensor goes, this file reads and writes them: one part is in memory
at a time, and the checkpoint is mapped, not read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import CLIPTextModel

from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.loading import DTYPES, offline, quiet, unreadable
from magicpose_cli.diffusion.checkpoint.opening import read_checkpoint
from magicpose_cli.diffusion.checkpoint.tensor_plan import (
    ConversionPlan,
    PlannedPart,
    plan_conversion,
    portable_key,
)
from magicpose_cli.errors import ModelError, OutputError
from magicpose_cli.files import new_folder

SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
POSE_CANVAS, SAMPLE_SIZE = 604, 512  # pixels: the training data's width, and its crops
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)

OnPart = Callable[[str, int, int], None]
"""Called as f(part, done, total) before each part is written, and once more at the end."""


@dataclass(frozen=True)
class ConversionReport:
    """What became of a checkpoint.

    parameters: how many numbers each written part holds. dropped: source key -> reason.
    filled: "part.key" -> source key it was filled from. copied: part -> folder of the base.
    missing: optional parts that neither the file nor a base had.
    """

    folder: Path
    parameters: dict[str, int]
    dropped: dict[str, str]
    filled: dict[str, str]
    copied: dict[str, Path]
    missing: list[str]

    def summary(self) -> list[str]:
        """Lines to show the user."""
        reasons = list(self.dropped.values())
        lines = [f"{part}: {n / 1e6:.2f} M parameters" for part, n in self.parameters.items()]
        lines += [f"{part}: copied from {folder}" for part, folder in self.copied.items()]
        lines += [f"dropped {reasons.count(why)} keys: {why}" for why in dict.fromkeys(reasons)]
        lines += [f"filled {target} from {source}" for target, source in self.filled.items()]
        lines += [f"{part}: left out, --base SD15_DIR adds it" for part in self.missing]
        return lines


def convert_checkpoint(
    source: Path,
    destination: Path,
    *,
    base: Path | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: OnPart | None = None,
) -> ConversionReport:
    """Turn a released checkpoint into a folder for `MagicPosePipeline.from_pretrained`.

    source: `.th` (a pickle, opened with weights_only) or `.safetensors` of the same keys.
    destination: the new folder; it appears when it is complete, or not at all.
    base: a Stable Diffusion 1.5 diffusers folder, for the parts that the file lacks.
    dtype: float32, float16 or bfloat16; as in the file by default.
    overwrite: replace the model in destination; a folder without a model is never replaced.

    Raises ModelError for a source or base that does not fit, OutputError for the destination.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    kind = getattr(torch, dtype) if dtype else None
    destination = Path(destination).resolve()
    _check_destination(destination, overwrite)
    state, plan = _planned(Path(source))
    lacking = [name for name in ("vae", "text_encoder") if name not in plan.parts]
    added = _parts_of_base(Path(base), lacking, plan, kind) if base else {}
    total = len(plan.parts) + len(added)
    report = progress or (lambda part, done, total: None)

    with _complete_or_absent(destination) as folder:
        for done, part in enumerate(plan.parts.values()):
            report(part.name, done, total)
            _write_part(part, state, folder / part.name, kind)
        for done, (name, model) in enumerate(added.items(), len(plan.parts)):
            report(name, done, total)
            with quiet():
                model.save_pretrained(folder / name)
        if base:
            _copy_tokenizer(Path(base) / "tokenizer", folder / "tokenizer")
        DDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
        _write_index(folder)
    report("", total, total)
    return ConversionReport(
        folder=destination,
        parameters={name: part.parameters for name, part in plan.parts.items()},
        dropped=plan.dropped,
        filled={
            f"{name}.{target}": key
            for name, part in plan.parts.items()
            for target, key in part.filled.items()
        },
        copied={name: Path(base, name) for name in (*added, "tokenizer")} if base else {},
        missing=[] if base else [*lacking, "tokenizer"],
    )


def check_checkpoint(source: Path) -> None:
    """Raise ModelError for a file that could not be converted. Nothing is written."""
    _planned(source)


def _planned(source: Path) -> tuple[Mapping[str, torch.Tensor], ConversionPlan]:
    state = read_checkpoint(source)
    try:
        return state, plan_conversion(state)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None


def _write_part(
    part: PlannedPart, state: Mapping[str, torch.Tensor], folder: Path, dtype: torch.dtype | None
) -> None:
    """One part's configuration and weights, under the names that from_pretrained looks for."""
    folder.mkdir()
    shapes = {portable_key(part.name, key): t.shape for key, t in part.model.state_dict().items()}
    weights = {  # copies: tensors that share memory in the source cannot be written
        target: state[key].reshape(shapes[target]).to(dtype or state[key].dtype, copy=True)
        for target, key in part.sources.items()
    }
    if part.name == "text_encoder":
        part.model.config.architectures = [type(part.model).__name__]
        part.model.config.save_pretrained(folder)
        file = folder / "model.safetensors"
    else:
        part.model.save_config(folder)
        file = folder / "diffusion_pytorch_model.safetensors"
    save_file(weights, file, metadata={"format": "pt"})


def _parts_of_base(
    base: Path, names: list[str], plan: ConversionPlan, dtype: torch.dtype | None
) -> dict[str, Any]:
    """The named parts of a Stable Diffusion folder, checked against the networks."""
    unet = plan.parts["unet"].model.config
    classes: dict[str, Any] = {"vae": AutoencoderKL, "text_encoder": CLIPTextModel}
    if not any((base / "tokenizer" / file).is_file() for file in TOKENIZER_FILES[:3]):
        raise ModelError(f"base {base}: no tokenizer in it; expected a Stable Diffusion 1.5 folder")
    parts = {}
    for name in names:
        try:
            check_configs(base / name)
            with quiet(), offline():
                parts[name] = classes[name].from_pretrained(
                    base / name, local_files_only=True, use_safetensors=True, torch_dtype=dtype
                )
        except unreadable() as error:
            reason = str(error).partition("\n")[0][:160]
            raise ModelError(
                f"base {base}: its {name} cannot be loaded ({reason}); "
                "expected a Stable Diffusion 1.5 folder of safetensors"
            ) from error
    for name, field, wanted in (
        ("vae", "latent_channels", unet.in_channels),
        ("text_encoder", "hidden_size", unet.cross_attention_dim),
    ):
        if name in parts and getattr(parts[name].config, field) != wanted:
            raise ModelError(
                f"base {base}: its {name} has {field} {getattr(parts[name].config, field)}, "
                f"the checkpoint's networks take {wanted}; expected the base they were trained on"
            )
    return parts


def _copy_tokenizer(source: Path, target: Path) -> None:
    target.mkdir()
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _write_index(folder: Path) -> None:
    """model_index.json: the class of each part that is there, null for one that is not."""
    index: dict[str, Any] = {
        "_class_name": "MagicPosePipeline",
        "_diffusers_version": diffusers.__version__,
        "pose_canvas": POSE_CANVAS,
        "sample_size": SAMPLE_SIZE,
    }
    for name, (library, kind) in layout.PART_CLASSES.items():
        there = (folder / name).is_dir()
        index[name] = [library, kind] if there else [None, None]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _check_destination(destination: Path, overwrite: bool) -> None:
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return
    if not (destination / "model_index.json").is_file():
        raise OutputError(f"{destination}: exists and is no model folder; choose another name")
    if not overwrite:
        raise OutputError(f"{destination}: a model is there already; --overwrite replaces it")


@contextmanager
def _complete_or_absent(destination: Path) -> Iterator[Path]:
    """A new folder beside the destination that takes its place when the block ends well."""
    try:
        with new_folder(destination) as partial:
            yield partial
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{destination}: cannot be written ({error}); free space or choose another folder"
        ) from error
