"""Loss on a plane through parameter space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.result import Result, quantity


@dataclass(frozen=True, eq=False, repr=False)
class Surface(Result):
    """Loss on the plane theta = center + a * first + b * second, for every split at once."""

    split: np.ndarray = quantity("part of the data", "split")
    a: np.ndarray = quantity("step along the first direction", "a")
    b: np.ndarray = quantity("step along the second direction", "b")
    loss: np.ndarray = quantity("mean loss", "split", "a", "b", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "a", "b", unit="nat")
    accuracy: np.ndarray | None = quantity("accuracy", "split", "a", "b", optional=True)
    accuracy_error: np.ndarray | None = quantity(
        "standard error of the accuracy over examples", "split", "a", "b", optional=True
    )
    class_: np.ndarray | None = quantity("class", "class", name="class", optional=True)
    class_loss: np.ndarray | None = quantity(
        "mean loss of a class", "split", "class", "a", "b", unit="nat", optional=True
    )
    class_loss_error: np.ndarray | None = quantity(
        "standard error of the class loss", "split", "class", "a", "b", unit="nat", optional=True
    )
    class_accuracy: np.ndarray | None = quantity("accuracy on a class", "split", "class", "a", "b", optional=True)
    class_accuracy_error: np.ndarray | None = quantity(
        "standard error of the class accuracy", "split", "class", "a", "b", optional=True
    )
    term: np.ndarray | None = quantity("term of the loss", "term", optional=True)
    term_loss: np.ndarray | None = quantity(
        "mean of a term of the loss", "split", "term", "a", "b", unit="nat", optional=True
    )
    draw: np.ndarray | None = quantity("random draw of the directions", "draw", optional=True)
    draw_loss: np.ndarray | None = quantity(
        "mean loss of every draw", "draw", "split", "a", "b", unit="nat", optional=True
    )
    draw_accuracy: np.ndarray | None = quantity("accuracy of every draw", "draw", "split", "a", "b", optional=True)
    axis: np.ndarray = quantity("direction", "axis")
    norm: np.ndarray = quantity("length of the direction in parameter space", "axis")
    cosine: np.ndarray = quantity("cosine between the two directions")
    explained: np.ndarray | None = quantity("explained variance of the trajectory", "axis", optional=True)
    checkpoint: np.ndarray | None = quantity("checkpoint", "checkpoint", optional=True)
    checkpoint_a: np.ndarray | None = quantity("first coordinate of a checkpoint", "checkpoint", optional=True)
    checkpoint_b: np.ndarray | None = quantity("second coordinate of a checkpoint", "checkpoint", optional=True)
    checkpoint_residual: np.ndarray | None = quantity(
        "distance of a checkpoint from the plane", "checkpoint", optional=True
    )
