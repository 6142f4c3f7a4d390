"""One way to look for a path of low loss between two networks, whatever its shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from landscape import curves
from landscape.connection.band import band
from landscape.connection.training import Found, trained
from landscape.train.settings import Settings

if TYPE_CHECKING:
    from landscape.objective import Objective

SHAPES = (*curves.SHAPES, "neb")
OWN = {
    "neb": {"pivots": 5, "cycles": 4},
    "bezier": {"bends": 1, "sampling": "t"},
    "chain": {"bends": 1, "sampling": "t"},
}


def search(
    objective: Objective,
    first: Tensor,
    last: Tensor,
    settings: Settings,
    *,
    shape: str = "bezier",
    keep: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **knobs: Any,
) -> Found:
    """Train a Bezier curve, a polygonal chain or an elastic band between two networks.

    Parameters
    ----------
    objective, settings, progress
        As `landscape.connection.training.trained` takes them.
    first, last : Tensor of shape (D,)
    shape : {"bezier", "chain", "neb"}
    keep : path, optional
        Where what is done is kept, without a suffix.
    **knobs
        Of the shape: see `OWN`. Those of another one are refused, unless they are at their defaults.

    Raises
    ------
    ValueError
        If the shape is unknown, a knob belongs to another one, or training cannot be done.
    """
    own = chosen(shape, **knobs)
    if shape == "neb":
        return band(objective, first, last, settings, keep=keep, progress=progress, **own)
    curve = curves.straight(shape, first, last, own["bends"])
    resume = keep and keep.with_name(f"{keep.name}.resume")
    return trained(objective, curve, settings, sampling=own["sampling"], resume=resume, progress=progress)


def chosen(shape: str, **knobs: Any) -> dict[str, Any]:
    """Return the knobs of a shape.

    Raises
    ------
    ValueError
        If the shape is unknown, or a knob of another one is not at its default.
    """
    if shape not in SHAPES:
        raise ValueError(f"Expected a shape among {', '.join(SHAPES)}, got {shape!r}: choose one of them.")
    defaults = {name: value for own in OWN.values() for name, value in own.items()}
    for name, value in knobs.items():
        if name not in OWN[shape] and value != defaults[name]:
            owners = " or ".join(other for other, own in OWN.items() if name in own)
            raise ValueError(f"Expected {name} with --shape {owners} only, got {value!r} for {shape}: leave it out.")
    return {name: knobs.get(name, default) for name, default in OWN[shape].items()}
