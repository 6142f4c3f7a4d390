"""What do wrong labels do to a loss landscape, and does SAM resist them? Networks on digits, 0 to 40 % labels wrong.

Zhang, Bengio, Hardt, Recht & Vinyals (2017, arXiv:1611.03530) found that networks fit wrong labels as readily as right
ones, and then generalize worse. Foret, Kleiner, Mobahi & Neyshabur (2021, arXiv:2010.01412) report that
sharpness-aware minimization resists label noise: it is more accurate on clean test data than SGD.

Here networks that are wide enough to fit every label are trained on handwritten digits, of which a share has another
label, by SGD and by SAM. The largest eigenvalue of the Hessian of the training loss is followed over the
epochs, and so is the accuracy on the test images, whose labels are right.

    python gallery/labelnoise.py          # five minutes; writes labelnoise.h5, .md and .png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import _quantized
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.paired import holm, paired
from landscape.result import Collection
from landscape.train.observers.every import every
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.streams import seeded
from landscape.transforms import label_noise

METHODS = {"SGD": "plain", "SAM": "sam:rho=0.1"}
SHARES = (0, 20, 40)  # percent of the training labels that are wrong
SEEDS, EPOCHS, UNITS, GRID, PERIOD = 8, 50, 128, 17, 5
QUICK = {"SEEDS": 2, "EPOCHS": 2, "UNITS": 8, "GRID": 3, "PERIOD": 2}
MEASURES = {
    "train_accuracy": "accuracy on the training labels, wrong ones included",
    "test_accuracy": "test accuracy",
    "best_test_accuracy": "best test accuracy of all epochs",
    "lambda_max": "λ_max at the end [nat]",
    "highest_lambda_max": "highest λ_max on the way [nat]",
}
NAMES = {f"p{share} {name}": f"{words}, {share} % wrong" for name, words in MEASURES.items() for share in SHARES}
LINEAR = {name: "linear" for name in NAMES if name.endswith("accuracy")}


class Watched:
    """Follow the largest eigenvalue of the Hessian of the training loss: an observer of a run."""

    def __init__(self, data) -> None:
        self.data = {"train": data.split("train")}
        self.epoch: list[int] = []
        self.value: list[float] = []

    def __call__(self, run) -> None:
        """Measure it now."""
        objective = Objective(run.model, self.data, device="cpu")
        self.epoch.append(run.clock.epoch)
        self.value.append(float(landscape.eigen(objective, largest=1, smallest=0).value[0]))


def run(method: str, share: int, seed: int, knobs: dict) -> Collection:
    """Train a network on labels of which a share is wrong; measure it on the way, and its surface at the end."""
    data = label_noise(share / 100, seed=seed)(digits())
    with seeded(seed, "init"):
        model = mlp(knobs["UNITS"], shape=data.shape)
    watched = Watched(data)
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    seen = [every(watched, epochs=knobs["PERIOD"])]
    found = train(data, model, settings, method=METHODS[method], device="cpu", observers=seen)
    accuracy = [record["test_accuracy"] for record in found.history]
    objective = Objective(found.model, data, device="cpu")
    values = _gallery.losses(objective) | {"best_test_accuracy": (max(accuracy), np.nan)}
    values |= landscape.eigen(objective, largest=1, smallest=0).figures()
    values["highest_lambda_max"] = max(watched.value), np.nan
    tracks = {"epoch": watched.epoch, "lambda_max": watched.value, "test_accuracy": accuracy}
    members = {"surface": surface(found.model, data, knobs["GRID"])} if seed == 0 else {}
    return Collection(members=members, origin={"values": values, "tracks": tracks})


def surface(model, data, points: int) -> landscape.Result:
    """Measure the training loss around a network."""
    one = landscape.surface(Objective(model, {"train": data.split("train")}, device="cpu"), points=points)
    return replace(_gallery.lean(one), accuracy=None, accuracy_error=None)


def measured(quick: bool) -> Collection:
    """Train all networks, and compare methods by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    values, members, tracks = {}, {}, {}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            row = values.setdefault(method, {}).setdefault(seed, {})
            for share in SHARES:
                given = method, share, seed, knobs
                one = _gallery.kept(f"{method} {share} {seed}", lambda g=given: run(*g))
                row |= {f"p{share} {name}": one.origin["values"][name] for name in MEASURES}
                tracks.setdefault(f"{method} {share}", []).append(one.origin["tracks"])
                members |= {f"{method}/p{share}/{name}": member for name, member in one.members.items()}
    study = _gallery.compared(values, NAMES, **LINEAR)
    origin = _gallery.origin(__file__, quick, **knobs) | {"tracks": tracks}
    return Collection(members={"study": study, **members}, origin=origin)


def figure(found: Collection) -> Figure:
    """Draw surfaces by method and share of wrong labels; below them accuracy and curvature over the epochs."""
    from landscape.plots.style import style

    shown = {(m, share): found.members[f"{m}/p{share}/surface"] for m in METHODS for share in SHARES}
    with style() as page:
        drawn = Figure(figsize=(page.text, 1.12 * page.text), layout="constrained")
        above, below = drawn.subfigures(2, 1, height_ratios=(1.35, 1))
        axes = above.subplots(2, len(SHARES), sharex=True, sharey=True)
        _gallery.side_by_side(axes.ravel(), shown, log=True, landmarks=False)
        for ax, (method, share) in zip(axes.ravel(), shown, strict=True):
            ax.set(title=f"{method}, {share} % wrong", xlabel="first direction", ylabel="second direction")
            ax.label_outer()
        panels = below.subplots(2, len(SHARES), sharex=True, sharey="row")
        for column, share in zip(panels.T, SHARES, strict=True):
            followed(column, found.origin["tracks"], share)
        panels[0, 0].set_ylabel("test accuracy [%]")
        panels[1, 0].set_ylabel(r"$\lambda_{\max}$ [nat]")
        panels[0, 0].legend()
    return drawn


def followed(column, tracks: dict, share: int) -> None:
    """Draw accuracy and curvature over the epochs: means over seeds, with bands of a standard error."""
    from landscape.plots.style import BLUE, ORANGE

    for method, color in zip(METHODS, (BLUE, ORANGE), strict=True):
        rows = tracks[f"{method} {share}"]
        accuracy = 100 * np.array([row["test_accuracy"] for row in rows])
        band(column[0], np.arange(1, accuracy.shape[1] + 1), accuracy, color, method)
        band(column[1], np.array(rows[0]["epoch"]), np.array([row["lambda_max"] for row in rows]), color, method)
    column[0].set_title(f"{share} % wrong")
    column[1].set_xlabel("epoch")
    _gallery.logarithmic(column[1])


def band(ax, x: np.ndarray, rows: np.ndarray, color: str, name: str) -> None:
    """Draw the mean of rows (seed, x), and a standard error to both sides."""
    mean, error = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows))
    ax.plot(x, mean, color=color, label=name)
    ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds, which are few, each with other wrong labels; multilayer perceptrons
        64-{knobs["UNITS"]}-{knobs["UNITS"]}-10, {knobs["EPOCHS"]} epochs, batches of 64, learning rate from 0.1 to 0,
        SAM with ρ = 0.1.
        Every wrong label is one of the other nine. The surfaces are those of seed 0, on one logarithmic scale, for the
        training loss of wrong labels and right ones; curves are means over seeds with bands of a standard error. A
        change is paired by seed: a ratio (×) or a difference to SGD, with its 95 % interval; p-values are corrected for
        all comparisons of the table.
    """
    noisy, sams = SHARES[1:], study.method.tolist()[1:]
    verdict = [*memorized(study), *worse(study)]
    verdict += [
        _gallery.claim(study, f"{sam} is more accurate than SGD with {share} % wrong labels (Foret et al.)", sam,
                       f"p{share} test_accuracy", "higher")
        for sam in sams for share in noisy
    ]  # fmt: skip
    verdict += [
        _gallery.claim(study, f"λ_max is smaller after {sam} than after SGD with {share} % wrong labels", sam,
                       f"p{share} lambda_max", "lower")
        for sam in sams for share in SHARES
    ]  # fmt: skip
    verdict += ["", """p-values of the first four lines are corrected for these four alone. In benchmarks/CLAIMS.md,
        where networks have 32 units and cannot fit all labels, SAM is compared with SGD on more seeds. The first
        four seeds had been looked at when the others were added."""]
    alt = "Loss surfaces, test accuracy and largest eigenvalue for 0, 20 and 40 % wrong labels"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def against(study, first: list[np.ndarray], second: list[np.ndarray]) -> tuple[list, np.ndarray]:
    """Test pairs of values by seed: differences of the second to the first, and p-values without correction."""
    found = [paired(np.stack(pair)) for pair in zip(first, second, strict=True)]
    return found, np.array([one.p[1] for one in found])


def early(study) -> tuple[list, np.ndarray]:
    """Test after SGD: fitted labels against the share of right ones; test accuracy against that without noise."""
    sgd = {name: _quantized.column(study, name)[0] for name in NAMES}
    noisy = SHARES[1:]
    right = [np.full(len(study.seed), 1 - share / 100) for share in noisy]
    clean = [sgd["p0 test_accuracy"]] * len(noisy)
    fitted, spoiled = ([sgd[f"p{share} {name}"] for share in noisy] for name in ("train_accuracy", "test_accuracy"))
    found, p = against(study, right + clean, fitted + spoiled)
    return found, holm(p)


def memorized(study) -> list[str]:
    """Write whether SGD fits more labels than are right."""
    found, p = early(study)
    lines = []
    for k, share in enumerate(SHARES[1:]):
        words = f"SGD fits more than the {100 - share} % of the labels that are right (Zhang et al.)"
        fitted = _quantized.column(study, f"p{share} train_accuracy")[0]
        numbers = f"{100 * fitted.mean():.2f} % on average, at least {100 * fitted.min():.2f} %"
        lines.append(_gallery.outcome_line(words, outcome(found[k], p[k], 1), f"{numbers}{tested(p[k])}"))
    return lines


def worse(study) -> list[str]:
    """Write whether wrong labels cost SGD test accuracy."""
    found, p = early(study)
    lines = []
    for k, share in enumerate(SHARES[1:], start=len(SHARES[1:])):
        words = f"{share} % wrong labels cost SGD test accuracy (Zhang et al.)"
        change = _gallery.number(100 * found[k].mean[1], 100 * found[k].error[1])
        lines.append(_gallery.outcome_line(words, outcome(found[k], p[k], -1), f"{change} points{tested(p[k])}"))
    return lines


def tested(p: float) -> str:
    """Write a corrected p-value, where there is one."""
    return f", Holm p {p:.2g}" if np.isfinite(p) else ", the same in all seeds"


def outcome(found, p: float, sign: int) -> str:
    """Judge a difference that is claimed to have a sign; one that is the same in all seeds needs no test."""
    if not (p <= 0.05 or found.error[1] == 0 and found.mean[1]):
        return _gallery.OPEN
    return _gallery.HOLDS if sign * found.mean[1] > 0 else _gallery.FAILS


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
