"""Does coarse rounding leave the valley of a network? The plane through w, Q4(w) and Q2(w), and what layers do alone.

Nahshan, Chmiel, Baskin, Zheltonozhskii, Banner, Bronstein & Mendelson (2019, arXiv:1911.07190) find that at mild
quantization the loss is flat and separable, the quantization of each layer costing what it costs alone, and that at
few bits it is steep and not separable any more.

They look at the loss as a function of the step sizes of the quantizers; here it is a function of the weights. Small
networks are trained on handwritten digits and rounded to 8, 4, 3 and 2 bits, each width on grids of its own. Steep: the
largest eigenvalue of the Hessian at the rounded weights, against that at full precision. Not separable: the change of
the loss when all layers are rounded, less the sum of its changes when each is rounded alone, as a share of the sum
of the moduli of these. The plane is that of the first network; widths beside it are projected onto it.

    python gallery/bitplane.py            # a minute; writes bitplane.h5, bitplane.md and bitplane.png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import _quantized
import numpy as np
from matplotlib.figure import Figure

import landscape
from landscape import Objective, directions
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.result import Collection
from landscape.train.settings import Settings

WIDTHS = (8, 4, 3, 2)
FULL = "32 bits"
SEEDS, EPOCHS, UNITS, LAYERS, GRID = 10, 30, 32, 3, 41
QUICK = {"SEEDS": 2, "EPOCHS": 2, "UNITS": 8, "LAYERS": 2, "GRID": 5}
NAMES = {
    "train_loss": "training loss [nat]",
    "lambda_max": "λ_max [nat]",
    "gradient_norm": "length of the gradient [nat]",
    "distance": "distance from w, relative to the length of w",
    "interaction_share": "what layers do together but not alone, as a share",
    "barrier": "barrier on the way from the next finer width [nat]",
}


def named(bits: int) -> str:
    """Name a width."""
    return f"{bits} bits"


def run(seed: int, knobs: dict) -> Collection:
    """Train a network, and measure it at all widths; of the first seed, the plane through them too."""
    data = digits()
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed)
    model = _gallery.trained(data, lambda: mlp(knobs["UNITS"], knobs["LAYERS"], shape=data.shape), settings).model
    objective = Objective(model, {"train": data.split("train")}, device="cpu")
    few = {"ascent": 1, "draws": 2, "probes": 2}  # of what is not told here
    found = landscape.bits(objective, bits=WIDTHS, tolerance=0.01, limit=60, **few)
    members = {"plane": plane(objective, model, knobs["GRID"])} if seed == 0 else {}
    return Collection(members=members, origin={"values": values(found)})


def values(found) -> dict[str, dict[str, tuple[float, float]]]:
    """Sort what a network is at every width: width -> measure -> (value, error)."""
    told = {FULL: {
        "train_loss": (float(found.loss_full[0]), float(found.loss_full_error[0])),
        "lambda_max": (float(found.lambda_max_full), float(found.lambda_max_full_residual)),
        "gradient_norm": (float(found.gradient_norm_full), 0.0),
    }}  # fmt: skip
    for i, bits in enumerate(found.bits.tolist()):
        alone = found.tensor_change[i]
        told[named(bits)] = {
            "train_loss": (float(found.loss[0, i]), float(found.loss_error[0, i])),
            "lambda_max": (float(found.lambda_max[i]), float(found.lambda_max_residual[i])),
            "gradient_norm": (float(found.gradient_norm[i]), 0.0),
            "distance": (float(found.relative_error[i]), 0.0),
            "interaction_share": (abs(float(found.loss_change[0, i] - alone.sum())) / float(abs(alone).sum()), np.nan),
            "barrier": (float(found.barrier[0, i]), float(found.barrier_error[0, i])),
        }
    return told


def plane(objective: Objective, model, points: int) -> landscape.Result:
    """Measure the loss on the plane through w, Q4(w) and Q2(w), and project the other widths onto it."""
    frame = directions.bitplane(objective, _quantized.rounded(objective, model, WIDTHS))
    one = landscape.surface(objective, frame, points=points)
    return replace(_gallery.lean(one), accuracy=None, accuracy_error=None)


def measured(quick: bool) -> Collection:
    """Train all networks; compare widths with full precision, and interactions with those at the widest width."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    found = {seed: _gallery.kept(f"{seed}", lambda s=seed: run(s, knobs)) for seed in range(knobs["SEEDS"])}
    widths = (FULL, *map(named, WIDTHS))
    rows = {width: {seed: one.origin["values"][width] for seed, one in found.items()} for width in widths}
    rounded = {width: row for width, row in rows.items() if width != FULL}
    first, second = ["train_loss", "lambda_max", "gradient_norm"], ["distance", "interaction_share", "barrier"]
    members = {"study": _gallery.compared(rows, first), "rounded": _gallery.compared(rounded, second, barrier="linear")}
    return Collection(members={**members, **found[0].members}, origin=_gallery.origin(__file__, quick, **knobs))


def figure(found: Collection) -> Figure:
    """Draw the plane; beside it curvature and interaction over widths."""
    from landscape.plots.style import style
    from landscape.plots.surface import surface

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.6 * page.text), layout="constrained")
        left, right = drawn.subfigures(1, 2, width_ratios=(1.6, 1))
        ax = left.subplots()
        surface(found.members["plane"], ax, title=False, log=True)
        steep, apart = right.subplots(2, 1)
        across(steep, found.members["study"], "lambda_max", r"$\lambda_{\max}$ [nat]", log=True)
        across(apart, found.members["rounded"], "interaction_share", "interaction of layers")
        apart.set_ylim(0, None)
    return drawn


def across(ax, study, measure: str, label: str, *, log: bool = False) -> None:
    """Draw a measure over widths: a line for each seed, means with standard errors."""
    _gallery.pairs(ax, study, measure, label, log=log)
    ax.set_xticks(range(len(study.method)), [name.removesuffix(" bits") for name in study.method.tolist()])
    ax.set_xlabel("bits of a weight")


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, rounded, knobs = found.members["study"], found.members["rounded"], found.origin["settings"]
    units = "-".join([str(knobs["UNITS"])] * knobs["LAYERS"])
    done = f"""
        {len(study.seed)} seeds; multilayer perceptrons 64-{units}-10, {knobs["EPOCHS"]} epochs of SGD, batches of 64,
        learning rate 0.1. A grid for each output unit, narrow from 3 bits on and mid-rise at 2, fitted by the squared
        error below 8 bits. Points are means over seeds with standard errors, thin lines the seeds. A change is paired
        by seed, to full precision in the first table and to 8 bits in the second: a ratio (×) or a difference, with its
        95 % interval; p-values are corrected for all comparisons of a table.
    """
    claims = [_gallery.claim(study, f"λ_max at the weights of {b} bits is larger than at full precision", named(b),
                             "lambda_max", "higher") for b in WIDTHS]  # fmt: skip
    claims += [_gallery.claim(rounded, f"layers add up less at {b} bits than at 8", named(b), "interaction_share",
                              "higher") for b in WIDTHS[1:]]  # fmt: skip
    claims += ["", f"""The Hessian at rounded weights is that of a slope where the gradient is much longer than at full
        precision. {walls(float(_quantized.column(rounded, "barrier").max()))}"""]
    body = [*_gallery.summary(study, {n: NAMES[n] for n in study.measure.tolist()}), ""]
    body += [*_gallery.summary(rounded, {n: NAMES[n] for n in rounded.measure.tolist()}), "", *places(found)]
    alt = "Loss on the plane through a network and its roundings to 4 and 2 bits; curvature and interaction over widths"
    return _gallery.page(__file__, __doc__, done, alt, body, claims)


def walls(highest: float) -> str:
    """Write what stands between widths: the highest barrier of all."""
    where = "On the segments from 32 to 8, 4, 3 and 2 bits, at seven points each,"
    if highest:
        return f"{where} the loss rises above the straight line between both losses by up to {highest:.2g} nat."
    return f"""{where} the loss never rises above the straight line between both losses: no barrier stands between the
        widths, and coarse rounding climbs the wall of the valley that it begins in."""


def places(found: Collection) -> list[str]:
    """Write where every width lies: how far from w, and how far from the plane that is drawn."""
    one = found.members["plane"]
    rows = []
    for k, name in enumerate(one.checkpoint.tolist()):
        a, b, beside = (float(v[k]) for v in (one.checkpoint_a, one.checkpoint_b, one.checkpoint_residual))
        away = float(np.sqrt(a * a + b * b + beside * beside))
        rows.append([name, f"{away:.3f}", f"{beside:.3f}" if away and beside > 1e-5 * away else "0"])
    return _gallery.table(("weights of seed 0", "distance from w", "distance from the plane"), rows)


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
