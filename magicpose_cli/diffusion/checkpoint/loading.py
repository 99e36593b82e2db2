"""Models by name: where they lie, what identifies them, and how they are loaded.

A model is a diffusers folder. `mini` is part of the package; others are made by
`magicpose models convert` and lie in the home folder or wherever the user put them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpose_cli import models
from magicpose_cli.body.maps import BODY_MAP_NAMES
from magicpose_cli.config.resolved import ModelDefaults
from magicpose_cli.config.user_home import expanded
from magicpose_cli.diffusion.checkpoint.configs import MAX_CONFIG_NUMBER, check_configs
from magicpose_cli.errors import ModelError
from magicpose_cli.files import content_hash, name_that_fits
from magicpose_cli.models import is_hub_id, located, models_home
from magicpose_cli.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

MINI = Path(models.__file__).parent / "mini"
RELEASED_MODEL = "magicpose"
PIPELINE_CLASS = "MagicPosePipeline"
DTYPES = ("float32", "float16", "bfloat16")
CONVERT_HINT = "`magicpose models convert model_state-110000.th {}` makes one"
NEEDED_PARTS = ("unet", "appearance_unet", "pose_controlnet", "scheduler")
PART_KINDS = {
    "unet": ("diffusers", {"UNet2DConditionModel"}),
    "appearance_unet": ("diffusers", {"UNet2DConditionModel"}),
    "pose_controlnet": ("diffusers", {"ControlNetModel"}),
    "vae": ("diffusers", {"AutoencoderKL", "AutoencoderTiny"}),
    "text_encoder": ("transformers", {"CLIPTextModel"}),
    "tokenizer": ("transformers", {"CLIPTokenizer", "CLIPTokenizerFast"}),
    "motion_adapter": ("diffusers", {"MotionAdapter"}),
    "compositor": ("diffusers", {"UNet2DModel"}),
    "body_controlnet": ("diffusers", {"ControlNetModel"}),
}
"""Library and classes that may stand for a part; the scheduler may be any of diffusers'."""

STAYING_PARTS = ("pose_controlnet", "vae", "motion_adapter", "compositor", "body_controlnet")
"""What stays on the device while the larger parts take turns (`model.offload = "model"`)."""

CHECKPOINTS = (".th", ".pth", ".pt", ".ckpt", ".safetensors")
"""Files that may hold a released checkpoint."""

NOISY_LOGGERS = ("torchao", "torch.utils._pytree")
"""Loggers that speak while diffusers imports torchao, where that is installed."""

MODEL_SETTINGS: dict[str, Any] = asdict(ModelDefaults())
"""Settings of the pipeline that a model's index may hold, and what they are where it does not."""


def model_folder(name: str) -> Path:
    """Where a model of this name lies or is to be put: a bare name in the home, else the path."""
    path = expanded(name)
    if name == "mini":
        return MINI
    return models_home() / name if path.name == name and name not in (".", "..") else path


def found_folder(name: str) -> Path:
    """Where a model of this name is: installed, a folder here, or fetched; else where it would be.

    Raises ModelError for an entry of the catalog that is not there.
    """
    folder, here = model_folder(name), expanded(name)
    if folder.exists():
        return folder
    return here if here.is_dir() else located(name) or folder


def installed_models() -> dict[str, Path]:
    """Folders by name: the embedded model and what lies in the home."""
    found = {"mini": MINI} if (MINI / "model_index.json").is_file() else {}
    for index in sorted(models_home().glob("*/model_index.json")):
        folder = index.parent
        if not folder.name.startswith(".") and _is_magicpose(index):
            found.setdefault(folder.name.replace("--", "/"), folder)
    return found


def _is_magicpose(index: Path) -> bool:
    """A Stable Diffusion that has been fetched lies beside the models."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # what is damaged is listed; that it is damaged is said when it is used
    kind = told.get("_class_name", PIPELINE_CLASS) if isinstance(told, dict) else PIPELINE_CLASS
    return kind == PIPELINE_CLASS


def resolve_model(name: str | None, on_progress: OnProgress = silent) -> Path:
    """Find the folder of a model.

    Args:
        name: An installed name, a folder, a released checkpoint, a repository of the hub that has
            been fetched, or None or "auto" for the best installed. A bare name is looked for among
            the installed models first, then as a folder here. A checkpoint is converted once, into
            the home, which takes a minute.
        on_progress: Told of a conversion.

    Raises:
        ModelError: There is none, or the folder is no MagicPose model.
    """
    if name is None or name == "auto":
        installed = (models_home() / RELEASED_MODEL / "model_index.json").is_file()
        name = RELEASED_MODEL if installed else "mini"
    if Path(name).suffix.lower() in CHECKPOINTS and expanded(name).is_file():
        return converted(expanded(name), on_progress)
    folder = found_folder(name)
    if not folder.exists():
        known = ", ".join(installed_models()) or "none"
        brings = f"`magicpose models fetch {name}` brings it from the hub"
        raise ModelError(
            f"model {name!r}: no folder {folder}; expected a folder or one of the installed "
            f"models ({known}); {brings if is_hub_id(name) else CONVERT_HINT.format(name)}"
        )
    read_index(folder)
    return folder


def converted(checkpoint: Path, on_progress: OnProgress = silent) -> Path:
    """The folder that a released checkpoint has been, or is now, converted to.

    It lies in the home under the file's name and what tells one file of that name from another.
    """
    folder = _conversion(checkpoint)
    if not (folder / "model_index.json").is_file():
        from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint

        def tell(part: str, done: int, total: int) -> None:
            on_progress(Progress("convert", done, total, "parts"))

        convert_checkpoint(checkpoint, folder, progress=tell)
    read_index(folder)
    return folder


def unconverted(name: str | None) -> Path | None:
    """The checkpoint that `resolve_model` would convert first, where it is one."""
    path = expanded(name or "auto")
    if path.suffix.lower() not in CHECKPOINTS or not path.is_file():
        return None
    return None if (_conversion(path) / "model_index.json").is_file() else path


def _conversion(checkpoint: Path) -> Path:
    state = checkpoint.stat()
    identity = f"{checkpoint.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    mark = hashlib.sha256(os.fsencode(identity)).hexdigest()[:8]
    return models_home() / name_that_fits(f"{{}}-{mark}".format, checkpoint.stem)


def model_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's weights and configurations."""
    return content_hash(folder, (".json", ".safetensors"))


def load_pipeline(folder: Path, dtype: str | None = None, device: str = "cpu") -> MagicPosePipeline:
    """A model folder, ready to run: local files, safetensors and stock classes only.

    dtype: float32, float16 or bfloat16, whatever the files hold; by default float16 on CUDA and
        float32 elsewhere. device: as torch names it.

    Raises ModelError for a folder that is incomplete, corrupt or asks for code of its own.
    """
    read_index(folder)
    with quiet():
        import torch

        from magicpose_cli.diffusion.pipeline import MagicPosePipeline

        dtype = dtype or default_dtype(device)
        if dtype not in DTYPES:
            raise ModelError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
        try:
            check_configs(folder)
            with offline():
                pipeline = MagicPosePipeline.from_pretrained(
                    folder,
                    torch_dtype=getattr(torch, dtype),
                    local_files_only=True,
                    use_safetensors=True,
                )
            _check_complete(pipeline, folder)
            _check_compositor(pipeline, folder)
            _check_body_controlnet(pipeline, folder)
        except unreadable() as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"model {folder}: cannot be loaded ({reason}); convert or copy it again"
            ) from error
        loaded: MagicPosePipeline = pipeline.to(device)
        return loaded


def unreadable() -> tuple[type[Exception], ...]:
    """What the libraries raise on files that are incomplete, corrupt or of another kind.

    They trust them: a wrong value surfaces wherever it is first used.
    """
    from safetensors import SafetensorError

    used = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, AssertionError)
    read = (OSError, EOFError, RuntimeError, MemoryError, ImportError)
    return (*used, *read, struct.error, zipfile.BadZipFile, SafetensorError)


def default_dtype(device: str) -> str:
    """Half precision on CUDA, full precision elsewhere."""
    return "float16" if device.startswith("cuda") else "float32"


def read_index(folder: Path) -> dict[str, Any]:
    """model_index.json, checked: every part there, of a known class, and no code beside them."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"model {folder}: no readable model_index.json in it; expected a folder as "
            f"{CONVERT_HINT.format('NAME_OR_DIR')}"
        ) from error
    if not isinstance(index, dict) or index.get("_class_name") != PIPELINE_CLASS:
        raise ModelError(
            f"model {folder}: model_index.json is not of a MagicPosePipeline; expected a folder "
            f"as {CONVERT_HINT.format('NAME_OR_DIR')}"
        )
    for name, part in index.items():
        if name in MODEL_SETTINGS:
            _check_setting(folder, name, part)
        elif not name.startswith("_") and part != [None, None]:
            _check_class(folder, name, part)
    for name in NEEDED_PARTS:
        if index.get(name) in (None, [None, None]):
            raise ModelError(f"model {folder}: model_index.json names no {name}; convert it again")
    if code := next(folder.rglob("*.py"), None):
        raise ModelError(f"model {folder}: holds code ({code.name}); a model is data only")
    return MODEL_SETTINGS | index


def _check_setting(folder: Path, name: str, value: Any) -> None:
    """Values of the setting's own type, of which numbers are usable."""
    kind = type(MODEL_SETTINGS[name])
    usable, expected = type(value) is kind, "true or false"
    if name == "body_maps":
        usable = isinstance(value, list) and all(each in BODY_MAP_NAMES for each in value)
        expected = f"a list of some of {', '.join(BODY_MAP_NAMES)}"
    elif name == "start_from_reference":
        usable, expected = usable and 0 <= value < 1, "a share from 0.0 to less than 1.0"
    elif kind is not bool:
        usable, expected = usable and 0 < value <= MAX_CONFIG_NUMBER, "a number above 0"
    if not usable:
        raise ModelError(f"model {folder}: {name} is {value!r}; expected {expected}")


def has_part(index: Mapping[str, Any], name: str) -> bool:
    """Tell whether a model's index names a part that a model may lack."""
    return index.get(name) not in (None, [None, None])


def _check_class(folder: Path, name: str, part: object) -> None:
    """Stock classes only: nothing else is ever imported because a file says so."""
    library, kind = map(str, part if isinstance(part, list) and len(part) == 2 else ("", part))
    if name == "scheduler":
        known = library == "diffusers" and re.fullmatch(r"[A-Za-z0-9]+Scheduler", kind) is not None
        expected = "a scheduler of diffusers"
    else:
        home, classes = PART_KINDS.get(name, ("", set()))
        known = library == home and kind in classes
        expected = " or ".join(sorted(classes)) or f"only the parts {', '.join(PART_KINDS)}"
    if not known:
        raise ModelError(f"model {folder}: {name} is {library}.{kind}; expected {expected}")


def lacking_weights(part: Any, folder: Path, modules: Mapping[str, str] | None = None) -> list[str]:
    """Weights that a part's folder does not hold: diffusers only warns that it drew them anew.

    modules: other names of modules, as `layout.renamed` takes them.
    """
    from safetensors import safe_open

    from magicpose_cli.diffusion.checkpoint.layout import current_vae_name, renamed

    modules = modules or {}
    stored = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            names = list(tensors.keys())
        stored |= {current_vae_name(renamed(key, modules) or key) for key in names}
    wanted = {renamed(key, modules) or key for key in part.state_dict()}
    return sorted(wanted - stored)


def _check_complete(pipeline: Any, folder: Path) -> None:
    from magicpose_cli.diffusion.checkpoint.layout import TEXT_MODULES

    for name, part in pipeline.components.items():
        if not hasattr(part, "state_dict"):
            continue
        modules = TEXT_MODULES if name == "text_encoder" else None
        if lacking := lacking_weights(part, folder / name, modules):
            raise ModelError(
                f"model {folder}: {name} lacks {len(lacking)} weights ({lacking[0]}, ...); "
                "convert or copy it again"
            )


def _check_compositor(pipeline: Any, folder: Path) -> None:
    from magicpose_cli.diffusion.compositor import INPUT_CHANNELS

    if pipeline.compositor is None:
        return
    config = pipeline.compositor.config
    if (config.in_channels, config.out_channels) != (INPUT_CHANNELS, 1):
        raise ModelError(
            f"model {folder}: its compositor reads {config.in_channels} channels and gives "
            f"{config.out_channels}; expected {INPUT_CHANNELS} and 1, as `magicpose train` makes it"
        )


def _check_body_controlnet(pipeline: Any, folder: Path) -> None:
    if pipeline.body_controlnet is None:
        return
    channels = pipeline.body_controlnet.config.conditioning_channels
    if channels != 3 * len(pipeline.config.body_maps) or not channels:
        raise ModelError(
            f"model {folder}: its body_controlnet reads {channels} channels; expected three for "
            f"each of its body_maps ({', '.join(pipeline.config.body_maps) or 'none'})"
        )


@contextmanager
def offline() -> Iterator[None]:
    """The hub's client answers every request with an error: whatever a file makes a library ask."""
    from huggingface_hub import constants

    former = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = former


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' advice and loading bars off stderr while a model is loaded."""
    former = os.environ.get("TRANSFORMERS_VERBOSITY")
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # some is said while transformers is imported
    talkers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    try:
        import diffusers.utils.logging as diffusers_log
        import transformers.utils.logging as transformers_log

        logs = (diffusers_log, transformers_log)
        states = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
        for log in logs:
            log.set_verbosity_error()
            log.disable_progress_bar()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for log, (level, bar) in zip(logs, states, strict=True):
                log.set_verbosity(level)
                if bar:
                    log.enable_progress_bar()
    finally:
        for talker, own in zip(talkers, levels, strict=True):
            talker.setLevel(own)
        if former is None:
            del os.environ["TRANSFORMERS_VERBOSITY"]
        else:
            os.environ["TRANSFORMERS_VERBOSITY"] = former
