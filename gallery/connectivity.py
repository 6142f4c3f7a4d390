"""Are two networks that were trained apart connected? One pair on handwritten digits, by curves and by permutations.

Garipov et al. (2018, arXiv:1802.10026) and Draxler et al. (2018, arXiv:1803.00885) found that minima of networks are
connected by curves of low loss, though the loss is high on the segment between them. Entezari et al. (2022,
arXiv:2110.06296) and Ainsworth et al. (2022, arXiv:2209.04836) put much of what lies between down to the order of the
units, which means nothing to the function: with the units of one network in the order of the other's, the segment
itself is low. Here two multilayer perceptrons of other initial weights and another order of examples are connected in
all these ways. What holds for many pairs is told in benchmarks/CLAIMS.md.

    python gallery/connectivity.py        # a minute; writes connectivity.md and connectivity.png beside this file
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import landscape
from landscape import directions
from landscape.curves import segment
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.objective import Objective
from landscape.probes.align import Align, align
from landscape.probes.connect import Connect, connect
from landscape.probes.path import Path as Along
from landscape.probes.surface import Surface
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.streams import seeded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
WIDTH, SEEDS = 32, (0, 1000)  # of the networks
CURVE = {"epochs": 90, "lr": 0.03, "batch": 64}  # three times as long as the ends, with 0.3 times their learning rate
POINTS, GRID = 61, 41
FLOOR = 2e-4  # nat: room for legends below the losses
CURVES = {"segment": "segment", "bezier": "Bezier curve", "neb": "elastic band"}
ORDERS = {"before": "as trained", "after": "units aligned", "repaired": "aligned, repaired"}


def network(seed: int) -> torch.nn.Module:
    """Train a network."""
    data = digits()
    with seeded(seed, "init"):
        model = mlp(WIDTH, classes=len(data.classes), shape=data.shape)
    return train(data, model, Settings(epochs=30, batch_size=64, lr=0.1, seed=seed), device="cpu").model


def plane(objective: Objective, found: Connect) -> Surface:
    """Measure the loss on the plane through the ends and the bend of a Bezier curve, which it lies in."""
    curve = found.trained()
    first, bend, last = curve.points
    frame = directions.between(objective, [first, last, bend], ["first", "second", "bend"])
    return landscape.surface(
        objective, frame.traced({"segment": segment(first, last), "Bezier curve": curve}), points=GRID
    )


def figure(surface: Surface, paths: Mapping[str, Along], aligned: Align):
    """Draw the plane, the loss along all curves, and the segment before and after alignment."""
    from matplotlib.figure import Figure

    from landscape.plots.style import style
    from landscape.plots.surface import surface as contours

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.78 * page.text), layout="constrained")
        places = drawn.add_gridspec(2, 2, height_ratios=(1.25, 1))
        contours(surface, drawn.add_subplot(places[0, :]), title=False, numbers=False)
        curves = drawn.add_subplot(places[1, 0])
        for look, (name, meaning) in enumerate(CURVES.items()):
            along(curves, paths[name], name, meaning, look)
        orders = drawn.add_subplot(places[1, 1], sharey=curves)
        for look, (name, meaning) in enumerate(ORDERS.items()):
            along(orders, aligned, name, meaning, look)
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


def report(paths: Mapping[str, Along], aligned: Align) -> str:
    """Write the table."""
    intro = f"""
        `python gallery/connectivity.py`: two networks (multilayer perceptron 64-{WIDTH}-{WIDTH}-10) trained on digits
        from seeds {SEEDS[0]} and {SEEDS[1]}, 30 epochs. A barrier is the highest rise of the loss over the linear
        interpolation of the losses at both ends; its standard error is paired over examples. The upper panel is the
        plane through both networks and the bend of the Bezier curve, which lies in it. Bezier curve and elastic band
        were trained for {CURVE["epochs"]} epochs; the band takes a gradient at every pivot in each step. Shades around
        lines are standard errors over examples.
    """
    head = "| way | gradient evaluations | length | barrier, training loss [nat] | barrier, test loss [nat] |"
    lines = ["# Two networks, connected", "", textwrap.fill(" ".join(intro.split()), 116), ""]
    lines += ["![Ways from one network to another](connectivity.png)", "", head, "|---|---:|---:|---:|---:|"]
    spent = {name: paths[name].origin["gradient_evaluations"] for name in ("bezier", "neb")}
    lines += [row(paths[name], name, meaning, spent.get(name, 0)) for name, meaning in CURVES.items()]
    lines += [row(aligned, name, f"segment, {ORDERS[name]}", 0) for name in list(ORDERS)[1:]]
    moved = float((aligned.moved * aligned.size).sum()), int(aligned.size.sum())
    lines += ["", textwrap.fill(" ".join(f"""
        Weight matching gave {moved[0]:.0f} of {moved[1]} units of the second network another place, which leaves the
        function as it is. The length of the repaired segment is left out: it lies in a space of more parameters.
    """.split()), 116)]  # fmt: skip
    return "\n".join(lines)


def row(result: Along, name: str, meaning: str, spent: float) -> str:
    """Write the line of one curve."""
    c = result.curve.tolist().index(name)
    height, error, _ = result.barrier()
    cells = [f"{height[c, s]:.4f} ± {error[c, s]:.4f}" for s in range(len(result.split))]
    length = "" if name == "repaired" else f"{result.length[c]:.2f}"
    return f"| {meaning} | {spent:,.0f} | {length} | {' | '.join(cells)} |"


def main() -> None:
    """Train, connect, draw and write."""
    from landscape.plots import save

    argparse.ArgumentParser(description="Two networks on digits, connected.").parse_args()
    first, second = (network(seed) for seed in SEEDS)
    objective = Objective(first, digits(), device="cpu")
    end = objective.pack(second)
    found = connect(objective, end, points=POINTS, **CURVE)
    band = connect(objective, end, shape="neb", points=POINTS, **CURVE)
    paths = {"segment": found, "bezier": found, "neb": band}
    aligned = align(objective, end, points=POINTS)
    save(figure(plane(objective, found), paths, aligned), HERE / "connectivity.png")
    (HERE / "connectivity.md").write_text(report(paths, aligned) + "\n")
    print(f"{HERE / 'connectivity.md'}, {HERE / 'connectivity.png'}")


if __name__ == "__main__":
    main()
