"""``landscape study``: training methods compared over paired seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli.train import Repeated
from landscape.train.settings import Settings

if TYPE_CHECKING:
    from landscape.study import Study

STYLES = {"lower": "bold blue", "higher": "bold dark_orange", "undecided": "dim"}
TABLES = (".csv", ".tex")


def study(
    *,
    data: str = "digits",
    data_arg: Repeated = None,
    transform: Repeated = None,
    model: str = "lenet",
    model_arg: Repeated = None,
    method: Repeated = None,
    seeds: int = 10,
    probe: Repeated = None,
    split: str = "train",
    examples: int | None = None,
    family: Repeated = None,
    loss: str | None = None,
    init: str | None = None,
    match: str = "epochs",
    level: float = 0.95,
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008 (frozen)
    device: str = "auto",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    plot: str = "pdf,png",
    force: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train several methods over paired seeds, and test how what they end at differs.

    An interrupted study goes on when the same command is given again, and ends at the same numbers. It can grow:
    further methods, seeds and probes make use of the networks that are there.

    Parameters
    ----------
    data : str
        A registered data set, a .npz file, file.py:function or package.module:function.
    data_arg : list of str, optional
        Argument of the data, as key=value, {seed} standing for the seed of the run; may be repeated.
    transform : list of str, optional
        Transform of the data, such as longtail=100:seed={seed}; may be repeated.
    model : str
        A registered network (resnet20 is resnet of depth 20), file.py:function or package.module:function.
    model_arg : list of str, optional
        Argument of the network, as key=value; may be repeated.
    method : list of str, optional
        Method of training, such as plain, sam:rho=0.1 or sam+swa; repeat for more. The first is the baseline.
    seeds : int
        Runs of every method, with the seeds from --seed on; runs of one seed are pairs.
    probe : list of str, optional
        What to measure besides losses and accuracies, such as eigen:largest=1 or trace:probes=50; may be repeated.
    split : str
        Part of the data that probes measure: train, test, or both, of which a probe of one part takes the first.
    examples : int, optional
        Random examples of it, the same in every run; all by default.
    family : list of str, optional
        Globs of the measures to compare, such as *.lambda_max, corrected together; repeat for more. All by default.
    loss : str, optional
        A named loss, or file.py:function of (outputs, targets) that gives one loss an example.
    init : str, optional
        Checkpoint that runs begin at, as in pre.h5.runs/plain/seed-{seed:02d}.pt.
    match : str
        What methods have in common: epochs; or gradients, where costlier methods get fewer epochs.
    level : float
        Coverage of the intervals.
    settings : Settings
        What decides the weights, for all methods.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    output : Path, optional
        The result; MODEL-DATA.study.h5 unless given. Tables .csv and .tex and figures stand beside it.
    plot : str
        Figures beside it: pdf, png, svg, html, separated by commas; or none.
    force : bool
        Discard runs of another study, and replace another result and what stands beside it.
    dry_run : bool
        Say which runs there would be, and what they take; write nothing.
    """
    from landscape import study as studies  # these import torch, which takes seconds
    from landscape.checkpoint import Spec
    from landscape.cli._output import Output, ending, free
    from landscape.cli.train import short
    from landscape.discovery import arguments, located, located_arguments
    from landscape.plots import export
    from landscape.study.run import STRATEGY
    from landscape.study.work import work
    from landscape.train.observers.progress import meter

    source, network = [
        Spec(located(name), located_arguments(arguments(given or ())), tuple(changes or ()))
        for name, given, changes in ((data, data_arg, transform), (model, model_arg, None))
    ]
    names = method or []
    if len(names) < 2:
        raise ValueError(f"Expected methods to compare, the baseline first, got {len(names)}: repeat --method.")
    shared = {
        "seeds": seeds, "probes": probe or [], "measures": [], "split": split, "examples": examples,
        "loss": located(loss) if loss else None, "init": init and located_init(init), "match": match, "device": device,
        "strategy": STRATEGY,
    }  # fmt: skip
    path = ending(output or Path(f"{short(model)}-{short(data)}.study.h5"), (".h5", ".hdf5"))
    written = Output(output=path, plot=plot, force=force)
    written.figures(path)  # a file in the way is no reason to train first
    for table in tables(path) if not path.exists() else ():
        free(table, force)
    if dry_run:
        print(work(source, network, settings, names, **shared).price())
        return
    with meter("study") as shown:
        found = studies.study(
            source, network, settings, names, **shared, level=level, family=family or ["*"], output=path,
            force=force, progress=shown,
        )  # fmt: skip
    told(found)
    for table, write in zip(tables(path), (export.csv, export.latex), strict=True):
        write(found, table)
    for name in [path, *tables(path), *written.draw(found, path)]:
        print("written:", name)


def tables(path: Path) -> list[Path]:
    """Name the tables beside the file of a study."""
    return [path.with_suffix(suffix) for suffix in TABLES]


def told(found: Study) -> None:
    """Print the comparisons as a table, then what was spent, and what is missing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from landscape.study.study import cells

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(console.width, 130))
    table = Table("measure", "method", title=f"compared with {found.method[0]} over {len(found.seed)} paired seeds")
    for name in ("change", "interval", "Holm p", "wins"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    last = ""
    for row in found.table():
        table.add_row(
            Text(row["measure"] if row["measure"] != last else ""), Text(row["method"]), *cells(row),
            Text(row["verdict"], style=STYLES[row["verdict"]]),
        )  # fmt: skip
        last = row["measure"]
    console.print(table)
    for line in [*found.spent(), *found.warnings()]:
        console.print(Text(line))


def located_init(text: str) -> str:
    """Make the path of initial checkpoints absolute."""
    return str(Path(text).expanduser().resolve())
