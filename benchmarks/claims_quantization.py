"""Claims of papers about quantization, tested at small scale: the same seeds under both methods of every claim.

As for training methods: defaults of this project, nothing tuned for a claim, paired t-tests over seeds, all tests of
this section one family for Holm's correction, and the same three verdicts. Weights alone are quantized, every layer of
them, with a grid for each output unit: narrow from 3 bits on, mid-rise at 2, fitted by the mean squared error below 8
bits, unless something else is said. What a width does is the rise of the training loss over that of full precision.

    python benchmarks/claims_quantization.py                # all studies; what is finished is not done again
    python benchmarks/claims_quantization.py --only widths --page
"""

from __future__ import annotations

from dataclasses import replace

import _measures as plain
import _measures_quantized as measures
from _claims import MORE, Claim, Trial, main
from torch import nn

from landscape.data.digits import digits
from landscape.dataset import Dataset
from landscape.models.mlp import mlp
from landscape.train.settings import Settings

BITS = (4, 3, 2)
ROBUST = {
    "sam": ("SAM", "Liu et al. 2021, arXiv:2111.12273"),
    "hero": ("HERO", "Yang et al. 2022, arXiv:2111.11986"),
}


def small(data: Dataset) -> nn.Module:
    """Return a network of 32 units for digits."""
    return mlp(32, classes=len(data.classes), shape=data.shape)


def deep(data: Dataset) -> nn.Module:
    """Return a network of eight layers for digits."""
    return mlp(32, 7, classes=len(data.classes), shape=data.shape)


def trials() -> dict[str, Trial]:
    """Return all studies by name."""
    usual = Settings(epochs=30, batch_size=64, lr=0.1)
    return {
        "widths": Trial(
            "Digits, MLP of 32 units, 30 epochs, quantized after training", ("plain", "sam", "hero"),
            [Claim(f"{name} loses less than SGD at {bits} bits", source,
                   (method, f"rise_{bits}"), ("plain", f"rise_{bits}"), "lower")
             for method, (name, source) in ROBUST.items() for bits in BITS] +
            [Claim(f"At 2 bits ({family}), fitting the range by the squared error instead of the largest weight gains "
                   "more than training by SAM instead of SGD", "of this project",
                   ("plain", f"rise_2_{family}_mse"), ("sam", f"rise_2_{family}_minmax"), "lower")
             for family in ("narrow", "midrise")],
            lambda seed: digits(), small, usual, (measures.widths, measures.calibrations, plain.largest)),
        "perturbed": Trial(
            "Digits, MLP of 32 units, 30 epochs of quantization-aware training",
            ("ste:bits=4", "saq:bits=4", "ste:bits=2", "saq:bits=2"),
            [Claim(f"SAQ ends at a quantized network with {what} than the straight-through estimator, {bits} bits",
                   "Liu et al. 2021, arXiv:2111.12273", (f"saq:bits={bits}", measure), (f"ste:bits={bits}", measure),
                   "lower", "log")
             for bits in (4, 2)
             for what, measure in (("a smaller λ_max", "quantized_lambda_max"),
                                   ("a smaller rise along its gradient", "sam_rise"))],
            lambda seed: digits(), small, usual, (measures.sharpness,)),
        "layers": Trial(
            "Digits, MLP of eight layers of 32 units, 60 epochs of AdamW (SGD fails), one layer at a time at "
            f"{measures.RANKED} bits",
            ("plain",),
            [Claim("HAWQ's Ω ranks layers by their sensitivity (rank correlation above 0)",
                   "Dong et al. 2020, arXiv:1911.03852", ("plain", "rank_omega"), ("plain", "rank_none"), "higher"),
             Claim("HAWQ's Ω ranks layers better than the squared rounding error alone",
                   "Dong et al. 2020, arXiv:1911.03852", ("plain", "rank_omega"), ("plain", "rank_distance"),
                   "higher"),
             Claim("δ'Hδ/2 ranks layers better than HAWQ's Ω", "of this project",
                   ("plain", "rank_curvature"), ("plain", "rank_omega"), "higher")],
            lambda seed: digits(), deep, replace(usual, epochs=60, optimizer="adamw", lr=3e-3, weight_decay=0.01),
            (measures.ranks,), seeds=MORE),
        "bitwise": Trial(
            "Digits, MLP of 32 units, 30 epochs, all bits of the weights soft", ("csq:target=3", "csq:target=4"),
            [Claim(f"CSQ's gap between soft and hard weights closes (target {target} bits)",
                   "Xiao et al. 2023, arXiv:2212.02770", (f"csq:target={target}", "gap_end"),
                   (f"csq:target={target}", "gap_middle"), "lower")
             for target in (3, 4)] +
            [Claim(f"CSQ ends within 0.3 bits of its budget of {target}",
                   "Xiao et al. 2023, arXiv:2212.02770", (f"csq:target={target}", "budget_miss"),
                   (f"csq:target={target}", "allowed_miss"), "lower")
             for target in (3, 4)],
            lambda seed: digits(), small, usual, (measures.soft,)),
        "once": Trial(
            "Digits, MLP of 32 units, 30 epochs; every network at 8, 4, 3 and 2 bits afterwards",
            ("ste:bits=8", "ste:bits=4", "ste:bits=2", "once:widths=8/4/3/2"),
            [Claim(f"Training all widths at once has a lower test loss at {off} bits than training at {on} bits alone",
                   "Wu et al. 2023, arXiv:2212.05326", ("once:widths=8/4/3/2", f"test_loss_{off}"),
                   (f"ste:bits={on}", f"test_loss_{off}"), "lower")
             for on, off in ((8, 2), (4, 2), (2, 8), (2, 4))] +
            [Claim(f"Training all widths at once has a lower test loss at its worst width than training at {on} bits",
                   "Wu et al. 2023, arXiv:2212.05326", ("once:widths=8/4/3/2", "worst_test_loss"),
                   (f"ste:bits={on}", "worst_test_loss"), "lower")
             for on in (8, 4, 2)],
            lambda seed: digits(), small, usual, (measures.widths,), seeds=MORE),
    }  # fmt: skip


if __name__ == "__main__":
    main(trials(), "quantization", __doc__ or "")
