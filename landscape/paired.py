"""Statistics of paired comparisons: the same seeds under several methods, and many such comparisons at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

SCALES = ("linear", "log")
ROUNDING = 16 * np.finfo(float).eps  # relative to the values: differences that vary no more do not vary


@dataclass(frozen=True, eq=False)
class Paired:
    """Paired differences of several methods to one of them, the baseline; NaN where there is no answer.

    Attributes
    ----------
    differences : ndarray of shape (M, S)
        Of a method and a seed, minus the baseline of this seed; of logarithms on the log scale. NaN where either is.
    pairs, lower, higher : ndarray of shape (M,), int
        Seeds with a difference that is finite; those below zero, and above.
    mean, error : ndarray of shape (M,)
        Mean difference, and its standard error over seeds; the latter NaN of a single pair.
    low, high : ndarray of shape (M,)
        Ends of the t interval for the mean.
    p : ndarray of shape (M,)
        Two-sided paired t-test of no difference.
    p_sign : ndarray of shape (M,)
        Exact two-sided sign test; ties are left out.
    effect : ndarray of shape (M,)
        Cohen's d_z: mean over standard deviation of the differences.
    """

    differences: np.ndarray
    pairs: np.ndarray
    lower: np.ndarray
    higher: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_sign: np.ndarray
    effect: np.ndarray


def paired(values: np.ndarray, *, baseline: int = 0, scale: str = "linear", level: float = 0.95) -> Paired:
    r"""Compare methods with a baseline, seed by seed.

    .. math:: d_s = x_s - b_s \quad\text{or}\quad \log x_s - \log b_s, \qquad t = \bar d \sqrt n / s_d

    Parameters
    ----------
    values : array of shape (M, S)
        A row for each method, a column for each seed; NaN where there is no value.
    baseline : int, default=0
        Row that the others are compared with; its own differences are zero, and it has no test.
    scale : {"linear", "log"}
        Differences, or differences of logarithms: log-ratios.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    Paired

    Raises
    ------
    ValueError
        If the values are not a table, the level is no probability, the scale is unknown, or a logarithm is asked of a
        value that is not positive.

    Notes
    -----
    A pair is left out if one of its values is not finite: the mean is then that of the pairs that are left. Where all
    differences are equal (to rounding) the t statistic does not exist: interval, p and effect are NaN, and the sign
    test remains. The interval covers the mean difference with the given probability if differences are normal.

    Examples
    --------
    >>> found = paired(np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 1.0, 2.5, 3.0]]))
    >>> found.mean[1], found.error[1].round(4), found.lower[1], found.p_sign[1]
    (np.float64(-0.75), np.float64(0.1443), np.int64(4), np.float64(0.125))
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"Expected values of shape (methods, seeds), got {values.shape}: give a row for each method.")
    if not 0 < level < 1:
        raise ValueError(f"Expected a level between 0 and 1, got {level}: such as 0.95.")
    values = _scaled(values, scale)
    least = float(scale == "log")  # rounding a value by a share moves its logarithm by as much
    largest = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=1, initial=least)
    size = np.maximum(largest, largest[baseline])
    with np.errstate(invalid="ignore"):
        differences = values - values[baseline]
    differences[~np.isfinite(differences)] = np.nan
    rows = [_row(row[np.isfinite(row)], s, level) for row, s in zip(differences, size.tolist(), strict=True)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name in ("low", "high", "p", "p_sign", "effect"):
        columns[name][baseline] = np.nan
    return Paired(differences=differences, **columns)


def mean(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average numbers of examples (..., n) of weights (n,) -> (...), and tell the standard error.

    Both are those of `landscape.engine.moments.Measurement`: the numbers are sums over what an example holds (tokens of
    a sequence), of which its weight is the count. The error of one example is NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = values.sum(-1) / weight.sum()
        apart = ((values - weight * found[..., None]) ** 2).sum(-1)
        n = len(weight)
        return found, np.sqrt(apart / (1 - 1 / n if n > 1 else np.nan)) / weight.sum()


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values for their number by Holm's step-down method: the chance of any false rejection is bounded.

    Parameters
    ----------
    p : array of any shape
        NaN where no test was made: it stays NaN, and does not count.

    Returns
    -------
    ndarray of the same shape
        At least p, at most p times the number of tests (and 1), in the order of p.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03, np.nan])).round(6).tolist()
    [0.03, 0.06, 0.06, nan]
    """
    p = np.asarray(p, dtype=float)
    found = np.full(p.shape, np.nan)
    made = ~np.isnan(p)
    order = np.argsort(p[made], kind="stable")
    steps = p[made][order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    found[made] = corrected
    return found


def _scaled(values: np.ndarray, scale: str) -> np.ndarray:
    if scale not in SCALES:
        raise ValueError(f"Expected a scale, one of {', '.join(SCALES)}, got {scale!r}: choose one of them.")
    if scale == "linear":
        return values
    if (values <= 0).any():
        raise ValueError(f"Expected positive values on the log scale, got {np.nanmin(values):g}: use the linear one.")
    return np.log(values)


def _row(differences: np.ndarray, size: float, level: float) -> dict[str, float | int]:
    """Summarize the finite differences of one method, between values of a certain size."""
    count, lower, higher = len(differences), int((differences < 0).sum()), int((differences > 0).sum())
    nothing = dict.fromkeys(("mean", "error", "low", "high", "p", "p_sign", "effect"), np.nan)
    found = nothing | {"pairs": count, "lower": lower, "higher": higher}
    if count:
        found["mean"] = float(differences.mean())
    if lower + higher:
        found["p_sign"] = float(stats.binomtest(lower, lower + higher).pvalue)
    if count < 2:
        return found
    spread = float(differences.std(ddof=1))
    if spread <= ROUNDING * max(size, np.abs(differences).max()):
        return found | {"error": 0.0}
    error = spread / np.sqrt(count)
    reach = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return found | {
        "error": error, "low": found["mean"] - reach, "high": found["mean"] + reach,
        "p": float(2 * stats.t.sf(abs(found["mean"]) / error, count - 1)), "effect": found["mean"] / spread,
    }  # fmt: skip
