"""The geometry of an elastic band: its tangents, its pivots' places, and where further pivots go."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

ROUNDS = 30  # of moving pivots along the chain, whose corners they cut
TOLERANCE = 1e-4  # of the length of a piece, relative to its share


def tangents(points: Tensor, energies: Tensor) -> Tensor:
    r"""Return the unit tangents of a chain at its inner points, from the differences to their higher neighbours.

    With :math:`\tau^+ = R_{i+1} - R_i` and :math:`\tau^- = R_i - R_{i-1}` the tangent is the one of both that leads
    upwards where the energy V is monotonic, and at extrema

    .. math:: \tau^+ \Delta_{\max} + \tau^- \Delta_{\min} \text{ if } V_{i+1} > V_{i-1}, \quad
        \tau^+ \Delta_{\min} + \tau^- \Delta_{\max} \text{ otherwise}

    with the larger and the smaller of :math:`|V_{i+1} - V_i|` and :math:`|V_{i-1} - V_i|`.

    Parameters
    ----------
    points : Tensor of shape (K, D)
    energies : Tensor of shape (K,)

    Returns
    -------
    Tensor of shape (K - 2, D)
        Zero where the chain turns back on itself. Where three energies are equal both neighbours count alike.

    References
    ----------
    Henkelman & Jonsson (2000), Improved tangent estimate in the nudged elastic band method for finding minimum energy
    paths and saddle points, J. Chem. Phys. 113: equations 8 to 11.
    """
    up, down = energies[2:] - energies[1:-1], energies[:-2] - energies[1:-1]
    large, small = torch.maximum(up.abs(), down.abs()), torch.minimum(up.abs(), down.abs())
    ahead = torch.where(up > down, large, small)
    behind = torch.where(up > down, small, large)
    rising, falling = (up > 0) & (down < 0), (up < 0) & (down > 0)
    flat = (up == 0) & (down == 0)
    ahead = ahead.masked_fill(rising | flat, 1).masked_fill(falling, 0)
    behind = behind.masked_fill(falling | flat, 1).masked_fill(rising, 0)
    weights = torch.stack([ahead, behind]) / (ahead + behind)
    steps = points.diff(dim=0)
    tiny = torch.finfo(points.dtype).tiny
    return normalize(weights[0, :, None] * steps[1:] + weights[1, :, None] * steps[:-1], dim=1, eps=tiny)


def perpendicular(vectors: Tensor, directions: Tensor) -> Tensor:
    """Take from vectors (K, D) what they have along unit vectors (K, D)."""
    return vectors - (vectors * directions).sum(1, keepdim=True) * directions


def redistributed(points: Tensor, shares: Tensor) -> Tensor:
    """Move the inner points of a chain along it until its pieces have given shares of its length.

    It is what springs between pivots come to as they become infinitely stiff. Points that move cut corners, so that it
    is done again until the shares are met to a relative 1e-4, or, where a chain folds back on itself, for 30 rounds.

    Parameters
    ----------
    points : Tensor of shape (K, D)
        The ends stay.
    shares : Tensor of shape (K - 1,), float64, on the CPU
        Positive, with the sum 1.

    Returns
    -------
    Tensor of shape (K - 2, D)

    Notes
    -----
    Lengths come from the inner products of the pieces: one product of K x D matrices, however many rounds it takes.
    """
    steps = points.diff(dim=0)
    gram = (steps @ steps.T).to("cpu", torch.float64)
    mix = torch.eye(len(steps), dtype=torch.float64)  # of the pieces as they are, into those that are to be
    for round_ in range(ROUNDS):
        lengths = ((mix @ gram) * mix).sum(1).clamp(min=0).sqrt()
        if ((lengths / lengths.sum() - shares).abs() <= TOLERANCE * shares).all():
            if round_ == 0:
                return points[1:-1].clone()
            break
        mix = _covered(lengths, shares) @ mix
    return points[0] + mix.cumsum(0)[:-1].to(points) @ steps


def inserted(points: Tensor, shares: Tensor, energies: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Add a point to each piece of a chain between whose ends the energy rises too far above their interpolation.

    Parameters
    ----------
    points : Tensor of shape (K, D)
    shares : Tensor of shape (K - 1,)
        Of the pieces in the length; that of a piece with a new point is divided where the point lies.
    energies : Tensor of shape (K - 1, S + 2)
        At evenly spaced positions of each piece, its ends included.
    threshold : float
        How far is too far, as a share of the range of all energies.

    Returns
    -------
    points, shares : Tensor
        The new point of a piece lies where the energy is highest above the interpolation.
    """
    fractions = torch.linspace(0, 1, energies.shape[1]).to(energies)
    excess = energies - torch.lerp(energies[:, :1], energies[:, -1:], fractions)
    top, where = excess[:, 1:-1].max(1)
    chosen = top > threshold * (energies.max() - energies.min())
    new_points, new_shares = [points[0]], []
    for k, share in enumerate(shares.tolist()):
        if chosen[k]:
            fraction = float(fractions[1 + where[k]])
            new_points.append(torch.lerp(points[k], points[k + 1], fraction))
            new_shares += [share * fraction, share * (1 - fraction)]
        else:
            new_shares.append(share)
        new_points.append(points[k + 1])
    return torch.stack(new_points), torch.tensor(new_shares, dtype=shares.dtype)


def _covered(lengths: Tensor, shares: Tensor) -> Tensor:
    """Return which part of every piece (columns) lies between the new places of points (rows), along the chain."""
    nothing = lengths.new_zeros(1)
    old = torch.cat([nothing, lengths.cumsum(0)])
    new = torch.cat([nothing, shares.cumsum(0)]) * old[-1]
    new[-1] = old[-1]
    low = torch.maximum(new[:-1, None], old[:-1])
    high = torch.minimum(new[1:, None], old[1:])
    return (high - low).clamp(min=0) / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
