"""Operations against counts by hand."""

import pytest
import torch
import torch.nn.functional as F

from magicpose_cli.benchmarks.arithmetic import Stopwatch, counted, matrix_rate


def test_a_multiply_add_counts_two():
    one, other = torch.ones(3, 5), torch.ones(5, 7)
    assert counted(lambda: one @ other) == 2 * 3 * 5 * 7


def test_convolutions_and_linear_layers():
    conv, picture = torch.nn.Conv2d(4, 6, 3, padding=1), torch.ones(2, 4, 8, 8)
    linear, tokens = torch.nn.Linear(10, 12), torch.ones(2, 9, 10)
    assert counted(lambda: conv(picture)) == 2 * 2 * (8 * 8) * 6 * 4 * 9
    assert counted(lambda: linear(tokens)) == 2 * 2 * 9 * 10 * 12


def test_attention_counts_on_the_cpu_too():
    query, tokens = torch.ones(2, 3, 16, 8), torch.ones(2, 3, 24, 8)
    both = 2 * 2 * (2 * 3) * 16 * 24 * 8  # queries with keys, weights with values
    with torch.no_grad():
        assert counted(lambda: F.scaled_dot_product_attention(query, tokens, tokens)) == both


@pytest.mark.slow
def test_the_matrix_rate_is_what_a_product_takes():
    rate = matrix_rate("cpu", torch.float32)
    one, other = torch.randn(2, 512, 512)
    watches = []
    for _ in range(20):
        with Stopwatch("cpu") as watch:
            one @ other
        watches.append(watch.seconds)
    assert 0.2 < 2 * 512**3 / min(watches) / rate < 5
