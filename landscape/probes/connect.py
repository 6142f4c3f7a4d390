"""A curve of low loss between two networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes.path import Path
from landscape.result import quantity

if TYPE_CHECKING:
    import torch

    from landscape.curves import Curve
    from landscape.objective import Objective


GRADIENT = 3  # evaluations that take about as long as a gradient


@dataclass(frozen=True, eq=False, repr=False)
class Connect(Path):
    """A curve that was trained between two networks, and the loss along it and along the segment."""

    point: np.ndarray = quantity("control point", "point")
    control: np.ndarray = quantity("control points of the trained curve, the ends included", "point", "parameter")
    epoch: np.ndarray = quantity("epoch of training", "epoch")
    objective: np.ndarray = quantity(
        "mean over the epoch of what was minimized, weight decay included", "epoch", unit="nat"
    )

    def trained(self) -> Curve:
        """Return the curve that was found, with its control points on the CPU.

        Raises
        ------
        ValueError
            If the origin does not tell its shape.
        """
        import torch

        from landscape.curves import Curve

        try:
            shape = self.origin["curves"][str(self.curve[-1])]["shape"]
        except (KeyError, TypeError) as error:
            raise ValueError(
                "Expected an origin that tells the shape of the trained curve, got one without: measure it again."
            ) from error
        return Curve(shape, torch.tensor(self.control))

    def remarks(self) -> list[str]:
        """Say how high each curve's barrier is and how long it is, and what training did."""
        if not len(self.epoch):
            return super().remarks()
        first, last = self.objective[0], self.objective[-1]
        told = f"epochs of training: {len(self.epoch)}; mean of what was minimized {first:.4g} in the first"
        return [*super().remarks(), f"{told}, {last:.4g} nat in the last"]


def connect(
    objective: Objective,
    end: torch.Tensor,
    *,
    shape: str = "bezier",
    bends: int = 1,
    sampling: str = "t",
    pivots: int = 5,
    cycles: int = 4,
    epochs: int = 30,
    batch: int = 64,
    optimizer: str = "sgd",
    lr: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    clip: float | None = None,
    schedule: str = "cosine",
    augment: str = "",
    seed: int = 0,
    points: int = 61,
    store: Callable | None = None,
    progress: Callable[..., None] | None = None,
) -> Connect:
    r"""Train a curve of low loss from one network to another, and measure the loss along it and along the segment.

    Parameters
    ----------
    objective : Objective
        At one of the networks; its first split is trained on. Of a network with batch norm, made with
        ``batchnorm="refit"``.
    end : Tensor of shape (D,)
        The other network.
    shape : {"bezier", "chain", "neb"}
        A Bezier curve or a polygonal chain that minimizes the expected loss along it; or an elastic band (AutoNEB),
        a chain whose pivots descend across it.
    bends : int, default=1
        Inner control points of a bezier or chain, which are trained; they begin evenly spaced on the segment.
    sampling : {"t", "arc"}
        What the expected loss along a bezier or chain is uniform in: its parameter, or its arc length.
    pivots : int, default=5
        Inner pivots of a neb at the start, evenly spaced on the segment.
    cycles : int, default=4
        Of a neb, which share the epochs evenly; pivots are added between cycles where the loss is high between them.
    epochs : int, default=30
        Passes over the examples; each batch sees one position of a bezier or chain, or every pivot of a neb. Of 0 the
        curve is the segment.
    batch : int, default=64
        Examples of a batch of training.
    optimizer : {"sgd", "adamw"}
        Of the control points.
    lr : float, optional
        Learning rate at its highest; 0.1 for sgd and 0.001 for adamw unless given.
    momentum : float, default=0.9
        Momentum of sgd.
    weight_decay : float, default=0.0005
        Of the point on the curve, not of the control points: half of it times the squared length of the weights is a
        part of what is minimized, with either optimizer.
    clip : float, optional
        Greatest length of the gradient of the control points.
    schedule : {"cosine", "step", "constant"}
        Learning rate over the training.
    augment : str
        Augmentation of the images: crop, flip or crop,flip.
    seed : int, default=0
        Of the order of the examples, their augmentation, dropout and the positions.
    points : int, default=61
        Evenly spaced positions at which curve and segment are measured, the ends included.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable (done, total, label=...), optional
        Told how much is done, of all, in steps of training; and in words how that goes.

    Returns
    -------
    Connect
        ``trained()`` is the curve; its control points are in ``control``.

    Raises
    ------
    ValueError
        If a knob has no such value, the networks are the same, or training diverges.

    Notes
    -----
    Cost: a gradient evaluation for every batch of every epoch, and of a neb for every moving pivot of each; then what
    two paths cost. The ends stay bit for bit.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov & Wilson (2018), Loss surfaces, mode connectivity, and fast ensembling of
    DNNs, arXiv:1802.10026; Draxler, Veschgini, Salmhofer & Hamprecht (2018), Essentially no barriers in neural network
    energy landscape, arXiv:1803.00885 (neb).
    """
    from landscape.connection.search import chosen, search  # these import torch, which reading a result does not need
    from landscape.connection.training import settled, steps
    from landscape.curves import segment
    from landscape.probes._along import along, planned, require_curve, spaced
    from landscape.train.settings import Settings

    own = chosen(shape, bends=bends, sampling=sampling, pivots=pivots, cycles=cycles)
    theta = objective.theta
    end = end.to(theta)
    direct = segment(theta, end)
    require_curve(objective, "segment", direct)
    spaced(points)  # refuses too few of them before anything is trained
    settings = settled(objective, Settings(
        epochs=epochs, batch_size=batch, optimizer=optimizer, lr=lr, momentum=momentum,  # pyright: ignore
        weight_decay=weight_decay, clip=clip, schedule=schedule, augment=augment, seed=seed,  # pyright: ignore
    ))  # fmt: skip
    objective, plan, parts = planned(objective, store)
    first, worth = steps(objective, settings), _worth(objective, batch)
    total = first + 2 * points * worth
    found = search(
        objective, theta, end, settings, shape=shape, **own, keep=parts.folder / "curve" if parts else None,
        progress=progress and (lambda done, _, told: progress(done, total, label=f"connect: {told}")),
    )  # fmt: skip
    curves = {"segment": direct, shape: found.curve}
    arrays = along(
        objective, curves, points, store=store,
        progress=progress and (lambda done, _: progress(first + worth * done, total, label="connect: path")),
    )  # fmt: skip
    told = {what: np.array([record[what] for record in found.history]) for what in ("epoch", "objective")}
    return Connect(
        **arrays, **told,
        point=np.arange(len(found.curve.points)),
        control=found.curve.points.cpu().numpy(),
        origin=objective.record() | {
            "plan": plan,
            "trained": {"shape": shape, **own, "settings": vars(settings)},
            "curves": {name: curve.record() for name, curve in curves.items()},
            "evaluations": 2 * points,
            "gradient_evaluations": found.history[-1]["gradient_evaluations"] if found.history else 0.0,
        },
    )  # fmt: skip


def _worth(objective: Objective, batch: int) -> int:
    """Return how many steps of training take about as long as a point of a path."""
    refitted = objective.size if objective.batchnorm == "refit" and objective.network.norms else 0
    seen = sum(part.size for part in objective.examples.values()) + refitted
    return max(1, round(seen / (GRADIENT * batch)))


def cost(
    objective: Objective, *, shape: str = "bezier", bends: int = 1, pivots: int = 5, cycles: int = 4, epochs: int = 30,
    batch: int = 64, points: int = 61, **_: Any,
) -> Cost:  # fmt: skip
    """Tell what a connection costs: its training, and two paths.

    Of a neb, with as many pivots as it begins with: those that are added cost more.
    """
    gradients, inner = float(epochs), bends
    if shape == "neb":  # the ends and the looks for missing pivots are forward passes; a band holds its gradients too
        looks = 4 * (pivots + 1) * (cycles - 1) if epochs else 0
        gradients, inner = epochs * pivots + (2 * epochs + looks) / GRADIENT, 2 * pivots
    return Cost(points=2 * points, vectors=3 * (inner + 2), alone=True, gradients=gradients, batch=batch)
