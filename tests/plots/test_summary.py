"""Results of any kind in words and numbers."""

from dataclasses import dataclass

import numpy as np
import pytest

from landscape.plots.export import table
from landscape.plots.summary import head, summary
from landscape.result import Result, quantity


@dataclass(frozen=True, eq=False, repr=False)
class Peaks(Result):
    k: np.ndarray = quantity("rank", "k")
    height: np.ndarray = quantity("height", "k", unit="nat")
    height_residual: np.ndarray = quantity("its residual", "k", unit="nat")
    sure: np.ndarray = quantity("whether it is", "k")
    total: np.ndarray = quantity("all of it", unit="nat")
    total_error: np.ndarray = quantity("its standard error", unit="nat")
    count: np.ndarray = quantity("how many, exactly")
    map: np.ndarray = quantity("a map", "k", "other")


@pytest.fixture
def peaks():
    def made(size=3, **origin):
        k = np.arange(1, size + 1)
        arrays = {"k": k, "height": 1.5 * k, "height_residual": 0.01 * k, "sure": k > 1, "map": np.ones((size, 2))}
        return Peaks(**arrays, total=2.5, total_error=np.nan, count=7, origin=origin)

    return made


def test_numbers_stand_with_their_errors(peaks):
    lines = summary(peaks()).splitlines()
    assert lines == [
        "Peaks",
        "total  2.5 nat  all of it",
        "count  7        how many, exactly",
        "k  height      sure",
        "1  1.5 ± 0.01  False",
        "2  3 ± 0.02    True",
        "3  4.5 ± 0.03  True",
        "arrays: map",
    ]
    assert table(peaks()) == summary(peaks())


def test_long_tables_are_cut(peaks):
    lines = summary(peaks(25)).splitlines()
    assert lines[-2] == "... 5 more"
    assert len(lines) == 4 + 20 + 2


def test_the_head_says_of_what(peaks):
    splits = {"train": {"examples": 40}, "test": {"examples": 9}}
    whole = peaks(split="train", splits=splits, products=12)
    assert head(whole) == "Peaks of the train split, 40 examples, 12 products"
    assert head(peaks(split="train")) == "Peaks of the train split"
    assert head(peaks(splits=[], split=["?"])) == "Peaks of the ['?'] split"
