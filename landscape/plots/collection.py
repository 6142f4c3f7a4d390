"""Several results in one file, in words: a line for each member."""

from __future__ import annotations

from landscape.plots.certain import certain, plain
from landscape.plots.summary import columns
from landscape.result import Collection

FIGURES = 3  # numbers of a member that are told; the rest is in the member


def text(result: Collection) -> str:
    """List the members of a collection: name, kind, and the first of what each boils down to."""
    rows = [["member", "kind", "numbers"]]
    for name, one in result.members.items():
        pairs = list(one.figures().items())[:FIGURES]
        numbers = ", ".join(f"{word} {plain(certain(*pair))}" for word, pair in pairs)
        rows.append([name, type(one).__name__, numbers])
    count = len(result.members)
    head = f"{type(result).__name__} of {count} result{'s' * (count != 1)}"
    return "\n".join([head, *columns(rows if count else [])])
