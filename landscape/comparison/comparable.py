"""What must agree for numbers to be comparable: examples, arithmetic, knobs, directions, grids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from landscape.comparison.measures import read
from landscape.result import Result

SHARED = ("loss", "precision")  # of every result of a comparison
OWN = ("split", "knobs", "matrix", "tolerance", "seed", "batchnorm", "batch_size")  # of results of one probe
DIRECTIONS = ("kind", "normalization", "include", "seed", "draw")
GRIDS = {"a": "a", "b": "b", "t": "t", "split": "splits", "class_": "classes"}  # where, or of what, was measured
RESTING = ("none", "frozen")  # batch norm: a network without any is as one whose statistics rest


def require_comparable(members: Mapping[str, Result]) -> None:
    """Refuse results that were not measured alike.

    All must be of the same examples, with the same loss and arithmetic; those of one probe with the same knobs, kind of
    directions, seeds and grid too. A setting that a result does not tell is not held against it.

    Raises
    ------
    ValueError
        If two results differ in a setting: it names both, the setting, and its two values.
    """
    require_shared({name: member.origin for name, member in members.items()})
    probes: dict[str, dict[str, Result]] = {}
    for name, member in members.items():
        probes.setdefault(read(name)[1], {})[name] = member
    for one in probes.values():
        _agree({name: _of_probe(member) for name, member in one.items()})


def require_shared(origins: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse origins of results, or records of objectives, that are of other examples, losses or arithmetic.

    Raises
    ------
    ValueError
        If two differ: it names both, the setting, and its two values.
    """
    _agree({name: _shared(origin) for name, origin in origins.items()})


def _agree(settings: Mapping[str, Iterable[tuple[str, Any]]]) -> None:
    """Refuse two results of which one setting differs."""
    seen: dict[str, tuple[str, Any]] = {}
    for name, known_of in settings.items():
        for setting, value in known_of:
            first, known = seen.setdefault(setting, (name, value))
            if not _equal(known, value):
                raise ValueError(
                    f"Expected results that were measured alike, got {setting} {_told(known)} of {first} and "
                    f"{_told(value)} of {name}: measure one of them again, or compare them apart."
                )


def _shared(origin: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """List the settings that all results share."""
    for name in SHARED:
        if name in origin:
            yield name, origin[name]
    splits = origin.get("splits")
    for name, part in splits.items() if isinstance(splits, dict) else ():
        if isinstance(part, dict):
            yield f"{name} examples", part.get("examples")
            yield f"{name} data", part.get("fingerprint")
    told, code = origin.get("loss"), origin.get("code")
    file = told.rpartition(":")[0] if isinstance(told, str) else ""
    if file and isinstance(code, dict) and file in code:
        yield f"the code of {told}, of hash", code[file]


def _of_probe(result: Result) -> Iterator[tuple[str, Any]]:
    """List the settings that results of one probe share."""
    for name in OWN:
        value = result.origin.get(name)
        if name == "batchnorm" and value in RESTING:
            value = RESTING[1]
        if isinstance(value, dict):
            yield from ((f"{name[:-1]} {key}", one) for key, one in value.items())
        elif value is not None:
            yield name, value
    yield from _seen(result.origin)
    directions = result.origin.get("directions") or {}
    yield from ((f"directions' {name}", directions[name]) for name in DIRECTIONS if name in directions)
    for name, told in result.quantities().items():
        if told["dims"] == ((told["name"] or name),) and name in GRIDS:
            yield GRIDS[name], getattr(result, name)


def _seen(origin: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """List what is moved and through what it is seen, and how weights were rounded for the measurement alone.

    Checkpoints that are quantized may be so in any way: that is what is compared.
    """
    source, seen, view = (origin.get(name) or {} for name in ("source", "quantized", "view"))
    if "parameters" in source:
        yield "--parameters", source["parameters"]
    elif "splits" in origin:
        yield "parameters", origin.get("moved", "*")
    if "command" in origin:
        yield "--quantized", seen.get("quantized", "dequant")
        yield "--acts", seen.get("acts", "hard")
    elif "splits" in origin:
        yield "the view", {name: value for name, value in view.items() if name not in ("grids", "schemes")} or "none"
    schemes = [origin["rounded"]] if "rounded" in origin else []
    if seen.get("round") is not None:
        schemes = list((origin.get("quantization") or {}).get("schemes", {}).values())
    width = "".join(f" at {one['bits']} bits" for one in schemes[:1])  # by default the levels change with the width
    for name in sorted({name for one in schemes for name in one} - {"bits"}):
        yield f"rounding's {name}{width}", " and ".join(sorted({str(one.get(name)) for one in schemes}))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


def _told(value: Any) -> str:
    """Write a value in a few words: a grid by its ends and its number of points."""
    if not isinstance(value, np.ndarray):
        text = str(value)
        return f"{text[:12]}..." if len(text) > 60 else text
    if value.dtype.kind not in "fiu" or len(value) < 4:
        return ", ".join(map(str, value.tolist()[:12]))
    return f"{value[0]:g} to {value[-1]:g} in {len(value)} points"
