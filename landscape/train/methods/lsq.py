"""Learned step size quantization."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.layers import skipped
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import put_around, require_bits
from landscape.quantize.trained.steps import Stepped, SteppedInput
from landscape.train.method import Method
from landscape.train.observers.fit_inputs import FitInputs
from landscape.train.observers.follow import bound


def lsq(*, bits: int = 4, acts: int | None = None, channels: bool = False, skip: str = "") -> Method:
    """Train the step sizes of the grids together with the latent weights, each by the gradient of the loss in it.

    With step size s, codes from -Q_N to Q_P and v = w / s: forward ``Q(w) = s round(clip(v, -Q_N, Q_P))``; backward
    ``dQ/dw`` is 1 where ``-Q_N < v < Q_P``, else 0; ``dQ/ds`` is ``round(v) - v`` there, and -Q_N or Q_P beyond,
    times ``1 / sqrt(n Q_P)``, with n the weights (or the features of an example) that share s.

    Parameters
    ----------
    bits : int, default=4
        Of the weights, from 2 on: ``Q_N = 2^(bits-1)``, ``Q_P = Q_N - 1``.
    acts : int, optional
        Bits of what goes into the layers, from 2 on; full precision unless given.
    channels : bool, default=False
        Whether every output unit of a layer has a step size of its own; the paper has one a layer.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last. The paper gives these
        two 8 bits.

    Raises
    ------
    ValueError
        If a width is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. Step sizes begin at ``2 mean |w| / sqrt(Q_P)``, those of activations at the same of
    256 training examples, which also decide whether their codes have a sign. The optimizer treats them as it does all
    parameters, weight decay included; that none falls below half of what it was in one step, and so stays positive,
    is ours.

    References
    ----------
    Esser, McKinstry, Bablani, Appuswamy and Modha (2020), Learned step size quantization, arXiv:1902.08153.
    """
    if bits == 1:
        raise ValueError("Expected bits from 2 to 8, got 1: one bit has no step size to learn, take bnn or irnet.")
    scheme = Scheme(bits, "full", channels=channels)
    require_bits(acts, "lsq", lowest=2)

    def make(weight: Tensor, axis: int) -> Stepped:
        return Stepped(weight, scheme, axis)

    inside = None if acts is None else partial(SteppedInput, acts)
    return Method(
        quantizer=partial(put_around, make=make, inside=inside, skip=skipped(skip)),
        observers=(FitInputs,),
        corrections=(lambda: bound,),
    )
