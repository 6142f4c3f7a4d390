"""Random numbers for weights that are rounded at random."""

from __future__ import annotations

from landscape.quantize.parametrization import quantizers
from landscape.train.fit import Run


def draw(run: Run) -> None:
    """Draw the numbers of the step to come from the stream of perturbations, for quantizers that have any.

    They lie in buffers: a run that is resumed goes on with them, and all passes of one step see the same ones.
    """
    if run.clock.finished:
        return
    for quantizer, _ in quantizers(run.model).values():
        uniform = dict(quantizer.named_buffers()).get("uniform")
        if uniform is not None:
            uniform.uniform_(generator=run.streams["perturb"])
