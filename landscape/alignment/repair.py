"""REPAIR: between two networks, mean and spread of every channel are brought back to those of the ends."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.alignment.producers import LAYERS, axes, outputs, producers
from landscape.alignment.structure import Structure
from landscape.engine.device import arithmetic
from landscape.engine.network import call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from landscape.objective import Objective

BATCH = 512  # examples of a batch, whose statistics later layers see while those of all examples are collected


class Reset(_BatchNorm):
    r"""Normalize each channel, then give it a mean and a spread that are parameters.

    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}}\, w + b

    With :math:`w = \sqrt{\mathrm{var} + \epsilon}` and b the mean it does nothing. As a batch norm its statistics are
    refitted by every objective that refits those; as parameters w and b are interpolated on a segment.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take inputs (B, channels, ...) of any number of axes."""


def repairable(objective: Objective, structure: Structure) -> list[str]:
    """List the linear layers and convolutions whose outputs are permuted, and that run once in a forward pass.

    One that runs several times answers with several means and spreads.
    """
    model = objective.network.model
    known = producers(model, structure)
    names = [name for name, module in model.named_modules() if name in known and isinstance(module, LAYERS)]
    inputs, _, _ = next(objective._resident[0].chunks(1))
    with arithmetic(objective.precision, objective.device), torch.no_grad(), outputs(model, names) as made:
        call(model, inputs)
    return [name for name in names if len(made[name]) == 1]


def repaired(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """Return a copy of a network with a `Reset` behind each of certain layers.

    The names of all parameters stay; a layer NAME has NAME.reset.weight and NAME.reset.bias besides.
    """
    made = copy.deepcopy(model)
    for name in names:
        layer = made.get_submodule(name)
        found, weight = axes(layer), layer.weight
        assert found is not None
        layer.add_module("reset", Reset(weight.shape[found[0]]).to(weight.device, weight.dtype))
        layer.register_forward_hook(_reset)
    return made


def ends(objective: Objective, structure: Structure, *thetas: Tensor) -> tuple[Objective, list[Tensor]]:
    r"""Return a repaired objective, and networks (D,) as points of it that compute what they did.

    On the segment between two of these points, every channel has the mean and (but for :math:`\epsilon`) the spread
    that are interpolated linearly between those of the ends: that is REPAIR.

    Parameters
    ----------
    objective : Objective
        Of a network without batch norm, which needs no repair but refitted statistics.
    structure : Structure
        Says behind which layers channels are reset.
    *thetas : Tensor of shape (D,)

    Returns
    -------
    objective : Objective
        The same loss and data, of D and twice the number of channels parameters.
    points : list of Tensor

    Raises
    ------
    ValueError
        If the network has batch norm, or no layer that runs once and whose outputs are permuted.

    Notes
    -----
    The standard deviation at t is :math:`\sqrt{v / (v + \epsilon)}` of the interpolated one, v being the variance
    before the reset. A channel that is constant at both ends keeps its interpolated constant; one that is constant on
    the way, but not at the ends, cannot be given a spread and becomes its interpolated mean.

    Statistics are those that the engine refits: of all examples of the first split, each batch of 512 normalized by
    itself on its way. Normalizing by all examples, one layer after another, gives losses between the ends that differ
    by a part of the order of one over the batch; the ends themselves are exact.

    Those of an end must be found with all earlier layers reset: one pass over the first split for each layer that is
    reset, at most, for each end.

    References
    ----------
    Jordan, Sedghi, Saukh, Entezari & Neyshabur (2022), REPAIR: REnormalizing Permuted Activations for Interpolation
    Repair, arXiv:2211.08403.
    """
    from landscape.objective import Objective

    network = objective.network
    if network.norms:
        raise ValueError(
            "Expected a network without batch norm, got one with it: refitted statistics (batchnorm='refit') repair it."
        )
    names = repairable(objective, structure)
    if not names:
        raise ValueError("Expected layers whose outputs may be permuted, got none: there is nothing to repair.")
    made = Objective(
        repaired(network.model, names), objective.examples, objective.loss, batchnorm="refit",
        precision=objective.precision, device=str(objective.device),
        batch_size=BATCH + (objective.size % BATCH == 1),  # a last batch of one example has no variance
    )  # fmt: skip
    made.loss_name = objective.loss_name
    return made, [_end(made, objective.unpack(theta.to(objective.theta))) for theta in thetas]


def _end(made: Objective, named: dict[str, Tensor]) -> Tensor:
    """Give every channel the mean and the spread that are refitted: the first layers settle first."""
    resets = [(name, layer) for name, layer in made.network.norms if isinstance(layer, Reset)]
    here = {name: tensor.to(made.theta) for name, tensor in named.items()}
    here |= {f"{name}.weight": torch.ones_like(layer.weight) for name, layer in resets}
    here |= {f"{name}.bias": torch.zeros_like(layer.weight) for name, layer in resets}
    for _ in resets:
        with arithmetic(made.precision, made.device):
            made._runner.refit(made.pack(here))
        found = {f"{name}.weight": (layer.running_var + layer.eps).sqrt() for name, layer in resets}
        found |= {f"{name}.bias": layer.running_mean.clone() for name, layer in resets}
        if all(bool((here[name] == tensor).all()) for name, tensor in found.items()):
            break
        here |= found
    return made.pack(here)


def _reset(layer: nn.Module, given: tuple, made: Tensor) -> Tensor:
    found = axes(layer)
    assert found is not None
    return layer.reset(made.movedim(found[1], 1)).movedim(1, found[1])
