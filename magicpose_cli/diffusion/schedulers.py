"""Schedulers by name: a sampler is any deterministic scheduler of diffusers."""

from __future__ import annotations

from typing import Any

from magicpose_cli.errors import ConfigError

SHORT_NAMES = {
    "ddim": "DDIMScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm++2m": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
# They draw new noise at every step. All frames share one noise, or the video flickers.
RANDOM = ("Ancestral", "DDPM", "LCM", "SDE", "TCD")


def scheduler_by_name(name: str, current: Any) -> Any:
    """A scheduler with the noise schedule of `current`. Raises ConfigError for an unusable name."""
    import diffusers

    class_name = SHORT_NAMES.get(name.lower(), name)
    usable = {
        c.__name__: c
        for c in [type(current), *current.compatibles]
        if not any(word in c.__name__ for word in RANDOM)
    }
    if class_name not in usable:
        known = ", ".join([*SHORT_NAMES, *sorted(set(usable) - set(SHORT_NAMES.values()))])
        reason = "draws noise at every step" if hasattr(diffusers, class_name) else "is not known"
        raise ConfigError(f"sampling.scheduler: {name!r} {reason}; expected one of {known}")
    return usable[class_name].from_config(current.config)
