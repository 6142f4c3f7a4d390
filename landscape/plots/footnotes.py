"""What must stand below the table of a comparison: what errors are, what is marked and when, of how many examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.comparison.comparison import CLEAR
from landscape.plots import measured

if TYPE_CHECKING:
    from landscape.comparison import Comparison

OVER_EXAMPLES = ("loss", "accuracy", "rise_by_rounding", "barrier")
TIMES = {2.0: "two"}


def footnotes(result: Comparison, *, mark: str = "Bold", unknown: str = r"$\dagger$") -> list[str]:
    """Say in sentences how the table of a comparison is to be read; what stands between dollars is mathematics.

    Parameters
    ----------
    result : Comparison
    mark : str, default="Bold"
        How the best is marked.
    unknown : str
        The sign of an error that is not known.
    """
    lines = [_examples(result), *_errors(result, unknown), *_marked(result, mark)]
    if np.isnan(result.value).any():
        lines.append("\N{EN DASH}: not measured.")
    return [line for line in lines if line]


def _examples(result: Comparison) -> str:
    """Tell how many examples of which split, and from which seed random numbers come."""
    counts: dict[str, Any] = {}
    for one in result.members.values():
        splits = one.origin.get("splits")
        for name, part in splits.items() if isinstance(splits, dict) else ():
            if isinstance(part, dict) and part.get("examples"):
                counts[name] = part["examples"]
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    seeds = dict.fromkeys(str(seed) for one in result.members.values() for seed in _seeds(one.origin))
    drawn = f"random directions and vectors from seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}" if seeds else ""
    found = "; ".join(part for part in (f"{words} examples" if words else "", drawn) if part)
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def _seeds(origin: dict[str, Any]) -> list[Any]:
    directions = origin.get("directions")
    places = [origin, directions if isinstance(directions, dict) else {}]
    return [place["seed"] for place in places if place.get("seed") is not None]


def _errors(result: Comparison, unknown: str) -> list[str]:
    known = {str(name): result.error[:, j] for j, name in enumerate(result.measure)}
    found = {name: error for name, error in known.items() if (error > 0).any()}
    kinds = [
        ("a standard error over examples", any(part in name for name in found for part in OVER_EXAMPLES)),
        ("of the trace one over random vectors", any(name.endswith("trace") for name in found)),
        ("of eigenvalues a residual", any("lambda" in name for name in found)),
    ]
    told = [words for words, there in kinds if there]
    lines = [f"±: {', '.join(told)}."] if told else []
    lines += ["Without ±, the error is zero or below a ten-thousandth of the value."]
    lost = np.isnan(result.error) & ~np.isnan(result.value)
    return lines + [f"{unknown}: error not known (a lower bound, or a single draw)."] * bool(lost.any())


def _marked(result: Comparison, mark: str) -> list[str]:
    if not result.better.astype(bool).any() or len(set(result.network.tolist())) < 2:
        return []
    sides = [side for side in ("lower", "higher") if side in result.better]
    higher = " (accuracy: highest)" if len(sides) > 1 else ""
    first = "highest" if sides == ["higher"] else "lowest"
    plain = dict.fromkeys(measured.name(str(n)) for n, s in zip(result.measure, result.better, strict=True) if not s)
    times = TIMES.get(CLEAR, f"{CLEAR:g}")
    line = (
        f"{mark}: {first}{higher} of all networks of the same width, by more than {times} standard errors of the "
        "difference to every other one, paired over examples where these were kept"
    )
    rest = f"; {', '.join(plain)} {'is' if len(plain) == 1 else 'are'} not marked" if plain else ""
    return [f"{line}{rest}."]
