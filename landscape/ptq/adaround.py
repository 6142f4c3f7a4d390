"""AdaRound: up or down is chosen for each weight such that the outputs of its layer stay what they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from landscape.ptq.calls import entering, order
from landscape.ptq.moments import Moments
from landscape.ptq.unfolding import folded, matrix
from landscape.quantize import activations
from landscape.quantize.grid import Grid
from landscape.quantize.rounding import neighbours

STRETCH = 0.1  # by which the sigmoid reaches beyond 0 and 1, so that it gets there
SHARP, BLUNT = 2.0, 20.0  # exponents of the penalty, at the end and at the beginning
WARMUP = 0.2  # share of the iterations without the penalty


@dataclass(frozen=True)
class Reconstruction:
    """How well a layer does what it did: mean squared errors of its outputs, as shares of their mean square.

    Attributes
    ----------
    layer : str
    nearest, adaround : float
        On the images that the rounding was fitted to, with what went before quantized alike.
    moved : float
        Share of the weights that are not rounded to the nearest.
    """

    layer: str
    nearest: float
    adaround: float
    moved: float

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def adaround(
    model: nn.Module,
    grids: Mapping[str, Grid],
    batches: Sequence[Any],
    *,
    iterations: int = 1000,
    rate: float = 0.01,
    penalty: float = 0.01,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], tuple[Reconstruction, ...]]:
    r"""Round the weights of a network, layer after layer, such that the outputs of each layer change least.

    Every weight goes to one of its two neighbours on the grid: ``low + h (high - low)`` with
    ``h = clip(1.2 sigmoid(alpha) - 0.1, 0, 1)`` minimizes

    .. math:: E\|\tilde W x' - W x\|^2 + \lambda \sum_i \left(1 - |2 h_i - 1|^\beta\right)

    over alpha by Adam, beta falling from 20 to 2; at the end h is rounded. Inputs x' are those of the network as
    quantized so far, x those of the original one. An output unit that nearest rounding serves better keeps that.

    Parameters
    ----------
    model : nn.Module
        The original network; not touched.
    grids : mapping of str to Grid
        By name of the weight, on its device.
    batches : sequence of batches
        Inputs of the network without targets, in its format and on its device.
    iterations : int, default=1000
        Steps for each layer; the papers take 10,000 and 20,000 on batches of 32, these see all images.
    rate : float, default=0.01
        Learning rate; the papers take 0.001 for as many more steps.
    penalty : float, default=0.01
        The factor lambda.
    progress : callable, optional
        Told (layers done, layers in all).

    Returns
    -------
    values : dict of str to Tensor
        The rounded weights.
    reports : tuple of Reconstruction
        Of the layers that the network calls, in the order of calls. Weights that are used without calling their layer,
        as attention uses some, are rounded to the nearest.

    Raises
    ------
    ValueError
        If a knob is out of range, or there are no batches.

    Notes
    -----
    The outputs are linear in the weights, so that the error over all images is a quadratic form, which is summed up
    once (`landscape.ptq.moments`): no step draws a batch, and nothing is random. Cost of a layer: two passes over the
    images up to it, and a product with the second moments of its inputs an iteration. The activation function that
    follows is not known to this, and left out; beyond the ends of a grid weights stay clipped.

    References
    ----------
    Nagel et al. (2020), Up or down? Adaptive rounding for post-training quantization, arXiv:2004.10568 (its equation
    for asymmetric reconstruction); the constants are those of Li et al. (2021), BRECQ, arXiv:2102.05426.
    """
    _expect(batches, iterations, rate, penalty)
    full, part = (_plain(model) for _ in range(2))
    calls = {name: times for name, times in order(full, batches[0]).items() if _named(name) in grids}
    values = {name: one.hard(dict(full.named_parameters())[name].detach()) for name, one in grids.items()}
    for name in grids.keys() - {_named(layer) for layer in calls}:
        _place(part, name, values[name])
    reports = []
    for layer, times in calls.items():
        moments = _moments(full, part, layer, batches, times)
        name = _named(layer)
        values[name], report = _rounded(layer, moments, grids[name], iterations, rate, penalty)
        _place(part, name, values[name])
        reports.append(report)
        if progress is not None:
            progress(len(reports), len(calls))
    return values, tuple(reports)


def _moments(full: nn.Module, part: nn.Module, name: str, batches: Sequence[Any], times: int) -> Moments:
    moments = Moments(deepcopy(full.get_submodule(name)))  # without the hooks below
    pairs = zip(entering(part, name, batches, times), entering(full, name, batches, times), strict=True)
    for inputs, originals in pairs:
        for one, original in zip(inputs, originals, strict=True):
            moments.add(one, original)
    return moments


@torch.no_grad()
def _rounded(
    name: str, moments: Moments, grid: Grid, iterations: int, rate: float, penalty: float
) -> tuple[Tensor, Reconstruction]:
    """Round the weight of one layer, and tell how well that does."""
    layer = moments.layer
    weight = layer.weight.detach()
    assert isinstance(weight, Tensor)
    nearest, fitted = grid.hard(weight), _fitted(weight, grid, moments, iterations, rate, penalty)
    errors = [moments.errors((values - weight).double()) for values in (nearest, fitted)]
    better = (errors[1] < errors[0])[..., None].expand_as(matrix(layer, weight))
    values = torch.where(folded(layer, better), fitted, nearest)
    power = float(moments.power) / moments.positions or 1.0
    shares = [float(errors[0].sum()) / power, float(torch.minimum(*errors).sum()) / power]
    return values, Reconstruction(name, *shares, moved=float((values != nearest).double().mean()))


def _fitted(weight: Tensor, grid: Grid, moments: Moments, iterations: int, rate: float, penalty: float) -> Tensor:
    """Minimize the error and the penalty over what lies between the neighbours, and round."""
    low, high = neighbours(weight, grid)
    nearest, free = grid.hard(weight), (low < weight) & (weight < high)
    place = torch.where(free, (weight - low) / (high - low), 0.5)
    alpha = -torch.log((1 + 2 * STRETCH) / (place + STRETCH) - 1)
    quick, layer = moments.rounded(weight.dtype), moments.layer
    with torch.enable_grad():
        alpha.requires_grad_()
        optimizer = torch.optim.Adam([alpha], lr=rate)
        for step in range(iterations):
            h = _stretched(alpha)
            change = torch.where(free, low + h * (high - low), nearest) - weight
            slope = quick.slope(change.detach())  # of the error, known in closed form: half the work of backward
            loss = (matrix(layer, change) * slope).sum() + penalty * _undecided(h, free, step / iterations)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return torch.where(free, torch.where(_stretched(alpha) >= 0.5, high, low), nearest)


def _stretched(alpha: Tensor) -> Tensor:
    return (torch.sigmoid(alpha) * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


def _undecided(h: Tensor, free: Tensor, share: float) -> Tensor:
    """Return the penalty of what is neither 0 nor 1 where it is free, at a share of the iterations."""
    if share < WARMUP:
        return h.new_zeros(())
    exponent = SHARP + (BLUNT - SHARP) * (1 - share) / (1 - WARMUP)
    return (free * (1 - (2 * h - 1).abs() ** exponent)).sum()


def _plain(model: nn.Module) -> nn.Module:
    """Return a copy that answers as the network does in evaluation, without quantized activations."""
    copied = deepcopy(model).eval().requires_grad_(False)
    activations.switch(copied, "fp")
    return copied


@torch.no_grad()
def _place(model: nn.Module, name: str, values: Tensor) -> None:
    dict(model.named_parameters())[name].copy_(values)


def _named(layer: str) -> str:
    return f"{layer}.weight" if layer else "weight"


def _expect(batches: Sequence[Any], iterations: int, rate: float, penalty: float) -> None:
    if not batches:
        raise ValueError("Expected images to fit the rounding to, got none: give batches of inputs.")
    if iterations < 1:
        raise ValueError(f"Expected at least 1 iteration of AdaRound, got {iterations}: 1000 are usual.")
    if not rate > 0 or not penalty >= 0:
        raise ValueError(f"Expected a rate above 0 and a penalty of 0 or more, got {rate:g} and {penalty:g}.")
