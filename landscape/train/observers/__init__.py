"""Observers, one file each: called with the run before its first step and after every step."""
