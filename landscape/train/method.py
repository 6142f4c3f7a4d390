"""A training method: small functions around an untouched torch optimizer, and how two methods become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from landscape.train.objectives.cross_entropy import Logits, Weight
from landscape.train.schedules import Schedule
from landscape.train.settings import Settings
from landscape.train.step import Gradient, Objective

Seen = Callable[..., Any]

ONCE = {
    "gradient": "gradient rule",
    "rate": "learning-rate schedule",
    "optimizer": "optimizer",
    "logits": "change of the logits",
    "average": "average of the weights",
    "quantizer": "quantizer of the weights",
}


@dataclass(frozen=True)
class Method:
    """What a method changes in a plain run; what it leaves out stays plain.

    Two methods add up to one: what every run has once (a gradient rule, a learning rate, an optimizer, a change of the
    logits, an average) may come from one of them only; objectives, class weights, other schedules and observers of
    both are taken.

    Parameters
    ----------
    name : str
        For the record and for errors; empty for a plain run.
    gradient : callable (step) -> loss, optional
        Leaves a gradient in ``.grad``, in the six verbs of `landscape.train.step.Step`.
    rate : callable (highest learning rate) -> schedule, optional
        Replaces the learning-rate schedule of the settings.
    optimizer : callable (parameters, settings) -> torch optimizer, optional
        Replaces the optimizer of the settings.
    logits : callable (counts (C,)) -> (logits (B, C), targets (B,)) -> logits, optional
        Changes the logits before the cross entropy, knowing how many training examples each class has.
    average : callable () -> observer, optional
        Makes the observer whose average of the weights the run ends at.
    quantizer : callable (model) -> None, optional
        Puts quantizers on the layers of the network that is trained, in place: see
        `landscape.quantize.parametrization.put_on`. The checkpoint holds what they deploy.
    weights : sequence of callables (counts (C,)) -> (clock) -> (C,) or None
        Weights of the classes in the mean of the cross entropy; None weighs them alike. Several are multiplied.
    objectives : sequence of callables (objective) -> objective
        Each makes a training objective ``(model, batch, clock) -> scalar`` of another.
    schedules : dict of str to callable (clock) -> float
        By name of the hyper-parameter.
    observers : sequence of callables () -> observer
        Each makes an observer of one run, so that runs share no state.
    corrections : sequence of callables () -> callable (run) -> None
        The same for what ends a step by changing the weights or their grids: it comes before what observers see.
    evaluations : int
        Gradient evaluations of one step, each over a whole batch; those of two methods are multiplied.
    surgery : tuple of str
        Changes of the network, by their names in `landscape.surgery`.
    arguments : dict of str to dict
        What each method was called with, by its name: plain values (JSON).
    """

    name: str = ""
    gradient: Gradient | None = None
    rate: Callable[[float], Schedule] | None = None
    optimizer: Callable[[Iterable[nn.Parameter], Settings], Optimizer] | None = None
    logits: Callable[[Tensor], Logits] | None = None
    average: Callable[[], Seen] | None = None
    quantizer: Callable[[nn.Module], object] | None = None
    weights: Sequence[Callable[[Tensor], Weight]] = ()
    objectives: Sequence[Callable[[Objective], Objective]] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    observers: Sequence[Callable[[], Seen]] = ()
    corrections: Sequence[Callable[[], Seen]] = ()
    evaluations: int = 1
    surgery: tuple[str, ...] = ()
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __add__(self, other: Method) -> Method:
        """Compose two methods.

        Raises
        ------
        ValueError
            If both bring what a run can have only once; the message names both.
        """
        for part, what in ONCE.items():
            if getattr(self, part) is not None and getattr(other, part) is not None:
                self._clash(what, other)
        for name in self.schedules.keys() & other.schedules.keys():
            self._clash(f"schedule of {name}", other)
        return Method(**{f.name: _both(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    def _clash(self, what: str, other: Method) -> None:
        raise ValueError(
            f"Expected one {what} in a run, got those of {self.name!r} and {other.name!r}: leave one of them out."
        )


def _both(part: str, one: Any, other: Any) -> Any:
    if part == "name":
        return "+".join(filter(None, (one, other)))
    if part == "evaluations":
        return one * other  # a gradient rule evaluates the objective so often, and that a batch
    if part in ONCE:
        return other if one is None else one
    if isinstance(one, Mapping):
        return {**one, **other}
    return tuple(dict.fromkeys((*one, *other))) if part == "surgery" else (*one, *other)
