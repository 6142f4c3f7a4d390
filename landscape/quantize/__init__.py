"""Numbers of few bits: grids, how they are calibrated, and what networks look like on them."""
