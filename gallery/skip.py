"""Do skip connections keep the loss surface of a deep network from becoming rugged? Residual networks on digits.

Li, Xu, Taylor, Studer & Goldstein (2018, arXiv:1712.09913) report that the loss surface of a network without skip
connections turns from nearly convex to chaotic as the network gets deeper, that skip connections prevent it, and that
networks with chaotic surfaces generalize worse.

Here narrow residual networks of 8 and 26 layers, with batch norm, are trained on handwritten digits, with skip
connections and without any, from seeds in pairs. Each surface lies along random directions that are normalized filter
by filter, on some of the training examples. How far a surface is from convex is told without a scale: at every inner
point of the grid, the Hessian of the loss on the plane (by second differences) has eigenvalues l <= h, and the point
counts with max(-l, 0) / (|l| + |h|). The bowl of a convex function has 0 everywhere.

    python gallery/skip.py                # five minutes; writes skip.h5, skip.md and skip.png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.resnet import resnet
from landscape.persistence.merging import merge_tree
from landscape.persistence.roughness import variation
from landscape.result import Collection
from landscape.study.study import Study
from landscape.train.settings import Settings

SHORTCUTS = {"skips": "A", "no skips": "none"}
DEPTHS = {"shallow": 8, "deep": 26}
SEEDS, EPOCHS, WIDTH, EXAMPLES, COARSE, FINE = 5, 20, 4, 256, 15, 29  # every second point of the finer grid
SPAN = 0.5  # of the length of each filter
QUICK = {"SEEDS": 2, "EPOCHS": 1, "WIDTH": 1, "EXAMPLES": 32, "COARSE": 5, "FINE": 5}
QUICK |= {"DEPTHS": {"shallow": 8, "deep": 14}}
NAMES = {
    "deep_nonconvexity": "non-convexity, deep",
    "shallow_nonconvexity": "non-convexity, shallow",
    "growth": "non-convexity, deep minus shallow",
    "deep_rise": "mean rise of the loss on the plane [nat], deep",
    "shallow_rise": "mean rise of the loss on the plane [nat], shallow",
    "deep_train_loss": "training loss [nat], deep",
    "deep_test_loss": "test loss [nat], deep",
    "shallow_test_loss": "test loss [nat], shallow",
}


SHAPES = {
    "deep_minima": "minima on the grid, deep",
    "shallow_minima": "minima on the grid, shallow",
    "deep_variation": "total variation of a line over its range, deep",
    "shallow_variation": "total variation of a line over its range, shallow",
}


def nonconvexity(loss: np.ndarray) -> float:
    """Average max(-l, 0) / (|l| + |h|) over the inner points of a square grid (A, A), l <= h as in the docstring."""
    loss = loss.astype(float)
    aa, bb = (np.diff(loss, 2, axis=axis) for axis in (0, 1))
    ab = (loss[2:, 2:] - loss[2:, :-2] - loss[:-2, 2:] + loss[:-2, :-2]) / 4
    middle = (aa[:, 1:-1] + bb[1:-1]) / 2
    reach = np.hypot((aa[:, 1:-1] - bb[1:-1]) / 2, ab)
    low, high = middle - reach, middle + reach
    size = np.maximum(abs(low) + abs(high), np.finfo(float).tiny)
    return float((np.maximum(-low, 0) / size).mean())


def run(shortcut: str, depth: int, seed: int, points: int, knobs: dict) -> Collection:
    """Train a network, and measure its surface."""
    data = digits()
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    found = _gallery.trained(
        data, lambda: resnet(depth, width=knobs["WIDTH"], shortcut=SHORTCUTS[shortcut], shape=data.shape), settings
    )
    values = _gallery.losses(Objective(found.model, data, device="cpu"))
    part = Objective(found.model, {"train": data.split("train")}, device="cpu").subset(knobs["EXAMPLES"])
    surface = _gallery.lean(landscape.surface(part, span=SPAN, points=points, seed=seed))
    surface = replace(surface, accuracy=None, accuracy_error=None)
    step = (points - 1) // (knobs["COARSE"] - 1)
    values["nonconvexity"] = nonconvexity(surface.loss[0, ::step, ::step]), np.nan
    coarse = surface.loss[0, ::step, ::step].astype(float)
    values["rise"] = float(coarse.mean() - surface.loss[(0, *surface.center)]), np.nan
    return Collection(members={"surface": surface}, origin={"values": values})


def measured(quick: bool) -> Collection:
    """Train all networks, and compare them by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    members, values = {}, {}
    for seed in range(knobs["SEEDS"]):
        for shortcut in SHORTCUTS:
            row = values.setdefault(shortcut, {}).setdefault(seed, {})
            for name, depth in knobs["DEPTHS"].items():
                given = depth, seed, knobs["COARSE" if seed else "FINE"], knobs
                one = _gallery.kept(f"{shortcut} {name} {seed}", lambda s=shortcut, g=given: run(s, *g))
                members[f"{shortcut}/{name}/{seed}"] = one.members["surface"]
                row |= {f"{name}_{measure}": value for measure, value in one.origin["values"].items()}
            row["growth"] = row["deep_nonconvexity"][0] - row["shallow_nonconvexity"][0], np.nan
    study = _gallery.compared(values, NAMES, deep_nonconvexity="linear", shallow_nonconvexity="linear", growth="linear")
    return Collection(members={"study": study, **members}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the surfaces of the first seed on one scale; beside them, what all seeds tell."""
    from landscape.plots.style import style

    study, depths = found.members["study"], found.origin["settings"]["DEPTHS"]
    shown = {
        f"{depths[name]} layers, {shortcut}": found.members[f"{shortcut}/{name}/0"]
        for name in DEPTHS
        for shortcut in SHORTCUTS
    }
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.66 * page.text), layout="constrained")
        left, right = drawn.subfigures(1, 2, width_ratios=(2.4, 1))
        axes = left.subplots(2, 2, sharex=True, sharey=True)
        _gallery.side_by_side(axes.ravel(), shown, log=True)
        for ax in axes.ravel():
            ax.label_outer()
        labels = {"nonconvexity": "non-convexity", "test_loss": "test loss [nat]"}
        places = right.subplots(4, 1, sharex=True)
        for pair, (measure, label) in zip((places[:2], places[2:]), labels.items(), strict=True):
            pair[1].sharey(pair[0])
            for ax, name in zip(pair, DEPTHS, strict=True):
                _gallery.pairs(ax, study, f"{name}_{measure}", label)
                ax.set_title(f"{depths[name]} layers")
    return drawn


def topology(found: Collection) -> Study:
    """Compare the numbers of minima of all surfaces, and how much their lines vary."""
    values: dict[str, dict[int, dict]] = {shortcut: {} for shortcut in SHORTCUTS}
    coarse = found.origin["settings"]["COARSE"]
    for path, surface in found.members.items():
        if path == "study":
            continue
        shortcut, name, seed = path.split("/")
        step = (surface.loss.shape[-1] - 1) // (coarse - 1)
        loss, error = (array[0, ::step, ::step].astype(float) for array in (surface.loss, surface.loss_error))
        told = {"minima": (len(merge_tree(loss).minimum), np.nan), "variation": variation(loss, error)}
        row = values[shortcut].setdefault(int(seed), {})
        row |= {f"{name}_{measure}": value for measure, value in told.items()}
    return _gallery.compared(values, SHAPES, **dict.fromkeys(SHAPES, "linear"))


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, shapes, knobs = found.members["study"], topology(found), found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds, which are few; residual networks with {knobs["WIDTH"]} channels in the first stage,
        {knobs["DEPTHS"]["shallow"]} and {knobs["DEPTHS"]["deep"]} layers, {knobs["EPOCHS"]} epochs, batches of 64,
        learning rate 0.1; batch-norm statistics are those of training. The surfaces that are drawn are those of seed 0,
        within {SPAN} of the length of each filter, on a logarithmic scale of losses; numbers of all seeds are those
        of a grid of {knobs["COARSE"]} x {knobs["COARSE"]} points on such planes. Points are means over seeds with
        standard errors, thin lines the seeds. A change is paired by seed: a ratio (×) or a difference to the network
        with skips, with its 95 % interval; p-values are corrected for all comparisons of a table. The total variation
        of a line is 1 where the loss only rises or falls, at most 2 around a single minimum, and grows with every other
        pit.
    """
    claims = [
        ("without skips, a deep network's surface is less convex", "deep_nonconvexity", "higher"),
        ("without skips, depth takes more of the convexity than with them", "growth", "higher"),
        ("without skips, the loss rises more around a deep network", "deep_rise", "higher"),
        ("without skips, a deep network has the higher test loss", "deep_test_loss", "higher"),
    ]
    verdict = [_gallery.claim(study, words, "no skips", measure, side) for words, measure, side in claims]
    words = "without skips, lines through the surface of a deep network vary more"
    verdict += [_gallery.claim(shapes, words, "no skips", "deep_variation", "higher"), "", remark(shapes)]
    alt = "Loss surfaces of shallow and deep networks, with and without skip connections"
    body = [*_gallery.summary(study, NAMES), "", *_gallery.summary(shapes, SHAPES)]
    return _gallery.page(__file__, __doc__, done, alt, body, verdict)


def remark(shapes: Study) -> str:
    """Say what the verdicts leave open."""
    most = int(shapes.value[:, [name.endswith("minima") for name in shapes.measure]].max())
    told = "no surface has a second minimum on its grid: nothing here is chaotic" if most == 1 else (
        f"surfaces have up to {most} minima on their grids")  # fmt: skip
    return f"The claims are those of Li et al.; {told}. A network that is not fitted as well differs in that, too."


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
