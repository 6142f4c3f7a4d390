"""Batch-norm statistics of weights that no training pass has seen, such as an average."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.engine import batchnorm
from landscape.engine.network import Network
from landscape.objective import BATCH
from landscape.train.augmentation import Augmentation
from landscape.train.batches import Resident


@torch.no_grad()
def refresh(
    model: nn.Module, data: Resident, *, augment: str | Augmentation | None = None, chunk: int = BATCH
) -> None:
    """Replace the running statistics of a model by those of its weights on a split, without dropout.

    Every example weighs the same, whatever chunk it falls in. These are the statistics that an `Objective` refits to
    these weights, with the same chunks, from a reference that is augmented in the same way. A model without batch norm
    stays as it is, and so do the running statistics of instance norm, which are not those of a split, and those of a
    layer that the model's own `train` leaves in evaluation mode: no training moves them either.

    Parameters
    ----------
    model : nn.Module
        Changed in place: the running means and variances of its batch-norm layers only.
    data : Resident
        The training split.
    augment : str or callable, optional
        What the weights were trained with, applied once as `landscape.train.augmentation.augmented` does: statistics
        of images that they never saw do not fit them. The examples as they are by default.
    chunk : int
        Examples a forward pass.

    Notes
    -----
    One forward pass over the split, in the precision of the data rather than mixed precision, and one copy of the
    model; one of the split too, if it is augmented. Every chunk is normalized by itself on its way, as in training. So
    the statistics of a layer that no other batch-norm layer comes before are those of the split exactly; those of later
    ones depend on how it is cut. A last chunk of one example, which has no variance, is made a part of the one before.

    References
    ----------
    Izmailov et al. (2018), Averaging weights leads to wider optima and better generalization, arXiv:1803.05407.
    """
    network = Network(model, "*", data.dtype, data.device)
    training = _training(network.model)
    if not any(layer.track_running_stats for name, layer in network.norms if name in training):
        return
    batchnorm.apply(network, "refit")
    for _, layer in (pair for pair in network.norms if pair[0] not in training):
        del layer.forward  # what `apply` replaced: the layer normalizes by what it has

    def forward(inputs: Tensor, take: Any) -> dict[str, Tensor]:
        network(inputs)
        return take()

    data = data.augmented(augment)
    found = batchnorm.statistics(network, forward, (data.batch(cut).inputs for cut in _cuts(len(data), chunk)))
    for name, buffer in model.named_buffers():
        if name in found:
            buffer.copy_(found[name])


def normalized(model: nn.Module) -> bool:
    """Say whether a model keeps running statistics of batch norm, which belong to its weights."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in model.modules())


def _training(model: nn.Module) -> set[str]:
    """Name the modules that the model's `train` puts in training mode; it is left in evaluation mode."""
    found = {name for name, module in model.train().named_modules() if module.training}
    model.eval()
    return found


def _cuts(total: int, chunk: int) -> list[slice]:
    starts = [start for start in range(0, total, chunk) if start == 0 or total - start > 1]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], total], strict=True)]
