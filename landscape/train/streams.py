"""Independent streams of random numbers, so that two methods with one seed can be compared in pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

NAMES = ("order", "augment", "draw", "perturb")


def seed_of(seed: int, name: str) -> int:
    """Derive the seed of one stream from that of the run: the first eight bytes of a sha256.

    Examples
    --------
    >>> seed_of(0, "order") == seed_of(0, "init")
    False
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one named stream."""
    return torch.Generator(device).manual_seed(seed_of(seed, name))


@contextmanager
def seeded(seed: int, name: str = "init") -> Iterator[None]:
    """Make torch's default CPU generator one of the streams inside, and put it back afterwards.

    For code that takes no generator, such as the initialization of layers.
    """
    before = torch.get_rng_state()
    torch.set_rng_state(stream(seed, name).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)


def default_states(device: torch.device) -> list[Tensor]:
    """Return the states of the default generators that a model on this device draws from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def restore_default(states: list[Tensor], device: torch.device) -> None:
    """Put the default generators back into the states that `default_states` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])


class Streams:
    """The random streams of a run: ``order``, ``augment``, ``draw``, ``perturb``, and dropout.

    A method that draws more numbers of one stream leaves the others as they are, so the order of the examples and
    their augmentation depend on the seed alone. Initialization has its own stream too: see `seeded`.

    Parameters
    ----------
    seed : int
    device : torch.device
        Where the model lives. Order and augmentation are drawn on the CPU, the same on every device;
        perturbations are as large as the model and drawn on its device.

    Examples
    --------
    >>> a, b = Streams(1), Streams(1)
    >>> _ = torch.rand(100, generator=a["perturb"])
    >>> bool((torch.randperm(9, generator=a["order"]) == torch.randperm(9, generator=b["order"])).all())
    True
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generators = {name: stream(seed, name, self.device if name == "perturb" else "cpu") for name in NAMES}
        kinds = ["cpu"] if self.device.type == "cpu" else ["cpu", self.device]
        self._dropout = [stream(seed, "dropout", kind).get_state() for kind in kinds]
        self._running = False

    def __getitem__(self, name: str) -> torch.Generator:
        return self.generators[name]

    @contextmanager
    def dropout(self) -> Iterator[None]:
        """Make torch's default generators the dropout stream inside, and put them back afterwards."""
        outside = default_states(self.device)
        restore_default(self._dropout, self.device)
        self._running = True
        try:
            yield
        finally:
            self._dropout = default_states(self.device)
            self._running = False
            restore_default(outside, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every stream."""
        states: dict[str, Any] = {name: generator.get_state() for name, generator in self.generators.items()}
        return states | {"dropout": default_states(self.device) if self._running else self._dropout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the streams of another run stood."""
        for name, generator in self.generators.items():
            generator.set_state(state[name])
        self._dropout = list(state["dropout"])
        if self._running:
            restore_default(self._dropout, self.device)
