"""What can be told of a spectrum from quadrature nodes and weights, each with its standard error over probes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

DECADES = 0.1  # standard deviation of the smoothing of a logarithmic density
NEAR = 1e-3  # of the largest modulus, below which an eigenvalue counts as near zero
FINER = 4  # times finer than the mean distance of nodes: the smoothing of a density


class OnSpectrum:
    r"""Averages over the eigenvalues, as every random vector estimates them.

    .. math:: \tfrac1D \sum_j f(\lambda_j) \approx \tfrac1D \sum_{j \in \text{outliers}} f(\lambda_j)
        + \tfrac1P \sum_p \sum_i w_{pi} f(t_{pi})

    Every answer is a pair (mean, standard error over probes); the error of a single probe is NaN.
    """

    node: np.ndarray
    weight: np.ndarray
    outlier: np.ndarray | None
    dimension: np.ndarray

    @property
    def scale(self) -> float:
        """The largest modulus of an eigenvalue, in nats."""
        return float(np.abs(np.concatenate([self.node.ravel(), self._taken()])).max())

    @property
    def width(self) -> float:
        """The smoothing that `density` has by default: a quarter of the mean distance of the nodes, in nats.

        Finer details than the distance of the nodes are not resolved in the middle of a spectrum; toward the ends, and
        by several probes together, they are. Outliers that were taken out do not count.
        """
        low, high = self.node.min(), self.node.max()
        return float((high - low) or self.scale or 1.0) / (FINER * self.node.shape[1])

    def average(self, function: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Average a function over all eigenvalues.

        Parameters
        ----------
        function : callable (n,) -> (n,) or (n, G)
            Of eigenvalues.

        Returns
        -------
        mean, error : float or ndarray of shape (G,)
        """
        return averaged(function, self.node, self.weight, self.outlier, int(self.dimension))

    def density(self, grid: np.ndarray, width: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Tell the density of eigenvalues, smoothed by a Gaussian; its integral is 1.

        Parameters
        ----------
        grid : array of shape (G,)
            Eigenvalues, in nats.
        width : float, optional
            Standard deviation of the Gaussian, in nats; by default the attribute `width`.

        Returns
        -------
        density, error : ndarray of shape (G,), in 1 / nat

        Raises
        ------
        ValueError
            If the width is not positive.
        """
        width = self.width if width is None else _positive(width)
        grid = np.asarray(grid, dtype=float)
        return self.average(lambda values: _bell((grid - values[:, None]) / width) / width)

    def log_density(self, modulus: np.ndarray, width: float = DECADES) -> tuple[np.ndarray, np.ndarray]:
        """Tell the density of negative and of positive eigenvalues over the decades of their modulus.

        Parameters
        ----------
        modulus : array of shape (G,)
            Moduli of eigenvalues, positive, in nats.
        width : float, default=0.1
            Standard deviation of the Gaussian that smooths, in decades.

        Returns
        -------
        density, error : ndarray of shape (2, G), in 1 / decade
            First of the negative, then of the positive eigenvalues: both integrals add up to 1, less what is zero.

        Raises
        ------
        ValueError
            If a modulus or the width is not positive.

        References
        ----------
        Papyan (2020), Traces of class/cross-class structure pervade deep learning spectra, arXiv:2008.11865.
        """
        modulus, width = np.asarray(modulus, dtype=float), _positive(width)
        if not (modulus > 0).all():
            raise ValueError(f"Expected positive moduli, got {modulus.min()}: both signs are told for each.")
        decades = np.log10(modulus)

        def branch(sign: int) -> tuple[np.ndarray, np.ndarray]:
            def bells(values: np.ndarray) -> np.ndarray:
                there = np.sign(values) == sign
                where = np.log10(np.abs(values), where=there, out=np.zeros_like(values))
                return there[:, None] * _bell((decades - where[:, None]) / width) / width

            return self.average(bells)

        mean, error = zip(branch(-1), branch(1), strict=True)
        return np.stack(mean), np.stack(error)

    def cumulative(self, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell the fraction of eigenvalues that are at most each of some values: (G,) -> (G,), (G,)."""
        grid = np.asarray(grid, dtype=float)
        return self.average(lambda values: (values[:, None] <= grid).astype(float))

    def cumulative_bounds(self, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bound what `cumulative` would tell of the same probes, had they made all steps: (G,) -> lower, upper (G,).

        These are the inequalities of Chebyshev, Markov and Stieltjes: at a node the distribution lies between
        the sums of the weights before it and up to it. Together with the standard error over probes they say how well
        the distribution is known; steps bring them closer, probes do not.

        References
        ----------
        Szego (1939), Orthogonal polynomials, section 3.41; Chen, Trogdon & Ubaru (2021), Analysis of stochastic Lanczos
        quadrature for spectrum approximation, arXiv:2105.06595.
        """
        grid = np.asarray(grid, dtype=float)
        taken = (self._taken()[:, None] <= grid).sum(0) / float(self.dimension)
        found = np.stack([_markov(t, w, grid) for t, w in zip(self.node, self.weight, strict=True)])
        lower, upper = found.mean(0) + taken
        return lower, upper

    def mass_below(self, value: float | None = None) -> tuple[float, float]:
        """Tell the fraction of eigenvalues below a value, in nats; by default below -1e-3 of the largest modulus.

        The default is the mass that is truly negative. Most eigenvalues of a network are zero or nearly so, and stand
        in the density as one node beside zero, on a side that means nothing: ``mass_below(0.0)`` counts it or does not,
        and its standard error does not know. What the steps leave open at a value, `cumulative_bounds` tells.
        """
        limit = -NEAR * self.scale if value is None else value
        mass, error = self.average(lambda values: (values < limit).astype(float))
        return float(mass), float(error)

    def mass_near(self, epsilon: float = NEAR) -> tuple[float, float]:
        """Tell the fraction of eigenvalues whose modulus is below `epsilon` times the largest one."""
        limit = _positive(epsilon) * self.scale
        mass, error = self.average(lambda values: (np.abs(values) < limit).astype(float))
        return float(mass), float(error)

    def remarks(self) -> list[str]:
        """Say how many eigenvalues are negative, and how many nearly zero."""
        (below, below_error), (near, near_error) = self.mass_below(), self.mass_near()
        limit = f"{NEAR:g} of the largest modulus"
        return [
            f"below -{limit}: {_share(below, below_error)} of the eigenvalues",
            f"within {limit}: {_share(near, near_error)} of them",
        ]

    def moment(self, degree: int) -> tuple[float, float]:
        """Average a power of the eigenvalues, tr A^k / D; without bias for degrees below twice the steps."""
        moment, error = self.average(lambda values: values**degree)
        return float(moment), float(error)

    def _taken(self) -> np.ndarray:
        return np.zeros(0) if self.outlier is None else self.outlier


def averaged(
    function: Callable[[np.ndarray], np.ndarray],
    node: np.ndarray,
    weight: np.ndarray,
    outlier: np.ndarray | None,
    dimension: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Average a function over all eigenvalues, with the standard error over probes: see `OnSpectrum.average`."""
    exact = 0.0 if outlier is None else function(outlier).sum(0) / dimension
    samples = np.stack([w @ function(t) for t, w in zip(node, weight, strict=True)]) + exact
    if len(samples) == 1:
        return samples[0], np.full(samples.shape[1:], math.nan)
    return samples.mean(0), samples.std(0, ddof=1) / math.sqrt(len(samples))


def _markov(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Bounds of the distribution of one probe, (2, G): known at nodes, monotone between them."""
    real = weights > 0
    sums = np.concatenate([[0.0], np.cumsum(weights[real])])
    at_most, below = (np.searchsorted(nodes[real], grid, side=side) for side in ("right", "left"))
    lower = sums[np.maximum(at_most - 1, 0)]
    upper = sums[np.minimum(below + 1, len(sums) - 1)]
    return np.stack([lower, upper])


def _share(value: float, error: float) -> str:
    return f"{100 * value:.3g} %" if math.isnan(error) else f"{100 * value:.3g} ± {100 * error:.2g} %"


def _bell(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _positive(width: float) -> float:
    if not width > 0:
        raise ValueError(f"Expected a positive width, got {width}: it is a scale of the eigenvalues.")
    return width
