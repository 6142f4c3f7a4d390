"""From settings and a method to a run that is ready to fit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from landscape.train import schedules
from landscape.train.augmentation import augmentation
from landscape.train.batches import Batch, Batches, Resident
from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.gradients.clipped import clipped
from landscape.train.gradients.plain import plain
from landscape.train.method import Method
from landscape.train.objectives.cross_entropy import cross_entropy
from landscape.train.objectives.mean import mean
from landscape.train.schedules import Schedule
from landscape.train.settings import Settings
from landscape.train.step import Objective
from landscape.train.streams import Streams


def assembled(
    resident: Resident,
    model: nn.Module,
    settings: Settings,
    *,
    loss: str | Callable,
    method: Method = Method(),  # noqa: B008
) -> Run:
    """Make a run that trains a copy of a model on resident data, with the observers of the method.

    Parameters
    ----------
    resident : Resident
        The training split; the run goes on its device and in its dtype.
    model : nn.Module
        Left as it is.
    settings : Settings
        Optimizer, rate, augmentation, seed.
    loss : str or callable (outputs, targets) -> losses (B,)
        What the training objective is the mean of.
    method : Method
        What differs from a plain run.

    Raises
    ------
    ValueError
        If the settings do not fit one another, the data or the model.
    """
    network = copy.deepcopy(model).to(resident.device, resident.dtype)
    if method.quantizer is not None:
        method.quantizer(network)
    network.train()
    streams = Streams(settings.seed, resident.device)
    augment = augmentation(settings.augment)
    if augment is not None and resident.inputs.ndim != 4:
        raise ValueError(
            f"Expected images to augment, got inputs of shape {tuple(resident.inputs.shape[1:])}: leave --augment out."
        )
    batches = Batches(resident, settings.batch_size, streams, augment)
    goal = objective(loss, settings, resident, method)
    for wrap in method.objectives:
        goal = wrap(goal)
    gradient = method.gradient or plain
    return Run(
        model=network,
        optimizer=(method.optimizer or optimizer)(trainable(network), settings),
        batches=batches,
        objective=goal if settings.precision != "bfloat16" else mixed(goal),
        streams=streams,
        clock=Clock(settings.epochs, len(batches)),
        gradient=gradient if settings.clip is None else clipped(settings.clip, gradient),
        schedules={"lr": rate(settings, method), **method.schedules},
        observers=[make() for make in (*method.observers, *filter(None, [method.average]))],
        corrections=[make() for make in method.corrections],
    )


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require a gradient.

    Raises
    ------
    ValueError
        If there are none.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("Expected a model with parameters to train, got none that requires a gradient: thaw some.")
    return parameters


def optimizer(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """Return the untouched torch optimizer of the settings."""
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    nesterov = settings.nesterov
    return torch.optim.SGD(parameters, settings.lr, settings.momentum, 0.0, settings.weight_decay, nesterov)


def rate(settings: Settings, method: Method = Method()) -> Schedule:  # noqa: B008
    """Return the learning rate as a function of the clock: that of the method if it has one, else the settings'."""
    return schedules.warmed((method.rate or schedules.SCHEDULES[settings.schedule])(settings.lr), settings.warmup)


def objective(loss: str | Callable, settings: Settings, data: Resident, method: Method) -> Objective:
    """Return the mean of a loss over a batch, as settings and method want it for these training data.

    Raises
    ------
    ValueError
        If another loss than cross entropy is to have its labels smoothed or its classes treated differently, or the
        loss is unknown.
    """
    knows_classes = method.logits is not None or len(method.weights) > 0
    if loss != "cross_entropy":
        if settings.label_smoothing or knows_classes:
            what = f"--method {method.name}" if knows_classes else "--label-smoothing"
            raise ValueError(f"Expected cross_entropy for {what}, got the loss {loss!r}: leave one of them out.")
        return mean(loss)
    if not knows_classes:
        return cross_entropy(label_smoothing=settings.label_smoothing)
    counts = data.counts()
    return cross_entropy(
        label_smoothing=settings.label_smoothing,
        logits=method.logits and method.logits(counts),
        weights=[make(counts) for make in method.weights],
        classes=len(counts),
    )


def mixed(goal: Objective) -> Objective:
    """Evaluate an objective in mixed precision: products in bfloat16, parameters and sums in float32."""

    def objective(model: nn.Module, batch: Batch, clock: Clock) -> Tensor:
        with torch.autocast(batch.targets.device.type, torch.bfloat16):
            return goal(model, batch, clock)

    return objective
