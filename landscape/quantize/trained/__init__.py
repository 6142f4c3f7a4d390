"""Quantizers that training moves: one file for each kind of weights (`inputs`: of what goes into layers)."""
