"""``landscape verify``: is the objective what it says it is?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli._source import OneSplit

if TYPE_CHECKING:
    from landscape.verification import Check

EXAMPLES = 512  # unless --examples says otherwise: enough for every kind of layer to be seen at work
HEAD = ("check", "allowed", "found", "verdict", "")


def verify(
    checkpoint: Path,
    *,
    source: Annotated[OneSplit, Parameter(name="*")] = OneSplit(),  # noqa: B008 (frozen)
    seed: int = 0,
) -> None:
    """Check a network's loss and curvature: determinism, finite differences, symmetry, PyHessian.

    Uses 512 random examples unless --examples says otherwise. Ends with an error if anything disagrees.

    Parameters
    ----------
    checkpoint : Path
        The network: a checkpoint of any kind.
    source : OneSplit
        Its network and data, and the arithmetic that is checked.
    seed : int
        Of random directions.
    """
    from landscape.verification import verification

    source = replace(source, examples=source.examples or EXAMPLES)
    objective = source.load(checkpoint).objective
    device = "cpu" if objective.device.type == "mps" else str(objective.device)  # mps knows no float64
    exact = replace(source, precision="float64", device=device, strategy="auto").load(checkpoint).objective
    checks = verification(objective, exact, seed=seed)
    print(f"{objective!r}, {objective.splits[0]} split, {objective.precision} on {objective.device}")
    print(table(checks))
    if wrong := [check.name for check in checks if check.verdict == "disagrees"]:
        raise ValueError(
            f"{checkpoint}: expected all checks to agree, got another answer in {', '.join(wrong)}: "
            "do not trust curvature of this network before you know why."
        )
    print(f"{checkpoint}: verified")


def table(checks: list[Check]) -> str:
    """Lay checks out in columns."""
    rows = [HEAD, *((c.name, _number(c.allowed), _number(c.found), c.verdict, c.words) for c in checks)]
    wide = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
