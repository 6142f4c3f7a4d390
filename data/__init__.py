"""Data sets: one file each, a function that returns a Dataset."""
