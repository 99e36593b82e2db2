"""Schedulers by name: a sampler is any deterministic scheduler of diffusers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from magicpose_cli.errors import ConfigError

if TYPE_CHECKING:
    import torch

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


def asked_scheduler(name: str | None, spacing: str | None, current: Any) -> Any:
    """The scheduler that is asked for by its name and the spacing of its timesteps.

    Args:
        name: As of `scheduler_by_name`; None keeps the current one.
        spacing: leading, linspace or trailing, as diffusers calls them; None keeps its own.
        current: Scheduler of the model.

    Raises:
        ConfigError: The name is unusable, or that scheduler's timesteps are fixed.
    """
    scheduler = current if name is None else scheduler_by_name(name, current)
    if spacing is None:
        return scheduler
    kind = type(scheduler)
    fixed = kind.__name__.startswith(RANDOM)  # whose timesteps are those that the model learned
    if fixed or "timestep_spacing" not in inspect.signature(kind.__init__).parameters:
        raise ConfigError(
            f"sampling.timestep_spacing: {spacing} cannot be had of {kind.__name__}, whose "
            "timesteps are fixed; leave it out, or expected another scheduler, such as ddim"
        )
    return kind.from_config(scheduler.config, timestep_spacing=spacing)


def scheduler_by_name(name: str, current: Any) -> Any:
    """A scheduler with the noise schedule of `current`. Raises ConfigError for an unusable name."""
    import diffusers

    if isinstance(current, diffusers.TCDScheduler):  # which names no others that could follow it
        current = diffusers.DDIMScheduler.from_config(current.config)
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
    taken = inspect.signature(usable[class_name].__init__).parameters
    for key, usual in (("prediction_type", "epsilon"), ("rescale_betas_zero_snr", False)):
        if key not in taken and (own := current.config.get(key, usual)) != usual:
            raise ConfigError(
                f"sampling.scheduler: {name!r} knows nothing of {key} {own}, which the model or "
                "its base has; expected another, such as ddim or euler"
            )
    return usable[class_name].from_config(current.config)


def noiseless_options(scheduler: Any) -> dict[str, float]:
    """What a scheduler's `step` is given, so that it adds no noise of its own.

    TCD's steps are noisy unless they are told not to be (Zheng et al. 2024, gamma = 0): frames
    would not depend on their one shared noise alone.
    """
    return {"eta": 0.0} if type(scheduler).__name__ == "TCDScheduler" else {}


def steps_taken(steps: int, strength: float) -> int:
    """How many of all steps are left for a picture that begins with its share of the noise."""
    return max(1, round(strength * steps))


def able_to_begin_late(scheduler: Any) -> Any:
    """The scheduler, or one like it that can begin at any of its steps.

    PNDM's Runge-Kutta steps can only be its first three: it does without, as in Stable Diffusion.
    """
    from diffusers import PNDMScheduler

    if isinstance(scheduler, PNDMScheduler) and not scheduler.config.skip_prk_steps:
        return PNDMScheduler.from_config(scheduler.config, skip_prk_steps=True)
    return scheduler


def set_last_timesteps(
    scheduler: Any, steps: int, strength: float, device: Any = None
) -> tuple[torch.Tensor, int]:
    """Have a scheduler that is `able_to_begin_late` take the last `strength` of its steps.

    Returns the timesteps at which the denoiser is to be asked, and how many before them are left
    out. What `add_noise` makes at the first of them is the sample to begin from.
    """
    import torch
    from diffusers import LMSDiscreteScheduler, PNDMScheduler

    scheduler.set_timesteps(steps, device=device)
    every = scheduler.timesteps
    skipped = steps - steps_taken(steps, strength)
    first = skipped * scheduler.order
    timesteps = every[first:]
    if isinstance(scheduler, PNDMScheduler):  # it asks twice at its second step, whichever that is
        left = torch.cat([every[:1], every[2:]])[skipped:]
        timesteps = torch.cat([left[:2], left[1:]])
    elif isinstance(scheduler, LMSDiscreteScheduler):
        # it takes its position in the schedule for the number of predictions that it has kept
        scheduler.timesteps, scheduler.sigmas = timesteps, scheduler.sigmas[first:]
    elif hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return timesteps, len(every) - len(timesteps)


def set_timesteps_from(
    scheduler: Any, steps: int, noise: float, device: Any = None
) -> tuple[torch.Tensor, int]:
    """Have a scheduler that is `able_to_begin_late` take steps from a share of the noise on.

    Args:
        scheduler: Of diffusers.
        steps: How many steps are taken.
        noise: Share of the schedule at which they begin, above 0; 1 is its noisiest timestep.
        device: Where the timesteps are to be.

    Returns:
        As of `set_last_timesteps`.
    """
    every = max(steps, round(steps / noise))
    return set_last_timesteps(scheduler, every, steps / every, device)
