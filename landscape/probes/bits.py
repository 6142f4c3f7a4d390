"""A network across bit widths: what rounding its weights costs, why, and how the rounded networks lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.result import Result, quantity

if TYPE_CHECKING:
    import torch

    from landscape.objective import Objective
    from landscape.probes._bits_work import Settings

STEEP = 3.0  # times the gradient norm at full precision, from which on a rounded network is called no minimum


@dataclass(frozen=True, eq=False, repr=False)
class Bits(Result):
    """A network of full precision, w, and the networks Q(w) of fewer and fewer bits, on one landscape.

    What is not told by split is of the first split. "Exact" means to rounding, on these examples; paired errors are
    over differences on the same examples.
    """

    split: np.ndarray = quantity("part of the data", "split")
    bits: np.ndarray = quantity("bits of a weight", "bits")
    family: np.ndarray = quantity("family of the levels", "bits")
    calibration: np.ndarray = quantity("how the range of the levels was chosen", "bits")
    loss_full: np.ndarray = quantity("mean loss at full precision", "split", unit="nat")
    loss_full_error: np.ndarray = quantity("standard error of that over examples", "split", unit="nat")
    accuracy_full: np.ndarray | None = quantity("accuracy at full precision", "split", optional=True)
    accuracy_full_error: np.ndarray | None = quantity("standard error of that over examples", "split", optional=True)
    loss: np.ndarray = quantity("mean loss", "split", "bits", unit="nat")
    loss_error: np.ndarray = quantity("standard error of the loss over examples", "split", "bits", unit="nat")
    accuracy: np.ndarray | None = quantity("accuracy", "split", "bits", optional=True)
    accuracy_error: np.ndarray | None = quantity(
        "standard error of the accuracy over examples", "split", "bits", optional=True
    )
    loss_change: np.ndarray = quantity("change of the loss by rounding, L(Q(w)) - L(w)", "split", "bits", unit="nat")
    loss_change_error: np.ndarray = quantity("its paired standard error", "split", "bits", unit="nat")
    accuracy_change: np.ndarray | None = quantity(
        "change of the accuracy by rounding", "split", "bits", optional=True
    )
    accuracy_change_error: np.ndarray | None = quantity(
        "its paired standard error", "split", "bits", optional=True
    )
    gradient_term: np.ndarray = quantity("g'd of the change, d = Q(w) - w; exact", "bits", unit="nat")
    curvature_term: np.ndarray = quantity("d'Hd / 2 of the change; exact", "bits", unit="nat")
    remainder: np.ndarray = quantity("what both terms leave over of the change; exact", "bits", unit="nat")
    taylor_valid: np.ndarray = quantity("the remainder is less than half of the change", "bits")
    gradient_norm_full: np.ndarray = quantity("norm of the gradient at full precision; exact", unit="nat")
    gradient_norm: np.ndarray = quantity("norm of the gradient at Q(w); exact", "bits", unit="nat")
    lambda_max_full: np.ndarray | None = quantity(
        "largest eigenvalue of the Hessian at full precision", unit="nat", optional=True
    )
    lambda_max_full_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of it", unit="nat", optional=True
    )
    lambda_max_full_converged: np.ndarray | None = quantity("its residual meets the tolerance", optional=True)
    lambda_max: np.ndarray | None = quantity(
        "largest eigenvalue of the Hessian at Q(w)", "bits", unit="nat", optional=True
    )
    lambda_max_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of it", "bits", unit="nat", optional=True
    )
    lambda_max_converged: np.ndarray | None = quantity("its residual meets the tolerance", "bits", optional=True)
    trace_full: np.ndarray | None = quantity("trace of the Hessian at full precision", unit="nat", optional=True)
    trace_full_error: np.ndarray | None = quantity(
        "standard error of that over random vectors", unit="nat", optional=True
    )
    trace: np.ndarray | None = quantity("trace of the Hessian at Q(w)", "bits", unit="nat", optional=True)
    trace_error: np.ndarray | None = quantity(
        "standard error of the trace over random vectors", "bits", unit="nat", optional=True
    )
    step: np.ndarray = quantity("root mean square of the steps of the grids over the weights; exact", "bits")
    scaled_full: np.ndarray | None = quantity(
        "largest eigenvalue at full precision times the squared step", "bits", unit="nat", optional=True
    )
    scaled_full_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of it, on that scale", "bits", unit="nat", optional=True
    )
    scaled: np.ndarray | None = quantity(
        "largest eigenvalue at Q(w) times the squared step", "bits", unit="nat", optional=True
    )
    scaled_residual: np.ndarray | None = quantity(
        "an eigenvalue lies within this distance of it, on that scale", "bits", unit="nat", optional=True
    )
    bin_sharpness: np.ndarray = quantity(
        "highest rise of the loss found within half a step of w, a lower bound", "bits", unit="nat"
    )
    bin_sharpness_error: np.ndarray = quantity("its paired standard error, the place held fixed", "bits", unit="nat")
    ascent: np.ndarray = quantity("step of ascent in the box of the bins", "ascent")
    bin_path: np.ndarray = quantity("highest rise found after so many steps", "bits", "ascent", unit="nat")
    flipped: np.ndarray = quantity("number of codes that are moved by one")
    flip_mean: np.ndarray = quantity(
        "mean rise of the loss from Q(w) when random codes move by one", "bits", unit="nat"
    )
    flip_mean_error: np.ndarray = quantity("its standard error over draws", "bits", unit="nat")
    flip_worst: np.ndarray = quantity(
        "rise of the loss from Q(w) when as many codes of the largest slope move by one", "bits", unit="nat"
    )
    flip_worst_error: np.ndarray = quantity("its paired standard error", "bits", unit="nat")
    sam: np.ndarray = quantity("rise of the loss by SAM's step from Q(w), relative to its length", "bits", unit="nat")
    sam_error: np.ndarray = quantity("its paired standard error", "bits", unit="nat")
    flat: np.ndarray = quantity("share of neighbours of w whose rounded network has the same loss", "bits")
    flat_error: np.ndarray = quantity("its standard error over directions", "bits")
    moved: np.ndarray = quantity("share of the codes that differ at these neighbours", "bits")
    moved_error: np.ndarray = quantity("its standard error over directions", "bits")
    clipped: np.ndarray = quantity("share of weights farther than half a step beyond the levels; exact", "bits")
    near: np.ndarray = quantity("share of weights within 0.05 steps of a threshold; exact", "bits")
    relative_error: np.ndarray = quantity("length of Q(w) - w relative to that of w, rounded weights; exact", "bits")
    tensor: np.ndarray = quantity("weight that is rounded", "tensor")
    tensor_size: np.ndarray = quantity("numbers of the weight", "tensor")
    tensor_trace: np.ndarray | None = quantity(
        "trace of the weight's block of the Hessian at full precision", "tensor", unit="nat", optional=True
    )
    tensor_trace_error: np.ndarray | None = quantity(
        "its standard error over random vectors", "tensor", unit="nat", optional=True
    )
    tensor_change: np.ndarray | None = quantity(
        "change of the loss when this weight alone is rounded", "bits", "tensor", unit="nat", optional=True
    )
    tensor_change_error: np.ndarray | None = quantity(
        "its paired standard error", "bits", "tensor", unit="nat", optional=True
    )
    tensor_predicted: np.ndarray | None = quantity(
        "predicted change: gradient and curvature term; exact", "bits", "tensor", unit="nat", optional=True
    )
    tensor_gradient: np.ndarray | None = quantity(
        "gradient term of the weight; exact", "bits", "tensor", unit="nat", optional=True
    )
    tensor_curvature: np.ndarray | None = quantity(
        "curvature term of the weight's block; exact", "bits", "tensor", unit="nat", optional=True
    )
    tensor_square: np.ndarray | None = quantity(
        "squared length of the weight's rounding error; exact", "bits", "tensor", optional=True
    )
    tensor_omega: np.ndarray | None = quantity(
        "HAWQ's Omega, mean eigenvalue times squared error", "bits", "tensor", unit="nat", optional=True
    )
    tensor_omega_error: np.ndarray | None = quantity(
        "its standard error over random vectors", "bits", "tensor", unit="nat", optional=True
    )
    spearman: np.ndarray | None = quantity(
        "rank correlation of predicted and measured changes over weights", "bits", optional=True
    )
    spearman_p: np.ndarray | None = quantity("its p-value against no dependence", "bits", optional=True)
    spearman_omega: np.ndarray | None = quantity(
        "rank correlation of Omega and measured changes over weights", "bits", optional=True
    )
    segment: np.ndarray = quantity("widths at the ends", "segment")
    t: np.ndarray = quantity("position between the wider and the narrower network", "t")
    segment_loss: np.ndarray = quantity("mean loss between neighbouring widths", "split", "segment", "t", unit="nat")
    segment_loss_error: np.ndarray = quantity(
        "standard error of that over examples", "split", "segment", "t", unit="nat"
    )
    barrier: np.ndarray = quantity("highest rise above the straight line of losses", "split", "segment", unit="nat")
    barrier_error: np.ndarray = quantity(
        "its paired standard error, the place held fixed; 0 at an end", "split", "segment", unit="nat"
    )
    barrier_t: np.ndarray = quantity("where it is", "split", "segment")

    def stationary(self) -> np.ndarray:
        """Say which rounded networks may be minima, (bits,): gradients at most three times as long as that at w."""
        return self.gradient_norm <= STEEP * self.gradient_norm_full

    def remarks(self) -> list[str]:
        """Say what w is, of a quantized checkpoint; where the expansion fails, and where Q(w) is no minimum."""
        found = self._standing()
        if not self.taylor_valid.all():
            where = ", ".join(str(b) for b in self.bits[~self.taylor_valid])
            found.append(f"the expansion at w leaves over half of the change or more at {where} bits.")
        if not self.stationary().all():
            where = ", ".join(str(b) for b in self.bits[~self.stationary()])
            found.append(
                f"Q(w) is no minimum at {where} bits: the gradient is over {STEEP:g} times as long as at w"
                + (", and eigenvalues there are those of a slope." if self.lambda_max is not None else ".")
            )
        if self.origin.get("batchnorm") == "refit":
            found.append(
                "statistics of batch norm are refitted at every point, and held while differentiating: what their "
                "change does to the loss is in the remainder."
            )
        return found

    def _standing(self) -> list[str]:
        known = self.origin.get("quantization")
        if not known:
            return []
        widths = " and ".join(map(str, known.get("widths", {}).get("bits", []))) or "unknown"
        if (self.origin.get("quantized") or {}).get("quantized") == "dequant":
            return [
                f"w are the weights of a checkpoint that is rounded to {widths} bits already: what is told is the cost "
                "of rounding them again."
            ]
        return [
            f"w are the weights from before the rounding of a checkpoint of {widths} bits: all Q(w) are made anew, "
            "each weight to the nearest; the checkpoint's own are under --quantized dequant."
        ]

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell for every width loss, its change and accuracy on every split, and the measures of sharpness."""
        found = {}
        for i, count in enumerate(self.bits.tolist()):
            for s, split in enumerate(self.split.tolist()):
                found[f"bits_{count}_{split}_loss"] = self._pair("loss", s, i)
                found[f"bits_{count}_{split}_extra_loss"] = self._pair("loss_change", s, i)
                if self.accuracy is not None:
                    found[f"bits_{count}_{split}_accuracy"] = self._pair("accuracy", s, i)
            for name in ("lambda_max", "scaled", "trace", "bin_sharpness", "flip_mean", "flip_worst", "sam"):
                if getattr(self, name) is not None:
                    found[f"bits_{count}_{name}"] = self._pair(name, i)
        return found

    def _pair(self, name: str, *index: int) -> tuple[float, float]:
        errors = getattr(self, f"{name}_error", None)
        errors = getattr(self, f"{name}_residual") if errors is None else errors
        return float(getattr(self, name)[index]), float(errors[index])


def bits(
    objective: Objective,
    *,
    theta: torch.Tensor | None = None,
    bits: tuple[int, ...] = (8, 4, 3, 2, 1),
    family: str = "auto",
    calibration: str = "auto",
    symmetric: bool = True,
    channels: bool = True,
    percentile: float = 99.9,
    skip: tuple[str, ...] = (),
    curvature: bool = True,
    layers: bool = True,
    ascent: int = 6,
    flips: float = 0.05,
    draws: int = 6,
    rho: float = 0.01,
    spacing: float = 1e-5,
    points: int = 7,
    probes: int = 8,
    tolerance: float = 0.05,
    limit: int = 20,
    seed: int = 0,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bits:
    r"""Round the weights of a network to fewer and fewer bits: what it costs, why, and what lies around.

    .. math:: L(Q(w)) - L(w) = g^\top d + \tfrac12 d^\top H d + \text{remainder}, \qquad d = Q(w) - w

    Parameters
    ----------
    objective : Objective
        Without a view: the network of full precision, or the latent one of a quantized checkpoint. Batch norm is as the
        objective has it, at every point; refitted statistics are held while differentiating, so that what their change
        does to the loss is in the remainder.
    theta : Tensor of shape (D,), optional
        The network w of full precision; the objective's own parameters by default.
    bits : sequence of int, default=(8, 4, 3, 2, 1)
        Widths, from 1 to 8.
    family : {"auto", "narrow", "full", "midrise", "binary", "ternary", "levels"}
        Which levels: see `landscape.quantize.scheme.Scheme`. "auto" is narrow from 3 bits on, midrise at 2, binary at
        1; one family at all widths is compared more fairly.
    calibration : {"auto", "minmax", "percentile", "mse"}
        How far the levels reach. "auto" is minmax at 8 bits and mse below.
    symmetric : bool, default=True
        Ranges are symmetric about 0.
    channels : bool, default=True
        A grid for every output unit; else one for a whole weight.
    percentile : float, default=99.9
        Of calibration "percentile".
    skip : sequence of str, default=()
        Globs over layers that keep full precision; first and last are those of the network.
    curvature : bool, default=True
        Largest eigenvalues and traces, at w and at every Q(w).
    layers : bool, default=True
        Sensitivity of every weight: measured, and as predicted.
    ascent : int, default=6
        Steps of the search in the box of the bins.
    flips : float, default=0.05
        Share of the codes that are moved by one.
    draws : int, default=6
        Random draws of these codes, at least 2.
    rho : float, default=0.01
        Radius of SAM's step, relative to the length of Q(w).
    spacing : float, default=1e-5
        Distance of the neighbours of w that are rounded too, along random directions, in lengths of filters.
    points : int, default=7
        Points from each width to the next, ends included.
    probes : int, default=8
        Random vectors of each trace, at least 2.
    tolerance : float, default=0.05
        Residual of the eigenvalues, relative to them; their own relative error is about the square of it.
    limit : int, default=20
        Products for an eigenvalue, at most; what has not converged by then is marked.
    seed : int, default=0
        Of all random vectors and draws, which are the same for every width.
    store : callable, optional
        Opens part files that make the work resumable: a width is a part.
    progress : callable, optional
        Told (calls done, calls at most).

    Returns
    -------
    Bits

    Raises
    ------
    ValueError
        If the objective has a view or rounds its activations, a width does not fit the family, there is nothing to
        round, a knob is out of range, or a product is not finite.

    Notes
    -----
    All grids are calibrated at w once, frozen, and hashed into the origin. `step` is the root mean square over the
    rounded weights of the distance of neighbouring levels, and ``scaled`` is an eigenvalue times its square: scaling
    the weights and the network with them changes neither.

    `bin_sharpness` is what projected sign ascent finds, a lower bound of the maximum over
    :math:`|e_i| \le s_i / 2` around w: the set that post-training quantization chooses from. Codes that flip are the
    only neighbourhood that a deployed network has: a random share p of them, and as many of those whose step uphill
    times the gradient is largest. `flat` is measured at 20 points, both ways along 10 directions; it depends on
    `spacing` and on how many weights there are, `moved` on the former alone.

    Curvature at Q(w) is that of a point on a slope where the gradient is long; it is printed beside it.

    Cost, for each width: `points` - 1 evaluations of all splits; of the first split `ascent` + `draws` + 22
    evaluations and one for each weight, `ascent` gradients, and one product; `probes` and up to `limit` products with
    `curvature`, and one for each weight with `layers`.

    References
    ----------
    Yang et al. (2021), HERO: Hessian-enhanced robust optimization for unifying and improving generalization and
    quantization performance, arXiv:2111.11986 (the box of the bins);
    Dong et al. (2020), HAWQ-V2, arXiv:1911.03852 (Omega); Liu, Cai & Zhuang (2021), Sharpness-aware quantization for
    deep neural networks, arXiv:2111.12273 (SAM at the quantized weights).
    """
    settings = _settings(
        objective, bits=bits, family=family, calibration=calibration, symmetric=symmetric, channels=channels,
        percentile=percentile, skip=skip, curvature=curvature, layers=layers, ascent=ascent, flips=flips, draws=draws,
        rho=rho, spacing=spacing, points=points, probes=probes, tolerance=tolerance, limit=limit, seed=seed,
    )  # fmt: skip
    from landscape.probes._bits_arrays import measured  # it imports torch, which reading a result does not need

    by_split = {name for name, told in Bits.declared().items() if told["dims"][:1] == ("split",)}
    return Bits(**measured(objective, theta, settings, by_split, store, progress))


def cost(objective: Objective, **knobs: Any) -> Cost:
    """Tell what all widths cost at most; a gradient counts as half a product, a split by its share of the examples."""
    from landscape.probes._bits_width import axes
    from landscape.probes._contract import defaults

    settings = _settings(objective, **defaults("bits") | knobs)
    whole, each = settings.most(len(axes(objective, settings.skip)))
    for _ in settings.schemes:
        whole += each
    share = objective.size / sum(part.size for part in objective.examples.values())
    return Cost(
        points=math.ceil(whole["points"] + share * whole["evaluations"]),
        products=math.ceil(whole["products"] + whole["gradients"] / 2),
        vectors=40 if settings.curvature or settings.layers else 12,
    )


def _settings(
    objective: Objective, *, bits: tuple[int, ...] | int, family: str, calibration: str, symmetric: bool,
    channels: bool, percentile: float, skip: tuple[str, ...] | str, **knobs: Any,
) -> Settings:  # fmt: skip
    """Check all knobs, and order the widths from wide to narrow."""
    from landscape.probes._bits_work import Settings
    from landscape.quantize.scheme import Scheme

    if objective.network.view is not None:
        raise ValueError(
            "Expected the network of full precision, got one seen through a quantizer: this probe rounds by itself; "
            "leave --quantized out."
        )
    objective.require_derivatives()
    given = bits if isinstance(bits, (tuple, list)) else (bits,)
    if not given:
        raise ValueError("Expected widths such as 8,4,2, got none: give some.")
    shared = {"calibration": calibration, "symmetric": symmetric, "channels": channels, "percentile": percentile}
    schemes = [Scheme(count, family, **shared) for count in given]
    schemes = sorted({scheme.bits: scheme for scheme in schemes}.values(), key=lambda scheme: -scheme.bits)
    _check(knobs)
    return Settings(schemes=tuple(schemes), skip=(skip,) if isinstance(skip, str) else tuple(skip), **knobs)


def _check(knobs: dict[str, Any]) -> None:
    least = {"ascent": 1, "draws": 2, "points": 3, "probes": 2, "limit": 1}
    for name, lowest in least.items():
        if knobs[name] < lowest:
            raise ValueError(f"Expected {name} >= {lowest}, got {knobs[name]}: it is a number of them.")
    for name in ("rho", "spacing", "tolerance"):
        if not 0 < knobs[name] < math.inf:
            raise ValueError(f"Expected {name} > 0, got {knobs[name]:g}: it is a relative size.")
    if not 0 < knobs["flips"] <= 1:
        raise ValueError(f"Expected flips above 0, up to 1, got {knobs['flips']:g}: it is a share of the codes.")
