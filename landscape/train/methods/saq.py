"""Sharpness-aware quantization."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import Quantized, Quantizer, put_on
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.standardized import Standardized
from landscape.train.gradients.at_quantized import at_quantized
from landscape.train.method import Method
from landscape.train.observers.calibrate import Calibrate

QUANTIZERS = ("liq", "ste")


def saq(*, bits: int = 4, rho: float = 0.1, quantizer: str = "liq", skip: str = "") -> Method:
    """Descend along the gradient at the worst weights near the quantized ones: ``G = grad_w L(Q(w) + e)``.

    ``e = rho g / |g|`` with ``g`` the gradient of L at Q(w), and at the parameters themselves where they are not
    quantized. A displacement of the latent weights, as SAM's, would be lost in rounding where it is smaller than a step
    of the grid.

    Parameters
    ----------
    bits : int, default=4
        Of the weights.
    rho : float, default=0.1
        Radius of the neighbourhood; published for ResNet-20 at 4 bits: 0.4. 0 is plain quantization-aware training.
    quantizer : str, liq or ste
        liq: standardized weights on a mid-rise grid whose end is learned, the paper's; ste: the grids of the method of
        that name, which are calibrated at the beginning of every epoch.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range or unknown, or there is nothing to quantize.

    Notes
    -----
    Two gradient evaluations a step. Ours is that ``liq`` multiplies by the standard deviation again: see
    `landscape.quantize.trained.standardized.Standardized`. The published displacement takes in learned ends of
    activations too, and its search for widths is not built.

    References
    ----------
    Liu, Cai and Zhuang (2021), Sharpness-aware quantization for deep neural networks, arXiv:2111.12273; their code.
    """
    if not 0 <= rho < math.inf:
        raise ValueError(f"Expected rho at least 0, got {rho:g}: set it as in saq:rho=0.1.")
    if quantizer not in QUANTIZERS:
        raise ValueError(f"Expected a quantizer among {', '.join(QUANTIZERS)}, got {quantizer!r}: choose one of them.")
    scheme = Scheme(bits)

    def make(weight: Tensor, axis: int) -> Quantizer:
        return Standardized(weight, bits) if quantizer == "liq" else Quantized(weight, scheme, axis, clipped)

    observers = (Calibrate,) if quantizer == "ste" else ()
    return Method(
        gradient=at_quantized(rho), quantizer=partial(put_on, make=make, skip=skipped(skip)), observers=observers,
        evaluations=2,
    )  # fmt: skip
