"""From the origin of a result to the command line that measures it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from landscape.comparison.plan import USUAL as USUAL_PROBES
from landscape.discovery import names
from landscape.probes import _contract

# What options are unless given, for every command that has them; what no command would refuse is written always.
USUAL = {"parameters": "*", "batchnorm": "frozen", "precision": "float32", "device": "auto", "strategy": "auto"}
MANY = {"curve", "trajectory", "mark"}  # options that take several files at once


def command(origin: dict[str, Any], output: str = "") -> str:
    """Write the command line by which a result was made, ready to be pasted into a shell.

    All options that decide the numbers are written but those at their defaults. Paths are those of the machine that
    measured, and are quoted.

    Parameters
    ----------
    origin : dict
        As results carry it; not trusted.
    output : str, optional
        File to write the result to.

    Returns
    -------
    str
        Empty where the origin is not that of a command of one result, or is not whole.
    """
    name = origin.get("command")
    try:
        if name == "ensemble":
            words = [*_files(origin), "--bins", str(origin["knobs"]["bins"]), *_source(origin)]
        elif name == "compare":
            words = [*_compared(origin), *_source(origin)] if "checkpoints" in origin else _results(origin)
        elif name in names(_contract.PACKAGE):
            words = [*_files(origin), *_knobs(origin), *_source(origin), *_along(origin), *_rounding(origin)]
        else:
            return ""
    except (KeyError, TypeError, AttributeError, ValueError):
        return ""
    return shlex.join(["landscape", str(name), *words, *(["--output", output] if output else [])])


def _files(origin: dict[str, Any]) -> Iterator[str]:
    """List the checkpoints that are arguments."""
    files = [origin["checkpoint"], *origin["others"]]
    for file in files[: origin["checkpoints"]]:
        yield _argument(str(file["path"]))


def _results(origin: dict[str, Any]) -> list[str]:
    """List the results that are arguments."""
    return [_argument(str(file["path"])) for file in origin["results"]]


def _compared(origin: dict[str, Any]) -> Iterator[str]:
    """Write what a comparison is of, and how its probes are not the usual ones."""
    yield from (_argument(str(file["path"])) for file in origin["checkpoints"])
    yield from _results(origin)
    yield from ("--bits", ",".join(map(str, origin["bits"])))
    for text in origin["probes"]:
        yield from () if text in USUAL_PROBES else _pair("--probe", str(text))
    measured = {str(text).partition(":")[0] for text in origin["probes"]}
    if missing := [name for name in (text.partition(":")[0] for text in USUAL_PROBES) if name not in measured]:
        yield from ("--without", ",".join(missing))
    for name in ("scheme", "models"):
        yield from _pair(f"--{name}", str(origin[name])) if origin[name] else ()


def _knobs(origin: dict[str, Any]) -> Iterator[str]:
    """Write the probe's own options, where they are not at their defaults."""
    given = origin["knobs"]
    for knob in _contract.knobs(origin["command"]):
        value = given[knob.name]
        usual = list(knob.default) if isinstance(knob.default, tuple) else knob.default
        if value == usual or value is None:
            continue
        option = f"--{knob.name.replace('_', '-')}"
        if value is False:
            yield option.replace("--", "--no-", 1)
        elif value is True:
            yield option
        elif isinstance(value, list):
            between = "," if re.search(r", \.\.\.\]", str(knob.annotation)) else "x"
            yield from _pair(option, between.join(map(str, value)))
        else:
            yield from _pair(option, str(value))


def _source(origin: dict[str, Any]) -> Iterator[str]:
    """Write how the checkpoint becomes an objective."""
    for name, value in origin["source"].items():
        option = f"--{name.replace('_', '-')}"
        if value is None or value is False or value == USUAL.get(name):
            continue
        for one in value if isinstance(value, list) else [value]:
            yield from [option] if one is True else _pair(option, str(one))


def _along(origin: dict[str, Any]) -> Iterator[str]:
    """Write where axes point, and which curves are followed."""
    for name, value in (origin["axes"] or {}).items():
        if name in MANY and value:
            yield from (f"--{name}", *map(_argument, map(str, value)))
        elif value is not None:
            yield from _pair(f"--{name}", str(value))


def _rounding(origin: dict[str, Any]) -> Iterator[str]:
    """Write how quantized weights are seen; probes that round by themselves begin elsewhere unless they are told."""
    seen = origin.get("quantized") or ({"quantized": "dequant"} if _contract.rounds(origin["command"]) else {})
    for name, value in seen.items():
        yield from _pair(f"--{name}", str(value))


def _pair(option: str, value: str) -> list[str]:
    """Write an option and its value: as one word where the value would be taken for an option."""
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def _argument(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path
