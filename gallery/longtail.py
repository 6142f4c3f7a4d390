"""Do the losses of rare classes end at saddles? A long-tailed study on handwritten digits, paired by seed.

Rangwani, Aithal, Mishra & Babu (2022, arXiv:2212.13827) report that a network trained on long-tailed data, with losses
re-weighted by class frequency, stands at a minimum of the losses of frequent classes, but at a saddle of those of rare
ones: -lambda_min / lambda_max of the Hessian of a class is larger for them.

Here small networks are trained on digits whose frequencies fall by a factor of 20, each seed giving the frequencies to
the digits in another order, so that no digit is rare by its shape. Everything is measured on the training examples,
without augmentation.

    python gallery/longtail.py            # minutes; writes longtail.h5, longtail.md and longtail.png beside this file
"""

from __future__ import annotations

import math
from dataclasses import replace

import _gallery
import numpy as np
from matplotlib.figure import Figure

from landscape import Objective
from landscape.data.digits import digits
from landscape.dataset import Dataset
from landscape.models.mlp import mlp
from landscape.paired import paired
from landscape.probes.saddle import saddle
from landscape.result import Collection
from landscape.train.settings import Settings
from landscape.transforms import longtail

RATIO = 20  # of the largest to the smallest class
SEEDS, EPOCHS, WIDTH, STEPS = 10, 40, 64, 60
QUICK = {"SEEDS": 2, "EPOCHS": 2, "WIDTH": 4, "STEPS": 8}
GROUPS = {"head": slice(0, 3), "medium": slice(3, 7), "tail": slice(7, 10)}  # classes by rank
ARMS = {"cross entropy": "plain", "re-weighted": "reweighted:beta=0.99"}  # methods of training
MEASURED = {
    "ratio": "-λ_min / λ_max",
    "lambda_max": "λ_max [nat]",
    "lambda_min": "λ_min [nat]",
    "negative_trace": "negative share of the sum of moduli",
    "loss": "training loss [nat]",
}
TOLD = {**MEASURED, "accuracy": "test accuracy"}


def shuffled(seed: int) -> Dataset:
    """Return long-tailed digits whose class c is another digit for every seed, the most frequent one being class 0."""
    data = digits()
    order = np.random.default_rng(seed).permutation(len(data.classes))
    parts = {
        name: (getattr(data, name)[0], order[getattr(data, name)[1]].astype(np.int64)) for name in ("train", "test")
    }
    names = tuple(f"rank {i + 1}" for i in range(len(order)))
    return longtail(RATIO, seed=seed)(replace(data, **parts, classes=names))


def run(arm: str, seed: int, knobs: dict[str, int]) -> Collection:
    """Train a network, and measure the saddles and the test accuracy of its classes, "lambda_max 3" of rank 3."""
    data = shuffled(seed)
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=32, lr=0.05, seed=seed)
    build = lambda: mlp(knobs["WIDTH"], classes=len(data.classes), shape=data.shape)  # noqa: E731
    objective = Objective(_gallery.trained(data, build, settings, ARMS[arm]).model, data, device="cpu")
    found = saddle(objective, steps=knobs["STEPS"], probes=2, seed=seed)
    rows = {name: getattr(found, name) for name in MEASURED}
    rows["accuracy"] = np.asarray(objective.measure(objective.theta).class_accuracy)[1]
    values = {f"{name} {rank}": (float(x), math.nan) for name, row in rows.items() for rank, x in enumerate(row, 1)}
    return Collection(origin={"values": values})


def measured(quick: bool) -> Collection:
    """Train all networks."""
    knobs = QUICK if quick else {name: globals()[name] for name in QUICK}
    values: dict[str, dict[int, dict]] = {arm: {} for arm in ARMS}
    for seed in range(knobs["SEEDS"]):
        for arm in ARMS:
            one = _gallery.kept(f"{arm} {seed}", lambda a=arm, s=seed: run(a, s, knobs))
            values[arm][seed] = one.origin["values"]
    counts = np.bincount(shuffled(0).split("train").targets).tolist()
    study = _gallery.compared(values, values[next(iter(ARMS))][0])
    return Collection(members={"study": study}, origin=_gallery.origin(__file__, quick, counts=counts, **knobs))


def by_class(found: Collection) -> dict[str, dict[str, np.ndarray]]:
    """Return the values of every arm and quantity, (seed, class)."""
    study = found.members["study"]
    names, ranks = study.measure.tolist(), range(1, len(found.origin["settings"]["counts"]) + 1)
    return {
        arm: {name: study.value[m, [names.index(f"{name} {rank}") for rank in ranks]].T for name in TOLD}
        for m, arm in enumerate(ARMS)
    }


def difference(rows: np.ndarray) -> tuple[float, float, float]:
    """Average what the tail has more than the head, over seeds (S,): mean, standard error, half the 95 % interval."""
    found = paired(np.stack([np.zeros_like(rows), rows]))
    return float(found.mean[1]), float(found.error[1]), float(found.high[1] - found.mean[1])


def report(found: Collection) -> str:
    """Write the tables."""
    values, knobs = by_class(found), found.origin["settings"]
    done = f"""
        {knobs["SEEDS"]} networks (multilayer perceptron 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10) for each of two
        losses, on digits with {knobs["counts"][0]} examples in the most frequent class and {knobs["counts"][-1]} in
        the rarest, {knobs["EPOCHS"]} epochs. Every seed gives the frequencies to the digits in another order. Head: the
        three most frequent classes; tail: the three rarest. Means over seeds; the difference is paired by seed,
        with its standard error and 95 % interval (Student). Where the tail is fitted less well than the head
        (see the training loss), the ratio tells of that too; re-weighting fits both alike.
    """
    lines, verdict = [], []
    for arm in ARMS:
        lines += [f"## {arm.capitalize()}", "", *table(values[arm]), ""]
        words = f"with the {arm} loss, the ratio of the tail is larger than that of the head (Rangwani et al.)"
        verdict.append(claim(words, values[arm]["ratio"]))
    return _gallery.page(__file__, __doc__, done, "Negative curvature by class frequency", lines[:-1], verdict)


def table(values: dict[str, np.ndarray]) -> list[str]:
    """Write the table of an arm: values are (seed, class), for every quantity."""
    rows = []
    for name, meaning in TOLD.items():
        groups = {group: values[name][:, ranks].mean(1) for group, ranks in GROUPS.items()}
        mean, error, half = difference(groups["tail"] - groups["head"])
        means = [f"{groups[group].mean():.4g}" for group in GROUPS]
        rows.append([meaning, *means, f"{mean:.3g} ± {error:.2g}", f"{mean - half:.3g} to {mean + half:.3g}"])
    return _gallery.table(("", *GROUPS, "tail - head", "95 %"), rows)


def claim(words: str, ratio: np.ndarray) -> str:
    """Say in words whether the tail has more negative curvature, relative to the largest, than the head."""
    rows = ratio[:, GROUPS["tail"]].mean(1) - ratio[:, GROUPS["head"]].mean(1)
    mean, error, half = difference(rows)
    outcome = _gallery.OPEN if abs(mean) <= half else _gallery.HOLDS if mean > 0 else _gallery.FAILS
    told = f"difference {mean:.3g} ± {error:.2g}, higher in {(rows > 0).sum()} of {len(rows)} seeds"
    return _gallery.outcome_line(words, outcome, told)


def figure(found: Collection) -> Figure:
    """Draw the ratio and both ends by class frequency, mean and standard error over seeds."""
    from landscape.plots.style import BLUE, ORANGE, style

    values, counts = by_class(found), found.origin["settings"]["counts"]
    low, high = "\\lambda_{\\min}", "\\lambda_{\\max}"
    panels = {"ratio": f"$-{low}/{high}$", "lambda_max": f"${high}$ [nat]", "lambda_min": f"${low}$ [nat]"}
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.3 * page.text), layout="constrained")
        for ax, (name, label) in zip(drawn.subplots(1, len(panels)), panels.items(), strict=True):
            for arm, color, marker in zip(ARMS, (BLUE, ORANGE), ("o", "s"), strict=True):
                rows = values[arm][name]
                error = rows.std(0, ddof=1) / math.sqrt(len(rows))
                ax.errorbar(counts, rows.mean(0), error, color=color, marker=marker, markersize=3, capsize=2, label=arm)
            ax.set(xscale="log", xlabel="training examples of the class", ylabel=label)
            if name == "lambda_max":
                _gallery.logarithmic(ax)
        drawn.axes[0].legend()
    return drawn


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
