"""Loops of sublevel sets, as gudhi finds them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from landscape.persistence.loops import loops


@pytest.mark.parametrize("neighbours", [4, 8])
def test_a_ring_around_a_hill_closes_at_its_pass_and_is_filled_at_the_summit(neighbours):
    pytest.importorskip("gudhi")
    values = np.array([[1.0, 0, 0, 0], [0, 9, 7, 0], [0, 0, 2, 0], [0, 0, 0, 0]])
    found = loops(values, neighbours=neighbours)
    flat = values.ravel()
    assert flat[found.death].tolist() == [9]
    assert flat[found.birth].tolist() == [0 if neighbours == 8 else 1]
    assert flat[loops(values.T, neighbours=neighbours).death].tolist() == [9]


@pytest.mark.parametrize("neighbours", [4, 8])
def test_holes_in_the_domain_are_never_filled(neighbours):
    pytest.importorskip("gudhi")
    values = np.zeros((5, 7))
    values[2, 2], values[2, 4] = np.nan, np.inf
    assert loops(values, neighbours=neighbours).death.tolist() == [-1, -1]
    assert not loops(np.zeros((3, 3)), neighbours=neighbours).birth.size


def test_loops_are_those_of_hills_upside_down():
    """On a sphere, loops of what lies low are gaps between components of what lies high (Alexander duality)."""
    pytest.importorskip("gudhi")
    from landscape.persistence.merging import merge_tree

    values = np.random.default_rng(0).normal(size=(12, 9))
    rim = np.pad(values, 1, constant_values=-9.0)  # a moat joins all that is outside
    found = loops(rim, neighbours=8)
    pairs = sorted((rim.flat[b], rim.flat[d]) for b, d in zip(found.birth, found.death, strict=True))
    hills = merge_tree(-np.pad(rim, 1, constant_values=99.0), neighbours=4)
    dual = sorted((-d, -b) for b, d in zip(hills.birth, hills.death, strict=True) if np.isfinite(d))
    np.testing.assert_allclose(pairs, dual)


def test_without_gudhi_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(ImportError, match=r"Expected gudhi .* pip install 'landscape\[topology\]'"):
        loops(np.zeros((3, 3)))
