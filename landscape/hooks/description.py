"""How a network and its data are described, and whether what is described is what is trained."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape import checkpoint, discovery, losses, weights
from landscape.checkpoint import Spec

FROM_DATA = {"shape", "classes"}  # what registered networks take from the data, unless they are told


def spec(given: Spec | str | None, package: str) -> Spec | None:
    """Read a specification, with the paths in it made absolute, once what it names is there.

    Raises
    ------
    ValueError
        If it names nothing, or has arguments that a checkpoint cannot hold.
    OSError
        If a file that it names does not exist.
    """
    if given is None:
        return None
    found = Spec(given) if isinstance(given, str) else given
    require_plain(found.arguments, f"arguments of {found.name}")
    arguments = discovery.located_arguments(found.arguments)
    found = replace(found, name=discovery.located(found.name), arguments=arguments)
    if found.name.endswith(".npz"):
        if not Path(found.name).is_file():
            raise FileNotFoundError(f"{found.name}: expected a file of data, got no such file.")
    elif not running(found.name):
        with undisturbed():
            discovery.resolve(found.name, package)
    return found


def loss(given: str) -> str:
    """Read the name of a loss, with the path in it made absolute.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    if not isinstance(given, str):
        raise ValueError(f"Expected the name of a loss or file.py:function, got {given!r:.60}: name it.")
    located = discovery.located(given)
    if not running(located):
        with undisturbed():
            losses.loss(located)
    return located


def running(name: str) -> bool:
    """Say whether a specification names the script that is running: looked up, it would run once more."""
    file, script = name.rpartition(":")[0], getattr(sys.modules.get("__main__"), "__file__", None)
    return bool(file and script) and file == str(Path(str(script)).resolve())


def settled(model: Spec, data: Spec | None, state: Mapping[str, Tensor]) -> Spec:
    """Build the network that a specification names, and compare it with the one that is trained.

    Parameters
    ----------
    model, data : Spec
        Data are loaded only for a registered network that takes its shape from them.
    state : mapping of str to Tensor
        The state dict of the network that is trained.

    Returns
    -------
    Spec
        With what the network took from the data written down.

    Raises
    ------
    ValueError
        If weights of another network are trained.

    Notes
    -----
    It is built on the meta device, where it has no values, or on the CPU, where that fails. Random states stay.
    """
    if running(model.name):
        return model
    with undisturbed():
        dataset = None
        if discovery.registered(model.name) and data is not None and not model.arguments.keys() >= FROM_DATA:
            dataset = checkpoint.dataset(data)
            model = checkpoint.settled(model, dataset)
        weights.fit(_built(model), {name: torch.empty_like(t, device="meta") for name, t in state.items()}, model.name)
    return model


def _built(model: Spec) -> nn.Module:
    try:
        with torch.device("meta"):
            return checkpoint.build(model).to("meta")
    except Exception:  # what a network does while it is built may need values
        with torch.device("cpu"):
            return checkpoint.build(model).to("meta")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run code of the user's with the random states left as they were, and its warnings for another time."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (a loop may draw from it)
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def require_plain(value: Any, what: str) -> None:
    """Refuse what a checkpoint that runs no code cannot hold.

    Raises
    ------
    ValueError
        Unless it is made of numbers, texts, lists, tuples and dicts.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            require_plain(key, what)
            require_plain(inner, what)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            require_plain(inner, what)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise ValueError(
            f"Expected {what} made of numbers, texts, lists and dicts, got {type(value).__name__} ({value!r:.60}): "
            "a checkpoint holds nothing else."
        )
