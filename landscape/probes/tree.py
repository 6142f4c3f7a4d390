"""Several networks connected by a minimum spanning tree of low saddles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes._networks import along_tree, networks
from landscape.result import Result, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.curves import Curve
    from landscape.objective import Objective

PAIR = ("network", "other")
ALONG = ("edge", "split", "t")


@dataclass(frozen=True, eq=False, repr=False)
class Tree(Result):
    """Curves of low loss between several networks. Saddles are highest losses of the first split along a curve."""

    network: np.ndarray = quantity("network", "network")
    other: np.ndarray = quantity("network", "other")
    split: np.ndarray = quantity("part of the data", "split")
    loss: np.ndarray = quantity("mean loss of a network", "split", "network", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "network", unit="nat")
    distance: np.ndarray = quantity("distance in parameter space; 0 on the diagonal, exactly", *PAIR)
    segment_saddle: np.ndarray = quantity("saddle of the segment; on the diagonal the loss itself", *PAIR, unit="nat")
    segment_saddle_error: np.ndarray = quantity("standard error of that over examples", *PAIR, unit="nat")
    saddle: np.ndarray = quantity(
        "highest saddle on the way along the tree; on the diagonal the loss itself", *PAIR, unit="nat"
    )
    saddle_error: np.ndarray = quantity("standard error of that over examples", *PAIR, unit="nat")
    edge: np.ndarray = quantity("pair that was connected", "edge")
    end: np.ndarray = quantity("numbers from 0 of both networks of a pair", "edge", "side")
    step: np.ndarray = quantity("round in which a pair was connected, 0 for the first tree", "edge")
    kept: np.ndarray = quantity("part of the tree in the end", "edge")
    edge_saddle: np.ndarray = quantity("saddle of the trained curve", "edge", unit="nat")
    edge_saddle_error: np.ndarray = quantity("standard error of that over examples", "edge", unit="nat")
    edge_rise: np.ndarray = quantity("that saddle above the higher end", "edge", unit="nat")
    edge_rise_error: np.ndarray = quantity("standard error of that rise, paired over examples", "edge", unit="nat")
    length: np.ndarray = quantity("length of the trained curve", "edge")
    t: np.ndarray = quantity("position along the curve", "t")
    arc: np.ndarray = quantity("length of the curve up to a position", "edge", "t")
    edge_loss: np.ndarray = quantity("mean loss along the trained curve", *ALONG, unit="nat")
    edge_loss_error: np.ndarray = quantity("standard error of that over examples", *ALONG, unit="nat")
    count: np.ndarray = quantity("control points of the trained curve, the ends included", "edge")
    control: np.ndarray = quantity("those control points; NaN where there are fewer", "edge", "point", "parameter")

    def curves(self) -> dict[str, Curve]:
        """Return the trained curves by the names of their edges, with control points on the CPU."""
        import torch

        from landscape.curves import Curve

        shapes = {name: record["shape"] for name, record in self.origin["curves"].items()}
        rows = zip(self.edge.tolist(), self.control, self.count.tolist(), strict=True)
        return {name: Curve(shapes[name], torch.tensor(points[:count])) for name, points, count in rows}

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell the highest saddle of the tree, and that of the best tree of segments, with their errors."""
        found = {}
        for name in ("saddle", "segment_saddle"):
            values, errors = getattr(self, name), getattr(self, f"{name}_error")
            if name == "segment_saddle":
                values, errors = self._of_segments()
            top = np.unravel_index(values.argmax(), values.shape)
            found[f"highest_{name}"] = (float(values[top]), float(errors[top]))
        return found

    def remarks(self) -> list[str]:
        """Say in a line for each edge how high its saddle is, and in one what the tree makes of all pairs."""
        told = []
        for k, edge in enumerate(self.edge.tolist()):
            one, other = self.end[k]
            told.append(
                f"{edge}: saddle {self.edge_saddle[k]:.4g} \N{PLUS-MINUS SIGN} {self.edge_saddle_error[k]:.2g} nat "
                f"(segment {self.segment_saddle[one, other]:.4g}), {self.edge_rise[k]:.2g} \N{PLUS-MINUS SIGN} "
                f"{self.edge_rise_error[k]:.2g} above the higher end" + ("" if self.kept[k] else "; not in the tree")
            )
        figures = self.figures()
        (here, error), (segments, _) = figures["highest_saddle"], figures["highest_segment_saddle"]
        return [
            *told,
            f"highest saddle between any two: {here:.4g} \N{PLUS-MINUS SIGN} {error:.2g} nat, {segments:.4g} along "
            "segments",
        ]

    def _of_segments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the saddles between all pairs along the best tree of segments, and their errors."""
        from landscape.connection.tree import spanning

        return along_tree(self.segment_saddle, self.segment_saddle_error, spanning(self.segment_saddle))


def tree(
    objective: Objective,
    thetas: Sequence[Tensor],
    *,
    names: Sequence[str] | None = None,
    shape: str = "bezier",
    bends: int = 1,
    sampling: str = "t",
    pivots: int = 5,
    cycles: int = 4,
    rounds: int = 0,
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
    points: int = 25,
    store: Callable | None = None,
    progress: Callable[..., None] | None = None,
) -> Tree:
    """Connect several networks by trained curves, along a minimum spanning tree of the lowest saddles that are known.

    Parameters
    ----------
    objective : Objective
        Whose first split is trained on. Of a network with batch norm, made with ``batchnorm="refit"``.
    thetas : sequence of Tensors of shape (D,)
        The networks, two or more.
    names : sequence of str, optional
        What they are called; numbers from 1 unless given.
    shape : {"bezier", "chain", "neb"}
        Of the curves: see `landscape.probes.connect.connect`, also for the knobs of training.
    bends : int, default=1
        Inner control points of a bezier or chain.
    sampling : {"t", "arc"}
        What the expected loss along a bezier or chain is uniform in.
    pivots : int, default=5
        Inner pivots of a neb at the start.
    cycles : int, default=4
        Of a neb; pivots are added between them.
    rounds : int, default=0
        Further pairs to connect once the first tree stands, each to replace the highest edge.
    epochs : int, default=30
        Passes over the examples for every edge.
    batch : int, default=64
        Examples of a batch of training.
    optimizer : {"sgd", "adamw"}
        Of the control points.
    lr : float, optional
        Learning rate at its highest; 0.1 for sgd and 0.001 for adamw unless given.
    momentum : float, default=0.9
        Momentum of sgd.
    weight_decay : float, default=0.0005
        Of the point on the curve.
    clip : float, optional
        Greatest length of the gradient of the control points.
    schedule : {"cosine", "step", "constant"}
        Learning rate over the training of an edge.
    augment : str
        Augmentation of the images: crop, flip or crop,flip.
    seed : int, default=0
        Of the order of the examples, their augmentation, dropout and the positions: the same for every edge.
    points : int, default=25
        Evenly spaced positions at which segments and curves are measured, the ends included.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it; every edge has its own.
    progress : callable (done, total, label=...), optional
        Told how many steps and points are done, of all, and what is under way.

    Returns
    -------
    Tree

    Raises
    ------
    ValueError
        If there is one network alone, two are the same, one is of another architecture, a knob has no such value, or
        training diverges.

    Notes
    -----
    The known saddle of a pair is that of its segment, or of its trained curve where that is lower. All segments are
    measured first; a curve is trained on every edge of their minimum spanning tree. Each further round takes the
    highest edge of the tree away, connects the pair of the lowest known saddle among those across the cut that have not
    been tried, and finds the tree anew; where none is left across it, the next highest edge is taken. Of a minimum
    spanning tree the way between two networks has the lowest highest saddle that any way along known connections has.

    Draxler et al. (section 3; from memory) do the same, but for the start: their first tree connects one minimum to all
    others, for they do not measure segments.

    Cost: n (n - 1) / 2 segments of n networks, and n - 1 + rounds edges, each as much as a connection. Every control
    point is stored.

    References
    ----------
    Draxler, Veschgini, Salmhofer & Hamprecht (2018), Essentially no barriers in neural network energy landscape,
    arXiv:1803.00885.
    """
    from landscape.connection.search import chosen  # these import torch, which reading a result does not need
    from landscape.connection.training import settled
    from landscape.probes._growing import grown
    from landscape.train.settings import Settings

    own = chosen(shape, bends=bends, sampling=sampling, pivots=pivots, cycles=cycles)
    if rounds < 0:
        raise ValueError(f"Expected at least 0 rounds, got {rounds}: give the number of further pairs to connect.")
    found = networks(objective, thetas, names)
    settings = settled(objective, Settings(
        epochs=epochs, batch_size=batch, optimizer=optimizer, lr=lr, momentum=momentum,  # pyright: ignore
        weight_decay=weight_decay, clip=clip, schedule=schedule, augment=augment, seed=seed,  # pyright: ignore
    ))  # fmt: skip
    arrays, told = grown(
        objective, found, settings, shape=shape, own=own, rounds=rounds, points=points, store=store, progress=progress
    )
    trained = {"shape": shape, **own, "rounds": rounds, "settings": vars(settings)}
    return Tree(**arrays, origin=objective.record() | told | {"trained": trained})


def cost(
    objective: Objective, *, thetas: int = 2, shape: str = "bezier", bends: int = 1, pivots: int = 5, rounds: int = 0,
    points: int = 25, **knobs: Any,
) -> Cost:  # fmt: skip
    """Tell what a tree over so many networks costs, with all its rounds.

    Of a neb, with as many pivots as it begins with: those that are added cost more.
    """
    from landscape.probes.connect import cost as of_one

    edges = min(thetas - 1 + rounds, thetas * (thetas - 1) // 2)
    inner = pivots if shape == "neb" else bends
    one = of_one(objective, shape=shape, bends=bends, pivots=pivots, **knobs)
    held = one.vectors + edges * (inner + 2) + thetas
    curves = thetas * (thetas - 1) // 2 + edges
    return replace(one, points=curves * points, vectors=held, gradients=edges * one.gradients)
