"""Which process of a training writes."""

from __future__ import annotations

import os

import torch


def first() -> bool:
    """Say whether this process is the one that writes: rank 0, or the only one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return os.environ.get("RANK", "0") in ("", "0")
