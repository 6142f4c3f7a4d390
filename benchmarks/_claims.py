"""Claims judged by studies over paired seeds: how a claim is said, tested and written down."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import machine, write_section

from landscape.dataset import Dataset
from landscape.paired import holm, paired
from landscape.result import load
from landscape.study import Study, study
from landscape.train.composition import method
from landscape.train.settings import Settings

HERE = Path(__file__).resolve().parent
SEEDS, MORE = 10, 20  # of claims about spectra, whose effects are large; of claims about test losses and accuracies
LEVEL = 0.05  # of the whole family


@dataclass(frozen=True)
class Claim:
    """What a paper says: that a measure of a method is on one side of another.

    Parameters
    ----------
    says : str
        The claim, in words.
    source : str
    method, baseline : (str, str)
        Name of a method of the study, and of a measure.
    side : {"lower", "higher"}
        Where the method is said to be.
    scale : {"log", "linear"}
    """

    says: str
    source: str
    method: tuple[str, str]
    baseline: tuple[str, str]
    side: str
    scale: str = "linear"


@dataclass(frozen=True)
class Trial:
    """A study, and the claims that are judged by it."""

    title: str
    methods: Sequence[str]
    claims: Sequence[Claim]
    data: Callable[[int], Dataset]
    model: Any
    settings: Settings
    measures: Sequence[Callable]
    more: dict[str, Any] = field(default_factory=dict)
    seeds: int = SEEDS


def judged(trial: Trial, found: Study) -> list[tuple[Claim, np.ndarray]]:
    """Return for every claim of a study its values: (2, seeds), the baseline first."""
    names, known = found.method.tolist(), found.measure.tolist()

    def values(side: tuple[str, str]) -> np.ndarray:
        return found.value[names.index(method(side[0]).name), known.index(side[1])]

    return [(claim, np.stack([values(claim.baseline), values(claim.method)])) for claim in trial.claims]


def verdict(claim: Claim, mean: float, p: float) -> str:
    """Say how a claim fared."""
    if not p < LEVEL:
        return "undecided"
    return "reproduced" if (mean < 0) == (claim.side == "lower") else "not reproduced"


def page(trials: dict[str, Trial], found: dict[str, Study]) -> str:
    """Write all claims as one family of tests, and below them what every study measured."""
    rows = [(name, *pair) for name, result in found.items() for pair in judged(trials[name], result)]
    compared = [paired(values, scale=claim.scale) for _, claim, values in rows]
    tested = [float(result.p[1] if np.isfinite(result.p[1]) else result.p_sign[1]) for result in compared]
    corrected = holm(np.array(tested))
    lines = [
        "| claim | study | effect [95 % interval] | p | Holm p | d_z | seeds | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for (name, claim, _), result, single, p in zip(rows, compared, tested, corrected, strict=True):
        lines.append(
            f"| {claim.says} ({claim.source}) | {name} | {effect(claim, result)} | {single:.1e} | {p:.1e} "
            f"| {result.effect[1]:.1f} | {result.pairs[1]} | {verdict(claim, result.mean[1], p)} |"
        )
    if not all(np.isfinite(result.p[1]) for result in compared):
        lines += ["", "Where all differences are equal a t-test has no answer; p is then that of the sign test."]
    lines += ["", "A ratio (x) is that of geometric means, else a difference of means."]
    if any(str(name).endswith("lambda_max") for result in found.values() for name in result.measure):
        lines += ["", "The Hessian of the cross entropy shrinks with the training loss, which is not the same for all "
                  "methods: where a study has λ_max, its table has the ratio of the two as well."]  # fmt: skip
    lines += ["", "Means over seeds, and their standard errors, in every study:"]
    for name, result in found.items():
        lines += ["", f"**{name}**: {trials[name].title}; {len(result.seed)} seeds.", "", *measured(result)]
    return "\n".join(lines)


def effect(claim: Claim, result: Any) -> str:
    """Write a mean paired difference, or ratio, with its interval."""
    numbers = [float(column[1]) for column in (result.mean, result.low, result.high)]
    if claim.scale == "log":
        numbers = [math.exp(number) for number in numbers]
    sign, form = ("x", ".3f") if claim.scale == "log" else ("", "+.3g")
    return f"{sign}{numbers[0]:{form}} [{numbers[1]:{form}}, {numbers[2]:{form}}]"


def measured(found: Study) -> list[str]:
    """Write a row for every measure of a study, a column for every method."""
    evaluations = np.nanmean(found.gradient_evaluations, 1)
    lines = ["| measure | " + " | ".join(found.method) + " |", "|---|" + "---:|" * len(found.method)]
    lines.append("| gradient evaluations | " + " | ".join(f"{number:,.0f}" for number in evaluations) + " |")
    rows = {str(name): found.value[:, at] for at, name in enumerate(found.measure)}
    ratios = {f"{name} / train_loss": rows[name] / rows["train_loss"] for name in rows if name.endswith("lambda_max")}
    for name, values in (rows | ratios).items():
        counts = np.isfinite(values).sum(1)
        cells = [
            f"{np.nanmean(row):.4g} ± {np.nanstd(row, ddof=1) / math.sqrt(count):.1g}" if count > 1 else ""
            for row, count in zip(values, counts, strict=True)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main(known: dict[str, Trial], section: str, says: str) -> None:
    """Train, measure, judge, and write a section of the page; `says` is the text above it."""
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(known), help="names of studies")
    parser.add_argument("--seeds", type=int, help="of every study; at least 10 of each by default")
    parser.add_argument("--folder", type=Path, default=HERE / "claims", help="where runs and results are kept")
    parser.add_argument("--page", action="store_true", help="write CLAIMS.md from the studies that are there")
    given = parser.parse_args()
    if given.only is None or given.only:
        for name in given.only or known:
            made(name, known[name], given.folder, given.seeds or known[name].seeds)
    if given.page:
        files = {name: given.folder / f"{name}.h5" for name in known}
        results = {name: load(file) for name, file in files.items() if file.exists()}
        found = {name: result for name, result in results.items() if isinstance(result, Study)}
        head = says.partition("    python")[0].strip()
        text = [head, f"{machine(torch.device('cpu'))}.", page(known, found)]
        write_section(HERE / "CLAIMS.md", section, "\n\n".join(text))


def made(name: str, trial: Trial, folder: Path, seeds: int) -> Study:
    """Do a study, or read it where it was done."""
    more = dict(trial.more)
    if "init" in more:
        more["init"] = str(folder / f"{more['init']}.h5.runs" / "plain" / "seed-{seed:02d}.pt")
    folder.mkdir(parents=True, exist_ok=True)
    found = study(
        trial.data, trial.model, trial.settings, trial.methods, seeds=seeds, measures=trial.measures,
        output=folder / f"{name}.h5", device="cpu", **more,
    )  # fmt: skip
    for claim, values in judged(trial, found):
        result = paired(values, scale=claim.scale)
        print(f"{name}: {claim.says}: {effect(claim, result)}, p {result.p[1]:.1e}", flush=True)
    return found
