"""What a network looks like to somebody who moves its latent weights: the surfaces beside that of its own weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.quantization import Quantization
from landscape.quantize.rounding import randomized, softened
from landscape.quantize.scheme import Scheme

STAIRS = (
    "its loss is a staircase in the latent weights, whose derivatives are 0 or do not exist: "
    "look at the quantized weights themselves, --quantized dequant"
)
SURROGATE = (
    "the curvature of a surrogate depends on its temperature and not on the network: "
    "look at the quantized weights themselves, --quantized dequant"
)


class View:
    """A function from the parameters that a probe moves to the weights that the network has there.

    Attributes
    ----------
    no_derivatives : str
        Why this surface has no curvature to measure, and what has.
    grids : dict of str to Grid
    """

    no_derivatives = STAIRS
    grids: Mapping[str, Grid]

    def __call__(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map named parameters (*shape) to weights of the same names and shapes; safe under vmap."""
        return {n: self.weight(n, v) if n in self.grids else v for n, v in values.items()}

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Map one of the quantized parameters."""
        raise NotImplementedError

    def draws(self) -> Iterator[View]:
        """Iterate over the views whose losses are averaged: this one alone, unless it is random."""
        yield self

    def record(self) -> dict[str, Any]:
        """Say what decides the numbers, in plain JSON."""
        return {"surface": type(self).__name__.lower(), "grids": Quantization(dict(self.grids)).sha256()}


@dataclass(frozen=True, eq=False)
class Latent(View):
    """The network of the nearest values: L(Q(w + ...)), the grids frozen."""

    grids: Mapping[str, Grid]

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Round to the grid."""
        return self.grids[name].to(value).hard(value)


@dataclass(frozen=True, eq=False)
class Requant(View):
    """The network that post-training quantization would make at each point: the grids are calibrated anew there."""

    grids: Mapping[str, Grid]
    schemes: Mapping[str, Scheme]
    axes: Mapping[str, int]

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Calibrate, and round."""
        return calibrate(value, self.schemes[name], axis=self.axes[name]).hard(value)

    def record(self) -> dict[str, Any]:
        """Say the schemes."""
        return {"surface": "requant", "schemes": {name: scheme.record() for name, scheme in self.schemes.items()}}


@dataclass(frozen=True, eq=False)
class Smooth(View):
    """The mean loss of networks rounded at random, up or down, so that the mean weight is w: E L(RR(w + ...)).

    Every point is rounded by the same random numbers. Beyond the ends of a grid rounding clips. Weights that an
    objective holds fixed are rounded to the nearest.

    Raises
    ------
    ValueError
        If there are not two samples at least, whose spread tells the error of their mean.

    References
    ----------
    Kwun et al. (2025), LOTION: smoothing the optimization landscape for quantized training, arXiv:2510.08757.
    """

    no_derivatives = (
        "every network that it averages over lies on a staircase: "
        "look at the quantized weights themselves, --quantized dequant"
    )
    grids: Mapping[str, Grid]
    shapes: Mapping[str, tuple[int, ...]]
    samples: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(
                f"Expected at least 2 samples of randomized rounding, got {self.samples}: their spread tells the error "
                "of the mean, 16 are usual."
            )

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Round to the nearest: what is drawn is in `draws`."""
        return self.grids[name].to(value).hard(value)

    def draws(self) -> Iterator[View]:
        """Iterate over the samples."""
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.samples):
            yield _Drawn(self.grids, {n: torch.rand(shape, generator=generator) for n, shape in self.shapes.items()})

    def record(self) -> dict[str, Any]:
        """Say how many samples are drawn, and from which seed."""
        return super().record() | {"samples": self.samples, "seed": self.seed}


@dataclass(frozen=True, eq=False)
class _Drawn(View):
    """Weights rounded by given random numbers."""

    grids: Mapping[str, Grid]
    uniform: Mapping[str, Tensor]

    def weight(self, name: str, value: Tensor) -> Tensor:
        return randomized(value, self.grids[name].to(value), self.uniform[name].to(value.device))


@dataclass(frozen=True, eq=False)
class Soft(View):
    """The network whose rounding is a sum of hyperbolic tangents: see `landscape.quantize.rounding.softened`.

    Raises
    ------
    ValueError
        If the temperature is not positive and finite.
    """

    no_derivatives = SURROGATE
    grids: Mapping[str, Grid]
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"Expected a positive, finite temperature of soft rounding, got {self.temperature}: 0.1 is usual."
            )

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Round softly."""
        return softened(value, self.grids[name].to(value), self.temperature)

    def record(self) -> dict[str, Any]:
        """Say the temperature."""
        return super().record() | {"temperature": self.temperature}
