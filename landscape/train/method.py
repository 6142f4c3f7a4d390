"""A training method: four kinds of small function, composed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from landscape.train.gradients.plain import plain
from landscape.train.schedules import Schedule
from landscape.train.step import Gradient, Objective


@dataclass(frozen=True)
class Method:
    """What a method changes in a plain run; what it leaves out stays plain.

    Parameters
    ----------
    name : str, optional
        For the record; by default the optimizer's.
    objective : callable (objective) -> objective, optional
        Makes the training objective ``(model, batch, clock) -> scalar`` from the mean loss.
    gradient : callable (step) -> loss
        Leaves a gradient in ``.grad``, in the six verbs of `landscape.train.step.Step`.
    schedules : dict of str to callable (clock) -> float
        By name of the hyper-parameter; ``lr`` replaces the learning rate of the settings.
    observers : callable () -> sequence of callables (run) -> None, optional
        Makes the observers of one run, so that runs share no state.
    """

    name: str = ""
    objective: Callable[[Objective], Objective] | None = None
    gradient: Gradient = plain
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    observers: Callable[[], Sequence[Callable[..., Any]]] = tuple
