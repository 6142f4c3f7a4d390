"""Results whose arrays are not what their kind promises: one line that names the file, and nothing written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

QUICK = ["--plot", "none", "--device", "cpu", "--examples", "40", "--points", "3", "--strategy", "loop,examples=512"]
WAYS = [
    ["show"], ["plot", "-o", "out.png"], ["plot", "-o", "out.html"], ["export", "-o", "out.csv"],
    ["report", "-o", "out.html"], ["topology", "-o", "out.h5"], ["compare", "-o", "both.h5", "--plot", "none"],
]  # fmt: skip
ARRAYS = {
    "loss of text": ("loss", np.full((2, 3, 3), b"high")),
    "complex loss": ("loss", np.full((2, 3, 3), 1j)),
    "steps of text": ("a", np.array([b"left", b"middle", b"right"])),
    "accuracy of text": ("accuracy", np.full((2, 3, 3), b"good")),
    "classes of numbers": ("class", np.arange(10.0)),
    "no loss at all": ("loss", np.zeros((2, 3, 0))),
}
HARMLESS = ("classes of numbers",)  # which are shown as they are


@pytest.mark.parametrize("what", ARRAYS)
def test_damaged_arrays_get_one_line(here, ask, what):
    assert ask("surface", "a.pt", *QUICK, "-o", "s.h5").code == 0
    name, array = ARRAYS[what]
    with h5py.File("s.h5", "r+") as file:
        del file[name]
        file[name] = array
    for way in WAYS:
        answer = ask(way[0], "s.h5", *way[1:])
        if what in HARMLESS:
            assert answer.code == 0, answer.err
        else:
            assert answer.refused("s.h5"), way
            assert not Path(way[2] if len(way) > 1 else "none").exists(), way
