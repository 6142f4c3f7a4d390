"""Stochastic weight averaging with a Gaussian around the average."""

from __future__ import annotations

from dataclasses import replace

from landscape.train.method import Method
from landscape.train.methods.swa import swa
from landscape.train.observers.average import tail
from landscape.train.observers.moments import Moments


def swag(*, start: float = 0.75, every: int = 1, lr: float | None = None, rank: int = 20) -> Method:
    r"""Average the weights of the last epochs at a high learning rate, and keep the Gaussian that they describe.

    Learning rate, average and last iterate are those of ``swa``. Beside them the checkpoint holds, as moments, the
    variance of every weight and the last `rank` deviations from the running mean: a Gaussian over networks, of low rank
    plus diagonal, from which ``landscape swag`` and `landscape.posterior.sample` draw

    .. math:: \theta = \bar\theta + \tfrac{1}{\sqrt 2}\,\sigma \odot z_1 + \tfrac{1}{\sqrt{2 (K - 1)}}\, D z_2

    Parameters
    ----------
    start : float, from 0 to below 1
        Fraction of the run where the average begins. Published runs of 300 epochs begin after 161.
    every : int
        Epochs between two weights.
    lr : float, optional
        Learning rate while averaging; half of the highest unless given (published: 0.05 of 0.1 for wide ResNets, 0.01
        for VGG).
    rank : int
        Deviations to keep, K; those of the last weights, and fewer in a short run.

    Raises
    ------
    ValueError
        If a number is out of range; before the first step, if the run is too short for two deviations, or quantizes
        its weights.

    Notes
    -----
    One gradient evaluation a step, memory of `rank` copies of the weights on the CPU and of two in float64, a forward
    pass at the end. The checkpoint grows by `rank` + 1 copies of the weights.

    The first weights that are taken in are the mean itself, and give no deviation. The formula is quoted from memory of
    the paper.

    References
    ----------
    Maddox, Garipov, Izmailov, Vetrov and Wilson (2019), A simple baseline for Bayesian uncertainty in deep learning,
    arXiv:1902.02476.
    """
    Moments(tail(start, every), rank)  # a knob out of range is said before anything is loaded
    return replace(swa(start=start, every=every, lr=lr), average=lambda: Moments(tail(start, every), rank))
