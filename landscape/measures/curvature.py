"""Sharpness as curvature: the largest eigenvalues of the Hessian, its trace, and both relative to the weights."""

from __future__ import annotations

from math import inf, isfinite

import torch
from torch import Tensor

from landscape import operators
from landscape.eigenpairs import eigenpairs
from landscape.engine.network import Block
from landscape.krylov import Product
from landscape.measures.row import Row, Tick
from landscape.objective import Objective
from landscape.operators import Operator
from landscape.rows import dot
from landscape.traces import average, hutchinson

LEADING = 5  # eigenvalues whose first and last are compared
TOGETHER = 8  # vectors of one call


def curvature(
    objective: Objective, theta: Tensor, *, probes: int, tolerance: float, limit: int, layer: str, seed: int, tick: Tick
) -> list[Row]:
    """Measure the largest eigenvalue, its ratio to the fifth, its scale-free form, the trace, and relative flatness.

    Parameters
    ----------
    objective : Objective
    theta : Tensor of shape (D,)
    probes : int
        Random vectors, for the trace and for relative flatness each.
    tolerance : float
        Relative residual of the eigenvalues.
    limit : int
        Products for the eigenvalues, at most.
    layer : str
        Parameter of the feature layer of relative flatness; empty for the last weight.
    seed : int
    tick : callable

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If there is no such layer, or products are not finite.
    """
    product = _counting(operators.hessian(objective, theta), tick)
    feature = feature_layer(objective, layer)
    found = hutchinson(product, objective.dim, probes=probes, together=TOGETHER, seed=seed, like=theta)
    trace = Row(
        "trace", float(found.value), "sum of the eigenvalues of the Hessian, by Hutchinson's estimator",
        "Yao et al. 2020, arXiv:1912.07145", float(found.standard_error), "standard error", f"probes={probes}",
    )
    eigenvalues = _eigenvalues(product, theta, tolerance=tolerance, limit=limit, seed=seed)
    return [*eigenvalues, trace, relative_flatness(product, theta, feature, probes=probes, seed=seed)]


def _eigenvalues(product: Product, theta: Tensor, *, tolerance: float, limit: int, seed: int) -> list[Row]:
    count = min(LEADING, len(theta))
    found = eigenpairs(product, len(theta), count=count, tolerance=tolerance, limit=limit, seed=seed, like=theta)
    values, residuals = found.values.tolist(), found.residuals.tolist()
    scale = float(dot(theta, theta))
    rows = [
        Row(
            "lambda_max", values[0], "largest eigenvalue of the Hessian",
            "Cohen et al. 2021, arXiv:2103.00065", residuals[0], "residual",
        ),
        Row(
            "lambda_max_scaled", values[0] * scale, "lambda_max |theta|^2, which no scaling of scale-invariant weights "
            "changes: spherical sharpness", "Lyu, Li & Arora 2022, arXiv:2206.07085", residuals[0] * scale, "residual",
        ),
    ]
    if count == LEADING:
        rows.insert(1, _ratio(values, residuals))
    return rows


def _ratio(values: list[float], residuals: list[float]) -> Row:
    """Compare the first eigenvalue with the fifth; residuals are propagated to first order."""
    first, last = values[0], values[-1]
    ratio = first / last if last else inf
    error = abs(ratio) * (residuals[0] / abs(first) + residuals[-1] / abs(last)) if first and last else inf
    return Row(
        "lambda_1/lambda_5", ratio, "largest eigenvalue of the Hessian over the fifth",
        "Jastrzebski et al. 2020, arXiv:2002.09572", error if isfinite(ratio) else inf, "residual", unit="",
    )


def relative_flatness(product: Product, theta: Tensor, block: Block, *, probes: int, seed: int) -> Row:
    r"""Estimate relative flatness of a layer with weight rows :math:`w_s`, one for each neuron.

    .. math:: \kappa = \sum_{s, s'} \langle w_s, w_{s'} \rangle \operatorname{tr} H_{s s'}
        = E\, v^\top H v, \qquad v = (W r)\, u^\top,

    over random signs r and u of the layer's inputs.

    Notes
    -----
    Cost: a product for each pair of vectors.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = block.filters(theta[block.slice].view(block.shape))
    samples = []
    for start in range(0, probes, TOGETHER):
        count = min(TOGETHER, probes - start)
        rows = theta.new_zeros(count, len(theta))
        for row in rows:
            left, right = _signs(weight, generator)
            row[block.slice] = block.unfiltered(torch.outer(weight @ left, right)).flatten()
        samples.append(dot(rows, product(rows)))
    found = average(torch.cat(samples), probes, seed)
    return Row(
        "relative_flatness", float(found.value), "sum over pairs of neurons of <w_s, w_s'> tr H_ss' in one layer",
        "Petzka et al. 2021, arXiv:2001.00939", float(found.standard_error), "standard error",
        f"layer={block.name} probes={probes}",
    )


def feature_layer(objective: Objective, name: str) -> Block:
    """Find the weight of a layer by its name, or the last one.

    Raises
    ------
    ValueError
        If no weight has this name.
    """
    weights = [block for block in objective.blocks if block.role == "weight" and name in ("", block.name)]
    if not weights:
        offered = ", ".join(block.name for block in objective.blocks if block.role == "weight")
        raise ValueError(f"Expected a weight of the network as layer ({offered}), got {name!r}: choose one of these.")
    return weights[-1]


def _signs(weight: Tensor, generator: torch.Generator) -> list[Tensor]:
    drawn = torch.randint(0, 2, (2, weight.shape[1]), generator=generator) * 2 - 1
    return list(drawn.to(weight))


def _counting(operator: Operator, tick: Tick) -> Product:
    """Tell of every product that an operator does."""

    def product(rows: Tensor) -> Tensor:
        image = operator(rows)
        for _ in rows:
            tick()
        return image

    return product
