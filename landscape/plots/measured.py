"""What the measures of a comparison are called: words and symbols, with their settings and units."""

from __future__ import annotations

import re

from landscape.plots import field
from landscape.plots.sharpness import LETTERS, SYMBOLS
from landscape.plots.sharpness import label as sharpness
from landscape.result import Result

WORDS = {
    "lambda_max": r"$\lambda_{\max}$", "lambda_min": r"$\lambda_{\min}$", "trace": "trace",
    "rise_by_rounding": "rise by rounding", "rise": "mean rise",
}  # fmt: skip
BARRIER = "barrier_to_"
UNICODE = {
    r"\lambda": "λ", r"\rho": "ρ", r"\epsilon": "ε", r"\sigma": "σ", r"\theta": "θ", r"\max": "max", r"\min": "min",
    r"\mathrm": "", r"\|": "‖", r"\,": "", "^2": "²", "{": "", "}": "",
}  # fmt: skip
MATH = re.compile(r"(?<!\\)\$((?:[^$\\]|\\.)*)\$")


def name(measure: str) -> str:
    r"""Call a measure as papers do; what stands between dollars is mathematics.

    Examples
    --------
    >>> name("test_accuracy"), name("lambda_max"), name("sam rho=0.05 m=all")
    ('test accuracy', '$\\lambda_{\\max}$', 'SAM, $\\rho=0.05$')
    >>> name("test_rise_by_rounding"), name("train_barrier_to_a_$1"), name("spectrum.lambda_max")
    ('test rise by rounding', 'train barrier to a_\\$1', 'spectrum: $\\lambda_{\\max}$')
    """
    split, found, other = measure.partition(BARRIER)
    if found and (not split or split.endswith("_")):
        return f"{_spaced(split)}barrier to {_literal(other)}"
    probe, _, rest = measure.rpartition(".") if re.fullmatch(r"[a-z]\w*\.[A-Za-z]\w*", measure) else ("", "", measure)
    if probe == "surface" and rest.endswith("_rise"):
        return f"{name(rest)} over the plane"
    if probe:
        return f"{_spaced(probe)}: {name(rest)}"
    word, _, setting = measure.partition(" ")
    if setting or word in SYMBOLS and word not in WORDS:
        return sharpness(word, _least(setting))
    if measure in WORDS:
        return WORDS[measure]
    end = next((end for end in WORDS if measure.endswith(f"_{end}")), "")
    return f"{_spaced(measure.removesuffix(end))}{WORDS[end]}" if end else _literal(measure.replace("_", " "))


def plain(label: str) -> str:
    r"""Write a name without mathematics, in Unicode.

    Examples
    --------
    >>> plain(name("lambda_max")), plain(name("sam rho=0.05 m=all")), plain(name("train_barrier_to_a_$1"))
    ('λ_max', 'SAM, ρ=0.05', 'train barrier to a_$1')
    """
    pieces = MATH.split(label)
    return "".join(_unicode(piece) if k % 2 else piece.replace(r"\$", "$") for k, piece in enumerate(pieces))


def percent(result: Result, measure: str) -> float:
    """Factor from stored to shown units: accuracies are fractions, and shown in percent."""
    return field.percent(measure) if measure.endswith("accuracy") else 1.0


def unit(result: Result, measure: str, stored: str) -> str:
    """Unit that is shown: percent of accuracies, and none of losses of regression, as `landscape.plots.field.unit`."""
    if percent(result, measure) > 1:
        return "%"
    return "" if stored == "nat" and _loss(result) in field.SQUARES else stored


def _loss(result: Result) -> str:
    members = getattr(result, "members", {})
    return next((str(one.origin["loss"]) for one in members.values() if "loss" in one.origin), "")


def _least(setting: str) -> str:
    """Leave out the settings that say nothing: gradients of all examples."""
    return " ".join(word for word in setting.split() if word.partition("=")[0] in LETTERS and word != "m=all")


def _spaced(words: str) -> str:
    return _literal(words.replace("_", " "))


def _literal(words: str) -> str:
    return words.replace("$", r"\$")


def _unicode(math: str) -> str:
    for sign, letter in UNICODE.items():
        math = math.replace(sign, letter)
    return math.strip()
