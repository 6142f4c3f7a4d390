"""What a recorder does never stops the training that it stands beside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from landscape.hooks.problems import Problems


class Guarded(Protocol):
    """What `going_on` needs of the object that it guards: whether a loop began, and where problems are told."""

    output: Path
    _state: str
    _problems: Problems


def going_on(method: Callable[..., None]) -> Callable[..., None]:
    """Do it in the process that records; what goes wrong with it is told, and the training goes on.

    Raises
    ------
    ValueError
        By the method that is made, where no loop was begun.
    """

    @functools.wraps(method)
    def tried(self: Guarded, *given: Any, **named: Any) -> None:
        if self._state == "new":
            raise ValueError(f"Expected `with recorder:` around the loop, got .{method.__name__}() without: add it.")
        if self._state != "running":
            return
        try:
            method(self, *given, **named)
        except Exception as error:  # whatever it is: days of training are worth more than a picture of them
            self._problems.fail(f"{self.output} ({method.__name__})", error)

    return tried
