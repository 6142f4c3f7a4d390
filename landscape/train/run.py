"""Train a model on a data set, from initial weights to a self-describing checkpoint."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape import checkpoint, losses, surgery, transforms
from landscape.checkpoint import Checkpoint, Spec
from landscape.dataset import Dataset, Split
from landscape.engine import device as devices
from landscape.engine import resident
from landscape.engine.network import Network
from landscape.engine.trial import trial
from landscape.reading import read
from landscape.train import composition
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.evaluation import evaluate, everything
from landscape.train.files import Files
from landscape.train.fit import Run, fit
from landscape.train.method import Method
from landscape.train.observers.every import Observer
from landscape.train.observers.fit_inputs import fit_inputs
from landscape.train.observers.history import history
from landscape.train.record import Record
from landscape.train.refresh import refresh
from landscape.train.settings import Settings
from landscape.train.streams import default_states, restore_default, seeded

LOSSES = {"classification": "cross_entropy", "language": "cross_entropy", "regression": "mse"}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a finished run leaves.

    Attributes
    ----------
    model : nn.Module
        The trained network, on its device.
    checkpoint : Checkpoint
        The same, describing itself; `path` is empty if nothing was written.
    final : dict
        train_loss, train_accuracy, test_loss, test_accuracy: without augmentation or label smoothing. And what else
        `landscape.train.evaluation.everything` finds: by class, of head and tail, of wrong labels.
    history : list of dict
        One record an epoch.
    seconds : float
        Time of the whole run, earlier sittings included.
    kept : dict of str to state dict
        Weights that the method kept on the way: ``last`` of an average, members of an ensemble.
    """

    model: nn.Module
    checkpoint: Checkpoint
    final: dict[str, Any]
    history: list[dict[str, Any]]
    seconds: float
    kept: dict[str, dict[str, Tensor]]


def train(
    data: Dataset,
    model: nn.Module,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    method: Method | str = "plain",
    init: Checkpoint | None = None,
    loss: str | Callable | None = None,
    output: str | os.PathLike | None = None,
    model_spec: Spec | None = None,
    data_spec: Spec | None = None,
    every: int = 0,
    force: bool = False,
    device: str = "auto",
    observers: Sequence[Observer] = (),
) -> Trained:
    """Train a copy of a model.

    Parameters
    ----------
    data : Dataset
        With a training split; a test split is measured after every epoch if there is one.
    model : nn.Module
        At its initial weights; left as it is.
    settings : Settings
        What decides the weights, together with data, model and method.
    method : Method or str
        What differs from a plain run; a text is read by `landscape.train.composition.method`.
    init : Checkpoint, optional
        Begin at its weights instead of the model's, with batch-norm statistics of their own if its are stale.
    loss : str or callable (outputs, targets) -> losses (B,), optional
        As `landscape.losses.loss` takes it; by default cross entropy, or the squared error for regression.
    output : path, optional
        Where the checkpoint is written. Beside it: ``OUT.resume`` while the run is not finished, and the
        folder ``OUT.trajectory``, for an output ``OUT.pt``.
    model_spec, data_spec : Spec, optional
        How to build the model and load the data, for the checkpoint; the data's origin speaks for itself.
    every : int
        Epochs between checkpoints of the trajectory, the initial one included; 0 writes none.
    force : bool
        Overwrite an existing checkpoint, and discard the state of a run with other settings.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    observers : sequence of callables (run) -> None
        Further ones, such as `landscape.train.observers.progress`.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If the checkpoint exists or the settings differ from those of an unfinished run, without `force`;
        if a setting, the network or the loss does not fit the data; if the run diverges
        (`landscape.train.fit.Diverged`).
    OSError
        If a file cannot be written.
    KeyboardInterrupt
        On Ctrl-C, after the step under way; the state is kept and the same call goes on.

    Notes
    -----
    A resumed run ends at the same weights as an uninterrupted one, bit for bit, on one machine with one number of
    threads. On an accelerator that holds for layers whose kernels are deterministic.
    """
    loss, method = loss or LOSSES[data.task], composition.method(method) if isinstance(method, str) else method
    model, model_spec = _begun(model, model_spec, method, init, settings.seed)
    exact = "float32" if settings.precision == "bfloat16" else settings.precision
    splits = _resident(data, exact, device)
    _try(data, model, losses.loss(loss), splits["train"].device, devices.dtype(exact))
    if settings.epochs:
        try_last(model, splits["train"], settings.batch_size)
    if method.surgery:
        few = splits["train"].batch(slice(0, 2)).inputs
        surgery.require_last(copy.deepcopy(model).to(splits["train"].dtype), few)
    run = assembled(splits["train"], model, settings, loss=loss, method=method)
    record = Record(settings, method, losses.name(loss), model_spec, data_spec or _origin(data))
    files = None
    if output is not None:
        files = Files(output, record.identity(model, data.fingerprint("train")), every=every, force=force)

    def tested() -> dict[str, float | None]:
        found = evaluate(run.model, splits["test"], losses.loss(loss)) if "test" in splits else {}
        return {f"test_{what}": value for what, value in found.items()}

    run.observers = [history(tested), *run.observers, *observers]
    with exact_arithmetic(exact, run.streams.device):
        if init is not None and checkpoint.latent(init).batchnorm == "stale":
            fit_inputs(run)  # the statistics are those behind quantized activations
            refresh(run.model, splits["train"], augment=run.batches.augment)
        if files is not None:
            files.open(run, record)
        with interruptible(run):
            files.keep(run) if files is not None else fit(run)
        final = everything(run.model, data, splits, losses.loss(loss))
    seconds = run.clock.seconds
    further = {"init": init.sha256} if init is not None else {}
    found = record.checkpoint(
        run, **final, **further, history=run.history, seconds=seconds, device=str(run.streams.device)
    )
    members = {name: record.member(run, found, name) for name in run.kept}
    if files is not None:
        found = files.close(found, members)
    kept = {name: member.state for name, member in members.items()}
    return Trained(record.deployed(run.model)[0], found, final, run.history, seconds, kept)


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Let the first Ctrl-C stop a run after the step under way, and a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(*_: Any) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


@contextmanager
def exact_arithmetic(precision: str, where: torch.device) -> Iterator[None]:
    """Compute in a precision, with cuDNN's deterministic kernels, and leave the settings as they were."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        with devices.arithmetic(precision, where):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def _resident(data: Dataset, precision: str, device: str) -> dict[str, Resident]:
    where, dtype = devices.device(device), devices.dtype(precision)
    if where.type == "mps" and dtype == torch.float64:
        raise ValueError("Expected float32 or bfloat16 on mps, got float64: use --device cpu for it.")
    data.split("train")  # its absence is an error that names the data
    return {name: Resident(data.split(name), dtype, where, classes=len(data.classes)) for name in data.splits}


def _begun(
    model: nn.Module, spec: Spec | None, method: Method, init: Checkpoint | None, seed: int
) -> tuple[nn.Module, Spec | None]:
    """Return a network at the weights a run begins with, changed as its method needs, and its specification."""
    init = init and checkpoint.latent(init)
    if not method.surgery:
        return model if init is None else checkpoint.fitted(init, copy.deepcopy(model)), spec
    changed = copy.deepcopy(model)
    fits = init is not None and _shapes(init.state) == _shapes(model.state_dict())
    if init is not None and fits:
        changed = checkpoint.fitted(init, changed)
    with seeded(seed, "surgery"):
        changed = surgery.surgery(changed, method.surgery)
    if init is not None and not fits:
        changed = checkpoint.fitted(init, changed)
    if spec is not None:
        before = (change for change in spec.transforms if change not in method.surgery)
        spec = replace(spec, transforms=(*before, *method.surgery))  # in the order in which they act
    return changed, spec


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _try(data: Dataset, model: nn.Module, loss: Callable, where: torch.device, dtype: torch.dtype) -> None:
    """Run a network and its loss on a few examples, so that what does not fit is said before anything is written."""
    few = {name: read(_few(data.split(name))) for name in data.splits}
    with torch.random.fork_rng(devices=[]):
        network = Network(model, "*", dtype, where)
        trial(network, loss, {n: resident.Resident(e, dtype, where, 0) for n, e in few.items()}, stochastic=True)


@torch.no_grad()
def try_last(model: nn.Module, data: Resident, size: int) -> None:
    """Try a last batch of one example, if there is one: batch norm may refuse it, and an epoch later is too late."""
    if (len(data) - 1) % size:
        return
    network, before = copy.deepcopy(model).to(data.device, data.dtype).train(), default_states(data.device)
    try:
        network(data.batch(slice(0, 1)).inputs)
    except ValueError as error:
        raise ValueError(
            f"Expected batches of two examples or more for this network, got a last one of 1 of {len(data)} "
            f"({error}): choose a batch size other than {size}."
        ) from error
    finally:
        restore_default(before, data.device)


def _few(split: Split) -> Split:
    """Keep the first example, and the one with the largest label."""
    rows = [0, int(np.argmax(np.asarray(split.targets).reshape(len(split.targets), -1).max(1)))]
    return replace(split, inputs=split.inputs[rows], targets=split.targets[rows])


def _origin(data: Dataset) -> Spec | None:
    origin = data.origin
    if "name" not in origin:
        return None
    changes = tuple(transforms.text(record) for record in origin.get("transforms", ()))
    return Spec(origin["name"], dict(origin.get("arguments", {})), changes)
