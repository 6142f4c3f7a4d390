"""What curves between networks cost: an epoch that trains one, a path along one, and bringing units in line.

Run ``make bench``, or ``python benchmarks/connectivity.py --help``. An epoch that trains the bends of a curve takes
turns with a plain epoch of the same network, batches and augmentation, by the same trainer; a path takes turns with the
passes over the data that it cannot do without, as a loop of one's own makes them: at every point one pass over the
training examples that collects batch-norm statistics, and one over all examples in evaluation mode, no loss computed.
Told are medians of the ratios within a round, with their range.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from _measure import Way, interleaved, machine, ratio, write_section
from torch import Tensor, nn
from training import DATA, digits_mlp, epoch, images

from landscape import Objective
from landscape.alignment.tracing import traced
from landscape.alignment.weights import weight_matching
from landscape.connection.training import prepared
from landscape.curves import Curve, segment, straight
from landscape.data.digits import digits
from landscape.dataset import Dataset
from landscape.models.resnet import resnet
from landscape.probes.path import path
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.fit import Run
from landscape.train.settings import Settings

HERE = Path(__file__).resolve().parent
EPOCHS = 1000  # of the runs that the two sides believe to be in; nobody makes them all
TRAINING, PATH, SECONDS = 1.3, 1.2, 10.0  # aims: over a plain epoch, over the passes, of an alignment


@dataclass(frozen=True)
class Case:
    """A network from two seeds, and data."""

    title: str
    make: Callable[[], nn.Module]
    data: Dataset
    augment: str
    device: torch.device

    @cached_property
    def models(self) -> tuple[nn.Module, nn.Module]:
        """The two ends, at their initial weights."""
        torch.manual_seed(0)
        return self.make(), self.make()

    @cached_property
    def objective(self) -> Objective:
        splits = {name: self.data.split(name) for name in self.data.splits}
        return Objective(self.models[0], splits, batchnorm="refit", device=str(self.device))

    def curve(self, shape: str, bends: int) -> Curve:
        """Return where the training of a curve begins."""
        return straight(shape, self.objective.theta, self.objective.pack(self.models[1]), bends)

    @cached_property
    def settings(self) -> Settings:
        return Settings(epochs=EPOCHS, batch_size=128, lr=0.01, augment=self.augment)

    def plain(self) -> Run:
        """Return a run that trains the network itself."""
        resident = Resident(self.data.split("train"), torch.float32, self.device, classes=len(self.data.classes))
        return assembled(resident, self.models[0], self.settings, loss="cross_entropy")


CURVES = {
    "bezier, 1 bend": ("bezier", 1, "t"), "bezier, 1 bend, by arc length": ("bezier", 1, "arc"),
    "bezier, 5 bends": ("bezier", 5, "t"), "chain, 5 bends": ("chain", 5, "t"),
}  # fmt: skip


def training(case: Case, rounds: int) -> list[str]:
    """Time an epoch of several curves, and of the network alone."""
    ways = [Way("the network itself", partial(epoch, case.plain()))]
    for name, (shape, bends, sampling) in CURVES.items():
        run = prepared(case.objective, case.curve(shape, bends), case.settings, sampling)
        ways.append(Way(name, partial(epoch, run)))
    return table("milliseconds an epoch", interleaved(ways, rounds), 1000, TRAINING)


def passes(case: Case, curve: Curve, points: Tensor) -> None:
    """Go through the data as a path must, point after point, in plain torch."""
    model = copy.deepcopy(case.models[0]).to(case.device)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    splits = [[x for x, _, _ in resident.chunks(128)] for resident in case.objective._resident]
    for layer in norms:
        layer.momentum = None
    with torch.inference_mode():
        for t in points:
            nn.utils.vector_to_parameters(curve(t), model.parameters())
            for layer in norms:
                layer.reset_running_stats()
            model.train()
            for inputs in splits[0] if norms else ():
                model(inputs)
            model.eval()
            for inputs in (x for batches in splits for x in batches):
                model(inputs)


def along(case: Case, count: int, rounds: int) -> list[str]:
    """Time a path, and the passes over the data that it needs."""
    objective = case.objective
    curve = segment(objective.theta, objective.pack(case.models[1]))
    objective.plan(1)
    points = torch.linspace(0, 1, count, dtype=torch.float64)
    ways = [
        Way("the passes alone", lambda: passes(case, curve, points), count),
        Way(f"path of {count} points", lambda: path(objective, curve, points=count), count),
    ]
    return table("milliseconds a point", interleaved(ways, rounds), 1000, PATH)


def aligned(case: Case, rounds: int) -> list[str]:
    """Time the tracing of a network's symmetries, and the matching of the units of two."""
    first, second = (model.state_dict() for model in case.models)
    few = next(case.objective._resident[0].chunks(2))[0].cpu()
    structure = traced(case.models[0], few)
    ways = [
        Way("its symmetries are traced", lambda: traced(case.models[0], few)),
        Way("weights are matched", lambda: weight_matching(first, second, structure)),
    ]
    times = interleaved(ways, rounds)
    lines = ["| what | seconds (range) |", "|---|---:|"]
    lines += [f"| {name} | {statistics.median(t):.2f} ({min(t):.2f}-{max(t):.2f}) |" for name, t in times.items()]
    whole = sum(statistics.median(t) for t in times.values())
    return [*lines, f"| both, aim {SECONDS:g} ({'met' if whole <= SECONDS else 'missed'}) | {whole:.2f} |"]


def table(unit: str, times: dict[str, list[float]], scale: float, aim: float) -> list[str]:
    """Return rows with the time of each way, and its ratio to the first."""
    reference = next(iter(times.values()))
    lines = [f"| way | {unit} | over the first (range), aim {aim:g} |", "|---|---:|---:|"]
    for name, each in times.items():
        middle, low, high = ratio(each, reference)
        met = f" {'met' if middle <= aim else 'missed'}"
        told = "1" if each is reference else f"{middle:.2f} ({low:.2f}-{high:.2f}){met}"
        lines.append(f"| {name} | {scale * statistics.median(each):.4g} | {told} |")
    return lines


def cases(folder: Path, examples: int, device: torch.device) -> list[Case]:
    """Return the networks and data that curves are measured on; an eighth as many images are tested on."""
    data, what = images(folder, examples + examples // 8)
    whole = data.split("train")
    parts = [(whole.inputs[rows], whole.targets[rows]) for rows in (slice(examples), slice(examples, None))]
    split = replace(data, train=parts[0], test=parts[1])
    return [
        Case(f"ResNet-20, {examples} {what} images, batches of 128, crop and flip", lambda: resnet(20), split,
             "crop,flip", device),
        Case("MLP of 64 units, digits, batches of 128", digits_mlp, digits(), "", device),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and on request write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(DATA), help="folder with cifar10/")
    parser.add_argument("--examples", type=int, default=512, help="images for ResNet-20")
    parser.add_argument("--points", type=int, default=61, help="of the path")
    parser.add_argument("--rounds", type=int, default=7, help="of epochs; of paths, as many thirds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    given = parser.parse_args()
    device = torch.device(given.device)
    text = [f"## Curves between networks\n\n{machine(device)}. {(__doc__ or '').partition('--help``. ')[2].strip()}"]
    few = max(1, given.rounds // 3)
    for case in cases(given.data, given.examples, device):
        parts = {
            "Training": lambda case=case: training(case, given.rounds),
            "Paths, batch-norm statistics refitted": lambda case=case: along(case, given.points, few),
            "Alignment": lambda case=case: aligned(case, few),
        }
        for what, part in parts.items():
            text.append("\n".join([f"### {what}: {case.title}", "", *part()]))
            print(f"{text[-1]}\n", flush=True)
    if given.write:
        write_section(HERE / "RESULTS.md", f"connectivity {device.type}", "\n\n".join(text))


if __name__ == "__main__":
    main()
