"""Curves of low loss: inner control points trained by minimizing the expected loss along the curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape import losses
from landscape.connection.given import Given
from landscape.connection.on_curve import OnCurve
from landscape.curves import Curve
from landscape.train.assembly import assembled
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.fit import Interrupted, Run, fit
from landscape.train.method import Method
from landscape.train.observers.history import history
from landscape.train.observers.progress import described
from landscape.train.resume import Resume
from landscape.train.run import exact_arithmetic, interruptible, try_last
from landscape.train.settings import CHOICES, Settings
from landscape.train.step import Objective as Goal
from landscape.train.step import Step

if TYPE_CHECKING:
    from landscape.objective import Objective

SAMPLING = ("t", "arc")


@dataclass(frozen=True, eq=False)
class Found:
    """A trained curve, and how it came about.

    Attributes
    ----------
    curve : Curve
    history : list of dict
        One record an epoch: epoch, lr, objective (mean over the epoch, weight decay included), gradient_evaluations.
    """

    curve: Curve
    history: list[dict[str, Any]]


def trained(
    objective: Objective,
    curve: Curve,
    settings: Settings,
    *,
    sampling: str = "t",
    resume: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Found:
    r"""Move the inner control points of a curve to where the expected loss along it is small.

    .. math:: \min \; E_{t} \left[ L(\phi(t)) + \tfrac{\lambda}{2} \|\phi(t)\|^2 \right]

    One t is drawn for every batch: uniformly in t; or, for "arc", weighted by the speed of the curve over its mean
    speed, which makes the expectation one that is uniform in arc length, with its whole gradient.

    Parameters
    ----------
    objective : Objective
        Whose first split, network and loss are trained on, with batch norm and dropout in training mode.
    curve : Curve
        Where to begin; its ends stay.
    settings : Settings
        As for training a network, but for the precision, which is the objective's. The weight decay :math:`\lambda`
        is that of the point on the curve, not of the control points: a part of what is minimized, with any optimizer.
    sampling : {"t", "arc"}
    resume : path, optional
        Where the state is kept while training; the same call goes on from there, and ends at the same curve.
    progress : callable, optional
        Told (steps done, steps in all, epoch and loss in words).

    Raises
    ------
    ValueError
        If there are no bends, the sampling is unknown, a setting does not fit the data, or training diverges.
    KeyboardInterrupt
        On Ctrl-C, after the step under way; the state is kept.

    Notes
    -----
    A step costs one gradient evaluation, whatever the number of bends; memory of K vectors more.

    References
    ----------
    Garipov et al. (2018), Loss surfaces, mode connectivity, and fast ensembling of DNNs, arXiv:1802.10026: equations 1
    (uniform in arc length) and 2 (uniform in t). They give the gradient of the first up as intractable, for the
    density depends on the curve; as a weight it can be differentiated.
    """
    if sampling not in SAMPLING:
        raise ValueError(f"Expected sampling among {', '.join(SAMPLING)}, got {sampling!r}: choose one of them.")
    if len(curve.points) < 3:
        raise ValueError("Expected a curve with bends to train, got a segment: give 1 bend or more.")
    objective.require_derivatives()
    settings = settled(objective, settings)
    run = fitted(objective, lambda: prepared(objective, curve, settings, sampling), resume=resume, progress=progress)
    assert isinstance(run.model, OnCurve)
    return Found(run.model.curve(), run.history)


def fitted(
    objective: Objective,
    make: Callable[[], Run],
    *,
    resume: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Run:
    """Make a run and fit it in the arithmetic of an objective; Ctrl-C stops it between two steps, and it goes on.

    Raises
    ------
    ValueError
        If training diverges; no state is kept then.
    KeyboardInterrupt
        On Ctrl-C, after the step under way; the state is kept.
    """
    exact = "float32" if objective.precision == "bfloat16" else objective.precision
    with exact_arithmetic(exact, objective.device):
        run = make()
        if progress is not None:
            run.observers = [*run.observers, lambda run: progress(run.clock.step, run.clock.steps, described(run))]
        with interruptible(run):
            _fit(run, resume)
    if run.interrupted:  # during the last step: what comes next is not begun
        raise KeyboardInterrupt
    return run


def settled(objective: Objective, settings: Settings) -> Settings:
    """Return settings in the precision of an objective, as the trainer calls it: tf32 is float32 to it."""
    precision = objective.precision if objective.precision in CHOICES["precision"] else "float32"
    return replace(settings, precision=precision)


def steps(objective: Objective, settings: Settings) -> int:
    """Count the steps of a training on the first split."""
    return settings.epochs * -(-objective.size // settings.batch_size)


def prepared(objective: Objective, curve: Curve, settings: Settings, sampling: str = "t") -> Run:
    """Return a run that trains a curve, ready to fit: of an `OnCurve`, with settings in the objective's precision.

    Raises
    ------
    ValueError
        If a setting does not fit the data or the network.
    """
    decay = settings.weight_decay
    method = Method(gradient=_sampled, objectives=(lambda goal: expected(goal, sampling, decay),))
    return on_examples(objective, OnCurve(objective.network, curve), settings, method)


def on_examples(objective: Objective, network: OnCurve, settings: Settings, method: Method) -> Run:
    """Return a run of a method on the first split of an objective; weight decay is the method's own business.

    Raises
    ------
    ValueError
        If a setting does not fit the data or the network.
    """
    data = Given(objective)
    if settings.augment:
        data.require_images()
    if settings.epochs:
        try_last(network, data, settings.batch_size)
    classes = objective.loss is losses.cross_entropy and objective.labels is not None  # the mean is then torch's own
    loss = "cross_entropy" if classes else objective.loss
    run = assembled(data, network, replace(settings, weight_decay=0.0), loss=loss, method=method)
    run.observers = [history(), *run.observers]
    return run


def _sampled(step: Step) -> Tensor:
    """Draw the position of a step, on the CPU whatever the device, and differentiate there."""
    assert step.batches is not None
    step.model.t = torch.rand((), generator=step.batches.streams["draw"], dtype=torch.float64)
    return step.backward()


def expected(goal: Goal, sampling: str = "t", decay: float = 0.0) -> Goal:
    """Make a training objective one along a curve, of which every t gives an unbiased sample.

    Parameters
    ----------
    goal : callable (model, batch, clock) -> scalar
        Of the network at a point, such as the mean loss of a batch.
    sampling : {"t", "arc"}
        What the expectation is uniform in.
    decay : float
        Weight decay of the point.

    Returns
    -------
    callable (OnCurve, batch, clock) -> scalar
    """

    def along(model: OnCurve, batch: Batch, clock: Clock) -> Tensor:
        theta = model.point()
        loss = goal(partial(model.applied, theta), batch, clock)  # pyright: ignore[reportArgumentType] - it is called
        if decay:
            loss = loss + 0.5 * decay * theta.dot(theta)
        return loss * model.pace() if sampling == "arc" else loss

    return along


def _fit(run: Run, resume: Path | None) -> None:
    if resume is None:
        fit(run)
        return
    kept = Resume(resume, {"curve": "one of this very work"})  # the folder it lies in belongs to one work
    run.observers = [*run.observers, kept]
    kept.load(run)
    try:
        fit(run)
    except Interrupted:
        kept.save(run)
        raise KeyboardInterrupt from None
    except ValueError:  # it would fail again at this very step
        kept.remove()
        raise
    kept.save_held()
