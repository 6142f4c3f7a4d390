"""Checkpoints: any file of weights in, a model and its data out; and our own, which describe themselves."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn

from landscape import discovery, reading, surgery, transforms, weights
from landscape.dataset import SPLITS, Dataset
from landscape.quantize import activations
from landscape.quantize.quantization import Quantization, quantization
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
    moments : dict of str to (dict of str to Tensor)
        Moments of the weights along the training, by kind and parameter, where a method left some.
    quantization : Quantization or None
        The grids that the weights lie on, and the weights before rounding; None for a network of full precision.
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
    moments: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    quantization: Quantization | None = None
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
        "state_dict": {name: _alone(tensor) for name, tensor in checkpoint.state.items()},
        "model": _plain(checkpoint.model),
        "data": _plain(checkpoint.data),
        "loss": checkpoint.loss,
        "batchnorm": checkpoint.batchnorm,
        "training": checkpoint.training,
        "moments": {
            kind: {name: _alone(tensor) for name, tensor in moment.items()}
            for kind, moment in checkpoint.moments.items()
        },
    }
    if checkpoint.quantization is not None:
        checkpoint.quantization.require(checkpoint.state, path)
        described["quantization"] = checkpoint.quantization.plain()
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
        If the file is damaged, would run code, or holds no state dict; if a file of ours is newer, or not well-formed.
    OSError
        If there is no such file.
    """
    found = weights.read(path, trust=trust)
    known: dict[str, Any] = {"path": str(path), "sha256": weights.sha256(path)}
    if isinstance(found, Mapping) and not isinstance(found.get("landscape"), (Tensor, NoneType)):
        return Checkpoint(**_described(found, path), **known)
    state, module = weights.state_dict(found, path, key=key), weights.module(found, key=key)
    return Checkpoint(state=state, module=module, **known)


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
    """Load a checkpoint's weights into a model, quantize its activations if the checkpoint does, and return it.

    Raises
    ------
    ValueError
        If they do not fit; missing, unexpected and mis-shaped keys are listed.
    """
    weights.fit(model, checkpoint.state, checkpoint.path or "the checkpoint")
    if checkpoint.quantization is not None:
        activations.attach(model, checkpoint.quantization.activations)
    return model


def latent(checkpoint: Checkpoint) -> Checkpoint:
    """Return a quantized checkpoint at its weights before rounding, without its grids; any other as it is.

    Its batch-norm statistics are stale then, where they are those of the rounded weights: found in training through the
    rounding, or recalibrated after it.

    Raises
    ------
    ValueError
        If it does not know those weights.
    """
    if checkpoint.quantization is None:
        return checkpoint
    if missing := checkpoint.quantization.grids.keys() - checkpoint.quantization.latent.keys():
        raise ValueError(
            f"{checkpoint.path or 'the checkpoint'}: expected the weights before rounding, got codes alone for "
            f"{min(missing)!r}: start from the checkpoint that was quantized."
        )
    rounded = any(kind in checkpoint.quantization.record for kind in ("method", "recalibrated"))
    normalized = any(name.endswith("running_mean") for name in checkpoint.state)
    return replace(
        checkpoint, state=checkpoint.state | checkpoint.quantization.latent, quantization=None,
        batchnorm="stale" if rounded and normalized else checkpoint.batchnorm,
    )  # fmt: skip


def build(spec: Spec, data: Dataset | None = None) -> nn.Module:
    """Build the network that a specification names.

    A registered model takes its number of classes and input shape from the data unless the arguments
    say otherwise. The transforms of a network are changes of its layers: see `landscape.surgery`. Weights are
    drawn from torch's default generator: fork and seed it first.

    Raises
    ------
    ValueError
        If the name is unknown, an argument does not fit, or the function returns no module.
    """
    offered = _offered(data) if discovery.registered(spec.name) and data is not None else {}
    model = _call(discovery.resolve(spec.name, "landscape.models"), spec, offered)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{spec.name}: expected a function that returns an nn.Module, got {type(model).__name__}.")
    return surgery.surgery(model, spec.transforms)


def settled(spec: Spec, data: Dataset) -> Spec:
    """Write into a network's specification what it took from the data, so that other data may be put in their place."""
    if not discovery.registered(spec.name):
        return spec
    known = inspect.signature(discovery.resolve(spec.name, "landscape.models")).parameters
    return replace(spec, arguments={k: v for k, v in _offered(data).items() if k in known} | spec.arguments)


def _offered(data: Dataset) -> dict[str, Any]:
    """Return what registered networks take from the data."""
    return {"shape": tuple(data.shape), **({"classes": len(data.classes)} if data.classes else {})}


def _as_dataset(found: Any, name: str) -> Dataset:
    if isinstance(found, Dataset):
        return found
    parts = found if isinstance(found, dict) and found and set(found) <= set(SPLITS) else {"train": found}
    examples = {split: _one_array(reading.read(part), name) for split, part in parts.items()}
    first = next(iter(examples.values()))
    targets = first.segments[0][1]
    task = "regression" if targets.is_floating_point() else "language" if targets.ndim == 2 else "classification"
    pairs = {split: (e.segments[0][0].numpy(), e.segments[0][1].numpy()) for split, e in examples.items()}
    classes = max((e.classes for e in examples.values()), key=len)
    return Dataset(name, pairs.get("train"), pairs.get("test"), classes, first.mean, first.std, task)


def _one_array(examples: reading.Examples, name: str) -> reading.Examples:
    (inputs, _), *more = examples.segments
    if more or not isinstance(inputs, Tensor):
        raise ValueError(f"{name}: expected inputs that are one array, got several of different shapes or names.")
    return examples


def _call(function: Callable, spec: Spec, offered: dict[str, Any]) -> Any:
    """Call what a specification names, once its arguments are known to fit."""
    signature = inspect.signature(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in spec.arguments:
        if name not in signature.parameters and not takes_any:
            raise ValueError(
                f"{spec.name}: expected arguments among {', '.join(signature.parameters) or 'none'}, got {name!r}"
                f"{discovery.did_you_mean(name, list(signature.parameters))}."
            )
    arguments = {name: value for name, value in offered.items() if name in signature.parameters} | spec.arguments
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{spec.name}: expected other arguments, got {error}.") from error
    return function(**arguments)


def _alone(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU that stores its own elements and no others: views would be written with their base."""
    tensor = tensor.detach().cpu()
    whole = tensor.layout != torch.strided or tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _plain(spec: Spec | None) -> dict | None:
    return spec and {"name": spec.name, "arguments": spec.arguments, "transforms": list(spec.transforms)}


def _described(found: Mapping, path: str | os.PathLike) -> dict[str, Any]:
    """Take a file of ours apart; it may have been made by hand, so nothing is believed unseen."""
    version = found["landscape"]
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{path}: expected the number of a format, got {version!r:.80}.")
    if version > FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT} or older, got {version}: update landscape.")
    state = _field(found, "state_dict", dict, path)
    if not state or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ValueError(f"{path}: expected `state_dict` to map names to tensors, got something else.")
    batchnorm = _field(found, "batchnorm", str, path)
    if batchnorm not in ("fresh", "stale"):
        raise ValueError(f"{path}: expected `batchnorm` fresh or stale, got {batchnorm!r:.80}.")
    quantized = found.get("quantization")
    known = None if quantized is None else quantization(quantized, path)
    if known is not None:
        known.require(state, path)
    moments = _field({"moments": {}, **found}, "moments", dict, path)
    if not all(isinstance(m, dict) and all(isinstance(t, Tensor) for t in m.values()) for m in moments.values()):
        raise ValueError(f"{path}: expected `moments` to map kinds to tensors by name, got something else.")
    return {
        "state": dict(state),
        "model": _spec(found, "model", path),
        "data": _spec(found, "data", path),
        "loss": _field(found, "loss", str, path),
        "batchnorm": batchnorm,
        "training": _field(found, "training", dict, path),
        "moments": moments,
        "quantization": known,
    }


def _spec(found: Mapping, name: str, path: str | os.PathLike) -> Spec | None:
    if found.get(name) is None:
        return None
    plain = _field(found, name, dict, path)
    arguments, transforms = _field(plain, "arguments", dict, path), _field(plain, "transforms", (list, tuple), path)
    if not all(isinstance(word, str) for word in [*arguments, *transforms]):
        raise ValueError(f"{path}: expected names of arguments and transforms in `{name}`, got something else.")
    return Spec(_field(plain, "name", str, path), arguments, tuple(transforms))


def _field(found: Mapping, name: str, kind: type | tuple[type, ...], path: str | os.PathLike) -> Any:
    value = found.get(name)
    if not isinstance(value, kind):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise ValueError(f"{path}: expected `{name}` to be a {wanted}, got {type(value).__name__}.")
    return value
