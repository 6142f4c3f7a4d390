"""A command for every probe: its options are the probe's own knobs, so they cannot drift."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._axes import Axes
from landscape.cli._between import Curves
from landscape.cli._measure import Job
from landscape.cli._output import Output
from landscape.cli._quantized import BeforeRounding, Rounding
from landscape.cli._source import OneSplit, Refitted, Source
from landscape.discovery import member
from landscape.probes import _contract

KNOBS = Group("Probe", sort_key=0)
PLAIN = {
    "int": int, "float": float, "str": str, "bool": bool,
    "int | None": int | None, "float | None": float | None, "str | None": str | None,
}  # fmt: skip
READ = {"int": int, "float": float, "str": str}
# Frozen: what the options are, unless given.
SOURCE, FIRST, REFITTED, OUTPUT = Source(), OneSplit(), Refitted(), Output()
AXES, CURVES, ROUNDING, BEFORE = Axes(), Curves(), Rounding(), BeforeRounding()
CHECKPOINT = "The network: a checkpoint of any kind."
OTHERS = {
    "directions": "A second and a third one span the line or plane.",
    "curves": "The other end of a segment.",
    "end": "The other end.",
    "thetas": "Further networks of the same architecture.",
}


def command(name: str) -> Callable:
    """Make the command of a probe from its signature and docstring."""
    knobs = _contract.knobs(name)
    usual = REFITTED if _contract.between(name) else FIRST if _contract.on_one_split(name) else SOURCE
    ahead = AXES if _contract.turns(name) else CURVES if _contract.follows(name) else None
    seen = BEFORE if _contract.rounds(name) else ROUNDING

    def run(
        checkpoint: Path, *others: Path, source: Source = usual, output: Output = OUTPUT, rounding: Rounding = seen,
        along: Axes | Curves | None = ahead, **chosen: Any,
    ) -> None:  # fmt: skip
        known = _contract.defaults(name) | chosen
        done = Job(name, (checkpoint, *others), source, along, output, known, rounding).run()
        if done:
            print(done)

    shared = {"source": usual, "output": OUTPUT, "rounding": seen, **({"along": ahead} if ahead else {})}
    more = next((words for taken, words in OTHERS.items() if taken in _contract.parameters(name)), "")
    run.__signature__ = _signature(knobs, shared, more)  # pyright: ignore
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # pyright: ignore
    run.__name__, run.__doc__ = name, _help(member("landscape.probes", name), [k.name for k in knobs])
    return run


def _signature(knobs: list[inspect.Parameter], shared: dict[str, Any], more: str) -> inspect.Signature:
    """Lay out the command line: checkpoints, the probe's knobs, and the options that all probes share.

    `more` says what further checkpoints are for; where it is empty they are refused, in words.
    """
    first = inspect.Parameter(
        "checkpoint", inspect.Parameter.POSITIONAL_ONLY, annotation=Annotated[Path, Parameter(help=CHECKPOINT)]
    )
    shown = Parameter(help=more, show=bool(more))
    others = inspect.Parameter("others", inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[Path, shown])
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([
        first,
        others,
        *(inspect.Parameter(k.name, keyword, default=k.default, annotation=_option(k)) for k in knobs),
        *(
            inspect.Parameter(name, keyword, default=default, annotation=Annotated[type(default), Parameter(name="*")])
            for name, default in shared.items()
        ),
    ])


def _option(knob: inspect.Parameter) -> Any:
    """Translate a knob's annotation to one that the command line reads.

    A tuple alone is a list, ``8,16,32``; a number or a tuple of them is a number for every axis, ``51`` or ``51x31``.
    """
    kind = str(knob.annotation)
    if found := re.fullmatch(r"tuple\[(int|float|str), \.\.\.\](?: \| None)?", kind):
        return Annotated[Any, _special(partial(_list, READ[found[1]]))]
    if "tuple[" in kind:
        return Annotated[Any, _special(_grid)]
    negative = f"--no-{knob.name.replace('_', '-')}" if knob.default is True else ()
    return Annotated[PLAIN[kind], Parameter(group=KNOBS, negative=negative)]


def _special(converter: Callable) -> Parameter:
    return Parameter(group=KNOBS, converter=converter, n_tokens=1, accepts_keys=False)


def _list(read: Callable, _: Any, tokens: Any) -> tuple:
    """Read ``8,16,32``: values between commas, all of one type."""
    try:
        return tuple(read(word.strip()) for word in tokens[0].value.split(",") if word.strip())
    except ValueError as error:
        kind = "whole numbers, as in 8,16,32" if read is int else "numbers, as in 0.1,0.5"
        raise ValueError(f"expected {kind}, got {tokens[0].value}.") from error


def _grid(_: Any, tokens: Any) -> Any:
    """Read ``51`` or ``51x31`` (a number for each axis), or a word such as ``auto``."""
    text = tokens[0].value
    parts = [_number(part) for part in text.split("x")] if text != "auto" else [text]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _help(probe: Callable, knobs: list[str]) -> str:
    """Cut a probe's docstring down to its first line and the parameters that are options."""
    words = inspect.getdoc(probe) or ""
    summary, _, rest = words.partition("\n\n")
    section = rest.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    kept, keep = [], False
    for line in section.splitlines():
        if not line.startswith(" "):
            keep = line.partition(" :")[0] in knobs
        if keep:
            kept.append(line)
    return "\n".join([summary, "", "Parameters", "----------", *kept])
