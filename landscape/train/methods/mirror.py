"""Mirror descent onto binary or ternary weights."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import put_on
from landscape.quantize.trained.annealing import Annealed
from landscape.train.method import Method
from landscape.train.methods.annealed import growing, require_scheme
from landscape.train.observers.anneal import anneal, anneal_still
from landscape.train.observers.codes import Codes
from landscape.train.observers.settle import Settle


def mirror(
    *,
    start: float = 1.0,
    end: float = 100.0,
    stable: bool = True,
    family: str = "binary",
    scale: str = "kaiming",
    skip: str = "",
) -> Method:
    """Step in the dual u of weights ``w = s tanh(beta u / s)`` by the gradient in w, with beta growing.

    The mirror map is ``u = s / beta atanh(w / s)``. With s = 1 a step ``u <- u - lr d`` along the direction d of the
    optimizer is the multiplicative update

        r = (1 + w) / (1 - w) exp(-2 beta lr d),    w <- (r - 1) / (r + 1)

    Between steps beta grows geometrically. The stable variant keeps u, so that weights harden; the multiplicative one
    keeps w. Deployed is ``s sign(u)``, or the nearest of -s, 0 and s.

    Parameters
    ----------
    start, end : float
        beta at the beginning and at the end of the run.
    stable : bool, default=True
        Whether u stands still as beta grows (MD-tanh-S in the paper), and not w (MD-tanh).
    family : str
        What the weights become; ternary ones, ``s / 2 (tanh(beta (u / s + 1/2)) + tanh(beta (u / s - 1/2)))``, are
        stable only.
    scale : str
        What s is, once and for all: kaiming, ``sqrt(2 / inputs)`` of the layer; glorot, ``sqrt(1.5 / (inputs +
        outputs))``; layer or channel, as calibrated for the layer, or for every output channel, at the beginning (the
        mean absolute weight of binary grids); one, as in the paper.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If a knob is out of range or unknown, the others do not fit, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. The optimizer is that of the settings: the paper's is Adam. Both variants hold u:
    the multiplicative update is the one above to rounding, without its overflow, and a weight that has become exactly 1
    can turn back. There u shrinks as beta grows: an average, which is one of u, counts late weights less, and suits the
    stable variant better.

    The scale, for networks without batch norm, is ours, and so is the schedule: in the released code beta grows by a
    factor of 1.02 every 200 steps (1.01 every 100 without the stable variant). The paper begins with random weights
    or trained ones; both begin as u here, which squeezes weights beyond s.

    The latent weights of the checkpoint are the soft w, at the last beta. The history tells `distance`, that of soft
    from deployed weights in steps of the grid, and `changed`, the share of weights that changed their value. Batch-norm
    statistics are found afresh at the end, for the deployed weights. The weight decay of the optimizer acts on u, and
    keeps it from growing: where u is large, a sign needs many steps to turn.

    References
    ----------
    Ajanthan et al. (2021), Mirror descent view for neural network quantization, arXiv:1910.08237.
    """
    schedule, scheme = growing(start, end, name="mirror"), require_scheme(family, scale)
    if family != "binary" and not stable:
        raise ValueError(f"Expected stable=true for {family} weights, got stable=false: its map has no such inverse.")

    def make(weight: Tensor, axis: int) -> Annealed:
        return Annealed(weight, scheme, axis, scale=scale, beta=start, straight=True)

    return Method(
        quantizer=partial(put_on, make=make, skip=skipped(skip)),
        schedules={"beta": schedule},
        observers=(lambda: anneal if stable else anneal_still, partial(Settle, displaced=True), Codes),
    )
