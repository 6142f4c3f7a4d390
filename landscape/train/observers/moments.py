"""The average of the weights along a run, and how they scatter about it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape.quantize.parametrization import quantizers
from landscape.train.clock import Clock
from landscape.train.fit import Run
from landscape.train.observers.average import Average
from landscape.train.observers.snapshots import Due, dues

LEAST = 3  # weights: the first are the mean itself, and one deviation has no covariance


class Moments(Average):
    r"""Average the weights whenever they are due, and keep their variance and their last deviations from the mean.

    With :math:`\bar\theta_n` the mean of the first n weights that were taken in, column n of the deviations is
    :math:`\theta_n - \bar\theta_n`: from the running mean at that time. The first weights are that mean themselves and
    give no column.

    At the end of the run the average is put in the place of the weights, as `Average` does, and ``run.moments`` holds

    ``variance``
        of every parameter, divided by the number of weights: (\*shape).
    ``deviation``
        the last `rank` columns of every parameter, the oldest first: (K, \*shape).

    Parameters
    ----------
    due : callable (clock) -> bool
        Whether the weights after this step are taken in.
    rank : int
        Columns to keep; fewer, if fewer are taken in.

    Raises
    ------
    ValueError
        If the rank is below 2; before the first step, if the run has quantized weights: what is averaged are latent
        ones then, whose moments are not those of the weights that are deployed.

    Notes
    -----
    The variance is updated about the running mean (Welford's recursion). It is the mean of squares less the square of
    the mean, without the cancellation that leaves nothing of it, or a negative number, in float32.

    Memory of `rank` copies of the weights on the CPU, and of two in float64.

    References
    ----------
    Maddox et al. (2019), A simple baseline for Bayesian uncertainty in deep learning, arXiv:1902.02476.
    Welford (1962), Note on a method for calculating corrected sums of squares and products.
    """

    def __init__(self, due: Due, rank: int = 20) -> None:
        if rank < 2:
            raise ValueError(f"Expected a rank of at least 2, got {rank}: one deviation has no covariance.")
        super().__init__(due)
        self.rank = rank
        self.variance: dict[str, Tensor] = {}
        self.columns: list[dict[str, Tensor]] = []

    def __call__(self, run: Run) -> None:
        """Take the weights in, if they are due."""
        super().__call__(run)
        if run.clock.step == 0 and (rounding := quantizers(run.model)):
            raise ValueError(
                f"Expected weights in full precision, whose moments describe a Gaussian, got quantized ones at "
                f"{min(rounding)!r}: leave swag out, or average the latent weights with swa."
            )

    @torch.no_grad()
    def take(self, run: Run) -> None:
        """Take the weights of a run in."""
        known, values = self.count, dict(run.model.named_parameters())
        for name, value in values.items() if known else ():
            held, away = self.variance[name].to(value.device), value - self.mean[name].to(value.device)
            self.variance[name] = (held + away.square() / (known + 1)) * (known / (known + 1))
        super().take(run)
        if not known:
            self.variance = {name: torch.zeros_like(mean) for name, mean in self.mean.items()}
            return
        column = {name: (value - self.mean[name]).to(value.dtype).cpu() for name, value in values.items()}
        self.columns = [*self.columns, column][-self.rank :]

    def finish(self, run: Run) -> None:
        """Put the average in the place of the last iterate, which is kept, and hand the moments to the run."""
        super().finish(run)
        if self.columns:
            variance = {name: self.variance[name].to(first.dtype).cpu() for name, first in self.columns[0].items()}
            deviation = {name: torch.stack([column[name] for column in self.columns]) for name in variance}
            run.moments = {"variance": variance, "deviation": deviation}

    def forget(self) -> None:
        """Begin anew: the next weights are the first."""
        super().forget()
        self.variance, self.columns = {}, []

    def _require_due(self, clock: Clock) -> None:
        due = sum(dues(self.due, clock))
        if clock.steps and due < LEAST:
            raise ValueError(
                f"Expected at least {LEAST} weights to take in, got {due} that are due in {clock.epochs} epochs: "
                "train longer, begin earlier with a smaller start, or take them in more often."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        return super().state_dict() | {"variance": self.variance, "columns": self.columns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the moments of another run."""
        super().load_state_dict(state)
        self.variance, self.columns = dict(state["variance"]), list(state["columns"])
