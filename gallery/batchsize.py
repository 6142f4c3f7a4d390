"""How does the largest Hessian eigenvalue depend on the batch size: of training, and of measuring? Networks on digits.

Keskar et al. (2017, arXiv:1609.04836) report that larger training batches end at sharper minima. Granziol, Zohren &
Roberts (2020, arXiv:2006.09092) say that the Hessian of a mini-batch of B examples is that of all N examples plus a
random matrix, so that its largest eigenvalue is larger, by about a constant times 1/B - 1/N; the stable learning rate
then grows with B for small batches and levels off for large ones.

Here multilayer perceptrons are trained on handwritten digits with batches of several sizes, for as many steps each,
from the same initial weights. At the networks of one size, lambda_max is measured on random batches of other sizes. Two
predictions of the slope against 1/B - 1/N are compared with it, neither of which is fitted: second-order perturbation
by the noise in the top eigenvector, and the random-matrix spike, which takes the noise to be the same in all directions
(after Granziol et al., as we remember their formula).

    python gallery/batchsize.py           # five minutes; writes batchsize.h5, .md and .png beside this file
"""

from __future__ import annotations

import _gallery
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.study.study import Study
from landscape.train.settings import Settings

TRAINED = (16, 64, 256, 719)  # examples of a training batch
AT = 64  # that of the networks whose batches are looked at
SIZES = (8, 16, 32, 64, 128, 256, 512)  # examples of a batch that is measured
SEEDS, STEPS, WIDTH, BATCHES = 8, 1800, 64, 12
QUICK = {"SEEDS": 2, "STEPS": 60, "WIDTH": 6, "BATCHES": 2}
NAMES = {
    "lambda_max": "λ_max of all training examples [nat]",
    "train_loss": "training loss [nat]",
    "test_loss": "test loss [nat]",
    "test_accuracy": "test accuracy",
}


def run(size: int, seed: int, knobs: dict[str, int]) -> Collection:
    """Train a network with batches of a size, and measure its largest eigenvalue, at one size on batches too."""
    data = digits()
    epochs = round(knobs["STEPS"] / -(-data.size("train") // size))
    settings = Settings(epochs=epochs, batch_size=size, lr=0.05, seed=seed)
    found = _gallery.trained(data, lambda: mlp(knobs["WIDTH"], shape=data.shape), settings)
    objective = Objective(found.model, data, device="cpu")
    sharpest = landscape.eigen(objective, largest=1, smallest=0).figures()["lambda_max"]
    values = _gallery.losses(objective) | {"lambda_max": sharpest}
    members = {}
    if size == AT:
        members["batches"] = landscape.batchsize(objective, sizes=SIZES, batches=knobs["BATCHES"], seed=seed)
    return Collection(members=members, origin={"values": values})


def measured(quick: bool) -> Collection:
    """Train all networks, and compare training batches, and predictions, by seed."""
    knobs = QUICK if quick else {name: globals()[name] for name in QUICK}
    values: dict[str, dict[int, dict]] = {str(size): {} for size in TRAINED}
    members = {}
    for seed in range(knobs["SEEDS"]):
        for size in TRAINED:
            one = _gallery.kept(f"{size} {seed}", lambda b=size, s=seed: run(b, s, knobs))
            values[str(size)][seed] = one.origin["values"]
            members |= {f"batches/{seed}": found for found in one.members.values()}
    study = _gallery.compared(values, NAMES)
    return Collection(members={"study": study, **members}, origin=_gallery.origin(__file__, quick, **knobs))


def slopes(found: Collection) -> Study:
    """Compare the slopes that both predictions tell with those that are measured."""
    rows: dict[str, dict[int, dict]] = {"measured": {}, "perturbation": {}, "random matrix": {}}
    for seed, one in enumerate(batches(found)):
        told = one.figures()["slope"], (one.perturbed, one.perturbed_error), (one.isotropic, one.isotropic_error)
        for row, (value, error) in zip(rows.values(), told, strict=True):
            row[seed] = {"slope": (float(value), float(error))}
    return _gallery.compared(rows, ["slope"])


def exponents(found: Collection) -> Study:
    """Compare how lambda_max falls from the smallest batches to twice as large ones with -1: as 1/B."""
    rows: dict[str, dict[int, dict]] = {"1/B": {}, "measured": {}}
    for seed, one in enumerate(batches(found)):
        fall = np.log(one.lambda_max[1] / one.lambda_max[0]) / np.log(one.size[1] / one.size[0])
        rows["1/B"][seed], rows["measured"][seed] = {"exponent": (-1.0, 0.0)}, {"exponent": (float(fall), np.nan)}
    return _gallery.compared(rows, ["exponent"])


def batches(found: Collection) -> list:
    """Return what was measured on batches, by seed."""
    return [one for name, one in found.members.items() if name.startswith("batches/")]


def figure(found: Collection) -> Figure:
    """Draw lambda_max against the size of training batches, and of measured ones; and the slopes of all seeds."""
    from landscape.plots.batchsize import batchsize
    from landscape.plots.style import style

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.42 * page.text), layout="constrained")
        first, second, third = drawn.subplots(1, 3, width_ratios=(1, 1.35, 1))
        _gallery.pairs(first, found.members["study"], "lambda_max", r"$\lambda_{\max}$, all examples [nat]")
        first.set_xlabel("examples of a training batch")
        batchsize(batches(found)[0], second, scale="log", legend=False)
        drawn.legend(*second.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        _gallery.pairs(third, slopes(found), "slope", "slope against $1/B - 1/N$ [nat]", log=True)
        third.tick_params(axis="x", rotation=30)
    return drawn


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs, sloped = found.members["study"], found.origin["settings"], slopes(found)
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10, about {knobs["STEPS"]}
        steps each, learning rate 0.05 under half a cosine, weight decay 0.0005. Left: λ_max of all training examples
        against the training batch. Middle: seed 0, trained with batches of {AT}: the mean λ_max of {knobs["BATCHES"]}
        random batches of each size with two standard errors. Right: the slope of the line, and what is predicted. Thin
        lines are the seeds, points their means with standard errors. A change is paired by seed: a ratio (×) or a
        difference to batches of {TRAINED[0]}, with its 95 % interval; p-values are corrected for all comparisons of a
        table.
    """
    body = [*_gallery.summary(study, NAMES), "", *_gallery.summary(sloped, {"slope": "slope [nat]"})]
    largest = str(TRAINED[-1])
    verdict = [
        _gallery.claim(study, f"λ_max is larger after batches of {largest} than of {TRAINED[0]} (Keskar et al.)",
                       largest, "lambda_max", "higher"),
        _gallery.claim(study, "the test loss is higher after the larger batches (Keskar et al.)",
                       largest, "test_loss", "higher"),
        rising(found),
        agreement("the random-matrix formula tells the slope (Granziol et al., as we remember it)",
                  sloped, "random matrix"),
        agreement("second-order perturbation tells the slope", sloped, "perturbation"),
        agreement(f"from {SIZES[0]} to {SIZES[1]} examples λ_max falls as 1/B (after Granziol et al.)",
                  exponents(found), "measured"),
        "",
        """Networks that are trained with other batches differ in their training loss, too, and near a minimum of the
        cross entropy λ_max grows with it. That predictions and measurement equal each other can only be refuted.""",
    ]  # fmt: skip
    alt = "The largest Hessian eigenvalue against the batch size of training and of measuring"
    return _gallery.page(__file__, __doc__, done, alt, body, verdict)


def rising(found: Collection) -> str:
    """Test that the slope is above zero: that smaller batches have larger eigenvalues."""
    values = [one.figures()["slope"] for one in batches(found)]
    rows = {
        "none": {seed: {"slope": (0.0, 0.0)} for seed in range(len(values))},
        "measured": {seed: {"slope": value} for seed, value in enumerate(values)},
    }
    words = "λ_max of a batch is larger, the smaller the batch: the slope is positive (Granziol et al.)"
    return _gallery.claim(_gallery.compared(rows, ["slope"]), words, "measured", "slope", "higher")


def agreement(words: str, study: Study, method: str) -> str:
    """Write what became of a claim that a method equals the baseline: it fails where they are told apart."""
    from landscape.study.study import cells

    row = next(row for row in study.table() if row["method"] == method)
    change, interval, p, _ = cells(row)
    how = "ratio" if row["scale"] == "log" else "difference"
    outcome = _gallery.OPEN if row["verdict"] == "undecided" else _gallery.FAILS
    told = f"{how} {change.removeprefix('x ')}, 95 % interval {interval}, Holm p {p}"
    return _gallery.outcome_line(words, outcome, told)


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
