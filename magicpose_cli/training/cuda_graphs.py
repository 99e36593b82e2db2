"""Steps replayed as CUDA graphs.

A step of a small model is thousands of small kernels, and launching them one by one takes several
times as long as they run. Recorded once, they are launched together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairBatch

WARM_UP_RUNS = 3  # runs before a recording, in which libraries choose kernels and take memory


class CudaGraphs:
    """Computes a task's loss and adds its gradients, by one recording for each shape of arguments.

    Gradients have to stay where they are: set them to zero, not to None.
    """

    def __init__(
        self,
        task: Callable[..., Tensor],
        backward: Callable[[Tensor], None],
        networks: Networks,
        parameters: list[nn.Parameter],
    ):
        """Prepare to record.

        Args:
            task: Computes the loss of its arguments.
            backward: Adds the gradients of a loss to those of `parameters`.
            networks: Hold references of the last run, which a recording must not keep.
            parameters: Weights whose gradients the task adds to.
        """
        self._task, self._backward = task, backward
        self._networks, self._parameters = networks, parameters
        self._memory = torch.cuda.graph_pool_handle()
        self._recordings: dict[Any, tuple[torch.cuda.CUDAGraph, list[Any], Tensor]] = {}

    def __call__(self, *arguments: Any) -> Tensor:
        """Compute the loss of these arguments; it holds until the next call."""
        given = _leaves(arguments)
        key = tuple(leaf.shape if isinstance(leaf, Tensor) else leaf for leaf in given)
        if key not in self._recordings:
            self._recordings[key] = self._record(arguments)
        graph, inputs, loss = self._recordings[key]
        for kept, value in zip(inputs, given, strict=True):
            if isinstance(value, Tensor):  # the rest is in the key
                kept.copy_(value)
        graph.replay()
        return loss

    def _record(self, arguments: tuple[Any, ...]) -> tuple[torch.cuda.CUDAGraph, list[Any], Tensor]:
        gradients = [None if p.grad is None else p.grad.clone() for p in self._parameters]
        held = tuple(_copied(argument) for argument in arguments)
        new_stream: Callable[[], torch.cuda.Stream] = torch.cuda.Stream  # which torch types not
        side = new_stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                self._backward(self._task(*held))
                self._networks.forget()  # nothing of this run may live on in the recording
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # threads that read ahead may use the device meanwhile
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            loss = self._task(*held)
            self._backward(loss)
        self._networks.forget()
        for parameter, former in zip(self._parameters, gradients, strict=True):
            if parameter.grad is not None:  # else the task does not touch it
                parameter.grad.zero_() if former is None else parameter.grad.copy_(former)
        return graph, _leaves(held), loss.detach()


def _leaves(arguments: tuple[Any, ...]) -> list[Any]:
    """Arguments of a task one by one, those of its batch too."""
    leaves: list[Any] = []
    for argument in arguments:
        leaves += vars(argument).values() if isinstance(argument, PairBatch) else [argument]
    return leaves


def _copied(argument: Any) -> Any:
    if isinstance(argument, PairBatch):
        return PairBatch(**{name: _copied(value) for name, value in vars(argument).items()})
    return argument.clone() if isinstance(argument, Tensor) else argument
