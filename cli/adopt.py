"""``landscape adopt``: a foreign checkpoint, made to describe itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from landscape.cli._source import Source


def adopt(
    checkpoint: Path,
    *,
    source: Annotated[Source, Parameter(name="*")] = Source(),  # noqa: B008 (frozen)
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Check that a foreign checkpoint fits its network and data, and write one that says both.

    Parameters
    ----------
    checkpoint : Path
        A file of weights of any kind.
    output : Path, optional
        The new checkpoint; CHECKPOINT.landscape.pt by default.
    force : bool
        Replace a file that is there.
    """
    from landscape.checkpoint import write

    path = output or checkpoint.with_name(f"{checkpoint.stem}.landscape.pt")
    if path.exists() and not force:
        raise ValueError(f"{path}: expected to write here, got a file that exists: pass -o for another, or --force.")
    loaded = source.load(checkpoint)
    if loaded.checkpoint.model is None:
        raise ValueError(f"{checkpoint}: expected --model, since a pickled network cannot be described: name it.")
    measured = loaded.objective.measure(loaded.objective.theta)
    known = {"adopted": str(checkpoint.resolve()), "sha256": loaded.checkpoint.sha256}
    for index, split in enumerate(loaded.objective.splits):
        known[f"{split}_loss"] = float(measured.loss[index])
        if measured.accuracy is not None:
            known[f"{split}_accuracy"] = float(measured.accuracy[index])
            print(f"{split}: loss {measured.loss[index]:.5g}, accuracy {measured.accuracy[index]:.4g}")
    state = loaded.model.state_dict()
    write(replace(loaded.checkpoint, state=state, module=None, training=loaded.checkpoint.training | known), path)
    print("checkpoint: ", path)
