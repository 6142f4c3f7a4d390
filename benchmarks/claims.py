"""Claims of papers about training methods, tested at small scale: the same seeds under both methods of every claim.

Every study trains its methods at the defaults of this project, which are the published ones where there are any, on
the same seeds: the same initial weights, order of examples and augmentation. Nothing was tuned for a claim. A claim is
about the mean over seeds of a paired difference (of logarithms, where a measure is positive throughout), tested by a
paired t-test; all tests of the page are one family for Holm's correction. It is reproduced where the corrected p is
below 0.05 and the difference lies on the claimed side, not reproduced where it lies on the other side, and undecided
else.

    python benchmarks/claims.py                      # all studies; what is finished is not done again
    python benchmarks/claims.py --only flat noise    # some of them; the page then tells those that are there
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import _measures as measures
import numpy as np
import torch
from _claims import HERE, MORE, Claim, Trial, main
from torch import Tensor, nn

from landscape.data.digits import digits
from landscape.data.mnist import mnist
from landscape.dataset import Dataset
from landscape.models.lenet import lenet
from landscape.models.mlp import mlp
from landscape.train.settings import Settings
from landscape.transforms import label_noise, longtail

DATA = Path(os.environ.get("LANDSCAPE_TEST_DATA", HERE.parents[1] / "shared" / "data"))
TAIL = 20  # examples of the largest class over those of the smallest
NOISE = 0.4  # of the training labels
EXAMPLES, INPUTS, SPARSITY = 20, 30, 3  # of the sparse regression that diagonal networks solve


def small(data: Dataset) -> nn.Module:
    """Return a network of 32 units for digits, small enough for its whole Hessian."""
    return mlp(32, classes=len(data.classes), shape=data.shape)


def convolutional(data: Dataset) -> nn.Module:
    """Return LeNet-5 for the data."""
    return lenet(classes=len(data.classes), shape=data.shape)


class Diagonal(nn.Module):
    """A linear network of diagonal layers: ``x -> <u * v, x>``; u begins at 0.1 and v at 0."""

    def __init__(self, inputs: int = INPUTS) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.full((inputs,), 0.1)), nn.Parameter(torch.zeros(inputs))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., 1)."""
        return (x * (self.u * self.v)).sum(-1, keepdim=True)


def sparse(seed: int) -> Dataset:
    """Return a regression with fewer examples than inputs, whose answer is sparse and of length 1; 1,000 to test."""
    random = np.random.default_rng(seed)
    truth = np.zeros(INPUTS)
    truth[:SPARSITY] = np.abs(random.standard_normal(SPARSITY))
    truth /= np.linalg.norm(truth)
    parts = []
    for count in (EXAMPLES, 1000):
        x = random.standard_normal((count, INPUTS)).astype(np.float32)
        parts.append((x, (x @ truth[:, None]).astype(np.float32)))
    return Dataset("sparse regression", *parts, task="regression", origin={"name": "sparse", "seed": seed})


def ranked(seed: int) -> Dataset:
    """Return long-tailed digits; which digit is how rare depends on the seed."""
    data = digits()
    order = np.random.default_rng(seed).permutation(len(data.classes))
    parts = {n: (getattr(data, n)[0], order[getattr(data, n)[1]].astype(np.int64)) for n in ("train", "test")}
    names = tuple(f"rank {i + 1}" for i in range(len(order)))
    return longtail(TAIL, seed=seed)(replace(data, **parts, classes=names))


def tests_of_mnist() -> Dataset:
    """Return 3,000 test images of MNIST to train on, and 2,000 others to test."""
    inputs, targets = mnist(root=str(DATA / "mnist"), only="test").test
    return replace(
        mnist(root=str(DATA / "mnist"), only="test"),
        train=(inputs[:3000], targets[:3000]), test=(inputs[3000:5000], targets[3000:5000]),
    )  # fmt: skip


def flat(name: str) -> list[Claim]:
    """Claims about the top of the spectrum and the width along rays."""
    low = {"side": "lower", "scale": "log"}
    top = "lambda_max"
    return [
        Claim(f"SAM ends at a smaller λ_max than SGD ({name})", "Foret et al. 2021, arXiv:2010.01412",
              ("sam", top), ("plain", top), **low),
        Claim(f"GNP ends at a smaller λ_max than SGD ({name})", "Zhao et al. 2022, arXiv:2202.03599",
              ("gnp", top), ("plain", top), **low),
        Claim(f"HERO ends at a smaller λ_max than SGD ({name})", "Yang et al. 2022, arXiv:2111.11986",
              ("hero", top), ("plain", top), **low),
        Claim(f"SWA is wider than SGD along isotropic rays ({name})", "Izmailov et al. 2018, arXiv:1803.05407",
              ("swa", "rise_isotropic"), ("plain", "rise_isotropic"), "lower"),
        Claim(f"SWA is wider than SGD along filter-normalized rays ({name})", "Izmailov et al. 2018, arXiv:1803.05407",
              ("swa", "rise_filters"), ("plain", "rise_filters"), "lower"),
    ]  # fmt: skip


def trials() -> dict[str, Trial]:
    """Return all studies by name."""
    plain = Settings(epochs=30, batch_size=64, lr=0.1)
    flat_methods = ("plain", "sam", "gnp", "hero", "swa")
    found = {
        "flat": Trial("Digits, MLP of 32 units, 30 epochs", flat_methods, flat("digits"), lambda seed: digits(), small,
                      plain, (measures.largest, measures.rays)),
        "diagonal": Trial(
            f"Sparse regression, {EXAMPLES} examples of {INPUTS} inputs, diagonal network, 10,000 full-batch steps, "
            "all as published (there the loss is half the squared error, here the squared error at half the rate)",
            ("plain", "sam:m=1,normalize=false,rho=0.1"),
            [Claim("1-SAM has a lower test loss than gradient descent on diagonal networks",
                   "Andriushchenko & Flammarion 2022, arXiv:2206.06232",
                   ("sam:m=1,normalize=false,rho=0.1", "test_loss"), ("plain", "test_loss"), "lower", "log")],
            sparse, lambda data: Diagonal(),
            Settings(epochs=10_000, batch_size=EXAMPLES, lr=5 / INPUTS / 2, momentum=0.0, weight_decay=0.0,
                     schedule="constant"),
            (), {"loss": "mse"}),
        "ensembles": Trial(
            "Digits, MLP of 32 units, 30 epochs", ("plain", "fge", "snapshot"),
            [Claim(f"{name} ensembles have a lower test loss than the mean of their members (it cannot be higher: the "
                   "loss is convex)", source, (method, "members_loss"),
                   (method, "members_alone_loss"), "lower")
             for name, source, method in (("FGE", "Garipov et al. 2018, arXiv:1802.10026", "fge"),
                                          ("Snapshot", "Huang et al. 2017, arXiv:1704.00109", "snapshot"))] +
            [Claim("FGE ensembles are more accurate than their members", "Garipov et al. 2018, arXiv:1802.10026",
                   ("fge", "members_accuracy"), ("fge", "members_alone_accuracy"), "higher"),
             Claim("FGE ensembles have a lower test loss than one network of the same budget",
                   "Garipov et al. 2018, arXiv:1802.10026", ("fge", "members_loss"), ("plain", "own_loss"), "lower")],
            lambda seed: digits(), small, plain, (measures.members, measures.own), seeds=MORE),
        "entropy": Trial(
            "Digits, MLP of 32 units, equal gradient evaluations (105 epochs of SGD)", ("plain", "entropy_sgd"),
            [Claim(f"Entropy-SGD ends with more eigenvalues near zero than SGD (modulus below {measures.ZERO:g} {of})",
                   "Chaudhari et al. 2017, arXiv:1611.01838", ("entropy_sgd", share), ("plain", share), "higher")
             for of, share in (("nat", "zero_share"),
                               ("λ_max, as a lower training loss scales all of them", "relative_zero_share"))],
            lambda seed: digits(), small, replace(plain, epochs=105), (measures.near_zero,), {"match": "gradients"}),
        "extractor": Trial(
            "Digits, MLP of 32 units, 10 epochs from the networks of `flat`, learning rate 0.01", ("plain", "pof"),
            [Claim("PoF makes the last layer flatter than as many epochs of SGD from the same network",
                   "Sato et al. 2022, arXiv:2207.01847", ("pof", "head_lambda_max"), ("plain", "head_lambda_max"),
                   "lower", "log")],
            lambda seed: digits(), small, replace(plain, epochs=10, lr=0.01, schedule="constant"),
            (measures.last_layer,), {"init": "flat"}),
        "posterior": Trial(
            "Digits, MLP of 32 units, 30 epochs", ("plain", "swag"),
            [Claim(f"{measures.SAMPLES} networks drawn by SWAG have a lower test loss than {other}",
                   "Maddox et al. 2019, arXiv:1902.02476", ("swag", "drawn_loss"), (base, "own_loss"), "lower")
             for other, base in (("their mean, SWA", "swag"), ("SGD", "plain"))],
            lambda seed: digits(), small, plain, (measures.drawn, measures.own), seeds=MORE),
        "tail": Trial(
            f"Digits whose frequencies fall by a factor of {TAIL}, MLP of 32 units, 60 epochs after a warm-up of 5",
            ("plain", "vs", "vs+sam:rho=0.5", "ldam+drw", "ldam+drw+sam:rho=0.8", "vs+sam", "ldam+drw+sam"),
            [Claim(f"{name} is more accurate on the {measures.RARE} rarest classes than {other}", source,
                   (method, "tail_accuracy"), (base, "tail_accuracy"), "higher")
             for name, other, source, method, base in (
                 ("VS", "cross entropy", "Kini et al. 2021, arXiv:2103.01550", "vs", "plain"),
                 ("VS with SAM", "VS", "Rangwani et al. 2022, arXiv:2212.13827", "sam:rho=0.5+vs", "vs"),
                 ("LDAM-DRW", "cross entropy", "Cao et al. 2019, arXiv:1906.07413", "drw+ldam", "plain"),
                 ("LDAM-DRW with SAM", "LDAM-DRW", "Rangwani et al. 2022, arXiv:2212.13827",
                  "drw+ldam+sam:rho=0.8", "drw+ldam"),
                 ("VS with SAM of radius 0.05 (a run added after the published 0.5 was seen to fail)", "VS",
                  "Rangwani et al. 2022, arXiv:2212.13827", "sam+vs", "vs"),
                 ("LDAM-DRW with SAM of radius 0.05 (added likewise, after 0.8)", "LDAM-DRW",
                  "Rangwani et al. 2022, arXiv:2212.13827", "drw+ldam+sam", "drw+ldam"))],
            ranked, small, replace(plain, epochs=60, batch_size=32, lr=0.05, warmup=5.0), (measures.tail,), seeds=MORE),
        "noise": Trial(
            f"Digits, {NOISE:.0%} of the training labels wrong, MLP of 32 units, 60 epochs", ("plain", "sam"),
            [Claim("SAM is more accurate than SGD after training on wrong labels",
                   "Foret et al. 2021, arXiv:2010.01412", ("sam", "test_accuracy"), ("plain", "test_accuracy"),
                   "higher")],
            lambda seed: label_noise(NOISE, seed=seed)(digits()), small, replace(plain, epochs=60), (), seeds=MORE),
    }  # fmt: skip
    if (DATA / "mnist").exists():
        found["mnist"] = Trial(
            "MNIST, 3,000 images, LeNet-5, 15 epochs", flat_methods, flat("MNIST"), lambda seed: tests_of_mnist(),
            convolutional, replace(plain, epochs=15, lr=0.05), (measures.largest, measures.rays))  # fmt: skip
    return found


if __name__ == "__main__":
    main(trials(), "training", __doc__ or "")
