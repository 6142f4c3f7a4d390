"""Schedules: pure functions of the clock, so that a resumed run needs no state of theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

from landscape.train.clock import Clock

Schedule = Callable[[Clock], float]

DROPS = (0.5, 0.75)  # where a step schedule lowers the rate, as fractions of the run (He et al. 2015)


def constant(value: float) -> Schedule:
    """Keep one value."""
    return lambda clock: value


def cosine(value: float, *, final: float = 0.0) -> Schedule:
    """Fall from `value` to `final` along half a cosine, step by step.

    ``final + (value - final) (1 + cos(pi t)) / 2`` with t the fraction of the run.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, arXiv:1608.03983.
    """
    return lambda clock: final + 0.5 * (value - final) * (1 + math.cos(math.pi * clock.fraction))


def step(value: float, *, drops: tuple[float, ...] = DROPS, factor: float = 0.1) -> Schedule:
    """Multiply by `factor` at each of some fractions of the run.

    References
    ----------
    He, Zhang, Ren and Sun (2015), Deep residual learning for image recognition, arXiv:1512.03385.
    """
    return lambda clock: value * factor ** sum(clock.step >= drop * clock.steps for drop in drops)


def warmed(schedule: Schedule, epochs: float) -> Schedule:
    """Multiply a schedule by a line that rises to 1 over the first `epochs`; never zero.

    References
    ----------
    Goyal et al. (2017), Accurate, large minibatch SGD, arXiv:1706.02677.
    """
    if epochs <= 0:
        return schedule
    return lambda clock: schedule(clock) * min(1.0, (clock.step + 1) / max(1.0, epochs * clock.per_epoch))


SCHEDULES = {f.__name__: f for f in (constant, cosine, step)}
