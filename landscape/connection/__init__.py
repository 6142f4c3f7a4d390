"""Connections: low-loss paths between networks, found by training."""
