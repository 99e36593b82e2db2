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

Bank = dict[str, torch.Tensor]
"""Hidden states (1 or B, tokens, channels) by the name of the transformer block they stand in."""


class ReferenceAttention:
    """A context in which a UNet's self-attentions can be recorded or shown a bank.

    recording: where to write the hidden states; None does not record.
    bank: the tokens to attend to; None attends to the own tokens alone.
    readers: how many leading samples of the batch see the bank (the others are unconditional);
        None means all of them.

    Leaving the context gives the UNet its former attention processors back.
    """

    def __init__(self, unet: UNet2DConditionModel):
        self.recording: Bank | None = None
        self.bank: Bank | None = None
        self.readers: int | None = None
        self._attentions = {
            name: module.attn1
            for name, module in unet.named_modules()
            if isinstance(module, BasicTransformerBlock)
        }

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
        query, key, value = (
            _split_heads(projection(hidden_states), attn.heads)
            for projection in (attn.to_q, attn.to_k, attn.to_v)
        )
        if control.bank is None:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            reference = control.bank[self.name]
            n = len(hidden_states) if control.readers is None else control.readers
            extra = [
                _split_heads(projection(reference), attn.heads).expand(n, -1, -1, -1)
                for projection in (attn.to_k, attn.to_v)
            ]
            mixed = F.scaled_dot_product_attention(
                query[:n], torch.cat([key[:n], extra[0]], 2), torch.cat([value[:n], extra[1]], 2)
            )
            if n < len(hidden_states):
                bare = F.scaled_dot_product_attention(query[n:], key[n:], value[n:])
                mixed = torch.cat([mixed, bare])
        mixed = mixed.transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](mixed))


def _split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)"""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)
