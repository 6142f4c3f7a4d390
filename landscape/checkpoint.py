"""Checkpoints: any file of weights in, a model and its data out; and our own, which describe themselves."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from landscape import discovery, reading, transforms, weights
from landscape.dataset import SPLITS, Dataset
from landscape.result import replaced

FORMAT = 1


@dataclass(frozen=True)
class Spec:
    """How to make something again: a name that `landscape.discovery.resolve` understands, and arguments."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights, and what is known about them.

    Attributes
    ----------
    state : dict of str to Tensor
        The state dict, on the CPU, prefixes taken off.
    model, data : Spec or None
        How to build the network and load the data; None for a foreign file that does not say.
    loss : str
        Name of the loss in `landscape.losses`, or ``file.py:function``.
    batchnorm : {"fresh", "stale"}
        Whether the running statistics belong to these weights (those of an average of weights do not).
    training : dict
        Method, seed, epoch, gradient evaluations, final losses (JSON); empty for foreign files.
    module : nn.Module or None
        The network itself, where a trusted file held more than weights.
    path, sha256 : str
        Where the file was read and what its bytes hash to; empty until read or written.
    """

    state: dict[str, Tensor]
    model: Spec | None = None
    data: Spec | None = None
    loss: str = "cross_entropy"
    batchnorm: str = "fresh"
    training: dict[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None
    path: str = ""
    sha256: str = ""


def write(checkpoint: Checkpoint, path: str | os.PathLike) -> str:
    """Write a self-describing checkpoint, whole or not at all, and return its sha256.

    Raises
    ------
    OSError
        If the file cannot be written; a file already there is then left as it was.
    """
    described = {
        "landscape": FORMAT,
        "state_dict": {name: tensor.detach().cpu() for name, tensor in checkpoint.state.items()},
        "model": _plain(checkpoint.model),
        "data": _plain(checkpoint.data),
        "loss": checkpoint.loss,
        "batchnorm": checkpoint.batchnorm,
        "training": checkpoint.training,
    }
    content = io.BytesIO()
    torch.save(described, content)
    with replaced(path) as part:
        Path(part).write_bytes(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def read(path: str | os.PathLike, *, trust: bool = False, key: str | None = None) -> Checkpoint:
    """Read a checkpoint of ours or of anybody.

    Parameters
    ----------
    path : path
        ``.safetensors``, or anything that ``torch.save`` wrote.
    trust : bool, default=False
        Run the code that the file brings along, if it is a pickle of more than weights.
    key : str, optional
        Where in a foreign file the state dict is, such as ``ema``; by default the usual places are searched.

    Raises
    ------
    ValueError
        If the file is damaged, would run code, or holds no state dict.
    OSError
        If there is no such file.
    """
    found = weights.read(path, trust=trust)
    known = {"path": str(path), "sha256": weights.sha256(path)}
    if not (isinstance(found, dict) and "landscape" in found):
        module = found if isinstance(found, nn.Module) else None
        return Checkpoint(state=weights.state_dict(found, path, key=key), module=module, **known)
    if found["landscape"] > FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT} or older, got {found['landscape']}: update landscape.")
    return Checkpoint(
        state=found["state_dict"],
        model=_spec(found["model"]),
        data=_spec(found["data"]),
        loss=found["loss"],
        batchnorm=found["batchnorm"],
        training=found["training"],
        **known,
    )


def dataset(spec: Spec) -> Dataset:
    """Load the data that a specification names, transformed as it says.

    ``name`` may also be the path of an ``.npz`` file. A user's function may return a Dataset; anything that
    `landscape.reading.read` takes (a pair, a torch Dataset, a DataLoader); or a mapping of train and test to such.

    Raises
    ------
    ValueError
        If the name is unknown, an argument or transform does not fit, or the function returns no such data.
    """
    if spec.name.endswith(".npz"):
        spec = Spec("npz", {"root": spec.name, **spec.arguments}, spec.transforms)
    found = _as_dataset(_call(discovery.resolve(spec.name, "landscape.data"), spec, {}), spec.name)
    for text in spec.transforms:
        found = transforms.transform(text)(found)
    return found


def fitted(checkpoint: Checkpoint, model: nn.Module) -> nn.Module:
    """Load a checkpoint's weights into a model, and return it.

    Raises
    ------
    ValueError
        If they do not fit; missing, unexpected and mis-shaped keys are listed.
    """
    weights.fit(model, checkpoint.state, checkpoint.path or "the checkpoint")
    return model


def build(spec: Spec, data: Dataset | None = None) -> nn.Module:
    """Build the network that a specification names.

    A registered model takes its number of classes and input shape from the data unless the arguments
    say otherwise. Weights are drawn from torch's default generator: fork and seed it first.

    Raises
    ------
    ValueError
        If the name is unknown, an argument does not fit, or the function returns no module.
    """
    offered = {}
    if discovery.registered(spec.name) and data is not None:
        offered = {"shape": tuple(data.shape), **({"classes": len(data.classes)} if data.classes else {})}
    model = _call(discovery.resolve(spec.name, "landscape.models"), spec, offered)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{spec.name}: expected a function that returns an nn.Module, got {type(model).__name__}.")
    return model


def _as_dataset(found: Any, name: str) -> Dataset:
    if isinstance(found, Dataset):
        return found
    parts = found if isinstance(found, dict) and set(found) <= set(SPLITS) and found else {"train": found}
    examples = {split: reading.read(part) for split, part in parts.items()}
    if any(len(e.segments) > 1 or not isinstance(e.segments[0][0], Tensor) for e in examples.values()):
        raise ValueError(f"{name}: expected inputs that are one array, got several of different shapes or names.")
    pairs = {split: tuple(t.numpy() for t in e.segments[0]) for split, e in examples.items()}
    first = next(iter(examples.values()))
    targets = first.segments[0][1]
    task = "regression" if targets.is_floating_point() else "language" if targets.ndim == 2 else "classification"
    classes = max((e.classes for e in examples.values()), key=len)
    return Dataset(name, pairs.get("train"), pairs.get("test"), classes, first.mean, first.std, task)


def _call(function: Any, spec: Spec, offered: dict[str, Any]) -> Any:
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in spec.arguments:
        if name not in parameters and not takes_any:
            raise ValueError(
                f"{spec.name}: expected arguments among {', '.join(parameters) or 'none'}, got {name!r}"
                f"{discovery.did_you_mean(name, list(parameters))}."
            )
    arguments = {name: value for name, value in offered.items() if name in parameters} | spec.arguments
    return function(**arguments)


def _plain(spec: Spec | None) -> dict | None:
    return spec and {"name": spec.name, "arguments": spec.arguments, "transforms": list(spec.transforms)}


def _spec(plain: dict | None) -> Spec | None:
    return plain and Spec(plain["name"], plain["arguments"], tuple(plain["transforms"]))
