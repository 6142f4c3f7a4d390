"""Gradient rules, one file each: from a step to its loss, leaving a gradient in ``.grad``."""
