"""Timing side by side: several ways of doing the same work, in turn, so that a busy machine is busy for all of them."""

from __future__ import annotations

import os
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch._dynamo.utils import calculate_time_spent
from torch._inductor.utils import fresh_cache

SHORTEST = 0.2  # seconds: work that takes less is repeated within one timing
LONG = 4.0  # seconds: work that takes more is warmed up once


@dataclass(frozen=True)
class Way:
    """A way of evaluating points: calling `run` evaluates `points` of them."""

    name: str
    run: Callable[[], object]
    points: int = 1


def interleaved(ways: list[Way], rounds: int) -> dict[str, list[float]]:
    """Time every way once a round, in the order A B C, A B C, ...: seconds per point, by name.

    Each way is first run uncounted: to warm up, and once more, unless it takes long, to learn how often it must be
    repeated to be measurable.
    """
    repeats = {}
    for way in ways:
        took = seconds(way.run)
        took = seconds(way.run) if took < LONG else took
        repeats[way.name] = max(1, round(SHORTEST / max(took, 1e-6)))
    found: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            took = seconds(way.run, repeats[way.name])
            found[way.name].append(took / repeats[way.name] / way.points)
    return found


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """Time `times` calls, until the device is done."""
    _wait()
    begun = time.perf_counter()
    for _ in range(times):
        run()
    _wait()
    return time.perf_counter() - begun


def ratio(times: list[float], reference: list[float]) -> tuple[float, float, float]:
    """Return median, smallest and largest of the ratios within a round."""
    ratios = [mine / other for mine, other in zip(times, reference, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


@contextmanager
def compiling():
    """Compile anew, as on the first day; yield a function that tells the seconds spent on compiling so far."""
    with fresh_cache():
        torch._dynamo.reset()
        before = calculate_time_spent().get("entire_frame_compile", 0.0)
        yield lambda: calculate_time_spent().get("entire_frame_compile", 0.0) - before


def peak(device: torch.device) -> int:
    """Return the peak memory since `forget`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:  # getrusage would tell the peak of the process that started this one, if that was higher
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget(device: torch.device) -> None:
    """Start the peak anew at what is held now, where the system can do that."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def machine(device: torch.device) -> str:
    """Describe where the figures come from."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {versions}"
    threads, cores = torch.get_num_threads(), os.cpu_count()
    return f"{_processor()}, {threads} threads of {cores} cores, {versions}"


def write_section(path: Path, name: str, text: str) -> None:
    """Put text between ``<!-- name -->`` and ``<!-- end -->``; at the end of the file, if it has no such section."""
    section = f"<!-- {name} -->\n{text.strip()}\n<!-- end -->"
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    pattern = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    new = pattern.sub(lambda _: section, whole) if pattern.search(whole) else f"{whole.rstrip()}\n\n{section}\n"
    path.write_text(new, encoding="utf-8")


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _processor() -> str:
    """Name the CPU, with its vector instructions, which tell more than the names that virtual machines give."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
