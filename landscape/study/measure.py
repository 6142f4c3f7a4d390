"""Measures of a study: on which scale they are compared, which side is better, how a probe's text is read."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from landscape import discovery
from landscape.probes import _contract

LINEAR = {"loss", "nll", "accuracy", "ece", "share", "cosine"}  # last words of what is compared by differences
BETTER = {"loss": "lower", "nll": "lower", "ece": "lower", "accuracy": "higher"}
KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
BEGINS = re.compile(r",(?=\s*[a-z_]+\s*=)")  # a comma before another knob; others are within a value


def scale(name: str, values: np.ndarray) -> str:
    """Tell on which scale a measure is compared: ``log`` where it is positive throughout, else ``linear``.

    Losses, accuracies, shares and cosines, by the last word of their names, are always compared by differences.

    Examples
    --------
    >>> scale("eigen.lambda_max", np.array([3.0, 0.2])), scale("eigen.lambda_min", np.array([-1.0, 0.2]))
    ('log', 'linear')
    >>> scale("test_loss", np.array([0.1])), scale("sharpness.sam rho=0.1 m=32", np.array([0.1]))
    ('linear', 'log')
    """
    known = values[~np.isnan(values)]
    return "log" if _last(name) not in LINEAR and known.size and (known > 0).all() else "linear"


def better(name: str) -> str:
    """Tell which side of a measure is better, by the last word of its name, where that is certain: else nothing.

    Examples
    --------
    >>> better("test_loss"), better("saddle.worst_class_accuracy"), better("eigen.lambda_max")
    ('lower', 'higher', '')
    """
    return BETTER.get(_last(name), "")


@dataclass(frozen=True)
class Probe:
    """A probe with knobs, as a text names it.

    Parameters
    ----------
    text : str
        Such as ``eigen:largest=1`` or ``sharpness:families=ascent,rho=0.05,0.1``.
    name : str
    knobs : dict
    """

    text: str
    name: str
    knobs: dict[str, Any] = field(default_factory=dict, hash=False)


def probe(text: str, *, among: tuple[str, ...] = ()) -> Probe:
    """Read the text of a probe: its name, and knobs after a colon with commas between them.

    A value of several numbers or words has commas of its own: ``rho=0.05,0.1``. Of the probes that go between networks
    those `among` them are taken too.

    Raises
    ------
    ValueError
        If there is no such probe or knob, or a value does not fit; if the probe goes between networks, where a study
        measures one at a time.
    """
    name, _, rest = text.strip().partition(":")
    every = discovery.names(_contract.PACKAGE)
    if name in every and _contract.between(name) and name not in among:
        raise ValueError(
            f"Expected a probe of one network, got {name!r}, which goes between several: run landscape {name} on the "
            "checkpoints."
        )
    known = [one for one in every if one in among or not _contract.between(one)]
    if name not in known:
        raise ValueError(
            f"Expected a probe among {', '.join(known)}, got {name!r}{discovery.did_you_mean(name, known)}: "
            "write it as in eigen:largest=1."
        )
    offered = {knob.name: knob for knob in _contract.knobs(name)}
    given = discovery.arguments(pair.strip() for pair in BEGINS.split(rest) if pair.strip())
    for key in given:
        if key not in offered:
            raise ValueError(
                f"Expected knobs of {name} among {', '.join(offered)}, got {key!r}"
                f"{discovery.did_you_mean(key, list(offered))}: see landscape {name} --help."
            )
    return Probe(text.strip(), name, {key: _fitting(name, offered[key], value) for key, value in given.items()})


def labels(probes: list[Probe]) -> list[str]:
    """Name the measures' prefix of each probe: its name, or its whole text where a name comes twice.

    Raises
    ------
    ValueError
        If a text comes twice.
    """
    names, texts = [p.name for p in probes], [p.text for p in probes]
    for text in texts:
        if texts.count(text) > 1:
            raise ValueError(f"Expected each probe once, got {text!r} twice: leave one out.")
    return [p.name if names.count(p.name) == 1 else p.text for p in probes]


def _last(name: str) -> str:
    """Return the last word of a name; what follows a space are settings."""
    return re.split(r"[._]", name.partition(" ")[0])[-1].lower()


def _fitting(name: str, knob: inspect.Parameter, value: Any) -> Any:
    """Return the value of a knob as its annotation has it: a number, a word, or a tuple of them."""
    kinds = [part.strip() for part in str(knob.annotation).split("|")]
    if "None" in kinds and str(value).lower() == "none":
        return None
    for kind in kinds:
        several = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", kind)
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple) else (value,)
        found = [_of_kind(part, several[1]) for part in parts] if several else [_of_kind(value, kind)]
        if None not in found:
            return tuple(found) if several else found[0]
    raise ValueError(f"Expected {knob.annotation} for {knob.name} of {name}, got {value!r}: see landscape {name} -h.")


def _of_kind(value: Any, kind: str) -> Any:
    """Return a value of one kind, or None if it is of another."""
    if type(value) is int and kind in ("float", "str") or type(value) is float and kind == "str":
        return KINDS[kind](value)
    if type(value) is not KINDS.get(kind):
        return None
    return value.strip() if isinstance(value, str) else value
