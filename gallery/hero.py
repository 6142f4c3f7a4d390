"""Does Hessian-enhanced training (HERO) keep accuracy at few bits? Paired networks on digits, rounded afterwards.

Yang, Yang, Gong & Chen (2022, arXiv:2111.11986) train against the curvature: HERO descends at adversarial weights and
lowers the change of the gradient on the way there. They report smaller Hessian eigenvalues, better test accuracy, and
higher accuracy after rounding the weights, over a wide range of widths, than after SGD.

Here small networks are trained on handwritten digits by SGD and by HERO from the same initial weights and in the
same order of examples. A step of HERO takes four gradient evaluations, so SGD is also trained for four times as many
epochs. Weights are rounded afterwards: a grid for each output unit, narrow from 3 bits on and mid-rise at 2, fitted by
the squared error below 8 bits. What rounding can do is bounded by the worst point within half a step of the weights,
which sign ascent looks for: a lower bound of it.

    python gallery/hero.py                # five minutes; writes hero.h5, hero.md and hero.png beside this file
"""

from __future__ import annotations

import _gallery
import _quantized
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.train.settings import Settings

METHODS = {"SGD": ("plain", 1), "HERO": ("hero:rho=0.5,gamma=5", 1), "SGD, 4 × epochs": ("plain", 4)}
WIDTHS = (8, 4, 3, 2)
BOXED = 4  # bits of the box in which the worst point is looked for
SEEDS, EPOCHS, UNITS, ASCENT = 20, 30, 32, 6
QUICK = {"SEEDS": 2, "EPOCHS": 1, "UNITS": 8, "ASCENT": 1}
NAMES = {
    "train_loss": "training loss [nat]",
    "test_accuracy": "test accuracy at full precision",
    "lambda_max": "λ_max at full precision [nat]",
    "worst": f"rise to the worst point found in the box of {BOXED} bits [nat]",
    **{f"w{bits}_test_accuracy": f"test accuracy at {bits} bits" for bits in WIDTHS},
    **{f"w{bits}_extra_loss": f"rise of the training loss at {bits} bits [nat]" for bits in WIDTHS[1:]},
}


def run(method: str, seed: int, knobs: dict) -> Collection:
    """Train a network, and measure its curvature and what rounding costs."""
    data, (rule, times) = digits(), METHODS[method]
    settings = Settings(epochs=times * knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    model = _gallery.trained(data, lambda: mlp(knobs["UNITS"], shape=data.shape), settings, rule).model
    objective = Objective(model, data, device="cpu")
    few = {"draws": 2, "points": 3}  # of what is not told here
    found = landscape.bits(objective, bits=WIDTHS, curvature=False, layers=False, ascent=knobs["ASCENT"], **few)
    boxed = found.bits.tolist().index(BOXED)
    values = _gallery.losses(objective) | _quantized.extra(found)
    values["worst"] = float(found.bin_sharpness[boxed]), float(found.bin_sharpness_error[boxed])
    values |= landscape.eigen(objective, largest=1, smallest=0).figures()
    return Collection(origin={"values": values})


def measured(quick: bool) -> Collection:
    """Train and round all networks, and compare them by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    values = {}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            one = _gallery.kept(f"{method} {seed}", lambda m=method, s=seed: run(m, s, knobs))
            values.setdefault(method, {})[seed] = one.origin["values"]
    study = _gallery.compared(values, NAMES)
    return Collection(members={"study": study}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw accuracy and rise of the loss over widths, and the curvature of all networks."""
    from landscape.plots.style import style

    study = found.members["study"]
    with style() as page:
        drawn = Figure(figsize=(page.text, 0.72 * page.text), layout="constrained")
        (accuracy, rise), (curvature, worst) = drawn.subplots(2, 2)
        kept = {"test_accuracy": "32", **{f"w{bits}_test_accuracy": str(bits) for bits in WIDTHS}}
        _quantized.over_widths(accuracy, study, kept, "test accuracy [%]", factor=100)
        accuracy.legend()
        lost = {f"w{bits}_extra_loss": str(bits) for bits in WIDTHS[1:]}
        _quantized.over_widths(rise, study, lost, "rise of the training loss [nat]")
        _gallery.logarithmic(rise)
        _gallery.pairs(curvature, study, "lambda_max", r"$\lambda_{\max}$ at full precision [nat]", log=True)
        _gallery.pairs(worst, study, "worst", f"rise to the worst point\nin the box of {BOXED} bits [nat]", log=True)
    return drawn


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{knobs["UNITS"]}-{knobs["UNITS"]}-10,
        {knobs["EPOCHS"]} epochs, batches of 64, learning rate 0.1, HERO with the values that its authors' code has for
        CIFAR-10. Points are means over seeds with standard errors, thin lines the seeds. A change is paired by seed: a
        ratio (×) or a difference to SGD, with its 95 % interval; p-values are corrected for all comparisons of the
        table.
    """
    claims = [("HERO ends at a smaller λ_max than SGD", "lambda_max", "lower"),
              ("HERO is more accurate than SGD at full precision", "test_accuracy", "higher")]  # fmt: skip
    claims += [(f"HERO's worst point in the box of {BOXED} bits is lower than SGD's", "worst", "lower")]
    claims += [(f"HERO is more accurate than SGD at {b} bits", f"w{b}_test_accuracy", "higher") for b in WIDTHS]
    claims += [(f"HERO loses less training loss than SGD at {b} bits", f"w{b}_extra_loss", "lower") for b in WIDTHS[1:]]
    verdict = [_gallery.claim(study, words, "HERO", measure, side) for words, measure, side in claims]
    verdict += ["", longer(study)]
    alt = "Accuracy and rise of the loss of SGD and HERO over widths, and their curvature"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def longer(study) -> str:
    """Write what becomes of the difference in accuracy when SGD has the gradient evaluations of HERO."""
    from landscape.paired import paired

    told = []
    for bits in WIDTHS[1:]:
        _, hero, sgd = _quantized.column(study, f"w{bits}_test_accuracy")
        one = paired(100 * np.stack([sgd, hero]))
        low, high = one.low[1], one.high[1]
        told.append(f"{one.mean[1]:+.2f} points at {bits} bits (95 % interval {low:.2f} to {high:.2f})")
    return f"""Against SGD of four times as many epochs, which spends as many gradient evaluations as HERO, HERO's test
        accuracy differs by {"; ".join(told)}. These intervals are not corrected for their number. The first eight
        seeds had been looked at when the others were added."""


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
