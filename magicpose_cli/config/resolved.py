"""What a run resolves to: the preset's settings, and the model's own where the preset has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from magicpose_cli.errors import ConfigError

if TYPE_CHECKING:
    from magicpose_cli.config.preset import Preset


@dataclass(frozen=True)
class ModelDefaults:
    """What a model's own folder says of runs with it (model_index.json).

    Attributes:
        pose_canvas: Side in pixels of the square on which poses are drawn for the model.
        sample_size: Side in pixels of the squares that the model was trained on.
        default_steps: Denoising steps with which the model looks best.
        default_guidance: Scale of the image guidance with which the model looks best.
        start_from_reference: Share of the noise with which frames start from the reference; 0 is
            noise alone.
        keep_background: Whether frames keep the reference's background.
        warp: Whether frames show the reference's own pixels wherever these can be moved.
        body_maps: Names of the maps of the body that the model's own `body_controlnet` reads.
    """

    pose_canvas: int = 604
    sample_size: int = 512
    default_steps: int = 50
    default_guidance: float = 7.0
    start_from_reference: float = 0.0
    keep_background: bool = False
    warp: bool = False
    body_maps: Sequence[str] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ModelDefaults:
        """Pick the defaults out of a checked model index or of a pipeline's config."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: settings[name] for name in names if name in settings})


@dataclass(frozen=True)
class ResolvedSettings:
    """What a preset, a model and a reference come to.

    Attributes:
        steps: Denoising steps.
        guidance: Scale of the image guidance; 1 is none.
        size: (width, height) of the result in pixels.
        network_size: (width, height) in pixels of the frames that the network makes; differs from
            `size` with `warp` alone.
        pose_canvas: Side in pixels of the square on which poses are drawn.
        keep_background: Whether frames keep the reference's background.
        warp: Whether the reference's own pixels are moved.
        trusts_network: Whether a warped frame shows the reference's pixels only where the
            network's agree with them.
    """

    steps: int
    guidance: float
    size: tuple[int, int]
    network_size: tuple[int, int]
    pose_canvas: int
    keep_background: bool
    warp: bool
    trusts_network: bool

    @property
    def frames_keep_reference(self) -> bool:
        """Whether the reference's own pixels are put back into the network's frames.

        What a warp shows of a network that it does not trust, they would not change.
        """
        return self.keep_background and (not self.warp or self.trusts_network)


def resolve_settings(
    preset: Preset,
    defaults: ModelDefaults,
    *,
    reference_size: tuple[int, int] | None = None,
    driver_kind: str = "video",
    finds_person: bool = True,
) -> ResolvedSettings:
    """Settle everything that a preset leaves to the model and to the reference.

    Args:
        preset: Settings as asked for; None and "auto" in it are settled here.
        defaults: What the model's own folder says.
        reference_size: (width, height) of the reference in pixels; None stands for a square.
        driver_kind: Kind of the driver as `motion.driver` names it.
        finds_person: Whether the run looks for the reference's person anyway. Where it does not,
            the model's default alone is no reason to search and the background is not kept.

    Raises:
        ConfigError: The asked-for settings contradict each other or the driver.
    """
    warp = _resolve_warp(preset, defaults, driver_kind)
    _check_camera_motion(preset, warp, draws_background=not defaults.warp)
    side = defaults.sample_size
    size = network_size = preset.size_for(side, reference_size)
    if warp:
        network_size = preset.network_size_for(reference_size or (side, side), side)
        size = preset.warped_size_for(reference_size or (side, side), side)
    keeps = preset.frame.keep_background
    return ResolvedSettings(
        steps=preset.steps_for(defaults.default_steps),
        guidance=preset.sampling.guidance or defaults.default_guidance,
        size=size,
        network_size=network_size,
        pose_canvas=defaults.pose_canvas,
        keep_background=defaults.keep_background and finds_person if keeps is None else keeps,
        warp=warp,
        trusts_network=not defaults.warp,
    )


def _check_camera_motion(preset: Preset, warp: bool, *, draws_background: bool) -> None:
    """Check that the background is the reference's own, and free to move with the camera."""
    if preset.frame.camera_motion != "on":
        return
    if not warp or draws_background:
        who = "this model draws the background itself" if warp else "this result is not warped"
        raise ConfigError(
            f"camera-motion on moves the reference's own background, but {who}; leave it out, or "
            "warp with a model that is made for it, such as mini"
        )
    if preset.frame.paste_back:
        raise ConfigError(
            "camera-motion on moves the background, which paste-back keeps as it is; leave out one"
        )


def _resolve_warp(preset: Preset, defaults: ModelDefaults, driver_kind: str) -> bool:
    """Decide whether the reference's own pixels are moved."""
    asked, starts = preset.frame.warp, preset.sampling.start_from_warp is not None
    if driver_kind == "pose-maps" and (asked == "on" or starts):
        raise ConfigError(
            "pose maps are pictures and do not tell where the person's parts go; leave --warp and "
            "--start-from-warp out, or give the poses themselves"
        )
    if starts and asked == "off":
        raise ConfigError("start-from-warp begins from what warp off leaves out; leave out one")
    by_itself = asked == "auto" and driver_kind != "pose-maps" and defaults.warp
    return starts or asked == "on" or by_itself
