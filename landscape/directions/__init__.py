"""Directions: the axes of lines and planes through parameter space."""

from landscape.directions.bitplane import bitplane
from landscape.directions.gaussian import NORMALIZATIONS, random
from landscape.directions.local import eigen, gradient
from landscape.directions.reading import given, load
from landscape.directions.through import between, principal
from landscape.frame import Frame, Marks

__all__ = [
    "NORMALIZATIONS", "Frame", "Marks",
    "between", "bitplane", "eigen", "given", "gradient", "load", "principal", "random",
]  # fmt: skip
