"""The networks under training: built or loaded, predicting as one module, written as a model."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    MotionAdapter,
    UNet2DConditionModel,
)
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.loading import found_folder, load_pipeline, offline, quiet
from magicpose_cli.diffusion.motion_module import MotionModule, new_motion_adapter
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference_attention import ReferenceAttention, ReferenceFeatures
from magicpose_cli.errors import ModelError
from magicpose_cli.training.autoencoder import new_autoencoder
from magicpose_cli.training.pretrained_pose import start_from_controlnet
from magicpose_cli.training.progressive_growing import InputConvs, add_level
from magicpose_cli.training.recipe import (
    NETWORK_NAMES,
    NetworkSettings,
    Recipe,
    RecipeModelSettings,
)


class Networks(nn.Module):
    """Denoiser, appearance network and pose ControlNet, and the autoencoder beside them.

    Attention stays installed for the module's life, because gradient checkpointing runs parts of
    the forward pass again during the backward pass.

    Attributes:
        pretrained: Parts that come trained, so that no stage begins them as a copy of the denoiser.
        input_convs: Of the model of half the size that these networks have grown from, if any.
        text: Embedding (1, tokens, width) of the empty prompt.
        motion_adapter: Layers that attend along time; None in a model without.
        motion: The same at work in the denoiser.
        sqrt_alphas_cumprod: How much of the clean latents is in noisy ones, by timestep.
        sqrt_one_minus_alphas_cumprod: How much noise is in them, by timestep.
    """

    text: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    motion_adapter: MotionAdapter | None

    def __init__(
        self,
        parts: dict[str, Any],
        scheduler: Any,
        vae: Any,
        text: Tensor,
        language: dict[str, Any] | None = None,
    ):
        """Put the parts together.

        Args:
            parts: `unet`, `appearance_unet` and `pose_controlnet`.
            scheduler: Of diffusers; tells how much noise a timestep has.
            vae: AutoencoderKL or AutoencoderTiny.
            text: Embedding (1, tokens, width) of the empty prompt.
            language: Text encoder and tokenizer, which only travel along.
        """
        super().__init__()
        self.language = language or {}
        self.pretrained: tuple[str, ...] = ()
        self.input_convs: InputConvs | None = None
        self.unet = parts["unet"]
        self.appearance_unet = parts["appearance_unet"]
        self.pose_controlnet = parts["pose_controlnet"]
        self.vae = vae.requires_grad_(False)
        self.scheduler = scheduler
        self.register_buffer("text", text, persistent=False)
        alphas = scheduler.alphas_cumprod
        self.register_buffer("sqrt_alphas_cumprod", alphas.sqrt(), persistent=False)
        noise_share = (1 - alphas).sqrt()
        self.register_buffer("sqrt_one_minus_alphas_cumprod", noise_share, persistent=False)
        self.motion_adapter = None
        self.motion: MotionModule | None = None
        self._reader = ReferenceAttention(self.unet).__enter__()
        self._writer = ReferenceAttention(self.appearance_unet).__enter__()

    def add_motion_adapter(self, adapter: MotionAdapter) -> None:
        """Put layers into the denoiser that attend along time, where films are predicted."""
        self.motion_adapter = adapter
        self.motion = MotionModule(self.unet, adapter)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        reference: Tensor | None,
        maps: Tensor | None,
        frames: int = 0,
    ) -> Tensor:
        """Predict noise, or v, as the scheduler says.

        Args:
            noisy: Latents (B, c, h, w).
            t: Timesteps (B,).
            reference: Clean latents (R, c, h, w) of the first R samples, or of the first R films;
                or None.
            maps: Pose maps (P, 3, H, W) of the first P samples in 0..1, or None.
            frames: How many samples in a row are a film, whose frames the motion adapter sees
                together; 0 is none.
        """
        batch = len(noisy)
        residuals: dict[str, Any] = {}
        self._reader.features = None
        if reference is not None and len(reference):
            bank: ReferenceFeatures = {}
            self._writer.recorded = bank
            some = len(reference)
            each = max(1, frames)
            times = t[: some * each : each]
            self.appearance_unet(reference, times, self.text.expand(some, -1, -1))
            if frames:
                bank = {name: _for_each_frame(hidden, frames) for name, hidden in bank.items()}
            self._reader.features, self._reader.attending = dict(bank), some * each
        if maps is not None and len(maps):
            some = len(maps)
            down, mid = self.pose_controlnet(
                noisy[:some],
                t[:some],
                self.text.expand(some, -1, -1),
                controlnet_cond=maps,
                return_dict=False,
            )
            bare = (0, 0) * 3 + (0, batch - some)  # no residuals for the rest
            residuals["down_block_additional_residuals"] = [F.pad(r, bare) for r in down]
            residuals["mid_block_additional_residual"] = F.pad(mid, bare)
        if self.motion is not None:  # what is run again for the gradients has to see it, too
            self.motion.frames = frames
        predicted: Tensor = self.unet(noisy, t, self.text.expand(batch, -1, -1), **residuals).sample
        return predicted

    def forget(self) -> None:
        """Drop the features of the reference that was read last, and the gradients' way to them."""
        self._reader.features = self._writer.recorded = None

    def factors(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Tell how much of the latents and of the noise is in noisy latents.

        Args:
            t: Timesteps, (n,).

        Returns:
            The factors of the clean latents and of the noise, each (n, 1, 1, 1).
        """
        factors = (self.sqrt_alphas_cumprod, self.sqrt_one_minus_alphas_cumprod)
        clean, noise = (values[t].view(-1, 1, 1, 1) for values in factors)
        return clean, noise

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Encode pictures (n, 3, H, W) in 0..1 to the clean latents that the denoiser works on."""
        encoded = self.vae.encode((pictures * 2 - 1).to(self.vae.dtype))
        latents = encoded.latent_dist.sample() if "latent_dist" in encoded else encoded.latents
        config = self.vae.config
        shifted: Tensor = latents - (config.shift_factor or 0.0)
        clean: Tensor = shifted * config.scaling_factor
        return clean.float()

    def decode(self, latents: Tensor) -> Tensor:
        """Decode clean latents (n, c, h, w) to pictures (n, 3, 8h, 8w), about 0..1.

        Gradients flow through.
        """
        config = self.vae.config
        latents = latents / config.scaling_factor + (config.shift_factor or 0.0)
        decoded: Tensor = self.vae.decode(latents.to(self.vae.dtype)).sample
        return (decoded.float() + 1) / 2

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        device: torch.device = next(self.unet.parameters()).device
        return device

    def part(self, name: str) -> Any:
        """A part by the name that recipes use."""
        return self.get_submodule(name)

    def start_from_denoiser(self, name: str) -> None:
        """Make a part a copy of the denoiser (or of its encoder), as the paper starts it."""
        if name == "motion_adapter":  # which begins with no effect, see `build_networks`
            return
        if name == "appearance_unet":
            self.appearance_unet.load_state_dict(self.unet.state_dict())
        elif name == "pose_controlnet":
            self.pose_controlnet.load_state_dict(_pose_network_of(self.unet, self.pose_controlnet))

    def pipeline(self) -> MagicPosePipeline:
        """Make a pipeline of the same parts, for sample sheets; its settings are the defaults.

        It makes frames one by one.
        """
        if self.motion is not None:
            self.motion.frames = 0
        return MagicPosePipeline(
            **{name: self.part(name) for name in NETWORK_NAMES}, scheduler=deepcopy(self.scheduler),
            vae=self.vae,
        )  # fmt: skip


def build_networks(recipe: Recipe) -> Networks:
    """The networks before the first step; an autoencoder of mini's kind is not fitted yet."""
    model = recipe.model
    torch.manual_seed(recipe.seed)
    if model.start:
        networks = _load_networks(model.start)
    elif model.grow_from:
        networks = _grow_networks(model)
    else:
        vae = new_autoencoder(model.autoencoder.width, model.autoencoder.blocks)
        unet = UNet2DConditionModel(**_shape(model))
        text = torch.zeros(1, 1, model.network.text_width)
        networks = Networks(_with_copies(unet, model.network), small_scheduler(), vae, text)
    if model.pose_start:
        start_from_controlnet(networks.pose_controlnet, model.pose_start)
        networks.pretrained = (*networks.pretrained, "pose_controlnet")
    if recipe.gradient_checkpointing:
        for name in NETWORK_NAMES:
            networks.part(name).enable_gradient_checkpointing()
    if networks.motion_adapter is None and recipe.learns_motion(tuple(recipe.stages)):
        networks.add_motion_adapter(new_motion_adapter(networks.unet))
    if networks.motion is not None:
        networks.motion.checkpointing = recipe.gradient_checkpointing
    return networks


def compile_blocks(networks: Networks) -> None:
    """Compile the convolutional blocks and feed-forwards, where fusing pays; attention is fused."""
    for module in networks.modules():
        if isinstance(module, ResnetBlock2D | FeedForward):
            module.compile()


def small_scheduler() -> DDIMScheduler:
    """DDIM for a small model: v, few steps, the first of them from pure noise."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        clip_sample=False,
    )


def _shape(model: RecipeModelSettings) -> dict[str, Any]:
    network = model.network
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in network.attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(network.attention)]
    return {
        "sample_size": model.size // 8,
        "block_out_channels": network.widths,
        "layers_per_block": network.resnets,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "cross_attention_dim": network.text_width,
        "attention_head_dim": network.heads,  # diffusers' name for the number of heads
        "norm_num_groups": network.norm_groups,
    }


def _with_copies(unet: UNet2DConditionModel, network: NetworkSettings | None) -> dict[str, Any]:
    appearance = UNet2DConditionModel.from_config(unet.config)
    appearance.load_state_dict(unet.state_dict())
    hint = network.hint_widths if network else (16, 32, 96, 256)
    pose = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hint)
    return {"unet": unet, "appearance_unet": appearance, "pose_controlnet": pose}


def _pose_network_of(unet: UNet2DConditionModel, pose: ControlNetModel) -> dict[str, Tensor]:
    hint = pose.config.conditioning_embedding_out_channels
    fresh = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hint)
    weights: dict[str, Tensor] = fresh.state_dict()
    return weights


def _load_networks(start: str) -> Networks:
    """A MagicPose folder as it is, or Stable Diffusion with copies of its denoiser."""
    folder = found_folder(start)
    if not folder.is_dir():
        raise ModelError(
            f"model.start {start!r}: no folder {folder}; expected an installed MagicPose "
            "model or a Stable Diffusion 1.5 diffusers folder"
        )
    if (folder / "appearance_unet").is_dir():
        return _networks_of_magicpose(folder)
    return _networks_of_stable_diffusion(folder)


def _grow_networks(model: RecipeModelSettings) -> Networks:
    """A MagicPose model of half the size, and a finer level on top."""
    folder = found_folder(model.grow_from)
    if not (folder / "appearance_unet").is_dir():
        raise ModelError(
            f"model.grow_from {model.grow_from!r}: no MagicPose model in {folder}; expected one of "
            "half the size, train it first"
        )
    half = _networks_of_magicpose(folder)
    parts = _with_copies(UNet2DConditionModel(**_shape(model)), model.network)
    add_level(parts, half)
    networks = Networks(parts, half.scheduler, half.vae, half.text, half.language)
    networks.pretrained, networks.input_convs = NETWORK_NAMES, InputConvs(half)
    return networks


def _networks_of_magicpose(folder: Path) -> Networks:
    pipeline = load_pipeline(folder, "float32")
    if pipeline.vae is None:
        raise ModelError(f"model {folder}: has no vae; training needs one")
    parts = {name: getattr(pipeline, name) for name in NETWORK_NAMES}
    text = pipeline.encode_prompt("")
    language = {"text_encoder": pipeline.text_encoder, "tokenizer": pipeline.tokenizer}
    networks = Networks(parts, pipeline.scheduler, pipeline.vae, text, language)
    networks.pretrained = NETWORK_NAMES
    if (adapter := pipeline.motion_adapter) is not None:
        pipeline.set_motion_adapter(None)  # or its layers would be there twice
        networks.add_motion_adapter(adapter)
        networks.pretrained = (*NETWORK_NAMES, "motion_adapter")
    return networks


def _networks_of_stable_diffusion(folder: Path) -> Networks:
    from transformers import CLIPTextModel, CLIPTokenizer

    local: dict[str, Any] = {"local_files_only": True}
    try:
        check_configs(folder)
        with quiet(), offline():
            unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **local)
            vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **local)
            language = {
                "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", **local),
                "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", **local),
            }
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"model.start {folder}: no Stable Diffusion 1.5 diffusers folder ({reason}); expected "
            "unet, vae, text_encoder and tokenizer in it"
        ) from error
    parts = _with_copies(unet, None)
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False, clip_sample=False,
    )  # fmt: skip
    # encode_prompt of the pipeline knows how CLIP spells an empty prompt
    speaker = MagicPosePipeline(**parts, scheduler=scheduler, **language)
    return Networks(parts, scheduler, vae, speaker.encode_prompt(""), language)


def _for_each_frame(hidden: Any, frames: int) -> Tensor:
    """Repeat the features of each film's reference for its frames."""
    repeated: Tensor = hidden.repeat_interleave(frames, 0)
    return repeated
