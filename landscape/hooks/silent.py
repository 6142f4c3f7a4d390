"""Callbacks that trainers take for theirs: what they do not know of, they let pass."""

from __future__ import annotations

from typing import Any

OTHERS = ("setup", "teardown")


def _nothing(*_: Any, **__: Any) -> None:
    return None


class Silent:
    """Answer every hook of a trainer that is not defined by doing nothing.

    Trainers call every event of every callback, and their next version calls more of them.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_") or name in OTHERS:
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
