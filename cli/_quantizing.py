"""From options to quantized checkpoints: what ``landscape quantize`` reads, and what it tells."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli._output import ending, free
from landscape.cli._source import ARITHMETIC, NETWORK, Source, quietly_built, some  # noqa: F401 (of inherited options)
from landscape.discovery import located

if TYPE_CHECKING:
    from torch import Tensor, nn

    from landscape.checkpoint import Checkpoint
    from landscape.dataset import Dataset, Split
    from landscape.examples import ByExample
    from landscape.objective import Objective
    from landscape.ptq.adaround import Reconstruction
    from landscape.ptq.measured import Measured
    from landscape.ptq.mixed import Mixed
    from landscape.quantize.quantization import Quantization
    from landscape.quantize.scheme import Scheme
    from landscape.train.batches import Resident

SUFFIXES = (".pt", ".pth", ".th")
CHUNK = 128  # images of a batch


@dataclass(frozen=True, kw_only=True)
class Original(Source):
    """How a checkpoint becomes the network that is quantized, and the data that it is measured on."""

    batchnorm: Annotated[str, Parameter(group=ARITHMETIC)] = "keep"
    "Statistics: keep (the checkpoint's), or recalibrate (those of the rounded weights, on the training split)."
    refit_augment: Annotated[str | None, Parameter(group=ARITHMETIC)] = None
    "Augmentation of the images to recalibrate on: crop,flip, or none; that of the training by default."

    def require(self) -> None:
        """Refuse options that quantizing does not know."""
        from landscape.ptq.ptq import STATISTICS

        if self.batchnorm not in STATISTICS:
            raise ValueError(f"Expected --batchnorm {' or '.join(STATISTICS)}, got {self.batchnorm!r}.")
        if self.parameters != "*":
            raise ValueError(f"Expected no --parameters, got {self.parameters}: leave layers out with --skip.")

    def original(self, path: Path) -> Opened:
        """Read the weights that are rounded: those of full precision, or from before an earlier rounding.

        Raises
        ------
        ValueError
            If the checkpoint does not say its network or data and no option does; if it holds codes alone; or if its
            batch-norm statistics are stale and would be kept.
        """
        from landscape import checkpoint

        found = checkpoint.latent(self.checkpoint(path))
        data = self.dataset(found)
        model = self.network(found, data)
        if found.model is None:
            raise ValueError(f"{path}: expected --model, since a pickled network cannot be described: name it.")
        found = replace(found, model=checkpoint.settled(found.model, data))
        opened = Opened(self, found, model, data, self.augmentation(found))
        if found.batchnorm == "stale":
            opened.settle()
        return opened

    def described(self, path: Path) -> Checkpoint:
        """Return what the options say of a file that holds arrays alone."""
        from landscape.checkpoint import Checkpoint
        from landscape.weights import sha256

        model, data = self._spec("model", None, path), self._spec("data", None, path, self.transform)
        if model is None or data is None:
            raise ValueError(f"{path}: expected --model and --data, since codes do not say them: name both.")
        loss = located(self.loss) if self.loss else "cross_entropy"
        return Checkpoint({}, model=model, data=data, loss=loss, path=str(path), sha256=sha256(path))

    def objective(self, model: nn.Module, data: Dataset, loss: str) -> Objective:
        """Build the objective of a network with the statistics that it has."""
        from landscape.objective import Objective

        return Objective(
            model, self.splits(data), loss, precision=self.precision, device=self.device, batch_size=self.batch_size,
            strategy=self.strategy,
        )  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A network of full precision with its checkpoint and its data, and how images are augmented to recalibrate on."""

    source: Original
    checkpoint: Checkpoint
    model: nn.Module
    data: Dataset
    augment: str

    def training(self) -> Split:
        """Return the training split, which everything is fitted to."""
        if "train" not in self.data.splits:
            raise ValueError(f"Expected a training split to fit to, got {', '.join(self.data.splits)} alone: add one.")
        return self.data.split("train")

    def resident(self, images: int | None = None, seed: int = 0) -> Resident:
        """Put the training split on the device, or so many random examples of it."""
        from landscape.engine import device
        from landscape.train.batches import Resident

        self.training()  # its absence is an error that says what it is for
        part = some(self.data, "train", images, seed=seed)
        dtype = next(parameter.dtype for parameter in self.model.parameters())
        return Resident(part, dtype, device.device(self.source.device))

    def settle(self) -> None:
        """Replace stale statistics by those of the weights, where they may be recalibrated.

        Raises
        ------
        ValueError
            If they are to be kept.
        """
        from landscape.train.refresh import normalized, refresh

        if not normalized(self.model):
            return
        if self.source.batchnorm == "keep":
            raise ValueError(
                f"{self.checkpoint.path}: expected batch-norm statistics of these weights, got stale ones (an average "
                "of weights has none of its own): pass --batchnorm recalibrate."
            )
        resident = self.resident()
        self.model.to(resident.device)
        refresh(self.model, resident, augment=self.augment)

    def finished(
        self, network: nn.Module, quantization: Quantization, found: Mapping[str, Measured], **record: Any
    ) -> Checkpoint:
        """Describe a quantized network as a checkpoint."""
        from landscape.train.fit import on_cpu
        from landscape.train.record import unmeasured

        numbers = {}
        for split, one in found.items():
            numbers[f"{split}_loss"] = one.loss
            if one.accuracy == one.accuracy:
                numbers[f"{split}_accuracy"] = one.accuracy
        known = replace(quantization, record=quantization.record | record | {"source": self.checkpoint.sha256})
        return replace(
            self.checkpoint, state=on_cpu(network), quantization=known, module=None, moments={}, batchnorm="fresh",
            training=unmeasured(self.checkpoint.training) | numbers,
        )  # fmt: skip


def from_codes(source: Original, path: Path, bits: int | None) -> tuple[Opened, Quantization]:
    """Build a network of integer codes and scales.

    Raises
    ------
    ValueError
        If they do not fit the network that the options name.
    """
    from landscape import checkpoint, weights
    from landscape.ptq.foreign import arrays, foreign
    from landscape.quantize.layers import chosen

    found = arrays(path)
    known = source.described(path)
    data = source.dataset(known)
    assert known.model is not None
    model = quietly_built(known.model, data)
    state, quantization = foreign(found, chosen(model), path, bits=bits)
    weights.fit(model, state, str(path))
    known = replace(known, model=checkpoint.settled(known.model, data))
    return Opened(source, known, model, data, source.augmentation(known)), quantization


def batches(resident: Resident) -> list[Tensor]:
    """Return the inputs of a split in batches."""
    return [resident.batch(slice(start, start + CHUNK)).inputs for start in range(0, len(resident), CHUNK)]


def widths(text: str) -> list[int]:
    """Read widths such as ``8,4,2``.

    Raises
    ------
    ValueError
        If they are no whole numbers, or one comes twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"Expected --bits such as 8,4,2, got {text!r}: separate whole numbers by commas.")
    found = [int(part) for part in parts]
    if len(set(found)) < len(found):
        raise ValueError(f"Expected every width once, got --bits {text}: leave the repeated ones out.")
    return sorted(found, reverse=True)


def warn_of_families(schemes: Sequence[Scheme], option: str = "--family") -> None:
    """Say it where widths differ in more than the number of bits."""
    families = {scheme.bits: scheme.family for scheme in schemes}
    if len(set(families.values())) > 1:
        told = ", ".join(f"{family} at {bits}" for bits, family in families.items())
        warnings.warn(
            f"the levels are {told} bits: their number and kind change with the width, so that a comparison of widths "
            f"compares families too; hold one with {option}.", stacklevel=2,
        )  # fmt: skip


def places(checkpoint: Path, output: Path | None, names: Sequence[str], force: bool) -> list[Path]:
    """Return where the checkpoints of those names go: beside the first one, or at `output`, nothing being there.

    Raises
    ------
    ValueError
        If a file is there and `force` is not given.
    """
    base = ending(output or checkpoint.with_suffix(".pt"), SUFFIXES)
    named = [base.with_name(f"{base.stem}.{name}{base.suffix}") for name in names]
    found = [output] if output is not None and len(names) == 1 else named
    return [free(path, force) for path in found]


def written(checkpoints: Mapping[Path, Checkpoint]) -> None:
    """Write checkpoints, all of them or none: what was written before a failure is taken away again."""
    from landscape.checkpoint import write

    new = [path for path in checkpoints if not path.exists()]
    try:
        for path, checkpoint in checkpoints.items():
            write(checkpoint, path)
    except BaseException:  # an interruption too
        for path in new:
            path.unlink(missing_ok=True)
        raise


def compared(found: Mapping[str, ByExample], reference: Mapping[str, ByExample]) -> dict[str, Measured]:
    """Measure a network on every split, beside a reference."""
    from landscape.ptq.measured import measured

    return {split: measured(one, reference[split]) for split, one in found.items()}


def row(name: str, size: int, whole: int, error: float, found: Mapping[str, Measured]) -> Iterable[list[str]]:
    """Tell of one network, a line for each split."""
    told = [name, f"{size}", f"{whole / size:.4g}", "-" if error != error else f"{error:.3g}"]
    for split, one in found.items():
        known = one.accuracy == one.accuracy
        yield [
            *told, split, _sure(one.loss, one.loss_error), _sure(one.accuracy, one.accuracy_error) if known else "-",
            _sure(one.change, one.change_error) if one.change_error else "-",
        ]  # fmt: skip
        told = [""] * 4


HEADER = ["network", "bytes", "smaller", "|dw|/|w|", "split", "loss (nat)", "accuracy", "change of loss (nat)"]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out as a table."""
    from landscape.plots.summary import columns

    return "\n".join(columns(rows))


def allocated(found: Mixed) -> str:
    """Tell of an allocation, a line for each layer."""
    traces, names = found.traces, found.traces.names
    rows = [["layer", "weights", "MACs", "trace (nat)", *(f"Omega at {bits}" for bits in found.bits), "bits", "bytes"]]
    total = 0
    for index, name in enumerate(names):
        count, bits = int(traces.count[index]), found.width[name]
        total += -(-count * bits // 8)
        omega = [f"{value:.3g}" for value in found.omega[index]]
        trace = _sure(float(traces.trace[index]), float(traces.error[index]))
        rows.append([
            name, f"{count}", f"{found.operations[index]}", trace, *omega, f"{bits}", f"{-(-count * bits // 8)}",
        ])  # fmt: skip
    blank = [""] * len(found.bits)
    sums = [f"{int(traces.count.sum())}", f"{found.operations.sum()}"]
    rows.append(["total", *sums, "", *blank, f"{found.mean_bits:.4g}", f"{total}"])
    share = f"bit operations: {found.share:.4g} of those at {max(found.bits)} bits"
    return f"{aligned(rows)}\nbudget {found.budget}; {share}"


def reconstructed(name: str, reports: Sequence[Reconstruction]) -> str:
    """Tell what AdaRound did for every layer."""
    rows = [[f"{name}, layer", "nearest", "adaround", "moved"]]
    rows += [[r.layer, f"{r.nearest:.3g}", f"{r.adaround:.3g}", f"{r.moved:.3g}"] for r in reports]
    return aligned(rows)


def _sure(value: float, error: float) -> str:
    return f"{value:.4g} ± {error:.2g}"
