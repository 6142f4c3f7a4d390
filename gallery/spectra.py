"""Do small batches and SAM end where the whole spectrum of the Hessian is narrower? Spectra of networks on digits.

Keskar et al. (2017, arXiv:1609.04836) report that training with large batches ends at sharper minima than training with
small ones, and that these generalize worse. Ghorbani, Krishnan & Xiao (2019, arXiv:1901.10159) look at the density of
all eigenvalues: most of them are near zero, and a few stand far out; where these are small, training is easier.

Here multilayer perceptrons are trained on handwritten digits from the same initial weights: with batches of 16, with
batches of half of the data for as many steps, and with batches of 16 by sharpness-aware minimization (Foret et al.
2021, arXiv:2010.01412). The density is that of the Hessian of the training loss, by stochastic Lanczos quadrature.

    python gallery/spectra.py             # five minutes; writes spectra.h5, spectra.md and spectra.png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.probes.spectrum import Spectrum
from landscape.result import Collection
from landscape.train.settings import Settings

METHODS = {"small batch": (16, "plain"), "large batch": (719, "plain"), "SAM": (16, "sam:rho=0.05")}  # batch, method
SEEDS, STEPS, WIDTH, LANCZOS, PROBES = 8, 1800, 64, 80, 4
QUICK = {"SEEDS": 2, "STEPS": 90, "WIDTH": 8, "LANCZOS": 10, "PROBES": 2}
NEAR, MOST = 0.01, 0.9  # of lambda_max: what counts as near zero; the share that "most" stands for
TICKS = (-1e-2, -1e-4, 1e-4, 1e-2, 1.0)  # nat
NAMES = {
    "lambda_max": "λ_max [nat]",
    "trace": "trace [nat]",
    "spread": "square root of the sum of squared eigenvalues [nat]",
    "near_zero_share": "share of eigenvalues within 1 % of λ_max around zero",
    "train_loss": "training loss [nat]",
    "test_loss": "test loss [nat]",
    "test_accuracy": "test accuracy",
}


def run(method: str, seed: int, knobs: dict[str, int]) -> Collection:
    """Train a network for a number of steps, and measure the spectrum."""
    data = digits()
    batch, rule = METHODS[method]
    epochs = round(knobs["STEPS"] / -(-data.size("train") // batch))
    settings = Settings(epochs=epochs, batch_size=batch, lr=0.05, seed=seed)
    found = _gallery.trained(data, lambda: mlp(knobs["WIDTH"], shape=data.shape), settings, rule)
    objective = Objective(found.model, data, device="cpu")
    density = landscape.spectrum(objective, steps=knobs["LANCZOS"], probes=knobs["PROBES"])
    told = density.figures()
    size = float(np.sqrt(density.square))
    values = _gallery.losses(objective) | {name: told[name] for name in ("lambda_max", "trace")}
    values |= {"spread": (size, float(density.square_error) / (2 * size)), "near_zero_share": density.mass_near(NEAR)}
    return Collection(members={"spectrum": lean(density)}, origin={"values": values})


def lean(density: Spectrum) -> Spectrum:
    """Keep what is drawn in single precision."""
    names = ("node", "weight", "node_residual")
    return replace(density, **{name: np.float32(getattr(density, name)) for name in names})


def measured(quick: bool) -> Collection:
    """Train all networks, and compare their spectra by seed."""
    knobs = QUICK if quick else {name: globals()[name] for name in QUICK}
    values: dict[str, dict[int, dict]] = {method: {} for method in METHODS}
    members = {}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            one = _gallery.kept(f"{method} {seed}", lambda m=method, s=seed: run(m, s, knobs))
            values[method][seed] = one.origin["values"]
            members |= {} if seed else {f"{method}/spectrum": one.members["spectrum"]}
    study = _gallery.compared(values, NAMES, near_zero_share="linear")
    return Collection(members={"study": study, **members}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the densities of the first seed over each other; beside them, what all seeds tell."""
    from landscape.plots.spectrum import spectra
    from landscape.plots.style import style

    study = found.members["study"]
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.58 * page.text), layout="constrained")
        left, right = drawn.subfigures(1, 2, width_ratios=(1.5, 1))
        shown = {method: found.members[f"{method}/spectrum"] for method in METHODS}
        density = spectra(shown, left.add_subplot(), scale="log", decades=4.0, ends=False)
        density.set_xticks(TICKS, labels=[f"${'-' * (x < 0)}10^{{{np.log10(abs(x)):.0f}}}$" for x in TICKS])
        density.set_xlim(left=-0.03)
        labels = {"lambda_max": r"$\lambda_{\max}$ [nat]", "trace": "trace [nat]", "test_loss": "test loss [nat]"}
        for ax, (measure, label) in zip(right.subplots(3, 1, sharex=True), labels.items(), strict=True):
            _gallery.pairs(ax, study, measure, label, log=measure != "test_loss")
    return drawn


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["WIDTH"]}-{knobs["WIDTH"]}-10, about {knobs["STEPS"]}
        steps each, learning rate 0.05 under half a cosine, weight decay 0.0005; batches of 16, or of 719, half of the
        data. Spectra from {knobs["PROBES"]} random vectors and {knobs["LANCZOS"]} Lanczos steps; those that are drawn
        are of seed 0, with a standard error over random vectors as a band. Points are means over seeds with standard
        errors, thin lines the seeds. A change is paired by seed: a ratio (×) or a difference to small batches, with its
        95 % interval; p-values are corrected for all comparisons of the table.
    """
    claims = [
        ("λ_max is larger after training with large batches (Keskar et al.)", "large batch", "lambda_max", "higher"),
        ("the test loss is higher after large batches (Keskar et al.)", "large batch", "test_loss", "higher"),
        ("large batches are less accurate on test examples (Keskar et al.)", "large batch", "test_accuracy", "lower"),
        ("λ_max is smaller after SAM (Foret et al.)", "SAM", "lambda_max", "lower"),
        ("SAM makes the whole spectrum narrower: the sum of squares is smaller", "SAM", "spread", "lower"),
    ]
    verdict = [_gallery.claim(study, *claim) for claim in claims]
    verdict += [most(found, method) for method in METHODS]
    verdict += ["", """Networks that are trained with large batches differ in their training loss, too, and near a
        minimum of the cross entropy eigenvalues grow with it."""]  # fmt: skip
    alt = "Densities of Hessian eigenvalues after training with small batches, large batches and SAM"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def most(found: Collection, method: str) -> str:
    """Test that most eigenvalues are near zero."""
    study = found.members["study"]
    row = study.value[study.method.tolist().index(method), study.measure.tolist().index("near_zero_share")]
    values = {
        "bound": {seed: {"share": (MOST, 0.0)} for seed in range(len(row))},
        method: {seed: {"share": (share, np.nan)} for seed, share in enumerate(row.tolist())},
    }
    words = f"{method}: more than {100 * MOST:.0f} % of the eigenvalues lie within 1 % of λ_max (Ghorbani et al.)"
    return _gallery.claim(_gallery.compared(values, ["share"]), words, method, "share", "higher")


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
