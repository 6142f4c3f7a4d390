"""The training loop: schedules, a gradient rule, an untouched torch optimizer, observers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from landscape.train.batches import Batches
from landscape.train.clock import Clock
from landscape.train.gradients.plain import plain
from landscape.train.schedules import Schedule
from landscape.train.step import Gradient, Objective, Step
from landscape.train.streams import Streams

WATCH = 50  # steps between looks at the losses on an accelerator, where every look waits for the device


class Diverged(ValueError):
    """The loss or the weights of a run are no longer finite."""


class Interrupted(KeyboardInterrupt):
    """A run stopped on demand, exactly between two steps."""


@dataclass(eq=False)
class Run:
    """What a run is made of, and how far it is.

    Attributes
    ----------
    model, optimizer : nn.Module, torch.optim.Optimizer
    batches : Batches
    objective : callable (model, batch, clock) -> scalar
    streams : Streams
    clock : Clock
    gradient : callable (step) -> loss
        Leaves ``.grad`` behind.
    schedules : dict of str to callable (clock) -> float
        By name of the hyper-parameter. Names that the optimizer's groups know are set there; a step has all in `hyper`.
    observers : sequence of callables (run) -> None
        Called before the first step and after every step; one with ``begin`` is called so at the beginning of every
        epoch, before its first step, and one with ``finish``, once, after the last step; one with ``state_dict`` and
        ``load_state_dict`` is resumed.
    corrections : list of callables (run) -> None
        Called when observers are, before them: what ends a step by changing the weights, or the grids they lie on.
    losses : list of Tensor
        Loss of each step of the epoch under way.
    history : list of dict
        One record an epoch (JSON).
    kept : dict of str to state dict
        Weights kept beside the final ones, on the CPU: members of an ensemble, the last iterate of an average.
    moments : dict of str to (dict of str to Tensor)
        Moments of the weights along the run, on the CPU, for those who sample from them.
    stale : bool
        Whether the batch-norm statistics are those of other weights than the present ones.
    interrupted : bool
        Set it to stop the run between two steps.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Batches
    objective: Objective
    streams: Streams
    clock: Clock
    gradient: Gradient = plain
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    observers: Sequence[Callable[[Run], Any]] = ()
    corrections: Sequence[Callable[[Run], Any]] = ()
    losses: list[Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    moments: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    stale: bool = False
    interrupted: bool = False

    def keep(self, name: str) -> None:
        """Keep the weights as they are now, under a name."""
        self.kept[name] = on_cpu(self.model)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides how the run goes on: tensors and plain values only."""
        own = {key: getattr(self, key).state_dict() for key in ("optimizer", "batches", "streams", "clock")}
        return own | {
            "state_dict": self.model.state_dict(),
            "observers": [see.state_dict() for see in self._remembering()],
            "losses": torch.stack(self.losses).cpu() if self.losses else torch.zeros(0),
            "history": list(self.history),
            "kept": dict(self.kept),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another run of the same making stood."""
        for key in ("optimizer", "batches", "streams", "clock"):
            getattr(self, key).load_state_dict(state[key])
        self.model.load_state_dict(state["state_dict"])
        for see, remembered in zip(self._remembering(), state["observers"], strict=True):
            see.load_state_dict(remembered)
        self.losses = list(state["losses"].to(self.streams.device))
        self.history = list(state["history"])
        self.kept = dict(state["kept"])

    def _remembering(self) -> list[Any]:
        return [see for see in self.observers if hasattr(see, "state_dict")]


def fit(run: Run) -> Run:
    """Train until the clock of the run has finished, let the observers that can finish, and return the run.

    The caller's random state stays as it is: inside, torch's default generators are the dropout stream.

    Raises
    ------
    Diverged
        If a loss, or a weight at the end of an epoch, is NaN or infinite; the message names the step.
    Interrupted
        If `run.interrupted` was set.
    """
    with run.streams.dropout():
        if run.clock.step == 0:
            _show(run)
        while not run.clock.finished:
            if run.interrupted:
                _require_finite(run, run.losses[-WATCH:])
                raise Interrupted(f"stopped after step {run.clock.step} of {run.clock.steps}")
            advance(run)
            _watch(run)
            _show(run)
        _tell(run, "finish")
    return run


def on_cpu(model: nn.Module) -> dict[str, Tensor]:
    """Copy the state dict of a model as it is now, to the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def advance(run: Run) -> None:
    """Make one step: set the schedules, find the gradient, let the optimizer step."""
    clock = run.clock
    if clock.between_epochs:
        run.batches.shuffle()
        run.losses.clear()
        _tell(run, "begin")
    hyper = {name: schedule(clock) for name, schedule in run.schedules.items()}
    for group in run.optimizer.param_groups:
        group.update({name: value for name, value in hyper.items() if name in group})
    batch = run.batches.take(clock.within)
    step = Step(run.model, run.objective, batch, clock, batches=run.batches, hyper=hyper)
    run.losses.append(run.gradient(step).detach())
    run.optimizer.step()
    run.optimizer.zero_grad()
    clock.step += 1


def epoch_loss(run: Run) -> float:
    """Return the mean objective over the examples of the epoch so far, each at the weights of its step."""
    shares = [run.batches.share(position) for position in range(len(run.losses))]
    values = torch.stack(run.losses).tolist()
    return math.fsum(s * v for s, v in zip(shares, values, strict=True)) / math.fsum(shares)


def _show(run: Run) -> None:
    for see in (*run.corrections, *run.observers):
        see(run)


def _tell(run: Run, verb: str) -> None:
    for see in run.observers:
        if hasattr(see, verb):
            getattr(see, verb)(run)


def _watch(run: Run) -> None:
    every = 1 if run.streams.device.type == "cpu" else WATCH
    if len(run.losses) % every == 0 or run.clock.between_epochs:
        _require_finite(run, run.losses[-every:])
    if run.clock.between_epochs and not all(p.isfinite().all() for p in run.model.parameters()):
        raise _diverged(run, "a weight that is not finite", run.clock.step)


def _require_finite(run: Run, losses: list[Tensor]) -> None:
    values = torch.stack(losses).tolist() if losses else []
    for offset, value in enumerate(values):
        if not math.isfinite(value):
            raise _diverged(run, f"a loss of {value}", run.clock.step - len(values) + offset + 1)


def _diverged(run: Run, what: str, step: int) -> Diverged:
    epoch = (step - 1) // run.clock.per_epoch + 1
    return Diverged(
        f"Expected a finite loss, got {what} at step {step} of {run.clock.steps} (epoch {epoch}): "
        "lower the learning rate, or bound the gradient with --clip."
    )
