"""Memory that is known to be used is seen."""

import numpy as np
import pytest
import torch

from magicpose_cli.evaluation.peak import PeakMemory, own_peak, weights_on

SIZE = 128 << 20  # bytes


def test_what_was_used_and_given_back_is_seen():
    with PeakMemory("cpu") as before:
        pass
    with PeakMemory("cpu") as peak:
        used = np.ones(SIZE, np.uint8)
        del used
    assert 0.8 * SIZE < peak.bytes - before.bytes < 1.5 * SIZE
    assert own_peak() > 0.98 * peak.bytes  # the kernel counts in steps of some pages


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
