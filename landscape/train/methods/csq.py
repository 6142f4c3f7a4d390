"""Continuous sparsification of bits, with a budget."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import put_on, quantizers
from landscape.quantize.trained.bitwise import BITS, Bitwise
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.method import Method
from landscape.train.observers.every import every
from landscape.train.observers.settle import Settle
from landscape.train.schedules import Schedule
from landscape.train.step import Objective, still

CHUNK = 1024  # examples of one forward pass


def csq(
    *,
    target: float = 3.0,
    bits: int = BITS,
    strength: float = 1.0,
    beta: float = 1000.0,
    ticket: float = 0.8,
    skip: str = "",
) -> Method:
    """Train the bits of weights, and which bits a layer has, through sigmoids that harden on the way.

    Weights are those of `landscape.quantize.trained.bitwise.Bitwise`, with ``beta^(t / ticket)`` at the fraction t of
    the run for the slope of all sigmoids. The loss has the term ``strength (r - target / bits) sum |sigma(beta m)|``
    over all masks, with r the share of those that are at least 1/2: above the budget it takes bits away, below it it
    gives some.
    From the ticket on the slope stays, and the masks are decided.

    Parameters
    ----------
    target : float, default=3
        Bits of a layer, without the sign, in the mean over layers.
    bits : int, default=7
        Candidates of a layer, without the sign: published are 8, and 7 make a grid of 8 bits, the widest there is.
    strength : float, default=1
        Of the budget. Published: 0.01 for CIFAR-10 in 600 epochs; the shorter a run, the more it takes.
    beta : float, default=1000
        Slope at the end; 1 at the beginning. Published: 200, which leaves bits undecided that had few steps to leave 0.
    ticket : float, default=0.8
        Fraction of the run; published: 595 of 600 epochs.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step, memory of ``2 bits`` copies of the weights; two forward passes over the training
    split an epoch, and one at the end.

    The released code rounds masks alone, and takes its weights for quantized ones because their sigmoids are steep.
    Here bits and masks are rounded whenever the network is evaluated, and in the checkpoint, and every record of the
    history tells the difference: ``soft_hard_gap``, the loss at the soft weights less that at the deployed ones (nat;
    as trained, on the training split, with the running statistics of the soft weights). The run ends with batch-norm
    statistics of the deployed weights. ``bits`` of the record is the mean over layers, which the target is for, and
    ``bits_per_weight`` the mean over weights. A grid takes one bit more than its layer, for the sign, or another number
    where the bits that stayed are not neighbours. A layer may end without a bit: its weights are 0.

    Steep slopes make long gradients, and short runs steep slopes early: bound them, as with ``--clip 1``. Masks leave
    the budget by one bit of a layer where a step throws one over after the slope has become too steep to bring it back.

    The slope grows with every step, and not once an epoch; the latent weights of the checkpoint are the soft ones:
    while bits are undecided, another value than the deployed one, whose bits are rounded one by one, may be nearer. An
    average of weights is one of logits: bits that are on more than off stay on, and the gap is that of the last
    iterate.

    References
    ----------
    Xiao et al. (2023), CSQ: growing mixed-precision quantization scheme with bi-level continuous sparsification,
    arXiv:2212.02770; their code.
    """
    if not 1 <= bits <= BITS:
        raise ValueError(f"Expected bits from 1 to {BITS}, got {bits}: change them as in csq:bits=7.")
    if not 0 < target <= bits:
        raise ValueError(
            f"Expected a target above 0 and at most {bits} bits, got {target:g}: set it as in csq:target=3."
        )
    if not 0 <= strength < math.inf:
        raise ValueError(f"Expected a strength of at least 0, got {strength:g}: set it as in csq:strength=1.")
    if not 1 <= beta < math.inf:
        raise ValueError(f"Expected beta at least 1, got {beta:g}: set it as in csq:beta=1000.")
    if not 0 < ticket <= 1:
        raise ValueError(f"Expected a ticket above 0 and at most 1, got {ticket:g}: give a fraction of the run.")

    def make(weight: Tensor, axis: int) -> Bitwise:
        return Bitwise(weight, bits)

    return Method(
        quantizer=partial(put_on, make=make, skip=skipped(skip)),
        objectives=[partial(budgeted, strength=strength, share=target / bits)],
        schedules={"beta": steeper(beta, ticket)},
        observers=[lambda: every(told), lambda: partial(hardened, ticket=ticket), Settle],
    )


def bitwise(model: nn.Module) -> list[tuple[Bitwise, Tensor]]:
    """List the layers of a network that are made of bits, with their scales."""
    return [(one, scale) for one, scale in quantizers(model).values() if isinstance(one, Bitwise)]


def budgeted(objective: Objective, *, strength: float, share: float) -> Objective:
    """Add the term that pulls the share of masks that are on to a given one."""

    def constrained(model: nn.Module, batch: Batch, clock: Clock) -> Tensor:
        loss = objective(model, batch, clock)
        masks = torch.cat([layer.masks for layer, _ in bitwise(model)])
        above = (masks.detach() >= 0.5).to(masks.dtype).mean() - share
        return loss + strength * above * masks.sum()

    return constrained


def steeper(beta: float, ticket: float) -> Schedule:
    """Grow from 1 to `beta` at a fraction of the run, by the same factor every step, and stay there."""
    return lambda clock: beta ** min(1.0, clock.fraction / ticket)


@torch.no_grad()
def hardened(run: Run, *, ticket: float) -> None:
    """Set the slope for the step to come; at the ticket decide on the masks."""
    steps = math.ceil(ticket * run.clock.steps)
    for layer, _ in bitwise(run.model):
        layer.beta.fill_(run.schedules["beta"](run.clock))
        if run.clock.step == steps > 0:
            layer.harden()


@torch.no_grad()
def told(run: Run) -> None:
    """Add what the bits of the network are, and what rounding them changes, to the last record of the history."""
    if not run.history or not run.clock.step:
        return
    counts = [(float(layer.active.sum()), layer.positive[0].numel()) for layer, _ in bitwise(run.model)]
    run.history[-1] |= {
        "bits": sum(on for on, _ in counts) / len(counts),
        "bits_per_weight": sum(on * size for on, size in counts) / sum(size for _, size in counts),
        "soft_hard_gap": gap(run),
    }


@torch.no_grad()
def gap(run: Run) -> float:
    """Return the loss of a run at the soft weights less that at the deployed ones, over its training split."""
    data, known, before = run.batches.resident, bitwise(run.model), run.model.training
    total = torch.zeros((), dtype=torch.float64)
    run.model.eval()
    try:
        for start in range(0, len(data), CHUNK):
            batch = data.batch(slice(start, start + CHUNK))
            for sign in (1, -1):
                for layer, _ in known:
                    layer.train(sign == 1)
                with still(run.model):
                    total += sign * len(batch) * run.objective(run.model, batch, run.clock).double().cpu()
    finally:
        run.model.train(before)
    return float(total) / len(data)
