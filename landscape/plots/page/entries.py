"""What a page tells of: results one by one, those of collections too, each with its network and its width."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from landscape.comparison.comparison import FULL
from landscape.comparison.measures import BETWEEN
from landscape.plots.quantized import bits
from landscape.result import Collection, Result

MIXED = 0  # bits of weights whose layers differ
WIDTH = re.compile(r"[./_-]w(\d+)$")  # the end of a name that tells a width, as `landscape quantize` writes it
MEMBER = re.compile(r"(?P<network>.+)/(w(?P<bits>\d+)|mixed)/(?P<probe>[^/]+)")  # of a comparison


@dataclass(frozen=True, eq=False)
class Entry:
    """One result on a page.

    Attributes
    ----------
    name : str
        By which it is told apart from all others.
    network : str
        Whose it is; of several networks, all of them.
    bits : int
        Width of the weights; 32 where they are not rounded, 0 where layers differ.
    result : Result
    file : str
        Where it lies; empty where that is not known.
    collection : str, default=""
        Of which it is a member; empty of a result by itself.
    several : bool, default=False
        Whether it is about several networks.
    """

    name: str
    network: str
    bits: int
    result: Any
    file: str
    collection: str = ""
    several: bool = False

    @property
    def kind(self) -> str:
        """Name of the kind of result."""
        return type(self.result).__name__

    @property
    def label(self) -> str:
        """The network, with its width where that is not the full one."""
        return self.network if self.bits == FULL else f"{self.network}, {told(self.bits)}"


def told(width: int) -> str:
    """Write a width in words.

    Examples
    --------
    >>> told(32), told(4), told(1), told(0)
    ('full precision', '4 bits', '1 bit', 'mixed widths')
    """
    if width == MIXED:
        return "mixed widths"
    return "full precision" if width >= FULL else f"{width} bit{'s' * (width > 1)}"


def entries(results: Mapping[str, Result], files: Mapping[str, str] | None = None) -> list[Entry]:
    """List results one by one: members of a collection after one another, in the place of the collection.

    Parameters
    ----------
    results : mapping of str to Result
    files : mapping of str to str, optional
        Where those that were read lie.
    """
    found = []
    for name, result in results.items():
        file = (files or {}).get(name, "")
        if isinstance(result, Collection):
            ahead = f"{name}: " if len(results) > 1 else ""
            found += [_member(ahead, member, one, file, name) for member, one in result.members.items()]
        else:
            found.append(Entry(name, *_place(name, result), result, file, several=_several(result)))
    return found


def _member(ahead: str, name: str, result: Result, file: str, collection: str) -> Entry:
    """Make the entry of a member of a collection; members of comparisons tell network and width by their names."""
    if parts := MEMBER.fullmatch(name):
        width = min(int(parts["bits"] or MIXED), FULL)
        return Entry(ahead + name, parts["network"], width, result, file, collection, parts["network"] == BETWEEN)
    return Entry(ahead + name, *_place(name, result), result, file, collection, _several(result))


def _several(result: Result) -> bool:
    return len(_stems(result.origin)) > 1


def _place(name: str, result: Result) -> tuple[str, int]:
    """Tell network and width: by the checkpoints that an origin names, else by the name of the result."""
    stems = _stems(result.origin)
    seen = bits(result)
    if len(stems) > 1:
        return " \N{EN DASH} ".join(stems), FULL
    stem = stems[0] if stems else re.sub(rf"\.{type(result).__name__.lower()}$", "", name)
    width = WIDTH.search(stem)
    if len(seen) == 1:
        return WIDTH.sub("", stem) if width and int(width[1]) == seen[0] else stem, seen[0]
    return stem, MIXED if seen else FULL


def _stems(origin: dict[str, Any]) -> list[str]:
    """Name the checkpoints that an origin is about; nothing where it does not say them as it should."""
    others, count = origin.get("others"), origin.get("checkpoints")
    files = [origin.get("checkpoint"), *(others if isinstance(others, list) else [])]
    known = [file["path"] for file in files if isinstance(file, dict) and isinstance(file.get("path"), str)]
    return [PurePath(path).stem for path in known[: count if isinstance(count, int) else 1]]
