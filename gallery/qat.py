"""What does quantization-aware training walk on, and do its weights oscillate? Runs at 2 bits on digits.

Nagel, Fournarakis, Bondarenko & Blankevoort (2022, arXiv:2203.11086) find that in training with the straight-through
estimator weights oscillate between two neighbouring values of their grid, back and forth over the threshold between
them, and that latent weights therefore gather at thresholds.

Here small networks are trained at 2 bits on handwritten digits: with the straight-through estimator (STE), whose
grids are fitted anew at the beginning of every epoch, and with learned step sizes (LSQ); at a constant learning rate,
and at one that falls to 0. The control is training at full precision whose weights are looked at through grids such as
those of STE, without any effect. A weight oscillates if its code changes twice or more, within the last epochs, in the
direction opposite to its change before. The loss that a run walks on is a staircase: L(Q(w)) on the plane of the
principal directions of the latent weights, their grids held still at the end of the run.

    python gallery/qat.py                 # two minutes; writes qat.h5, qat.md and qat.png beside this file
"""

from __future__ import annotations

from dataclasses import replace

import _gallery
import _quantized
import numpy as np
import torch
from matplotlib.figure import Figure

import landscape
from landscape import Objective, directions
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.quantize import surfaces
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.parametrization import quantizers
from landscape.quantize.scheme import Scheme
from landscape.result import Collection
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.streams import seeded

BITS = 2
METHODS = {"full precision": "plain", "STE": f"ste:bits={BITS}", "LSQ": f"lsq:bits={BITS}"}
SCHEDULES = {"constant": "constant rate", "cosine": "falling rate"}
SEEDS, EPOCHS, UNITS, GRID, LAST = 5, 30, 32, 31, 5  # oscillation is counted in the last epochs
QUICK = {"SEEDS": 2, "EPOCHS": 3, "UNITS": 8, "GRID": 5, "LAST": 2}
NEAR, BINS = 0.05, 20  # steps of the grid; of the histogram
MEASURES = {
    "oscillating_share": "share of weights that oscillate",
    "flipped_share": "share of weights whose code changes",
    "near_share": f"share of latent weights within {NEAR} steps of a threshold, at the end",
    "test_accuracy": "test accuracy of the rounded network",
}
NAMES = {f"{key} {name}": f"{words}, {rate}" for name, words in MEASURES.items() for key, rate in SCHEDULES.items()}
SAMPLES = 8  # of random rounding
VIEWS = {
    "latent": "rounded: $L(Q(w))$",
    "smooth": f"mean over {SAMPLES} random roundings",
    "fp": "before rounding: $L(w)$",
}


class Codes:
    """Keep the codes of all weights after every step, and the latent weights after every epoch: an observer."""

    def __init__(self) -> None:
        self.grids: dict = {}
        self.codes: list[np.ndarray] = []
        self.states: list[dict[str, torch.Tensor]] = []

    @torch.no_grad()
    def __call__(self, run) -> None:
        """Look at the weights now."""
        known = quantizers(run.model)
        if run.clock.between_epochs:
            names = dict(run.model.named_parameters())
            found = {name: quantizer.latent(weight) for name, (quantizer, weight) in known.items()}
            plain = {name: p for name, p in names.items() if "parametrizations" not in name}
            self.states.append({name: value.detach().clone() for name, value in (plain | found).items()})
            if not known:  # fitted to stand for the epoch to come, as those of the straight-through estimator are
                scheme = Scheme(BITS)
                self.grids = {n: calibrate(names[n], scheme, axis=axis) for n, axis in chosen(run.model).items()}
        if not run.clock.step:
            return
        if known:
            pairs = [(quantizer.grid_at(weight), quantizer.latent(weight)) for quantizer, weight in known.values()]
        else:
            pairs = [(grid, run.model.get_parameter(name)) for name, grid in self.grids.items()]
        self.codes.append(torch.cat([grid.codes(weight).flatten() for grid, weight in pairs]).numpy().astype(np.int8))


def flips(codes: np.ndarray, per_epoch: int) -> np.ndarray:
    """Return the changes of codes (steps, weights) from one step to the next; none where grids are fitted anew."""
    found = np.diff(codes.astype(int), axis=0)
    found[per_epoch - 1 :: per_epoch] = 0
    return found


def reversals(changes: np.ndarray) -> np.ndarray:
    """Count, for each weight, the changes (steps, weights) that are opposite to the one before it."""
    last, count = np.zeros(changes.shape[1], dtype=int), np.zeros(changes.shape[1], dtype=int)
    for row in changes:
        moved = row != 0
        count += moved & (np.sign(row) == -last)
        last = np.where(moved, np.sign(row), last)
    return count


def offsets(grids: dict, latent: dict[str, torch.Tensor]) -> np.ndarray:
    """Return how far latent weights are from the nearest value, in steps; those beyond the last values are left out."""
    parts = []
    for name, grid in grids.items():
        codes, away = grid.codes(latent[name]), (latent[name] - grid.hard(latent[name])) / grid.step
        beyond = (codes == grid.low) & (away < 0) | (codes == grid.high) & (away > 0)
        parts.append(away[~beyond].abs())
    return torch.cat(parts).numpy()


def run(method: str, schedule: str, seed: int, knobs: dict) -> Collection:
    """Train a network, and watch the codes of its weights; of the first STE run, the plane that it walks on too."""
    data, watched = digits(), Codes()
    with seeded(seed, "init"):
        model = mlp(knobs["UNITS"], shape=data.shape)
    settings = Settings(epochs=knobs["EPOCHS"], batch_size=64, lr=0.1, seed=seed, schedule=schedule)
    found = train(data, model, settings, method=METHODS[method], device="cpu", observers=[watched])
    per_epoch = len(watched.codes) // knobs["EPOCHS"]
    changes = flips(np.stack(watched.codes), per_epoch)
    late = changes[-knobs["LAST"] * per_epoch :]
    quantization = found.checkpoint.quantization
    grids = quantization.grids if quantization else watched.grids
    away = offsets(grids, quantization.latent if quantization else watched.states[-1])
    by_epoch = [float((changes[k : k + per_epoch] != 0).any(0).mean()) for k in range(0, len(changes), per_epoch)]
    values = {
        "oscillating_share": (float((reversals(late) >= 2).mean()), 0.0),
        "flipped_share": (float((late != 0).any(0).mean()), 0.0),
        "near_share": (float((away > 0.5 - NEAR).mean()), 0.0),
        "test_accuracy": (rounded_accuracy(found.model, data, grids), np.nan),
    }
    origin = {"values": values, "by_epoch": by_epoch, "offsets": np.histogram(away, BINS, (0, 0.5))[0].tolist()}
    drawn = method == "STE" and not seed and schedule == "constant"
    return Collection(members=planes(found, watched.states, data, knobs["GRID"]) if drawn else {}, origin=origin)


@torch.no_grad()
def rounded_accuracy(model, data, grids: dict) -> float:
    """Return the test accuracy of a network whose weights are brought to grids."""
    objective = Objective(model, {"test": data.split("test")}, device="cpu")
    own = objective.unpack(objective.theta)
    theta = objective.pack({name: grids[name].hard(value) if name in grids else value for name, value in own.items()})
    return float(objective.measure(theta).accuracy[0])


def planes(found, states: list, data, points: int) -> dict:
    """Measure the plane of a run's principal directions through rounding, as its random mean, and without it."""
    known, members = found.checkpoint.quantization, {}
    for name in VIEWS:
        view = surfaces.view(name, known, samples=SAMPLES)
        objective = Objective(found.model, {"train": data.split("train")}, device="cpu", view=view)
        thetas = [objective.pack(state) for state in states]
        frame = directions.principal(objective, thetas, [f"epoch {k}" for k in range(len(thetas))])
        one = landscape.surface(objective, frame, points=points)
        members[name] = replace(_gallery.lean(one), accuracy=None, accuracy_error=None)
    return members


def measured(quick: bool) -> Collection:
    """Train all networks, and compare methods by seed."""
    knobs = {name: QUICK[name] if quick else globals()[name] for name in QUICK}
    values, members, tracks = {}, {}, {}
    for seed in range(knobs["SEEDS"]):
        for method in METHODS:
            row = values.setdefault(method, {}).setdefault(seed, {})
            for schedule in SCHEDULES:
                given = method, schedule, seed, knobs
                one = _gallery.kept(f"{method} {schedule} {seed}", lambda g=given: run(*g))
                row |= {f"{schedule} {name}": value for name, value in one.origin["values"].items()}
                track = {name: one.origin[name] for name in ("by_epoch", "offsets")}
                tracks.setdefault(f"{method} {schedule}", []).append(track)
                members |= one.members
    study = _gallery.compared(values, NAMES, **dict.fromkeys(NAMES, "linear"))
    origin = _gallery.origin(__file__, quick, **knobs) | {"tracks": tracks}
    return Collection(members={"study": study, **members}, origin=origin)


def figure(found: Collection) -> Figure:
    """Draw the run on its plane, seen in three ways; below it, codes that change and where latent weights lie."""
    from landscape.plots.style import style

    with style() as page:
        drawn = Figure(figsize=(page.text, 0.79 * page.text), layout="constrained")
        above, below = drawn.subfigures(2, 1, height_ratios=(1.15, 1))
        axes = above.subplots(1, len(VIEWS), sharex=True, sharey=True)
        shown = {words: found.members[name] for name, words in VIEWS.items()}
        _gallery.side_by_side(axes, shown, log=True)
        for ax in axes:
            ax.label_outer()
            ax.locator_params(nbins=5)
        handles, names = axes[0].get_legend_handles_labels()
        names = ["lowest point" if name.startswith("minimum") else name for name in names]  # another one in each panel
        above.legend(handles, names, loc="outside lower center", ncols=len(names), columnspacing=1.2)
        panels = below.subplots(1, 1 + len(SCHEDULES), width_ratios=(1.2, 1, 1))
        changing(panels[0], found)
        panels[1].sharey(panels[2])
        for ax, schedule in zip(panels[1:], SCHEDULES, strict=True):
            gathered(ax, found, schedule)
        panels[1].set_ylim(0, None)
        panels[1].set_ylabel("density of latent weights")
        panels[2].tick_params(labelleft=False)
    return drawn


def looks() -> list[tuple[str, str]]:
    """Return methods with their colours."""
    from landscape.plots.style import BLUE, GRAY, ORANGE

    return list(zip(METHODS, (GRAY, BLUE, ORANGE), strict=True))


def changing(ax, found: Collection) -> None:
    """Draw the share of weights whose code changes in an epoch, over the epochs."""
    for method, color in looks():
        for schedule, line in zip(SCHEDULES, ("-", "--"), strict=True):
            rows = 100 * np.array([track["by_epoch"] for track in found.origin["tracks"][f"{method} {schedule}"]])
            mean, error, x = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows)), np.arange(1, rows.shape[1] + 1)
            ax.plot(x, mean, line, color=color, label=method if line == "-" else None)
            ax.fill_between(x, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
    ax.set(xlabel="epoch", ylabel="weights whose code changes [%]", ylim=(0, None))
    ax.set_title("constant (solid), falling rate (dashed)", fontsize="small")
    ax.legend()


def gathered(ax, found: Collection, schedule: str) -> None:
    """Draw how far latent weights are from the nearest value of their grid: the threshold is at half a step."""
    edges = np.linspace(0, 0.5, BINS + 1)
    for method, color in looks():
        counts = np.sum([track["offsets"] for track in found.origin["tracks"][f"{method} {schedule}"]], axis=0)
        ax.stairs(counts / counts.sum() / np.diff(edges), edges, baseline=None, color=color, label=method)
    ax.set(xlabel="distance to the nearest value [steps]", xlim=(0, 0.5))
    ax.set_title(SCHEDULES[schedule], fontsize="small")


def report(found: Collection) -> str:
    """Write numbers and verdicts."""
    study, knobs = found.members["study"], found.origin["settings"]
    smooth, latent = (found.members[name] for name in ("smooth", "latent"))
    middle = latent.center
    done = f"""
        {len(study.seed)} seeds, which are few; multilayer perceptrons 64-{knobs["UNITS"]}-{knobs["UNITS"]}-10,
        {knobs["EPOCHS"]} epochs of SGD, batches of 64, learning rate 0.1; codes are looked at after every step, and
        changes in the last {knobs["LAST"]} epochs are counted. The surfaces are those of the STE run of seed 0 at a
        constant rate, on one logarithmic scale, with the run on them, which lies in the plane only as far as the
        explained variance says. At the end of the run the training loss is {latent.loss[(0, *middle)]:.3g} nat when
        rounded to the nearest, and {smooth.loss[(0, *middle)]:.3g} nat on average over random roundings. Lines and
        bands are means over seeds with standard errors. A change is paired by seed: a difference to training at full
        precision, with its 95 % interval; p-values are corrected for all comparisons of the table.
    """
    verdict = [
        _gallery.claim(study, f"{words} {method} than at full precision, {SCHEDULES[schedule]}", method,
                       f"{schedule} {measure}", "higher")
        for measure, words in (("oscillating_share", "more weights oscillate with"),
                               ("near_share", "more latent weights lie at thresholds with"))
        for method in study.method.tolist()[1:] for schedule in SCHEDULES
    ]  # fmt: skip
    verdict += ["", f"""Spread evenly over their steps, {200 * NEAR:.0f} % of the weights would lie within {NEAR} steps
        of a threshold. {settled(study)}"""]
    alt = "A run at 2 bits on the staircase of its loss, codes that change by epoch, and where latent weights lie"
    return _gallery.page(__file__, __doc__, done, alt, _gallery.summary(study, NAMES), verdict)


def settled(study) -> str:
    """Tell how many weights still oscillate when the learning rate falls."""
    told = []
    for m, method in enumerate(study.method.tolist()[1:], start=1):
        shares = [100 * _quantized.column(study, f"{key} oscillating_share")[m].mean() for key in SCHEDULES]
        told.append(f"with {method} {shares[0]:.2g} % of the weights oscillate at the constant rate, and "
                    f"{shares[1]:.2g} % at the falling one")  # fmt: skip
    words = "; ".join(told)
    return f"{words[0].upper()}{words[1:]}."


if __name__ == "__main__":
    _gallery.main(measured, figure, report)
