"""Means and sums over all ranks, equal on every rank and, to rounding, for any number of ranks.

Lightning's own mean over ranks weighs every rank alike, or adds numbers of clips up as integers and rounds
their mean down; and it waits for ever where ranks log different names.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch import distributed as dist


class MeanOverRanks:
    """Means of named values, from sums and counts."""

    def __init__(self, names: Iterable[str]) -> None:
        """Args:
        names: every name that any rank may add to, in an order that all ranks share.
        """
        self.names = tuple(names)
        self._sums, self._counts = SumOverRanks(), SumOverRanks()

    def add(self, name: str, values: Tensor) -> None:
        """Add the elements of `values`. Does not wait for the device."""
        self._sums.add({name: values.detach().to(_wide(values.device)).sum()})
        self._counts.add({name: torch.tensor(float(values.numel()), device=values.device)})

    def reduce(self, device: torch.device) -> dict[str, Tensor]:
        """Return the mean of each name that any rank added to, and start anew. Collective: call on all ranks.

        Args:
            device: where the process group communicates.
        """
        nothing = {name: torch.zeros((), device=device) for name in self.names}
        self._sums.add(nothing)
        self._counts.add(nothing)
        sums, counts = self._sums.reduce(), self._counts.reduce()
        return {name: sums[name] / counts[name] for name in self.names if counts[name]}


class SumOverRanks:
    """Sums of named values."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one value of each name. Does not wait for the device."""
        for name, value in values.items():
            wide = value.detach().to(_wide(value.device))
            self._totals[name] = self._totals[name] + wide if name in self._totals else wide

    def reduce(self) -> dict[str, Tensor]:
        """Return the sum of each name, and start anew. Collective: call on all ranks, with the same names."""
        names = sorted(self._totals)
        sums_N = torch.stack([self._totals[name] for name in names])
        self._totals = {}
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums_N)
        return dict(zip(names, sums_N, strict=True))


def _wide(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device."""
    return torch.float32 if device.type == "mps" else torch.float64
