"""Reference attention: self-attention that also looks at another network's hidden states.

MagicPose (Chang et al., ICML 2024, section 4.1): the appearance network's hidden states before each
self-attention (after the block's norm1) are appended to the denoiser's own tokens, and the
denoiser's own to_k and to_v make keys and values of [own tokens, reference tokens].
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock

ReferenceFeatures = dict[str, torch.Tensor | tuple[torch.Tensor, torch.Tensor]]
"""By the name of a transformer block, another network's hidden states (1 or B, tokens, channels),
or the keys and values (1 or B, heads, tokens, channels / heads) that the attending network makes of
them."""


def precompute_kv(unet: UNet2DConditionModel, features: ReferenceFeatures) -> None:
    """Replace hidden states in place by the keys and values that a UNet makes of them.

    Args:
        unet: The network that is to attend to the features.
        features: Hidden states of the appearance network.
    """
    for name, attn in _self_attentions(unet).items():
        hidden = features[name]
        if isinstance(hidden, torch.Tensor):
            features[name] = _keys_and_values(attn, hidden)


class ReferenceAttention:
    """A context in which a UNet's self-attentions record their inputs or attend to recorded ones.

    Leaving the context gives the UNet its former attention processors back.

    Attributes:
        recorded: Takes the hidden states that enter each self-attention; None does not record.
        features: What to attend to beside the own tokens; None attends to the own tokens alone.
        attending: How many leading samples of the batch attend to the features, the others being
            unconditional; None means all of them.
    """

    def __init__(self, unet: UNet2DConditionModel):
        self.recorded: dict[str, Any] | None = None
        self.features: ReferenceFeatures | None = None
        self.attending: int | None = None
        self._attentions = _self_attentions(unet)

    def __enter__(self) -> ReferenceAttention:
        self._former = {name: attn.processor for name, attn in self._attentions.items()}
        for name, attn in self._attentions.items():
            attn.processor = _ReferenceAttnProcessor(self, name)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name, attn in self._attentions.items():
            attn.processor = self._former[name]


class _ReferenceAttnProcessor:
    def __init__(self, control: ReferenceAttention, name: str):
        self.control = control
        self.name = name

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        control = self.control
        if control.recorded is not None:
            control.recorded[self.name] = hidden_states
        query = _split_heads(attn.to_q(hidden_states), attn.heads)
        key, value = _keys_and_values(attn, hidden_states)
        n = len(hidden_states) if control.attending is None else control.attending
        if control.features is None or n == 0:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            extra = control.features[self.name]
            if isinstance(extra, torch.Tensor):
                extra = _keys_and_values(attn, extra)
            mixed = F.scaled_dot_product_attention(
                query[:n],
                torch.cat([key[:n], extra[0].expand(n, -1, -1, -1)], 2),
                torch.cat([value[:n], extra[1].expand(n, -1, -1, -1)], 2),
            )
            if n < len(hidden_states):
                bare = F.scaled_dot_product_attention(query[n:], key[n:], value[n:])
                mixed = torch.cat([mixed, bare])
        mixed = mixed.transpose(1, 2).flatten(2)
        out: torch.Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return out


def _split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """Reshape (B, N, C) to (B, heads, N, C / heads)."""
    batch, count, channels = tokens.shape
    return tokens.view(batch, count, heads, channels // heads).transpose(1, 2)


def _keys_and_values(attn: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    key, value = (
        _split_heads(projection(tokens), attn.heads) for projection in (attn.to_k, attn.to_v)
    )
    return key, value


def _self_attentions(unet: UNet2DConditionModel) -> dict[str, Any]:
    return {
        name: module.attn1
        for name, module in unet.named_modules()
        if isinstance(module, BasicTransformerBlock)
    }
