"""Networks drawn from the Gaussian that a run's moments describe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.checkpoint import Checkpoint
from landscape.train.streams import stream

LEAST = 2  # columns of deviations: their covariance divides by one less


@dataclass(frozen=True, eq=False)
class Gaussian:
    r"""A Gaussian over the weights of a network, of low rank plus diagonal.

    .. math:: \theta = \bar\theta + \sqrt{s}\,\sigma \odot z_1 + \sqrt{s / (K - 1)}\; D z_2

    with standard normal z1, one number a weight, and z2, one number a column *of the whole network*: the weights of
    different layers move together. Its covariance is :math:`s\,(\mathrm{diag}\,\sigma^2 + D D^\top / (K - 1))`.

    Attributes
    ----------
    mean : dict of str to Tensor ``(*shape)``
        The center, by parameter.
    deviation : dict of str to Tensor ``(K, *shape)``
        D: the columns that were really collected, which may be fewer than were asked for.
    variance : dict of str to Tensor ``(*shape)``
        The square of sigma.
    scale : float
        s.
    diagonal, low_rank : bool
        Leave the other part out; s stays as it is.
    """

    mean: dict[str, Tensor]
    variance: dict[str, Tensor]
    deviation: dict[str, Tensor]
    scale: float = 0.5
    diagonal: bool = True
    low_rank: bool = True

    @property
    def columns(self) -> int:
        """K, the number of deviations."""
        return len(next(iter(self.deviation.values())))

    def at(self, first: dict[str, Tensor], second: Tensor) -> dict[str, Tensor]:
        """Return the weights at given normal numbers: z1, by parameter ``(*shape)``, and z2 (K,)."""
        found = {}
        for name, mean in self.mean.items():
            theta = mean.clone()
            if self.diagonal:
                theta += math.sqrt(self.scale) * self.variance[name].sqrt() * first[name]
            if self.low_rank:
                share = math.sqrt(self.scale / (self.columns - 1))
                theta += share * torch.tensordot(second.to(mean.dtype), self.deviation[name], dims=1)
            found[name] = theta
        return found

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw weights once, on the CPU."""
        second = torch.randn(self.columns, generator=generator, dtype=torch.float64)
        first = {n: torch.randn(m.shape, generator=generator, dtype=m.dtype) for n, m in self.mean.items()}
        return self.at(first, second)


def gaussian(
    checkpoint: Checkpoint, *, scale: float = 0.5, diagonal: bool = True, low_rank: bool = True
) -> Gaussian:
    """Read the Gaussian that training with ``swag`` left in a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its weights are the mean.
    scale : float
        Factor of the covariance. The paper halves it, so that the diagonal and the low-rank part, which both hold the
        variances, count once together: 0.5.
    diagonal, low_rank : bool
        Leave one part out. The paper's SWAG-diagonal is the diagonal alone at a scale of 1.

    Raises
    ------
    ValueError
        If the checkpoint has no moments, they do not fit its weights, there are fewer than two deviations, or a knob
        is out of range.

    Notes
    -----
    The formula is quoted from memory of the paper. The released code draws at a scale of 1 unless told otherwise, and
    divides by the number of columns it was to keep, not by that of the columns it has.

    References
    ----------
    Maddox et al. (2019), A simple baseline for Bayesian uncertainty in deep learning, arXiv:1902.02476.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"Expected a scale of at least 0, got {scale}: 0.5 is that of the paper.")
    if not (diagonal or low_rank):
        raise ValueError("Expected the diagonal, the low-rank part or both, got neither: leave at most one out.")
    where = checkpoint.path or "the checkpoint"
    if not {"variance", "deviation"} <= checkpoint.moments.keys():
        raise ValueError(
            f"{where}: expected moments of the weights, got a checkpoint without: train one with --method swag."
        )
    variance, deviation = checkpoint.moments["variance"], checkpoint.moments["deviation"]
    _require_fit(where, checkpoint.state, variance, deviation)
    mean = {name: checkpoint.state[name] for name in variance}
    return Gaussian(mean, variance, deviation, scale, diagonal, low_rank)


def sample(
    checkpoint: Checkpoint, count: int, *, seed: int = 0, scale: float = 0.5, diagonal: bool = True,
    low_rank: bool = True,
) -> Iterator[dict[str, Tensor]]:  # fmt: skip
    """Draw networks from the Gaussian of a checkpoint: an iterator over parameters by name, on the CPU.

    Sample number i depends on the seed and on i alone, so that more of them begin with the same ones. Buffers are not
    part of it: batch-norm statistics have to be refreshed for every sample, by `landscape.train.refresh.refresh`.

    Parameters
    ----------
    checkpoint : Checkpoint
    count : int
        Networks to draw.
    seed : int
    scale, diagonal, low_rank
        As `gaussian` takes them.

    Raises
    ------
    ValueError
        As `gaussian`; or if the count is not positive.
    """
    if count < 1:
        raise ValueError(f"Expected at least 1 sample, got {count}: give a positive number.")
    found = gaussian(checkpoint, scale=scale, diagonal=diagonal, low_rank=low_rank)
    return (found.draw(stream(seed, f"posterior/{number}")) for number in range(count))


def _require_fit(
    where: str, state: dict[str, Tensor], variance: dict[str, Tensor], deviation: dict[str, Tensor]
) -> None:
    """Refuse moments of other weights, or such as no weights have."""
    counts = {len(tensor) if tensor.ndim else 0 for tensor in deviation.values()}
    columns = min(counts, default=0)
    wrong = [
        name
        for name in variance.keys() | deviation.keys()
        if name not in state or name not in variance or name not in deviation
        or not state[name].is_floating_point() or variance[name].shape != state[name].shape
        or deviation[name].shape != (columns, *state[name].shape)
        or not variance[name].dtype == deviation[name].dtype == state[name].dtype
    ]  # fmt: skip
    if wrong or not variance:
        raise ValueError(
            f"{where}: expected moments of its own weights, got others at {', '.join(sorted(wrong)[:3]) or 'all'}: "
            "train it again."
        )
    if columns < LEAST:
        raise ValueError(
            f"{where}: expected at least {LEAST} deviations from the mean, got {columns}: train longer, or take in "
            "weights more often."
        )
    if not all((v >= 0).all() and v.isfinite().all() for v in variance.values()):
        raise ValueError(f"{where}: expected variances of at least 0, got others: the file is damaged.")
    if not all(d.isfinite().all() for d in deviation.values()):
        raise ValueError(f"{where}: expected finite deviations, got others: the file is damaged.")
