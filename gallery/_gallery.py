"""What the scripts of the gallery share: arguments, data kept beside the figure, parts that survive an interruption."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import io
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from landscape.result import Result, load, replaced, versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from landscape.dataset import Dataset
    from landscape.objective import Objective
    from landscape.probes.surface import Surface
    from landscape.study.study import Study
    from landscape.train.run import Trained
    from landscape.train.settings import Settings

HERE = Path(__file__).parent
DPI = 200  # of the bitmaps, which pages show; the PDF is for print
TINTS = 128  # colours of a bitmap: smooth fields stay smooth, and the file small
WIDTH = 116  # characters of a line of a report
HOLDS, FAILS, OPEN = "holds", "fails", "is not decided"
_parts: list[Path] = []  # where parts are kept while a script measures


def main(
    measured: Callable[[bool], Result], figure: Callable[[Any], Figure], report: Callable[[Any], str],
    words: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Run a script of the gallery: measure if its data are missing, draw, write.

    Parameters
    ----------
    measured : callable (quick) -> Collection
        All measurements, saved as NAME.h5 beside the figure. What it makes with `kept` survives an interruption.
    figure : callable (Collection) -> Figure
        Saved as NAME.png and NAME.pdf; with ``--quick`` as a small NAME.png.
    report : callable (Collection) -> str
        Saved as NAME.md.
    words : sequence of str, optional
        Arguments, in place of those of the command line.
    """
    script = Path(inspect.getfile(measured))
    options = _options(script, inspect.getmodule(measured).__doc__ or "", words)  # type: ignore[union-attr]
    folder = options.folder or HERE
    data = folder / f"{script.stem}.h5"
    if options.again or not data.exists():
        with keeping(data.with_name(f"{data.name}.parts"), f"{_sha256(script)} {options.quick}"):
            measured(options.quick).save(data)
    found = load(data)
    draw(figure(found), folder / script.stem, quick=options.quick)
    written = data.with_suffix(".md")
    written.write_text(report(found).rstrip() + "\n")
    print(f"{data}, {data.with_suffix('.png')}, {written}")


def _options(script: Path, doc: str, words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=script.name, description=doc.partition("\n\n")[0])
    parser.add_argument("--again", action="store_true", help="measure anew, though data are there")
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it runs; needs --folder")
    parser.add_argument("--folder", type=Path, help="where data, figure and report go; the gallery by default")
    options = parser.parse_args(words)
    if options.quick and options.folder is None:
        parser.error("expected --folder DIR with --quick: the gallery keeps full measurements")
    return options


@contextmanager
def keeping(folder: Path, work: str) -> Iterator[None]:
    """Let `kept` keep its results in a folder that goes when the block succeeds; those of other work are discarded."""
    mark = folder / "work"
    if folder.is_dir() and not (mark.is_file() and mark.read_text() == work):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(work)
    _parts.append(folder)
    try:
        yield
    finally:
        _parts.pop()
    shutil.rmtree(folder)


def kept(name: str, make: Callable[[], Result]) -> Result:
    """Make a result, or read it back if an interrupted run of the same script has made it already."""
    if not _parts:
        return make()
    path = _parts[-1] / f"{quote(name, safe='')}.h5"
    if path.exists():
        return load(path)
    found = make()
    found.save(path)
    print(name, flush=True)
    return found


def origin(script: str, quick: bool, **settings: Any) -> dict[str, Any]:
    """Say where the numbers of a script come from: command, code, settings, versions."""
    path = Path(script)
    command = f"python gallery/{path.name}" + (" --quick --folder DIR" if quick else "")
    known = {"command": command, "script_sha256": _sha256(path), "quick": quick, "settings": settings}
    return known | {"versions": versions("landscape", "torch", "numpy")}


def trained(data: Dataset, build: Callable[[], nn.Module], settings: Settings, method: str = "plain") -> Trained:
    """Train a network from the initial weights of the seed: the same ones for every method."""
    from landscape.train.run import train
    from landscape.train.streams import seeded

    with seeded(settings.seed, "init"):
        model = build()
    return train(data, model, settings, method=method, device="cpu")


def losses(objective: Objective, theta: Any = None) -> dict[str, tuple[float, float]]:
    """Tell loss and accuracy on both splits, with standard errors over examples."""
    found = objective.measure(objective.theta if theta is None else theta)
    return {
        f"{split}_{name}": (float(getattr(found, name)[s]), float(getattr(found, f"{name}_error")[s]))
        for s, split in enumerate(objective.splits)
        for name in ("loss", "accuracy")
    }


def lean(surface: Surface) -> Surface:
    """Keep of a surface what is drawn: no classes, numbers in single precision."""
    metas = surface.quantities()
    grids = {name: np.float32(getattr(surface, name)) for name, meta in metas.items() if len(meta["dims"]) == 3}
    return replace(surface, **grids | {name: None for name in metas if name.startswith("class_")})


def draw(figure: Figure, stem: Path, *, quick: bool = False) -> None:
    """Save a figure as a bitmap of few colours, and as PDF; to see that it can be drawn, as a small bitmap alone."""
    from PIL import Image

    from landscape.plots import save
    from landscape.plots.style import style

    raw = io.BytesIO()
    with style():
        figure.savefig(raw, format="png", dpi=DPI // 4 if quick else DPI)
    image = Image.open(raw).convert("RGB").quantize(TINTS, dither=Image.Dither.NONE)
    with replaced(stem.with_suffix(".png")) as part:
        image.save(part, format="png", optimize=True)
    if not quick:
        save(figure, stem.with_suffix(".pdf"))


def side_by_side(axes: Sequence[Axes], surfaces: Mapping[str, Surface], *, bar: bool = True, **style: Any) -> None:
    """Draw surfaces on one scale of losses, their names above them."""
    from landscape.plots import scale
    from landscape.plots.surface import surface

    knobs = {key: style[key] for key in ("log", "clip") if key in style}
    levels = scale.shared_levels(list(surfaces.values()), "loss", style.get("split"), **knobs)
    style = {"colorbar": False, "title": False, "legend": False, "numbers": False} | style
    for ax, (name, one) in zip(axes, surfaces.items(), strict=True):
        surface(one, ax, levels=levels, **style)
        ax.set(title=name, box_aspect=1, xlim=one.a[[0, -1]], ylim=one.b[[0, -1]])
    if bar:
        filled = next(c for c in axes[0].collections if c.get_array() is not None)
        rows = {ax.get_subplotspec().rowspan.start for ax in axes}  # type: ignore[union-attr]
        place = {"ax": list(axes), "aspect": 28, "pad": 0.02, "shrink": 0.95} if len(rows) > 1 else {}
        scale.colorbar(filled, list(axes), np.asarray(levels, dtype=float), "loss [nat]", **place)


def pairs(ax: Axes, study: Study, measure: str, label: str, *, log: bool = False) -> None:
    """Draw a measure of a study: a line for each seed, and means with standard errors over seeds."""
    from landscape.plots.style import BLUE, GRAY

    values = study.value[:, _at(study.measure, measure)]
    x = np.arange(len(values))
    ax.plot(x, values, color=GRAY, linewidth=0.5, alpha=0.5)
    error = values.std(1, ddof=1) / np.sqrt(values.shape[1])
    ax.errorbar(x, values.mean(1), error, fmt="o", color=BLUE, markersize=4, capsize=2.5, zorder=3)
    ax.set_xticks(x, study.method.tolist())
    ax.set(xlim=(-0.4, len(x) - 0.6), ylabel=label)
    if log:
        logarithmic(ax)


def logarithmic(ax: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers on it."""
    from matplotlib.ticker import LogLocator, NullFormatter

    from landscape.plots.style import number as plain

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda value, _: plain(value))
    ax.yaxis.set_minor_formatter(NullFormatter())


def compared(
    values: Mapping[str, Mapping[int, Mapping[str, tuple[float, float]]]], measures: Iterable[str], **scales: str
) -> Study:
    """Compare methods over paired seeds: the first is the baseline, and p-values are corrected by Holm.

    Parameters
    ----------
    values : method -> seed -> measure -> (value, error)
        The error is that of one run: 0 if the value is exact, NaN if it is not known.
    measures : iterable of str
        Those that are compared.
    **scales : {"linear", "log"}
        Of measures whose differences are not to be compared as `landscape.study.measure.scale` has it.
    """
    from landscape.study import comparison
    from landscape.study.study import Study

    seeds = list(next(iter(values.values())))
    spent = {"gradient_evaluations": np.nan, "epochs": 0}
    records = [[spent | {"values": rows[seed]} for seed in seeds] for rows in values.values()]
    arrays: dict[str, Any] = comparison.compared(list(values), seeds, records, scales=scales, family=list(measures))
    return Study(**arrays)


def claim(study: Study, words: str, method: str, measure: str, side: str) -> str:
    """Write what became of a claim, as a line of a report: by the paired test, corrected for all that were made.

    Parameters
    ----------
    study : Study
    words : str
        The claim: "lambda_max is lower after SAM".
    method, measure : str
    side : {"lower", "higher"}
        Where the claim has the method, seen from the baseline.
    """
    from landscape.study.study import cells

    row = next(r for r in study.table() if (r["method"], r["measure"]) == (method, measure))
    change, interval, p, _ = cells(row)
    how = "ratio" if row["scale"] == "log" else "difference"
    told = [f"{how} {change.removeprefix('x ')}", interval and f"95 % interval {interval}", p and f"Holm p {p}"]
    ours, base = (study.value[m, _at(study.measure, measure)] for m in (_at(study.method, method), 0))
    told.append(f"{side} in {int((ours < base if side == 'lower' else ours > base).sum())} of {row['pairs']} seeds")
    outcome = {side: HOLDS, "undecided": OPEN}.get(row["verdict"], FAILS)
    return outcome_line(words, outcome, ", ".join(filter(None, told)))


def outcome_line(words: str, outcome: str, numbers: str) -> str:
    """Write the line of a verdict: the index finds it by its form."""
    return f"- *{words}*: **{outcome}** ({numbers})."


def summary(study: Study, names: Mapping[str, str], form: str = "{:.3g}") -> list[str]:
    """Write the table of a study: means over seeds with standard errors, and paired changes to the baseline.

    Parameters
    ----------
    study : Study
    names : measure -> what to call it, with its unit
    """
    rows = []
    for measure, meaning in names.items():
        k = _at(study.measure, measure)
        for m, method in enumerate(study.method.tolist()):
            values = study.value[m, k]
            if np.isnan(values).all():  # not a measure of this method
                continue
            mean = number(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
            rows.append([meaning if m == 0 else "", method, mean, *_changes(study, method, measure)])
    return table(("measure", "method", "mean ± standard error", "change", "95 %", "Holm p"), rows)


def _changes(study: Study, method: str, measure: str) -> list[str]:
    from landscape.study.study import cells

    for row in study.table():
        if (row["method"], row["measure"]) == (method, measure):
            return [cell.replace("x ", "× ") for cell in cells(row)[:3]]
    return ["", "", ""]


def number(value: float, error: float) -> str:
    """Write a number with its error, as many digits as the error has meaning for.

    Examples
    --------
    >>> number(1.23456, 0.0321), number(1234.5, 56.0), number(0.5, 0.0), number(0.5, float("nan"))
    ('1.235 ± 0.032', '1234 ± 56', '0.5', '0.5')
    """
    if not np.isfinite(error) or error <= 0 or not np.isfinite(value):
        return f"{value:.4g}"
    digits = 1 - int(np.floor(np.log10(error)))
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.3g} ± {error:.2g}"
    return f"{value:.{max(digits, 0)}f} ± {error:.{max(digits, 0)}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table in markdown; what is told in numbers stands to the right."""
    rows = [list(row) for row in rows]
    right = [all(re.match(r"[-×x]? ?\d|$", row[c]) for row in rows) for c in range(len(head))]
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---:" if r else "---" for r in right) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def page(script: str, doc: str | None, done: str, alt: str, body: Sequence[str], verdict: Sequence[str]) -> str:
    """Write a report: question, claim, what was done, figure, numbers, verdict.

    Parameters
    ----------
    script : str
        ``__file__`` of the script.
    doc : str
        ``__doc__`` of the script: its first sentence is the question, its second paragraph the claim.
    done : str
        What was measured, in words.
    alt : str
        What the figure shows, for those who cannot see it.
    body : sequence of str
        Lines of tables.
    verdict : sequence of str
        Lines of `claim`, and what they are worth.
    """
    name = Path(script).stem
    question, claimed = asked(doc or "")
    lines = [f"# {question}", "", filled(claimed), "", filled(f"`python gallery/{name}.py`: {done}"), ""]
    lines += [f"![{alt}]({name}.png)", "", *body, "", "## Verdict", ""]
    return "\n".join([*lines, *(filled(line) for line in verdict)])


def asked(doc: str) -> tuple[str, str]:
    """Return the question that a docstring opens with, and the paragraph that follows: the claim."""
    first, _, rest = doc.partition("\n\n")
    return " ".join(first.split()).partition("?")[0] + "?", " ".join(rest.partition("\n\n")[0].split())


def filled(words: str) -> str:
    """Break words into lines."""
    indent = "  " if words.startswith("- ") else ""
    joined = " ".join(words.split())
    return textwrap.fill(joined, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _at(names: np.ndarray, name: str) -> int:
    return names.tolist().index(name)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
