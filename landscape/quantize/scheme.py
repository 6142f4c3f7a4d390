"""A quantization scheme: how many bits, which levels, and how they are fitted to the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FAMILIES = ("narrow", "full", "midrise", "binary", "ternary", "levels")
CALIBRATIONS = ("minmax", "percentile", "mse")
LOWEST, HIGHEST = 1, 8  # bits
ENOUGH = 8  # bits from which on clipping costs more than it gains, so that the whole range is kept


@dataclass(frozen=True)
class Scheme:
    """What a number of bits means: two schemes of one width can differ as much as two widths.

    Parameters
    ----------
    bits : int
        From 1 to 8.
    family : {"auto", "narrow", "full", "midrise", "binary", "ternary", "levels"}
        Which levels, of step s: narrow ``-(2^(b-1)-1) s ... (2^(b-1)-1) s``, which has a zero and is symmetric; full,
        one more below, or any ``2^b`` in a row where not symmetric; midrise ``+-s/2, +-3s/2, ...``, ``2^b`` of them
        without a zero; binary ``+-s``; ternary ``-s, 0, s``; levels, ``2^b`` learned ones. "auto" is narrow from 3 bits
        on, midrise at 2 and binary at 1.
    calibration : {"auto", "minmax", "percentile", "mse"}
        The levels reach the largest weight, the percentile of the weights, or as far as makes the mean squared error
        smallest. "auto" is minmax at 8 bits and mse below. Binary, ternary and learned levels have formulas of their
        own, and record "own".
    symmetric : bool, default=True
        Whether the range is symmetric about 0; else it has a zero point (family full).
    channels : bool, default=True
        A grid for every output unit of a layer; else one for the whole tensor.
    percentile : float, default=99.9
        Of calibration "percentile", from above 50 to 100: of the values below the upper end of the range.

    Raises
    ------
    ValueError
        If a value is out of range, or the parts do not fit one another.

    References
    ----------
    Nagel et al. (2021), A white paper on neural network quantization, arXiv:2106.08295.
    """

    bits: int
    family: str = "auto"
    calibration: str = "auto"
    symmetric: bool = True
    channels: bool = True
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not LOWEST <= self.bits <= HIGHEST:
            raise ValueError(f"Expected bits from {LOWEST} to {HIGHEST}, got {self.bits}: choose such a width.")
        _among("family", self.family, FAMILIES)
        _among("calibration", self.calibration, (*CALIBRATIONS, "own"))
        if not 50 < self.percentile <= 100:
            raise ValueError(f"Expected a percentile above 50, up to 100, got {self.percentile}: 99.9 is usual.")
        if self.family == "auto":
            usual = {1: "binary", 2: "midrise"}.get(self.bits, "narrow")
            object.__setattr__(self, "family", usual if self.symmetric else "full")
        if self.family in ("binary", "ternary", "levels"):
            object.__setattr__(self, "calibration", "own")
        elif self.calibration in ("auto", "own"):
            object.__setattr__(self, "calibration", "minmax" if self.bits >= ENOUGH else "mse")
        self._fit()

    def _fit(self) -> None:
        exact = {"binary": 1, "ternary": 2}.get(self.family, self.bits)
        if self.bits != exact:
            raise ValueError(f"Expected {exact} bits for family {self.family}, got {self.bits}: change one of them.")
        if self.family == "narrow" and self.bits == 1:
            raise ValueError("Expected 2 bits or more for family narrow, got 1: take binary or midrise.")
        if self.family == "full" and self.bits == 1 and self.symmetric:
            raise ValueError("Expected 2 bits or more for family full, got 1: take binary or midrise.")
        if not self.symmetric and self.family != "full":
            raise ValueError(f"Expected family full for a range that is not symmetric, got {self.family}: take full.")

    def record(self) -> dict[str, Any]:
        """Return the scheme as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        unit = "channel" if self.channels else "tensor"
        side = "" if self.symmetric else ", asymmetric"
        return f"{self.bits} bits, {self.family}{side}, {self.calibration}, per {unit}"


def _among(what: str, value: str, known: tuple[str, ...]) -> None:
    if value != "auto" and value not in known:
        raise ValueError(f"Expected {what} among {', '.join(known)} or auto, got {value!r}: choose one of them.")
