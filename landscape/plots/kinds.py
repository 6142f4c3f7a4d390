"""Which file draws a kind of result: its own, or that of the kind it derives from."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lineage(result: Any) -> list[str]:
    """Name what a result is, the nearest kind first: a trained curve is a connect, and a path."""
    return [parent.__name__ for parent in type(result).__mro__]


def own(folder: str, result: Any, name: str = "") -> Any:
    """Find a function about a kind of result in a folder of such files, ``folder.<kind>``; None where there is none.

    It bears the name of its file, or the one that is given.
    """
    for kind in map(str.lower, lineage(result)):
        file = f"{folder}.{kind}"
        if find_spec(file) and (function := getattr(import_module(file), name or kind, None)):
            return function
    return None


def whole(result: Any) -> Any:
    """Find the function that makes a whole figure of a kind of result, ``<kind>_grid`` in a file of that name."""
    for kind in map(str.lower, lineage(result)):
        file = f"landscape.plots.{kind}_grid"
        if find_spec(file):
            return getattr(import_module(file), f"{kind}_grid")
    return None
