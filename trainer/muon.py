"""Muon with equal matrices orthogonalized together, in the precision that the device multiplies fast.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): Nesterov momentum, orthogonalized by a
Newton-Schulz iteration. The steps are those of `torch.optim.Muon` but for rounding, and so is the state.

Legend: K matrices, M and N their sides, M at most N.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.precision import has_fast_bfloat16

Coefficients = tuple[float, float, float]


class BatchedMuon(torch.optim.Muon):
    """`torch.optim.Muon` with updates as large as AdamW's (Liu et al. 2025, arXiv 2502.16982)."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []
        self._init_group(group, params, grads, buffers)
        momentum, lr = group["momentum"], group["lr"]
        for buffer, grad in zip(buffers, grads, strict=True):
            buffer.lerp_(grad, 1 - momentum)
        directions = [grad.lerp(buffer, momentum) for grad, buffer in zip(grads, buffers, strict=True)]
        updates = orthogonalize(directions, group["ns_coefficients"], group["ns_steps"], group["eps"])
        for param, update in zip(params, updates, strict=True):
            param.mul_(1 - lr * group["weight_decay"])
            param.add_(update, alpha=-0.2 * max(param.shape) ** 0.5 * lr)


def orthogonalize(
    matrices: Sequence[Tensor], coefficients: Coefficients, steps: int, eps: float
) -> list[Tensor]:
    """Return each matrix with its singular values near 1; those of one shape are computed together."""
    batches: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, matrix in enumerate(matrices):
        batches[tuple(sorted(matrix.shape))].append(index)
    out = list(matrices)
    for indices in batches.values():
        batch_KMN = torch.stack([_wide(matrices[index]) for index in indices])
        for index, matrix_MN in zip(indices, newton_schulz(batch_KMN, coefficients, steps, eps), strict=True):
            out[index] = matrix_MN if matrix_MN.shape == matrices[index].shape else matrix_MN.T
    return out


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def newton_schulz(x_KMN: Tensor, coefficients: Coefficients, steps: int, eps: float) -> Tensor:
    """Return the matrices with their singular values near 1.

    A step is X <- (a + b XX' + c (XX')^2) X, with `coefficients` (a, b, c).
    """
    x_KMN = x_KMN / torch.linalg.matrix_norm(x_KMN, keepdim=True).clamp_min(eps)
    if has_fast_bfloat16(x_KMN.device):
        return _iterate(x_KMN.bfloat16(), coefficients, steps).to(x_KMN.dtype)
    _, rows, columns = x_KMN.shape
    return (_iterate if rows == columns else _iterate_gram)(x_KMN, coefficients, steps)


def _iterate(x_KMN: Tensor, coefficients: Coefficients, steps: int) -> Tensor:
    a, b, c = coefficients
    for _ in range(steps):
        gram_KMM = x_KMN @ x_KMN.mT
        factor_KMM = torch.baddbmm(gram_KMM, gram_KMM, gram_KMM, beta=b, alpha=c)
        x_KMN = torch.baddbmm(x_KMN, factor_KMM, x_KMN, beta=a)
    return x_KMN


def _iterate_gram(x_KMN: Tensor, coefficients: Coefficients, steps: int) -> Tensor:
    """Do the same with fewer multiplications where M < N, on XX' alone: every step multiplies X from the
    left by a polynomial of it. Needs float32, as rounding errors add up."""
    a, b, c = coefficients
    gram_KMM = x_KMN @ x_KMN.mT
    product_KMM = torch.eye(gram_KMM.shape[1], device=x_KMN.device, dtype=x_KMN.dtype).expand_as(gram_KMM)
    for step in range(steps):
        factor_KMM = torch.baddbmm(gram_KMM, gram_KMM, gram_KMM, beta=b, alpha=c)
        factor_KMM.diagonal(dim1=-2, dim2=-1).add_(a)
        product_KMM = factor_KMM @ product_KMM if step else factor_KMM
        if step + 1 < steps:
            gram_KMM = gram_KMM @ factor_KMM @ factor_KMM
    return product_KMM @ x_KMN
