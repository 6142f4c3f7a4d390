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
class Network:
    """A network of a comparison, and the widths that it is looked at.

    Attributes
    ----------
    name : str
    bits : tuple of float
        32 at full precision; NaN for one whose layers differ.
    rounded : tuple of float, default=()
        Those of the widths that come about by rounding the weights of full precision, which is what `bits` measures.
    """

    name: str
    bits: tuple[float, ...]
    rounded: tuple[float, ...] = ()


@dataclass(frozen=True)
class Task:
    """A probe on one network at one width, or between several networks at one width.

    Attributes
    ----------
    networks : tuple of str
        The network, or those between which is measured, the first of which they are compared with.
    bits : float
    probe : Probe
    label : str
        What the probe is called: its name, or its text where a name comes twice.
    """

    networks: tuple[str, ...]
    bits: float
    probe: Probe
    label: str

    @property
    def name(self) -> str:
        """What the member of the comparison is called."""
        owner = self.networks[0] if len(self.networks) == 1 else BETWEEN
        return f"{owner}/{width(self.bits)}/{self.label.replace('/', ' ')}"

    @property
    def text(self) -> str:
        """The probe with its knobs, those included that follow from the widths."""
        knobs = ",".join(f"{key}={value}" for key, value in sorted(self.probe.knobs.items()))
        return f"{self.probe.name}:{knobs}"


def plan(networks: Sequence[Network], probes: Sequence[str], *, alike: bool) -> list[Task]:
    """List what is measured, network by network.

    What rounding costs is measured once for a network, of all its widths; barriers once for a width, where networks are
    `alike` in their parameters.

    Raises
    ------
    ValueError
        If a width or a network comes twice, a name cannot be one, or there is no such probe.
    """
    _expect(networks)
    read = [probe(text, among=(PAIRS,)) for text in probes]
    if wide := [p.text for p in read if p.knobs.get("span") == "auto"]:
        raise ValueError(f"Expected one span for all networks, got {wide[0]}: give a number.")
    named = list(zip(read, labels(read), strict=True))
    tasks = []
    for network in networks:
        for one in network.bits:
            tasks += [Task((network.name,), one, p, label) for p, label in named if not _beside(p)]
        narrow = tuple(map(int, network.rounded))
        for p, label in named:
            if _contract.rounds(p.name) and narrow:
                tasks.append(Task((network.name,), FULL, replace(p, knobs=p.knobs | {"bits": narrow}), label))
    pairs = [(p, label) for p, label in named if p.name == PAIRS and alike]
    for one in dict.fromkeys(bits for network in networks for bits in network.bits):
        some = tuple(network.name for network in networks if one in network.bits)
        tasks += [Task(some, one, p, label) for p, label in pairs if len(some) > 1]
    return tasks


def changed(texts: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """Return the usual probes, with those that a text names put in the place of the usual ones or added.

    Raises
    ------
    ValueError
        If what is to be left out is not there, or nothing is left.

    Examples
    --------
    >>> changed(["surface:points=21", "spectrum"], ["bits", "trace", "sharpness", "barriers"])
    ['evaluate:single=true', 'surface:points=21', 'eigen:largest=1,smallest=1', 'spectrum']
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        given.setdefault(text.partition(":")[0].strip(), []).append(text)
    found = {text.partition(":")[0]: [text] for text in USUAL} | given
    if unknown := [name for name in without if name not in found]:
        raise ValueError(f"Expected to leave out some of {', '.join(found)}, got {unknown[0]!r}: choose among these.")
    kept = [text for name, some in found.items() if name not in without for text in some]
    if not kept:
        raise ValueError("Expected something to measure, got every probe left out: keep one.")
    return kept


def _beside(one: Probe) -> bool:
    """Say whether a probe is about several rows at once."""
    return one.name == PAIRS or _contract.rounds(one.name)


def _expect(networks: Sequence[Network]) -> None:
    names = [network.name for network in networks]
    rows = [f"{network.name}/{width(bits)}" for network in networks for bits in network.bits]
    for what, found in (("network", names), ("network and width", rows)):
        if twice := [one for one in found if found.count(one) > 1]:
            raise ValueError(f"Expected every {what} once, got {twice[0]} twice: leave one out.")
    if not rows:
        raise ValueError("Expected networks and widths, got none of one: give some.")
    for name in names:
        if name == BETWEEN or any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"Expected the name of a network, got {name!r}: choose another.")
