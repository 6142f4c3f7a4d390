"""Quantization-aware training with the straight-through estimator."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.estimators.identity import identity
from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import Quantized
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.inputs import put_around, require_bits
from landscape.quantize.trained.ranges import Ranged
from landscape.train.method import Method
from landscape.train.observers.calibrate import Calibrate
from landscape.train.observers.fit_inputs import FitInputs


def ste(
    *,
    bits: int = 4,
    acts: int | None = None,
    clip: bool = True,
    family: str = "auto",
    calibration: str = "auto",
    skip: str = "",
) -> Method:
    """Train latent weights through rounding: forward at Q(w), backward as if rounding were not there.

    Parameters
    ----------
    bits : int, default=4
        Of the weights.
    acts : int, optional
        Bits of what goes into the layers; full precision unless given.
    clip : bool, default=True
        Whether weights beyond the ends of the grid have no gradient. Activations beyond the ends of theirs have none.
    family, calibration : str
        Of the weights, as in `landscape.quantize.scheme.Scheme`.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If the scheme does not fit, a width is out of range, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. The grids are calibrated anew at the beginning of every epoch, those of activations
    to 256 training examples. The checkpoint holds the quantized weights, their grids and the latent weights. An
    average of the weights is one of latent weights, deployed on the last grids.

    References
    ----------
    Bengio, Leonard & Courville (2013), Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432;
    Hubara et al. (2018), Quantized neural networks, arXiv:1609.07061 (clipping).
    """
    scheme, estimator = Scheme(bits, family, calibration), clipped if clip else identity
    require_bits(acts, "ste")

    def make(weight: Tensor, axis: int) -> Quantized:
        return Quantized(weight, scheme, axis, estimator)

    inside = None if acts is None else partial(Ranged, acts)
    return Method(
        quantizer=partial(put_around, make=make, inside=inside, skip=skipped(skip)),
        observers=(Calibrate, FitInputs),
    )
