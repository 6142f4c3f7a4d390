"""One run of a study: train a method with a seed, then measure what came out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from landscape.study.finished import Finished, Value, losses
from landscape.study.measure import Probe, labels
from landscape.study.runs import Runs, difference, plain
from landscape.study.source import Data, Model, filled, fingerprint, named

if TYPE_CHECKING:
    from torch import nn

    from landscape.checkpoint import Checkpoint
    from landscape.dataset import Dataset
    from landscape.train.fit import Run
    from landscape.train.method import Method
    from landscape.train.settings import Settings

STRATEGY = "loop,examples=512;retained,kept,examples=512"  # fixed: what is measured again has the same bits
Tell = Callable[[float, str], None]


Measure = Callable[[Finished], Mapping[str, Value]]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done in every run of a study: see `landscape.study.study.study`."""

    data: Data
    model: Model
    settings: Settings
    loss: Any
    init: str | None
    probes: Sequence[Probe]
    measures: Sequence[Measure]
    split: str
    examples: int | None
    device: str
    strategy: str

    def run(self, runs: Runs, method: Method, seed: int, epochs: int, tell: Tell) -> dict[str, Any]:
        """Train and measure, or take what is there, and return the record of the run (JSON).

        Parameters
        ----------
        runs : Runs
        method : Method
        seed, epochs : int
        tell : callable (share of the run that is done, what is done)

        Notes
        -----
        The record holds ``values``, name -> [value, error]; ``gradient_evaluations``; and ``diverged``, the words of
        the error of a run that left the finite numbers, which has no values.
        """
        expected = {
            "method": method.name, "seed": seed, "epochs": epochs, "arguments": method.arguments,
        }  # fmt: skip
        known, settings = runs.finished(expected), replace(self.settings, seed=seed, epochs=epochs)
        if known is not None and self.init and not self._same(runs, method, settings):
            known = None
        if known is not None and (known["diverged"] or known["measured"] == self.measured()):
            return known
        data = self.data(seed)
        record = expected | {"data": fingerprint(data), "measured": self.measured()}
        if known is not None and known["data"] != record["data"]:
            raise ValueError(
                f"{runs.folder}: expected the data that {method.name}, seed {seed} was trained on, got other ones: "
                "choose another output."
            )
        from landscape.train.fit import Diverged

        try:
            found = self._trained(runs, method, settings, data, tell)
        except Diverged as error:
            words = str(error).partition(" The weights of")[0]  # the rest says where files are
            record |= {"diverged": words, "gradient_evaluations": None, "values": {}}
        else:
            values = self._measured(runs, found, tell)
            spent = found.checkpoint.training["gradient_evaluations"]
            record |= {"diverged": "", "gradient_evaluations": spent, "values": values}
        runs.finish(record)
        return record

    def measured(self) -> dict[str, Any]:
        """Say what is measured of every run (JSON)."""
        probes, measures = [probe.text for probe in self.probes], [named(measure) for measure in self.measures]
        return {"probes": probes, "measures": measures, **self._on()}

    def _on(self) -> dict[str, Any]:
        return {"split": self.split, "examples": self.examples, "strategy": self.strategy}

    def _trained(self, runs: Runs, method: Method, settings: Settings, data: Dataset, tell: Tell) -> Finished:
        """Train, unless the checkpoint is there already, and read back what was written."""
        from landscape import checkpoint
        from landscape.train.observers.progress import described
        from landscape.train.run import LOSSES, train

        seed = settings.seed
        path, model = runs.path(method.name, seed, ".pt"), self.model(data, seed)

        def told(run: Run) -> None:
            tell(run.clock.fraction, f"{method.name}, seed {seed}: {described(run)}")

        if not (path.is_file() and self._same(runs, method, settings)):
            first = checkpoint.read(filled(self.init, seed)) if self.init else None
            train(
                data, model, settings, method=method, init=first, loss=self.loss, output=path,
                model_spec=self.model.spec(data), data_spec=self.data.spec(seed), force=runs.force,
                device=self.device, observers=(told,),
            )  # fmt: skip
        found, kept = checkpoint.read(path), path.with_suffix(".kept")
        knobs = {
            "device": self.device, "strategy": self.strategy,
            "precision": "float32" if self.settings.precision == "bfloat16" else self.settings.precision,
        }  # fmt: skip
        return Finished(
            found, _refilled(found, model, method), data,
            {member.stem: checkpoint.read(member).state for member in sorted(kept.glob("*.pt"))},
            seed, method.name, self.loss or LOSSES[data.task], knobs,
        )  # fmt: skip

    def _same(self, runs: Runs, method: Method, settings: Settings) -> bool:
        """Say whether a checkpoint is that of this run, as one without a record may not be; remove another, with force.

        A run that diverged has none.
        """
        from landscape import checkpoint
        from landscape.weights import sha256

        path = runs.path(method.name, settings.seed, ".pt")
        if not path.is_file():
            return True
        training = checkpoint.read(path).training
        there = training.get("settings", {}) | {name: training.get(name) for name in ("method", "arguments", "init")}
        init = sha256(filled(self.init, settings.seed)) if self.init else None
        here = asdict(settings) | {"method": method.name, "arguments": method.arguments, "init": init}
        different = difference(there, here)
        if different and not runs.force:
            raise ValueError(
                f"{path}: expected this very run, got another one ({different}): choose another output, or pass "
                "--force to make it anew."
            )
        if different:
            runs.remove(method.name, settings.seed)
        return not different

    def _measured(self, runs: Runs, found: Finished, tell: Tell) -> dict[str, Value]:
        """Return all that is measured of a trained network, by name.

        Raises
        ------
        ValueError
            If two measures have one name.
        """
        values = losses(found)
        for probe, label in zip(self.probes, labels(list(self.probes)), strict=True):
            tell(1.0, f"{found.method}, seed {found.seed}: {probe.name}")
            figures = self._probed(runs, found, probe, label)
            values |= {f"{label}.{name}": pair for name, pair in figures.items()}
        for measure in self.measures:
            more = {name: (float(value), float(error)) for name, (value, error) in measure(found).items()}
            if twice := sorted(values.keys() & more.keys()):
                raise ValueError(f"Expected a new name for each measure, got {twice[0]!r} twice: rename one.")
            values |= more
        return values

    def _probed(self, runs: Runs, found: Finished, probe: Probe, label: str) -> dict[str, Value]:
        """Run a probe, unless its result is there already, and boil it down."""
        from landscape import discovery
        from landscape.parts import Parts
        from landscape.probes import _contract
        from landscape.result import load

        path = runs.path(found.method, found.seed, f".{plain(label)}.h5")
        done = {"checkpoint": found.checkpoint.sha256, "probe": probe.text, **self._on()}
        if path.is_file() and (there := load(path)).origin.get("study") == done:
            return there.figures()
        seen = found.before_rounding() if _contract.rounds(probe.name) else found
        objective = seen.objective(self.split)
        if self.examples is not None and self.examples < objective.size:
            objective = objective.subset(self.examples)
        opened: list[Parts] = []

        def store(plan: Callable[[], dict]) -> Parts:
            try:
                opened.append(Parts(path, done, plan))
            except ValueError:  # what this probe had begun of other weights, or with other knobs
                shutil.rmtree(f"{path}.parts")
                opened.append(Parts(path, done, plan))
            return opened[0]

        resumed = {"store": store} if _contract.resumes(probe.name) else {}
        result = discovery.member(_contract.PACKAGE, probe.name)(objective, **probe.knobs, **resumed)
        replace(result, origin=result.origin | {"study": done}).save(path)
        for parts in opened:
            parts.remove()
        return result.figures()


def _refilled(found: Checkpoint, model: nn.Module, method: Method) -> nn.Module:
    """Put the weights of a checkpoint into a network that was made anew, with the changes that its method needs."""
    from landscape import checkpoint, surgery
    from landscape.train.streams import seeded

    if found.batchnorm == "stale":
        raise ValueError(
            f"{found.path}: expected batch-norm statistics of these weights, got stale ones: refresh them."
        )
    with seeded(0, "surgery"):  # what it draws is replaced by the weights
        changed = surgery.surgery(model, method.surgery)
    return checkpoint.fitted(found, changed).eval()
