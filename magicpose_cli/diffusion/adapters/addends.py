"""What LoRA and its relatives add to a layer's weight, each by its paper's or library's definition.

LoRA (Hu et al., 2021) adds a product of two thin matrices, LoCon (LyCORIS, Yeh et al., 2023) the
same for convolutions, LoHa an elementwise product of two such products (FedPara, Hyeon-Woo et al.,
2021), LoKr a Kronecker product, IA3 (Liu et al., 2022) scales outputs or inputs, DoRA (Liu et al.,
2024) sets the lengths of rows, and whole differences are added as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Parts = Mapping[str, torch.Tensor]
"""Tensors of one layer by the names of `SPELLED`."""

Scale = Callable[[int | None], float]
"""What the product of a rank is scaled by; None where a file does not tell it by a shape."""

SPELLED = {
    "down": r"\.lora_down\.weight|\.lora_A(\.default)?\.weight|[._]lora\.down\.weight",
    "up": r"\.lora_up\.weight|\.lora_B(\.default)?\.weight|[._]lora\.up\.weight",
    "mid": r"\.lora_mid\.weight",
    "up_bias": r"\.lora_B(\.default)?\.bias",
    "alpha": r"(_lora)?\.alpha",
    "dora_scale": r"\.dora_scale",
    "magnitude": r"\.lora_magnitude_vector(\.default)?(\.weight)?",
    **{name: rf"\.{name}" for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{name: rf"\.{name}" for name in ("hada_t1", "hada_t2")},
    **{name: rf"\.{name}" for name in ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2")},
    **{name: rf"\.{name}" for name in ("lokr_w2_a", "lokr_w2_b", "lokr_t2")},
    "diff": r"\.(diff|w_norm)",
    "bias_diff": r"\.(diff_b|b_norm)",
    "on_input": r"\.on_input",
    "ia3": r"\.ia3_l(\.default)?",
    "glora": r"\.[ab][12]\.weight",
    "oft": r"\.oft_(blocks|diag|R.*)|\.boft_.*",
    "sparse_bias": r"\.bias_(indices|values|size)",
    "vera": r"\.vera_.*",
    "set_weight": r"\.(set|reshape)_weight",
    "weight": r"\.weight",
}
"""How files spell a layer's tensors: what follows the layer's name."""

UNSERVED = {
    "glora": "GLoRA",
    "oft": "OFT or BOFT",
    "sparse_bias": "LoCon with sparse biases",
    "vera": "VeRA",
    "set_weight": "replaced weights",
}
"""Relatives that are refused by their names."""

COMMON = {"alpha", "dora_scale", "magnitude", "bias_diff"}
PLAIN_LAYERS = {"alpha", "on_input"}  # single values


@dataclass(frozen=True)
class Form:
    """One relative: the tensors it needs and may have, and how they make what is added.

    delta: (tensors, the layer's weight) -> (what is added before any scale, rank or None where no
    alpha counts).
    """

    name: str
    needs: frozenset[str]
    may_have: frozenset[str]
    delta: Callable[[Parts, torch.Tensor], tuple[torch.Tensor, int | None]]


def form_of(parts: Parts) -> Form | None:
    """The form of a layer's tensors; None for biases alone. ValueError with its name otherwise."""
    if refused := next((name for part, name in UNSERVED.items() if part in parts), None):
        raise ValueError(f"{refused}, which is not applied here")
    own = parts.keys() - COMMON
    for form in FORMS:
        if own and form.needs <= own <= form.needs | form.may_have:
            return form
    if own or parts.keys() != {"bias_diff"}:
        raise ValueError(f"{', '.join(sorted(parts))} alone")
    return None


def changed_weight(
    weight: torch.Tensor, parts: Parts, strength: float, scale: Scale
) -> torch.Tensor:
    """The weight, float32, with what a file holds for it. scale: of a rank, without `alpha`."""
    weight = weight.float()
    form = form_of(parts)
    if form is None:
        return weight
    parts = {name: part if name in PLAIN_LAYERS else part.float() for name, part in parts.items()}
    delta, rank = form.delta(parts, weight)
    if (len(delta), delta.numel()) != (len(weight), weight.numel()):
        told = [f"{t[0].numel()} to {len(t)}" if len(t) else "none" for t in (delta, weight)]
        raise ValueError(f"it is for {told[0]} values, where the model has {told[1]}")
    delta = _scale(parts, rank, scale) * delta.reshape(weight.shape)
    if "dora_scale" in parts:
        return weight + strength * (_with_lengths(weight + delta, parts["dora_scale"]) - weight)
    weight = weight + strength * delta
    return _with_lengths(weight, parts["magnitude"]) if "magnitude" in parts else weight


def changed_bias(bias: torch.Tensor, parts: Parts, strength: float, scale: Scale) -> torch.Tensor:
    """The same for a layer's bias."""
    bias = bias.float()
    if "bias_diff" in parts:
        bias = bias + strength * parts["bias_diff"].float().reshape(bias.shape)
    if "up_bias" in parts:
        added = parts["up_bias"].float().reshape(bias.shape)
        bias = bias + strength * _scale(parts, len(parts["down"]), scale) * added
    return bias


def _scale(parts: Parts, rank: int | None, scale: Scale) -> float:
    """Give alpha / rank: the layer's own alpha, else what `scale` knows."""
    if "alpha" not in parts:
        own = scale(rank)
    else:
        own = 1.0 if rank is None else float(parts["alpha"]) / rank
    if not math.isfinite(own):
        raise ValueError(f"a scale of {own}")
    return own


def _with_lengths(weight: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """DoRA: the rows' lengths are the file's. Those of older LyCORIS (1, i, ...) are the columns'.

    peft's for convolutions are (1, o, 1, 1): where o = i, what is told is taken for rows.
    """
    by_column = lengths.shape[:2] == (1, weight.shape[1]) and lengths.ndim == weight.ndim
    if by_column and weight.ndim > 2:
        by_column = weight.shape[0] != weight.shape[1]
    across = weight.transpose(0, 1) if by_column else weight
    if lengths.numel() != len(across):
        raise ValueError(f"{lengths.numel()} lengths for {len(across)} rows")
    sized = (lengths.flatten() / across.flatten(1).norm(dim=1)).view(-1, *[1] * (weight.ndim - 1))
    scaled: torch.Tensor = weight * (sized.transpose(0, 1) if by_column else sized)
    return scaled


def _lora(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Multiply up (o, r, ...) and down (r, i, ...); with a core `mid` (r, r, k, k) between them."""
    up, down = parts["up"].flatten(1), parts["down"].flatten(1)
    if "mid" in parts:
        mid = parts["mid"]
        return torch.einsum("or,rs...,si->oi...", up, mid, down), len(down)
    return up @ down, len(down)


def _loha(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, int]:
    one, two = (_product(parts, f"hada_w{i}_a", f"hada_w{i}_b", f"hada_t{i}") for i in (1, 2))
    return one * two, len(parts["hada_w1_b"])


def _lokr(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, int | None]:
    factors, rank = [], None
    for i in (1, 2):
        whole, first, second = (f"lokr_w{i}{end}" for end in ("", "_a", "_b"))
        if (whole in parts) == (first in parts and second in parts):
            raise ValueError(f"LoKr without {whole}")
        if whole in parts:
            factors.append(parts[whole])
        else:
            factors.append(_product(parts, first, second, "lokr_t2" if i == 2 else ""))
            rank = len(parts[second])
    one, two = factors
    if one.numel() * two.numel() != weight.numel():
        raise ValueError(f"factors of {one.numel()} and {two.numel()} numbers")
    one = one.view(*one.shape, *[1] * (two.ndim - one.ndim))
    return torch.kron(one, two.contiguous()), rank


def _product(parts: Parts, first: str, second: str, core: str) -> torch.Tensor:
    """Multiply first (o, r) @ second (r, i); with a core (r, r, k, k) the first is (r, o)."""
    if core in parts:
        return torch.einsum("rs...,ro,si->oi...", parts[core], parts[first], parts[second])
    return parts[first] @ parts[second]


def _difference(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, None]:
    return parts["diff"], None


def _ia3(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, None]:
    """LyCORIS: what is learned is added to a factor of 1, of inputs or of outputs."""
    factor = parts["weight"].flatten()
    by_input = bool(parts["on_input"].any())
    return weight * _along(weight, factor, 1 if by_input else 0), None


def _ia3_of_peft(parts: Parts, weight: torch.Tensor) -> tuple[torch.Tensor, None]:
    """peft: the factor itself, (o, 1) or (1, i); of convolutions (1, o or i, 1, 1)."""
    factor = parts["ia3"]
    if weight.ndim > 2 and weight.shape[0] == weight.shape[1]:
        raise ValueError("IA3 for a convolution of which nothing tells inputs from outputs")
    if weight.ndim > 2:
        by_input = factor.numel() == weight.shape[1]
    else:
        by_input = factor.shape[0] == 1 and factor.numel() > 1
    return weight * _along(weight, factor.flatten() - 1, 1 if by_input else 0), None


def _along(weight: torch.Tensor, factor: torch.Tensor, axis: int) -> torch.Tensor:
    if factor.numel() != weight.shape[axis]:
        raise ValueError(f"{factor.numel()} factors where the layer has {weight.shape[axis]}")
    return factor.view([-1 if i == axis else 1 for i in range(weight.ndim)])


def _form(
    name: str, needs: str, may_have: str, delta: Callable[..., tuple[torch.Tensor, int | None]]
) -> Form:
    return Form(name, frozenset(needs.split()), frozenset(may_have.split()), delta)


FORMS = (
    _form("LoRA", "down up", "mid up_bias", _lora),
    _form("LoHa", "hada_w1_a hada_w1_b hada_w2_a hada_w2_b", "hada_t1 hada_t2", _loha),
    _form("LoKr", "", "lokr_w1 lokr_w1_a lokr_w1_b lokr_w2 lokr_w2_a lokr_w2_b lokr_t2", _lokr),
    _form("difference", "diff", "", _difference),
    _form("IA3", "weight on_input", "", _ia3),
    _form("IA3", "ia3", "", _ia3_of_peft),
)
