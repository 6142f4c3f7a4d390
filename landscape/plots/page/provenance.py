"""Where the numbers of a result come from, in rows of name and value; and the commands that make them again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from landscape.plots.page.command import command
from landscape.plots.page.entries import Entry


class Provenance(NamedTuple):
    """Commands, rows of name and value, and the whole origin as JSON."""

    commands: list[tuple[str, str]]
    rows: list[tuple[str, str]]
    origin: str


def provenance(entry: Entry) -> Provenance:
    """Tell where a result comes from, as far as it says so; origins are not trusted to be whole."""
    origin = entry.result.origin
    rows = [(name, value) for name, value in _rows(origin) if value]
    return Provenance(list(commands(entry)), rows, json.dumps(origin, indent=2, sort_keys=True, default=str))


def commands(entry: Entry) -> Iterator[tuple[str, str]]:
    """List the commands that make a result again: what each does, and its words."""
    made = command(entry.result.origin, "" if entry.collection else entry.file)
    if made and entry.file and not entry.collection:
        yield "measure again, and compare", shlex.join(["landscape", "reproduce", entry.file])
    if made:
        yield "measure", made


def _rows(origin: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in (("checkpoint", "checkpoint"), ("others", "further files")):
        entries = origin.get(key)
        for file in entries if isinstance(entries, list) else [entries]:
            if isinstance(file, dict):
                yield name, f"{file.get('path', '')}, SHA-256 {file.get('sha256', 'not known')}"
    yield "network", _specification(origin.get("model"))
    yield "data", _specification(origin.get("data"))
    splits = origin.get("splits")
    for name, split in (splits if isinstance(splits, dict) else {}).items():
        yield f"{name} split", _flat(split)
    given = origin.get("knobs")
    knobs = given if isinstance(given, dict) else {}
    seeds = {key: value for part in (origin, knobs) for key, value in part.items() if "seed" in str(key)}
    yield "seeds", _flat(seeds)
    yield "knobs", _flat({key: value for key, value in knobs.items() if key not in seeds})
    for name in ("loss", "batchnorm", "precision", "device", "strategy", "plan", "lockstep", "products", "evaluations"):
        yield name.replace("batchnorm", "batch norm"), _flat(origin.get(name))
    yield "quantization", _flat(_brief(origin.get("quantization")))
    yield "view", _flat(origin.get("view"))
    yield "directions", _flat(origin.get("directions"))
    yield "versions", _flat(origin.get("versions"))


def _specification(entry: Any) -> str:
    """Write a network or data by name, with arguments."""
    if not isinstance(entry, dict):
        return _flat(entry)
    name, rest = entry.get("name", ""), {k: v for k, v in entry.items() if k != "name" and v}
    return f"{name} ({_flat(rest)})" if rest else str(name)


def _brief(entry: Any) -> Any:
    """Leave out of a quantization what is told layer by layer."""
    return {k: v for k, v in entry.items() if len(str(v)) < 300} if isinstance(entry, dict) else entry  # noqa: PLR2004


def _flat(entry: Any) -> str:
    """Write plain JSON for reading: ``points 21, seed 0``."""
    if entry is None or entry in ({}, []):
        return ""
    if isinstance(entry, dict):
        return ", ".join(f"{key} {_flat(value) or 'none'}" for key, value in entry.items())
    if isinstance(entry, list):
        return " ".join(_flat(value) or "none" for value in entry)
    return str(entry)
