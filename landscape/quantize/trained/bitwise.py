"""Weights that are sums of soft bits, and layers that learn which bits they have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape.quantize.grid import Grid
from landscape.quantize.parametrization import Quantizer

BITS = 7  # candidates a layer at most: with the sign, the widest grid
SATURATED = 40.0  # logits beyond which a bit is decided: sigmoid(-40) is 4e-18


class Bitwise(Quantizer):
    r"""A parametrization by bits: with the candidates i = 1 ... N of a layer,

    .. math:: W = \frac{s}{2^N - 1} \sum_i 2^{N-i}\, [\sigma(\beta p_i) - \sigma(\beta n_i)]\, \sigma(\beta m_i),

    with logits p and n of every weight and m of the layer. Deployed are the steps in the place of the sigmoids: a bit
    is on where its logit is positive, a mask where its is not negative (those that never moved stand at 0, and are on).

    The trained tensors are p, n, m and s; the latent weight is none of them. In its place (the parametrization's
    ``original``) stands the scale s.

    Parameters
    ----------
    weight : Tensor
        Whose N bits, of its size relative to the largest, p and n begin with: 1 where a bit is on and 0 where it is
        off, as in the released code; masks begin at 0.
    bits : int
        N, from 1 to 7. The sign is not counted: N bits are ``2^(N+1) - 1`` values. The paper has 8 of them; 7 are the
        codes of symmetric quantization to 8 bits.

    Notes
    -----
    The published scale begins with the largest weight, and the soft bits and masks then make the network smaller than
    it was, by ``(sigma(1) - 1/2) / 2``. Here the scale begins with that undone, such that a run begins at the N-bit
    quantization of its weights: this is ours.

    Memory of 2 N copies of the weight.

    References
    ----------
    Xiao et al. (2023), CSQ: growing mixed-precision quantization scheme with bi-level continuous sparsification,
    arXiv:2212.02770; their code.
    """

    def __init__(self, weight: Tensor, bits: int = BITS) -> None:
        super().__init__()
        self.bits = bits
        with torch.no_grad():
            reach = _positive(weight.abs().amax())
            codes = (weight * ((2**bits - 1) / reach)).round()
            powers = 2.0 ** torch.arange(bits - 1, -1, -1, dtype=weight.dtype, device=weight.device)
            on = (codes.abs() / _over(powers, weight)).floor() % 2
            self.positive = nn.Parameter(on * (codes > 0), requires_grad=weight.requires_grad)
            self.negative = nn.Parameter(on * (codes < 0), requires_grad=weight.requires_grad)
            self.mask = nn.Parameter(torch.zeros_like(powers), requires_grad=weight.requires_grad)
        self.register_buffer("reach", reach.clone())
        self.register_buffer("powers", powers)
        self.register_buffer("beta", torch.ones_like(reach))
        self.register_buffer("decided", torch.ones_like(powers))
        self.register_buffer("hardened", torch.tensor(False, device=weight.device))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return what is trained in the place of the weight: the scale."""
        shrunk = (torch.sigmoid(self.beta) - 0.5) / 2
        return (self.reach / shrunk).reshape([1] * weight.ndim)

    @torch.no_grad()
    def harden(self) -> None:
        """Decide, for good, which masks are on."""
        self.decided.copy_(self.mask >= 0)
        self.hardened.fill_(True)

    @property
    def masks(self) -> Tensor:
        """The masks (N,) from the highest bit to the lowest: soft until they are decided."""
        return torch.where(self.hardened, self.decided, _step(self.beta * self.mask))

    @property
    def active(self) -> Tensor:
        """Which bits (N,) a deployed weight has, as zeros and ones."""
        return torch.where(self.hardened, self.decided, (self.mask >= 0).to(self.mask.dtype)).detach()

    def latent(self, weight: Tensor) -> Tensor:
        """Return the soft weight, given the scale."""
        digits = _step(self.beta * self.positive) - _step(self.beta * self.negative)
        return (digits * _over(self.masks * self.powers, weight)).sum(0) * (weight / (2**self.bits - 1))

    @torch.no_grad()
    def hard(self, weight: Tensor) -> Tensor:
        """Return the deployed weight, given the scale."""
        digits = (self.positive > 0).to(weight.dtype) - (self.negative > 0).to(weight.dtype)
        codes = (digits * _over(self.active * self.powers, weight)).sum(0)
        return codes * weight.sign() * self._unit(weight)

    @torch.no_grad()
    def grid_at(self, weight: Tensor) -> Grid:
        """Return the values that the bits of the layer can make, given the scale.

        Where they lie at equal distances, as those of neighbouring bits do, the grid is uniform; else it has levels. A
        layer without a bit is all 0, and lies on a grid of 1 bit whose other value has no use.
        """
        unit = self._unit(weight)
        zero, codes = torch.zeros_like(unit), _sums([int(p) for p in (self.active * self.powers).tolist() if p])
        top, bits = len(codes) // 2, max(1, (len(codes) - 1).bit_length())
        if top == 0:
            return Grid("uniform", bits, 0, 1, unit, zero)
        step = codes[top + 1]
        if codes[-1] == top * step:
            return Grid("uniform", bits, -top, top, unit * step, zero)
        levels = torch.tensor(codes, dtype=weight.dtype, device=weight.device) * unit.unsqueeze(-1)
        return Grid("levels", bits, 0, 2 * top, unit * (codes[-1] / top), zero, levels)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has, given the scale."""
        return self.latent(weight) if self.training else self.hard(weight)

    def _unit(self, scale: Tensor) -> Tensor:
        return _positive(scale.detach().abs()) / (2**self.bits - 1)


def _step(x: Tensor) -> Tensor:
    """Return a sigmoid that is flat where a sigmoid is 0 or 1 to the last digit: what is smaller is slow to compute."""
    return torch.sigmoid(x.clamp(-SATURATED, SATURATED))


def _over(numbers: Tensor, weight: Tensor) -> Tensor:
    """Give every bit its number: (N,) -> (N, 1, ...)."""
    return numbers.reshape(-1, *[1] * weight.ndim)


def _positive(scale: Tensor) -> Tensor:
    return scale.clamp(min=torch.finfo(scale.dtype).eps ** 2)


def _sums(powers: list[int]) -> list[int]:
    """Return all sums of numbers each of which is added, taken off or left out, in ascending order.

    Examples
    --------
    >>> _sums([4, 1])
    [-5, -4, -3, -1, 0, 1, 3, 4, 5]
    """
    found = {0}
    for power in powers:
        found |= {s + sign * power for s in found for sign in (-1, 1)}
    return sorted(found)
