"""Comparisons: networks at several widths, measured alike, with one table and one figure."""

from landscape.comparison.compare import compare
from landscape.comparison.comparison import Comparison

__all__ = ["Comparison", "compare"]
