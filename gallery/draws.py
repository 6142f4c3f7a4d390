"""How much does a picture of a loss depend on its directions? Ten random ones, and networks written in other ways.

Li, Xu, Taylor, Studer & Goldstein (2018, arXiv:1712.09913) report that pictures along different random directions
tell the same, if every filter of a direction is as long as the filter that it perturbs. Dinh, Pascanu, Bengio & Bengio
(2017, arXiv:1703.04933) show that a network of rectifiers can be written with other weights that compute the same
function, and that its sharpness is then arbitrary: scale what enters a hidden unit up, and what leaves it down.

Here small networks are trained on handwritten digits by SGD and by SAM from the same seeds. The loss is measured along
the same ten random directions for both, normalized by filters. The first layer of each network is then scaled by a
factor, biases included, and the second one by its inverse; the loss of both is measured along one random direction,
normalized by filters and not at all, and so is the largest eigenvalue of the Hessian.

    python gallery/draws.py               # a minute; writes draws.h5, draws.md and draws.png beside this file
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import _gallery
import _quantized
import numpy as np
import torch
from matplotlib.figure import Figure

import landscape
from landscape import Objective
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.paired import paired
from landscape.result import Collection
from landscape.train.settings import Settings

METHODS = {"SGD": "plain", "SAM": "sam:rho=0.05"}
SEEDS, EPOCHS, UNITS, DRAWS, POINTS = 8, 30, 32, 10, 31
QUICK = {"SEEDS": 2, "EPOCHS": 2, "UNITS": 8, "DRAWS": 2, "POINTS": 5}
FACTOR = 5.0  # by which the first layer is scaled
WRITINGS = ("as trained", "rescaled")
ROUNDING = 1e-3  # relative: of the rises of two losses in single precision that are the same
SPANS = {"filter": 1.0, "none": 0.2}  # without normalization a step is one standard deviation of every weight
CURVES = {
    "lambda_max": "λ_max [nat]",
    "filter_rise": "mean rise of the loss on the line, normalized by filters [nat]",
    "none_rise": "mean rise of the loss on the line, not normalized [nat]",
}


def rescaled(model: torch.nn.Module, factor: float) -> torch.nn.Module:
    """Write a perceptron of rectifiers in another way: the first layer scaled up, the second one down."""
    other = deepcopy(model)
    first, second = [layer for layer in other.modules() if isinstance(layer, torch.nn.Linear)][:2]
    with torch.no_grad():
        first.weight.mul_(factor)
        first.bias.mul_(factor)
        second.weight.div_(factor)
    return other


def rise(loss: np.ndarray) -> float:
    """Average what a profile of the loss (points,) has over its middle."""
    return float(loss.mean() - loss[len(loss) // 2])


def values(objective: Objective) -> dict[str, tuple[float, float]]:
    """Measure curvature, and the rise of the loss along one direction, normalized and not."""
    found = landscape.eigen(objective, largest=1, smallest=0).figures()
    for normalization in SPANS:
        found[f"{normalization}_rise"] = rise(profile(objective, normalization, 21).loss[0]), np.nan
    return found


def profile(objective: Objective, normalization: str, points: int) -> landscape.Result:
    """Measure the loss along one random direction, the same for all networks."""
    return landscape.line(objective, normalization=normalization, span=SPANS[normalization], points=points)


def run(seed: int, knobs: dict) -> Collection:
    """Train networks by both methods, and measure them along all directions; write the first one in another way."""
    data, rises, members = digits(), {}, {}
    train = {"train": data.split("train")}
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    models = {
        name: _gallery.trained(data, lambda: mlp(knobs["UNITS"], shape=data.shape), settings, method).model
        for name, method in METHODS.items()
    }
    for name, model in models.items():
        lines = landscape.line(Objective(model, train, device="cpu"), points=knobs["POINTS"], draws=knobs["DRAWS"])
        rises[name] = [rise(loss[0]) for loss in lines.draw_loss]
        members |= {f"{name}/line": slim(lines)} if seed == 0 else {}
    pair = dict(zip(WRITINGS, (models["SGD"], rescaled(models["SGD"], FACTOR)), strict=True))
    inputs = torch.tensor(data.split("train").inputs)
    with torch.no_grad():
        first, second = (model(inputs) for model in pair.values())
    told = {name: values(Objective(model, train, device="cpu")) for name, model in pair.items()}
    moved = float((first - second).abs().max() / first.abs().max())
    if seed == 0:
        for name, model in pair.items():
            objective = Objective(model, train, device="cpu")
            members |= {f"{name}/{n}": slim(profile(objective, n, knobs["POINTS"])) for n in SPANS}
    return Collection(members=members, origin={"rises": rises, "values": told, "moved": moved})


def slim(line: landscape.Result) -> landscape.Result:
    """Keep of a line what is drawn: no classes, no accuracy."""
    dropped = [name for name in line.quantities() if name.startswith("class_") or "accuracy" in name]
    return replace(line, **dict.fromkeys(dropped))


def measured(quick: bool) -> Collection:
    """Measure all networks; compare methods, directions and ways of writing by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    found = [_gallery.kept(f"{seed}", lambda s=seed: run(s, knobs)) for seed in range(knobs["SEEDS"])]
    rises = {name: np.array([one.origin["rises"][name] for one in found]) for name in METHODS}  # (seed, draw)
    spread = {name: rows.std(1, ddof=1) / rows.mean(1) for name, rows in rises.items()}
    by_method = {
        name: {s: {"rise": (rows[s].mean(), 0.0), "spread": (spread[name][s], 0.0)} for s in range(len(found))}
        for name, rows in rises.items()
    }
    by_writing = {name: {s: one.origin["values"][name] for s, one in enumerate(found)} for name in WRITINGS}
    studies = {"methods": _gallery.compared(by_method, ["rise", "spread"])}
    studies["writings"] = _gallery.compared(by_writing, CURVES)
    told = {"rises": {name: rows.tolist() for name, rows in rises.items()}}
    told["moved"] = [one.origin["moved"] for one in found]
    return Collection(members={**studies, **found[0].members}, origin=_gallery.origin(__file__, quick, **knobs) | told)


def figure(found: Collection) -> Figure:
    """Draw ten directions for both methods; one direction for both ways of writing, normalized and not."""
    from landscape.plots.style import BLUE, GREEN, ORANGE, style

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.36 * page.text), layout="constrained")
        draws, filtered, plain = drawn.subplots(1, 3)
        for name, color in zip(METHODS, (BLUE, ORANGE), strict=True):
            line = found.members[f"{name}/line"]
            draws.plot(line.a, line.draw_loss[:, 0].T, color=color, linewidth=0.5, alpha=0.5)
            draws.plot(line.a, line.draw_loss[:, 0].mean(0), color=color, linewidth=1.6, label=name)
        draws.set_title(f"{len(line.draw_loss)} directions, normalized by filters", fontsize="small")
        for ax, name, words in ((filtered, "filter", "normalized by filters"), (plain, "none", "not normalized")):
            for writing, color, look in zip(WRITINGS, (BLUE, GREEN), ("-", "--"), strict=True):
                line = found.members[f"{writing}/{name}"]
                ax.plot(line.a, line.loss[0], look, color=color, label=writing, linewidth=2.2 - (look == "--"))
            ax.set_title(f"one direction, {words}", fontsize="small")
        for ax in (draws, filtered, plain):
            ax.set(xlabel="step along the direction")
            ax.legend()
        draws.set_ylabel("training loss [nat]")
    return drawn


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    methods, writings, knobs = found.members["methods"], found.members["writings"], found.origin["settings"]
    done = f"""
        {len(methods.seed)} seeds, which are few; multilayer perceptrons 64-{knobs["UNITS"]}-{knobs["UNITS"]}-10,
        {knobs["EPOCHS"]} epochs, batches of 64, learning rate 0.1, SAM with ρ = 0.05; {knobs["DRAWS"]} directions.
        A rise is the mean of the loss over a line of one filter length to both sides, less its value in the middle;
        without normalization the line reaches {SPANS["none"]:g} standard deviations of a unit Gaussian to both sides.
        The rescaled network has its first layer times {FACTOR:g} and its second one divided by as much: its outputs
        differ by up to {max(found.origin["moved"]):.1g} of the largest, which is rounding. Thin lines are directions of
        seed 0, thick ones their means. A change is paired by seed: a ratio (×) to SGD, or to the network as trained,
        with its 95 % interval; p-values are corrected for all comparisons of a table.
    """
    names = {"rise": "rise of the training loss, mean over directions [nat]",
             "spread": "standard deviation over directions, relative to the mean"}  # fmt: skip
    body = [*_gallery.summary(methods, names), "", *_gallery.summary(writings, CURVES)]
    verdict = [
        _gallery.claim(methods, "the loss rises less around SAM than around SGD, on average over directions", "SAM",
                       "rise", "lower"),
        told_alike(found), invariant(writings),
        _gallery.claim(writings, "the same function, written in another way, has a larger λ_max (Dinh et al.)",
                       "rescaled", "lambda_max", "higher"),
        _gallery.claim(writings, "without normalization the same function, written in another way, rises more steeply",
                       "rescaled", "none_rise", "higher"),
    ]  # fmt: skip
    alt = "Loss along ten random directions for SGD and SAM, and along one for two ways of writing a network"
    return _gallery.page(__file__, __doc__, done, alt, body, verdict)


def told_alike(found: Collection) -> str:
    """Write whether another direction changes the comparison of both networks by less than they differ."""
    sgd, sam = (np.log(np.array(found.origin["rises"][name])) for name in METHODS)
    ratio = sam - sgd
    one = paired(np.stack([abs(ratio.mean(1)), ratio.std(1, ddof=1)]))
    side = _gallery.HOLDS if one.mean[1] < 0 else _gallery.FAILS
    alike = (np.sign(ratio) == np.sign(ratio.mean(1, keepdims=True))).mean()
    numbers = f"""the logarithm of the ratio of both rises is {abs(ratio.mean(1)).mean():.2g} in modulus and varies by
        {ratio.std(1, ddof=1).mean():.2g} over directions, paired p {one.p[1]:.2g}; {100 * alike:.0f} % of single
        directions tell which network is flatter as their mean does"""
    words = "another direction changes the comparison of SGD and SAM by less than they differ (Li et al.)"
    return _gallery.outcome_line(words, side if one.p[1] <= 0.05 else _gallery.OPEN, " ".join(numbers.split()))


def invariant(writings) -> str:
    """Write whether normalization by filters sees no difference between both ways of writing a network."""
    first, second = _quantized.column(writings, "filter_rise")
    worst = float(abs(second / first - 1).max())
    words = "normalized by filters, both ways of writing a network look the same (Li et al.)"
    outcome = _gallery.HOLDS if worst < ROUNDING else _gallery.FAILS
    return _gallery.outcome_line(words, outcome, f"rises differ by at most {worst:.1g} of themselves in all seeds")


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
