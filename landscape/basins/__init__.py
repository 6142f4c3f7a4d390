"""Basins of a measured loss: how many, how deep, how large, and which of them noise may have made."""
