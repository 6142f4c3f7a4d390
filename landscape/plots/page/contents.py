"""What stands on a page, in order: tables, surfaces, pictures of every other kind, where all of it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from landscape.comparison.comparison import FULL
from landscape.plots import kinds, quantized
from landscape.plots.page import surfaces, tables
from landscape.plots.page.entries import Entry, entries
from landscape.plots.page.numbers import Listed, numbers
from landscape.plots.page.pictures import Picture, Slot, distinct, slots
from landscape.plots.page.provenance import Provenance, provenance
from landscape.plots.page.words import surface as surface_words
from landscape.result import Collection, Result, versions

HEADINGS = {  # of kinds, in the order in which they stand: surfaces, curvature, classes, bits, paths, what is left
    "Surface": ("Surfaces", "Loss surfaces"),
    "Line": ("Lines", "Loss along lines"),
    "Topology": ("Basins", "Basins: minima, and the saddles between them"),
    "Curvature": ("Curvature", "Curvature over a plane"),
    "Eigen": ("Eigenvalues", "Largest and smallest eigenvalues of the Hessian"),
    "Spectrum": ("Spectra", "Spectra of the Hessian"),
    "Trace": ("Trace", "Trace of the Hessian, whole and by layer"),
    "Sharpness": ("Sharpness", "Published measures of sharpness"),
    "Batchsize": ("Batch size", "Largest eigenvalue against batch size"),
    "Covariance": ("Covariance", "Gradient covariance against the Hessian"),
    "Evaluate": ("Loss and accuracy", "Loss and accuracy, whole and by class"),
    "Saddle": ("Classes", "Classes as saddles"),
    "Bits": ("Bits", "What rounding to few bits does"),
    "Path": ("Paths", "Loss along paths between networks"),
    "Connect": ("Curves", "Trained curves of low loss"),
    "Align": ("Permutations", "Paths between permuted networks"),
    "Barriers": ("Barriers", "Barriers between networks"),
    "Tree": ("Tree", "Networks connected as a tree"),
    "Ensembling": ("Along curves", "What networks along curves are worth together"),
    "Ensemble": ("Ensembles", "Networks together and alone"),
    "Study": ("Studies", "Methods over paired seeds"),
}
COUNTED = re.compile(r"^\d+ × ")  # ahead of the name of a network that several are
NETWORKS = 3  # in the title of a page


@dataclass(frozen=True)
class Detail:
    """The numbers of one result, what follows from them, and where they come from."""

    name: str
    remarks: list[str]
    single: list[tuple[str, str, str]]
    axes: list[tuple[str, list[Listed]]]
    large: list[str]
    origin: Provenance


@dataclass(frozen=True)
class Section:
    """A heading, for links a short one, with what is drawn under it.

    That is slots of pictures, or one viewer of surfaces for each of `viewers`; then the numbers of all as a table.
    """

    slug: str
    short: str
    heading: str
    told: str
    slots: list[Slot]
    table: tables.Table | None
    viewers: list[list[str]]
    details: list[Detail]


def contents(results: Mapping[str, Result], files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the template of the page tells.

    Raises
    ------
    ValueError
        If a result is damaged.
    """
    found = entries(results, files)
    for entry in found:
        _vet(entry)
    store: dict[str, Any] = {"surfaces": [], "figures": {}}
    networks = list(dict.fromkeys(entry.network for entry in sorted(found, key=_first)))
    found.sort(key=lambda entry: (networks.index(entry.network), -entry.bits))  # one colour for a network all over
    sections = [_section(kind, group, store, networks) for kind, group in _by_kind(found)]
    measured = [e for e in found if e.kind != "Topology"]  # of results, not of networks
    alone = [name for name in networks if any(e.network == name and not e.several for e in measured)]
    networks = alone or networks
    title = ", ".join(networks[:NETWORKS]) + (f" and {len(networks) - NETWORKS} more" * (len(networks) > NETWORKS))
    return {
        "title": f"Loss landscapes of {title}" if networks else "Loss landscapes",
        "lead": _lead(found, networks),
        "tables": _tables(results, found),
        "sections": sections,
        "collections": [
            (name, _origin_alone(name, one, files)) for name, one in results.items() if isinstance(one, Collection)
        ],
        "version": versions("landscape")["landscape"],
        "store": store,
    }


def _vet(entry: Entry) -> None:
    """See that a result can tell of itself: a file may be whole, and hold what its kind does not know.

    Raises
    ------
    ValueError
        If it cannot; the error names it.
    """
    try:
        entry.result.figures()
        entry.result.remarks()
    except Exception as error:
        name = entry.file or entry.name
        raise ValueError(f"{name}: expected a whole {entry.kind}, got a damaged one ({error}).") from error


def _first(entry: Entry) -> tuple[bool, bool]:
    return entry.several, entry.kind == "Topology"


def _by_kind(found: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Sort results by kind: those that people look for first, the others as they come."""
    present = list(dict.fromkeys(entry.kind for entry in found))
    order = [kind for kind in HEADINGS if kind in present] + [kind for kind in present if kind not in HEADINGS]
    return [(kind, [entry for entry in found if entry.kind == kind]) for kind in order]


def _section(kind: str, group: list[Entry], store: dict[str, Any], networks: list[str]) -> Section:
    """Draw all results of one kind; what scripts draw goes into the store."""
    slug, (short, words) = kind.lower(), HEADINGS.get(kind, (kind, kind))
    details = [_detail(entry) for entry in group]
    table = tables.joined(distinct(group), f"{words}: numbers")
    table = table if table.cells else None
    told = (type(group[0].result).__doc__ or "").strip().partition("\n")[0]
    if kind == "Surface" and all(_solid(entry) for entry in group):
        viewers = sorted(surfaces.groups(group), key=len, reverse=True)
        store["surfaces"] += [surfaces.store(viewer) for viewer in viewers]
        alternatives = [[surface_words(entry) for entry in viewer] for viewer in viewers]
        return Section(slug, short, words, told, [], table, alternatives, details)
    drawn = slots(group, networks)
    keyed = [replace(slot, pictures=[_stored(one, slug, store["figures"]) for one in slot.pictures]) for slot in drawn]
    return Section(slug, short, words, told, keyed, table, [], details)


def _stored(picture: Picture, slug: str, figures: dict[str, Any]) -> Picture:
    """Put what scripts draw into the store, and leave its key."""
    if picture.figure is None:
        return picture
    key = f"{slug}-{sum(name.startswith(f'{slug}-') for name in figures)}"
    figures[key] = picture.figure
    return replace(picture, key=key)


def _solid(entry: Entry) -> bool:
    """Say whether a surface has a relief: more than one point each way."""
    return min(entry.result.loss.shape[1:]) > 1


def _detail(entry: Entry) -> Detail:
    single, axes, large = numbers(entry.result)
    return Detail(entry.name, entry.result.remarks(), single, axes, large, provenance(entry))


def _origin_alone(name: str, result: Result, files: Mapping[str, str] | None) -> Provenance:
    """Tell where a collection comes from, its members having origins of their own."""
    return provenance(Entry(name, name, FULL, result, (files or {}).get(name, "")))


def _tables(results: Mapping[str, Result], found: Sequence[Entry]) -> list[tables.Table]:
    """Lay out the summary: comparisons as they are; what they do not hold, joined."""
    comparisons = {name: one for name, one in results.items() if "Comparison" in kinds.lineage(one)}
    rest = [entry for entry in found if entry.collection not in comparisons]
    made = [tables.compared(one, name) for name, one in comparisons.items()]
    made.append(tables.outlined([entry for entry in rest if not entry.several], "Networks by what was measured"))
    made.append(tables.outlined([entry for entry in rest if entry.several], "Between networks"))
    return [table for table in made if table.cells]


def _lead(found: Sequence[Entry], networks: Sequence[str]) -> str:
    """Say in a sentence what the page is about."""
    kinds_told = ", ".join(
        kind.lower() + f" \N{MULTIPLICATION SIGN} {len(group)}" * (len(group) > 1) for kind, group in _by_kind(found)
    )
    models = {str(model) for entry in found if (model := _named(entry.result.origin.get("model")))}
    models = {COUNTED.sub("", model) for model in models}
    data = {str(name) for entry in found if (name := _named(entry.result.origin.get("data")))}
    about = " on ".join(", ".join(sorted(words)) for words in (models, data) if words)
    widths = sorted({entry.bits for entry in found if quantized.bits(entry.result)} | {e.bits for e in found})
    count = f"{len(networks)} network{'s' * (len(networks) != 1)}"
    across = f" at {len(widths)} widths" if len(widths) > 1 else ""
    return f"{count}{f' ({about})' if about else ''}{across}: {kinds_told}."


def _named(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else entry
