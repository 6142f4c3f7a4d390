"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from landscape.train.fit import Run
from landscape.train.observers.every import Observer

INTERVAL = 10.0  # seconds between two lines off a terminal
Meter = Callable[..., None]


@contextmanager
def progress(console: Console | None = None, *, interval: float = INTERVAL) -> Iterator[Observer]:
    """Give an observer that shows how far a run is, on standard error unless told otherwise.

    Parameters
    ----------
    console : rich Console, optional
        Where to write.
    interval : float, seconds
        Time between two lines where there is no terminal.
    """
    with meter("training", console, interval=interval) as tell:
        yield lambda run: tell(run.clock.step, run.clock.steps, described(run))


@contextmanager
def meter(label: str, console: Console | None = None, *, interval: float = INTERVAL) -> Iterator[Meter]:
    """Give a function ``(done, total, label=...)`` that shows how far any work is, with what is left of it.

    Parameters
    ----------
    label : str
        What is done, until a call says more.
    console, interval
        As in `progress`.
    """
    where = Console(stderr=True) if console is None else console
    if not where.is_terminal:
        yield _lines(label, where, interval)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=where, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def tell(done: int, total: int, label: str = label) -> None:
            bar.update(task, description=label, completed=done, total=total)

        yield tell


def described(run: Run) -> str:
    """Say where a run is: the epoch, and the last record of its history."""
    clock = run.clock
    text = f"epoch {min(clock.epoch + (not clock.finished), clock.epochs)}/{clock.epochs}"
    if not run.history:
        return text
    last = run.history[-1]
    text += f", loss {last['objective']:.4g}"
    return text + (f", test accuracy {last['test_accuracy']:.4f}" if last.get("test_accuracy") is not None else "")


def _lines(label: str, console: Console, interval: float) -> Meter:
    began = last = time.monotonic()
    first: int | None = None

    def tell(done: int, total: int, label: str = label) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first is None else first  # work that goes on had something done before it began
        if now - last < interval:
            return
        last = now
        left = f", about {(now - began) / (done - first) * (total - done):.0f} s left" if done > first else ""
        console.print(f"{label}: {done} of {total}{left}", highlight=False, soft_wrap=True)

    return tell
