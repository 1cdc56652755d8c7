"""Muon on batches of matrices takes the steps of torch's Muon."""

import pytest
import torch

from trainer.muon import BatchedMuon, newton_schulz

COEFFICIENTS = (3.4445, -4.775, 2.0315)
SHAPES = [(8, 24), (24, 8), (8, 8), (8, 24), (6, 24)]


def exact(matrix_MN: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the result of the iteration in float64."""
    a, b, c = COEFFICIENTS
    x = matrix_MN.double() / matrix_MN.double().norm()
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(8, 24), (8, 8), (1, 5)])
@pytest.mark.parametrize("steps", [1, 5])
def test_newton_schulz_equals_the_iteration_in_float64(shape, steps, monkeypatch):
    monkeypatch.setattr("trainer.muon.has_fast_bfloat16", lambda device: False)
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    matrices *= torch.logspace(0, -2, shape[1])
    actual = newton_schulz(matrices, COEFFICIENTS, steps, 1e-7)
    expected = torch.stack([exact(matrix, steps) for matrix in matrices])
    torch.testing.assert_close(actual.double(), expected, atol=1e-4, rtol=0)


def test_bfloat16_where_it_is_fast(monkeypatch):
    monkeypatch.setattr("trainer.muon.has_fast_bfloat16", lambda device: True)
    matrix = torch.randn(1, 8, 24, generator=torch.Generator().manual_seed(0))
    actual = newton_schulz(matrix, COEFFICIENTS, 5, 1e-7)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual[0].double(), exact(matrix[0], 5), atol=0.1, rtol=0)


def test_a_zero_gradient_leaves_the_weights():
    weight = torch.nn.Parameter(torch.randn(4, 8))
    before, weight.grad = weight.detach().clone(), torch.zeros(4, 8)
    BatchedMuon([weight], lr=0.1).step()
    assert torch.equal(weight, before)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_and_state_equal_those_of_torch(weight_decay):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in SHAPES]
    settings = {"lr": 0.02, "weight_decay": weight_decay}
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    batched = BatchedMuon(ours, **settings)
    reference = torch.optim.Muon(theirs, **settings, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        batched.step()
        reference.step()
    for mine, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        assert (mine - other).norm() < 0.03 * moved  # torch's iteration rounds to bfloat16
    state = batched.state_dict()
    reference.load_state_dict(state)  # one layout
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            batched.state[mine]["momentum_buffer"], reference.state[other]["momentum_buffer"]
        )
