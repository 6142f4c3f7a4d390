"""Eigenvectors as axes: found by the command itself, and read from a file that it measured."""

from __future__ import annotations

import numpy as np

from landscape import load


def test_a_plane_along_the_largest_eigenvectors(here, ask, measure):
    assert measure("surface", "a.pt", "--directions", "eigen", "--split", "train", "-o", "found.h5").code == 0
    found = load("found.h5")
    assert found.origin["directions"]["kind"] == "eigen"
    words = ["--largest", "2", "--smallest", "0", "--vectors", "--examples", "40", "--split", "train"]
    assert ask("eigen", "a.pt", *words, "--plot", "none", "--device", "cpu", "-o", "e.h5").code == 0
    np.testing.assert_allclose(found.origin["directions"]["value"], load("e.h5").value, rtol=1e-4)
    assert measure("surface", "a.pt", "--directions", "e.h5", "--split", "train", "-o", "read.h5").code == 0
    read = load("read.h5")
    np.testing.assert_allclose(read.norm, 1, rtol=1e-5)
    np.testing.assert_allclose(np.sort(read.loss[0, 1]), np.sort(found.loss[0, 1]), rtol=1e-3)
