"""Are two networks that were trained apart connected? One pair on handwritten digits, by curves and by permutations.

Garipov et al. (2018, arXiv:1802.10026) and Draxler et al. (2018, arXiv:1803.00885) found that minima of networks are
connected by curves of low loss, though the loss is high on the segment between them. Entezari et al. (2022,
arXiv:2110.06296) and Ainsworth et al. (2022, arXiv:2209.04836) put much of what lies between down to the order of the
units, which means nothing to the function: with the units of one network in the order of the other's, the segment
itself is low.

Here two multilayer perceptrons of other initial weights and another order of examples are connected in all these ways.
What holds for many pairs is told in benchmarks/CLAIMS.md.

    python gallery/connectivity.py        # a minute; writes connectivity.h5, .md and .png beside this file
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import _gallery
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import directions
from landscape.curves import segment
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.objective import Objective
from landscape.probes.align import align
from landscape.probes.connect import Connect, connect
from landscape.probes.path import Path as Along
from landscape.probes.surface import Surface
from landscape.result import Collection
from landscape.train.settings import Settings

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

SEEDS = (0, 1000)  # of the networks
WIDTH, EPOCHS, LONGER, POINTS, GRID = 32, 30, 3, 61, 41  # curves are trained three times as long as the networks
QUICK = {"WIDTH": 8, "EPOCHS": 1, "LONGER": 4, "POINTS": 5, "GRID": 5}
CURVE = {"lr": 0.03, "batch": 64}  # with 0.3 times their learning rate
FLOOR = 2e-4  # nat: room for legends below the losses
CURVES = {"segment": "segment", "bezier": "Bezier curve", "neb": "elastic band"}
ORDERS = {"before": "as trained", "after": "units aligned", "repaired": "aligned, repaired"}


def network(seed: int, width: int, epochs: int) -> torch.nn.Module:
    """Train a network."""
    data = digits()
    settings = Settings(epochs=epochs, batch_size=64, lr=0.1, seed=seed)
    return _gallery.trained(data, lambda: mlp(width, classes=len(data.classes), shape=data.shape), settings).model


def measured(quick: bool) -> Collection:
    """Train both networks, connect and align them, and measure what lies between."""
    knobs = QUICK if quick else {name: globals()[name] for name in QUICK}
    first, second = (network(seed, knobs["WIDTH"], knobs["EPOCHS"]) for seed in SEEDS)
    objective = Objective(first, digits(), device="cpu")
    end, points = objective.pack(second), knobs["POINTS"]
    curve = CURVE | {"epochs": knobs["LONGER"] * knobs["EPOCHS"], "points": points}
    found = _gallery.kept("bezier", lambda: connect(objective, end, **curve))
    band = _gallery.kept("neb", lambda: connect(objective, end, shape="neb", **curve))
    aligned = _gallery.kept("aligned", lambda: align(objective, end, points=points))
    members = {"bezier": lean(found), "neb": lean(band), "aligned": lean(aligned)}
    members["plane"] = _gallery.lean(plane(objective, found, knobs["GRID"]))
    return Collection(members=members, origin=_gallery.origin(__file__, quick, **knobs))


def lean(found: Along) -> Along:
    """Keep of what was measured along curves what is told here: no classes."""
    return replace(found, **{name: None for name in found.quantities() if name.startswith("class_")})


def plane(objective: Objective, found: Connect, points: int) -> Surface:
    """Measure the loss on the plane through the ends and the bend of a Bezier curve, which it lies in."""
    curve = found.trained()
    first, bend, last = curve.points
    frame = directions.between(objective, [first, last, bend], ["first", "second", "bend"])
    return landscape.surface(
        objective, frame.traced({"segment": segment(first, last), "Bezier curve": curve}), points=points
    )


def figure(found: Collection) -> Figure:
    """Draw the plane, the loss along all curves, and the segment before and after alignment."""
    from landscape.plots.style import style
    from landscape.plots.surface import surface as contours

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.78 * page.text), layout="constrained")
        places = drawn.add_gridspec(2, 2, height_ratios=(1.25, 1))
        contours(found.members["plane"], drawn.add_subplot(places[0, :]), title=False, numbers=False)
        curves = drawn.add_subplot(places[1, 0])
        for look, (name, meaning) in enumerate(CURVES.items()):
            along(curves, way(found, name), name, meaning, look)
        orders = drawn.add_subplot(places[1, 1], sharey=curves)
        for look, (name, meaning) in enumerate(ORDERS.items()):
            along(orders, found.members["aligned"], name, meaning, look)
        curves.set(ylabel="loss [nat]", ylim=(FLOOR, None))
        curves.set_title("curves")
        orders.set_title("segments")
    return drawn


def along(ax: Axes, result: Along, name: str, meaning: str, look: int) -> None:
    """Draw the loss along one curve of a result: training solid, test dashed, with bands of a standard error."""
    from landscape.plots.style import BLUE, GREEN, ORANGE

    color, c = (ORANGE, BLUE, GREEN)[look], result.curve.tolist().index(name)
    for s, line in enumerate(("-", "--")):
        loss, error = result.loss[c, s], result.loss_error[c, s]
        label = meaning if s == 0 else None
        ax.plot(result.t, loss, line, color=color, label=label)
        ax.fill_between(result.t, np.maximum(loss - error, FLOOR), loss + error, color=color, alpha=0.2, linewidth=0)
    ax.set(yscale="log", xlabel="position $t$ (test loss dashed)", xlim=(0, 1))
    ax.legend(loc="lower center", fontsize="small")


def way(found: Collection, name: str) -> Along:
    """Return the result that a curve is part of."""
    return found.members["neb" if name == "neb" else "bezier"]


def report(found: Collection) -> str:
    """Write the table, and what the heights say of the claims."""
    knobs, aligned = found.origin["settings"], found.members["aligned"]
    done = f"""
        two networks (multilayer perceptron 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10) trained on digits
        from seeds {SEEDS[0]} and {SEEDS[1]}, {knobs["EPOCHS"]} epochs. A barrier is the highest rise of the loss over
        the linear interpolation of the losses at both ends; its standard error is paired over examples. The upper
        panel is the plane through both networks and the bend of the Bezier curve, which lies in it. Bezier curve and
        elastic band were trained for {knobs["LONGER"] * knobs["EPOCHS"]} epochs; the band takes a gradient at every
        pivot in each step. Shades around lines are standard errors over examples.
    """
    head = ("way", "gradient evaluations", "length", "barrier, training loss [nat]", "barrier, test loss [nat]")
    spent = {name: way(found, name).origin["gradient_evaluations"] for name in ("bezier", "neb")}
    rows = [row(way(found, name), name, meaning, spent.get(name, 0)) for name, meaning in CURVES.items()]
    rows += [row(aligned, name, f"segment, {ORDERS[name]}", 0) for name in list(ORDERS)[1:]]
    moved = float((aligned.moved * aligned.size).sum()), int(aligned.size.sum())
    body = [*_gallery.table(head, rows), "", _gallery.filled(f"""
        Weight matching gave {moved[0]:.0f} of {moved[1]} units of the second network another place, which leaves the
        function as it is. The length of the repaired segment is left out: it lies in a space of more parameters.
    """)]  # fmt: skip
    verdict = [
        lower("the Bezier curve has a lower barrier than the segment (Garipov et al.)", found, "bezier"),
        lower("so has the elastic band (Draxler et al.)", found, "neb"),
        lower("so has the segment between aligned networks (Entezari et al., Ainsworth et al.)", found, "after"),
        "",
        "This is one pair: the errors are those of its examples, and tell nothing of other pairs.",
    ]
    return _gallery.page(__file__, __doc__, done, "Ways from one network to another", body, verdict)


def lower(words: str, found: Collection, name: str) -> str:
    """Say whether the training barrier of a way is below that of the segment by two standard errors of both."""
    result = found.members["aligned"] if name in ORDERS else way(found, name)
    (here, error), (base, spread) = barrier(result, name), barrier(found.members["bezier"], "segment")
    apart = 2 * float(np.hypot(error, spread))
    outcome = _gallery.OPEN if abs(here - base) <= apart else _gallery.HOLDS if here < base else _gallery.FAILS
    return _gallery.outcome_line(words, outcome, f"{here:.4f} ± {error:.4f} against {base:.4f} ± {spread:.4f} nat")


def barrier(result: Along, name: str, s: int = 0) -> tuple[float, float]:
    """Return the barrier of a curve on a split, and its standard error."""
    height, error, _ = result.barrier()
    c = result.curve.tolist().index(name)
    return float(height[c, s]), float(error[c, s])


def row(result: Along, name: str, meaning: str, spent: float) -> list[str]:
    """Write the line of one curve."""
    pairs = [barrier(result, name, s) for s in range(len(result.split))]
    length = "" if name == "repaired" else f"{result.length[result.curve.tolist().index(name)]:.2f}"
    return [meaning, f"{spent:,.0f}", length, *(f"{height:.4f} ± {error:.4f}" for height, error in pairs)]


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
