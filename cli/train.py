"""``landscape train``: from data and a model to a self-describing checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.discovery import located, located_arguments
from landscape.train.settings import Settings

if TYPE_CHECKING:
    from landscape.checkpoint import Checkpoint, Spec

Repeated = Annotated[list[str] | None, Parameter(negative="")]


def train(
    *,
    data: str | None = None,
    data_arg: Repeated = None,
    transform: Repeated = None,
    model: str | None = None,
    model_arg: Repeated = None,
    init: Path | None = None,
    loss: str | None = None,
    method: str = "plain",
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008 (frozen)
    every: int = 0,
    device: str = "auto",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a network and write a checkpoint that describes itself.

    An interrupted run goes on when the same command is given again, and ends at the same weights.

    Parameters
    ----------
    data : str
        A registered data set, a .npz file, file.py:function or package.module:function; digits unless given, or
        what --init was trained on.
    data_arg : list of str, optional
        Argument of the data, as key=value; may be repeated.
    transform : list of str, optional
        Transform of the data, such as longtail=100 or label_noise=0.2; may be repeated.
    model : str
        A registered network (resnet20 is resnet of depth 20), file.py:function or package.module:function; lenet
        unless given, or that of --init.
    model_arg : list of str, optional
        Argument of the network, as key=value; may be repeated.
    loss : str, optional
        A named loss, or file.py:function of (outputs, targets) that gives one loss an example; cross_entropy
        unless given, mse for regression.
    init : Path, optional
        Begin at the weights of this checkpoint instead of random ones.
    method : str
        What differs from plain training, such as sam, sam:rho=0.1 or sam+swa; `landscape methods` lists them.
    settings : Settings
        What decides the weights.
    every : int
        Write a checkpoint every so many epochs into OUT.trajectory, the initial one included; 0 writes none.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    output : Path, optional
        The checkpoint; MODEL-DATA.pt unless given.
    force : bool
        Overwrite an existing checkpoint, and discard an unfinished run with other settings.
    """
    from landscape import checkpoint  # these import torch, which takes seconds
    from landscape.train import composition
    from landscape.train.files import require_new
    from landscape.train.observers.progress import progress
    from landscape.train.run import train as trained
    from landscape.train.streams import seeded

    first = checkpoint.read(init) if init is not None else None
    data_spec = _spec(data, data_arg, first and first.data, "digits", tuple(transform or ()))
    known = first and first.model
    model_spec = _spec(model, model_arg, known, "lenet", known.transforms if known else ())
    path = output or Path(f"{short(model_spec.name)}-{short(data_spec.name)}.pt")
    if path.suffix == ".safetensors":  # its readers would expect that format, which holds no description
        raise ValueError(f"Expected an output such as {path.with_suffix('.pt')}, got {path}.")
    changes = composition.method(method)
    require_new(path, force=force)  # an existing checkpoint is no reason to load the data first
    dataset = checkpoint.dataset(data_spec)
    with seeded(settings.seed, "init"):
        network = checkpoint.build(model_spec, dataset)
    model_spec = checkpoint.settled(model_spec, dataset)
    with progress() as shown:
        found = trained(
            dataset, network, settings, method=changes, init=first, loss=located(loss) if loss else None,
            output=path, model_spec=model_spec, data_spec=data_spec, every=every, force=force, device=device,
            observers=(shown,),
        )  # fmt: skip
    print(f"{short(model_spec.name)} on {short(data_spec.name)}: {summary(found.final)}; {found.seconds:.1f} s; {path}")
    if found.checkpoint.quantization is not None:
        print(widths(found.checkpoint))


def _spec(name: str | None, given: list[str] | None, known: Spec | None, default: str, changes: tuple = ()) -> Spec:
    """Return what an option names; else what the first checkpoint says, with what options add to it; else a default."""
    from landscape import discovery
    from landscape.checkpoint import Spec

    arguments = located_arguments(discovery.arguments(given or ()))
    if name or known is None:
        return Spec(located(name or default), arguments, changes)
    if not (discovery.registered(known.name) or known.name.endswith(".npz")):
        raise ValueError(
            f"Expected a registered name, got a checkpoint that names code to run ({known.name}): name it with "
            "--model or --data, if you know where it comes from."
        )
    return replace(known, arguments=known.arguments | arguments, transforms=changes or known.transforms)


def summary(final: dict[str, Any]) -> str:
    """Say how a run ended: loss and accuracy of each split, of head and tail of imbalanced data, of wrong labels."""
    splits = [name for name in ("train", "test") if f"{name}_loss" in final]
    told = [
        f"{name} loss {final[f'{name}_loss']:.4g}"
        + (f", accuracy {final[f'{name}_accuracy']:.4f}" if final[f"{name}_accuracy"] is not None else "")
        for name in splits
    ]
    if "test_tail_accuracy" in final:
        parts = (f"{what} {_share(final[f'test_{what}_accuracy'])}" for what in ("balanced", "head", "tail"))
        told[-1] += f" ({', '.join(parts)})"
    if "train_corrupted_count" in final:
        clean, given, true = (final[f"train_{what}accuracy"] for what in ("clean_", "corrupted_", "corrupted_true_"))
        told.append(
            f"{final['train_corrupted_count']} training labels are wrong: accuracy {_share(given)} against these and "
            f"{_share(true)} against the true ones, {_share(clean)} on the rest"
        )
    return "; ".join(told)


def widths(found: Checkpoint) -> str:
    """Say how many weights of a quantized network have how many bits, and which matrices kept full precision.

    Vectors, such as biases and what belongs to norms, are never quantized and not told.
    """
    known = found.quantization
    assert known is not None
    counts: dict[int, int] = {}
    for name, bits in known.bits.items():
        counts[bits] = counts.get(bits, 0) + found.state[name].numel()
    matrices = (name for name, tensor in found.state.items() if tensor.ndim > 1 and tensor.is_floating_point())
    rest = [name for name in matrices if name not in known.grids]
    told = ", ".join(f"{count} of {bits} bit{'s' if bits > 1 else ''}" for bits, count in sorted(counts.items()))
    left = f"; in full precision: {', '.join(rest[:6])}{' ...' if len(rest) > 6 else ''}" if rest else ""
    return f"quantized weights: {told}{left}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def short(spec: str) -> str:
    """Name a specification in a word: ``nets/my.py:build`` is ``build``, ``dir/points.npz`` is ``points``."""
    return spec.rpartition(":")[2] if ":" in spec else Path(spec).name.removesuffix(".npz")
