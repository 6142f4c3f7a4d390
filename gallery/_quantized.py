"""What the scripts about few bits share: a network rounded to several widths, and numbers drawn over widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor, nn

    from landscape.objective import Objective
    from landscape.probes.bits import Bits
    from landscape.study.study import Study


def rounded(objective: Objective, model: nn.Module, widths: Iterable[int]) -> dict[int, Tensor]:
    """Round all weights of a network to each width, by the usual scheme of that width: bits -> parameters (D,)."""
    from landscape.quantize import surfaces
    from landscape.quantize.layers import chosen

    own, axes = objective.unpack(objective.theta), chosen(model)
    return {bits: objective.pack(surfaces.rounded(own, axes, {}, bits)) for bits in widths}


def extra(found: Bits) -> dict[str, tuple[float, float]]:
    """Tell what every width costs: the rise of the training loss (paired errors), and the test accuracy."""
    told = {}
    for i, bits in enumerate(found.bits.tolist()):
        told[f"w{bits}_extra_loss"] = float(found.loss_change[0, i]), float(found.loss_change_error[0, i])
        told[f"w{bits}_test_accuracy"] = float(found.accuracy[-1, i]), float(found.accuracy_error[-1, i])
    return told


def column(study: Study, measure: str) -> np.ndarray:
    """Return the values of a measure, (method, seed)."""
    return study.value[:, study.measure.tolist().index(measure)]


def over_widths(ax: Axes, study: Study, measures: Mapping[str, str], label: str, *, factor: float = 1.0) -> None:
    """Draw measures of a study over widths, in the order given: means over seeds with standard errors.

    Parameters
    ----------
    measures : measure -> the width that it is of, as the axis names it
    factor : float
        What values are multiplied by: 100 for percent.
    """
    from landscape.plots.style import BLUE, GREEN, ORANGE

    x = np.arange(len(measures))
    for m, (name, color, marker) in enumerate(zip(study.method.tolist(), (BLUE, ORANGE, GREEN), "os^", strict=False)):
        rows = factor * np.stack([column(study, measure)[m] for measure in measures])
        error = rows.std(1, ddof=1) / np.sqrt(rows.shape[1])
        look = {"color": color, "marker": marker, "markersize": 3.5, "capsize": 2, "linewidth": 1}
        ax.errorbar(x + 0.06 * (m - 1), rows.mean(1), error, label=name, **look)
    ax.set_xticks(x, list(measures.values()))
    ax.set(xlabel="bits of a weight", ylabel=label)
