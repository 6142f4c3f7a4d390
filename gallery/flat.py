"""Do SAM and SWA end at flatter minima than SGD, and do these generalize better? Paired networks on digits.

Foret et al. (2021, arXiv:2010.01412) report that sharpness-aware minimization ends at a smaller largest eigenvalue of
the Hessian than SGD and at a lower test error; Izmailov et al. (2018, arXiv:1803.05407) that the average of the last
weights of a run lies in a wider basin than its last iterate and has a lower test error.

Here small multilayer perceptrons are trained on handwritten digits, from the same initial weights and in the same
order of examples for each seed. Surfaces are drawn along the same random directions, each normalized by the filters of
its own network; the rise of the loss is its mean over that plane.

    python gallery/flat.py                # two minutes; writes flat.h5, flat.md and flat.png beside this file
"""

from __future__ import annotations

import _gallery
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.train.settings import Settings

METHODS = {"SGD": "plain", "SAM": "sam:rho=0.05", "SWA": "swa"}
SEEDS, EPOCHS, WIDTH, GRID, FINE = 10, 30, 64, 21, 41  # the finer grid is that of the first seed, which is drawn
QUICK = {"SEEDS": 2, "EPOCHS": 4, "WIDTH": 8, "GRID": 5, "FINE": 5}
NAMES = {
    "train_loss": "training loss [nat]",
    "test_loss": "test loss [nat]",
    "test_accuracy": "test accuracy",
    "lambda_max": "λ_max [nat]",
    "trace": "trace of the Hessian [nat]",
    "rise": "mean rise of the training loss on the plane [nat]",
}


def run(method: str, seed: int, epochs: int, width: int, points: int) -> Collection:
    """Train a network, and measure its surface and curvature."""
    data = digits()
    settings = Settings(epochs=epochs, batch_size=64, lr=0.1, seed=seed)
    found = _gallery.trained(data, lambda: mlp(width, shape=data.shape), settings, METHODS[method])
    objective = Objective(found.model, data, device="cpu")
    surface = landscape.surface(objective, points=points)  # of the same random directions for all
    sharpest = landscape.eigen(objective, largest=1, smallest=0).figures()["lambda_max"]
    values = _gallery.losses(objective) | {"lambda_max": sharpest, "rise": surface.figures()["train_rise"]}
    values |= landscape.trace(objective, method="exact").figures()
    return Collection(members={"surface": _gallery.lean(surface)}, origin={"values": values})


def measured(quick: bool) -> Collection:
    """Train all networks, compare them by seed, and keep the surfaces of the first seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    runs: dict[str, dict[int, Collection]] = {method: {} for method in METHODS}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            given = knobs["EPOCHS"], knobs["WIDTH"], knobs["GRID" if seed else "FINE"]
            runs[method][seed] = _gallery.kept(f"{method} {seed}", lambda m=method, s=seed, g=given: run(m, s, *g))
    values = {m: {s: one.origin["values"] for s, one in rows.items()} for m, rows in runs.items()}
    members = {f"{method}/surface": rows[0].members["surface"] for method, rows in runs.items()}
    study = _gallery.compared(values, NAMES)
    return Collection(members={"study": study, **members}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the surfaces of the first seed on one scale; below them, what all seeds tell."""
    from landscape.plots.style import style

    study = found.members["study"]
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.66 * page.text), layout="constrained")
        above, below = drawn.subfigures(2, 1, height_ratios=(1.25, 1))
        axes = above.subplots(1, len(METHODS), sharey=True)
        _gallery.side_by_side(axes, {method: found.members[f"{method}/surface"] for method in METHODS})
        for ax in axes[1:]:
            ax.set_ylabel("")
        shown = {"lambda_max": r"$\lambda_{\max}$ [nat]", "trace": "trace [nat]", "rise": "rise [nat]"}
        shown |= {"test_loss": "test loss [nat]"}
        for ax, (measure, label) in zip(below.subplots(1, len(shown)), shown.items(), strict=True):
            _gallery.pairs(ax, study, measure, label)
    return drawn


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study = found.members["study"]
    knobs = found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10, {knobs["EPOCHS"]}
        epochs, batches of 64, learning rate 0.1, SAM with ρ = 0.05 (two gradient evaluations a step where the others
        take one), SWA over the last quarter. λ_max and trace are those of the training loss; the trace is exact. The
        surfaces are those of seed 0; points are means over seeds with standard errors, thin lines the seeds. A change
        is paired by seed: a ratio (×) or a difference to SGD, with its 95 % interval; p-values are corrected for all
        comparisons of the table.
    """
    claims = [
        ("λ_max is smaller after SAM than after SGD (Foret et al.)", "SAM", "lambda_max", "lower"),
        ("SAM has the lower test loss (Foret et al.)", "SAM", "test_loss", "lower"),
        ("SAM is more accurate (Foret et al.)", "SAM", "test_accuracy", "higher"),
        ("the loss rises less around SWA than around SGD (Izmailov et al.)", "SWA", "rise", "lower"),
        ("SWA has the lower test loss (Izmailov et al.)", "SWA", "test_loss", "lower"),
        ("SWA is more accurate (Izmailov et al.)", "SWA", "test_accuracy", "higher"),
    ]
    verdict = [_gallery.claim(study, *claim) for claim in claims]
    alt = "Loss surfaces after SGD, SAM and SWA, and curvature and test loss by seed"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
