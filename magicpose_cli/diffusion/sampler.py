"""The sampler: what frames share is computed once, the rest in whole batches.

Shared by all frames of one reference, without changing them:

- the reference features of each timestep, as keys and values of the denoiser's own;
- the unconditional prediction of the first step, which starts from one noise;

and by all steps of a frame: what the pose network's first layers see in the pose map. What can be
left out at a cost is listed in `Acceleration`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from magicpose_cli.diffusion.body_control import Residuals, added, split_maps
from magicpose_cli.diffusion.compilation import as_one_graph
from magicpose_cli.diffusion.reference_attention import (
    ReferenceAttention,
    ReferenceFeatures,
    precompute_kv,
)
from magicpose_cli.diffusion.reference_features import reference_features
from magicpose_cli.diffusion.schedulers import (
    able_to_begin_late,
    noiseless_options,
    set_last_timesteps,
    set_timesteps_from,
)

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel

    from magicpose_cli.diffusion.adapters.identity import IdentityAdapter, IdentityTokens
    from magicpose_cli.diffusion.motion_module import MotionModule
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

OnStep = Callable[[int, Any, torch.Tensor], torch.Tensor]
"""(step, timestep, latents) -> the latents to go on with."""


@dataclass(frozen=True)
class Acceleration:
    """What is left out for speed; by default nothing.

    Attributes:
        guidance_from: Share of the steps before which the unconditional pass is left out
            (Kynkäänniemi et al., NeurIPS 2024).
        guidance_until: Share of the steps from which on the unconditional pass is left out.
        cache_every: Every Nth step runs whole. In the others the denoiser's first convolution and
            last layer alone run, on the deep features of the last whole step, and the pose network
            is left out (after Ma et al., "DeepCache", CVPR 2024).
    """

    guidance_from: float = 0.0
    guidance_until: float = 1.0
    cache_every: int = 1

    def guided(self, step: int, steps: int) -> bool:
        """Whether this step of so many has an unconditional pass."""
        return self.guidance_from * steps <= step < self.guidance_until * steps


@dataclass(frozen=True)
class _DeepFeatures:
    """Cached deep features: what a whole step leaves for the steps after it.

    Attributes:
        hidden: Input of the denoiser's last layer, (F or 2F, c, h, w): conditional rows first.
        pose: The pose network's residual for the first convolution, (F, c, h, w).
    """

    hidden: torch.Tensor
    pose: torch.Tensor


class Sampler:
    """Draws frames of one reference with one set of settings, batch after batch.

    The reference features of all timesteps that will be needed are computed here, those of others
    when they are first needed. Guidance and the scheduler's step run in float32.

    Args:
        pipeline: Networks and scheduler.
        noise: Unit noise, (1, c, h, w) for all frames or (F, c, h, w) for batches of F.
        reference_latents: (1, c, h, w), clean; or one for each of F frames.
        prompt_embeds: (1, 77, d).
        negative_prompt_embeds: Of the unconditional pass; prompt_embeds by default.
        steps: Denoising steps.
        guidance: Scale of the image guidance; 1 is none.
        acceleration: What to leave out for speed; nothing by default.
        compiled: Compile one function with all networks of a step; batches should then have one
            shape.
        features: Reference features by timestep, which are filled here, or are full from a Sampler
            of the same reference and text.
        strength: Share of the steps that frames take which begin from a picture (as of img2img in
            diffusers); None begins them where the model's own start from the reference does.
        steady: Whether the frames of a batch are one window of a clip, which the pipeline's motion
            module sees together.
        identity_tokens: Of the reference's face, as the pipeline's `identity` reads them; None is
            the denoiser without them.
    """

    def __init__(
        self,
        pipeline: MagicPosePipeline,
        noise: torch.Tensor,
        reference_latents: torch.Tensor,
        prompt_embeds: torch.Tensor,
        *,
        negative_prompt_embeds: torch.Tensor | None = None,
        steps: int = 50,
        guidance: float = 7.0,
        acceleration: Acceleration | None = None,
        compiled: bool = False,
        features: dict[float, ReferenceFeatures] | None = None,
        strength: float | None = 1.0,
        steady: bool = False,
        identity_tokens: IdentityTokens | None = None,
    ):
        self.steps = steps
        self.strength = strength
        self.guidance = guidance
        self.acceleration = acceleration or Acceleration()
        self._unet: UNet2DConditionModel = pipeline.unet
        self._pose_net: ControlNetModel = pipeline.pose_controlnet
        self._body_net: ControlNetModel | None = pipeline.body_controlnet
        self._body_scale = pipeline.body_map_scale
        self._scheduler = pipeline.scheduler
        self._late_scheduler = able_to_begin_late(pipeline.scheduler)
        self._dtype, self._device = pipeline.unet.dtype, pipeline._execution_device
        self._noise = noise.to(self._device, torch.float32)
        if negative_prompt_embeds is None:
            negative_prompt_embeds = prompt_embeds
        self._texts = [
            text.to(self._device, self._dtype) for text in (prompt_embeds, negative_prompt_embeds)
        ]
        self._attention = ReferenceAttention(self._unet)
        self._features = {} if features is None else features
        self._reference = (pipeline, reference_latents, prompt_embeds)
        self._scheduler.set_timesteps(steps, device=self._device)
        self._own_share = pipeline.config.start_from_reference
        self._own_start: torch.Tensor | None = None
        if self._own_share:
            self._own_start = reference_latents[:, : pipeline.unet.config.in_channels]
        timesteps = self._begin(late=strength != 1.0)[0]
        self.evaluations = len(timesteps)
        self._compute_features(timesteps)
        self._identity = torch.nn.Identity()
        self._uncond_first: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self._last = _InputRecorder(self._unet.up_blocks[-1].resnets[-1])
        self._step = as_one_graph(self._whole) if compiled else self._whole
        motion: MotionModule | None = pipeline.motion if steady else None
        self._motion = None if motion is None or motion.is_new else motion
        self._identity_adapter: IdentityAdapter | None = None
        self._tokens: list[torch.Tensor] = []
        if identity_tokens is not None:
            self._identity_adapter = pipeline.identity
            self._tokens = [part.to(self._device, self._dtype) for part in identity_tokens]
        # a first step of its own would be a second graph, which costs more than it saves; a motion
        # module tells frames apart by their places, so that their unconditional rows differ
        self._shares_first = not compiled and self._motion is None

    @torch.no_grad()
    def sample(
        self,
        pose_maps: torch.Tensor,
        noise: torch.Tensor | None = None,
        on_step: OnStep | None = None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Draw one frame for each pose map.

        Args:
            pose_maps: (F, 3, 8h, 8w) RGB in 0..1; or (F, 3 + 3k, 8h, 8w) with the maps of the body
                behind them that the pipeline's `body_controlnet` reads.
            noise: (F, c, h, w) of these frames, in place of the one that all share.
            on_step: Called after each step that is taken.
            start: Clean latents (F, c, h, w) of pictures to begin from; the noise is added to them,
                and the last `strength` of the steps are taken (Meng et al., "SDEdit", ICLR 2022).

        Returns:
            Latents (F, c, h, w) float32.
        """
        noise = self._noise if noise is None else noise.to(self._device, torch.float32)
        timesteps, skipped = self._begin(late=start is not None)
        if start is None:
            start = self._own_start
        if start is None:
            scheduler = self._scheduler
            x = noise.expand(len(pose_maps), -1, -1, -1) * scheduler.init_noise_sigma
        else:
            scheduler = self._late_scheduler
            start = start.to(self._device, torch.float32).expand(len(pose_maps), -1, -1, -1)
            x = scheduler.add_noise(start, noise, timesteps[:1])
        self._compute_features(timesteps)
        count = skipped + len(timesteps)
        noiseless = noiseless_options(scheduler)
        one_sample = start is None and len(noise) == 1
        deep: _DeepFeatures | None = None
        maps = pose_maps.to(self._device, self._dtype)
        together = self._motion.together(len(maps)) if self._motion else nullcontext()
        adapter = self._identity_adapter
        faces = nullcontext() if adapter is None else adapter.attending()
        recorded = self._last_input_recorded()
        with self._attention, recorded, together, faces, self._hints(maps) as hints:
            for i, t in enumerate(timesteps):
                noisy = scheduler.scale_model_input(x, t).to(self._dtype)
                guided = self.guidance != 1.0 and self.acceleration.guided(skipped + i, count)
                self._attention.features = self._features[float(t)]
                rows = len(x) * (2 if guided else 1)
                if i % self.acceleration.cache_every and deep and len(deep.hidden) >= rows:
                    prediction = self._shallow(noisy, t, guided, deep)
                elif guided and i == 0 and one_sample and self._shares_first:
                    prediction, deep = self._first(noisy, t, hints)
                else:
                    prediction, deep = self._step(noisy, t, hints, guided)
                prediction = self._guide(prediction.float(), guided)
                x = scheduler.step(prediction, t, x, return_dict=False, **noiseless)[0]
                if on_step is not None:
                    x = on_step(i, t, x)
        latents: torch.Tensor = x
        return latents

    def _guide(self, prediction: torch.Tensor, guided: bool) -> torch.Tensor:
        """Image-CFG of the paper: away from the bare denoiser, which sees no reference or pose."""
        if not guided:
            return prediction
        conditional, unconditional = prediction.chunk(2)
        return unconditional + self.guidance * (conditional - unconditional)

    def _whole(
        self, noisy: torch.Tensor, t: torch.Tensor, hints: Sequence[torch.Tensor], guided: bool
    ) -> tuple[torch.Tensor, _DeepFeatures | None]:
        """Run all networks of a step.

        The pose network runs for the frames, the denoiser for them and, where guided, for the bare
        copies behind them in the same batch.
        """
        frames = len(noisy)
        text = self._text(frames, guided)
        down, mid = self._controlled(noisy, t, text[:frames], hints)
        pose = down[0]
        if guided:
            noisy = torch.cat([noisy, noisy])
            down, mid = [_with_zeros(residual) for residual in down], _with_zeros(mid)
        self._attention.attending = frames
        prediction, hidden = self._denoise(noisy, t, text, down, mid)
        return prediction, None if hidden is None else _DeepFeatures(hidden, pose)

    def _controlled(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        hints: Sequence[torch.Tensor],
    ) -> Residuals:
        """What the pose network, and that of the body's maps, add to the denoiser."""
        told: Residuals = self._pose_net(
            noisy, t, text, controlnet_cond=hints[0], return_dict=False
        )
        if len(hints) == 1:
            return told
        assert self._body_net is not None
        of_body: Residuals = self._body_net(
            noisy, t, text, controlnet_cond=hints[1], conditioning_scale=self._body_scale,
            return_dict=False,
        )  # fmt: skip
        return added(told, of_body)

    def _first(
        self, noisy: torch.Tensor, t: torch.Tensor, hints: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, _DeepFeatures | None]:
        """The guided first step from one noise: its unconditional rows are all the same."""
        if self._uncond_first is None:
            self._attention.attending = 0
            self._uncond_first = self._denoise(noisy[:1], t, self._texts[1][:1], bare=True)
        prediction, deep = self._step(noisy, t, hints, False)
        bare, bare_hidden = (
            None if rows is None else rows.expand(len(noisy), -1, -1, -1)
            for rows in self._uncond_first
        )
        assert bare is not None
        if deep is not None and bare_hidden is not None:
            deep = _DeepFeatures(torch.cat([deep.hidden, bare_hidden]), deep.pose)
        return torch.cat([prediction, bare]), deep

    def _denoise(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        down: Any = None,
        mid: Any = None,
        *,
        bare: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The denoiser's prediction and, where steps are cached, what enters its last layer.

        bare: whether all rows are unconditional; else those behind as many with a reference.
        """
        prediction = self._unet(
            noisy,
            t,
            self._with_identity(text, bare=bare),
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]
        if self.acceleration.cache_every == 1:
            return prediction, None
        skip = self._unet.conv_in.out_channels  # the first convolution's output comes beside it
        hidden, self._last.recorded = self._last.recorded, None
        assert hidden is not None
        return prediction, hidden[:, :-skip]

    def _shallow(
        self, noisy: torch.Tensor, t: torch.Tensor, guided: bool, deep: _DeepFeatures
    ) -> torch.Tensor:
        """The first convolution and the last layer, with the deep features of a former step."""
        unet, frames = self._unet, len(noisy)
        text = self._text(frames, guided)
        pose = deep.pose
        if guided:
            noisy, pose = torch.cat([noisy, noisy]), _with_zeros(pose)
        self._attention.attending = frames
        embedded = unet.time_embedding(unet.get_time_embed(noisy, t))
        block = unet.up_blocks[-1]
        hidden = torch.cat([deep.hidden[: len(noisy)], unet.conv_in(noisy) + pose], dim=1)
        hidden = self._last.layer(hidden, embedded)
        if attentions := getattr(block, "attentions", None):
            text = self._with_identity(text)
            hidden = attentions[-1](hidden, encoder_hidden_states=text, return_dict=False)[0]
        prediction: torch.Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
        return prediction

    def _text(self, frames: int, guided: bool) -> torch.Tensor:
        texts = self._texts if guided else self._texts[:1]
        return torch.cat([text.expand(frames, -1, -1) for text in texts])

    def _with_identity(self, text: torch.Tensor, *, bare: bool = False) -> Any:
        """The text as the denoiser takes it: alone, or with the tokens of the face beside it."""
        if not self._tokens:
            return text
        shown, absent = self._tokens
        seen = 0 if bare else self._attention.attending or 0
        parts = [shown.expand(seen, -1, -1), absent.expand(len(text) - seen, -1, -1)]
        return text, [torch.cat(parts)]

    @contextmanager
    def _last_input_recorded(self) -> Iterator[None]:
        """Record what enters the denoiser's last layer, where steps are cached.

        Not by a hook: torch.compile would take each new one for a new network.
        """
        layers = self._unet.up_blocks[-1].resnets
        if self.acceleration.cache_every > 1:
            layers[-1] = self._last
        try:
            yield
        finally:
            layers[-1] = self._last.layer

    @contextmanager
    def _hints(self, maps: torch.Tensor) -> Iterator[list[torch.Tensor]]:
        """Run the first layers of the networks that read maps once, of the pose's and the body's.

        Inside the block they are the identity, so that the networks are called with their output.
        """
        pose, body = split_maps(maps)
        nets, seen = [self._pose_net], [pose]
        if body is not None:
            assert self._body_net is not None
            nets, seen = [self._pose_net, self._body_net], [pose, body]
        layers = [net.controlnet_cond_embedding for net in nets]
        hints = [layer(each) for layer, each in zip(layers, seen, strict=True)]
        for net in nets:
            net.controlnet_cond_embedding = self._identity
        try:
            yield hints
        finally:
            for net, layer in zip(nets, layers, strict=True):
                net.controlnet_cond_embedding = layer

    def _begin(self, *, late: bool) -> tuple[torch.Tensor, int]:
        """The timesteps of frames, and how many before them are left out.

        late: Whether the frames bring pictures to begin from.
        """
        if late and self.strength is not None:
            return set_last_timesteps(self._late_scheduler, self.steps, self.strength, self._device)
        if self._own_start is not None:
            share = self._own_share
            return set_timesteps_from(self._late_scheduler, self.steps, share, self._device)
        self._scheduler.set_timesteps(self.steps, device=self._device)
        return self._scheduler.timesteps, 0

    def _compute_features(self, timesteps: torch.Tensor) -> None:
        """Compute the reference features of timesteps that have none yet.

        Where the denoiser is on the device they become keys and values; where it waits in main
        memory they stay hidden states, half as large.
        """
        times = dict.fromkeys(float(t) for t in timesteps)
        missing = [t for t in times if t not in self._features]
        for t, features in zip(missing, reference_features(*self._reference, missing), strict=True):
            if self._unet.device == self._device:
                precompute_kv(self._unet, features)
            self._features[t] = features


def _with_zeros(rows: torch.Tensor) -> torch.Tensor:
    """A residual for the conditional half of a batch, nothing for the other half."""
    return torch.cat([rows, torch.zeros_like(rows)])


class _InputRecorder(torch.nn.Module):
    """A layer that keeps its input."""

    def __init__(self, layer: torch.nn.Module):
        super().__init__()
        self.layer = layer
        self.recorded: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        self.recorded = hidden
        out: torch.Tensor = self.layer(hidden, embedded)
        return out
