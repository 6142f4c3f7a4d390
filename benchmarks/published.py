"""Published networks, quantized after training: loss and accuracy at several widths and by two calibrations.

ResNet-20 and ResNet-32 for CIFAR-10 (option A shortcuts, published with 91.78 % and 92.78 %), all convolutions and the
classifier rounded to the nearest value of a grid for each output channel, activations as they are. On the first 1,000
test images and 4,000 training images. Errors are standard errors over examples; those of changes are of paired
differences, of the same images. Batch-norm statistics are those of the published network, but in the last column, where
they are recomputed for the rounded weights from the training images.

    python benchmarks/published.py --write
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import torch
from _measure import machine, write_section
from _measures_quantized import rounded

from landscape import Objective, checkpoint
from landscape.checkpoint import Spec
from landscape.examples import by_example
from landscape.quantize.scheme import Scheme

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("LANDSCAPE_TEST_DATA", HERE.parents[1] / "shared" / "data"))
NETWORKS = {"ResNet-20": ("resnet20", "resnet20-12fca82f.th"), "ResNet-32": ("resnet32", "resnet32-d509ac18.th")}
WIDTHS, CALIBRATIONS = (8, 6, 4, 3, 2), ("minmax", "mse")
AIM = 0.005  # of the accuracy that 8 bits may cost


def table(title: str, name: str, file: Path, data: Path) -> tuple[list[str], float]:
    """Return a row for every width, family and calibration of a network, and the largest loss of accuracy at 8 bits."""
    images = checkpoint.dataset(Spec("cifar10", {"root": str(data / "cifar10"), "normalize": "imagenet"}))
    model = checkpoint.fitted(checkpoint.read(file), checkpoint.build(Spec(name), images))
    splits = {split: Objective(model, {split: images.split(split)}, device="cpu") for split in ("train", "test")}
    known = {split: by_example(each, each.theta) for split, each in splits.items()}
    refit = Objective(model, {s: images.split(s) for s in ("train", "test")}, batchnorm="refit", device="cpu")
    rows = [row(title, "32", known, known) + recalibrated(refit, refit.theta)]
    lost = 0.0
    for bits in WIDTHS:
        for family in ("narrow", "midrise") if bits == 2 else ("narrow",):
            for how in CALIBRATIONS:
                scheme = Scheme(bits, family, how)
                theta = rounded(splits["test"], scheme)
                found = {split: by_example(each, theta) for split, each in splits.items()}
                rows.append(row(title, f"{bits}, {family}, {how}", found, known) + recalibrated(refit, theta))
                if bits == 8:
                    lost = max(lost, float(known["test"].correct.mean() - found["test"].correct.mean()))
    return rows, lost


def row(title: str, what: str, found: dict, known: dict) -> str:
    """Write what was measured, and how it differs from full precision."""
    cells = []
    for split in ("train", "test"):
        loss, right = found[split].loss, found[split].correct
        change = 100 * (right - known[split].correct)
        root = math.sqrt(len(loss))
        cells += [f"{loss.mean():.4f} ± {loss.std(ddof=1) / root:.4f}"]
        cells += [f"{100 * right.mean():.2f} ± {100 * right.std(ddof=1) / root:.2f}"]
        cells += [f"{change.mean():+.2f} ± {change.std(ddof=1) / root:.2f}" if found is not known else ""]
    return f"| {title} | {what} | " + " | ".join(cells) + " |"


def recalibrated(refit: Objective, theta: torch.Tensor) -> str:
    """Write the test accuracy with batch-norm statistics of the very weights."""
    found = refit.measure(theta)
    if found.accuracy is None or found.accuracy_error is None:
        raise ValueError("Expected classes, got a loss without right answers.")
    return f" {100 * found.accuracy[1]:.2f} ± {100 * found.accuracy_error[1]:.2f} |"


def main() -> None:
    """Measure, print, and on request write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with cifar10/ and checkpoints/")
    parser.add_argument("--write", action="store_true", help="write the section of CLAIMS.md")
    given = parser.parse_args()
    lines = [
        "| network | bits | train loss | accuracy, % | change | test loss | accuracy, % | change "
        "| recalibrated |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    verdicts = []
    for title, (name, file) in NETWORKS.items():
        rows, lost = table(title, name, given.data / "checkpoints" / file, given.data)
        lines += rows
        met = "met" if lost <= AIM else "missed"
        verdicts.append(f"{title} loses at most {100 * lost:.1f} points of test accuracy at 8 bits (aim: 0.5, {met}).")
    head = (__doc__ or "").partition("    python")[0].strip()
    text = [f"## Published networks at few bits\n\n{head}", f"{machine(torch.device('cpu'))}.", "\n".join(lines)]
    text.append(" ".join(verdicts))
    print("\n\n".join(text))
    if given.write:
        write_section(HERE / "CLAIMS.md", "published", "\n\n".join(text))


if __name__ == "__main__":
    main()
