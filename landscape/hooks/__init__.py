"""Hooks for training loops that are not ours: they leave a trajectory and a checkpoint that describes itself."""

from landscape.checkpoint import Spec
from landscape.hooks.recorder import Recorder

__all__ = ["Recorder", "Spec"]
