"""Mean and variance of tensors that come in pieces."""

from __future__ import annotations

import torch
from torch import Tensor


def axes_over(x: Tensor, shape: torch.Size) -> list[int]:
    """Return the dimensions of `x` that statistics of a shape run over: those before it, and those where its length is
    1.
    """
    lead = x.dim() - len(shape)
    return [*range(lead), *(lead + axis for axis, length in enumerate(shape) if length == 1)]


class Moments:
    """Mean and biased variance of everything that was added, for each position of a shape.

    Pieces are joined in double precision by Chan, Golub and LeVeque's formula (Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances, 1979), so that a large mean does not cost the variance its digits.

    Args:
        shape: of the statistics: a dimension of length 1 is one that they run over.
    """

    def __init__(self, shape: torch.Size) -> None:
        self.count = 0
        self.mean = torch.zeros(shape, dtype=torch.float64)
        self._squares = torch.zeros(shape, dtype=torch.float64)

    def variance(self, less: int = 0) -> Tensor:
        """Return the sum of the squared deviations over the count, or over the count less one."""
        return self._squares / max(self.count - less, 1)

    def add(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Add a piece whose last dimensions are those of the shape.

        Returns:
            The piece's own mean and biased variance, in its own precision.
        """
        variance, mean = torch.var_mean(x, axes_over(x, self.mean.shape), correction=0, keepdim=True)
        variance, mean = variance.reshape(self.mean.shape), mean.reshape(self.mean.shape)
        self._join(x.numel() // mean.numel(), mean.double().cpu(), variance.double().cpu())
        return mean, variance

    def _join(self, count: int, mean: Tensor, variance: Tensor) -> None:
        total, delta = self.count + count, mean - self.mean
        self.mean += delta * (count / total)
        self._squares += variance * count + delta.square() * (self.count * count / total)
        self.count = total
