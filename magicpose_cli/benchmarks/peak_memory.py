"""Peak memory: what torch has held on a CUDA device, or what the process has held elsewhere."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INTERVAL_S = 0.01  # how often the process is looked at


class PeakMemory:
    """The most memory in use while the block runs, in bytes: `with PeakMemory(device) as peak`.

    On CUDA by torch's own account of the device; what lay there before does not count. Elsewhere
    the process's resident set, all of it.
    """

    def __init__(self, device: str):
        import torch

        self._device = torch.device(device)
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        else:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._device.type == "cuda":
            import torch

            self.bytes = torch.cuda.max_memory_allocated(self._device) - self._before
        else:
            self._stop.set()
            self._thread.join()

    def _watch(self) -> None:
        import psutil

        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._stop.wait(INTERVAL_S):
                return


def weights_on(device: str, parts: dict[str, Any]) -> int:
    """Bytes of the parameters that lie on a CUDA device; 0 elsewhere, where the process counts."""
    import torch

    where = torch.device(device)
    if where.type != "cuda":
        return 0
    tensors: dict[int, torch.Tensor] = {}
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            tensors |= {id(p): p for p in part.parameters() if p.device.type == "cuda"}
    return sum(p.numel() * p.element_size() for p in tensors.values())


def own_peak() -> int:
    """Bytes of the largest resident set that this process has ever had."""
    if sys.platform == "linux":  # getrusage also counts what the parent held when it forked
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    factor = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * factor
