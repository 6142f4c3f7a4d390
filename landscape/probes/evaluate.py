"""Loss and accuracy of a network where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.result import Result, quantity

if TYPE_CHECKING:
    import torch

    from landscape.objective import Objective

ACROSS = ("loss", "accuracy")  # what is told of every split, with its error


@dataclass(frozen=True, eq=False, repr=False)
class Evaluate(Result):
    """Loss and accuracy of one network, whole and by class, on every split.

    What single examples cost, where it was kept, lies over one axis: all of the first split, then those of the next.
    """

    split: np.ndarray = quantity("part of the data", "split")
    size: np.ndarray = quantity("number of examples", "split")
    loss: np.ndarray = quantity("mean loss", "split", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", unit="nat")
    accuracy: np.ndarray | None = quantity("accuracy", "split", optional=True)
    accuracy_error: np.ndarray | None = quantity(
        "standard error of the accuracy over examples", "split", optional=True
    )
    class_: np.ndarray | None = quantity("class", "class", name="class", optional=True)
    class_loss: np.ndarray | None = quantity("mean loss of a class", "split", "class", unit="nat", optional=True)
    class_loss_error: np.ndarray | None = quantity(
        "standard error of the class loss", "split", "class", unit="nat", optional=True
    )
    class_accuracy: np.ndarray | None = quantity("accuracy on a class", "split", "class", optional=True)
    class_accuracy_error: np.ndarray | None = quantity(
        "standard error of the class accuracy", "split", "class", optional=True
    )
    term: np.ndarray | None = quantity("term of the loss", "term", optional=True)
    term_loss: np.ndarray | None = quantity("mean of a term of the loss", "split", "term", unit="nat", optional=True)
    example_loss: np.ndarray | None = quantity(
        "loss of an example, summed over what it holds", "example", unit="nat", optional=True
    )
    example_weight: np.ndarray | None = quantity("how much an example holds", "example", optional=True)
    example_correct: np.ndarray | None = quantity("right answers on an example", "example", optional=True)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell loss and accuracy of every split, with their standard errors over examples."""
        return {
            f"{split}_{name}": (float(getattr(self, name)[k]), float(getattr(self, f"{name}_error")[k]))
            for k, split in enumerate(self.split.tolist())
            for name in ACROSS
            if getattr(self, name) is not None
        }


def evaluate(objective: Objective, *, theta: torch.Tensor | None = None, single: bool = False) -> Evaluate:
    """Measure loss and accuracy of a network, whole and by class, on every split.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,), optional
        Where; the objective's own parameters by default.
    single : bool, default=False
        Keep what every single example costs, so that networks can be compared in pairs of examples.

    Returns
    -------
    Evaluate

    Raises
    ------
    ValueError
        If `theta` has not the length D.

    Notes
    -----
    Cost: one evaluation of every split, and another one with `single`. Sums are accumulated in float64.
    """
    point = objective.theta if theta is None else theta
    plan = objective.plan(1)
    found = objective.measure(point, plan=plan)
    arrays = {name: values for name, values in vars(found).items() if values is not None and name != "terms"}
    if found.terms is not None:
        arrays |= {"term": list(objective.terms), "term_loss": found.terms}
    if found.class_loss is not None:
        arrays["class_"] = list(objective.classes)
    if single:
        arrays |= _single(objective, point)
    origin = objective.record() | {"evaluations": 1 + single, "plan": plan.record()}
    sizes = [part.size for part in objective.examples.values()]
    return Evaluate(split=np.array(objective.splits), size=np.array(sizes), **arrays, origin=origin)


def _single(objective: Objective, point: torch.Tensor) -> dict[str, Any]:
    """Return what every example costs, split after split."""
    from landscape.examples import by_example  # it imports torch, which reading a result does not need

    parts = [by_example(objective, point, split) for split in range(len(objective.splits))]
    found = {
        f"example_{name}": np.concatenate([getattr(part, name) for part in parts]).astype(np.float32)
        for name in ("loss", "weight", "correct")
    }
    return {name: values for name, values in found.items() if not np.isnan(values).all()}


def cost(objective: Objective, *, single: bool = False, **_: Any) -> Cost:
    """Tell what it costs."""
    return Cost(points=1 + single, vectors=1)
