"""Progress of a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from landscape.train.fit import Run
from landscape.train.observers.every import Observer

INTERVAL = 10.0  # seconds between two lines off a terminal


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
    where = Console(stderr=True) if console is None else console
    if not where.is_terminal:
        yield _lines(where, interval)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=where, transient=True) as bar:
        task = bar.add_task("training", total=None)
        yield lambda run: bar.update(task, description=described(run), completed=run.clock.step, total=run.clock.steps)


def described(run: Run) -> str:
    """Say where a run is: the epoch, and the last record of its history."""
    clock = run.clock
    text = f"epoch {min(clock.epoch + (not clock.finished), clock.epochs)}/{clock.epochs}"
    if not run.history:
        return text
    last = run.history[-1]
    text += f", loss {last['objective']:.4g}"
    return text + (f", test accuracy {last['test_accuracy']:.4f}" if last.get("test_accuracy") is not None else "")


def _lines(console: Console, interval: float) -> Observer:
    began = last = time.monotonic()
    first: int | None = None

    def see(run: Run) -> None:
        nonlocal last, first
        if first is None:
            first = run.clock.step - bool(run.clock.step)
        now = time.monotonic()
        if now - last < interval:
            return
        last = now
        left = (now - began) / max(1, run.clock.step - first) * (run.clock.steps - run.clock.step)
        console.print(f"{described(run)}; {now - began:.0f} s, about {left:.0f} s left", highlight=False)

    return see
