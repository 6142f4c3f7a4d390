"""``landscape align``: two networks with their units in the same order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli._measure import Job, Measured
from landscape.cli._output import Output, ending
from landscape.cli._source import Refitted

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.alignment.structure import Structure
    from landscape.checkpoint import Checkpoint
    from landscape.cli._source import Loaded
    from landscape.probes.align import Align

SUFFIXES = (".pt", ".pth", ".th")


def align(
    checkpoint: Path,
    other: Path,
    *,
    matching: str = "weights",
    tries: int = 1,
    steps: int = 200,
    lr: float = 0.1,
    repair: Annotated[bool, Parameter(negative="--no-repair")] = True,
    points: int = 25,
    structure: Path | None = None,
    seed: int = 0,
    aligned: Path | None = None,
    source: Annotated[Refitted, Parameter(name="*")] = Refitted(),  # noqa: B008 (frozen)
    output: Annotated[Output, Parameter(name="*")] = Output(),  # noqa: B008 (frozen)
) -> None:
    """Bring the units of a second network into the order of the first one's, and measure the segment before and after.

    The permuted network computes what it did, which is checked before it is written.

    Parameters
    ----------
    checkpoint : Path
        The first network, which stays as it is.
    other : Path
        The second network, of the same architecture.
    matching : str
        What units are matched by: weights, activations (on the first split), or straight_through (the loss half way).
    tries : int
        Descents of weight matching: the first from the order as it is, others from random ones; the best is kept.
    steps : int
        Steps of straight-through matching.
    lr : float
        Learning rate of straight-through matching.
    repair : bool
        Also measure the segment with mean and spread of every channel interpolated, if there is no batch norm.
    points : int
        Evenly spaced positions on each segment, the ends included.
    structure : Path, optional
        A JSON file that declares which units may change places, for networks that cannot be traced.
    seed : int
        Of the order of the groups, the random permutations and the batches.
    aligned : Path, optional
        Where the permuted second network goes; OTHER.aligned.pt by default.
    source : Refitted
        Networks, data and arithmetic.
    output : Output
        What is written besides.
    """
    knobs = {
        "matching": matching, "tries": tries, "steps": steps, "lr": lr, "repair": repair, "points": points,
        "structure": structure and str(structure.resolve()), "seed": seed,
    }  # fmt: skip
    job = Alignment("align", (checkpoint, other), source, None, output, knobs)
    place = job.place(aligned)
    done = job.run()
    if done:
        told = job.write(place, done)
        print(f"{done}\n{told}")


@dataclass(frozen=True)
class Alignment(Job):
    """The probe on two checkpoints; it writes the second one, permuted, besides."""

    def check(self) -> None:
        """Look at both checkpoints and at the names of what is written before anything is loaded."""
        from landscape import checkpoint
        from landscape.probes.align import read

        super().check()
        if self.source.parameters != "*":
            raise ValueError(
                f"Expected all parameters, got --parameters {self.source.parameters}: units are permuted with all of "
                "their weights, so leave --parameters out."
            )
        if self.knobs["structure"]:
            read(self.knobs["structure"])
        for path in self.checkpoints:
            if checkpoint.read(path, trust=self.source.trust, key=self.source.key).quantization is not None:
                raise ValueError(
                    f"{path}: expected a network of full precision, got a quantized one: align what it was made from."
                )

    def identity(self, loaded: Loaded) -> dict:
        """Say what the work is; a declared structure is a file of it."""
        from landscape.weights import sha256

        found, path = super().identity(loaded), self.knobs["structure"]
        return found | {"others": found["others"] + ([{"path": path, "sha256": sha256(path)}] if path else [])}

    def place(self, path: Path | None) -> Path:
        """Return where the permuted network goes.

        Raises
        ------
        ValueError
            If another file is there and may not be replaced.
        """
        last = self.checkpoints[-1]
        found = ending(path or last.with_name(f"{last.stem}.aligned.pt"), SUFFIXES)
        if any(found.resolve() == one.resolve() for one in self.checkpoints):
            raise ValueError(f"{found}: expected to write here, got one of the networks: name another --aligned.")
        if found.exists() and not self.output.force and not self._same(found, {}):
            raise ValueError(f"{found}: expected to write here, got another file: name another --aligned, or --force.")
        return found

    def write(self, path: Path, done: Measured) -> str:
        """Write the permuted network, once it is seen to compute what the second one does, and tell of it.

        Raises
        ------
        ValueError
            If it computes something else, or another alignment of the same networks is there.
        """
        from landscape import checkpoint

        made = self.permuted(done.result)  # pyright: ignore
        if path.exists() and not self.output.force and not self._same(path, made.training["alignment"]):
            raise ValueError(
                f"{path}: expected to write here, got another permutation: name another --aligned, or pass --force."
            )
        checkpoint.write(made, path)
        return f"aligned: {path}"

    def permuted(self, found: Align) -> Checkpoint:
        """Return the second checkpoint with its units in the order that was found, its moments too."""
        import torch

        from landscape import checkpoint
        from landscape.alignment.exactness import require_same_function
        from landscape.alignment.structure import permuted
        from landscape.alignment.weights import among
        from landscape.probes.align import FEW, structured

        path = self.checkpoints[1]
        second = self.source.checkpoint(path)
        if second.model is None:
            raise ValueError(f"{path}: expected --model, since a pickled network cannot be described: name it.")
        data = self.source.dataset(second)
        model = self.source.network(second, data)
        few = replace(self.source, examples=FEW).objective(second, data, model)
        inputs, _, _ = next(few._resident[0].chunks(FEW))
        structure = structured(model, inputs, self.knobs["structure"])
        order = {name: torch.tensor(units) for name, units in found.permutations().items()}
        require_same_function(model, structure, order, inputs)
        state = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, torch.Tensor)}
        return replace(
            second,
            model=checkpoint.settled(second.model, data),
            state=permuted(state, among(structure, state), order),
            moments={kind: _moved(moment, state, structure, order) for kind, moment in second.moments.items()},
            training=second.training | {"alignment": self._record() | {"permutation": digest(found)}},
        )

    def _record(self) -> dict[str, Any]:
        """Say of what a permuted network is made."""
        from landscape.weights import sha256

        first, second = (sha256(path) for path in self.checkpoints)
        return {"to": first, "of": second, "matching": self.knobs["matching"]}

    def _same(self, path: Path, record: dict[str, Any]) -> bool:
        """Say whether a file is the second network, permuted in this way: by the same permutation, if it is known."""
        from landscape import checkpoint

        try:
            there = checkpoint.read(path).training.get("alignment")
        except (ValueError, OSError):
            return False
        return isinstance(there, dict) and (self._record() | record).items() <= there.items()


def digest(found: Align) -> str:
    """Hash a permutation."""
    return hashlib.sha256(found.permutation.astype("<i8").tobytes()).hexdigest()


def _moved(
    moment: dict[str, Tensor], state: dict[str, Tensor], structure: Structure, order: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Permute tensors of the shapes of parameters, whatever axes they have in front."""
    from landscape.alignment.structure import permuted
    from landscape.alignment.weights import among

    known = among(structure, moment)
    counted = replace(known, groups=tuple(
        replace(group, places=tuple(replace(p, axis=p.axis - state[p.tensor].ndim) for p in group.places))
        for group in known.groups
    ))  # fmt: skip
    return permuted(moment, counted, order)
