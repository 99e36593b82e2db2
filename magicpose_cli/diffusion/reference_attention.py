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
or the keys and values (1 or B, heads, tokens, channels / heads) that the reader makes of them."""


def ready(unet: UNet2DConditionModel, bank: ReferenceFeatures) -> None:
    """Turn a bank's hidden states into the keys and values of the UNet that is to read it."""
    for name, attn in _self_attentions(unet).items():
        hidden = bank[name]
        if isinstance(hidden, torch.Tensor):
            bank[name] = _keys_and_values(attn, hidden)


class ReferenceAttention:
    """A context in which a UNet's self-attentions can be recorded or shown a bank.

    recording: where to write the hidden states; None does not record.
    bank: the tokens to attend to; None attends to the own tokens alone.
    readers: how many leading samples of the batch see the bank (the others are unconditional);
        None means all of them.

    Leaving the context gives the UNet its former attention processors back.
    """

    def __init__(self, unet: UNet2DConditionModel):
        self.recording: dict[str, Any] | None = None
        self.bank: ReferenceFeatures | None = None
        self.readers: int | None = None
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
        if control.recording is not None:
            control.recording[self.name] = hidden_states
        query = _split_heads(attn.to_q(hidden_states), attn.heads)
        key, value = _keys_and_values(attn, hidden_states)
        n = len(hidden_states) if control.readers is None else control.readers
        if control.bank is None or n == 0:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            extra = control.bank[self.name]
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
        return attn.to_out[1](attn.to_out[0](mixed))


def _split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)"""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)


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
