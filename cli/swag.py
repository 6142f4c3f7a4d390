"""``landscape swag``: networks drawn from the Gaussian that a run of ``swag`` left, as checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli._source import Source, quietly_built
from landscape.cli.train import Repeated

if TYPE_CHECKING:
    from torch import Tensor, nn

    from landscape.checkpoint import Checkpoint
    from landscape.dataset import Dataset
    from landscape.train.batches import Resident

OWN = ("history", "seconds", "device", "sample")  # what a record tells of the run that made it, beside its measurements


def swag(
    checkpoint: Path,
    *,
    samples: int = 30,
    seed: int = 0,
    scale: float = 0.5,
    diagonal: Annotated[bool, Parameter(negative="--no-diagonal")] = True,
    low_rank: Annotated[bool, Parameter(negative="--no-low-rank")] = True,
    model: str | None = None,
    model_arg: Repeated = None,
    data: str | None = None,
    data_arg: Repeated = None,
    device: str = "auto",
    trust: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw networks from the Gaussian that training with swag left, as checkpoints.

    Their batch-norm statistics are those of the training split, its images augmented as in that training; without the
    data they are marked stale. When it is interrupted, the same command goes on.

    Parameters
    ----------
    checkpoint : Path
        What landscape train --method swag wrote.
    samples : int
        Networks to draw: sample-01.pt, sample-02.pt, ...
    seed : int
        Of the draws; sample number i depends on it and on i alone.
    scale : float
        Factor of the covariance; the paper's is one half.
    diagonal : bool
        Draw the variance of each weight on its own.
    low_rank : bool
        Draw what the weights did together.
    model : str, optional
        The network, where the checkpoint names code to run or none.
    model_arg : list of str, optional
        Argument of the network, as key=value; may be repeated.
    data : str, optional
        The data, where the checkpoint names code to run or none.
    data_arg : list of str, optional
        Argument of the data, as key=value, such as root=DIR; may be repeated.
    device : str
        Where statistics are found: auto, cpu, cuda, cuda:N or mps.
    trust : bool
        Run the code that the checkpoint names. Only for files whose origin you know.
    output : Path, optional
        A folder; CHECKPOINT.samples unless given.
    force : bool
        Replace samples of another origin in that folder.
    """
    from landscape import posterior
    from landscape.checkpoint import write
    from landscape.train.augmentation import recorded
    from landscape.train.observers.progress import meter
    from landscape.train.refresh import normalized

    source = Source(model=model, model_arg=model_arg, data=data, data_arg=data_arg, device=device, trust=trust)
    found = source.checkpoint(checkpoint)
    knobs = {"seed": seed, "scale": scale, "diagonal": diagonal, "low_rank": low_rank}
    draws = posterior.sample(found, samples, **knobs)
    network, resident, statistics = prepared(source, found)
    stale = normalized(network) and statistics is None
    augment = recorded(found.training) if statistics else ""
    record = {"of": found.sha256, **knobs, "statistics": statistics, **({"augment": augment} if augment else {})}
    folder = output or checkpoint.with_name(f"{checkpoint.stem}.samples")
    there = finished(folder, record, force)
    with meter(f"samples of {checkpoint.name}") as shown:
        for number, draw in enumerate(draws, start=1):
            path = folder / name(number)
            if path not in there:
                state = placed(network, draw, resident, augment)
                write(described(found, state, record | {"number": number}, stale), path)
            shown(number, samples)
    print(f"samples:  {folder / name(1)} to {name(samples)}")
    print(f"statistics of batch norm:  {told(network, statistics)}")


def name(number: int) -> str:
    """Name the file of a sample."""
    return f"sample-{number:02d}.pt"


def prepared(source: Source, found: Checkpoint) -> tuple[nn.Module, Resident | None, str | None]:
    """Return the network on its device; if it has batch norm, the training split too, and its fingerprint.

    Raises
    ------
    ValueError
        If nothing says what the network is, or the weights do not fit it.
    """
    from landscape import checkpoint
    from landscape.engine import device as devices
    from landscape.train.batches import Resident
    from landscape.train.refresh import normalized

    if found.model is None:
        raise ValueError(f"{found.path}: expected --model, since this checkpoint does not say its network: name it.")
    data = at_hand(source, found)
    where, dtype = devices.device(source.device), next(t.dtype for t in found.moments["variance"].values())
    network = checkpoint.fitted(found, quietly_built(found.model, data).to(dtype)).to(where)
    if data is None or not normalized(network):
        return network, None, None
    split = data.split("train")
    return network, Resident(split, dtype, where), split.fingerprint()


def at_hand(source: Source, found: Checkpoint) -> Dataset | None:
    """Load the data of a checkpoint; None if it does not say them, or they are no longer where it says."""
    if found.data is None:
        return None
    try:
        return source.dataset(found)
    except OSError:
        if source.data or source.data_arg:  # these were asked for
            raise
        return None


def placed(
    network: nn.Module, draw: dict[str, Tensor], resident: Resident | None, augment: str = ""
) -> dict[str, Tensor]:
    """Put a draw in the place of a network's weights, refresh its statistics, and return its state on the CPU."""
    import torch

    from landscape.engine import device as devices
    from landscape.train.fit import on_cpu
    from landscape.train.refresh import refresh

    state = network.state_dict()
    for key, value in draw.items():
        state[key].copy_(value)
    if resident is not None:
        precision = "float64" if resident.dtype == torch.float64 else "float32"
        with devices.arithmetic(precision, resident.device):
            refresh(network, resident, augment=augment)
    return on_cpu(network)


def described(found: Checkpoint, state: dict[str, Tensor], record: dict[str, Any], stale: bool) -> Checkpoint:
    """Return a sample as a checkpoint: how it was drawn, and of which one."""
    from landscape.train.record import unmeasured

    run = {name: value for name, value in unmeasured(found.training).items() if name not in OWN}
    batchnorm = "stale" if stale else "fresh"
    return replace(found, state=state, batchnorm=batchnorm, training=run | {"sample": record}, moments={})


def finished(folder: Path, record: dict[str, Any], force: bool) -> set[Path]:
    """Return the samples that are there already; with `force`, remove them all instead.

    Raises
    ------
    ValueError
        If others are there.
    """
    there = sorted(folder.glob("sample-*.pt"))
    if force:
        for path in there:
            path.unlink()
        return set()
    for path, sample in zip(there, drawn(there), strict=True):
        number = sample.pop("number", None)
        if sample != record or path.name != name(number):
            raise ValueError(
                f"{path}: expected to write here, got a file of another origin: pass -o for another folder, or --force."
            )
    return set(there)


def drawn(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """Read how samples were drawn; nothing of files that are none."""
    from landscape import checkpoint

    for path in paths:
        try:
            sample = checkpoint.read(path).training.get("sample")
        except ValueError:
            sample = None
        yield dict(sample) if isinstance(sample, dict) else {}


def told(network: nn.Module, statistics: str | None) -> str:
    """Say what became of the batch-norm statistics."""
    from landscape.train.refresh import normalized

    if not normalized(network):
        return "this network has none"
    return "of the training split" if statistics else "stale, since the data are not at hand: name them with --data"
