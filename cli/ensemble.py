"""``landscape ensemble``: several networks together, against each of them alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape import discovery
from landscape.cli._measure import STOPPED, Measured
from landscape.cli._output import Output
from landscape.cli._source import ARITHMETIC, NETWORK, Source
from landscape.cli.plot import named
from landscape.cli.train import short

if TYPE_CHECKING:
    import numpy as np

    from landscape.checkpoint import Checkpoint, Spec
    from landscape.dataset import Dataset, Split
    from landscape.ensembles.ensemble import Ensemble

Unasked = Parameter(parse=False)  # options of objectives that predictions have no use for


@dataclass(frozen=True, kw_only=True)
class Members(Source):
    """Where several networks come from that are asked about one split."""

    split: Annotated[str, Parameter(group=NETWORK)] = "test"
    "The part of the data that they are asked about: test, train, or first (train, where there is one)."
    loss: Annotated[str | None, Parameter(group=NETWORK)] = None
    "cross_entropy, where a checkpoint says another loss and its outputs are logits all the same."
    precision: Annotated[str, Parameter(group=ARITHMETIC)] = "float32"
    "Of the networks: float32, float64, bfloat16 or tf32. Their probabilities are in float64."
    parameters: Annotated[str, Unasked] = "*"
    batchnorm: Annotated[str, Unasked] = "frozen"
    refit_augment: Annotated[str | None, Unasked] = None
    batch_size: Annotated[int | None, Unasked] = None
    strategy: Annotated[str, Unasked] = "auto"


def ensemble(
    *checkpoints: Path,
    bins: int = 15,
    source: Annotated[Members, Parameter(name="*")] = Members(),  # noqa: B008 (frozen)
    output: Annotated[Output, Parameter(name="*")] = Output(),  # noqa: B008 (frozen)
) -> None:
    """Score networks together and alone: accuracy, loss, Brier score, calibration, disagreement.

    Together means the mean of their probabilities: of the first one, two, three, ... and all of them. Networks may
    differ, data and classes may not.

    Parameters
    ----------
    checkpoints : Path
        Two or more classifiers: checkpoints of any kind.
    bins : int
        Bins of the calibration error and of the reliability diagram, of equal width.
    source : Members
        What they are asked about, and the arithmetic.
    output : Output
        What is written.
    """
    done = Committee(checkpoints, source, bins).run(output)
    if done:
        print(done)


@dataclass(frozen=True)
class Member:
    """A checkpoint as far as it has to be known before it is asked; its weights are read when its turn comes."""

    path: Path
    sha256: str
    model: Spec | None
    data: Spec
    loss: str


@dataclass(frozen=True)
class Committee:
    """Networks that are asked together, as options describe them."""

    checkpoints: tuple[Path, ...]
    source: Members
    bins: int
    known: dict[str, Dataset] = field(default_factory=dict, repr=False)

    def run(self, output: Output) -> Measured | None:
        """Measure, write and draw; a result that is already there is drawn again. None for a dry run.

        Raises
        ------
        ValueError
            If the networks cannot be asked together, or something else is where the result goes.
        OSError
            If a file is missing or cannot be written.
        """
        output.formats()
        if len(self.checkpoints) < 2:
            raise ValueError(f"Expected at least 2 checkpoints, got {len(self.checkpoints)}: give more.")
        path = output.path(self.checkpoints[0], "ensemble")
        output.figures(path)  # a file in the way is no reason to measure first
        members = self.members()
        identity = self.identity(members)
        found = output.finished(path, identity)
        if output.dry_run:
            told = f"{len(members)} networks, each once over {self.split(members[0]).size} examples."
            print(f"{path} is there already, with this very origin." if found else told)
            return None
        begun = time.monotonic()
        result = found or self.measure(members, identity)
        seconds = None if found else time.monotonic() - begun
        if not found:
            result.save(path)
        return Measured(result, path, output.draw(result, path), seconds)

    def again(self) -> Ensemble:
        """Measure once more, as `landscape reproduce` does."""
        members = self.members()
        return self.measure(members, self.identity(members))

    def measure(self, members: list[Member], identity: dict[str, Any]) -> Ensemble:
        """Ask one network after another, and score them."""
        from landscape.ensembles.ensemble import ensemble as scored

        labels = self.split(members[0]).targets
        try:
            result = scored(self._asked(members), labels, names=list(named(self.checkpoints)), bins=self.bins)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(STOPPED) from error
        return replace(result, origin=identity)

    def _asked(self, members: list[Member]) -> Iterator[np.ndarray]:
        from landscape.ensembles.predictions import predictions
        from landscape.train.observers.progress import meter

        with meter("networks asked") as shown:
            for number, member in enumerate(members, start=1):
                model = self.source.network(self.source.checkpoint(member.path), self.dataset(member))
                try:
                    yield predictions(
                        model, self.split(member), precision=self.source.precision, device=self.source.device
                    )
                except ValueError as error:
                    raise ValueError(f"{member.path}: {str(error)[:1].lower()}{str(error)[1:]}") from error
                shown(number, len(members))

    def members(self) -> list[Member]:
        """Read what every checkpoint says of itself, and see that they can be asked together.

        Raises
        ------
        ValueError
            If one comes twice, is no classifier, has stale statistics, or is about other data or classes.
        """
        found: list[Member] = []
        for path in self.checkpoints:
            if not path.is_file():
                told = "a folder" if path.is_dir() else "no such file"
                raise FileNotFoundError(f"{path}: expected a checkpoint, got {told}.")
            found.append(self._member(path, self.source.checkpoint(path)))
        for index, member in enumerate(found):
            if twin := next((m.path for m in found[:index] if m.sha256 == member.sha256), None):
                raise ValueError(f"{member.path}: expected another network, got the same as {twin}: leave one out.")
            self._require_alike(found[0], member)
        return found

    def _member(self, path: Path, found: Checkpoint) -> Member:
        if found.data is None:
            raise ValueError(f"{path}: expected --data, since this checkpoint does not say its data: name them.")
        if found.batchnorm == "stale":
            raise ValueError(
                f"{path}: expected batch-norm statistics of these weights, got stale ones: refresh them, as landscape "
                "train and landscape swag do where they have the data."
            )
        if found.loss != "cross_entropy":
            raise ValueError(
                f"{path}: expected outputs that are logits, got a network of the loss {found.loss}: if they are, pass "
                "--loss cross_entropy."
            )
        return Member(path, found.sha256, found.model, found.data, found.loss)

    def _require_alike(self, first: Member, other: Member) -> None:
        one, two = self.dataset(first), self.dataset(other)
        if two.task != "classification":
            raise ValueError(
                f"{other.path}: expected data with one class an example, got {two.task} ({two.name}): only classifiers "
                "can be asked together."
            )
        if one.classes != two.classes:
            raise ValueError(
                f"{other.path}: expected the {len(one.classes)} classes of {first.path}, got {len(two.classes)} other "
                "ones: ask networks of one data set."
            )
        if self.split(first).fingerprint() != self.split(other).fingerprint():
            raise ValueError(
                f"{other.path}: expected the {self.split(first).name} split of {first.path}, got other examples: pass "
                "--data to ask all about the same."
            )

    def dataset(self, member: Member) -> Dataset:
        """Return the data of a member; loaded once where several name the same."""
        from landscape import checkpoint

        key = repr(member.data)
        if key not in self.known:
            self.known[key] = checkpoint.dataset(member.data)
        return self.known[key]

    def split(self, member: Member) -> Split:
        """Return the examples that a member is asked about."""
        if self.source.split == "both":
            raise ValueError("Expected one part of the data, got --split both: pass test or train.")
        (part,) = self.source.splits(self.dataset(member)).values()
        return part

    def identity(self, members: list[Member]) -> dict[str, Any]:
        """Say what the work is: all that decides the numbers, and that `landscape reproduce` needs to do it again."""
        from landscape.engine import device as devices
        from landscape.result import versions
        from landscape.weights import sha256

        part = self.split(members[0])
        files = [{"path": str(member.path.resolve()), "sha256": member.sha256} for member in members]
        specs = {spec.name for m in members for spec in (m.model, m.data) if spec is not None}
        return {
            "command": "ensemble",
            "checkpoint": files[0],
            "others": files[1:],
            "checkpoints": len(files),
            "model": {"name": _together(members)},
            "data": asdict(members[0].data),
            "code": {file: sha256(file) for file in sorted(filter(None, map(discovery.source, specs)))},
            "knobs": {"bins": self.bins},
            "source": self.source.record(),
            "split": part.name,
            "splits": {part.name: {"examples": part.size, "fingerprint": part.fingerprint()}},
            "precision": self.source.precision,
            "device": devices.device(self.source.device).type,
            "versions": versions("landscape", "torch", "numpy", "scipy"),
        }


def committee(origin: dict[str, Any]) -> Committee:
    """Make the work that the origin of an `Ensemble` describes."""
    files = [origin["checkpoint"], *origin["others"]]
    return Committee(tuple(Path(f["path"]) for f in files), Members(**origin["source"]), origin["knobs"]["bins"])


def _together(members: list[Member]) -> str:
    """Name several networks in a few words: how many there are of each."""
    names = [short(member.model.name) if member.model else "network" for member in members]
    return ", ".join(f"{names.count(name)} \N{MULTIPLICATION SIGN} {name}" for name in dict.fromkeys(names))
