"""A trained network, quantized: rounding, statistics of batch norm, activations, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from landscape.ptq.adaround import Reconstruction, adaround
from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.layers import chosen
from landscape.quantize.observed import observed
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.train.batches import Resident
from landscape.train.refresh import normalized, refresh

ROUNDINGS = ("nearest", "adaround")
STATISTICS = ("keep", "recalibrate")


def schemes(model: nn.Module, scheme: Scheme, skip: Iterable[str] = ()) -> dict[str, Scheme]:
    """Give every weight that is quantized the same scheme: see `landscape.quantize.layers.chosen`."""
    return {name: scheme for name in chosen(model, skip)}


def ptq(
    model: nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    rounding: str = "nearest",
    batches: Sequence[Any] = (),
    iterations: int = 1000,
    rate: float = 0.01,
    batchnorm: str = "keep",
    training: Resident | None = None,
    act_bits: int | None = None,
    act_calibration: str = "auto",
    percentile: float = 99.9,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[nn.Module, Quantization]:
    """Quantize a trained network: rounding first, then statistics of batch norm, then grids of activations.

    Parameters
    ----------
    model : nn.Module
        With weights of full precision; not touched.
    schemes : mapping of str to Scheme
        By name of the weight.
    rounding : {"nearest", "adaround"}
    batches : sequence of batches
        Inputs without targets, on the device of the network: what AdaRound and the grids of activations are fitted to.
    iterations : int, default=1000
        Of AdaRound, for each layer.
    rate : float, default=0.01
        Learning rate of AdaRound.
    batchnorm : {"keep", "recalibrate"}
        Statistics: those that the network came with, so that rounding is all that changes, which needs no data and is
        what users of post-training quantization expect; or those of the rounded weights on the training split.
    training : Resident, optional
        The training split, for "recalibrate", as it is to be seen: ``training.augmented("crop,flip")`` for a network
        that was trained so.
    act_bits : int, optional
        Width of what goes into the quantized layers; not quantized by default.
    act_calibration, percentile : str, float
        How the grids of activations are fitted: see `landscape.quantize.observed.observed`.
    progress : callable, optional
        Of AdaRound: told (layers done, layers in all).

    Returns
    -------
    network : nn.Module
        A copy with the rounded weights, its activations quantized where asked for.
    quantization : Quantization
        Its record says all that was done, without where the network came from.

    Raises
    ------
    ValueError
        If a knob has no such value, what it needs is missing, or a scale is not positive.
    """
    _expect(rounding, batchnorm, batches, training, act_bits, model)
    network = deepcopy(model).eval()
    axes, parameters = chosen(network), dict(network.named_parameters())
    latent = {name: parameters[name].detach().clone() for name in schemes}
    grids = {name: calibrate(latent[name], one, axis=axes[name]) for name, one in schemes.items()}
    for name, one in grids.items():
        _require_finite(name, latent[name])
        one.require_positive(name)
    values, reports = _values(network, latent, grids, rounding, batches, iterations, rate, progress)
    with torch.no_grad():
        for name, tensor in values.items():
            parameters[name].copy_(tensor)
    if batchnorm == "recalibrate" and training is not None:
        refresh(network, training)
    names = [name.removesuffix("weight").removesuffix(".") for name in schemes]
    fit = {"names": names, "calibration": act_calibration, "percentile": percentile}
    inputs = {} if act_bits is None else observed(network, batches, act_bits, **fit)
    record = {
        "schemes": {name: one.record() for name, one in schemes.items()},
        "rounding": rounding,
        **({"iterations": iterations, "rate": rate} if rounding == "adaround" else {}),
        **({"reconstruction": [one.record() for one in reports]} if reports else {}),
        "batchnorm": batchnorm if normalized(network) else "none",
        "activations": act_bits and {"bits": act_bits, "calibration": act_calibration, "percentile": percentile},
    }
    return activations.attach(network, inputs), Quantization(grids, latent, inputs, record)


def _values(
    model: nn.Module, latent: Mapping[str, Tensor], grids: Mapping[str, Grid], rounding: str, batches: Sequence[Any],
    iterations: int, rate: float, progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Tensor], tuple[Reconstruction, ...]]:  # fmt: skip
    if rounding == "adaround":
        return adaround(model, grids, batches, iterations=iterations, rate=rate, progress=progress)
    return {name: one.hard(latent[name]) for name, one in grids.items()}, ()


def _require_finite(name: str, weight: Tensor) -> None:
    if not bool(torch.isfinite(weight).all()):
        raise ValueError(f"Expected finite weights in {name!r}, got NaN or infinite ones: the network is damaged.")


def _expect(
    rounding: str, batchnorm: str, batches: Sequence[Any], training: Resident | None, act_bits: int | None,
    model: nn.Module,
) -> None:  # fmt: skip
    for what, value, known in (("rounding", rounding, ROUNDINGS), ("batchnorm", batchnorm, STATISTICS)):
        if value not in known:
            raise ValueError(f"Expected {what} {' or '.join(known)}, got {value!r}: choose one of them.")
    if act_bits is not None:
        Scheme(act_bits, "full", symmetric=False)
    if not batches and (rounding == "adaround" or act_bits is not None):
        raise ValueError("Expected training inputs to fit rounding or activations to, got none: give batches.")
    if batchnorm == "recalibrate" and training is None and normalized(model):
        raise ValueError("Expected the training split to recalibrate batch norm on, got none: give it.")
