"""IR-Net: balanced binary weights, and a derivative of the sign that sharpens."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.layers import skipped
from landscape.quantize.trained.balanced import Balanced
from landscape.quantize.trained.inputs import put_around, require_bits
from landscape.quantize.trained.signs import DecayedSign
from landscape.train.clock import Clock
from landscape.train.method import Method
from landscape.train.observers.decay import decay
from landscape.train.observers.fit_inputs import FitInputs

LOW, HIGH = -3, 1  # decimal logarithms of t at the beginning of a run and at its end


def irnet(*, acts: int | None = None, skip: str = "") -> Method:
    """Train through the signs of standardized weights, with a derivative that sharpens from a line into a step.

    Of every output unit ``u = (w - mean w) / std w``; the layer has ``2^r sign(u)``, ``r = round(log2 mean |u|)``
    (Libra parameter binarization). Backward, the derivative of the sign is ``k t (1 - tanh(t u)^2)``; in epoch e of E,
    counted from 0, ``t = 10^(-3 + 4 e / E)`` and ``k = max(1 / t, 1)`` (error decay estimator, EDE).

    Parameters
    ----------
    acts : int, optional
        1 for signs of what goes into the layers, with the same derivative; full precision unless given.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last. The paper keeps these
        two so.

    Raises
    ------
    ValueError
        If a knob is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. The scale does not shrink with the width of a layer: the method wants a batch norm
    behind every layer. The estimator is a surrogate and has no Hessian; the deployed network has one, at
    its own weights. The latent weights in the checkpoint are u. What goes into the first layer, the data, is left as it
    is. Activations that come out of a ReLU are rounded to 0 and 1, as in bnn, which is ours.

    References
    ----------
    Qin, Gong, Liu, Shen, Wei, Yu and Song (2020), Forward and backward information retention for accurate binary neural
    networks, arXiv:1909.10788.
    """
    require_bits(acts, "irnet", highest=1)

    def make(weight: Tensor, axis: int) -> Balanced:
        return Balanced(weight, axis)

    inside = None if acts is None else DecayedSign
    return Method(
        quantizer=partial(put_around, make=make, inside=inside, skip=skipped(skip), raw=True),
        schedules={"t": steepness, "k": height},
        observers=(lambda: decay, FitInputs),
    )


def steepness(clock: Clock) -> float:
    """Return t, which grows from a thousandth towards ten, epoch by epoch.

    Examples
    --------
    >>> steepness(Clock(epochs=4, per_epoch=10)), steepness(Clock(epochs=4, per_epoch=10, step=39))
    (0.001, 1.0)
    """
    return 10 ** (LOW + (HIGH - LOW) * clock.epoch / max(clock.epochs, 1))


def height(clock: Clock) -> float:
    """Return k, such that the derivative of the sign at 0 is 1 while t is below 1."""
    return max(1 / steepness(clock), 1.0)
