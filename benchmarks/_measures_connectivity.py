"""What the claims about connectivity are about: numbers of pairs of independent networks, each with its error.

Seed s of a study is the pair of the networks of seeds s and s + 1000, trained alike: no two pairs share an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from landscape import checkpoint
from landscape.curves import segment
from landscape.examples import by_example
from landscape.objective import Objective
from landscape.paired import mean
from landscape.probes.align import align
from landscape.probes.connect import connect
from landscape.probes.path import path
from landscape.study.run import Finished, Value
from landscape.train.run import Trained, train
from landscape.train.settings import Settings
from landscape.train.streams import seeded

APART = 1000  # between the seeds of the ends of a pair
POINTS = 25  # of every path
LONGER, SLOWER = 3, 0.3  # epochs and learning rate of a curve over those of its ends, as published for VGG-16
SHARE = 0.05  # of the barrier of the segment: what a barrier may be, to be near zero
ERRORS = 0.01  # share of wrong answers: what a barrier of errors may be
WIDTHS = (32, 128, 512)  # units of each hidden layer
LINE = 0.5 + np.sinh(np.linspace(-4, 4, 33))  # on the line from SGD (0) to SWA (1), and far beyond: -26.8 to 27.8
FINE = 9  # points around the lowest of these


def independent(found: Finished) -> dict[str, Value]:
    """Measure the barriers of a pair along its segment, and between plain networks along a trained Bezier curve too."""
    objective = found.objective("both")
    end = objective.pack(trained(found, found.seed + APART).model)
    if found.method == "plain":
        settings = _settings(found)
        result = connect(
            objective, end, epochs=LONGER * settings.epochs, batch=settings.batch_size, lr=SLOWER * settings.lr,
            momentum=settings.momentum, weight_decay=settings.weight_decay, seed=found.seed, points=POINTS,
        )  # fmt: skip
    else:
        result = path(objective, {"segment": segment(objective.theta, end)}, points=POINTS)
    numbers = result.figures()
    for split in objective.splits:
        straight, error = numbers[f"segment_{split}_barrier"]
        numbers[f"near_zero_{split}_barrier"] = SHARE * straight, SHARE * error
    lengths = {f"{curve}_length": (float(result.length[c]), 0.0) for c, curve in enumerate(result.curve.tolist())}
    return numbers | {"near_zero_error_barrier": (ERRORS, 0.0)} | lengths


def neighbours(found: Finished) -> dict[str, Value]:
    """Measure the barriers of the segments between neighbouring members of a run, and from the first to the last.

    Of neighbours the mean; its error is the mean error, a bound: they are measured on the same examples.
    """
    objective = found.objective("both")
    states = [state for name, state in sorted(found.kept.items()) if name.startswith("member")]
    if len(states) < 2:
        return {}
    members = [objective.pack(state) for state in states]
    steps = {f"step{i}": segment(*pair) for i, pair in enumerate(zip(members[:-1], members[1:], strict=True))}
    curves = steps | {"reach": segment(members[0], members[-1])}
    told = path(objective, curves, points=POINTS).figures()
    told |= {f"{name}_length": (curve.length, 0.0) for name, curve in curves.items()}
    numbers = {name: pair for name, pair in told.items() if name.startswith("reach")}
    for name in [name.removeprefix("reach") for name in numbers]:
        value, error = np.mean([told[f"{step}{name}"] for step in steps], axis=0)
        numbers[f"neighbours{name}"] = float(value), float(error)
    return numbers


def aligned(found: Finished) -> dict[str, Value]:
    """Measure the barriers of pairs of several widths before and after weight matching, and with REPAIR.

    And by how much the share of the barrier that matching takes away grows with each doubling of the width.
    """
    numbers: dict[str, Value] = {"no_growth": (0.0, 0.0)}
    for width in WIDTHS:
        first, last = (trained(found, seed, width=width) for seed in (found.seed, found.seed + APART))
        parts = {name: found.data.split(name) for name in found.data.splits}
        objective = Objective(first.model, parts, found.loss, **found.knobs)
        result = align(objective, objective.pack(last.model), points=POINTS, seed=found.seed)
        numbers |= {f"{name}_{width}": pair for name, pair in result.figures().items()}
        ends = result.loss[0, 0, [0, -1]].mean(), result.loss_error[0, 0, [0, -1]].mean()
        numbers[f"ends_train_loss_{width}"] = float(ends[0]), float(ends[1])
    for split in found.data.splits:
        numbers |= growth(numbers, split)
    return numbers


def growth(numbers: Mapping[str, Value], split: str) -> dict[str, Value]:
    """Return what share of the barrier is taken away at every width, and its slope on the logarithm of the width."""
    before, after = (np.array([numbers[f"{name}_{split}_barrier_{width}"] for width in WIDTHS]).T
                     for name in ("before", "after"))  # fmt: skip
    taken = 1 - after[0] / before[0]
    errors = np.hypot(after[1], (1 - taken) * before[1]) / before[0]
    doublings = np.log2(WIDTHS) - np.log2(WIDTHS).mean()
    slope = doublings / (doublings**2).sum()
    found = {f"taken_{split}_{width}": (float(taken[i]), float(errors[i])) for i, width in enumerate(WIDTHS)}
    return found | {f"growth_{split}": (float(slope @ taken), float(np.sqrt(slope**2 @ errors**2)))}


def lowest(found: Finished) -> dict[str, Value]:
    """Find where on the line from the last iterate (t = 0) to its average (t = 1) the losses are lowest.

    The training loss with weight decay, as published, and without; and the test loss.
    """
    if "last" not in found.kept:
        return {}
    objective, decay = found.objective("both"), _settings(found).weight_decay
    line = segment(objective.pack(found.kept["last"]), objective.theta)

    def losses(split: str, t: np.ndarray) -> np.ndarray:
        points, k = line(torch.from_numpy(t)), list(objective.splits).index(split)
        return np.stack([by_example(objective, point, k).loss for point in points])

    def penalty(t: np.ndarray) -> np.ndarray:
        return 0.5 * decay * (line(torch.from_numpy(t)).double() ** 2).sum(1, keepdim=True).cpu().numpy()

    numbers: dict[str, Value] = {"line_length": (line.length, 0.0)}
    coarse = {split: losses(split, LINE) for split in objective.splits}
    for name, split, share in (("train", "train", 1.0), ("test", "test", 0.0), ("train_loss_alone", "train", 0.0)):
        k = int((coarse[split] + share * penalty(LINE)).mean(1).argmin())
        edge = k in (0, len(LINE) - 1)
        fine = LINE[k : k + 1] if edge else np.linspace(LINE[k - 1], LINE[k + 1], FINE)
        at, error = minimum(fine, losses(split, fine) + share * penalty(fine))
        numbers |= {f"lowest_{name}": (at, error), f"lowest_{name}_to_swa": (abs(at - 1), error)}
        numbers[f"lowest_{name}_at_edge"] = float(edge), 0.0
    return numbers


def minimum(t: np.ndarray, losses: np.ndarray) -> Value:
    """Return where a mean of losses (T, N) is lowest, by the parabola through the lowest point and its neighbours.

    The error over examples is that of the slope there over the curvature. At an edge it is the edge, whose error is
    not known.
    """
    means = losses.mean(1)
    k = int(means.argmin())
    if k in (0, len(t) - 1):
        return float(t[k]), float("nan")
    three = slice(k - 1, k + 2)
    square, slope, _ = np.linalg.inv(np.vander(t[three]))  # what the losses at the three points add to the parabola's
    bend = 2 * square @ means[three]
    found = -(slope @ means[three]) / bend
    _, error = mean((2 * found * square + slope) @ losses[three], np.ones(losses.shape[1]))
    return float(found), float(error / bend)


def trained(found: Finished, seed: int, **arguments: int) -> Trained:
    """Train a network as that of a run, from another seed, with some other arguments of its model."""
    spec = found.checkpoint.model
    if spec is None:
        raise ValueError("Expected a model by its name, got one that a function made: it cannot be made again.")
    with seeded(seed, "init"):
        model = checkpoint.build(replace(spec, arguments=spec.arguments | arguments), found.data)
    settings = replace(_settings(found), seed=seed)
    return train(found.data, model, settings, method=found.method, loss=found.loss, device=found.knobs["device"])


def _settings(found: Finished) -> Settings:
    return Settings(**found.checkpoint.training["settings"])
