"""A command for every probe: its options are the probe's own knobs, so they cannot drift."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._axes import Axes
from landscape.cli._measure import Job
from landscape.cli._output import Output
from landscape.cli._source import Source
from landscape.discovery import member

KNOBS = Group("Probe", sort_key=0)
GIVEN = ("center", "store", "progress")  # knobs that are objects of Python, or filled in by the command
PLAIN = {
    "int": int, "float": float, "str": str, "bool": bool,
    "int | None": int | None, "float | None": float | None, "str | None": str | None,
}  # fmt: skip
SOURCE, OUTPUT, AXES = Source(), Output(), Axes()  # frozen: what the options are, unless given
CHECKPOINT = "The network: a checkpoint of any kind."
OTHERS = "A second and a third one span the line or plane."


def command(name: str) -> Callable:
    """Make the command of a probe from its signature and docstring."""
    probe = member("landscape.probes", name)
    signature = inspect.signature(probe)
    knobs = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN]
    turns = "directions" in signature.parameters

    def run(
        checkpoint: Path, *others: Path, source: Source = SOURCE, output: Output = OUTPUT,
        axes: Axes | None = AXES if turns else None, **chosen: Any,
    ) -> None:  # fmt: skip
        done = Job(name, (checkpoint, *others), source, axes, output, defaults(name) | chosen).run()
        if done:
            print(done)

    run.__signature__ = _signature(knobs, turns)  # pyright: ignore
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # pyright: ignore
    run.__name__, run.__doc__ = name, _help(probe, [k.name for k in knobs])
    return run


def defaults(name: str) -> dict[str, Any]:
    """Return the knobs of a probe that its command has, at their defaults."""
    parameters = inspect.signature(member("landscape.probes", name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN}


def _signature(knobs: list[inspect.Parameter], turns: bool) -> inspect.Signature:
    """Lay out the command line: checkpoints, the probe's knobs, and the options that all probes share."""
    shared = {"source": SOURCE, "output": OUTPUT, **({"axes": AXES} if turns else {})}
    first = inspect.Parameter(
        "checkpoint", inspect.Parameter.POSITIONAL_ONLY, annotation=Annotated[Path, Parameter(help=CHECKPOINT)]
    )
    others = inspect.Parameter(
        "others", inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[Path, Parameter(help=OTHERS)]
    )
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
    """Translate a knob's annotation to one that the command line reads."""
    kind = str(knob.annotation)
    if "tuple[" in kind and "str, ..." in kind:
        return Annotated[Any, _special(_words)]
    if "tuple[" in kind:
        return Annotated[Any, _special(_grid)]
    return Annotated[PLAIN[kind], Parameter(group=KNOBS)]


def _special(converter: Callable) -> Parameter:
    return Parameter(group=KNOBS, converter=converter, n_tokens=1, accepts_keys=False)


def _words(_: Any, tokens: Any) -> tuple[str, ...]:
    return tuple(word.strip() for word in tokens[0].value.split(",") if word.strip())


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
