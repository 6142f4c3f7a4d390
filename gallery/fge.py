"""Does the average of weights along a run lie inside the valley whose walls the run visits? FGE and SWA on digits.

Garipov et al. (2018, arXiv:1802.10026) walk along a valley of low loss at a learning rate that rises and falls (fast
geometric ensembling), and report that the networks met on the way are more accurate together than one network of the
same budget. Izmailov et al. (2018, arXiv:1803.05407) report that such networks lie at the edge of the valley and their
average (stochastic weight averaging) inside: it has a lower loss than they have, above all on test examples, and at a
smaller curvature.

Here a multilayer perceptron is trained on handwritten digits, each image shifted at random by up to a pixel; in the
second half of the run the learning rate goes up and down, and the weights at its lows are the members. One plane goes
through the first member, the last one and the average; the others are shown where they are nearest to it.

    python gallery/fge.py                 # three minutes; writes fge.h5, fge.md and fge.png beside this file
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import _gallery
import numpy as np
import torch
from matplotlib.figure import Figure

import landscape
from landscape import Objective, directions
from landscape.data.digits import digits
from landscape.ensembles.ensemble import ensemble
from landscape.ensembles.predictions import predictions
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.train.run import Trained
from landscape.train.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape.probes.surface import Surface

SEEDS, EPOCHS, PERIOD, WIDTH, GRID = 10, 60, 4, 64, 41  # periods are epochs
QUICK = {"SEEDS": 2, "EPOCHS": 6, "PERIOD": 1, "WIDTH": 8, "GRID": 5}
NAMES = {
    "train_loss": "training loss [nat]",
    "test_loss": "test loss [nat]",
    "test_accuracy": "test accuracy",
    "lambda_max": "λ_max [nat]",
}


def vectors(found: Trained, objective: Objective) -> torch.Tensor:
    """Return the members of a run as rows (M, D)."""
    names = sorted(name for name in found.kept if name.startswith("member"))
    rows = []
    for name in names:
        found.model.load_state_dict(found.kept[name])
        rows.append(objective.pack(found.model))
    return torch.stack(rows)


def single(objective: Objective, theta: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Measure losses and the largest eigenvalue at a point."""
    sharpest = landscape.eigen(objective, theta=theta, largest=1, smallest=0).figures()["lambda_max"]
    return _gallery.losses(objective, theta) | {"lambda_max": sharpest}


def together(found: Trained, objective: Objective) -> dict[str, tuple[float, float]]:
    """Measure the members of a run as an ensemble."""
    values = {}
    for split in ("train", "test"):
        part = digits().split(split)
        answers = []
        for name in sorted(name for name in found.kept if name.startswith("member")):
            found.model.load_state_dict(found.kept[name])
            answers.append(predictions(found.model, part, device="cpu"))
        scores = ensemble(answers, part.targets)
        for name in ("loss", "accuracy"):
            values[f"{split}_{name}"] = float(getattr(scores, name)[-1]), float(getattr(scores, f"{name}_error")[-1])
    return values


def averaged(rows: list[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Average the values of members; their errors share the examples, so that none is told."""
    return {name: (float(np.mean([row[name][0] for row in rows])), np.nan) for name in rows[0]}


def run(seed: int, knobs: dict[str, int]) -> Collection:
    """Train with FGE and, for as many epochs, without; measure members, their average, their ensemble, the other."""
    data = digits()
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed, augment="crop=1")
    build = lambda: mlp(knobs["WIDTH"], shape=data.shape)  # noqa: E731
    walk = _gallery.trained(data, build, settings, f"fge:start=0.5,period={knobs['PERIOD']}")
    plain = _gallery.trained(data, build, settings)
    objective = Objective(plain.model, data, device="cpu")
    members = vectors(walk, objective)
    average = members.double().mean(0).to(members)
    values = {
        "members": averaged([single(objective, theta) for theta in members]),
        "average": single(objective, average),
        "ensemble": together(walk, objective),
        "SGD": single(objective, objective.theta),
    }
    return Collection(members={} if seed else {"plane": plane(objective, members, average, knobs["GRID"])},
                      origin={"values": values})  # fmt: skip


def plane(objective: Objective, members: torch.Tensor, average: torch.Tensor, points: int) -> Surface:
    """Measure the losses on the plane through the first member, the last one and the average."""
    count = len(members)
    frame = directions.between(objective, [members[0], members[-1], average], ["1", str(count), "average"])
    frame = frame.project([str(k) for k in range(2, count)], members[1:-1])
    return _gallery.lean(landscape.surface(objective, frame, points=points))


def measured(quick: bool) -> Collection:
    """Train all networks, and compare what came of the members of each seed."""
    knobs = QUICK if quick else {name: globals()[name] for name in QUICK}
    runs = {seed: _gallery.kept(f"seed {seed}", lambda s=seed: run(s, knobs)) for seed in range(knobs["SEEDS"])}
    methods = list(runs[0].origin["values"])
    values = {m: {seed: one.origin["values"][m] for seed, one in runs.items()} for m in methods}
    members = {"study": _gallery.compared(values, NAMES), "plane": runs[0].members["plane"]}
    return Collection(members=members, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the plane of the first seed for both splits, each on its own scale; below, what all seeds tell."""
    from landscape.plots.style import style
    from landscape.plots.surface import surface

    study, shown = found.members["study"], found.members["plane"]
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.56 * page.text), layout="constrained")
        above, below = drawn.subfigures(2, 1, height_ratios=(1, 1.4))
        for ax, split in zip(above.subplots(1, 2, sharey=True), ("train", "test"), strict=True):
            surface(shown, ax, split=split, legend=False, numbers=False, title=False, landmarks=False)
            marked(ax, shown)
            ax.set_title({"train": "training loss", "test": "test loss"}[split])
            ax.label_outer()
        labels = {"train_loss": "training loss [nat]", "test_loss": "test loss [nat]", "test_accuracy": "test accuracy"}
        for ax, (measure, label) in zip(below.subplots(1, len(labels)), labels.items(), strict=True):
            _gallery.pairs(ax, study, measure, label)
            ax.tick_params(axis="x", rotation=30)
    return drawn


def marked(ax: Axes, shown: Surface) -> None:
    """Number the members in their order, and mark their average; coordinates are distances, so that axes are alike."""
    from landscape.plots.style import ORANGE, casing

    for name, a, b in zip(shown.checkpoint, shown.checkpoint_a, shown.checkpoint_b, strict=True):
        if name == "average":
            ax.plot(a, b, "*", color="white", markeredgecolor="black", markersize=9, zorder=5)
        else:
            ax.plot(a, b, "o", color=ORANGE, markeredgecolor="white", markersize=4, zorder=4)
            ax.annotate(name, (a, b), (3, 2), textcoords="offset points", fontsize="x-small", path_effects=casing(1.5))
    ax.set_aspect("equal")
    ax.set(xlabel="distance towards the last member", ylabel="distance across")


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    apart = float(found.members["plane"].checkpoint_residual.max())
    count = int(sum(name != "average" for name in found.members["plane"].checkpoint))
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10, {knobs["EPOCHS"]}
        epochs, batches of 64, images shifted in training (without that, the loss is fitted to nearly zero and the walk
        stands still); losses and λ_max are those of images as they are. Cycles of {knobs["PERIOD"]} epochs from the
        middle of the run on, with learning rates from 0.05 to 0.01; {count} members. "members" is the mean of their
        values, "average" the network of their mean weights, "ensemble" that of their mean probabilities, "SGD" a
        network of as many epochs under half a cosine. The plane is that of seed 0, with the members (numbered, up to
        {apart:.2g} away from it, in the units of its axes) and their average (star); points are means over seeds with
        standard errors, thin lines the seeds. A change is paired by seed: a ratio (×) or a difference to the members,
        with its 95 % interval; p-values are corrected for all comparisons of the table. That an ensemble has a lower
        loss than its mean member is no finding: it follows from convexity.
    """
    claims = [
        ("the average has a lower training loss than its members: it lies inside (Izmailov et al.)",
         "average", "train_loss", "lower"),
        ("the average has a lower test loss than its members (Izmailov et al.)", "average", "test_loss", "lower"),
        ("the average is more accurate on test examples (Izmailov et al.)", "average", "test_accuracy", "higher"),
        ("the average has the smaller λ_max (Izmailov et al.)", "average", "lambda_max", "lower"),
        ("the ensemble is more accurate than its members (Garipov et al.)", "ensemble", "test_accuracy", "higher"),
    ]  # fmt: skip
    verdict = [_gallery.claim(study, *claim) for claim in claims] + [against_one(found)]
    alt = "The plane through FGE members and their average, and what all seeds tell"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def against_one(found: Collection) -> str:
    """Compare the ensemble with the single network of the same budget."""
    study = found.members["study"]
    values = study.value[:, study.measure.tolist().index("test_accuracy")]
    rows = {
        name: {seed: {"test_accuracy": (x, np.nan)} for seed, x in enumerate(row)}
        for name, row in sorted(zip(study.method.tolist(), values.tolist(), strict=True))
        if name in ("SGD", "ensemble")
    }
    words = "the ensemble is more accurate than one network of the same budget (Garipov et al.)"
    return _gallery.claim(_gallery.compared(rows, ["test_accuracy"]), words, "ensemble", "test_accuracy", "higher")


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
