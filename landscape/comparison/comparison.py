"""Networks at several widths side by side: a table of numbers with their errors, and the results behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.result import Collection, Result, quantity

FULL = 32  # bits of a weight that is not rounded
CLEAR = 2.0  # standard errors of a difference from which on it counts
ROUNDING = 16 * float(np.finfo(np.float32).eps)  # relative to the values: networks are evaluated in single precision


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Collection):
    """Networks at several widths, measured alike: a row for each, a column for each measure.

    The members are what was measured, named ``NETWORK/wBITS/PROBE``, as in ``sgd/w4/surface``; what lies between the
    networks of one width is ``between/wBITS/barriers``, and what a network loses by rounding ``NETWORK/w32/bits``.
    """

    network: np.ndarray = quantity("network", "row")
    bits: np.ndarray = quantity("bits of a weight, 32 at full precision; NaN where layers differ", "row")
    measure: np.ndarray = quantity("measure", "measure")
    unit: np.ndarray = quantity("unit of a measure", "measure")
    better: np.ndarray = quantity("which side of a measure is marked: lower, higher or none", "measure")
    value: np.ndarray = quantity("value; NaN where it was not measured", "row", "measure")
    error: np.ndarray = quantity("its standard error or residual; 0 where it is exact, NaN unknown", "row", "measure")
    apart: np.ndarray = quantity(
        "standard error of the difference of two rows, paired over examples where these are known",
        "row", "other", "measure",
    )  # fmt: skip

    @property
    def rows(self) -> list[str]:
        """Name every row, as its members are named: ``sgd/w4``."""
        return [f"{name}/{width(bits)}" for name, bits in zip(self.network.tolist(), self.bits.tolist(), strict=True)]

    @property
    def best(self) -> np.ndarray:
        """Say which values (row, measure) are marked: ahead of every other network of the same width, clearly.

        Clearly is by more than two standard errors of the difference, and by more than single precision rounds; a
        difference of unknown error is not clear. That every rival is beaten needs no correction for their number.
        """
        found = np.zeros(self.value.shape, bool)
        sign = np.array([{"lower": -1.0, "higher": 1.0}.get(side, np.nan) for side in self.better.tolist()])
        for i in range(len(found)):
            rivals = [k for k in range(len(found)) if k != i and _same(self.bits[k], self.bits[i])]
            known = [~np.isnan(self.value[k]) for k in rivals]
            with np.errstate(invalid="ignore"):
                ahead = [sign * (self.value[i] - self.value[k]) > self._least(i, k) for k in rivals]
            if rivals:
                beaten = [a | ~seen for a, seen in zip(ahead, known, strict=True)]
                found[i] = np.all(beaten, axis=0) & np.any(known, axis=0) & ~np.isnan(self.value[i])
        return found

    def _least(self, one: int, other: int) -> np.ndarray:
        """Return how far apart two rows have to be for a clear difference: (measure,)."""
        size = np.maximum(np.abs(self.value[one]), np.abs(self.value[other]))
        return np.maximum(CLEAR * self.apart[one, other], ROUNDING * size)

    def of(self, probe: str) -> dict[str, Result]:
        """Return the members that a probe measured, by row: ``{"sgd/w4": Surface, ...}``."""
        return {
            name.rpartition("/")[0]: member for name, member in self.members.items() if name.rpartition("/")[2] == probe
        }

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell every value with its error, by row and measure."""
        return {
            f"{row} {name}": (float(self.value[i, j]), float(self.error[i, j]))
            for i, row in enumerate(self.rows)
            for j, name in enumerate(self.measure.tolist())
            if not np.isnan(self.value[i, j])
        }


def width(bits: float) -> str:
    """Name a width as members do.

    Examples
    --------
    >>> width(4), width(float("nan"))
    ('w4', 'mixed')
    """
    return "mixed" if np.isnan(bits) else f"w{bits:g}"


def gathered(members: Mapping[str, Result], *, origin: dict[str, Any] | None = None) -> Comparison:
    """Make a comparison of what was measured, by name: ``NETWORK/wBITS/PROBE``.

    Parameters
    ----------
    members : mapping of str to Result
    origin : dict, optional
        Where the comparison comes from; every member tells its own besides.

    Raises
    ------
    ValueError
        If a name is of another form, nothing was measured of any network, or two results were not measured alike: the
        error says what differs.
    """
    from landscape.comparison.comparable import require_comparable
    from landscape.comparison.measures import columns

    require_comparable(members)
    rows, found = columns(members)
    return Comparison(
        network=np.array([name for name, _ in rows]), bits=np.array([float(bits) for _, bits in rows]),
        measure=np.array([column.name for column in found]), unit=np.array([column.unit for column in found]),
        better=np.array([column.better for column in found]),
        value=np.stack([column.value for column in found], -1), error=np.stack([column.error for column in found], -1),
        apart=np.stack([column.apart for column in found], -1), members=dict(members), origin=dict(origin or {}),
    )  # fmt: skip


def _same(one: float, other: float) -> bool:
    return one == other or bool(np.isnan(one) and np.isnan(other))
