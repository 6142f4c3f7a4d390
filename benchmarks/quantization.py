"""What a loss seen through a quantizer costs: a whole surface, and one point of it over a point of full precision.

Run ``make bench``, or ``python benchmarks/quantization.py --help``. All ways evaluate the same network on the same
images at the same points, in turn, so that a busy machine is busy for all; told are medians of the ratios within a
round, with their range. All of them give the same losses, or the run ends. A script takes one point after another as
the usual ones do: it rounds every layer with torch's own kernel, and goes through the data in batches; with a
`DataLoader`, as peers do, or with batches that lie ready in memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from _measure import Way, interleaved, machine, ratio, write_section
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from landscape import Objective, directions
from landscape.data.cifar10 import cifar10
from landscape.data.digits import digits
from landscape.dataset import Dataset
from landscape.models.mlp import mlp
from landscape.models.resnet import resnet
from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.grid import Grid
from landscape.quantize.layers import chosen
from landscape.quantize.observed import observed
from landscape.quantize.scheme import Scheme
from landscape.quantize.views import Latent

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("LANDSCAPE_TEST_DATA", HERE.parents[1] / "shared" / "data"))
BITS, POINTS, BATCH, AIM = 4, 21, 128, 20.0
SAME = 1e-4  # relative difference of losses that sums in another order may have


def grids_of(model: nn.Module) -> dict[str, Grid]:
    """Return grids of all quantizable weights."""
    parameters = dict(model.named_parameters())
    return {name: calibrate(parameters[name], Scheme(BITS), axis=axis) for name, axis in chosen(model).items()}


def script(model: nn.Module, grids: dict[str, Grid], points: Tensor, batches: Callable[[], Iterable]) -> Tensor:
    """Evaluate one point after another, as a script of one's own does: (P, D) -> (P,)."""
    network, found = deepcopy(model).eval(), []
    with torch.no_grad():
        for point in points:
            nn.utils.vector_to_parameters(point, network.parameters())
            for name, weight in network.named_parameters():
                if name in grids:
                    grid = grids[name]
                    weight.data = torch.fake_quantize_per_channel_affine(
                        weight, grid.scale.flatten(), grid.zero.flatten().int(), 0, grid.low, grid.high
                    )
            total = count = 0
            for inputs, targets in batches():
                total += nn.functional.cross_entropy(network(inputs), targets, reduction="sum").item()
                count += len(targets)
            found.append(total / count)
    return torch.tensor(found, dtype=torch.float64)


def surface(device: torch.device, rounds: int) -> list[str]:
    """Time a surface of rounded weights, all points together and one after another."""
    data = digits()
    torch.manual_seed(0)
    model = mlp(64, classes=10, shape=data.shape)
    grids = grids_of(model)
    objective = Objective(model, data.split("train"), view=Latent(grids), device=str(device))
    steps = torch.linspace(-1, 1, POINTS)
    points = directions.random(objective, 2).point(torch.cartesian_prod(steps, steps))
    few = points[:: len(points) // 20]  # a script's time grows with the number of points and nothing else
    whole = [(x.cpu(), y.cpu()) for x, y, _ in objective._resident[0].chunks(BATCH)]
    loader = DataLoader(TensorDataset(torch.cat([x for x, _ in whole]), torch.cat([y for _, y in whole])), BATCH)
    plan, one = objective.plan(len(points)), objective.using("loop,examples=512")
    expected = torch.from_numpy(objective.measure(points, plan=plan).loss[0])
    for found in (script(model, grids, few, lambda: whole), script(model, grids, few, lambda: loader)):
        torch.testing.assert_close(found, expected[:: len(points) // 20], rtol=SAME, atol=SAME)
    torch.testing.assert_close(torch.from_numpy(one.measure(points).loss[0]), expected, rtol=SAME, atol=SAME)
    times = interleaved(
        [
            Way("together", lambda: objective.measure(points, plan=plan), len(points)),
            Way("ours, one at a time", lambda: one.measure(points), len(points)),
            Way("script, batches in memory", lambda: script(model, grids, few, lambda: whole), len(few)),
            Way("script, DataLoader", lambda: script(model, grids, few, lambda: loader), len(few)),
        ],
        rounds,
    )
    lines = [
        f"A {POINTS}x{POINTS} surface of weights rounded to {BITS} bits, MLP of 64 units on {objective.size:,} digits, "
        f"together by the plan `{plan}`. Aim: {AIM:g} times faster than one point at a time.",
        "", "| way | milliseconds a point | time over together (range) |", "|---|---:|---:|",
    ]  # fmt: skip
    for name, each in times.items():
        middle, low, high = ratio(each, times["together"])
        told = "1" if name == "together" else f"{middle:.1f} ({low:.1f}-{high:.1f})"
        lines.append(f"| {name} | {1000 * statistics.median(each):.2f} | {told} |")
    return lines


def overhead(device: torch.device, folder: Path, examples: int, rounds: int) -> list[str]:
    """Time points of several networks with rounded weights or activations, over the same points without rounding."""
    lines = ["| network | rounded | milliseconds a point | time over full precision (range) |", "|---|---|---:|---:|"]
    for title, model, data in networks(folder, examples):
        split = data.split("train")
        plain = Objective(model, split, device=str(device))
        points = directions.random(plain, 1).point(torch.linspace(-1, 1, 8)[:, None])
        rounded = deepcopy(model)
        inputs = [x.cpu() for x, _, _ in plain._resident[0].chunks(BATCH)]
        activations.attach(rounded, observed(model, inputs, 8))
        ways = {
            "nothing": plain,
            "weights": Objective(model, split, view=Latent(grids_of(model)), device=str(device)),
            "activations": Objective(rounded, split, device=str(device)),
        }
        count = len(points)
        timed = [Way(n, partial(each.measure, points, plan=each.plan(count)), count) for n, each in ways.items()]
        times = interleaved(timed, rounds)
        for name, each in times.items():
            middle, low, high = ratio(each, times["nothing"])
            told = "1" if name == "nothing" else f"{middle:.2f} ({low:.2f}-{high:.2f})"
            lines.append(f"| {title} | {name} | {1000 * statistics.median(each):.2f} | {told} |")
    return lines


def networks(folder: Path, examples: int) -> list[tuple[str, nn.Module, Dataset]]:
    """Return the networks and data that overheads are measured on."""
    torch.manual_seed(0)
    small = digits()
    found = [(f"MLP of 64 units, {small.split('train').size:,} digits", mlp(64, classes=10, shape=small.shape), small)]
    if (folder / "cifar10").exists():
        data = cifar10(root=str(folder / "cifar10"))
        few = Dataset("cifar10", tuple(part[:examples] for part in data.train), None, data.classes, data.mean, data.std)
        found.append((f"ResNet-20, {examples} CIFAR-10 images", resnet(20), few))
    return found


def main() -> None:
    """Measure, print, and on request write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with cifar10/")
    parser.add_argument("--examples", type=int, default=256, help="images for ResNet-20")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    given = parser.parse_args()
    device = torch.device(given.device)
    text = [
        f"## Quantization\n\n{machine(device)}. {(__doc__ or '').partition('--help``. ')[2].strip()}",
        "\n".join(surface(device, given.rounds)),
        "A quantized checkpoint holds its rounded weights, so that a surface around them costs what any surface does. "
        "Rounding at every point costs more:",
        "\n".join(overhead(device, given.data, given.examples, given.rounds)),
    ]
    print("\n\n".join(text))
    if given.write:
        write_section(HERE / "RESULTS.md", "quantization", "\n\n".join(text))


if __name__ == "__main__":
    main()
