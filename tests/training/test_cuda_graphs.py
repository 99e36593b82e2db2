import pytest
import torch

from magicpose_cli.training.cuda_graphs import CudaGraphs
from magicpose_cli.training.end_to_end import EndToEnd
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import PairBatch
from magicpose_cli.training.recipe import DEFAULT_TRAINED_PARTS, StageSettings

STAGE = StageSettings(kind="end-to-end", steps=1)


def arguments(seed, dropped):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.rand(shape, generator=generator).cuda()

    batch = PairBatch(
        drawn(4, 4, 8, 8),
        drawn(4, 3, 64, 64),
        drawn(4, 3, 64, 64),
        drawn(4, 4, 8, 8),
        drawn(4, 3, 64, 64),
        drawn(4, 3, 64, 64),
    )
    return batch, dropped, torch.full((4,), 500).cuda(), drawn(4, 4, 8, 8), drawn(4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_recorded_steps_are_the_steps(toy, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    networks = build_networks(toy).cuda()
    parts = DEFAULT_TRAINED_PARTS["end-to-end"]
    parameters = [p for part in parts for p in networks.part(part).parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
        if parameter.dim() > 1:  # what begins as zero would hide what comes before it
            torch.nn.init.normal_(parameter, std=0.05)
    task = EndToEnd(networks, STAGE)
    graphs = CudaGraphs(task, lambda loss: loss.backward(), networks, parameters)

    def gradients(of, *many):
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.zero_()
        losses = [float(of(*arguments(*one))) for one in many]
        return losses, [None if p.grad is None else p.grad.clone() for p in parameters]

    def eager(*given):
        loss = task(*given)
        loss.backward()
        return loss.detach()

    for many in ([(1, 1)], [(2, 1), (3, 0)], [(4, 1), (5, 1), (6, 0)]):
        recorded, made = gradients(graphs, *many)
        wanted, truth = gradients(eager, *many)
        assert recorded == pytest.approx(wanted, rel=1e-4)
        for ours, theirs in zip(made, truth, strict=True):
            assert (ours is None) == (theirs is None)
            if theirs is not None:
                assert (ours - theirs).norm() <= 1e-3 * theirs.norm() + 1e-6
