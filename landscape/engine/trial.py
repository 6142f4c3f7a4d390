"""A trial: the network on a few examples, to find what does not fit before hours are spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from landscape import losses
from landscape.engine.device import out_of_memory
from landscape.engine.footprint import footprint
from landscape.engine.moments import sums
from landscape.engine.network import Network
from landscape.engine.resident import Resident

FEW = 2  # examples of a trial, where the loss does not depend on how they are cut


@dataclass(frozen=True)
class Trial:
    """What a trial tells of a network and its data.

    Attributes
    ----------
    each : int
        Bytes of activations of one example.
    terms : tuple of str
        Names of the terms of the loss; empty for a loss of one term.
    answers : bool
        Whether right answers can be counted.
    """

    each: int
    terms: tuple[str, ...]
    answers: bool


def trial(
    network: Network, loss: Callable, splits: dict[str, Resident], *, fixed: int | None = None, stochastic: bool = False
) -> Trial:
    """Run a network and its loss on a few examples.

    Parameters
    ----------
    network : Network
        Runs as the evaluation will run it.
    loss : callable
        (outputs, targets) -> per-example losses.
    splits : dict of str to Resident
        The examples are taken from the first; labels are checked in all.
    fixed : int, optional
        Size of the batches, where the loss depends on it; the last batch is then tried too.
    stochastic : bool, default=False
        Accept a network that answers differently when asked again.

    Raises
    ------
    ValueError
        If inputs do not fit the network, labels lie outside its outputs, the loss does not take the outputs,
        or the network is random.
    """
    few = _few(next(iter(splits.values())), fixed)
    inputs, targets, groups = few[0]
    with torch.no_grad():
        outputs = [_outputs(network, x) for x, _, _ in few][0]
        _require_labels(loss, outputs, targets, splits)
        if not stochastic and not _same(outputs, network(inputs)):
            raise ValueError(
                "Expected a network that answers the same twice, got another answer: it is random in evaluation "
                "mode. Remove the randomness, or pass stochastic=True."
            )
        answers = not bool(_scores(loss, outputs, targets).correct.isnan().any())
        each = footprint(lambda: sums(losses.scores(loss, network(inputs), targets), groups)) // len(targets)
        return Trial(max(each, 1), losses.term_names(loss, outputs, targets), answers)


@torch.no_grad()
def require_inputs(network: Network, split: Resident, fixed: int | None) -> None:
    """Run a network on a few examples of further data: nothing comes of it but an error.

    Raises
    ------
    ValueError
        If inputs do not fit the network.
    """
    for inputs, _, _ in _few(split, fixed):
        _outputs(network, inputs)


def _few(split: Resident, fixed: int | None) -> list[tuple[Any, Tensor, Tensor]]:
    """Return some examples or, where batches are fixed, one batch of every size that will be met."""
    found: dict[int, tuple[Any, Tensor, Tensor]] = {}
    for chunk in split.chunks(fixed or FEW):
        found.setdefault(len(chunk[1]), chunk)
        if not fixed:
            break
    return list(found.values())


def _outputs(network: Network, inputs: Any) -> Any:
    try:
        return network(inputs)
    except Exception as error:
        if out_of_memory(error):
            raise
        if "more than 1 value per channel" in str(error):
            raise ValueError(
                "Expected batches of at least two examples, whose statistics batch norm needs, got a last one of one: "
                "choose another batch size."
            ) from error
        raise ValueError(
            f"Expected inputs that {type(network.model).__name__} takes, got inputs of shape {_shapes(inputs)}: "
            f"{_first_line(error)}."
        ) from error


def _scores(loss: Callable, outputs: Any, targets: Tensor) -> losses.Scores:
    try:
        return losses.scores(loss, outputs, targets)
    except (RuntimeError, TypeError, IndexError, AttributeError, AssertionError) as error:
        raise ValueError(
            f"Expected outputs and targets that {losses.name(loss)} takes, got outputs of shape {_shapes(outputs)} "
            f"and targets of shape {tuple(targets.shape)}: {_first_line(error)}."
        ) from error


def _require_labels(loss: Callable, outputs: Any, targets: Tensor, splits: dict[str, Resident]) -> None:
    """Refuse class indices that the network has no output for; -100 marks a token, but not an example, to leave out."""
    outputs = getattr(outputs, "logits", outputs)
    axis = losses.class_axis(outputs, targets)
    if loss not in (losses.cross_entropy, losses.causal) or axis is None:
        return
    known = outputs.shape[axis]
    for name, split in splits.items():
        before = 0
        for _, labels in split.examples.segments:
            allowed = (labels >= 0) & (labels < known) | ((labels == losses.IGNORED) & (labels.ndim > 1))
            if not bool(allowed.all()):
                where = before + int((~allowed).nonzero()[0][0])
                raise ValueError(
                    f"Expected labels from 0 to {known - 1} (the network has {known} outputs), "
                    f"got {labels[~allowed][0].item()} at example {where} of {name}."
                )
            before += len(labels)


def _same(once: Any, again: Any) -> bool:
    pairs = zip(_tensors(once), _tensors(again), strict=True)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(getattr(outputs, "logits", outputs)) if isinstance(leaf, Tensor)]


def _shapes(values: Any) -> str:
    return ", ".join(str(tuple(leaf.shape)) for leaf in _tensors(values)) or type(values).__name__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
