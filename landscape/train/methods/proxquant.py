"""ProxQuant: proximal steps towards quantized weights."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor, nn

from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import put_on, quantizers
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.scaled import require_scale
from landscape.train.clock import Clock
from landscape.train.method import Method
from landscape.train.observers.codes import Codes
from landscape.train.observers.proximal import Approach, Proximal
from landscape.train.observers.settle import Settle
from landscape.train.schedules import Schedule


def proxquant(
    *,
    bits: int = 1,
    family: str = "auto",
    strength: float = 1.0,
    freeze: float = 2 / 3,
    scale: str = "channel",
    skip: str = "",
) -> Method:
    """Train the real weights, with a proximal step towards the quantized ones after each step of the optimizer.

    ``w <- prox(w - lr d; lr lambda)``, with the direction d of the optimizer from the gradient at the real weights, and
    lambda growing along a line from 0. Binary weights are drawn by ``R(w) = s sum ||w| - s|``, whose graph is a W, and
    move by ``lr lambda s`` towards the nearer of -s and s; others by ``R(w) = |w - Q(w)|^2 / 2``, to
    ``(w + lr lambda Q(w)) / (1 + lr lambda)``. After a part of the run the weights are put on their grids and frozen:
    biases and norms, and layers that are skipped, train on.

    Parameters
    ----------
    bits : int, default=1
        Of the weights.
    family : str
        As in `landscape.quantize.scheme.Scheme`; "auto" is binary at 1 bit, and above levels that alternating least
        squares learn, as in the paper; "ternary" is the paper's too.
    strength : float, default=1.0
        lambda when the weights are frozen, or would be.
    freeze : float, from 0 to 1
        Fraction of the run: weights freeze before the first epoch that begins there; at 1 only when all is over.
    scale : str
        channel or layer: every output channel has a grid of its own, or every layer, which follow the weights. Of
        binary and ternary grids also what s is: kaiming, ``sqrt(2 / inputs)`` of the layer; glorot, ``sqrt(1.5 /
        (inputs + outputs))``; one.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range, the scheme does not fit, there is nothing to quantize, or nothing to train once the
        weights are frozen.

    Notes
    -----
    One gradient evaluation a step, at the real weights: further passes, as of SAM, see those too. Until the freeze,
    grids other than of a stated s are calibrated anew after every step, binary and ternary ones, or at the beginning of
    every epoch.

    The paper has s = 1 for binary weights, lambda growing by 0.0001 an epoch, a warm start from trained weights
    (``--init``), a freeze after 200 epochs of 300 (400 of 600 for ternary weights), and keeps shortcuts, norms and
    biases, of ternary networks the first and the last layer, in full precision (``skip=first/last``). That lambda goes
    along the clock of the run, and R with s, so that one strength fits all layers, is ours; levels are learned once an
    epoch, and not every step.

    The latent weights of the checkpoint are the real ones: after the freeze, those that are deployed. The history tells
    `changed`, the rate of sign changes (of codes) by which the paper judges stability, and `distance` in steps of the
    grid. Evaluation during the run is that of the rounded weights. Batch-norm statistics are found afresh at the end.
    The weight decay of the optimizer shrinks the real weights, and grids that follow them, until the freeze, and has
    no effect afterwards.

    References
    ----------
    Bai, Wang & Liberty (2019), ProxQuant: quantized neural networks via proximal operators, arXiv:1810.00861.
    """
    scheme = Scheme(bits, "levels" if family == "auto" and bits > 1 else family)
    require_scale(scale, scheme)
    if not 0 <= strength < math.inf:
        raise ValueError(f"Expected a strength of at least 0, got {strength}: set it as in proxquant:strength=1.")
    if not 0 <= freeze <= 1:
        raise ValueError(f"Expected a freeze from 0 to 1, got {freeze}: give a fraction of the run.")

    def make(weight: Tensor, axis: int) -> Proximal:
        return Proximal(weight, scheme, axis, scale=scale)

    def put(model: nn.Module) -> None:
        put_on(model, make, skipped(skip))
        if freeze < 1 and len(quantizers(model)) == sum(p.requires_grad for p in model.parameters()):
            raise ValueError(
                f"Expected something to train once the weights are frozen, got {type(model).__name__} with quantized "
                "weights alone: set freeze=1, or skip a layer."
            )

    return Method(
        quantizer=put,
        schedules={"strength": rising(strength, freeze)},
        observers=(partial(Settle, displaced=True), Codes),
        corrections=(partial(Approach, freeze),),
    )


def rising(value: float, until: float) -> Schedule:
    """Rise along a line from 0 to `value` at a fraction of the run, and stay there."""

    def schedule(clock: Clock) -> float:
        return value * min(1.0, clock.fraction / until) if until else value

    return schedule
