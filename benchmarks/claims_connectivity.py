"""Claims of papers about the connectivity of minima, tested at small scale: independent pairs of networks.

Every seed of a study stands for a pair of networks with other initial weights and another order of examples, trained
alike with the settings of the studies of training methods; no two pairs share a network. The unit of all tests is the
pair (or the run, where a claim is about one run). Nothing was tuned for a claim: paired t-tests over pairs, all tests
of this section one family for Holm's correction, and the three verdicts of the other sections.

A barrier is the highest rise of the loss, in nats, over the linear interpolation of the losses at both ends,
max_t L(t) - (1 - t) L(0) - t L(1), over 25 evenly spaced t; that of errors is the same of the share of wrong answers.
It is never negative. It counts as near zero if its mean is below a margin that was fixed beforehand: 5 % of the barrier
of the segment of the same pair, and for wrong answers 1 percentage point. As a barrier is never negative, this one side
is the whole of a test of equivalence. Curves are quadratic Bezier curves, trained for three times the epochs of their
ends with 0.3 times the learning rate, as published for VGG-16. Of a barrier before and after weight matching, the share
taken away is 1 - after / before; its growth is the slope of that share on log2 of the width, for each pair over three
widths.

SGD and SWA are of one run: its last iterate, at the learning rate at which it is averaged (t = 0), and the average
(t = 1). The training loss there has its weight decay, as (from memory) in the published figure; without it it is
`train_loss_alone`. Where it is lowest is looked for from t = -26.8 to 27.8. The claim about snapshots is read off a
published figure too, from memory: the last network of a run against those before it. Errors within studies are over
examples, paired. Gradient evaluations are those of one end of a pair.

All this was settled after a look at three other pairs, seeds 0 to 2. Networks that fit every example hardly moved from
one epoch to the next, and their losses were lowest far outside of t = -0.5 to 1.5: the line was made longer, and the
study of wrong labels added. FGE and snapshots had no barrier at all: a claim that compared the two was dropped, and the
one about snapshots put in its place. The pairs that are tested begin at seed 100.

    python benchmarks/claims_connectivity.py                # all studies; what is finished is not done again
    python benchmarks/claims_connectivity.py --only pairs --page
"""

from __future__ import annotations

from dataclasses import replace

import _measures_connectivity as measures
from _claims import MORE, Claim, Trial, main
from claims import DATA, NOISE, tests_of_mnist

from landscape.checkpoint import Spec
from landscape.data.digits import digits
from landscape.train.settings import Settings
from landscape.transforms import label_noise

CURVES = "Garipov et al. 2018, arXiv:1802.10026"
AVERAGE = "Izmailov et al. 2018, arXiv:1803.05407"
FIRST = 100  # seed of the first pair; others were looked at beforehand


def curves(where: str) -> list[Claim]:
    """Claims about trained curves."""
    small = {"side": "lower", "source": CURVES}
    return [
        Claim(f"A trained curve has a lower barrier than the segment ({where}, training loss)",
              method=("plain", "bezier_train_barrier"), baseline=("plain", "segment_train_barrier"), **small),
        *(Claim(f"The barrier of a trained curve is near zero ({where}, {split} loss)",
                method=("plain", f"bezier_{split}_barrier"), baseline=("plain", f"near_zero_{split}_barrier"), **small)
          for split in ("train", "test")),
        *(Claim(f"The barrier of a trained curve is near zero ({where}, wrong answers, {split})",
                method=("plain", f"bezier_{split}_error_barrier"), baseline=("plain", "near_zero_error_barrier"),
                **small)
          for split in ("train", "test")),
    ]  # fmt: skip


def minima(where: str) -> list[Claim]:
    """Claims about pairs of networks that other methods end at."""
    return [
        Claim(f"Two {method.upper()} networks have a lower linear barrier than two of SGD ({where}, {split} loss)",
              "of this project", (method, f"segment_{split}_barrier"), ("plain", f"segment_{split}_barrier"), "lower")
        for method in ("sam", "swa") for split in ("train", "test")
    ]  # fmt: skip


def line(where: str) -> list[Claim]:
    """Claims about the line from the last iterate of a run to its average."""
    return [
        Claim(f"From the last iterate to SWA, the test loss is lowest farther along than the training loss ({where})",
              AVERAGE, ("swa", "lowest_test"), ("swa", "lowest_train"), "higher"),
        Claim(f"SWA is nearer to the lowest test loss than to the lowest training loss ({where})",
              AVERAGE, ("swa", "lowest_test_to_swa"), ("swa", "lowest_train_to_swa"), "lower"),
    ]  # fmt: skip


def aligned() -> list[Claim]:
    """Claims about networks whose units have been brought into one order."""
    return [
        *(Claim(f"Weight matching lowers the linear barrier (digits, {width} units, training loss)",
                "Ainsworth et al. 2022, arXiv:2209.04836",
                ("plain", f"after_train_barrier_{width}"), ("plain", f"before_train_barrier_{width}"), "lower")
          for width in measures.WIDTHS),
        *(Claim("The share of the linear barrier that weight matching takes away grows with each doubling of the width "
                f"(digits, {split} loss)",
                "Entezari et al. 2022, arXiv:2110.06296; Ainsworth et al. 2022, arXiv:2209.04836",
                ("plain", f"growth_{split}"), ("plain", "no_growth"), "higher")
          for split in ("train", "test")),
        *(Claim(f"REPAIR lowers the linear barrier further (digits, {width} units, training loss)",
                "Jordan et al. 2022, arXiv:2211.08403",
                ("plain", f"repaired_train_barrier_{width}"), ("plain", f"after_train_barrier_{width}"), "lower")
          for width in measures.WIDTHS),
    ]  # fmt: skip


def members(where: str) -> list[Claim]:
    """Claims about networks that one run passes."""
    return [
        *(Claim(f"Neighbouring members of FGE have a lower linear barrier than independent networks ({where}, {split} "
                "loss)", CURVES, ("fge", f"neighbours_{split}_barrier"), ("fge", f"segment_{split}_barrier"), "lower")
          for split in ("train", "test")),
        Claim(f"Between the first and the last snapshot of a run there is a barrier, one that is not near zero "
              f"({where}, training loss)", "Huang et al. 2017, arXiv:1704.00109",
              ("snapshot", "reach_train_barrier"), ("snapshot", "near_zero_train_barrier"), "higher"),
    ]  # fmt: skip


def trials() -> dict[str, Trial]:
    """Return all studies by name."""
    usual, small = Settings(epochs=30, batch_size=64, lr=0.1, seed=FIRST), Spec("mlp", {"width": 32})
    three = ("plain", "sam", "swa")
    found = {
        "pairs": Trial(
            "Digits, MLP of 32 units, 30 epochs; curves of 90 epochs", three,
            curves("digits") + minima("digits") + line("digits"),
            lambda seed: digits(), small, usual, (measures.independent, measures.lowest), seeds=MORE),
        "members": Trial(
            "Digits, MLP of 32 units, 30 epochs", ("fge", "snapshot"), members("digits"),
            lambda seed: digits(), small, usual, (measures.independent, measures.neighbours), seeds=MORE),
        "aligned": Trial(
            f"Digits, MLPs of two hidden layers of {', '.join(map(str, measures.WIDTHS))} units, 30 epochs", ("plain",),
            aligned(), lambda seed: digits(), small, usual, (measures.aligned,)),
        "noisy": Trial(
            f"Digits, {NOISE:.0%} of the training labels wrong, so that the iterates keep moving around their average; "
            "MLP of 32 units, 60 epochs", ("swa",), line("wrong labels"),
            lambda seed: label_noise(NOISE, seed=seed)(digits()), small, replace(usual, epochs=60), (measures.lowest,),
            seeds=MORE),
    }  # fmt: skip
    if (DATA / "mnist").exists():
        found["pairs_mnist"] = Trial(
            "MNIST, 3,000 images, LeNet-5, 15 epochs; curves of 45 epochs", three,
            curves("MNIST") + minima("MNIST") + line("MNIST"),
            lambda seed: tests_of_mnist(), Spec("lenet"), replace(usual, epochs=15, lr=0.05),
            (measures.independent, measures.lowest))  # fmt: skip
    return found


if __name__ == "__main__":
    main(trials(), "connectivity", __doc__ or "")
