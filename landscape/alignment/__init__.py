"""Permutation symmetries: networks brought to the same order of units, so that they can be compared."""
