"""Do flat minima quantize better? The surfaces of paired networks on digits at 32, 8, 4, 3 and 2 bits.

Liu, Cai & Zhuang (2021, arXiv:2111.12273) and Yang, Yang, Gong & Chen (2022, arXiv:2111.11986) argue that rounding
moves the weights by a bounded step, so that a minimum around which the loss rises slowly loses less by it: networks
trained to be flat should quantize better, the more so the fewer the bits.

Here the same small networks are trained on handwritten digits by SGD and by SAM of two radii, and their weights are
rounded afterwards: a grid for each output unit, narrow from 3 bits on and mid-rise at 2, fitted by the squared error
below 8 bits. Every surface lies around the rounded weights, along the same random directions, whose filters are as long
as those before rounding, so that widths compare.

    python gallery/widths.py              # five minutes; writes widths.h5, widths.md and widths.png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import _quantized
from matplotlib.figure import Figure
from scipy import stats

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.train.settings import Settings

METHODS = {"SGD": "plain", "SAM": "sam:rho=0.05", "SAM, ρ = 0.2": "sam:rho=0.2"}
DRAWN = ("SGD", "SAM")
WIDTHS = (8, 4, 3, 2)
SEEDS, EPOCHS, UNITS, GRID = 20, 30, 32, 25
QUICK = {"SEEDS": 2, "EPOCHS": 2, "UNITS": 8, "GRID": 3}
SPAN = 0.6  # of the length of each filter
SCATTERED = 3  # bits at which the rise is drawn against the curvature
NAMES = {
    "train_loss": "training loss [nat]",
    "test_accuracy": "test accuracy",
    "lambda_max": "λ_max at full precision [nat]",
    **{f"w{bits}_extra_loss": f"rise of the training loss at {bits} bits [nat]" for bits in WIDTHS},
    **{f"w{bits}_test_accuracy": f"test accuracy at {bits} bits" for bits in WIDTHS[1:]},
}


def run(method: str, seed: int, knobs: dict) -> Collection:
    """Train a network, and measure what rounding costs; of the first seed, the surfaces of all widths too."""
    data = digits()
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    model = _gallery.trained(data, lambda: mlp(knobs["UNITS"], shape=data.shape), settings, METHODS[method]).model
    objective = Objective(model, data, device="cpu")
    few = {"ascent": 1, "draws": 2, "points": 3}  # of what is not told here
    found = landscape.bits(objective, bits=WIDTHS, curvature=False, layers=False, **few)
    values = _gallery.losses(objective) | _quantized.extra(found)
    values |= landscape.eigen(objective, largest=1, smallest=0).figures()
    members = surfaces(Objective(model, {"train": data.split("train")}, device="cpu"), model, knobs["GRID"])
    return Collection(members=members if seed == 0 and method in DRAWN else {}, origin={"values": values})


def surfaces(objective: Objective, model, points: int) -> dict:
    """Measure the surface around the network at every width, 32 being full precision."""
    centers = {32: objective.theta, **_quantized.rounded(objective, model, WIDTHS)}
    found = {}
    for bits, center in centers.items():
        one = landscape.surface(objective, center=center, norms=objective.theta, span=SPAN, points=points)
        found[f"w{bits}"] = replace(_gallery.lean(one), accuracy=None, accuracy_error=None)
    return found


def measured(quick: bool) -> Collection:
    """Train and round all networks, and compare them by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    values, members = {}, {}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            one = _gallery.kept(f"{method} {seed}", lambda m=method, s=seed: run(m, s, knobs))
            values.setdefault(method, {})[seed] = one.origin["values"]
            members |= {f"{method}/{name}": member for name, member in one.members.items()}
    study = _gallery.compared(values, NAMES)
    return Collection(members={"study": study, **members}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the surfaces on one scale; below them what rounding costs over seeds, and against the curvature."""
    from landscape.plots.style import style

    study, widths = found.members["study"], (32, *WIDTHS)
    shown = {(method, bits): found.members[f"{method}/w{bits}"] for method in DRAWN for bits in widths}
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.85 * page.text), layout="constrained")
        above, below = drawn.subfigures(2, 1, height_ratios=(1.5, 1))
        axes = above.subplots(len(DRAWN), len(widths), sharex=True, sharey=True)
        _gallery.side_by_side(axes.ravel(), shown, log=True, landmarks=False)
        for ax, (method, bits) in zip(axes.ravel(), shown, strict=True):
            one = shown[method, bits]
            ax.set_title(f"{method}, {bits} bits\ncenter {one.loss[(0, *one.center)]:.2g} nat", fontsize="small")
            ax.set(xlabel="first direction", ylabel="second direction")
            ax.label_outer()
        left, right = below.subplots(1, 2)
        measures = {f"w{bits}_extra_loss": str(bits) for bits in WIDTHS[1:]}
        _quantized.over_widths(left, study, measures, "rise of the training loss [nat]")
        _gallery.logarithmic(left)
        left.legend()
        scattered(right, study)
    return drawn


def scattered(ax, study) -> None:
    """Draw the rise of the loss of every network against its curvature."""
    from landscape.plots.style import BLUE, GREEN, ORANGE

    curvature, rise = (_quantized.column(study, name) for name in ("lambda_max", f"w{SCATTERED}_extra_loss"))
    for m, (color, marker) in enumerate(zip((BLUE, ORANGE, GREEN), "os^", strict=True)):
        ax.plot(curvature[m], rise[m], marker, color=color, markersize=3.5, label=study.method[m])
    ax.set(xlim=(0, None), ylim=(0, None), xlabel=r"$\lambda_{\max}$ at full precision [nat]")
    ax.set_ylabel(f"rise at {SCATTERED} bits [nat]")


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["UNITS"]}-{knobs["UNITS"]}-10,
        {knobs["EPOCHS"]} epochs, batches of 64, learning rate 0.1; SAM has ρ = 0.05 or 0.2. The surfaces are
        those of seed 0, on one logarithmic scale. Points are means over seeds with standard errors. A change is paired
        by seed: a ratio (×) or a difference to SGD, with its 95 % interval; p-values are corrected for all comparisons
        of the table.
    """
    sams = study.method.tolist()[1:]
    claims = [(f"λ_max is smaller after {sam} than after SGD", sam, "lambda_max", "lower") for sam in sams]
    claims += [
        (f"{sam} loses less training loss than SGD at {bits} bits", sam, f"w{bits}_extra_loss", "lower")
        for sam in sams for bits in WIDTHS[1:]
    ]  # fmt: skip
    verdict = [_gallery.claim(study, *claim) for claim in claims]
    verdict += [correlated(study, bits) for bits in WIDTHS[1:]]
    verdict += ["", """The lines on correlation are about the networks that SGD ended at, which differ by their seed
        alone. benchmarks/CLAIMS.md tests the same claim on ten seeds, with verdicts of its own. Here the first eight
        seeds had been looked at when the others were added."""]  # fmt: skip
    alt = "Loss surfaces of networks trained by SGD and SAM at 32 to 2 bits, and the rise of the loss by rounding"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def correlated(study, bits: int) -> str:
    """Write whether, of networks that differ by their seed alone, the flatter ones lose less."""
    curvature, rise = (_quantized.column(study, name)[0] for name in ("lambda_max", f"w{bits}_extra_loss"))
    rank, p = stats.spearmanr(curvature, rise)
    corrected = min(1.0, len(WIDTHS[1:]) * p)
    outcome = _gallery.OPEN if not corrected <= 0.05 else _gallery.HOLDS if rank > 0 else _gallery.FAILS
    numbers = f"Spearman's ρ {rank:.2f}, p {corrected:.2g} corrected for {len(WIDTHS[1:])} widths, {len(rise)} networks"
    words = f"of networks trained by SGD, those of smaller λ_max lose less at {bits} bits"
    return _gallery.outcome_line(words, outcome, numbers)


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
