"""A command for every probe: its options are the probe's own knobs, so they cannot drift."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from landscape.cli._axes import Axes
from landscape.cli._output import Output, progress
from landscape.cli._source import Loaded, Source
from landscape.discovery import member

KNOBS = Group("Probe", sort_key=0)
PLAIN = {"int": int, "float": float, "str": str, "bool": bool, "int | None": int | None, "float | None": float | None,
         "str | None": str | None}
GIVEN = ("center", "store", "progress")  # knobs that are objects of Python, or filled in by the command


def command(name: str) -> Callable:
    """Make the command of a probe from its signature and docstring."""
    probe = member("landscape.probes", name)
    knobs = [p for p in inspect.signature(probe).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN]
    turns = "directions" in inspect.signature(probe).parameters

    def run(*checkpoints: Path, source: Source = Source(), axes: Axes = Axes(), output: Output = Output(), **chosen: Any) -> None:
        report(measured(name, checkpoints, source, axes if turns else None, output, chosen))

    keyword = inspect.Parameter.KEYWORD_ONLY
    flat = [("source", Source), ("output", Output), *([("axes", Axes)] if turns else [])]
    parameters = [
        inspect.Parameter("checkpoints", inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[Path, Parameter(help=CHECKPOINTS, required=True)]),
        *(inspect.Parameter(k.name, keyword, default=k.default, annotation=_option(k)) for k in knobs),
        *(inspect.Parameter(n, keyword, default=kind(), annotation=Annotated[kind, Parameter(name="*")]) for n, kind in flat),
    ]
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__, run.__doc__ = name, _help(probe, [k.name for k in knobs])
    return run


CHECKPOINTS = "The network: a checkpoint of any kind. A second and a third one span the line or plane."


def measured(name: str, checkpoints: tuple[Path, ...], source: Source, axes: Axes | None, output: Output, knobs: dict) -> tuple[Any, Path, list[Path], Loaded | None]:
    """Run a probe on checkpoints, write its result and figures, and return them with their paths.

    A result that is already there is drawn again, not measured again; unfinished work goes on.
    """
    if not checkpoints:
        raise ValueError(f"Expected a checkpoint: landscape {name} CHECKPOINT.")
    probe = member("landscape.probes", name)
    path = output.path(checkpoints[0], name)
    output.formats()  # a wrong format is no reason to compute first
    loaded = source.load(checkpoints[0])
    identity = _identity(name, checkpoints, axes, knobs, loaded)
    if (found := output.finished(path, identity)) is not None:
        return found, path, output.draw(found, path), None
    given: dict[str, Any] = dict(knobs)
    if axes is not None:
        count = 1 if name == "line" else 2
        given["directions"] = axes.frame(loaded, checkpoints[1:], count, knobs)
    if output.dry_run:
        _tell_cost(name, loaded, knobs)
        return None, path, [], loaded
    with progress(f"{name} of {checkpoints[0].name}") as shown:
        store = output.store(path, identity)
        opened: list[Any] = []
        result = probe(loaded.objective, store=lambda plan: opened.append(store(plan)) or opened[0], progress=shown, **given)
    object.__setattr__(result, "origin", identity | {k: v for k, v in result.origin.items() if k not in identity})
    result.save(path)
    for parts in opened:
        parts.remove()
    return result, path, output.draw(result, path), loaded


def report(done: tuple[Any, Path, list[Path], Loaded | None]) -> None:
    """Print what was found, how sure it is, and where it lies."""
    from landscape.plots.export import table

    result, path, figures, fresh = done
    if result is None:
        return
    print(table(result))
    if fresh is None:
        print(f"{path} was there already, with this very origin: drawn again, not measured again.")
    print("data:   ", path)
    for figure in figures:
        print("figure: ", figure)


def _identity(name: str, checkpoints: tuple[Path, ...], axes: Axes | None, knobs: dict, loaded: Loaded) -> dict:
    """Say what the work is: everything that decides the numbers, and what `reproduce` needs to do it again."""
    from landscape.weights import sha256

    files = [*checkpoints[1:], *(axes.trajectory_paths() if axes else ())]
    return loaded.record() | {
        "command": name,
        "others": [{"path": str(p.resolve()), "sha256": sha256(p)} for p in files if p.is_file()],
        "checkpoints": len(checkpoints),
        "axes": axes and axes.record(),
        "knobs": {k: list(v) if isinstance(v, tuple) else v for k, v in knobs.items()},
        "versions": {"landscape": version("landscape"), "torch": version("torch"), "numpy": version("numpy"), "python": platform.python_version()},
    }


def _tell_cost(name: str, loaded: Loaded, knobs: dict) -> None:
    import math

    import numpy as np

    objective = loaded.objective
    points = knobs.get("points", 1)
    count = int(np.prod(points)) if isinstance(points, tuple) else points ** (2 if name == "surface" else 1)
    count *= knobs.get("draws", 1)
    plan = objective.plan(count)
    seconds = objective.seconds(plan) * count
    print(f"{name}: {count} points, each {' + '.join(f'{n} {e.size}' for n, e in objective.examples.items())} examples; {objective!r}")
    print(f"plan:    {plan}")
    print(f"time:    about {seconds:.0f} s" if seconds >= 1 else f"time:    about {math.ceil(seconds * 1000)} ms")


def _option(knob: inspect.Parameter) -> Any:
    """Translate a knob's annotation to one that the command line reads."""
    kind = str(knob.annotation)
    if "tuple[" in kind and "str, ..." in kind:
        return Annotated[tuple, Parameter(group=KNOBS, converter=_words, n_tokens=1, accepts_keys=False)]
    if "tuple[" in kind:
        return Annotated[Any, Parameter(group=KNOBS, converter=_grid, n_tokens=1, accepts_keys=False)]
    return Annotated[PLAIN[kind], Parameter(group=KNOBS)]


def _words(_: Any, tokens: Any) -> tuple[str, ...]:
    return tuple(word.strip() for word in tokens[0].value.split(",") if word.strip())


def _grid(_: Any, tokens: Any) -> Any:
    """Read ``51`` or ``51x31`` (a number for each axis), or a word such as ``auto``."""
    parts = [_number(part) for part in tokens[0].value.split("x")] if tokens[0].value != "auto" else ["auto"]
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


