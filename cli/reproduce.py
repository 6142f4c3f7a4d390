"""``landscape reproduce``: measure a result again, and compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from landscape.cli._axes import Axes
    from landscape.cli._between import Curves
    from landscape.cli._measure import Job
    from landscape.cli.ensemble import Committee


SMALL = 0.01  # nats, or a fraction: differences of smaller values are not relative to them


def reproduce(
    result: Path,
    *,
    trust: Annotated[bool, Parameter(negative="")] = False,
    tolerance: float = 1e-4,
) -> None:
    """Compute a result again from what it says of its origin, and tell how well the numbers agree.

    Of a comparison, every result in it. Ends with an error if they do not. The result itself is left alone.

    Parameters
    ----------
    result : Path
        An HDF5 file that a command of landscape wrote.
    trust : bool
        Run the code that the result names (a network or data in a Python file).
    tolerance : float
        Largest difference that counts as agreement, relative to each value, or to 0.01 if that is more.
    """
    from landscape.result import Collection, load

    found = load(result)
    if isinstance(found, Collection) and not found.members:
        raise ValueError(f"{result}: expected results to compute again, got an empty collection.")
    members = found.members if isinstance(found, Collection) else {"": found}
    work: dict[str, Job | Committee] = {}
    for member, one in members.items():
        with _whole_origin(result):
            work[member] = described(one.origin, result)
            _vet(work[member], one.origin, result, trust)
    wrong = []
    for member, job in work.items():
        again = job.again()
        for name in members[member].quantities():
            value = difference(getattr(members[member], name), getattr(again, name))
            told = f"{member} {name}".strip()
            print(f"{told}: {'equal' if value == 0 else f'differs by {value:.2g} of its value'}")
            wrong += [] if value <= tolerance else [told]
    if wrong:
        raise ValueError(f"{result}: expected the same numbers again, got other ones in {', '.join(wrong)}.")
    print(f"{result}: reproduced")


def difference(old: Any, new: Any) -> float:
    """Return the largest difference of two arrays, relative to the values themselves, or to 0.01 where that is more.

    A surface spans many orders of magnitude: what is small beside its rim may be all that matters at its center.
    Infinity where shapes differ, or one is finite and the other is not; equal infinities and NaNs do not differ.
    """
    import numpy as np

    if new is None or old.shape != new.shape:
        return float("inf")
    if old.dtype.kind not in "fiu":
        return 0.0 if (old == new).all() else float("inf")
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    if same.all():
        return 0.0
    if not np.isfinite(old[~same]).all() or not np.isfinite(new[~same]).all():
        return float("inf")
    old, new = old[~same].astype(float), new[~same].astype(float)
    return float((np.abs(old - new) / np.maximum(SMALL, np.maximum(np.abs(old), np.abs(new)))).max())


def described(origin: dict[str, Any], path: Path) -> Job | Committee:
    """Make the work that an origin describes, by the plan that it was done by.

    Raises
    ------
    ValueError
        If the origin is not that of a command.
    KeyError, TypeError, AttributeError
        If it is not whole.
    """
    from landscape.cli._measure import Job
    from landscape.cli._output import Output
    from landscape.cli._quantized import Rounding
    from landscape.cli._source import Source
    from landscape.cli.ensemble import committee
    from landscape.discovery import names
    from landscape.probes._contract import defaults

    if origin.get("command") == "ensemble":
        return committee(origin)
    if origin.get("command") not in names("landscape.probes"):
        raise ValueError(f"{path}: expected a result that a command wrote, got one that does not say its command.")
    if unknown := origin["knobs"].keys() - defaults(origin["command"]).keys():
        raise ValueError(f"{path}: expected the knobs of {origin['command']}, got {', '.join(sorted(unknown))} too.")
    files = [origin["checkpoint"], *origin["others"]]
    strategy = _strategy(origin)
    return Job(
        origin["command"],
        tuple(Path(file["path"]) for file in files[: origin["checkpoints"]]),
        Source(**{"refit_augment": "none"} | origin["source"] | ({"strategy": strategy} if strategy else {})),
        origin["axes"] and _along(origin),
        Output(plot="none"),
        {name: tuple(value) if isinstance(value, list) else value for name, value in origin["knobs"].items()},
        Rounding(**origin.get("quantized") or {}),
    )


def _along(origin: dict[str, Any]) -> Axes | Curves:
    """Return the options about directions or curves that an origin tells."""
    from landscape.cli._axes import Axes
    from landscape.cli._between import Curves
    from landscape.probes._contract import follows

    kind = Curves if follows(origin["command"]) else Axes
    return kind(**{
        name: [Path(word) for word in value] if isinstance(value, list) else value
        for name, value in origin["axes"].items()
    })


def _strategy(origin: dict[str, Any]) -> str:
    """Tell by which strategy numbers were computed, as far as it is known: of points, of products, or of both.

    Another strategy rounds otherwise, and what stops at a tolerance then stops elsewhere.
    """
    from landscape.engine.plan import Plan
    from landscape.probes._contract import on_one_split

    if "plan" not in origin and ("strategy" in origin or on_one_split(origin["command"])):
        return origin["lockstep"]["strategy"] if "lockstep" in origin else origin.get("strategy", "")
    plan = origin["plan"]
    return f"{Plan(**plan['points'])};{plan['products']}" if "products" in plan else str(Plan(**plan))


@contextmanager
def _whole_origin(path: Path) -> Iterator[None]:
    """Say in one line that an origin lacks something."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected a whole origin, got a damaged one ({error!r}).") from error


def _vet(job: Job | Committee, origin: dict[str, Any], path: Path, trust: bool) -> None:
    """Refuse code that only the result asks for, and files that have changed since."""
    from landscape.discovery import registered
    from landscape.weights import sha256

    source = job.source
    code = [spec for spec in (source.model, source.data, source.loss) if spec and not registered(spec)]
    if (code or source.trust) and not trust:
        raise ValueError(
            f"{path}: expected registered names, got a result that would run code of its own "
            f"({', '.join(code) or 'trusted files'}): pass --trust, if you know where it comes from."
        )
    files = {file["path"]: file["sha256"] for file in (origin["checkpoint"], *origin["others"])}
    for file, digest in (files | origin["code"]).items():
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file}: expected a file that {path} was made from, got no such file.")
        if sha256(file) != digest:
            raise ValueError(f"{file}: expected the file that {path} was made from, got one that has changed since.")
