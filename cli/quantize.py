"""``landscape quantize``: a trained network at several widths, as checkpoints."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli import _quantizing as quantizing
from landscape.cli._quantizing import Original
from landscape.cli.train import widths

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.checkpoint import Checkpoint
    from landscape.cli._quantizing import Opened
    from landscape.ptq.allocation import Budget
    from landscape.quantize.scheme import Scheme

WIDTHS = "8,4,3,2,1"


def quantize(
    checkpoint: Path,
    *,
    bits: str | None = None,
    family: str = "auto",
    calibration: str = "auto",
    percentile: float = 99.9,
    granularity: str = "channel",
    asymmetric: Annotated[bool, Parameter(negative="")] = False,
    skip: str = "",
    rounding: str = "nearest",
    images: int = 512,
    iterations: int = 1000,
    rate: float = 0.01,
    act_bits: int | None = None,
    budget: str | None = None,
    samples: int = 32,
    seed: int = 0,
    codes: Annotated[bool, Parameter(negative="")] = False,
    source: Annotated[Original, Parameter(name="*")] = Original(),  # noqa: B008 (frozen)
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Round the weights of a trained network to few bits, and write a checkpoint for every width.

    Weights of linear and convolutional layers are rounded; of a quantized checkpoint, those from before its rounding.
    Rounding comes first, then statistics of batch norm, then grids of activations. All files are written, or none.

    Parameters
    ----------
    checkpoint : Path
        A network of full precision, or a quantized one that knows its weights before rounding.
    bits : str, optional
        Widths from 1 to 8, separated by commas; 8,4,3,2,1 by default. With --codes, the width of the codes.
    family : str
        Levels: narrow, full, midrise, binary, ternary, levels; auto is narrow from 3 bits, midrise at 2, binary at 1.
    calibration : str
        Range of the levels: minmax, percentile or mse; auto is minmax at 8 bits and mse below.
    percentile : float
        Of calibration percentile: of the weights below the upper end of the range.
    granularity : str
        One grid for every output unit (channel), or one for a whole weight (tensor).
    asymmetric : bool
        Let the range have a zero point (family full).
    skip : str
        Layers to leave out: globs of names, first or last, separated by commas.
    rounding : str
        nearest, or adaround: up or down such that the outputs of each layer change least on training images.
    images : int
        Random training examples that AdaRound, grids of activations and traces are fitted to.
    iterations : int
        Steps of AdaRound for each layer.
    rate : float
        Learning rate of AdaRound.
    act_bits : int, optional
        Width of what goes into the quantized layers; not quantized by default.
    budget : str, optional
        Also choose among the widths for each layer: size:4 (bits of a weight on average), bops:0.25 (share of the bit
        operations at the widest).
    samples : int
        Random vectors of the Hessian traces that a budget is spent by.
    seed : int
        Of the images and of the random vectors.
    codes : bool
        CHECKPOINT is a .npz or .safetensors file of integers NAME.codes with NAME.scale (and NAME.zero, NAME.bits).
    source : Original
        Its network and data, and the arithmetic that its losses are measured in.
    output : Path, optional
        The checkpoint of a single width; of several, OUTPUT.w8.pt and so on. CHECKPOINT.w8.pt, ... by default.
    force : bool
        Replace files that are there.
    """
    source.require()
    if codes:
        _refuse_with_codes(rounding=rounding != "nearest", act_bits=act_bits, budget=budget, skip=skip)
        _adopted(checkpoint, bits, source, output, force)
        return
    if checkpoint.suffix == ".npz":
        raise ValueError(f"{checkpoint}: expected a checkpoint, got arrays: pass --codes, if they are integer codes.")
    from landscape.ptq.allocation import Budget
    from landscape.quantize.scheme import Scheme

    per_channel = _choice("granularity", granularity, ("channel", "tensor")) == "channel"
    kind = "full" if asymmetric and family == "auto" else family
    schemes = [
        Scheme(width, kind, calibration, not asymmetric, per_channel, percentile)
        for width in quantizing.widths(bits or WIDTHS)
    ]
    fit = Fit(_choice("rounding", rounding, ("nearest", "adaround")), images, iterations, rate, act_bits, samples, seed)
    spent = Budget.parse(budget) if budget else None
    names = [f"w{scheme.bits}{fit.suffix}" for scheme in schemes]
    names += [_mixed_name(spent) + fit.suffix] if spent else []
    paths = quantizing.places(checkpoint, output, names, force)
    try:
        _run(source.original(checkpoint), schemes, fit, spent, dict(zip(names, paths, strict=True)), skip)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; nothing is written: run the same command again to start over.") from None


@dataclass(frozen=True)
class Fit:
    """What is fitted to training images, and how."""

    rounding: str
    images: int
    iterations: int
    rate: float
    act_bits: int | None
    samples: int
    seed: int

    def __post_init__(self) -> None:
        from landscape.quantize.scheme import Scheme

        for name in ("images", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected --{name} of at least 1, got {getattr(self, name)}.")
        if self.samples < 2:
            raise ValueError(f"Expected --samples of at least 2, got {self.samples}: one has no standard error.")
        if self.act_bits is not None:
            Scheme(self.act_bits, "full", symmetric=False)

    @property
    def suffix(self) -> str:
        """What names of files tell of activations."""
        return "" if self.act_bits is None else f"a{self.act_bits}"

    def needs_images(self) -> bool:
        """Say whether rounding or activations are fitted to images."""
        return self.rounding == "adaround" or self.act_bits is not None


def _run(
    opened: Opened, schemes: list[Scheme], fit: Fit, spent: Budget | None, paths: dict[str, Path], skip: str
) -> None:
    from landscape.ptq.measured import examined
    from landscape.ptq.size import relative_error, size
    from landscape.quantize.layers import chosen

    globs = [part.strip() for part in skip.split(",") if part.strip()]
    axes = chosen(opened.model, globs)
    quantizing.warn_of_families(schemes)
    objective = opened.source.objective(opened.model, opened.data, opened.checkpoint.loss)
    plans: list[tuple[dict[str, Scheme], dict[str, Any]]] = [(dict.fromkeys(axes, one), {}) for one in schemes]
    if spent is not None:
        plans.append(_mixed(opened, schemes, axes, fit, spent))
    reference = examined(objective)
    whole = size(opened.model.state_dict(), {})
    rows = [quantizing.HEADER]
    rows += quantizing.row("full precision", whole, whole, 0.0, quantizing.compared(reference, reference))
    made: dict[Path, Checkpoint] = {}
    data = {"skip": globs, "measured": objective.record()["splits"]} | _images(opened, fit)
    for (name, path), (plan, record) in zip(paths.items(), plans, strict=True):
        network, quantization = _quantized(opened, plan, fit, name)
        measured = examined(opened.source.objective(network, opened.data, opened.checkpoint.loss))
        found = quantizing.compared(measured, reference)
        made[path] = opened.finished(network, quantization, found, **data, **record)
        state, known = made[path].state, made[path].quantization
        assert known is not None
        told = relative_error(state, known)
        rows += quantizing.row(name, size(state, known.grids), whole, told, found)
    quantizing.written(made)
    print(quantizing.aligned(rows))
    for path, one in made.items():
        print(f"checkpoint:  {path}; {widths(one)}")


def _quantized(opened: Opened, plan: dict[str, Scheme], fit: Fit, name: str) -> tuple[Any, Any]:
    """Quantize by a scheme for each weight, and tell of AdaRound."""
    from landscape.engine import device
    from landscape.ptq.adaround import Reconstruction
    from landscape.ptq.ptq import ptq
    from landscape.train.observers.progress import meter

    one = next(iter(plan.values()))
    calibration = "auto" if len({s.calibration for s in plan.values()}) > 1 else one.calibration
    where = device.device(opened.source.device)
    again = opened.source.batchnorm == "recalibrate"
    recalibrated = opened.resident().augmented(opened.augment) if again else None
    with meter(f"adaround {name}") if fit.rounding == "adaround" else nullcontext() as shown:
        network, quantization = ptq(
            opened.model.to(where), plan, rounding=fit.rounding, batches=_batches(opened, fit),
            iterations=fit.iterations, rate=fit.rate, batchnorm=opened.source.batchnorm, training=recalibrated,
            act_bits=fit.act_bits, act_calibration="auto" if calibration == "own" else calibration,
            percentile=one.percentile, progress=shown,
        )  # fmt: skip
    if reports := [Reconstruction(**found) for found in quantization.record.get("reconstruction", ())]:
        print(quantizing.reconstructed(name, reports))
    return network, quantization


def _mixed(
    opened: Opened, schemes: list[Scheme], axes: dict[str, int], fit: Fit, spent: Budget
) -> tuple[dict[str, Scheme], dict[str, Any]]:
    """Allocate widths, tell of it, and return the scheme of each weight with what decided."""
    from landscape.engine import device
    from landscape.objective import Objective
    from landscape.ptq.calls import operations
    from landscape.ptq.mixed import mixed
    from landscape.train.observers.progress import meter

    source, resident = opened.source, opened.resident(fit.images, fit.seed)
    objective = Objective(
        opened.model, opened.training(), opened.checkpoint.loss, precision=source.precision, device=source.device,
        batch_size=source.batch_size, strategy=source.strategy,
    )  # fmt: skip
    part = objective.subset(min(fit.images, objective.size), seed=fit.seed)
    counted = operations(opened.model.to(device.device(source.device)), resident.batch(slice(0, 1)).inputs)
    work = {f"{name}.weight" if name else "weight": count for name, count in counted.items()}
    offered = {name: schemes for name in axes}
    with meter("products with the Hessian") as shown:
        found = mixed(part, offered, axes, work, spent, samples=fit.samples, seed=fit.seed, progress=shown)
    print(quantizing.allocated(found))
    by_width = {scheme.bits: scheme for scheme in schemes}
    examples = {"examples": part.size, "fingerprint": part.examples[part.splits[0]].fingerprint()}
    return {n: by_width[width] for n, width in found.width.items()}, {"allocation": found.record() | examples}


def _batches(opened: Opened, fit: Fit) -> list[Tensor]:
    return quantizing.batches(opened.resident(fit.images, fit.seed)) if fit.needs_images() else []


def _images(opened: Opened, fit: Fit) -> dict[str, Any]:
    """Record what rounding, activations and statistics are fitted to."""
    found: dict[str, Any] = {}
    whole = opened.training() if fit.needs_images() or opened.source.batchnorm == "recalibrate" else None
    if whole is not None and fit.needs_images():
        images = min(fit.images, whole.size)
        found["fitted"] = {"split": "train", "images": images, "seed": fit.seed, "fingerprint": whole.fingerprint()}
    if whole is not None and opened.source.batchnorm == "recalibrate":
        found["recalibrated"] = {"split": "train", "images": whole.size, "fingerprint": whole.fingerprint()}
        found["recalibrated"] |= {"augment": opened.augment} if opened.augment else {}
    return found


def _adopted(path: Path, bits: str | None, source: Original, output: Path | None, force: bool) -> None:
    """Write a checkpoint of codes that another program made."""
    from landscape.ptq.measured import examined
    from landscape.ptq.size import relative_error, size

    given = quantizing.widths(bits) if bits else []
    if len(given) > 1:
        raise ValueError(f"Expected one width of the codes, got --bits {bits}: store NAME.bits where they differ.")
    (place,) = quantizing.places(path, output, ["landscape"], force)
    opened, quantization = quantizing.from_codes(source, path, given[0] if given else None)
    objective = source.objective(opened.model, opened.data, opened.checkpoint.loss)
    measured = examined(objective)
    found = quantizing.compared(measured, measured)
    made = opened.finished(opened.model, quantization, found, measured=objective.record()["splits"])
    rows = quantizing.row(
        "codes", size(made.state, quantization.grids), size(made.state, {}),
        relative_error(made.state, quantization), found,
    )  # fmt: skip
    quantizing.written({place: made})
    print(quantizing.aligned([quantizing.HEADER, *rows]))
    print(f"checkpoint:  {place}; {widths(made)}")


def _refuse_with_codes(**given: Any) -> None:
    if wrong := [name for name, value in given.items() if value]:
        option = wrong[0].replace("_", "-")
        raise ValueError(f"Expected --codes with weights that are rounded already, got --{option} too: leave it out.")


def _mixed_name(spent: Budget) -> str:
    return f"mixed{spent.amount:g}" if spent.kind == "size" else f"{spent.kind}{spent.amount:g}"


def _choice(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"Expected --{what} {' or '.join(known)}, got {value!r}: choose one of them.")
    return value
