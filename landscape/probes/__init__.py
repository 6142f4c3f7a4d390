"""Probes: functions from an objective to a result, one file each."""
