"""Which parameters of a network are quantized, and where their output units lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from torch import nn

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the linear and convolutional layers of a network by name, in its order; one that is shared comes once."""
    for name, module in model.named_modules():
        known = isinstance(module, (*LINEAR, *TRANSPOSED)) or type(module).__name__ == "Conv1D"
        if known and hasattr(module, "weight"):
            yield name, module


def chosen(model: nn.Module, skip: Iterable[str] = ()) -> dict[str, int]:
    """Map the weights to quantize to the axis of their output units.

    Weights of linear and convolutional layers; never biases, norms or embeddings. A weight that is tied to something
    else, such as an embedding, is left alone.

    Parameters
    ----------
    model : nn.Module
    skip : iterable of str
        Globs over names of layers, such as ``fc`` or ``layer1.*``; ``first`` and ``last`` are those of the network.

    Raises
    ------
    ValueError
        If a glob matches nothing, or no layer is left.
    """
    known = [name for name, _ in layers(model)]
    left_out = set[str]()
    for glob in skip:
        found = _matching(glob, known)
        if not found:
            raise ValueError(
                f"Expected --skip to match layers of {type(model).__name__} ({', '.join(known[:6]) or 'it has none'} "
                f"...), got {glob!r}: give a glob, first or last."
            )
        left_out |= set(found)
    owners: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    found = {
        f"{name}.weight" if name else "weight": _axis(module)
        for name, module in layers(model)
        if name not in left_out and owners.get(id(module.weight)) == 1
    }
    if not found:
        raise ValueError(
            f"Expected linear or convolutional layers with weights of their own to quantize, got none in "
            f"{type(model).__name__}{' beside those skipped' if left_out else ''}: there is nothing to quantize."
        )
    return found


def skipped(text: str) -> tuple[str, ...]:
    """Read which layers a method leaves out: globs with ``/`` between them, since commas part its arguments."""
    return tuple(part.strip() for part in text.split("/") if part.strip())


def _matching(glob: str, known: list[str]) -> list[str]:
    ends = {"first": known[:1], "last": known[-1:]}
    return ends[glob] if glob in ends else [name for name in known if fnmatchcase(name, glob)]


def _axis(module: nn.Module) -> int:
    """Return where the output units lie: second in transposed convolutions (of every group) and in GPT-2's Conv1D."""
    return 1 if isinstance(module, TRANSPOSED) or type(module).__name__ == "Conv1D" else 0
