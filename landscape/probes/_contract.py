"""What a probe says of itself: its knobs, its result, its axes and its cost."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from landscape.discovery import member

if TYPE_CHECKING:
    from landscape.objective import Objective
    from landscape.probes._cost import Cost
    from landscape.result import Result

BETWEEN = ("curves", "end", "thetas")  # what a probe that goes between networks takes, one of them
GIVEN = ("theta", "center", "norms", "names", "store", "progress")  # objects of Python, or filled in by the command
PACKAGE = "landscape.probes"


def parameters(probe: str) -> dict[str, inspect.Parameter]:
    """Map the names of a probe's arguments to them."""
    return dict(inspect.signature(member(PACKAGE, probe)).parameters)


def knobs(probe: str) -> list[inspect.Parameter]:
    """List the knobs of a probe that its command has."""
    return [p for p in parameters(probe).values() if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN]


def defaults(probe: str) -> dict[str, Any]:
    """Return the knobs of a probe that its command has, at their defaults."""
    return {knob.name: knob.default for knob in knobs(probe)}


def turns(probe: str) -> bool:
    """Say whether a probe takes directions: of one checkpoint, or between several."""
    return "directions" in parameters(probe)


def follows(probe: str) -> bool:
    """Say whether a probe goes along curves."""
    return "curves" in parameters(probe)


def between(probe: str) -> bool:
    """Say whether a probe goes between networks: along curves, to another end, or among several."""
    return any(name in parameters(probe) for name in BETWEEN)


def resumes(probe: str) -> bool:
    """Say whether a probe keeps what it has done, and goes on from there."""
    return "store" in parameters(probe)


def rounds(probe: str) -> bool:
    """Say whether a probe rounds weights by itself, and so begins at those before rounding: it has a knob `bits`."""
    return "bits" in parameters(probe)


def quantities(probe: str) -> dict[str, Any]:
    """Map the quantities that a probe's result may hold to what they mean."""
    kind: type[Result] = getattr(importlib.import_module(f"{PACKAGE}.{probe}"), _returned(probe))
    return kind.declared()


def axes(probe: str) -> int:
    """Count the directions that a probe which takes directions moves along."""
    return sum(name in quantities(probe) for name in ("a", "b"))


def on_one_split(probe: str) -> bool:
    """Say whether a probe is about the first split alone: its result does not tell splits apart."""
    return "split" not in quantities(probe)


def cost(probe: str, objective: Objective, chosen: dict[str, Any]) -> Cost:
    """Ask a probe what it costs with certain knobs."""
    return importlib.import_module(f"{PACKAGE}.{probe}").cost(objective, **chosen)


def _returned(probe: str) -> str:
    """Return the name of a probe's result, from the annotation of its function."""
    return str(inspect.signature(member(PACKAGE, probe)).return_annotation)
