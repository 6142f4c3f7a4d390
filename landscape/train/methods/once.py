"""One set of weights for several widths."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import put_on, quantizers
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.widths import Widths, at_width
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.method import Method
from landscape.train.observers.every import every
from landscape.train.observers.settle import Settle
from landscape.train.refresh import refresh
from landscape.train.step import Objective, still
from landscape.train.streams import default_states, restore_default

CHUNK = 1024  # examples of one forward pass


def once(
    *, widths: str = "8/4/2", deploy: int | None = None, nested: bool = False, calibration: str = "auto",
    skip: str = "",
) -> Method:  # fmt: skip
    """Train one set of latent weights through rounding to several widths at once: the mean of ``L(Q_b(w))``.

    Parameters
    ----------
    widths : str, default="8/4/2"
        Bits of the weights, with ``/`` between them.
    deploy : int, optional
        The width that the checkpoint stands at; the lowest unless given.
    nested : bool, default=False
        Whether the codes of a width are the leading bits of those of a larger one, as in the paper: see
        `landscape.quantize.trained.widths.Widths`. Else every width has the grid that post-training quantization
        would give it.
    calibration : str
        As in `landscape.quantize.scheme.Scheme`; of the lowest width alone where they are nested.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a width is out of range or comes twice, another is to be deployed, the scheme does not fit, or there is
        nothing to quantize.

    Notes
    -----
    One gradient evaluation a width, with the same dropout masks. Only the pass of the deployed width moves batch-norm
    statistics. The grids are calibrated anew at the end of every epoch, the last one included; the run ends with
    statistics found afresh for the weights on the last ones.

    The checkpoint keeps the latent weights, and the others of its widths are made of them afterwards: by
    ``landscape quantize --bits``, whose grids are those of training unless they are nested; a network with batch norm
    then needs statistics of its own at each width. The last record of the history has what training found of every
    width so (``objective_2_bits``, over the training split, in evaluation mode, as trained but for augmentation): of
    the last iterate where an average follows. These cost one forward pass a width, and one more for batch norm.

    The mean, in the place of a sum, keeps the learning rate what it is for one width. Where examples are differentiated
    one by one, as in ``sam:m=1``, the widths after the first are not counted as they should be.

    References
    ----------
    Wu et al. (2023), Vertical layering of quantized neural networks for heterogeneous inference, arXiv:2212.05326. We
    know its abstract alone: that the losses have equal weights is a reconstruction.
    """
    bits = _read(widths)
    deployed = min(bits) if deploy is None else deploy
    if deployed not in bits:
        raise ValueError(f"Expected to deploy one of the widths {widths}, got deploy={deploy}: choose one of them.")
    schemes = [Scheme(b, "midrise" if nested else "auto", calibration) for b in bits]

    def make(weight: Tensor, axis: int) -> Widths:
        found = Widths(weight, schemes, axis, nested=nested)
        found.width = deployed
        return found

    further = [b for b in bits if b != deployed]
    return Method(
        quantizer=partial(put_on, make=make, skip=skipped(skip)),
        objectives=[partial(averaged, further=further)],
        observers=[Settle, lambda: Told(bits)],
        corrections=[lambda: every(calibrate)],
        evaluations=len(bits),
    )


def _read(widths: str) -> tuple[int, ...]:
    parts = [part.strip() for part in widths.split("/")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise ValueError(f"Expected different widths in bits with / between them, got {widths!r}: write them as 8/4/2.")
    return tuple(map(int, parts))


def averaged(objective: Objective, *, further: Sequence[int]) -> Objective:
    """Take the mean with the objectives at further widths in training mode; in evaluation mode one width counts."""

    def total(model: nn.Module, batch: Batch, clock: Clock) -> Tensor:
        if not model.training:
            return objective(model, batch, clock)
        device, whole = batch.inputs.device, len(batch.targets if batch.whole is None else batch.whole)
        before = default_states(device)
        found = objective(model, batch, clock)
        after = default_states(device)
        for width in further:
            restore_default(before, device)
            with at_width(model, width), still(model):
                found = found + objective(model, batch, clock)
            clock.spend(len(batch), whole)
        restore_default(after, device)
        return found / (1 + len(further))

    return total


@torch.no_grad()
def calibrate(run: Run) -> None:
    """Fit the grids to the latent weights: those of a finished run are what it deploys."""
    for quantizer, latent in quantizers(run.model).values():
        quantizer.calibrate(latent)


class Told:
    """Add the objective at every width to the last record of a finished run, with batch-norm statistics of its own."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = widths

    def __call__(self, run: Run) -> None:
        """Nothing before the end."""

    @torch.no_grad()
    def finish(self, run: Run) -> None:
        """Measure."""
        for width in self.widths if run.history else ():
            network = deepcopy(run.model)
            with at_width(network, width):
                refresh(network, run.batches.resident, augment=run.batches.augment)
                run.history[-1][f"objective_{width}_bits"] = mean(network.eval(), run)


def mean(network: nn.Module, run: Run) -> float:
    """Return the objective of a run at a network in evaluation mode, over the training split."""
    data, total = run.batches.resident, torch.zeros((), dtype=torch.float64)
    for start in range(0, len(data), CHUNK):
        batch = data.batch(slice(start, start + CHUNK))
        total += len(batch) * run.objective(network, batch, run.clock).double().cpu()
    return float(total) / len(data)
