"""The work of ``landscape compare``: networks at their widths, and a job for each result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.cli._axes import Axes
from landscape.cli._measure import Job
from landscape.cli._output import Output
from landscape.cli._quantized import BeforeRounding, Rounding
from landscape.cli._quantizing import warn_of_families
from landscape.cli._source import OneSplit, Refitted, Source
from landscape.cli.plot import named
from landscape.probes import _contract

if TYPE_CHECKING:
    from landscape.checkpoint import Checkpoint
    from landscape.comparison.plan import Network, Task

WIDE = re.compile(r"\.w\d+$")  # what `landscape quantize` adds to names


@dataclass(frozen=True)
class Row:
    """A checkpoint of a comparison: the network that it is, and how it comes to its widths."""

    path: Path
    network: str
    source: Source
    bits: tuple[float, ...]
    rounds: bool
    shapes: tuple

    @property
    def rounded(self) -> tuple[float, ...]:
        """Widths that it comes to by rounding."""
        from landscape.comparison.comparison import FULL

        return tuple(bits for bits in self.bits if self.rounds and bits != FULL)


def rows(checkpoints: Sequence[Path], sources: Sequence[Source], bits: tuple[int, ...], scheme: str) -> list[Row]:
    """Read the checkpoints of a comparison. One that is quantized has the width that it has.

    Raises
    ------
    ValueError
        If a checkpoint does not say its network or data and no option does.
    """
    from landscape.comparison.comparison import FULL

    paths = zip(named(checkpoints).items(), sources, strict=True)
    read = {name: source.checkpoint(path) for (name, path), source in paths}
    names = _networks(read)
    found = []
    for (name, one), path, source in zip(read.items(), checkpoints, sources, strict=True):
        widths = set(one.quantization.bits.values()) if one.quantization else None
        own = bits if widths is None else (float(widths.pop()) if len(widths) == 1 else float("nan"),)
        shapes = tuple((key, tuple(tensor.shape)) for key, tensor in one.state.items())
        found.append(Row(path, names[name], source, tuple(map(float, own)), widths is None, shapes))
    _scheme(scheme)
    given = [Rounding(round=_text(one, scheme)).scheme() for one in bits if one != FULL]
    warn_of_families([one for one in given if one is not None], "--scheme family=...")
    if all(not row.rounds for row in found) and bits != (FULL,):
        raise ValueError("Expected checkpoints of full precision to round, got quantized ones alone: leave --bits out.")
    return found


def _networks(read: Mapping[str, Checkpoint]) -> dict[str, str]:
    """Name the networks: a quantized checkpoint is that of the weights it was rounded from, at another width."""
    whole = {one.sha256: name for name, one in read.items() if one.quantization is None}
    found, taken = {}, set()
    for name, one in read.items():
        known = one.quantization
        origin = whole.get(str(known.record.get("source")), WIDE.sub("", name)) if known else name
        place = (origin, tuple(sorted(set(known.bits.values()))) if known else None)
        found[name] = name if place in taken else origin
        taken.add(place)
    return found


def networks(found: Sequence[Row]) -> list[Network]:
    """Put the rows of one network together."""
    from landscape.comparison.plan import Network

    names = dict.fromkeys(row.network for row in found)
    mine = {name: [row for row in found if row.network == name] for name in names}
    return [
        Network(name, tuple(bits for row in some for bits in row.bits), tuple(b for row in some for b in row.rounded))
        for name, some in mine.items()
    ]


def job(task: Task, found: Sequence[Row], scheme: str) -> Job:
    """Make the job of a task: the same as a command of the probe, on the checkpoints of its networks at its width."""
    from landscape.comparison.comparison import FULL

    probe = task.probe.name
    mine = [_at(found, name, task.bits) for name in task.networks]
    rounded = mine[0].rounds and task.bits != FULL and not _contract.rounds(probe)
    if len({(row.rounds, row.source.model) for row in mine}) > 1:
        raise ValueError(
            f"Expected networks at {task.bits:g} bits that come about alike for {probe}, got rounded and quantized "
            f"ones together: pass --without {probe}."
        )
    knobs = _text(task.bits, scheme) if rounded else None
    seen = BeforeRounding() if _contract.rounds(probe) else Rounding(round=knobs)
    taken = _contract.defaults(probe) | task.probe.knobs | (_scheme(scheme) if _contract.rounds(probe) else {})
    along = Axes() if _contract.turns(probe) else None
    paths = tuple(row.path for row in mine)
    return Job(probe, paths, _source(probe, mine[0].source), along, Output(plot="none"), taken, seen)


def _text(bits: float, scheme: str) -> str:
    """Write a width and its scheme as the option of a probe."""
    return f"{bits:g}{':' if scheme else ''}{scheme}"


def _at(found: Sequence[Row], network: str, bits: float) -> Row:
    """Return the checkpoint that a network has at a width; that of full precision, where it has none."""
    mine = [row for row in found if row.network == network]
    there = [row for row in mine if bits in row.bits or (bits != bits and any(one != one for one in row.bits))]
    return (there or [row for row in mine if row.rounds])[0]


def _source(probe: str, source: Source) -> Source:
    """Return the source as the command of a probe has it, where an option was not given."""
    given = asdict(source)
    if _contract.between(probe):
        return Refitted(**given | ({"batchnorm": "refit"} if source.batchnorm == "frozen" else {}))
    if _contract.on_one_split(probe):
        return OneSplit(**given | ({"split": "first"} if source.split == "both" else {}))
    return source


def _scheme(text: str) -> dict[str, Any]:
    from landscape.discovery import arguments

    try:
        return arguments(part.strip() for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"Expected --scheme such as family=narrow,calibration=minmax, got {text!r}.") from error


def models(text: str | None, source: Source, count: int) -> list[Source]:
    """Return a source for every checkpoint, each with its own network where there are several.

    Raises
    ------
    ValueError
        If there are not as many networks as checkpoints.
    """
    if text is None:
        return [source] * count
    names = [name.strip() for name in text.split(",")]
    if source.model is not None or len(names) != count:
        raise ValueError(
            f"Expected --models to name {count} networks, one for each checkpoint, and no --model, got {len(names)}: "
            "as in --models resnet20,resnet32."
        )
    return [replace(source, model=name) for name in names]
