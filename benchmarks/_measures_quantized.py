"""What the claims about quantization are about: numbers of a finished run of a study, each with its error."""

from __future__ import annotations

from scipy.stats import spearmanr
from torch import Tensor

import landscape
from landscape import sensitivity
from landscape.examples import by_example
from landscape.objective import Objective
from landscape.paired import mean
from landscape.quantize import surfaces
from landscape.quantize.layers import chosen
from landscape.quantize.scheme import Scheme
from landscape.study.run import Finished, Value

WIDTHS = (8, 4, 3, 2)
STEP = 0.5  # along the gradient at the quantized weights
SHARE = 0.05  # of the length of the weights, of a step that is relative to it
ALLOWED = 0.3  # bits that a budget may be missed by
RANKED = 3  # bits at which layers are ranked


def widths(found: Finished) -> dict[str, Value]:
    """Measure how much the training loss rises at every width, and the loss and the accuracy on the test split."""
    train, test = latent(found, "train"), latent(found, "test")
    numbers: dict[str, Value] = {}
    for bits in WIDTHS:
        theta = rounded(train, Scheme(bits))
        numbers[f"rise_{bits}"] = rise(train, theta)
        measured = test.measure(theta)
        numbers[f"test_loss_{bits}"] = float(measured.loss[0]), float(measured.loss_error[0])
        if measured.accuracy is not None and measured.accuracy_error is not None:
            numbers[f"test_accuracy_{bits}"] = float(measured.accuracy[0]), float(measured.accuracy_error[0])
    worst = max(WIDTHS, key=lambda bits: numbers[f"test_loss_{bits}"][0])
    return numbers | {"worst_test_loss": numbers[f"test_loss_{worst}"]}


def calibrations(found: Finished) -> dict[str, Value]:
    """Measure how much the training loss rises at 2 bits, by family and calibration."""
    objective = latent(found, "train")
    return {
        f"rise_2_{family}_{how}": rise(objective, rounded(objective, Scheme(2, family, how)))
        for family in ("narrow", "midrise")
        for how in ("minmax", "mse")
    }


def sharpness(found: Finished) -> dict[str, Value]:
    """Measure the sharpness of the training loss at the deployed weights: lambda_max, and the rise along the gradient.

    The step along the gradient has a length of its own, and one that is a share of that of the weights.
    """
    objective = found.objective("train")
    eigen = landscape.eigen(objective, largest=1, smallest=0, seed=found.seed)
    gradient = objective.gradient(objective.theta)
    along = gradient / gradient.norm()
    numbers = {"quantized_lambda_max": (float(eigen.value[0]), float(eigen.residual[0]))}
    for name, length in (("sam_rise", STEP), ("relative_sam_rise", SHARE * float(objective.theta.norm()))):
        numbers[name] = rise(objective, objective.theta + length * along)
    return numbers


def ranks(found: Finished) -> dict[str, Value]:
    """Rank the layers by what rounding each alone does to the training loss, and by what is predicted of it.

    Exact for the network and the data at hand, but for Hutchinson's estimate of the traces.
    """
    objective = found.objective("train")
    names = list(chosen(found.model))
    theta = rounded(objective, Scheme(RANKED))
    whole, values = objective.unpack(theta), objective.unpack(objective.theta)
    deltas = {name: whole[name] - values[name] for name in names}
    rises = []
    for name in names:
        alone = objective.pack({**values, name: whole[name]})
        rises.append(float(objective.value(alone) - objective.value(objective.theta)))
    predicted = sensitivity.predictions(objective, objective.theta, deltas, seed=found.seed)
    known = {
        "omega": [float(x) for x in predicted.omega],
        "curvature": [float(x) for x in predicted.curvature],
        "distance": [float(delta.square().sum()) for delta in deltas.values()],
        "size": [float(delta.numel()) for delta in deltas.values()],
    }
    return {f"rank_{name}": (float(spearmanr(each, rises)[0]), 0.0) for name, each in known.items()} | {
        "rank_none": (0.0, 0.0)
    }


def soft(found: Finished) -> dict[str, Value]:
    """Tell how far soft bits are from the deployed ones half way and at the end, and the budget missed; exact."""
    history = found.checkpoint.training["history"]
    target = found.checkpoint.training["arguments"]["csq"]["target"]
    gaps = [abs(record["soft_hard_gap"]) for record in history]
    miss = abs(history[-1]["bits"] - target)
    numbers = {"gap_middle": gaps[len(gaps) // 2], "gap_end": gaps[-1], "budget_miss": miss, "allowed_miss": ALLOWED}
    return {name: (float(value), 0.0) for name, value in numbers.items()}


def latent(found: Finished, split: str) -> Objective:
    """Return the loss at the weights before rounding."""
    return found.before_rounding().objective(split)


def rounded(objective: Objective, scheme: Scheme) -> Tensor:
    """Return the weights of an objective, rounded by a scheme: (D,)."""
    axes = chosen(objective.network.model)
    values = surfaces.rounded(objective.unpack(objective.theta), axes, dict.fromkeys(axes, scheme), scheme.bits)
    return objective.pack(values)


def rise(objective: Objective, theta: Tensor) -> Value:
    """Return how much higher the loss is at other weights, with the error of the mean difference over examples."""
    here, there = (by_example(objective, point) for point in (objective.theta, theta))
    change, error = mean(there.loss - here.loss, here.weight)
    return float(change), float(error)
