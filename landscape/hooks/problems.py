"""What goes wrong beside a training: all of it is remembered, and each kind said once."""

from __future__ import annotations

import logging

PROBLEMS = 100  # that are remembered: where one comes with every step, they are all the same
log = logging.getLogger("landscape.hooks")


class Problems:
    """Problems of one run, a line each.

    Attributes
    ----------
    lines : list of str
        In order; empty if all went well.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._said: set[str] = set()

    def fail(self, what: str, error: Exception) -> None:
        """Remember an error, and what it befell; errors of one type are one kind of problem."""
        line = (str(error).splitlines() or [""])[0]
        self.tell(line if what in line else f"{what}: {type(error).__name__}: {line}", type(error).__name__)

    def tell(self, problem: str, kind: str = "") -> None:
        """Remember a problem, and say it at once if it is the first of its kind."""
        if len(self.lines) < PROBLEMS:
            self.lines.append(problem)
        if (kind or problem) not in self._said:
            self._said.add(kind or problem)
            log.warning("%s; the training goes on", problem.rstrip("."))
