"""The networks under training: built or loaded, predicting as one module, written as a model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
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
    UNet2DModel,
)
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from magicpose_cli.diffusion.adapters.identity import IdentityAdapter, load_identity_adapter
from magicpose_cli.diffusion.adapters.named import OWN_IDENTITY_FOLDER
from magicpose_cli.diffusion.adapters.own_identity import check_writable, new_identity_adapter
from magicpose_cli.diffusion.body_control import (
    Residuals,
    added,
    new_body_controlnet,
    split_maps,
)
from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.loading import found_folder, load_pipeline, offline, quiet
from magicpose_cli.diffusion.compositor import new_compositor
from magicpose_cli.diffusion.motion_module import MotionModule, new_motion_adapter
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference_attention import ReferenceAttention, ReferenceFeatures
from magicpose_cli.diffusion.reference_pose import (
    forget_pose,
    latent_factor,
    reads_reference_pose,
    widen_for_pose,
)
from magicpose_cli.errors import ModelError
from magicpose_cli.training.autoencoder import new_autoencoder
from magicpose_cli.training.distillation import prepare_distillation
from magicpose_cli.training.level_removal import many_step_scheduler, without_finest_level
from magicpose_cli.training.lora_layers import LoraLayers
from magicpose_cli.training.network_parts import (
    network_shape,
    pose_network_weights,
    small_scheduler,
    with_copies,
)
from magicpose_cli.training.pretrained_pose import start_from_controlnet
from magicpose_cli.training.progressive_growing import InputConvs, add_level
from magicpose_cli.training.recipe import (
    NETWORK_NAMES,
    Recipe,
    RecipeModelSettings,
)


@dataclass
class Conditions:
    """What the denoiser is told beside noisy latents and timestep; by default nothing.

    Attributes:
        features: Of the references, see `ReferenceAttention`.
        attending: How many leading samples attend to the features.
        residuals: Of the pose network, by the names of the denoiser's arguments.
        tokens: Of the references' faces, (B, tokens, d), for a model that reads them.
    """

    features: ReferenceFeatures | None = None
    attending: int | None = None
    residuals: dict[str, Any] = field(default_factory=dict)
    tokens: Tensor | None = None


class Networks(nn.Module):
    """Denoiser, appearance network and pose ControlNet, and the autoencoder beside them.

    Attention stays installed for the module's life, because gradient checkpointing runs parts of
    the forward pass again during the backward pass.

    Attributes:
        pretrained: Parts that come trained, so that no stage begins them as a copy of the denoiser.
        input_convs: Of the model of half the size that these networks have grown from, if any.
        text: Embedding (1, tokens, width) of the empty prompt.
        start_from_reference: Share of the noise with which frames start from the reference; 0 is
            noise alone.
        motion_adapter: Layers that attend along time; None in a model without.
        motion: The same at work in the denoiser.
        compositor: Tells where frames may keep the reference's pixels; None in a model without.
        body_controlnet: Reads maps of the body; None in a model without.
        identity_adapter: Makes tokens of the references' faces; None in a model without.
        body_maps: What it reads, by the names of `body.maps.BODY_MAP_NAMES`.
        lora: Layers beside the denoiser's, where these are to stay as they are.
        teacher_weights: The denoiser's own before it learns to do without guidance and steps.
        sqrt_alphas_cumprod: How much of the clean latents is in noisy ones, by timestep.
        sqrt_one_minus_alphas_cumprod: How much noise is in them, by timestep.
    """

    text: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    motion_adapter: MotionAdapter | None
    compositor: UNet2DModel | None
    body_controlnet: ControlNetModel | None
    identity_adapter: IdentityAdapter | None

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
        self.start_from_reference = 0.0
        self.register_buffer("text", text, persistent=False)
        alphas = scheduler.alphas_cumprod
        self.register_buffer("sqrt_alphas_cumprod", alphas.sqrt(), persistent=False)
        noise_share = (1 - alphas).sqrt()
        self.register_buffer("sqrt_one_minus_alphas_cumprod", noise_share, persistent=False)
        self.motion_adapter = None
        self.motion: MotionModule | None = None
        self.compositor = None
        self.body_controlnet = None
        self.body_maps: tuple[str, ...] = ()
        self.identity_adapter = None
        self.lora: LoraLayers | None = None
        self.teacher_weights: nn.ParameterList | None = None
        self._reader = ReferenceAttention(self.unet).__enter__()
        self._writer = ReferenceAttention(self.appearance_unet).__enter__()

    def add_motion_adapter(self, adapter: MotionAdapter) -> None:
        """Put layers into the denoiser that attend along time, where films are predicted."""
        self.motion_adapter = adapter
        self.motion = MotionModule(self.unet, adapter)

    def add_identity_adapter(self, adapter: IdentityAdapter) -> None:
        """Let the denoiser attend to the faces that its conditions bring."""
        self.identity_adapter = adapter
        adapter.install()

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        reference: Tensor | None,
        maps: Tensor | None,
        frames: int = 0,
        faces: Tensor | None = None,
    ) -> Tensor:
        """Predict noise, or v, as the scheduler says.

        Args:
            noisy: Latents (B, c, h, w).
            t: Timesteps (B,).
            reference: Clean latents (R, c, h, w) of the first R samples, or of the first R films;
                or None.
            maps: Pose maps (P, 3, H, W) of the first P samples in 0..1, or None; with maps of the
                body behind them where these are to be read.
            frames: How many samples in a row are a film, whose frames the motion adapter sees
                together; 0 is none.
            faces: Of the references, upright, (R, 3, s, s) in 0..1; None leaves them out.
        """
        conditions = self.conditions(noisy, t, reference, maps, frames, faces)
        return self.denoise(noisy, t, conditions, frames=frames)

    def conditions(
        self,
        noisy: Tensor,
        t: Tensor,
        reference: Tensor | None,
        maps: Tensor | None,
        frames: int = 0,
        faces: Tensor | None = None,
    ) -> Conditions:
        """Let the appearance network read references and the pose network maps, see `forward`."""
        batch = len(noisy)
        found = Conditions()
        if reference is not None and len(reference):
            recorded: dict[str, Any] = {}
            self._writer.recorded = recorded
            some = len(reference)
            each = max(1, frames)
            times = t[: some * each : each]
            self.appearance_unet(reference, times, self.text.expand(some, -1, -1))
            if frames:
                for name, hidden in recorded.items():  # each film's reference for its frames
                    recorded[name] = hidden.repeat_interleave(frames, 0)
            found.features, found.attending = dict(recorded), some * each
        if faces is not None and self.identity_adapter is not None:
            shown, absent = self.identity_adapter.read(faces)
            shown = shown.repeat_interleave(max(1, frames), 0)
            found.tokens = torch.cat([shown, absent.expand(batch - len(shown), -1, -1)])
        if maps is not None and len(maps):
            some = len(maps)
            pose, bodies = split_maps(maps)
            down, mid = self._read_by(self.pose_controlnet, pose, noisy, t)
            if bodies is not None:
                assert self.body_controlnet is not None
                of_body = self._read_by(self.body_controlnet, bodies, noisy, t)
                down, mid = added((down, mid), of_body)
            bare = (0, 0) * 3 + (0, batch - some)  # no residuals for the rest
            found.residuals = {
                "down_block_additional_residuals": [F.pad(r, bare) for r in down],
                "mid_block_additional_residual": F.pad(mid, bare),
            }
        return found

    def _read_by(
        self, network: ControlNetModel, maps: Tensor, noisy: Tensor, t: Tensor
    ) -> Residuals:
        """What a ControlNet makes of the maps of the first samples."""
        some = len(maps)
        text = self.text.expand(some, -1, -1)
        found: Residuals = network(
            noisy[:some], t[:some], text, controlnet_cond=maps, return_dict=False
        )
        return found

    def denoise(
        self, noisy: Tensor, t: Tensor, conditions: Conditions | None = None, *, frames: int = 0
    ) -> Tensor:
        """Let the denoiser predict under conditions, or as the guidance's unconditional pass."""
        under = conditions or Conditions()
        self._reader.features, self._reader.attending = under.features, under.attending
        if self.motion is not None:  # what is run again for the gradients has to see it, too
            self.motion.frames = frames
        text: Any = self.text.expand(len(noisy), -1, -1)
        if under.tokens is not None:
            text = text, [under.tokens]
        predicted: Tensor = self.unet(noisy, t, text, **under.residuals).sample
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
    def reads_reference_pose(self) -> bool:
        """Whether the appearance network takes the reference's pose map beside its latents."""
        return reads_reference_pose(self.appearance_unet, self.unet.config.in_channels)

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        device: torch.device = next(self.unet.parameters()).device
        return device

    def part(self, name: str) -> Any:
        """A part by the name that recipes use."""
        return self.get_submodule(name)

    def plain_state(self, name: str) -> dict[str, Tensor]:
        """A part's weights by its own names, with what a LoRA adds to them."""
        state: dict[str, Tensor] = self.part(name).state_dict()
        return self.lora.fused(state) if name == "unet" and self.lora is not None else state

    def start_from_denoiser(self, name: str) -> None:
        """Make a part a copy of the denoiser (or of its encoder), as the paper starts it.

        Of the other parts nothing is changed: `build_networks` begins them.
        """
        if name == "appearance_unet":
            reads_pose, channels = self.reads_reference_pose, self.unet.config.in_channels
            forget_pose(self.appearance_unet, channels)
            self.appearance_unet.load_state_dict(self.unet.state_dict())
            if reads_pose:
                widen_for_pose(self.appearance_unet, latent_factor(self.pose_controlnet))
        elif name == "pose_controlnet":
            weights = pose_network_weights(self.unet, self.pose_controlnet)
            self.pose_controlnet.load_state_dict(weights)

    def pipeline(self) -> MagicPosePipeline:
        """Make a pipeline of the same parts, for sample sheets; its settings are the defaults.

        It makes frames one by one.
        """
        if self.motion is not None:
            self.motion.frames = 0
        return MagicPosePipeline(
            **{name: self.part(name) for name in NETWORK_NAMES}, scheduler=deepcopy(self.scheduler),
            vae=self.vae, compositor=self.compositor, body_controlnet=self.body_controlnet,
            body_maps=list(self.body_maps),
            start_from_reference=self.start_from_reference,
        )  # fmt: skip


def build_networks(recipe: Recipe) -> Networks:
    """The networks before the first step; an autoencoder of mini's kind is not fitted yet."""
    model = recipe.model
    torch.manual_seed(recipe.seed)
    if model.average_with:  # looked for now, not once all is trained
        _magicpose_folder(
            "average_with", model.average_with, "the shape of the one that is trained"
        )
    if model.start:
        networks = _load_networks(model.start)
    elif model.grow_from:
        networks = _grow_networks(model)
    elif model.shrink_from:
        networks = _shrink_networks(model)
    else:
        vae = new_autoencoder(model.autoencoder.width, model.autoencoder.blocks)
        unet = UNet2DConditionModel(**network_shape(model))
        text = torch.zeros(1, 1, model.network.text_width)
        networks = Networks(with_copies(unet, model.network), small_scheduler(), vae, text)
    if model.pose_start:
        start_from_controlnet(networks.pose_controlnet, model.pose_start)
        networks.pretrained = (*networks.pretrained, "pose_controlnet")
    if model.reference_pose and not networks.reads_reference_pose:
        widen_for_pose(networks.appearance_unet, latent_factor(networks.pose_controlnet))
    networks.start_from_reference = model.start_from_reference
    if recipe.distills:
        prepare_distillation(networks, recipe)
    if model.body_maps:
        _add_body_controlnet(networks, model.body_maps)
    if recipe.gradient_checkpointing:
        for part in (*map(networks.part, NETWORK_NAMES), networks.body_controlnet):
            if part is not None:
                part.enable_gradient_checkpointing()
    if networks.motion_adapter is None and recipe.trains("motion_adapter"):
        networks.add_motion_adapter(new_motion_adapter(networks.unet))
    if recipe.face_size:
        _prepare_identity_adapter(networks, recipe.face_size)
    if networks.compositor is None and recipe.trains("compositor"):
        networks.compositor = new_compositor()
    if networks.motion is not None:
        networks.motion.checkpointing = recipe.gradient_checkpointing
    return networks


def _add_body_controlnet(networks: Networks, maps: tuple[str, ...]) -> None:
    """A ControlNet for maps of the body, unless the model that is trained on has the same."""
    if networks.body_controlnet is None:
        networks.body_maps = maps
        networks.body_controlnet = new_body_controlnet(networks.pose_controlnet, len(maps))
    elif networks.body_maps != maps:
        raise ModelError(
            f"model.body_maps: the model that is trained on reads {', '.join(networks.body_maps)}; "
            f"expected the same, not {', '.join(maps)}"
        )


def _prepare_identity_adapter(networks: Networks, face_size: int) -> None:
    """An adapter for faces of this size, unless the model that is trained on has one of it."""
    if networks.identity_adapter is None:
        networks.add_identity_adapter(new_identity_adapter(networks.unet, face_size))
        return
    check_writable(networks.identity_adapter)
    if (own := networks.identity_adapter.picture_size) != face_size:
        raise ModelError(
            f"model.face_size: the model that is trained on reads faces of {own} pixels; expected "
            f"the same, not {face_size}"
        )


def compile_blocks(networks: Networks) -> None:
    """Compile the convolutional blocks and feed-forwards, where fusing pays; attention is fused."""
    for module in networks.modules():
        if isinstance(module, ResnetBlock2D | FeedForward):
            module.compile()


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
    folder = _magicpose_folder("grow_from", model.grow_from, "half the size, train it first")
    half = _networks_of_magicpose(folder)
    forget_pose(half.appearance_unet, half.unet.config.in_channels)
    parts = with_copies(UNet2DConditionModel(**network_shape(model)), model.network)
    add_level(parts, half)
    networks = Networks(parts, half.scheduler, half.vae, half.text, half.language)
    networks.pretrained, networks.input_convs = NETWORK_NAMES, InputConvs(half)
    return networks


def _shrink_networks(model: RecipeModelSettings) -> Networks:
    """A MagicPose model of twice the size without its finest level, for many steps."""
    folder = _magicpose_folder("shrink_from", model.shrink_from, "twice the size, such as mini")
    whole = _networks_of_magicpose(folder)
    forget_pose(whole.appearance_unet, whole.unet.config.in_channels)
    parts, scheduler = without_finest_level(whole), many_step_scheduler(whole.scheduler)
    networks = Networks(parts, scheduler, whole.vae, whole.text, whole.language)
    networks.pretrained = NETWORK_NAMES
    return networks


def _magicpose_folder(key: str, name: str, expected: str) -> Path:
    folder = found_folder(name)
    if not (folder / "appearance_unet").is_dir():
        raise ModelError(
            f"model.{key} {name!r}: no MagicPose model in {folder}; expected one of {expected}"
        )
    return folder


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
    if pipeline.body_controlnet is not None:
        networks.body_controlnet = pipeline.body_controlnet
        networks.body_maps = tuple(pipeline.config.body_maps)
        networks.pretrained = (*networks.pretrained, "body_controlnet")
    if pipeline.compositor is not None:
        networks.compositor = pipeline.compositor
        networks.pretrained = (*networks.pretrained, "compositor")
    if (own := folder / OWN_IDENTITY_FOLDER).is_dir():
        networks.add_identity_adapter(load_identity_adapter(own, networks.unet, 1.0))
        networks.pretrained = (*networks.pretrained, "identity_adapter")
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
    parts = with_copies(unet, None)
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False, clip_sample=False,
    )  # fmt: skip
    # encode_prompt of the pipeline knows how CLIP spells an empty prompt
    speaker = MagicPosePipeline(**parts, scheduler=scheduler, **language)
    return Networks(parts, scheduler, vae, speaker.encode_prompt(""), language)
