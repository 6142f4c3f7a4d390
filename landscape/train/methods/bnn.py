"""Binarized neural networks: the signs of weights and activations."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.estimators.identity import identity
from landscape.quantize.layers import skipped
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import put_around, require_bits
from landscape.quantize.trained.scaled import Scaled, require_scale
from landscape.quantize.trained.signs import SignInput
from landscape.train.method import Method
from landscape.train.observers.clip import clip
from landscape.train.observers.fit_inputs import FitInputs


def bnn(*, acts: int | None = 1, scale: str = "one", skip: str = "") -> Method:
    """Train latent weights through their signs, in a network whose layers are given signs.

    Weights: forward ``sign(w)``, with 1 for the sign of 0; backward, the gradient goes straight to w, which is clipped
    to [-1, 1] after every step. Activations: ``sign(a)``, with the derivative 1 where ``|a| <= 1`` and 0 beyond, that
    of the hard hyperbolic tangent.

    Parameters
    ----------
    acts : int, optional
        1 for signs of what goes into the layers, none for full precision.
    scale : str
        What H the signs of weights are multiplied by, all along, and latent weights are clipped to: one, glorot, layer
        or channel, see `landscape.quantize.trained.scaled.Scaled`. The paper's is 1, which wants a batch norm behind
        every layer; where there is none, take channel, the mean absolute weights in the beginning.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. What goes into the first layer, the data, is left as it is, as in the paper. Where
    activations come out of a ReLU their signs say nothing: what was never negative among 256 training examples before
    the first step is rounded to 0 and 1 instead, which is ours.

    References
    ----------
    Hubara, Courbariaux, Soudry, El-Yaniv and Bengio (2016), Binarized neural networks: training neural networks with
    weights and activations constrained to +1 or -1, arXiv:1602.02830.
    """
    require_bits(acts, "bnn", highest=1)
    scheme = Scheme(1, "binary")
    require_scale(scale, scheme)

    def make(weight: Tensor, axis: int) -> Scaled:
        return Scaled(weight, scheme, axis, identity, scale=scale)

    inside = None if acts is None else SignInput
    return Method(
        quantizer=partial(put_around, make=make, inside=inside, skip=skipped(skip), raw=True),
        observers=(FitInputs,),
        corrections=(lambda: clip,),
    )
