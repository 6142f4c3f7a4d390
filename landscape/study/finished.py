"""A run of a study that has come to its end, as measures see it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from landscape.checkpoint import Checkpoint
    from landscape.dataset import Dataset
    from landscape.objective import Objective

Value = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained network, as measures see it.

    Attributes
    ----------
    checkpoint : Checkpoint
        With its training: gradient evaluations, history, moments.
    model : nn.Module
        The network at these weights, in evaluation mode.
    data : Dataset
        The data of the seed.
    kept : dict of str to state dict
        Further weights that the method kept: ``last`` of an average, members of an ensemble.
    seed : int
    method : str
        Its name.
    loss : str or callable
    knobs : dict
        Of objectives: precision, device, strategy.
    """

    checkpoint: Checkpoint
    model: nn.Module
    data: Dataset
    kept: Mapping[str, Mapping[str, Tensor]]
    seed: int
    method: str
    loss: Any
    knobs: Mapping[str, Any]

    def objective(self, split: str = "train", **knobs: Any) -> Objective:
        """Return the loss on a split (train, test or both) as a function of the weights, without augmentation.

        Knobs are those of `landscape.objective.Objective`. Batch-norm statistics, where they are refitted, are those of
        the first split augmented as in training, unless there is another reference among the knobs.
        """
        from landscape.objective import Objective
        from landscape.train.augmentation import recorded, reference

        parts = {name: self.data.split(name) for name in (self.data.splits if split == "both" else [split])}
        known = {**self.knobs, **knobs}
        if known.get("batchnorm") == "refit":
            known = {"reference": reference(next(iter(parts.values())), recorded(self.checkpoint.training)), **known}
        return Objective(self.model, parts, self.loss, **known)


    def before_rounding(self) -> Finished:
        """Return the run at the weights from before rounding; as it is, where nothing is quantized.

        Batch-norm statistics that belong to the rounded weights are refitted.

        Raises
        ------
        ValueError
            If they are not known.
        """
        from landscape import checkpoint
        from landscape.quantize import activations

        full = checkpoint.latent(self.checkpoint)
        if full is self.checkpoint:
            return self
        model = checkpoint.fitted(full, copy.deepcopy(self.model))
        activations.switch(model, "fp")
        knobs = {**self.knobs, "batchnorm": "refit"} if full.batchnorm == "stale" else self.knobs
        return replace(self, checkpoint=full, model=model, knobs=knobs)


def losses(found: Finished) -> dict[str, Value]:
    """Measure loss and accuracy on every split, with standard errors over examples."""
    objective = found.objective("both")
    measured = objective.measure(objective.theta)
    values: dict[str, Value] = {}
    for k, split in enumerate(objective.splits):
        values[f"{split}_loss"] = float(measured.loss[k]), float(measured.loss_error[k])
        if measured.accuracy is not None and measured.accuracy_error is not None:
            values[f"{split}_accuracy"] = float(measured.accuracy[k]), float(measured.accuracy_error[k])
    return {name: pair for name, pair in values.items() if not math.isnan(pair[0])}
