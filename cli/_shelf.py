"""Results that are there already: what a comparison takes from files, and what it keeps until it stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.cli._output import Store, decisive
from landscape.probes import _contract

if TYPE_CHECKING:
    from landscape.cli._measure import Job
    from landscape.cli._source import Loaded
    from landscape.comparison.comparison import Comparison
    from landscape.result import Result

INSTEAD = "pass -o for another file, or --force to replace it."
WIDE = re.compile(r"\.w\d+$")  # what `landscape quantize` adds to names


@dataclass
class Shelf:
    """Results that are there already, by what they are; those that are new are kept beside the comparison."""

    path: Path
    force: bool
    there: list[tuple[str, dict, Result]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Where new results lie until the comparison stands."""
        return Path(f"{self.path}.parts")

    def add(self, results: Iterable[tuple[str, Result]]) -> None:
        """Take results into account."""
        self.there += [(name, decisive(result.origin), result) for name, result in results]

    def find(self, identity: dict) -> Result | None:
        """Return a result that is what would be measured, if there is one."""
        wanted = decisive(identity)
        for name, known, result in [] if self.force else self.there:
            if all(known.get(key) == value for key, value in wanted.items()):
                self.used.add(name)
                return result
        return None

    def measured(self, name: str, work: Job, loaded: Loaded, identity: dict) -> Result:
        """Measure, and keep the result."""
        part = self.folder / f"{name.replace('/', '~')}.h5"
        store = Store(part, identity, force=True)
        result = work.measure(loaded, identity, store)
        result.save(part)
        store.remove()
        return result

    def kept(self) -> Iterator[tuple[str, Result]]:
        """Read what an interrupted comparison has kept; what is damaged is measured again."""
        from landscape.result import load

        for part in sorted(self.folder.glob("*.h5")) if self.folder.is_dir() else ():
            try:
                yield str(part), load(part)
            except (ValueError, OSError):
                part.unlink()

    def remove(self) -> None:
        """Delete what was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def beside(checkpoints: Iterable[Path]) -> Iterator[tuple[str, Result]]:
    """Read the results that commands of probes have left beside checkpoints, as far as they can be read."""
    from landscape.discovery import names
    from landscape.result import load

    for path in dict.fromkeys(checkpoints):
        for probe in names(_contract.PACKAGE):
            here = path.with_name(f"{path.stem}.{probe}.h5")
            try:
                yield str(here), load(here)
            except (ValueError, OSError):  # none of this name, or another file
                continue


def filed(results: Mapping[str, Result]) -> dict[str, Result]:
    """Name results as members of a comparison, by the checkpoints that they are of; members of comparisons as they are.

    Raises
    ------
    ValueError
        If a result does not say its checkpoint or probe, or is between networks.
    """
    from landscape.comparison.comparison import FULL, width
    from landscape.result import Collection

    single: dict[str, Result] = {}
    found: dict[str, Result] = {}
    for file, result in results.items():
        for name, member in result.members.items() if isinstance(result, Collection) else ():
            if name in found:
                raise ValueError(f"{file}: expected networks of other names, got {name} twice: rename the checkpoints.")
            found[name] = member
        if not isinstance(result, Collection):
            single[file] = result
    for file, result in single.items():
        origin = result.origin
        if not isinstance(origin.get("checkpoint"), dict) or not origin.get("command"):
            raise ValueError(f"{file}: expected a result of a checkpoint, got one that does not say its own.")
        if origin.get("others"):
            raise ValueError(f"{file}: expected a result of one network, got one of several: compare the others alone.")
        known = origin.get("quantization") or {}
        widths = known.get("widths", {}).get("bits", [FULL])
        bits = float(widths[0]) if len(widths) == 1 else float("nan")
        network = WIDE.sub("", Path(str(origin["checkpoint"].get("path", file))).stem)
        name = f"{network}/{width(bits)}/{origin['command']}"
        if name in found:
            network = WIDE.sub("", Path(file).name.removesuffix(f".{origin['command']}.h5"))
            name = f"{network}/{width(bits)}/{origin['command']}"
        if name in found:
            raise ValueError(f"{file}: expected one result of a probe, network and width, got a second {name}: choose.")
        found[name] = result
    return found


def standing(path: Path, force: bool) -> Comparison | None:
    """Read the comparison that is to be replaced, if there is one.

    Raises
    ------
    ValueError
        If something else is there, and may not be replaced.
    """
    from landscape import result
    from landscape.comparison.comparison import Comparison

    if force or not path.exists():
        return None
    found = result.standing(path, INSTEAD)
    if not isinstance(found, Comparison):
        raise ValueError(f"{path}: expected to write here, got a {type(found).__name__}: {INSTEAD}")
    return found


def require_grown(path: Path, old: Comparison | None, names: Iterable[str]) -> None:
    """Refuse to put a comparison in the place of one that holds what it will not.

    Raises
    ------
    ValueError
        If a member would be lost.
    """
    lost = [name for name in old.members if name not in set(names)] if old is not None else []
    if lost:
        raise ValueError(f"{path}: expected to write here, got a comparison that holds {lost[0]} too: {INSTEAD}")
