"""``landscape reproduce``: measure a result again, and compare."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from landscape.result import Result


def reproduce(
    result: Path,
    *,
    trust: Annotated[bool, Parameter(negative="")] = False,
    tolerance: float = 1e-4,
) -> None:
    """Compute a result again from what it says of its origin, and tell how well the numbers agree.

    Ends with an error if they do not. The result itself is left alone.

    Parameters
    ----------
    result : Path
        An HDF5 file that a command of landscape wrote.
    trust : bool
        Run the code that the result names (a network or data in a Python file).
    tolerance : float
        Largest difference, relative to the largest value of an array, that counts as agreement.
    """
    from landscape.result import load

    found = load(result)
    again = _again(found, result, trust)
    worst = {name: difference(getattr(found, name), getattr(again, name)) for name in found.quantities()}
    for name, value in worst.items():
        print(f"{name}: {'equal' if value == 0 else f'differs by {value:.2g} of its largest value'}")
    wrong = [name for name, value in worst.items() if not value <= tolerance]
    if wrong:
        raise ValueError(f"{result}: expected the same numbers again, got other ones in {', '.join(wrong)}.")
    print(f"{result}: reproduced")


def difference(old: Any, new: Any) -> float:
    """Return the largest difference of two arrays, relative to the largest finite value; infinity where shapes differ."""
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
    return float(np.abs(old[~same] - new[~same]).max() / np.abs(old[np.isfinite(old)]).max())


def _again(found: Result, path: Path, trust: bool) -> Result:
    from landscape.cli._axes import Axes
    from landscape.cli._output import Output
    from landscape.cli._probe import measured
    from landscape.cli._source import Source
    from landscape.discovery import names, registered
    from landscape.engine.plan import Plan
    from landscape.weights import sha256

    origin = found.origin
    if origin.get("command") not in names("landscape.probes"):
        raise ValueError(f"{path}: expected a result that a command wrote, got one that does not say its command.")
    source = origin["source"]
    code = [source[name] for name in ("model", "data", "loss") if source[name] and not registered(source[name])]
    if (code or source["trust"]) and not trust:
        raise ValueError(
            f"{path}: expected registered names, got a result that would run code of its own ({', '.join(code) or 'trusted files'}): "
            "pass --trust, if you know where it comes from."
        )
    files = [origin["checkpoint"], *origin["others"]]
    for file in files:
        if not Path(file["path"]).is_file():
            raise FileNotFoundError(f"{file['path']}: expected the checkpoint of {path}, got no such file.")
        if sha256(file["path"]) != file["sha256"]:
            raise ValueError(f"{file['path']}: expected the checkpoint of {path}, got a file that has changed since.")
    axes = origin["axes"] and Axes(
        directions=origin["axes"]["directions"], trajectory=[Path(p) for p in origin["axes"]["trajectory"] or ()] or None
    )
    knobs = {name: tuple(value) if isinstance(value, list) else value for name, value in origin["knobs"].items()}
    source |= {"strategy": Plan(**origin["plan"]).spec()}
    with tempfile.TemporaryDirectory() as folder:
        output = Output(output=Path(folder) / "again.h5", plot="none")
        paths = tuple(Path(file["path"]) for file in files[: origin["checkpoints"]])
        return measured(origin["command"], paths, Source(**source), axes, output, knobs)[0]
