"""Arithmetic: how many operations some work takes, and how many the device does in a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}  # large enough that starting the work costs nothing
OTHER_MATRIX_SIDE = 2048
MATRIX_S = 1.0  # for so long products are timed
LEAST_PRODUCTS = 5


def counted(work: Callable[[], object]) -> int:
    """Count the floating-point operations of some work with torch's counter, 2 a multiply-add.

    Matrix products, convolutions and attention count, nothing else does. What runs inside
    torch.compile is not seen.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *args: Any, **options: Any) -> int:
        count: Callable[..., int] = sdpa_flop_count
        return count(query, key, value)

    # the counter knows the attention kernels of CUDA only
    more = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=more) as counter:
        work()
    total: int = counter.get_total_flops()
    return total


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Measure operations a second of large square matrix products: the limit that is in reach.

    The fastest of many, on a device that is warm.
    """
    import torch

    kind = torch.device(device).type
    side = MATRIX_SIDE.get(kind, OTHER_MATRIX_SIDE)
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds: list[float] = []
    spent = 0.0
    while spent < MATRIX_S or len(seconds) < LEAST_PRODUCTS:
        synchronize(device)
        start = time.perf_counter()
        torch.mm(one, other)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        spent += seconds[-1]
    return 2 * side**3 / min(seconds)


def synchronize(device: str) -> None:
    """Wait until the device has done all it was given."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """Seconds of device work: `with stopwatch: ...`, then `stopwatch.seconds`."""

    def __init__(self, device: str):
        self._device = device
        self.seconds = 0.0

    def __enter__(self) -> Stopwatch:
        synchronize(self._device)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        synchronize(self._device)
        self.seconds = time.perf_counter() - self._start
