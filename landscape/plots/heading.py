"""What stands over a figure: which network and data, which directions, how much was asked of them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from landscape.plots import field
from landscape.plots.kinds import lineage
from landscape.plots.quantized import bits, quantized
from landscape.plots.summary import part_of
from landscape.result import Result

KINDS = {
    "random": "random directions",
    "between": "plane through checkpoints",
    "principal": "principal directions of the trajectory",
    "gradient": "gradient direction",
    "eigen": "eigenvectors of the Hessian",
    "bitplane": "plane through w and its quantizations",
}


def heading(result: Result, *, seen: str | None = None) -> str:
    """Say in one or two lines what was measured: model and data, then directions and grid.

    Of a quantized network, which surface it is too, unless `seen` says what to write of it.
    """
    origin = result.origin
    model, data = (_name(origin.get(key)) for key in ("model", "data"))
    first = " on ".join(part for part in (model, data) if part)
    words = [*_directions(origin.get("directions")), _grid(result), _part(result), *_between(result)]
    if _flat(result):
        words[0] = words[0].replace("plane", "line").replace("directions", "direction")
    second = " · ".join(word for word in words if word)
    seen = quantized(result) if seen is None else seen
    return "\n".join(line for line in (" · ".join(word for word in (first, seen) if word), second) if line)


def named(results: list) -> dict[str, Result]:
    """Name several results by model and data, and by a number where these do not tell them apart."""
    found = [heading(result).partition("\n")[0] for result in results]
    return {
        name if name and found.count(name) == 1 else f"{name} ({index})".strip(): result
        for index, (name, result) in enumerate(zip(found, results, strict=True), start=1)
    }


def shared(results: list[Any]) -> str:
    """Say in one or two lines what all results have in common."""
    kinds = {quantized(result, widths=False) for result in results if bits(result)}
    seen = kinds.pop() if len(kinds) == 1 else ""
    lines = [[line.split(" · ") for line in heading(result, seen=seen).splitlines()] for result in results]
    first, *others = lines
    kept = [[w for w in words if all(any(w in line for line in other) for other in others)] for words in first]
    return "\n".join(" · ".join(words) for words in kept if words)


def _name(entry: Any) -> str:
    """Name a network or data without its folder, which is nobody's business on a page."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    return PurePath(str(name)).name if name else ""


def _directions(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return []
    kind, normalization, seed = (entry.get(key) for key in ("kind", "normalization", "seed"))
    words = [KINDS.get(str(kind), f"{kind} directions")] if kind else []
    if entry.get("runs", 1) > 1:
        words = [f"principal directions of {entry['runs']} runs"]
    if normalization and str(normalization) != "none":
        words.append(f"{normalization}-normalized")
    return words + ([f"seed {seed}"] if seed is not None and kind == "random" else [])


def _part(result: Any) -> str:
    """Say which part of the data a result is about, and how much was asked of it, where it is not over a grid."""
    if "split" in result.quantities() or not result.origin.get("split"):
        return ""
    count = part_of(result)
    words = [f"{result.origin['split']} split" + (f", {count} examples" if count else "")]
    node = getattr(result, "node", None)
    if node is not None:
        probes, steps = node.shape[-2:]
        words += [f"{probes} probe{'s' * (probes > 1)} of {steps} steps"]
    return " · ".join(word.replace(" ", "\u00a0") for word in words)


def _between(result: Any) -> list[str]:
    """Say at how many points of curves what was measured: on how many examples, with which batch-norm statistics."""
    if "Path" not in lineage(result):
        return []
    splits, policy = result.origin.get("splits"), result.origin.get("batchnorm")
    known = splits if isinstance(splits, dict) else {}
    counts = [f"{name} {known[name]['examples']}" for name in field.splits(result) if name in known]
    words = {"refit": "batch norm refitted at every point", "batch": "batch norm of each batch"}
    found = [f"{len(result.t)} points", ", ".join(counts) + " examples" if counts else "", words.get(str(policy), "")]
    return [word.replace(" ", "\u00a0") for word in found if word]


def _flat(result: Any) -> bool:
    """Say whether it is over a line: a second axis that it may have is a single point."""
    return "a" in result.quantities() and ("b" not in result.quantities() or len(result.b) == 1)


def _grid(result: Any) -> str:
    axes = ("a",) if _flat(result) else ("a", "b")
    sizes = [str(len(getattr(result, dim))) for dim in axes if dim in result.quantities()]
    draws = getattr(result, "draw", None)
    many = f" · median of {len(draws)} draws" if draws is not None else ""
    return ("\u00a0×\u00a0".join(sizes) + "\u00a0points" if sizes else "") + many
