"""What curvature costs: ours, PyHessian and curvlinops, on the same network and the same examples, in one process.

Run ``make bench``, or ``python benchmarks/curvature.py --help``. The unit is one gradient: the plain eager one of all
examples, at its best batch size. Answers (eigenvalues, a trace, a density) are timed from the model and the data to
the number, with all that the tool does before; curvlinops without its check of the data, which costs a dozen gradients.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from _measure import Way, forget, interleaved, machine, peak, ratio, seconds, write_section
from _peers import Curvlinops, PyHessian, TookTooLong, curvlinops_is_here
from surface import DATA, Case, decoded, resnet20
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from landscape import Objective, operators
from landscape.density import stochastic_quadrature
from landscape.eigenpairs import eigenpairs
from landscape.krylov import lanczos_many
from landscape.operators import Operator
from landscape.traces import hutchinson

HERE = Path(__file__).resolve().parent
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6)  # of PyHessian, in turn, until its answer is right
ACCURATE = 1e-3  # relative error of an answer that is right
TOLERANCE = 1e-3  # relative residual of eigenpairs; PyHessian's own rule has the same number
EIGENVALUES, PROBES = 10, 20
DENSITY = (30, 4)  # steps and vectors
CLASS_STEPS = 10
BATCHES = (32, 64, 128)
VECTORS = 8  # of a block
BLOCK, SINGLE, GAUSS_NEWTON = {"cpu": 2.6, "cuda": 2.3}, 3.1, 2.0  # aims, in gradients
TANGENT = 1.6  # bytes that a vector adds to those of a forward pass, where vectors go together
STRATEGIES = {
    "cpu": {
        1: ("retained,examples=32", "retained,folded,examples=32", "retained,folded,kept,examples=32"),
        8: (
            "retained,folded,examples=32", "batched,folded,vectors=4,examples=32",
            "forward,folded,vectors=4,examples=32",
        ),
    },
    "cuda": {
        1: ("retained,folded,examples=512", "retained,folded,kept,captured,examples=512"),
        8: (
            "retained,folded,examples=512", "batched,folded,vectors=8,examples=512",
            "forward,folded,vectors=8,examples=512",
        ),
    },
}  # fmt: skip
COMPILED = "forward,compiled,vectors=8,examples=64"


@dataclass(frozen=True)
class Work:
    """What every tool is given: a network and examples, on a device, in batches that suit it."""

    case: Case
    device: torch.device
    batch: int

    @cached_property
    def model(self) -> nn.Module:
        return self.case.model.to(self.device)

    @cached_property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        inputs, targets = decoded(self.case.split, self.device)
        return list(zip(inputs.split(self.batch), targets.split(self.batch), strict=True))

    @cached_property
    def whole(self) -> list[tuple[Tensor, Tensor]]:
        inputs, targets = zip(*self.batches, strict=True)
        return [(torch.cat(inputs), torch.cat(targets))]

    @property
    def size(self) -> int:
        return len(self.case.split.targets)

    def objective(self, strategy: str = "auto", precision: str = "float32") -> Objective:
        return Objective(
            self.case.model, self.case.split, device=str(self.device), strategy=strategy, precision=precision
        )

    def gradient(self) -> list[Tensor]:
        """Differentiate as people write it: the unit of all costs."""
        parameters = list(self.model.parameters())
        total = [torch.zeros_like(p) for p in parameters]
        for inputs, targets in self.batches:
            loss = cross_entropy(self.model(inputs), targets, reduction="sum") / self.size
            for into, part in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                into += part
        return total


def work(arguments: argparse.Namespace, examples: int, batch: int | None = None) -> Work:
    """Make the work for a number of examples; on a CPU in batches of the size that is fastest."""
    device = torch.device(arguments.device)
    case = resnet20(arguments.data, examples)
    if batch is None:
        batch = examples if device.type == "cuda" else best_batch(case, device)
    return Work(case, device, min(batch, examples))


def best_batch(case: Case, device: torch.device) -> int:
    """Search the batch size of the fastest gradient, on as many examples as the largest holds."""
    split = replace(case.split, inputs=case.split.inputs[: BATCHES[-1]], targets=case.split.targets[: BATCHES[-1]])
    ways = [Way(str(n), Work(replace(case, split=split), device, n).gradient) for n in BATCHES]
    times = interleaved(ways, 3)
    return min(BATCHES, key=lambda n: min(times[str(n)]))


def mark(value: float, aim: float | None, digits: str = ".2f") -> str:
    """Write a figure with its aim, and whether it was met."""
    if aim is None:
        return f"{value:{digits}}"
    return f"{value:{digits}} (aim {aim:{digits}}: {'met' if value <= aim else 'missed'})"


def products(on: Work, rounds: int, compiled: bool) -> str:
    """Time products alone and in blocks of eight: -> markdown."""
    block = BLOCK[on.device.type]
    chosen = STRATEGIES[on.device.type]
    ours: list[tuple[str, str, int, float | None]] = []
    ours += [("hessian", "auto", 1, SINGLE), ("hessian", "auto", VECTORS, block)]
    ours += [("hessian", text, width, None) for width in (1, VECTORS) for text in chosen[width]]
    ours += [("hessian", COMPILED, VECTORS, None)] if compiled else []
    ours += [("gauss_newton", "auto", 1, GAUSS_NEWTON), ("gauss_newton", "auto", VECTORS, GAUSS_NEWTON)]
    rows = torch.randn(VECTORS, dim(on.model), generator=torch.Generator().manual_seed(0)).to(on.device)
    own = on.objective()
    unit = Way(f"gradient, eager, batches of {on.batch}", on.gradient)
    lines: list[tuple[Way, float | None, Operator | None]] = [(unit, None, None)]
    lines.append((Way("gradient, ours", lambda: own.gradient(own.theta)), None, None))
    for kind, strategy, width, aim in ours:
        product = getattr(operators, kind)(own if strategy == "auto" else on.objective(strategy))
        name = f"{kind.replace('_', '-')}, ours, {strategy if strategy != 'auto' else 'automatic'}"
        way = Way(f"{name}, {vectors(width)}", lambda p=product, w=width: p(rows[:w]), width)
        lines.append((way, aim, product if strategy == "auto" else None))
    lines += [(way, None, None) for way in peers(on, rows)]
    times = interleaved([way for way, _, _ in lines], rounds)
    found = ["| product | seconds a vector | gradients a vector, median (range) | |", "|---|---:|---:|---|"]
    for way, aim, automatic in lines:
        middle, low, high = ratio(times[way.name], times[unit.name])
        figure = f"{mark(middle, aim)} ({low:.2f}-{high:.2f})"
        remark = automatic.strategy if automatic else ""
        found.append(f"| {way.name} | {statistics.median(times[way.name]):.3f} | {figure} | {remark} |")
    title = f"### Products, {on.size} examples\n\nThe bound for K vectors that share what they can is (3 + 6 K) / 3 K "
    title += f"gradients: 3 for one vector, 2.125 for {VECTORS}; 2 where graphs are kept from one call to the next."
    return "\n".join([title, "", *found])


def vectors(count: int) -> str:
    return f"{count} vector{'s' if count > 1 else ''}"


def dim(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def peers(on: Work, rows: Tensor) -> list[Way]:
    """Products by other tools."""
    kept, rebuilt = PyHessian(on.model, on.whole), PyHessian(on.model, on.batches)
    found = [Way("hessian, PyHessian, data=, 1 vector", lambda: kept(rows[:1]))]
    found += [Way("hessian, PyHessian, dataloader=, 1 vector", lambda: rebuilt(rows[:1]))]
    for kind, name in (("Hessian", "hessian"), ("GGN", "gauss-newton")) if curvlinops_is_here() else ():
        operator = Curvlinops(on.model, on.batches, kind)
        for width in (1, VECTORS):
            run = Way(f"{name}, curvlinops, {vectors(width)}", lambda o=operator, w=width: o(rows[:w]), width)
            found.append(run)
    return found


@dataclass(frozen=True)
class Outcome:
    """What a tool answers, the error that it states, the products that it took, and by which strategy of ours."""

    values: Tensor
    error: str
    products: int
    strategy: str = ""


@dataclass(frozen=True)
class Timed:
    """An outcome, with seconds and gradients; none if it was not waited for any longer than these seconds."""

    name: str
    outcome: Outcome | None
    seconds: float
    gradients: float


def timed(on: Work, name: str, run: Callable[[], Outcome]) -> Timed:
    """Time one answer, and a gradient before and after it."""
    found: list[Outcome | None] = []

    def waited() -> None:
        try:
            found.append(run())
        except TookTooLong:
            found.append(None)

    before = min(seconds(on.gradient) for _ in range(2))
    took = seconds(waited)
    return Timed(name, found[0], took, took / statistics.fmean([before, seconds(on.gradient)]))


def answers(title: str, found: list[Timed], theirs: Timed, aim: float, told: Callable[[Outcome], str]) -> str:
    """Write answers as markdown: the first is ours, and compared with one of PyHessian's."""
    least = "" if theirs.outcome else "at most "
    share = f"Ours takes {least}{mark(found[0].gradients / theirs.gradients, aim)} of PyHessian's time, in gradients."
    return "\n".join([title, "", *table(found, told), "", share])


def table(found: list[Timed], told: Callable[[Outcome], str]) -> list[str]:
    """Write answers as lines of markdown."""
    lines = ["| tool | products | gradients | seconds | answer |", "|---|---:|---:|---:|---|"]
    for one in found:
        figures = f"{one.gradients:.1f} | {one.seconds:.1f}"
        if one.outcome is None:
            lines.append(f"| {one.name} | | > {figures.replace('| ', '| > ')} | not waited for |")
        else:
            name = f"{one.name}, {one.outcome.strategy}" if one.outcome.strategy else one.name
            lines.append(f"| {name} | {one.outcome.products} | {figures} | {told(one.outcome)} |")
    return lines


def our_eigenvalues(on: Work, count: int, vectors_found: list[Tensor]) -> Outcome:
    product = operators.hessian(on.objective())
    found = eigenpairs(product, product.dim, count=count, tolerance=TOLERANCE, like=product.like)
    vectors_found.append(found.vectors)
    worst = float((found.residuals / found.values.abs()).max())
    return Outcome(found.values, f"relative residual {worst:.0e}", product.products, product.strategy)


def eigenvalues(on: Work, count: int, aim: float, patience: float) -> str:
    """Time the way to the largest eigenvalues: -> markdown."""
    kept: list[Tensor] = []
    found = [timed(on, "ours", lambda: our_eigenvalues(on, count, kept))]
    limit = patience * found[0].seconds

    truth, bound = reference(on, kept[0])

    def off(outcome: Outcome) -> float:
        return float(((outcome.values - truth).abs() / truth).max())

    for tolerance in TOLERANCES if count == 1 else TOLERANCES[:1]:

        def power(tolerance: float = tolerance) -> Outcome:
            own = PyHessian(on.model, on.whole)
            torch.manual_seed(0)
            return Outcome(own.eigenvalues(count, tolerance=tolerance, limit=limit), "none stated", own.products)

        found.append(timed(on, f"PyHessian, data=, tol={tolerance:.0e}", power))
        outcome = found[-1].outcome
        if outcome is None or off(outcome) <= ACCURATE:
            break
    theirs = found[-1]
    if curvlinops_is_here():
        found.append(timed(on, "curvlinops, ARPACK", lambda: arpack(on, count)))

    def told(outcome: Outcome) -> str:
        first, last = float(outcome.values[0]), float(outcome.values[-1])
        shown = f"{first:.4f}" if count == 1 else f"{first:.3f} ... {last:.3f}"
        return f"{shown}; {outcome.error}; off by {off(outcome):.0e}"

    what = "The largest eigenvalue" if count == 1 else f"The {count} largest eigenvalues"
    title = f"### {what} to a relative residual of {TOLERANCE:.0e}, {on.size} examples\n\n"
    title += f"Off: the largest relative difference from the Ritz values of float64 products, {float(truth[0]):.5f}"
    title += "" if count == 1 else f" ... {float(truth[-1]):.5f}"
    title += f", in the space of our vectors (relative residuals there at most {bound:.0e})."
    if count == 1:
        title += f" PyHessian is given smaller tolerances until it is off by {ACCURATE:.0e}; the aim is about that."
    return answers(title, found, theirs, aim, told)


def arpack(on: Work, count: int) -> Outcome:
    own = Curvlinops(on.model, on.batches)
    return Outcome(own.eigenvalues(count, tolerance=TOLERANCE), "relative residual at most 1e-03", own.products)


def reference(on: Work, rows: Tensor) -> tuple[Tensor, float]:
    """Project the float64 Hessian on the space of some vectors: Ritz values, descending, and the worst residual."""
    product = operators.hessian(on.objective(precision="float64"))
    basis = torch.linalg.qr(rows.double().mT).Q.mT
    image = product(basis)
    values, turn = torch.linalg.eigh(basis @ image.mT)
    residuals = torch.linalg.vector_norm(turn.mT @ image - values[:, None] * (turn.mT @ basis), dim=1)
    return values.flip(0).cpu(), float((residuals / values).max())


def trace(on: Work) -> str:
    """Time a trace of twenty vectors: -> markdown."""

    def ours() -> Outcome:
        product = operators.hessian(on.objective())
        found = hutchinson(product, product.dim, probes=PROBES, together=PROBES, like=product.like)
        return Outcome(torch.tensor([found.value]), f"± {found.standard_error:.0f}", product.products, product.strategy)

    def theirs() -> Outcome:
        own = PyHessian(on.model, on.whole)
        torch.manual_seed(0)
        value, error = own.trace(PROBES)
        return Outcome(torch.tensor([value]), f"± {error:.0f} by its samples, not stated", own.products)

    def other() -> Outcome:
        own = Curvlinops(on.model, on.batches)
        torch.manual_seed(0)
        return Outcome(torch.tensor([own.trace(PROBES)]), "no error stated", own.products)

    found = [timed(on, "ours", ours), timed(on, "PyHessian, data=", theirs)]
    if curvlinops_is_here():
        found.append(timed(on, "curvlinops", other))
    title = f"### A trace of {PROBES} Rademacher vectors, {on.size} examples\n\nOurs and PyHessian's are drawn anew, "
    title += "by the same generator from the same seed: they may be the same vectors."
    return answers(title, found, found[1], 0.75, lambda outcome: f"{float(outcome.values):.0f} {outcome.error}")


def density(on: Work) -> str:
    """Time a density with its error: -> markdown."""
    steps, probes = DENSITY

    def ours() -> Outcome:
        product = operators.hessian(on.objective())
        found = stochastic_quadrature(product, product.dim, steps=steps, probes=probes, like=product.like)
        share = found.cumulative(found.nodes.flatten().sort().values)
        error = float((share.std(0) / math.sqrt(probes)).max())
        stated = f"fractions of eigenvalues ± {error:.1e} at most"
        return Outcome(found.nodes, stated, product.products, product.strategy)

    def other() -> Outcome:
        own = Curvlinops(on.model, on.batches)
        torch.manual_seed(0)
        grid, _ = own.density(steps, probes)
        return Outcome(grid, "no error stated; ghosts, for want of orthogonalization", own.products)

    found = [timed(on, "ours", ours)]
    if curvlinops_is_here():
        found.append(timed(on, "curvlinops", other))
    def told(outcome: Outcome) -> str:
        return f"from {float(outcome.values.min()):.2f} to {float(outcome.values.max()):.2f}; {outcome.error}"

    title = f"### A density of {probes} vectors and {steps} steps, {on.size} examples"
    return "\n".join([title, "", *table(found, told), "", "PyHessian's density does not run on a current torch."])


def classes(on: Work, rounds: int) -> str:
    """Time the spectra of all classes against that of all data, of the same number of steps: -> markdown."""
    objective = on.objective()
    whole, parts = operators.hessian(objective), operators.by_class(objective)
    count = len(parts.classes)
    starts = torch.randn(count, whole.dim, generator=torch.Generator().manual_seed(0)).to(whole.like)
    ways = [
        Way("all data", lambda: lanczos_many(whole, starts[:1], CLASS_STEPS)),
        Way("every class", lambda: lanczos_many(parts, starts, CLASS_STEPS)),
    ]
    times = interleaved(ways, rounds)
    middle, low, high = ratio(times["every class"], times["all data"])
    each, together = (statistics.median(times[way.name]) for way in ways)
    text = f"### Spectra of all {count} classes, {on.size} examples\n\n"
    text += f"{CLASS_STEPS} Lanczos steps take {each:.2f} s for all data, and {together:.2f} s for every class in "
    return f"{text}lockstep: {mark(middle, 1.15)} times as long (range {low:.2f}-{high:.2f})."


def remembered(device: torch.device) -> list[tuple[str, str, int]]:
    """Return what memory is measured of: a tool or a strategy, its matrix, its vectors."""
    chosen = STRATEGIES[device.type]
    return [
        ("eager", "gradient", 1),
        *((text, "hessian", 1) for text in chosen[1]),
        *((text, "hessian", VECTORS) for text in chosen[8]),
        (chosen[1][0], "gauss_newton", VECTORS),
        ("PyHessian, data=", "hessian", 1),
        ("PyHessian, dataloader=", "hessian", 1),
        *((("curvlinops", "hessian", 1), ("curvlinops", "hessian", VECTORS)) if curvlinops_is_here() else ()),
    ]


def memory_of(on: Work, tool: str, matrix: str, width: int) -> dict[str, float]:
    """Measure how far the peak rises while products are made, in MB, in a process of its own; and what it should be."""
    rows = torch.randn(width, dim(on.model), generator=torch.Generator().manual_seed(0)).to(on.device)
    batches, whole, each = on.batches, on.whole, activations(on)  # which warms up too: what a first pass loads stays
    theirs = tool.partition(",")[0] in ("eager", "PyHessian", "curvlinops")
    own = None if theirs else on.objective(tool)
    forget(on.device)
    before = peak(on.device)
    if own is not None:
        getattr(operators, matrix)(own)(rows)
    elif tool == "eager":
        on.gradient()
    elif tool == "curvlinops":
        Curvlinops(on.model, batches)(rows)
    else:
        PyHessian(on.model, whole if tool.endswith(" data=") else batches)(rows)
    rise = peak(on.device) - before
    return {"measured": rise / 1e6, "model": modelled(on, tool, width, each) / 1e6}


def activations(on: Work) -> int:
    """Measure the bytes that autograd keeps of a forward pass, for each example."""
    inputs, targets = (part[:2] for part in on.batches[0])
    known = {p.untyped_storage().data_ptr() for p in (*on.model.parameters(), *on.model.buffers())}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    parameters = list(on.model.parameters())
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = cross_entropy(on.model(inputs), targets)
    slopes = torch.autograd.grad(loss, parameters, create_graph=True)
    torch.autograd.grad(slopes, parameters, slopes)
    return sum(seen.values()) // 2


def modelled(on: Work, tool: str, width: int, each: int) -> float:
    """Predict the rise in bytes: A B for a gradient, 3 A B for one product, 1.6 A B more for each vector at once."""
    numbers = dict(pair.split("=") for pair in tool.replace(" ", "").split(",") if pair[-1].isdigit())
    examples = on.size if tool.endswith(" data=") else int(numbers.get("examples", on.batch))
    chunk, rows = each * min(examples, on.size), 2 * 8 * width * dim(on.model)
    if tool == "eager":
        return chunk + rows
    together = width if tool == "curvlinops" else min(width, int(numbers.get("vectors", 1)))
    shared = 3 if tool.startswith(("retained", "PyHessian")) else 3 + TANGENT * together
    return shared * chunk + rows + (2 * each * on.size if ",kept" in tool else 0)


def memory(arguments: argparse.Namespace, on: Work) -> str:
    """Measure memory, each in a fresh process: -> markdown."""
    lines = [
        f"### Memory, {on.size} examples\n",
        "Rise of the peak while products are made, beside the model, in MB. With A bytes kept of a forward pass of one",
        "example and chunks of B examples the model says A B for a gradient, 3 A B for products one after another,",
        f"(3 + {TANGENT} K) A B for K at once, 2 A for each example whose graph is kept, and 16 bytes for each number",
        "of the vectors.\n",
        "| product | measured | model | |",
        "|---|---:|---:|---|",
    ]
    for tool, matrix, width in remembered(on.device):
        command = [sys.executable, __file__, "--device", arguments.device, "--data", str(arguments.data)]
        command += ["--examples", str(on.size), "--batch", str(on.batch), "--threads", str(torch.get_num_threads())]
        done = subprocess.run(
            [*command, "--memory", tool, matrix, str(width)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        theirs = tool.partition(",")[0] in ("eager", "PyHessian", "curvlinops")
        within = "" if theirs else "within" if found["measured"] <= 1.1 * found["model"] else "beyond"
        name = f"{matrix.replace('_', '-')}, {tool if theirs else f'ours, {tool}'}, {vectors(width)}"
        lines.append(f"| {name} | {found['measured']:.0f} | {found['model']:.0f} | {within} |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    found.add_argument("--data", type=Path, default=Path(DATA), help="folder with cifar10/ and checkpoints/")
    found.add_argument("--examples", type=int, default=512)
    found.add_argument("--fewer", type=int, default=128, help="examples for ten eigenvalues and a density")
    found.add_argument("--threads", type=int, help="of a CPU; by default what torch takes")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--patience", type=float, default=6.0, help="times our time to wait for PyHessian's eigenvalues")
    found.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="tables to make")
    found.add_argument("--compiled", action="store_true", help="time compiled products too: minutes of compiling")
    found.add_argument("--quick", action="store_true", help="32 images, one round, no patience: to see that it works")
    found.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md")
    found.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    found.add_argument("--memory", nargs=3, metavar=("TOOL", "MATRIX", "VECTORS"), help=argparse.SUPPRESS)
    return found


TABLES = ("products", "largest", "ten", "trace", "density", "classes", "memory")


def main() -> None:
    arguments = parser().parse_args()
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "ieee"  # as ours compute
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.quick:
        arguments.examples = arguments.fewer = 32
        arguments.rounds, arguments.patience = 1, 1.5
    on = work(arguments, arguments.examples, arguments.batch)
    if arguments.memory:
        tool, matrix, width = arguments.memory
        print(json.dumps(memory_of(on, tool, matrix, int(width))))
        return
    fewer = work(arguments, min(arguments.fewer, arguments.examples), on.batch)
    tables = {
        "products": lambda: products(on, arguments.rounds, arguments.compiled),
        "largest": lambda: eigenvalues(on, 1, 1 / 3, math.inf),
        "ten": lambda: eigenvalues(fewer, EIGENVALUES, 1 / 5, arguments.patience),
        "trace": lambda: trace(on),
        "density": lambda: density(fewer),
        "classes": lambda: classes(on, arguments.rounds),
        "memory": lambda: memory(arguments, on),
    }
    parts = [f"## Curvature, {arguments.device.upper()}, {on.size} examples\n\n{machine(on.device)}. {on.case.title}."]
    print(parts[0], flush=True)
    for name in arguments.only:
        took = seconds(lambda made=tables[name]: parts.append(made()))
        print(f"\n{parts[-1]}\n\n({took:.0f} s)", flush=True)
    if arguments.write:
        name = f"curvature: {arguments.device.upper()}, {on.size} examples"
        write_section(HERE / "RESULTS.md", name, "\n\n".join(parts))


if __name__ == "__main__":
    main()
