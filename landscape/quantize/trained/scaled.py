"""Grids whose scale is chosen once, at the weights that training begins with, and stands still."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from landscape.quantize.estimators.identity import identity
from landscape.quantize.parametrization import Estimator, Quantized
from landscape.quantize.scheme import Scheme

SCALES = ("kaiming", "glorot", "layer", "channel", "one")
STATED = ("kaiming", "glorot", "one")  # whatever the weights are


class Scaled(Quantized):
    """A parametrization whose scale is one of five.

    Parameters
    ----------
    weight : Tensor
        The latent weight to begin with.
    scheme : Scheme
        Binary or ternary for the scales that do not depend on the weights.
    axis : int
        Where the output units lie.
    estimator : callable (weight, grid) -> weight
    scale : {"kaiming", "glorot", "layer", "channel", "one"}
        ``sqrt(2 / inputs)`` of the layer: binary weights of that size keep the variance of activations through ReLU;
        ``sqrt(1.5 / (inputs + outputs))``; what the scheme calibrates for the layer (of binary grids the mean absolute
        weight), or for every output channel; 1, for layers that a batch norm follows.

    Raises
    ------
    ValueError
        If the scale is unknown, or cannot be stated for the scheme.

    References
    ----------
    He et al. (2015), Delving deep into rectifiers, arXiv:1502.01852 (kaiming); Courbariaux, Bengio & David (2015),
    BinaryConnect, arXiv:1511.00363 (1, and Glorot's coefficient in the released code); Rastegari et al. (2016),
    XNOR-Net, arXiv:1603.05279 (the mean absolute weight).
    """

    def __init__(
        self, weight: Tensor, scheme: Scheme, axis: int, estimator: Estimator = identity, *, scale: str = "kaiming"
    ) -> None:
        require_scale(scale, scheme)
        super().__init__(weight, replace(scheme, channels=scale == "channel"), axis, estimator)
        self.stated = scale in STATED
        if self.stated:
            self.scale.fill_(_stated(scale, weight, axis))

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """Fit the grid to the latent weight as it is now, unless its scale does not depend on the weights."""
        if not self.stated:
            super().calibrate(weight)


def require_scale(scale: str, scheme: Scheme) -> None:
    """Refuse a scale that is unknown, or that the scheme has formulas of its own for."""
    if scale not in SCALES:
        raise ValueError(f"Expected a scale among {', '.join(SCALES)}, got {scale!r}: choose one of them.")
    if scale in STATED and scheme.family not in ("binary", "ternary"):
        raise ValueError(
            f"Expected the scale layer or channel for family {scheme.family}, got {scale!r}: choose one of these."
        )


def _stated(scale: str, weight: Tensor, axis: int) -> float:
    """Return a scale that depends on the shape of a weight alone; the size of a kernel counts in inputs and outputs."""
    kernel = math.prod(weight.shape[2:])
    outputs, inputs = weight.shape[axis] * kernel, weight.shape[1 - axis] * kernel
    return {"kaiming": math.sqrt(2 / inputs), "glorot": math.sqrt(1.5 / (inputs + outputs)), "one": 1.0}[scale]
