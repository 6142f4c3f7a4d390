"""What a point of a loss surface costs: ours, the bare forward pass, the loop people write, and pip `loss-landscapes`.

Run ``make bench``, or ``python benchmarks/surface.py --help``. Everything runs in one process, on the same network and
the same examples, in turn. Our times hold all that a point costs: setting the parameters, losses, accuracies, and both
again for every class, with standard errors.

  (a) the model's own eager forward pass over resident data, at its best batch size, in inference mode: no loss
  (b) the loop people write: load_state_dict, a DataLoader (batches of 128) that decodes each image, loss and accuracy
  (c) `loss_landscapes.random_plane`, the loss of one batch that holds all examples
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from _measure import Way, compiling, forget, interleaved, machine, peak, ratio, seconds, write_section
from torch import Tensor, nn
from torch.nn import functional

from landscape import Objective, directions, surface, weights
from landscape.data.cifar10 import cifar10
from landscape.data.digits import digits
from landscape.dataset import Split
from landscape.engine.plan import Plan
from landscape.models.mlp import mlp
from landscape.models.resnet import resnet

HERE = Path(__file__).resolve().parent
DATA = os.environ.get("LANDSCAPE_TEST_DATA", HERE.parents[1] / "shared" / "data")
BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
GRIDS = (21 * 21, 51 * 51)
REMEMBERED = {
    "resnet20": ("loop,examples=32", "loop,examples=128", "loop,folded,channels_last,examples=128"),
    "mlp": ("vmap,points=16,examples=512", "vmap,points=64,examples=512"),
}  # strategies whose memory is measured
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """A network and its examples, and the aims for it."""

    title: str
    model: nn.Module
    split: Split
    plans: tuple[str, ...]
    batch: int  # examples at a time on a CPU; a GPU takes all at once
    peer_steps: int  # so many that making the directions weighs little
    aims: str


def resnet20(data: Path, count: int) -> Case:
    """ResNet-20 on CIFAR-10 images; with random weights on random images where the folder lacks the real ones."""
    model, checkpoint = resnet(20), data / "checkpoints" / "resnet20-12fca82f.th"
    if checkpoint.exists() and (data / "cifar10").exists():
        weights.fit(model, weights.state_dict(weights.read(checkpoint), checkpoint))
        split, what = cifar10(root=str(data / "cifar10"), normalize="imagenet").split("test"), "CIFAR-10 test images"
        split = replace(split, inputs=split.inputs[:count], targets=split.targets[:count])
    else:
        print(f"{data} has no cifar10/ and checkpoints/: random weights and images instead (set --data).")
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1)  # (c) divides by the length of every bias
        random = np.random.default_rng(0)
        images, labels = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, count)
        split, what = Split(images, labels, mean=MEAN, std=STD), "random images of that size"
    flags = ("", ",channels_last", ",folded", ",folded,channels_last", ",folded,channels_last,compiled")
    plans = (*(f"loop{flag}" for flag in flags), "vmap,points=4")
    aims = "at most 0.90 of (a) on a CPU without compiling, 0.78 where compiling pays"
    return Case(f"ResNet-20, {len(split.targets):,} {what}", model.eval(), split, plans, 128, 2, aims)


def perceptron() -> Case:
    """The default multilayer perceptron on all handwritten digits."""
    data = digits()
    train, test = data.split("train"), data.split("test")
    inputs, targets = np.concatenate([train.inputs, test.inputs]), np.concatenate([train.targets, test.targets])
    torch.manual_seed(0)
    plans = ("loop", "vmap,points=4", "vmap,points=16", "vmap,points=64")
    return Case(
        f"Multilayer perceptron 64-64-64-10, {len(targets):,} digits", mlp(shape=data.shape).eval(),
        replace(train, inputs=inputs, targets=targets), plans, 512, 30, "batched at least 20 times faster than (b)",
    )


class Decoded(torch.utils.data.Dataset):
    """Examples decoded and normalized one by one when asked for, as image pipelines do."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.mean, self.std = (torch.tensor(value).view(-1, 1, 1) for value in (split.mean, split.std))

    def __len__(self) -> int:
        return len(self.split.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(np.array(self.split.inputs[index]))
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        return (image - self.mean) / self.std, int(self.split.targets[index])


def forward(model: nn.Module, inputs: Tensor, examples: int) -> None:
    """(a) Run the network on resident data and drop what comes out."""
    with torch.inference_mode():
        for batch in inputs.split(examples):
            model(batch)


def best_batch(model: nn.Module, inputs: Tensor) -> int:
    """Search the batch size at which (a) is fastest."""
    sizes = [size for size in BATCHES if size < 2 * len(inputs)]
    times = interleaved([Way(str(n), lambda n=n: forward(model, inputs, n)) for n in sizes], 3)
    return min(sizes, key=lambda n: min(times[str(n)]))


@torch.no_grad()
def written_loop(model: nn.Module, state: dict[str, Tensor], loader: torch.utils.data.DataLoader, device: torch.device):
    """(b) Evaluate one point as people write it."""
    model.load_state_dict(state)
    model.eval()
    total, right, count = 0.0, 0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        outputs = model(inputs)
        total += functional.cross_entropy(outputs, targets).item() * len(targets)
        right += (outputs.argmax(1) == targets).sum().item()
        count += len(targets)
    return total / count, right / count


def peer(model: nn.Module, inputs: Tensor, targets: Tensor, steps: int) -> Way | None:
    """(c) Evaluate a plane of steps x steps points by `loss-landscapes`; None where it is absent or does not run."""
    try:
        import loss_landscapes
        from loss_landscapes.metrics import Loss

        metric = Loss(functional.cross_entropy, inputs, targets)
        own = copy.deepcopy(model)  # which it changes

        def plane() -> None:
            loss_landscapes.random_plane(own, metric, steps=steps, deepcopy_model=True)

        plane()
    except (ImportError, RuntimeError) as error:
        print(f"(c) is left out: {str(error).splitlines()[0]}")
        return None
    return Way("(c) loss-landscapes 3.0.6", plane, steps**2)


class Ours:
    """Our evaluation of a case by one strategy, at points of a random plane around the checkpoint."""

    def __init__(self, case: Case, device: torch.device, strategy: str = "auto") -> None:
        self.objective = Objective(case.model, case.split, device=str(device), strategy=strategy)
        self.frame = directions.random(self.objective, seed=0)

    def way(self, name: str, plan: Plan) -> Way:
        """Evaluate as many points at a time as the plan takes, and no less than two."""
        count = max(2, plan.points)
        points = self.frame.point(torch.linspace(-0.1, 0.1, 2 * count).view(count, 2))
        return Way(name, lambda: self.objective.measure(points, plan=plan), count)


def strategies(case: Case, device: torch.device) -> list[tuple[Way, str]]:
    """Our ways by name, each with a remark; compiled ones are compiled here."""
    found = []
    examples = case.batch if device.type == "cpu" else len(case.split.targets)
    for text in case.plans:
        plan = Plan.parse(f"{text},examples={examples}")
        way = Ours(case, device, str(plan)).way(str(plan), plan)
        try:
            with compiling() as spent:
                way.run()
                found.append((way, f"compiled in {spent():.1f} s" if plan.compiled else ""))
        except Exception as error:  # noqa: BLE001 (a machine without a compiler fails in many ways)
            if not plan.compiled:
                raise
            print(f"{plan} is left out: {str(error).splitlines()[0]}")
    return found


def automatic(case: Case, device: torch.device, count: int) -> tuple[Way, str]:
    """The way that is chosen for `count` points, with what choosing and compiling cost."""
    ours = Ours(case, device)
    with compiling() as spent:
        chosen: list[Plan] = []
        took = seconds(lambda: chosen.append(ours.objective.plan(count)))
        in_choice = spent()
        way = ours.way(f"automatic for {count:,} points", chosen[0])
        way.run()
        again = spent() - in_choice
    remark = f"{chosen[0]}; chosen in {took - in_choice:.1f} s"
    return way, remark + (f", compiled in {in_choice:.1f} + {again:.1f} s" if in_choice + again else "")


def compare(case: Case, device: torch.device, rounds: int, grids: tuple[int, ...]) -> tuple[str, list[dict]]:
    """Time every way on a case: -> (markdown, rows)."""
    objective = Objective(case.model, case.split, device=str(device))
    inputs, targets = decoded(case.split, device)
    model = copy.deepcopy(case.model).to(device)
    batch = best_batch(model, inputs)
    loader = torch.utils.data.DataLoader(Decoded(case.split), batch_size=128, num_workers=0)
    user, state = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    peers = [
        Way(f"(a) eager forward pass ({batch} examples)", lambda: forward(model, inputs, batch)),
        Way("(b) load_state_dict + DataLoader", lambda: written_loop(user, state, loader, device)),
        peer(model, inputs, targets, case.peer_steps),
    ]
    ours = [*strategies(case, device), *(automatic(case, device, count) for count in grids)]
    ways = [*((way, "") for way in peers if way is not None), *ours]
    times = interleaved([way for way, _ in ways], rounds)
    rows = [row(way, remark, times, list(times)[:2]) for way, remark in ways]
    title = f"### {case.title}, D = {objective.dim:,}\n\nAim: {case.aims}."
    return f"{title}\n\n{table(rows)}", rows


def decoded(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return inputs and targets as a network takes them, on the device."""
    inputs, targets = torch.utils.data.default_collate([Decoded(split)[i] for i in range(len(split.targets))])
    return inputs.to(device), targets.to(device)


def row(way: Way, remark: str, times: dict[str, list[float]], references: list[str]) -> dict:
    """One line of a table: seconds per point, ratio to (a), and how many times faster than (b)."""
    mine, (a, b) = times[way.name], (times[name] for name in references)
    return {
        "way": way.name, "seconds": statistics.median(mine), "ratio": ratio(mine, a), "faster": ratio(b, mine),
        "remark": remark,
    }


def table(rows: list[dict]) -> str:
    """Write rows as markdown."""
    lines = ["| way | ms per point | of (a), median (range) | times faster than (b) | |", "|---|---:|---:|---:|---|"]
    for r in rows:
        middle, low, high = r["ratio"]
        of_a = f"{middle:.2f} ({low:.2f}-{high:.2f})"
        lines.append(f"| {r['way']} | {1e3 * r['seconds']:.4g} | {of_a} | {r['faster'][0]:.2f} | {r['remark']} |")
    return "\n".join(lines)


def memory_of(case: Case, device: torch.device, strategy: str) -> dict[str, float]:
    """Measure how far the peak memory rises during a surface of 5 x 5 points, in MB, in a process of its own."""
    plan = Plan.parse(strategy)
    objective = Objective(case.model, case.split, device=str(device), strategy=strategy)
    forget(device)
    before = peak(device)
    surface(objective, points=5, seed=0)
    vector = 4 * objective.dim
    chunk = plan.points * min(plan.examples, objective.size) * objective.footprint
    expected = {"model and directions": 3 * vector, "points": plan.points * vector, "chunk": chunk}
    return {name: size / 1e6 for name, size in {"measured": peak(device) - before, **expected}.items()}


def memory(arguments: argparse.Namespace) -> str:
    """Measure the memory of some strategies, each in a fresh process: -> markdown."""
    lines = [
        "### Memory\n",
        "Rise of the peak while a surface of 5 x 5 points is measured, beside what it should be, in MB; one chunk is",
        "all that is alive together while one chunk of examples is evaluated.\n",
        "| network | strategy | measured | model and directions | points in flight | one chunk |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, plans in REMEMBERED.items():
        for plan in plans:
            command = [sys.executable, __file__, "--device", arguments.device, "--data", str(arguments.data)]
            done = subprocess.run([*command, "--memory", name, plan], capture_output=True, text=True, check=True)
            numbers = json.loads(done.stdout.splitlines()[-1]).values()
            lines.append(f"| {name} | {Plan.parse(plan)} | " + " | ".join(f"{n:.1f}" for n in numbers) + " |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    found.add_argument("--data", type=Path, default=Path(DATA), help="folder with cifar10/ and checkpoints/")
    found.add_argument("--quick", action="store_true", help="fewer rounds and images, one grid: to see that it works")
    found.add_argument("--json", type=Path, help="write the numbers here too")
    found.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md")
    found.add_argument("--memory", nargs=2, metavar=("CASE", "STRATEGY"), help=argparse.SUPPRESS)
    return found


def main() -> None:
    arguments = parser().parse_args()
    device = torch.device(arguments.device)
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "ieee"  # as ours compute
    count = 256 if arguments.quick else 1000
    cases = {"resnet20": lambda: resnet20(arguments.data, count), "mlp": perceptron}
    if arguments.memory:
        name, strategy = arguments.memory
        print(json.dumps(memory_of(cases[name](), device, strategy)))
        return
    rounds, grids = (2, GRIDS[:1]) if arguments.quick else (7, GRIDS)
    parts, numbers = [f"## {arguments.device.upper()}\n\n{machine(device)}."], {"machine": machine(device)}
    for name, case in cases.items():
        text, numbers[name] = compare(case(), device, rounds, grids)
        parts.append(text)
    parts.append(memory(arguments))
    print("\n\n".join(parts))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        write_section(HERE / "RESULTS.md", f"surface: {arguments.device.upper()}", "\n\n".join(parts))


if __name__ == "__main__":
    main()
