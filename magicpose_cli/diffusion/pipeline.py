"""MagicPosePipeline: one reference picture and a sequence of pose maps in, one frame a map out.

The parts are stock diffusers classes; the only addition is the attention processor of
`reference_attention.py`, so a saved folder holds no custom code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import PIL.Image
import torch
from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    MotionAdapter,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.loaders import TextualInversionLoaderMixin
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.diffusion.adapters.embedding import notes_on_prompts, token_ids
from magicpose_cli.diffusion.adapters.identity import IdentityAdapter, IdentityTokens
from magicpose_cli.diffusion.compositor import composited
from magicpose_cli.diffusion.motion_module import MotionModule
from magicpose_cli.diffusion.motion_windows import blended, motion_windows
from magicpose_cli.diffusion.reference_pose import latent_factor, reads_reference_pose, with_pose
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.errors import ModelError

PictureLike = PIL.Image.Image | Floats | torch.Tensor
StepCallback = Callable[
    ["MagicPosePipeline", int, Any, dict[str, torch.Tensor]], dict[str, torch.Tensor] | None
]


@dataclass
class MagicPosePipelineOutput(BaseOutput):
    """What the pipeline returns.

    Attributes:
        images: List of PIL pictures, or (F, H, W, 3) array or (F, 3, H, W) tensor in 0..1.
    """

    images: list[PIL.Image.Image] | Floats | torch.Tensor


class MagicPosePipeline(DiffusionPipeline, TextualInversionLoaderMixin):
    """MagicPose (Chang et al., ICML 2024): a person moved by poses, their looks from a reference.

    `denoise` needs neither autoencoder nor text encoder nor tokenizer; without a text encoder the
    empty prompt's embedding is zero and no other prompt is possible.

    Args:
        unet: Denoiser (SD 1.5 in the released model).
        appearance_unet: A full copy of the denoiser that reads the clean reference latent; one with
            further input channels reads the reference's pose map, too.
        pose_controlnet: Reads the OpenPose-style picture.
        body_controlnet: Reads maps of the body beside it, where they are given.
        body_maps: Names of these maps, of `body.maps.BODY_MAP_NAMES`, in the order in which it
            reads them.
        scheduler: Owns the step; any deterministic diffusers scheduler.
        vae: Autoencoder.
        text_encoder: CLIP's text encoder.
        tokenizer: CLIP's tokenizer.
        motion_adapter: Layers that attend along time, for steady frames.
        compositor: Tells where frames may keep the reference's own pixels.
        pose_canvas: Short side in pixels of the canvas on which poses are drawn before the picture
            is scaled to the network's size, as in the training data (it decides how thick the
            limbs are).
        sample_size: Side in pixels of the pictures that the model was trained on.
        default_steps: Denoising steps where none are asked for.
        default_guidance: Scale of the guidance where none is asked for.
        start_from_reference: Share of the noise with which frames start from the reference; 0 is
            noise alone.
        keep_background: Whether callers do well to put the reference's background back into the
            frames.
        warp: Whether callers do well to move the reference's own pixels and take the frames for
            what these do not show; for models too small to draw a likeness.
    """

    # pose_controlnet takes turns with unet at every step, so it stays on the device
    model_cpu_offload_seq = "text_encoder->appearance_unet->unet->vae"
    _optional_components = [  # noqa: RUF012 (diffusers' name)
        "vae",
        "text_encoder",
        "tokenizer",
        "motion_adapter",
        "compositor",
        "body_controlnet",
    ]
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012

    def __init__(
        self,
        unet: UNet2DConditionModel,
        appearance_unet: UNet2DConditionModel,
        pose_controlnet: ControlNetModel,
        scheduler: Any,
        vae: Any = None,
        text_encoder: Any = None,
        tokenizer: Any = None,
        motion_adapter: MotionAdapter | None = None,
        compositor: UNet2DModel | None = None,
        body_controlnet: ControlNetModel | None = None,
        pose_canvas: int = 604,
        sample_size: int = 512,
        default_steps: int = 50,
        default_guidance: float = 7.0,
        start_from_reference: float = 0.0,
        keep_background: bool = False,
        warp: bool = False,
        body_maps: list[str] | None = None,
    ):
        super().__init__()
        self.register_modules(
            unet=unet,
            appearance_unet=appearance_unet,
            pose_controlnet=pose_controlnet,
            scheduler=scheduler,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            compositor=compositor,
            body_controlnet=body_controlnet,
        )
        self.body_map_scale = 1.0
        self.motion: MotionModule | None = None
        self.set_motion_adapter(motion_adapter)
        self.identity: IdentityAdapter | None = None
        self.register_to_config(
            pose_canvas=pose_canvas,
            sample_size=sample_size,
            default_steps=default_steps,
            default_guidance=default_guidance,
            start_from_reference=start_from_reference,
            keep_background=keep_background,
            warp=warp,
            body_maps=body_maps or [],
        )
        self.image_processor, self.pose_processor = (
            VaeImageProcessor(self.vae_scale_factor, do_normalize=normalizes, do_convert_rgb=True)
            for normalizes in (True, False)
        )

    def set_motion_adapter(self, adapter: MotionAdapter | None) -> None:
        """Put a motion adapter in the place of the former one; None leaves frames alone.

        It is idle but for a Sampler that is to be steady.
        """
        if self.motion is not None:
            self.motion.remove()
        self.register_modules(motion_adapter=adapter)
        self.motion = None if adapter is None else MotionModule(self.unet, adapter)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a latent cell is wide: what the pose network's hint encoder shrinks by."""
        return latent_factor(self.pose_controlnet)

    @torch.no_grad()
    def __call__(
        self,
        reference: PictureLike,
        pose_maps: PictureLike | Sequence[PIL.Image.Image],
        prompt: str = "",
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
        latents: torch.Tensor | None = None,
        batch_size: int | None = None,
        steady: bool = False,
        reference_pose_map: PictureLike | None = None,
        body_maps: Sequence[PictureLike | Sequence[PIL.Image.Image]] = (),
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MagicPosePipelineOutput | tuple[Any]:
        """Draw the person of `reference` in each pose of `pose_maps`.

        Args:
            reference: PIL picture, or (H, W, 3) / (1, 3, H, W) in 0..1, RGB.
            pose_maps: F pictures: a PIL picture or a list of them, (F, H, W, 3) or (F, 3, H, W) in
                0..1, RGB.
            prompt: Text; needs a text encoder.
            negative_prompt: Text of the unconditional pass.
            height: Pixels of the result, a multiple of 8; the reference's own by default.
            width: As height.
            num_inference_steps: The model's own by default.
            guidance_scale: The model's own by default.
            generator: Seeds the one initial noise that all frames share.
            latents: That noise instead, (1 or F, c, height / 8, width / 8).
            batch_size: Frames denoised at once, all by default; never changes the result.
            steady: Whether the frames are a clip that the motion adapter holds together.
            reference_pose_map: Of the reference, for a model that reads it; others ignore it.
            body_maps: F pictures for each map that the model's `body_controlnet` reads, as
                pose_maps; none leave it out.
            output_type: "pil", "np", "pt" or "latent".
            return_dict: Whether to return an object or a tuple.
            callback_on_step_end: Called as f(pipeline, step, timestep, {"latents": ...}) after
                every step of every batch; the latents that the call returns are taken.
            callback_on_step_end_tensor_inputs: As in diffusers; only "latents" is known.
        """
        self._check_call(prompt, negative_prompt or "", callback_on_step_end_tensor_inputs)
        image = self.image_processor.preprocess(reference, height=height, width=width)
        height, width = image.shape[-2:]
        maps = self.pose_processor.preprocess(pose_maps, height=height, width=width)
        bodies = [
            self.pose_processor.preprocess(each, height=height, width=width) for each in body_maps
        ]
        own = None
        if reference_pose_map is not None:
            own = self.pose_processor.preprocess(reference_pose_map, height=height, width=width)
        latents = self.denoise(
            self.initial_noise(height, width, generator) if latents is None else latents,
            self.encode_reference(image, own),
            torch.cat([maps, *bodies], dim=1),
            self.encode_prompt(prompt),
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            negative_prompt_embeds=self.encode_prompt(negative_prompt or ""),
            batch_size=batch_size,
            steady=steady,
            callback_on_step_end=callback_on_step_end,
        )
        images = self._postprocess(latents, (image, own, maps), batch_size, output_type)
        self.maybe_free_model_hooks()
        return MagicPosePipelineOutput(images=images) if return_dict else (images,)

    def _check_call(
        self, prompt: str, negative_prompt: str, callback_inputs: Sequence[str]
    ) -> None:
        if unknown := set(callback_inputs) - set(self._callback_tensor_inputs):
            raise ValueError(f"callback_on_step_end_tensor_inputs: only latents, got {unknown}")
        for note in notes_on_prompts(self, [], prompt, negative_prompt):
            warnings.warn(note, stacklevel=3)

    def _postprocess(
        self,
        latents: torch.Tensor,
        seen: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor],
        batch_size: int | None,
        output_type: str,
    ) -> Any:
        """Latents as pictures of the kind that is asked for; seen: as `composite` takes them."""
        if output_type == "latent":
            return latents
        decoded = self.composite(self.decode(latents, batch_size=batch_size), *seen)
        return self.image_processor.postprocess(decoded * 2 - 1, output_type=output_type)

    @torch.no_grad()
    def denoise(
        self,
        latents: torch.Tensor,
        reference_latents: torch.Tensor,
        pose_maps: torch.Tensor,
        prompt_embeds: torch.Tensor,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        *,
        negative_prompt_embeds: torch.Tensor | None = None,
        batch_size: int | None = None,
        steady: bool = False,
        identity_tokens: IdentityTokens | None = None,
        acceleration: Acceleration | None = None,
        callback_on_step_end: StepCallback | None = None,
    ) -> torch.Tensor:
        """Sample the latents of F frames from noise. Whoever has many batches keeps a Sampler.

        Args:
            latents: (F or 1, c, h, w) unit noise; one is shared by all frames.
            reference_latents: (1, c, h, w), clean; or F of them. As `encode_reference` gives them.
            pose_maps: (F, 3, 8h, 8w), RGB in 0..1; or (F, 3 + 3k, 8h, 8w) with the maps behind them
                that the model's `body_controlnet` reads.
            prompt_embeds: (1, 77, d).
            num_inference_steps: The model's own, `default_steps`, by default.
            guidance_scale: `default_guidance` by default. Image-CFG of the paper: the unconditional
                pass is the bare denoiser, with neither reference nor pose. 1 switches it off.
            negative_prompt_embeds: Text of the unconditional pass; prompt_embeds by default.
            batch_size: Frames denoised at once; never changes the result.
            steady: Whether the frames are a clip that the motion adapter holds together. They are
                then made in the windows of `motion_windows`, whatever the batch's size.
            identity_tokens: Of the reference's face, as the pipeline's `identity` reads them.
            acceleration: What to leave out for speed; nothing by default.
            callback_on_step_end: As in a call of the pipeline.

        Returns:
            (F, c, h, w) float32. Guidance and the scheduler's step run in float32.
        """
        config = self.config
        sampler = Sampler(
            self,
            latents,
            reference_latents,
            prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            steps=config.default_steps if num_inference_steps is None else num_inference_steps,
            guidance=config.default_guidance if guidance_scale is None else guidance_scale,
            acceleration=acceleration,
            steady=steady,
            identity_tokens=identity_tokens,
        )
        parts = self._batches(len(pose_maps), batch_size, steady)
        done = self._sampled(sampler, latents, pose_maps, parts, callback_on_step_end)
        return _joined(parts, done) if steady else torch.cat(done)

    def _sampled(
        self,
        sampler: Sampler,
        latents: torch.Tensor,
        pose_maps: torch.Tensor,
        parts: Sequence[range],
        callback: StepCallback | None,
    ) -> list[torch.Tensor]:
        """Sample the frames of each part, with a bar that counts all steps."""
        with self.progress_bar(total=sampler.evaluations * len(parts)) as progress:

            def on_step(i: int, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
                progress.update()
                if callback is None:
                    return x
                taken = callback(self, i, t, {"latents": x})
                return (taken or {}).get("latents", x)

            done = []
            for part in parts:
                rows = slice(part.start, part.stop)
                noise = latents[rows] if len(latents) > 1 else None
                done.append(sampler.sample(pose_maps[rows], noise, on_step))
        return done

    def _batches(self, frames: int, size: int | None, steady: bool) -> list[range]:
        """Which frames are denoised at once. Raises ModelError for steady ones without adapter."""
        if not steady:
            length = size or frames
            return [range(i, min(i + length, frames)) for i in range(0, frames, length)]
        if self.motion is None:
            raise ModelError("steady: this model has no motion adapter; set one before")
        return motion_windows(frames)

    def initial_noise(
        self, height: int, width: int, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """The one noise of all frames, (1, c, h, w): drawn on the CPU, alike on every device."""
        factor = self.vae_scale_factor
        if height % factor or width % factor:
            raise ValueError(f"size {width}x{height}: expected multiples of {factor}")
        shape = (1, self.unet.config.in_channels, height // factor, width // factor)
        noise: torch.Tensor = randn_tensor(shape, generator=generator, dtype=torch.float32)
        return noise

    def encode_prompt(self, prompt: str = "") -> torch.Tensor:
        """(1, 77, d) last hidden state of CLIP; zeros for "" in a model without a text encoder."""
        if prompt and (self.text_encoder is None or self.tokenizer is None):
            raise ModelError(
                f"prompt {prompt!r}: this model has no text encoder or no tokenizer; leave the "
                "prompt empty or use a model that has both"
            )
        if self.text_encoder is None:
            return torch.zeros(1, 77, self.unet.config.cross_attention_dim)
        if self.tokenizer is None:  # CLIP's "" is its start token, then its end token to the end
            text = self.text_encoder.config
            ids = torch.full((1, text.max_position_embeddings), text.vocab_size - 1)
            ids[0, 0] = text.vocab_size - 2
        else:
            ids = torch.tensor([token_ids(self.tokenizer, prompt)[0]])
        with torch.no_grad():
            hidden: torch.Tensor = self.text_encoder(ids.to(self._execution_device))[0]
        return hidden

    @property
    def reads_reference_pose(self) -> bool:
        """Whether the appearance network takes the reference's pose map beside its latents."""
        return reads_reference_pose(self.appearance_unet, self.unet.config.in_channels)

    @torch.no_grad()
    def encode_reference(
        self, image: torch.Tensor, pose_map: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Encode references as the appearance network reads them.

        Args:
            image: (n, 3, H, W) in -1..1.
            pose_map: (n, 3, H, W) in 0..1, RGB, for a model that reads it; None is an unknown pose.

        Returns:
            Clean latents (n, c, h, w), with the channels of `with_pose` for such a model.
        """
        latents = self.encode(image)
        if not self.reads_reference_pose:
            return latents
        return with_pose(latents, torch.zeros_like(image) if pose_map is None else pose_map)

    @torch.no_grad()
    def encode(self, image: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
        """(n, 3, H, W) in -1..1 -> clean latents (n, c, h, w); the posterior's mode, not a draw."""
        vae = self._needed_vae()
        means = []
        for part in torch.split(image, batch_size or len(image)):
            encoded = vae.encode(part.to(self._execution_device, vae.dtype))
            means.append(
                encoded.latent_dist.mode() if "latent_dist" in encoded else encoded.latents
            )
        clean = torch.cat(means) - (vae.config.shift_factor or 0.0)
        return clean * float(vae.config.scaling_factor)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
        """(F, c, h, w) -> float32 pictures (F, 3, H, W) in 0..1 on the CPU."""
        vae = self._needed_vae()
        latents = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
        step = batch_size or len(latents)
        pictures = [
            vae.decode(part.to(self._execution_device, vae.dtype), return_dict=False)[0]
            for part in torch.split(latents, step)
        ]
        whole = torch.cat([picture.float().cpu() for picture in pictures])
        return (whole / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def composite(
        self,
        frames: torch.Tensor,
        reference: torch.Tensor,
        own_maps: torch.Tensor | None,
        maps: torch.Tensor,
    ) -> torch.Tensor:
        """Keep the reference's own pixels where the compositor says so; without one, nothing.

        Args:
            frames: (F, 3, H, W) in 0..1, as `decode` gives them.
            reference: (1 or F, 3, H, W) in -1..1.
            own_maps: Pose maps of the references, (1 or F, 3, H, W) in 0..1; None is an unknown
                pose.
            maps: Pose maps of the frames, (F, 3, H, W) in 0..1.

        Returns:
            (F, 3, H, W) float32 in 0..1 on the CPU.
        """
        if self.compositor is None:
            return frames
        own = torch.zeros_like(reference) if own_maps is None else own_maps
        seen = (frames, reference / 2 + 0.5, own, maps)
        here = (part.to(self._execution_device, self.compositor.dtype) for part in seen)
        return composited(self.compositor, *here).float().cpu().clamp(0, 1)

    def _needed_vae(self) -> Any:
        if self.vae is None:
            raise ModelError("this model folder has no vae: add one (models convert --base SD15)")
        return self.vae


def _joined(windows: Sequence[range], done: Sequence[torch.Tensor]) -> torch.Tensor:
    """Latents of all frames out of those of overlapping windows."""
    parts = blended(windows, (part.cpu().numpy() for part in done))
    return torch.cat([torch.from_numpy(part) for part in parts]).to(done[0].device)
