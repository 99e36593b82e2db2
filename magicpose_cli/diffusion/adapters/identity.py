"""Identity tokens: a face of the reference in cross-attention of its own (IP-Adapter).

Ye et al., "IP-Adapter", 2023: tokens of a picture get keys and values of their own in each
cross-attention of the denoiser, and what they give is added to what the text gives. Here the
picture is the aligned face of the reference. Files of the original layout are read by diffusers'
own classes. The processors are in the denoiser only while a sampler works, so that a sampler
without a face has the very denoiser that was there before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from torch import nn
from transformers import CLIPVisionModelWithProjection
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from magicpose_cli.arrays import Picture, to_tensor
from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.diffusion.checkpoint.loading import offline, quiet, unreadable
from magicpose_cli.diffusion.checkpoint.opening import check_tensors, read_plain, require_finite
from magicpose_cli.errors import ModelError

_SUFFIXES = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
_PREFERRED_FILES = tuple(
    f"ip-adapter{kind}_sd15{end}"
    for end in (".safetensors", ".bin")
    for kind in ("-plus-face", "-full-face", "-plus", "")
)
ENCODER_FOLDER = "image_encoder"  # beside an adapter's file, or one level up, as they are released
_EXPECTED = (
    "expected an IP-Adapter for Stable Diffusion 1.5, such as ip-adapter-plus-face_sd15, with its "
    f"{ENCODER_FOLDER} beside it"
)
IdentityTokens = tuple[torch.Tensor, torch.Tensor]
"""Tokens (1, n, d) of a face, and those of no face for the unconditional pass."""


@dataclass(frozen=True)
class IdentityPlan:
    """What a file holds, by diffusers' classes.

    Attributes:
        projection: Makes tokens of what the image encoder sees.
        reads_patches: Whether it reads the encoder's patches; else the picture's one embedding.
        seen_width: Width of what it reads.
        processors: For each cross-attention of the denoiser, by its name.
    """

    projection: nn.Module
    reads_patches: bool
    seen_width: int
    processors: dict[str, IPAdapterAttnProcessor2_0]


class IdentityAdapter(nn.Module):
    """An IP-Adapter ready for a denoiser; reading a face runs where the encoder is, once.

    Args:
        unet: The denoiser.
        plan: What the adapter's file holds.
        encoder: Of the pictures.
        scale: How much the tokens count beside the text.

    Attributes:
        picture_size: Side in pixels of the faces that it reads.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        plan: IdentityPlan,
        encoder: CLIPVisionModelWithProjection,
        scale: float,
    ):
        super().__init__()
        self.encoder, self.projection = encoder, plan.projection
        self.reads_patches = plan.reads_patches
        self.processors = nn.ModuleList(plan.processors.values())
        for processor in plan.processors.values():
            processor.scale = [scale]
        self._attentions = [cross_attentions(unet)[name] for name in plan.processors]
        self.picture_size = int(encoder.config.image_size)

    def follow(self, unet: UNet2DConditionModel) -> IdentityAdapter:
        """Move the processors to where the denoiser runs; faces are read where they were."""
        self.processors.to(unet.device, unet.dtype)
        return self

    @torch.no_grad()
    def tokens(self, face: Picture) -> IdentityTokens:
        """Read a face.

        Args:
            face: (S, S, 3) uint8 RGB, S being `picture_size`.
        """
        return self.read(to_tensor(face[None]))

    def read(self, faces: torch.Tensor) -> IdentityTokens:
        """Make tokens of faces, and those of no face.

        Args:
            faces: (n, 3, S, S) RGB in 0..1.

        Returns:
            (n, tokens, d), and (1, tokens, d).
        """
        mean, std = (
            torch.tensor(v, device=faces.device).view(1, 3, 1, 1)
            for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        )
        pixels = (faces - mean) / std
        if self.reads_patches:
            both = torch.cat([pixels, torch.zeros_like(pixels[:1])])
            seen = self.encoder(both, output_hidden_states=True).hidden_states[-2]
        else:
            embedding = self.encoder(pixels).image_embeds
            seen = torch.cat([embedding, torch.zeros_like(embedding[:1])])
        tokens = self.projection(seen)
        return tokens[:-1], tokens[-1:]

    def install(self) -> None:
        """Put the processors into the denoiser's cross-attentions.

        From then on the denoiser's text may be a tuple of the text and a list with the tokens; text
        alone is read as before. The denoiser's weights and their names stay as they are.
        """
        for attn, processor in zip(self._attentions, self.processors, strict=True):
            attn.set_processor(_WithTokens(attn.processor, processor))

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Have the processors in the denoiser while the context lasts, see `install`."""
        former = [attn.processor for attn in self._attentions]
        self.install()
        try:
            yield
        finally:
            for attn, processor in zip(self._attentions, former, strict=True):
                attn.set_processor(processor)


class _WithTokens:
    """Attends to text and tokens where both come, else as before.

    No module itself, or the adapter's weights would be the denoiser's.
    """

    def __init__(self, plain: Any, with_tokens: nn.Module):
        self._plain, self._with_tokens = plain, with_tokens

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: Any = None,
        attention_mask: torch.Tensor | None = None, temb: torch.Tensor | None = None,
    ) -> Any:  # fmt: skip
        processor = self._with_tokens if isinstance(encoder_hidden_states, tuple) else self._plain
        return processor(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def load_identity_adapter(place: Path, unet: UNet2DConditionModel, scale: float) -> IdentityAdapter:
    """Load an IP-Adapter for a denoiser.

    Args:
        place: Its file, or a folder with it.
        unet: The denoiser.
        scale: How much the tokens count beside the text.

    Raises:
        ModelError: The file is none, is incomplete, holds more, is for another denoiser, or its
            image encoder is not there.
    """
    at = f"identity model {place}"
    file = file_in(place, "identity model", _SUFFIXES, _PREFERRED_FILES)
    state = _flat(read_plain(file, _EXPECTED, at), at)
    check_tensors(file, state, _EXPECTED)
    for key, tensor in state.items():
        require_finite(at, key, tensor)
    plan = plan_identity(state, unet, at)
    encoder = _load_encoder(file, plan, at)
    for module in (plan.projection, *plan.processors.values()):
        module.float().eval().requires_grad_(False)
    return IdentityAdapter(unet, plan, encoder, scale).follow(unet)


def plan_identity(
    state: Mapping[str, torch.Tensor], unet: UNet2DConditionModel, at: str
) -> IdentityPlan:
    """Bring the tensors of an IP-Adapter into diffusers' classes; every key has to be used.

    Args:
        state: `image_proj.*` and `ip_adapter.*` as they are released; meta tensors will do, inside
            of `torch.device("meta")`.
        unet: The denoiser.
        at: How a message begins.

    Raises:
        ModelError: The tensors are of something else or of another denoiser.
    """
    groups: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in state.items():
        group, _, name = key.partition(".")
        if group not in groups or not name:
            raise ModelError(f"{at}: is {_kind(state)} ({key[:80]}); {_EXPECTED}")
        groups[group][name] = tensor
    if not all(groups.values()):
        raise ModelError(f"{at}: is {_kind(state)}; {_EXPECTED}")
    image, attention = groups.values()
    if "perceiver_resampler.proj_in.weight" in image or (
        "norm.weight" in image and "proj.0.weight" in image and "proj.3.weight" not in image
    ):
        raise ModelError(
            f"{at}: is a FaceID adapter, which reads the embeddings of another network and not "
            f"pictures; {_EXPECTED}"
        )
    try:
        convert: Any = unet._convert_ip_adapter_image_proj_to_diffusers
        with quiet():
            projection: nn.Module = convert(image, low_cpu_mem_usage=False)
    except unreadable() as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{at}: its image projection does not fit ({reason}); {_EXPECTED}") from (
            error
        )
    is_plain = "proj.weight" in image
    first = image["proj.weight" if is_plain else _first_of(image)]
    processors = _processors(attention, unet, _tokens_of(image), at)
    return IdentityPlan(projection, not is_plain, int(first.shape[1]), processors)


def _first_of(image: Mapping[str, torch.Tensor]) -> str:
    """The first layer of a projection that reads patches."""
    return "proj.0.weight" if "proj.0.weight" in image else "proj_in.weight"


def _tokens_of(image: Mapping[str, torch.Tensor]) -> int:
    """How many tokens a projection makes of a picture; 257 of one that keeps the patches."""
    if "proj.weight" in image:
        return int(image["proj.weight"].shape[0] // image["norm.weight"].shape[0])
    return int(image["latents"].shape[1]) if "latents" in image else 257


def _processors(
    state: Mapping[str, torch.Tensor], unet: UNet2DConditionModel, tokens: int, at: str
) -> dict[str, IPAdapterAttnProcessor2_0]:
    """Keys and values of the tokens, for each cross-attention in the order of their numbers."""
    text_width = int(unet.config["cross_attention_dim"])
    attentions = cross_attentions(unet)
    wanted = {
        f"{2 * at_ + 1}.{leaf}.weight": (int(attn.to_k.out_features), text_width)
        for at_, attn in enumerate(attentions.values())
        for leaf in ("to_k_ip", "to_v_ip")
    }
    widths = {tensor.shape[1] for tensor in state.values() if tensor.ndim == 2}
    if widths and widths != {text_width}:
        family = " (Stable Diffusion XL)" if widths == {2048} else ""
        raise ModelError(
            f"{at}: is for text of width {min(widths)}{family}, this model's is {text_width}; "
            f"{_EXPECTED}"
        )
    if unknown := sorted(state.keys() - wanted.keys()):
        raise ModelError(
            f"{at}: ip_adapter.{unknown[0][:80]} is of no cross-attention of this model; "
            f"{_EXPECTED}"
        )
    if lacking := sorted(wanted.keys() - state.keys()):
        raise ModelError(f"{at}: lacks ip_adapter.{lacking[0]}; {_EXPECTED}")
    for key, shape in wanted.items():
        if tuple(state[key].shape) != shape:
            raise ModelError(
                f"{at}: ip_adapter.{key} is {list(state[key].shape)}, this model takes "
                f"{list(shape)}; {_EXPECTED}"
            )
    found = {}
    for number, (name, attn) in enumerate(attentions.items()):
        processor = IPAdapterAttnProcessor2_0(attn.to_k.out_features, text_width, [tokens])
        processor.load_state_dict(
            {f"{leaf}.0.weight": state[f"{2 * number + 1}.{leaf}.weight"]
             for leaf in ("to_k_ip", "to_v_ip")}
        )  # fmt: skip
        found[name] = processor
    return found


def cross_attentions(unet: UNet2DConditionModel) -> dict[str, Any]:
    """List cross-attentions by name, as IP-Adapters count them: down, up, middle."""
    return {
        name.removesuffix(".processor"): unet.get_submodule(name.removesuffix(".processor"))
        for name in unet.attn_processors
        if name.endswith("attn2.processor")
    }


def _flat(state: Any, at: str) -> dict[str, torch.Tensor]:
    """Tensors by dotted names; the released .bin files hold a table of two tables."""
    if not isinstance(state, Mapping):
        raise ModelError(f"{at}: holds a {type(state).__name__}; {_EXPECTED}")
    flat: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        inside = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, tensor in inside:
            dotted = f"{key}.{name}".rstrip(".")
            if not isinstance(tensor, torch.Tensor):
                raise ModelError(f"{at}: {dotted[:80]} is no tensor; {_EXPECTED}")
            flat[dotted] = tensor
    return flat


def _kind(state: Mapping[str, torch.Tensor]) -> str:
    kind = kind_of(state) or "something else"
    return "no whole IP-Adapter" if kind == "an IP-Adapter" else kind


def _load_encoder(file: Path, plan: IdentityPlan, at: str) -> CLIPVisionModelWithProjection:
    """The image encoder beside an adapter's file or one level up."""
    places = [folder / ENCODER_FOLDER for folder in (file.parent, file.parent.parent)]
    folder = next((place for place in places if (place / "config.json").is_file()), None)
    if folder is None:
        raise ModelError(f"{at}: no {places[0]} with its config.json; {_EXPECTED}")
    try:
        check_configs(folder)
        with quiet(), offline():
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, torch_dtype=torch.float32
            )
    except unreadable() as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{at}: {folder} cannot be loaded ({reason}); copy it again") from error
    config = encoder.config
    width = config.hidden_size if plan.reads_patches else config.projection_dim
    if width != plan.seen_width:
        raise ModelError(
            f"{at}: reads pictures that are {plan.seen_width} wide, {folder} gives {width}; "
            f"{_EXPECTED}"
        )
    found: CLIPVisionModelWithProjection = encoder.eval().requires_grad_(False)
    return found
