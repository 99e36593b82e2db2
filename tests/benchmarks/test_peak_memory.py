"""Memory that is known to be used is seen."""

import subprocess
import sys

import pytest
import torch

from magicpose_cli.benchmarks.peak_memory import PeakMemory, weights_on

SIZE = 128 << 20  # bytes


@pytest.mark.slow
def test_what_was_used_and_given_back_is_seen():
    """In a process of its own: in this one, what other tests leave is given back meanwhile."""
    script = f"""
import time
import numpy as np
from magicpose_cli.benchmarks.peak_memory import PeakMemory, own_peak
with PeakMemory("cpu") as before:
    pass
with PeakMemory("cpu") as peak:
    used = np.ones({SIZE}, np.uint8)
    time.sleep(0.5)  # the memory is looked at now and then, later on a busy machine
    del used
print(before.bytes, peak.bytes, own_peak())
"""
    told = subprocess.check_output([sys.executable, "-c", script], text=True)
    before, peak, most = map(int, told.split())
    assert 0.8 * SIZE < peak - before < 1.5 * SIZE
    assert most > 0.98 * peak  # the kernel counts in steps of some pages


def test_weights_count_where_memory_is_counted_by_device():
    assert weights_on("cpu", {"part": torch.nn.Linear(8, 8)}) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_device_counts_what_the_block_holds_at_most():
    there = torch.ones(SIZE, dtype=torch.uint8, device="cuda")
    with PeakMemory("cuda") as peak:
        used = torch.ones(SIZE, dtype=torch.uint8, device="cuda")
        del used
    assert peak.bytes == SIZE == there.numel()
    part = torch.nn.Linear(8, 8, bias=False).cuda()
    assert weights_on("cuda", {"one": part, "again": part, "name": "x"}) == 4 * 64
