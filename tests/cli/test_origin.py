"""What a result says of its origin, and what a command says of its knobs, is heeded or refused."""

from __future__ import annotations

import json

import h5py
import pytest


@pytest.mark.parametrize("edit", [
    lambda origin: origin.pop("code"),
    lambda origin: origin.pop("plan"),
    lambda origin: origin.update(source=[]),
    lambda origin: origin["knobs"].update(store="x"),
    lambda origin: origin["knobs"].update(what=1),
])  # fmt: skip
def test_an_origin_that_lacks_or_adds_something(here, ask, measure, edit):
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    with h5py.File("s.h5", "r+") as file:
        origin = json.loads(file.attrs["origin"])
        edit(origin)
        file.attrs["origin"] = json.dumps(origin)
    assert ask("reproduce", "s.h5").refused("s.h5: expected")


@pytest.mark.parametrize("words", [["--directions", "gradient"], ["b.pt"], ["--trajectory", "a.trajectory"]])
def test_knobs_of_random_directions_are_heeded_or_refused(here, measure, words):
    assert measure("surface", "a.pt", *words, "--normalization", "layer").refused("normalization", "random")
    assert measure("surface", "a.pt", *words, "--include", "bias").refused("include", "random")
