"""What a comparison measures: a probe for every network and width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from landscape.comparison.comparison import FULL, width
from landscape.comparison.measures import BETWEEN
from landscape.probes import _contract
from landscape.study.measure import Probe, labels, probe

PAIRS = "barriers"  # the one probe between networks that a table has room for
USUAL = (
    "evaluate:single=true",
    "surface",
    "eigen:largest=1,smallest=1",
    "trace",
    "sharpness:families=ascent,rho=0.05,adaptive_rho=0.5,group=0",
    "bits:curvature=false,layers=false",
    PAIRS,
)


@dataclass(frozen=True)
class Task:
    """A probe on one network at one width, or between all networks at one width.

    Attributes
    ----------
    network : str
        Its name; `BETWEEN` for all of them.
    bits : int
    probe : Probe
    label : str
        What the probe is called: its name, or its text where a name comes twice.
    """

    network: str
    bits: int
    probe: Probe
    label: str

    @property
    def name(self) -> str:
        """What the member of the comparison is called."""
        return f"{self.network}/{width(self.bits)}/{self.label}"

    @property
    def text(self) -> str:
        """The probe with its knobs, those included that follow from the widths."""
        knobs = ",".join(f"{key}={value}" for key, value in sorted(self.probe.knobs.items()))
        return f"{self.probe.name}:{knobs}"

    def about(self, network: str) -> bool:
        """Say whether a network is measured here."""
        return self.network in (network, BETWEEN)


def plan(networks: Sequence[str], bits: Sequence[int], probes: Sequence[str], *, alike: bool) -> list[Task]:
    """List what is measured, network by network.

    What rounding costs is measured once for a network, of all widths; barriers once for a width, where networks are
    `alike` in their parameters.

    Raises
    ------
    ValueError
        If a width or a network comes twice, a name cannot be one, or there is no such probe.
    """
    _expect(networks, bits)
    read = [probe(text, among=(PAIRS,)) for text in probes]
    named = list(zip(read, labels(read), strict=True))
    narrow = tuple(width for width in bits if width != FULL)
    tasks = []
    for network in networks:
        for one in bits:
            tasks += [Task(network, one, p, label) for p, label in named if not _beside(p)]
        for p, label in named:
            if _contract.rounds(p.name) and narrow:
                tasks.append(Task(network, FULL, replace(p, knobs=p.knobs | {"bits": narrow}), label))
    pairs = [(p, label) for p, label in named if p.name == PAIRS and alike and len(networks) > 1]
    return tasks + [Task(BETWEEN, one, p, label) for one in bits for p, label in pairs]


def changed(texts: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """Return the usual probes, with those that a text names put in the place of the usual ones or added.

    Raises
    ------
    ValueError
        If what is to be left out is not there.

    Examples
    --------
    >>> changed(["surface:points=21", "spectrum"], ["bits", "trace", "sharpness", "barriers"])
    ['evaluate:single=true', 'surface:points=21', 'eigen:largest=1,smallest=1', 'spectrum']
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        given.setdefault(text.partition(":")[0].strip(), []).append(text)
    usual = {text.partition(":")[0]: [text] for text in USUAL}
    found = usual | given
    if unknown := [name for name in without if name not in found]:
        raise ValueError(f"Expected to leave out some of {', '.join(found)}, got {unknown[0]!r}: choose among these.")
    return [text for name, some in found.items() if name not in without for text in some]


def _beside(one: Probe) -> bool:
    """Say whether a probe is about several rows at once."""
    return one.name == PAIRS or _contract.rounds(one.name)


def _expect(networks: Sequence[str], bits: Sequence[int]) -> None:
    for what, found in (("network", list(networks)), ("width", [str(one) for one in bits])):
        if twice := [one for one in found if found.count(one) > 1]:
            raise ValueError(f"Expected every {what} once, got {twice[0]} twice: leave one out.")
    if not networks or not bits:
        raise ValueError("Expected networks and widths, got none of one: give some.")
    for name in networks:
        if name == BETWEEN or not all(part not in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"Expected the name of a network, got {name!r}: choose another.")
