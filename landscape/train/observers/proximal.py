"""Proximal steps towards quantized weights, and the freeze at their end."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import quantizers
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.scaled import Scaled
from landscape.train.fit import Run
from landscape.train.schedules import opening


class Proximal(Scaled):
    """A parametrization that is none while training: the layer has the trained weight itself.

    Attributes
    ----------
    frozen : 0-d bool Tensor
        Whether no gradient reaches the weight any more.
    """

    def __init__(self, weight: Tensor, scheme: Scheme, axis: int, *, scale: str) -> None:
        super().__init__(weight, scheme, axis, scale=scale)
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        return torch.where(self.frozen, weight.detach(), weight) if self.training else self.hard(weight)


class Approach:
    """After each step, bring weights closer to their grids by a proximal operator; later, freeze them there.

    The strength is the schedule "strength" of the run times the learning rate of the step. Until then grids follow the
    weights: binary and ternary ones step by step, others, which take longer to fit, at the beginning of every epoch;
    all once more before the weights are put on them. The optimizer forgets what it remembers of frozen weights.

    Parameters
    ----------
    freeze : float, from 0 to 1
        Fraction of the run; the freeze comes before the first epoch that begins there.
    """

    def __init__(self, freeze: float) -> None:
        self.freeze = freeze

    @torch.no_grad()
    def __call__(self, run: Run) -> None:
        """Make the proximal step, or put the weights on their grids."""
        clock, known = run.clock, quantizers(run.model)
        frozen = clock.step >= opening(clock, self.freeze)
        first = clock.step == opening(clock, self.freeze)
        amount = run.optimizer.param_groups[0]["lr"] * run.schedules["strength"](clock)
        for quantizer, weight in known.values():
            assert isinstance(quantizer, Proximal)
            if not frozen and clock.step > 0:
                weight.copy_(prox(weight, quantizer.grid, amount))
            quick = quantizer.scheme.family in ("binary", "ternary")
            if first or (not frozen and (quick or clock.between_epochs)):
                quantizer.calibrate(weight)
            if frozen:
                weight.copy_(quantizer.grid.hard(weight))  # weight decay moves them still
            if first:
                quantizer.frozen.fill_(True)
                run.optimizer.state.pop(weight, None)


def prox(weight: Tensor, grid: Grid, amount: float) -> Tensor:
    """Return ``argmin_x |x - w|^2 / 2 + amount R(x)`` with the regularizer of a grid.

    Binary: ``R(x) = s sum ||x| - s|``, whose graph is a W: weights move by ``amount s`` towards the nearer of -s and s,
    not beyond it. Others: ``R(x) = |x - Q(x)|^2 / 2``: weights move to ``(w + amount Q(w)) / (1 + amount)``.

    References
    ----------
    Bai, Wang & Liberty (2019), ProxQuant, arXiv:1810.00861.
    """
    if grid.kind != "binary":
        return (weight + amount * grid.hard(weight)) / (1 + amount)
    scale = grid.scale.to(weight.dtype)
    away = weight.abs() - scale
    left = (away.abs() - amount * scale).clamp(min=0)
    return torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype) * (scale + away.sign() * left)
