"""Soft binary or ternary weights that harden along the run."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import put_on
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.annealing import Annealed
from landscape.quantize.trained.scaled import require_scale
from landscape.train.clock import Clock
from landscape.train.method import Method
from landscape.train.observers.anneal import anneal
from landscape.train.observers.codes import Codes
from landscape.train.observers.settle import Settle
from landscape.train.schedules import Schedule

SCHEMES = {"binary": Scheme(1), "ternary": Scheme(2, "ternary")}


def annealed(
    *, start: float = 1.0, end: float = 100.0, family: str = "binary", scale: str = "kaiming", skip: str = ""
) -> Method:
    """Train through ``s tanh(beta u / s)``, by its true gradient, with beta growing until the weights are hard.

    beta grows geometrically from `start` at the first step to `end` at the last. Deployed is ``s sign(u)``, or, of
    ternary weights ``s / 2 (tanh(beta (u / s + 1/2)) + tanh(beta (u / s - 1/2)))``, the nearest of -s, 0 and s.

    Parameters
    ----------
    start, end : float
        beta at the beginning and at the end of the run.
    family : str
        What the weights become.
    scale : str
        What s is, once and for all: kaiming, ``sqrt(2 / inputs)`` of the layer; glorot, ``sqrt(1.5 / (inputs +
        outputs))``; layer or channel, as calibrated for the layer, or for every output channel, at the beginning (the
        mean absolute weight of binary grids); one.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range or unknown, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. The gradient in u has the factor ``1 - tanh(beta u / s)^2``, so that weights come to
    rest as they harden; biases and norms go on.

    ``tanh(theta / tau)`` is the mean of random binary weights, and lowering tau is our reading of the annealed expected
    loss that is published without formulas at hand: a reconstruction. The same map is that of mirror descent, where
    the gradient goes straight to u: see the method mirror. The scale is ours, and so is the schedule; ``scale=one``
    makes weights of -1 and 1, for networks where a batch norm follows every layer.

    The latent weights of the checkpoint are the soft ones, at the last beta: between their loss and that of the
    deployed ones is the soft-hard gap. The history tells it in weights: `distance`, in steps of the grid; and
    `changed`, the share of weights that changed their value. Evaluation during the run is that of the deployed weights,
    far from the soft ones at first. Batch-norm statistics are found afresh at the end, for the deployed weights.
    The weight decay of the optimizer acts on u, and pulls weights back to where they are soft; an average is one of u.

    References
    ----------
    Ajanthan et al. (2021), Mirror descent view for neural network quantization, arXiv:1910.08237.
    """
    schedule = growing(start, end, name="annealed")
    scheme = require_scheme(family, scale)

    def make(weight: Tensor, axis: int) -> Annealed:
        return Annealed(weight, scheme, axis, scale=scale, beta=start)

    return Method(
        quantizer=partial(put_on, make=make, skip=skipped(skip)),
        schedules={"beta": schedule},
        observers=(lambda: anneal, partial(Settle, displaced=True), Codes),
    )


def growing(start: float, end: float, *, name: str) -> Schedule:
    """Grow from `start` to `end` by the same factor every step of a run.

    Raises
    ------
    ValueError
        If either is not positive, or the end lies below the start.
    """
    for knob, value in (("start", start), ("end", end)):
        if not 0 < value < math.inf:
            raise ValueError(f"Expected a positive {knob}, got {value}: set it as in {name}:{knob}=1.")
    if end < start:
        raise ValueError(f"Expected an end of at least start={start:g}, got {end:g}: weights harden as beta grows.")
    growth = math.log(end / start)

    def beta(clock: Clock) -> float:
        return start * math.exp(growth * clock.fraction)

    return beta


def require_scheme(family: str, scale: str) -> Scheme:
    """Return the scheme of a family, with a scale that it knows.

    Raises
    ------
    ValueError
        If either is unknown.
    """
    if family not in SCHEMES:
        raise ValueError(f"Expected a family among {', '.join(SCHEMES)}, got {family!r}: choose one of them.")
    require_scale(scale, SCHEMES[family])
    return SCHEMES[family]
