"""BinaryConnect: binary weights in both passes, full precision for their updates."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from landscape.quantize.estimators.identity import identity
from landscape.quantize.grid import Grid
from landscape.quantize.layers import skipped
from landscape.quantize.parametrization import Make, put_on, quantizers
from landscape.quantize.rounding import randomized
from landscape.quantize.scheme import Scheme
from landscape.quantize.through import through
from landscape.quantize.trained.scaled import Scaled, require_scale
from landscape.train.method import Method
from landscape.train.observers.clip import clip
from landscape.train.observers.codes import Codes
from landscape.train.observers.draw import draw
from landscape.train.observers.settle import Settle

BINARY = Scheme(1)


def binaryconnect(*, stochastic: bool = False, scale: str = "kaiming", skip: str = "") -> Method:
    """Train latent weights w through binary ones, and clip them to [-H, H] after each step.

    Both passes see ``H sign(w)``, or, where stochastic, H with probability ``clip((w / H + 1) / 2, 0, 1)`` and else -H.
    The gradient in the binary weights is given to the latent ones as it is. Deployed is ``H sign(w)``, with
    ``sign(0) = 1``.

    Parameters
    ----------
    stochastic : bool, default=False
        Whether the weights are binarized at random in training.
    scale : str
        What H is: kaiming, ``sqrt(2 / inputs)`` of the layer; glorot, ``sqrt(1.5 / (inputs + outputs))``; layer or
        channel, the mean absolute weight of the layer, or of every output channel, at the beginning; one.
    skip : str
        Layers that keep full precision, with ``/`` between them: globs over names, first, last.

    Raises
    ------
    ValueError
        If the scale is unknown, or there is nothing to quantize.

    Notes
    -----
    One gradient evaluation a step. H stands still from the beginning.

    The paper has H = 1, batch norm after every layer, and learning rates scaled by Glorot's coefficients; where a batch
    norm follows, ``scale=glorot`` at the given learning rate amounts to the same with SGD. ``scale=one`` does not scale
    them: latent weights are then large beside the steps of usual learning rates. Without batch norm H = 1 makes outputs
    that grow with the width of a layer; the default, which keeps their variance through ReLU, is ours.

    Latent weights begin as those of the layer, times one number such that their mean is ``|w| = H / 2``. Where they are
    uniform, as torch makes them, they are then uniform over [-H, H], as in the released code; stochastic weights begin
    neither as pure noise nor without any.

    Stochastic weights are drawn anew for each step, from the run's stream of perturbations. Further passes of a step,
    as of SAM, compare with the same random numbers: a weight flips only where the displacement carries it across its
    number. Batch-norm statistics are found afresh at the end, for the weights that are deployed.

    The weight decay of the optimizer acts on the latent weights: it does not shrink the binary ones, and makes signs
    flip more easily. The paper uses none. The history tells `changed`, the rate of sign changes, and `distance`.

    References
    ----------
    Courbariaux, Bengio & David (2015), BinaryConnect: training deep neural networks with binary weights during
    propagations, arXiv:1511.00363.
    """
    require_scale(scale, BINARY)
    kind = Drawn if stochastic else Scaled

    def make(weight: Tensor, axis: int) -> Scaled:
        return kind(weight, BINARY, axis, identity, scale=scale)

    seen = (*([lambda: draw, partial(Settle, displaced=True)] if stochastic else []), Codes)
    put = partial(_put, make=make, skip=skipped(skip))
    return Method(quantizer=put, observers=seen, corrections=(lambda: clip,))


@torch.no_grad()
def _put(model: nn.Module, make: Make, skip: tuple[str, ...]) -> None:
    put_on(model, make, skip)
    for quantizer, latent in quantizers(model).values():
        scale = quantizer.grid_at(latent).scale
        alike = [axis for axis, size in enumerate(scale.shape) if size == 1]
        mean = latent.abs().mean(alike, keepdim=True).clamp(min=torch.finfo(latent.dtype).tiny)
        latent.mul_(scale / (2 * mean))


class Drawn(Scaled):
    """A parametrization that rounds at random while training, by numbers that lie in a buffer.

    Attributes
    ----------
    uniform : Tensor of the shape of the weight
        From 0 to below 1; 1/2, which rounds to the nearest, until they are drawn.
    """

    def __init__(self, weight: Tensor, *made: object, **knobs: object) -> None:
        super().__init__(weight, *made, **knobs)  # pyright: ignore[reportArgumentType]
        self.register_buffer("uniform", torch.full_like(weight, 0.5, requires_grad=False))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has."""
        return drawn(weight, self.grid, uniform=self.uniform) if self.training else self.hard(weight)


def drawn(weight: Tensor, grid: Grid, *, uniform: Tensor) -> Tensor:
    """Return the weight rounded at random, whose derivative is taken to be 1."""
    return through(weight, randomized(weight, grid, uniform))
