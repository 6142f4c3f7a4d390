"""Where an objective comes from: the options about checkpoint, network, data and arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape import discovery
from landscape.cli._quantized import Rounding
from landscape.discovery import located, located_arguments

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.checkpoint import Checkpoint, Spec
    from landscape.dataset import Dataset, Split
    from landscape.objective import Objective
    from landscape.quantize.views import View

NETWORK = Group("Network and data", sort_key=1)
ARITHMETIC = Group("Arithmetic", sort_key=4)
REFITTING = ("refit", "recalibrate")  # what batch norm is told to where statistics are found afresh


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a checkpoint becomes an objective. What a checkpoint says of itself need not be given."""

    model: Annotated[str | None, Parameter(group=NETWORK)] = None
    "A registered network (resnet20), file.py:function or package.module:function that returns one."
    model_arg: Annotated[list[str] | None, Parameter(group=NETWORK)] = None
    "Argument of the network, as key=value; repeat for more."
    data: Annotated[str | None, Parameter(group=NETWORK)] = None
    "A registered data set (cifar10), a .npz file, file.py:function or package.module:function."
    data_arg: Annotated[list[str] | None, Parameter(group=NETWORK)] = None
    "Argument of the data, as key=value, such as root=DIR; repeat for more."
    transform: Annotated[list[str] | None, Parameter(group=NETWORK)] = None
    "Transform of the data, such as longtail=100 or classes=0,1; repeat for more."
    split: Annotated[str, Parameter(group=NETWORK)] = "both"
    "Parts of the data: train, test, both in one pass, or first (train, where there is one)."
    examples: Annotated[int | None, Parameter(group=NETWORK)] = None
    "Random examples of each split to use, the same at every point; all by default."
    loss: Annotated[str | None, Parameter(group=NETWORK)] = None
    "cross_entropy, causal, mse, mae, huber, bce, or file.py:function giving one loss per example."
    parameters: Annotated[str, Parameter(group=NETWORK)] = "*"
    "Globs of parameter names to move, separated by commas; the rest is held fixed."
    key: Annotated[str | None, Parameter(group=NETWORK)] = None
    "Where in the file the weights are, such as ema; the usual places are searched by default."
    trust: Annotated[bool, Parameter(group=NETWORK, negative="")] = False
    "Run the code that a checkpoint carries or names. Only for files whose origin you know."
    batchnorm: Annotated[str, Parameter(group=ARITHMETIC)] = "frozen"
    "Statistics: frozen (the checkpoint's), refit (recomputed at every point), batch (of each batch)."
    refit_augment: Annotated[str | None, Parameter(group=ARITHMETIC)] = None
    "Augmentation of the images that statistics are refitted from: crop,flip, or none; that of the training by default."
    batch_size: Annotated[int | None, Parameter(group=ARITHMETIC)] = None
    "Examples of a batch, where batch norm makes the loss depend on it."
    precision: Annotated[str, Parameter(group=ARITHMETIC)] = "float32"
    "float32, float64, bfloat16 or tf32."
    device: Annotated[str, Parameter(group=ARITHMETIC)] = "auto"
    "auto, cpu, cuda, cuda:N or mps."
    strategy: Annotated[str, Parameter(group=ARITHMETIC)] = "auto"
    "How points are evaluated: auto measures; or such as loop,examples=256 or vmap,points=16,examples=512."

    def checkpoint(self, path: Path) -> Checkpoint:
        """Read a checkpoint, and fill in what the options say of it."""
        from landscape import checkpoint

        found = checkpoint.read(path, trust=self.trust, key=self.key)
        if self.key and found.model:
            raise ValueError(f"{path}: expected --key with a foreign checkpoint, got one of landscape: leave it out.")
        model = self._spec("model", found.model, path)
        data = self._spec("data", found.data, path, self.transform)
        loss = located(self.loss) if self.loss else found.loss
        if not self.loss and not discovery.registered(found.loss):
            self._require_trust(found.loss, "loss", path)
        return replace(found, model=model, data=data, loss=loss)

    def dataset(self, found: Checkpoint) -> Dataset:
        """Load the data of a checkpoint."""
        from landscape import checkpoint

        if found.data is None:
            raise ValueError(f"{found.path}: expected --data, since this checkpoint does not say its data: name them.")
        return checkpoint.dataset(found.data)

    def splits(self, data: Dataset) -> dict[str, Any]:
        """Return the parts of the data that are asked for, by name."""
        if self.split not in ("train", "test", "both", "first"):
            raise ValueError(f"Expected --split train, test, both or first, got {self.split!r}.")
        if self.examples is not None and self.examples < 1:
            raise ValueError(f"Expected at least 1 example, got --examples {self.examples}.")
        names = {"both": list(data.splits), "first": list(data.splits[:1])}.get(self.split, [self.split])
        return {name: some(data, name, self.examples) for name in names}

    def network(self, found: Checkpoint, data: Dataset) -> Any:
        """Return the network of a checkpoint, with its weights.

        Raises
        ------
        ValueError
            If neither the checkpoint nor an option says what it is, or the weights do not fit it.
        """
        from landscape import checkpoint

        if found.module is not None and self.model is None:
            module = _with_layers(found.module, Path(found.path))  # with its own weights, whatever was rounded since
            return module if found.quantization is None else checkpoint.fitted(found, deepcopy(module))
        if found.model is None:
            raise ValueError(
                f"{found.path}: expected --model, since this checkpoint does not say its network: name it."
            )
        return checkpoint.fitted(found, quietly_built(found.model, data))

    def load(self, path: Path, rounding: Rounding = Rounding()) -> Loaded:  # noqa: B008 (frozen)
        """Build the objective of a checkpoint; `rounding` says how its quantization is seen.

        Raises
        ------
        ValueError
            If the checkpoint does not say its network or data and no option does; if they do not fit; if its batch-norm
            statistics are stale and would be used; or if it has no such quantization.
        """
        original = self.checkpoint(path)
        data = self.dataset(original)
        if rounding.round is not None:
            original = rounding.rounded(original, self.network(original, data))
        found = rounding.seen(original)
        model = rounding.switched(self.network(found, data))
        if found.batchnorm == "stale" and self.batchnorm == "frozen":
            raise ValueError(
                f"{path}: expected batch-norm statistics of these weights, got stale ones (an average of weights has "
                "none of its own, nor have weights before rounding): pass --batchnorm refit."
            )
        made = self.objective(found, data, model, rounding.view(found, model))
        return Loaded(self, made, found, model, data, rounding, original)

    def objective(self, found: Checkpoint, data: Dataset, model: Any, view: View | None = None) -> Objective:
        """Make the objective of a network that is there already."""
        from landscape.objective import Objective
        from landscape.train.augmentation import reference

        splits = self.splits(data)
        return Objective(
            model, splits, found.loss, parameters=[g.strip() for g in self.parameters.split(",")],
            batchnorm=self.batchnorm, reference=reference(next(iter(splits.values())), self.augmentation(found)),
            precision=self.precision, device=self.device, batch_size=self.batch_size, strategy=self.strategy, view=view,
        )

    def augmentation(self, found: Checkpoint) -> str:
        """Return by what the images are augmented that batch-norm statistics are refitted from; empty for nothing.

        It is what an option says; else what the weights were trained with, which is what they are used to. The images
        are those of the first split that is measured: of the training split, unless the test split alone is asked for.

        Raises
        ------
        ValueError
            If an option asks for one where nothing is refitted.
        """
        from landscape.train.augmentation import recorded

        given = "" if self.refit_augment == "none" else self.refit_augment
        if self.batchnorm in REFITTING:
            return recorded(found.training) if given is None else given
        if given:
            raise ValueError(
                f"Expected no --refit-augment with --batchnorm {self.batchnorm}, got {given}: nothing is refitted then."
            )
        return ""

    def record(self) -> dict[str, Any]:
        """Return the options as plain JSON, with the paths among them absolute."""
        found = asdict(self)
        for name in ("model", "data", "loss"):
            found[name] = found[name] and located(found[name])
        for name in ("model_arg", "data_arg"):
            found[name] = found[name] and [_located_pair(pair) for pair in found[name]]
        if self.refit_augment is None:  # so do results from before there was a choice
            del found["refit_augment"]
        return found

    def _spec(
        self, what: str, known: Spec | None, path: Path, transforms: Sequence[str] | None = None
    ) -> Spec | None:
        """Return what an option names; else what the checkpoint says, with what options add to it."""
        from landscape.checkpoint import Spec

        name, arguments = getattr(self, what), _arguments(getattr(self, f"{what}_arg"))
        if name:  # the weights of a changed network are those of the one that is named, with the same changes
            kept = known.transforms if known is not None and what == "model" else ()
            return Spec(located(name), arguments, tuple(transforms or kept))
        if known is None:
            return None
        if not (discovery.registered(known.name) or (what == "data" and known.name.endswith(".npz"))):
            self._require_trust(known.name, what, path)
        return Spec(known.name, known.arguments | arguments, tuple(transforms or known.transforms))

    def _require_trust(self, name: str, what: str, path: Path) -> None:
        if not self.trust:
            raise ValueError(
                f"{path}: expected a registered {what}, got a checkpoint that names code to run ({name}): "
                f"pass --{what} {name}, or --trust, if you know where it comes from."
            )


@dataclass(frozen=True, kw_only=True)
class OneSplit(Source):
    """The same for probes that are about one split: no other is read, unless it is asked for."""

    split: Annotated[str, Parameter(group=NETWORK)] = "first"
    "Parts of the data: train, test, both, or first (train, where there is one): this probe is about the first."
    strategy: Annotated[str, Parameter(group=ARITHMETIC)] = "auto"
    "How products are computed: auto measures; or such as retained,kept,examples=256 or forward,vectors=4,examples=64."


@dataclass(frozen=True, kw_only=True)
class Refitted(Source):
    """The same for probes that go between networks, whose statistics are those of no checkpoint."""

    batchnorm: Annotated[str, Parameter(group=ARITHMETIC)] = "refit"
    "Statistics between networks: refit (recomputed at every point), or batch (of each batch)."


@dataclass(frozen=True)
class Loaded:
    """An objective, and the checkpoint, network and data it was made from.

    Of a quantized checkpoint, `checkpoint` is at the weights that the objective is about; `original` is as it was read.
    """

    source: Source
    objective: Objective
    checkpoint: Checkpoint
    model: Any
    data: Dataset
    rounding: Rounding
    original: Checkpoint

    @property
    def norms(self) -> Tensor | None:
        """Weights that give random directions their lengths, if not those at the center.

        Those before rounding, where they are known: so that directions are the same whatever the width.
        """
        from landscape import checkpoint

        known = self.checkpoint.quantization
        if known is None or known.grids.keys() - known.latent.keys():
            return None
        found = self.objective.pack(checkpoint.fitted(checkpoint.latent(self.checkpoint), deepcopy(self.model)))
        return None if bool((found == self.objective.theta).all()) else found

    def gap(self) -> dict[str, float]:
        """Measure by how much the loss of soft rounding differs from that of hard rounding at the center, in nats.

        Of every split; nothing for another surface.
        """
        if self.rounding.quantized != "soft":
            return {}
        latent = replace(self.rounding, quantized="latent", temperature=Rounding().temperature)
        hard = self.source.objective(self.checkpoint, self.data, self.model, latent.view(self.checkpoint, self.model))
        losses = [made.measure(made.theta).loss for made in (self.objective, hard)]
        return {split: float(losses[0][k] - losses[1][k]) for k, split in enumerate(self.objective.splits)}

    def vectors(self, paths: Sequence[Path]) -> list[Tensor]:
        """Read other checkpoints of the same network as parameter vectors (D,)."""
        from landscape import checkpoint

        found = []
        for path in paths:
            other = checkpoint.read(path, trust=self.source.trust, key=self.source.key)
            if self.rounding.round is not None:
                other = self.rounding.rounded(other, checkpoint.fitted(other, deepcopy(self.model)))
            other = self.rounding.seen(other)
            self._warn_of_another_augmentation(other)
            model = checkpoint.fitted(other, deepcopy(self.model))
            self._warn_of_what_stays(model, path)
            found.append(self.objective.pack(model))
        return found

    def _warn_of_what_stays(self, model: Any, path: Path) -> None:
        """Only parameters that move are another network's; what it has otherwise, but for statistics, is not seen."""
        first, moved = self.checkpoint.path, {block.name for block in self.objective.blocks}
        norms = {name for name, _ in self.objective.network.norms}
        held = _differing(model.named_parameters(), self.model.named_parameters())
        if fixed := [name for name in held if name not in moved]:
            warnings.warn(
                f"{path}: its parameters {', '.join(fixed[:4])} are not those of {first} and held fixed "
                "by --parameters, so this network is seen with those of the first: losses at its end are not its own.",
                stacklevel=2,
            )
        kept = _differing(model.named_buffers(), self.model.named_buffers())
        if other := [name for name in kept if name.rpartition(".")[0] not in norms]:
            warnings.warn(
                f"{path}: its buffers {', '.join(other[:4])} are not those of {first}; buffers do not "
                "move, so this network is seen with those of the first.",
                stacklevel=2,
            )

    def _warn_of_another_augmentation(self, other: Checkpoint) -> None:
        """Statistics are refitted as suits the first network; one that was trained otherwise looks worse than it is."""
        if self.source.refit_augment is not None or not self.objective.network.norms:
            return
        one, two = (self.source.augmentation(found) or "none" for found in (self.checkpoint, other))
        if one != two:
            warnings.warn(
                f"{other.path} was trained with augmentation {two}, {self.checkpoint.path} with {one}: batch-norm "
                f"statistics are refitted with {one} for all; choose with --refit-augment.",
                stacklevel=2,
            )

    def record(self) -> dict[str, Any]:
        """Say where the objective comes from, in plain JSON."""
        known = self.checkpoint
        refitted = self.source.augmentation(known) if self.objective.reference is not None else None
        return {
            "checkpoint": {"path": str(Path(known.path).resolve()), "sha256": known.sha256},
            "model": known.model and asdict(known.model),
            "data": known.data and asdict(known.data),
            "code": self._code(),
            "quantization": self._quantization(),
            "quantized": self.rounding.record(),
            "objective": self.objective.record(),
            "source": replace(self.source, refit_augment=refitted).record(),  # as it is, were it by default
        }

    def _quantization(self) -> dict[str, Any] | None:
        """Say how a checkpoint is quantized: how that came about, the hash of its grids, and their widths."""
        known = self.original.quantization
        if known is None:
            return None
        inputs = sorted({one.bits for one in known.activations.values()})
        widths = {"bits": sorted(set(known.bits.values())), "activation_bits": inputs}
        return known.record | {"sha256": known.sha256(), "widths": widths}

    def _code(self) -> dict[str, str]:
        """Hash the Python files that make network, data and loss: what they do is part of the origin."""
        from landscape.weights import sha256

        known = self.checkpoint
        specs = [known.model.name if known.model else "", known.data.name if known.data else "", known.loss]
        return {file: sha256(file) for file in sorted(filter(None, map(discovery.source, specs)))}


def _differing(tensors: Iterable[tuple[str, Tensor]], others: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Name the tensors that are not equal to those of the same name among others."""
    import torch

    known = dict(others)
    return [name for name, tensor in tensors if not (name in known and torch.equal(tensor, known[name]))]


def _with_layers(module: Any, path: Path) -> Any:
    """Return a network that came with its weights, unless its layers cannot be told apart any more.

    TorchScript and exported programs keep operations: which tensor is a filter or belongs to batch norm is lost.
    """
    import torch

    bare = any(type(part) is torch.nn.Module and part._parameters for part in module.modules())
    if isinstance(module, torch.jit.ScriptModule) or (bare and isinstance(module, torch.fx.GraphModule)):
        raise ValueError(
            f"{path}: expected a network whose layers can be told apart, got a compiled program: name the network that "
            "it was made from with --model, and its weights are taken from here."
        )
    return module


def quietly_built(spec: Spec, data: Dataset) -> Any:
    """Build a network without touching the random state: its weights are replaced anyway."""
    import torch

    from landscape import checkpoint

    with torch.random.fork_rng(devices=[]):
        return checkpoint.build(spec, data)


def _arguments(pairs: list[str] | None) -> dict[str, Any]:
    return located_arguments(discovery.arguments(pairs or ()))


def _located_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}{equals}{located_arguments({name: value})[name]}"


def some(data: Dataset, name: str, count: int | None, *, seed: int = 0) -> Split:
    """Return a split of the data, or a random subset of it."""
    from landscape.dataset import Dataset
    from landscape.transforms import subset

    part = data.split(name)
    if count is None or count >= part.size:
        return part
    alone = Dataset(data.name, (part.inputs, part.targets), None, data.classes, data.mean, data.std, data.task)
    return replace(subset(count, seed=seed)(alone).split("train"), name=name)
