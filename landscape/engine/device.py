"""Devices and number formats: where the arithmetic happens, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch

PRECISIONS = ("float32", "float64", "bfloat16", "tf32")
SHARE = 0.25  # of the free memory, for one chunk of activations


def device(name: str | torch.device) -> torch.device:
    """Find a device: ``auto`` is the fastest one present.

    Raises
    ------
    ValueError
        If the machine does not have it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"Expected device auto, cpu, cuda, cuda:N or mps, got {name!r}.") from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(found.type, False) or (found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"Expected a device of this machine, got {name!r}, which it does not have: use --device cpu.")
    return found


def dtype(precision: str) -> torch.dtype:
    """Return the number format of parameters and data (bfloat16 and tf32 keep them in float32).

    Raises
    ------
    ValueError
        If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Expected a precision among {', '.join(PRECISIONS)}, got {precision!r}.")
    return torch.float64 if precision == "float64" else torch.float32


@contextmanager
def differentiable() -> Iterator[None]:
    """Leave inference mode for a while: derivatives in it are zero, and its tensors have none later either."""
    with torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext():
        yield


@contextmanager
def arithmetic(precision: str, where: torch.device):
    """Compute in a precision, whatever the process is set to; leave the settings and the random state as they were.

    Autocast keeps no casts of weights: they change in place from point to point.
    """
    with ExitStack() as stack:
        stack.enter_context(differentiable())
        stack.enter_context(torch.random.fork_rng(_random(where), device_type=_accelerator(where)))
        stack.enter_context(_settings("tf32" if precision == "tf32" else "ieee"))
        half = precision == "bfloat16"
        if half or torch.is_autocast_enabled(where.type):
            stack.enter_context(torch.autocast(where.type, torch.bfloat16, enabled=half, cache_enabled=False))
        yield


@contextmanager
def _settings(float32: str):
    """Set how float32 is multiplied on every backend, and that cuDNN repeats itself, for a while."""
    matmul, cudnn, mkldnn = torch.backends.cuda.matmul, torch.backends.cudnn, torch.backends.mkldnn
    formats = (matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv)
    before = [backend.fp32_precision for backend in formats]
    modes = cudnn.deterministic, cudnn.benchmark
    try:
        for backend in formats[:3]:
            backend.fp32_precision = float32
        for backend in formats[3:]:
            backend.fp32_precision = "ieee"
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        for backend, value in zip(formats, before, strict=True):
            backend.fp32_precision = value
        cudnn.deterministic, cudnn.benchmark = modes


def _random(where: torch.device) -> list[torch.device]:
    return [] if where.type == "cpu" else [where]


def _accelerator(where: torch.device) -> str:
    return "cuda" if where.type == "cpu" else where.type


def free_memory(where: torch.device) -> int:
    """Estimate the free memory of a device, in bytes."""
    if where.type == "cuda":
        free, _ = torch.cuda.mem_get_info(where)
        return free + torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    try:
        with open("/proc/meminfo") as file:
            kilobytes = next(line.split()[1] for line in file if line.startswith("MemAvailable"))
        return int(kilobytes) * 1024
    except (OSError, StopIteration):
        return 4 * 2**30


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is a lack of memory, on any device."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(s in str(error) for s in ("out of memory", "can't allocate memory"))
    )
