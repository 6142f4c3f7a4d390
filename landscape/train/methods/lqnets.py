"""LQ-Nets: levels that are learned by minimizing the quantization error."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.layers import skipped
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.bases import Based, BasedInput
from landscape.quantize.trained.inputs import put_around, require_bits
from landscape.train.method import Method
from landscape.train.observers.fit_inputs import FitInputs
from landscape.train.observers.follow import refit


def lqnets(*, bits: int = 2, acts: int | None = None, skip: str = "") -> Method:
    """Train latent weights on levels that follow them: the sums of a few numbers v, fitted by least squares.

    The levels of an output unit are ``v^T e`` for all e in {-1, 1}^bits, those of what goes into a layer for all e in
    {0, 1}^acts; every number gets the nearest one. At every step, with B the codes of the numbers x,
    ``v <- 0.9 v + 0.1 (B^T B)^-1 B^T x`` (quantization error minimization, QEM). Backward, the derivative of rounding
    is 1, of activations 0 beyond the outermost levels.

    Parameters
    ----------
    bits : int, default=2
        Of the weights.
    acts : int, optional
        Bits of what goes into the layers; full precision unless given.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last. The paper keeps these
        two so.

    Raises
    ------
    ValueError
        If a width is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step, and a fit whose time grows with the number of levels, 2^bits: meant for 2 or 3 bits.
    The weights are refitted after a step, and what goes into a layer in every training pass; second passes over a
    batch, as those of SAM, move nothing. An average of the weights is one of latent weights, on the levels of the last
    step.

    Beside the paper: bases begin fitted to the first weights and to 256 training examples, and not to a normal
    distribution; inputs of a layer that are negative have e in {-1, 1}^acts. The released code adds 1e-4 times the
    identity to ``B^T B``, and so does this.

    References
    ----------
    Zhang, Yang, Ye and Hua (2018), LQ-Nets: learned quantization for highly accurate and compact deep neural networks,
    arXiv:1807.10029.
    """
    Scheme(bits, "levels")
    require_bits(acts, "lqnets")

    def make(weight: Tensor, axis: int) -> Based:
        return Based(weight, bits, axis)

    inside = None if acts is None else partial(BasedInput, acts)
    return Method(
        quantizer=partial(put_around, make=make, inside=inside, skip=skipped(skip)),
        observers=(FitInputs,),
        corrections=(lambda: refit,),
    )
