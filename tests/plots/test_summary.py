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


@dataclass(frozen=True, eq=False, repr=False)
class Draws(Result):
    sample: np.ndarray = quantity("sample", "probe")


@dataclass(frozen=True, eq=False, repr=False)
class Measures(Result):
    measure: np.ndarray = quantity("measure", "measure")
    value: np.ndarray = quantity("value", "measure")
    definition: np.ndarray = quantity("definition", "measure")


@dataclass(frozen=True, eq=False, repr=False)
class Ends(Result):
    k: np.ndarray = quantity("rank", "k")
    end: np.ndarray = quantity("end", "k")
    end_converged: np.ndarray = quantity("whether it has converged", "k")


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
    lines = summary(peaks(105)).splitlines()
    assert lines[-2] == "... 5 more"
    assert len(lines) == 4 + 100 + 2


def test_random_vectors_are_left_to_the_file():
    assert summary(Draws(sample=np.arange(3))).splitlines() == ["Draws", "arrays: sample"]


def test_long_texts_stand_once_below_their_table():
    words = "what the measure is, in more words than a column has room for"
    found = Measures(measure=["sam", "sam", "trace"], value=[1.0, 2.0, 3.0], definition=[words, words, words + "!"])
    assert summary(found).splitlines() == [
        "Measures", "measure  value", "sam      1", "sam      2", "trace    3",
        "measure  definition", f"sam      {words}", f"trace    {words}!",
    ]  # fmt: skip


def test_what_has_converged_is_told_where_something_has_not():
    found = {"k": [1, 2, 3], "end": [1.0, 2.0, np.nan]}
    assert "converged" not in summary(Ends(**found, end_converged=[True, True, False]))
    assert "end_converged" in summary(Ends(**found, end_converged=[True, False, False]))


def test_products_of_parts_are_told_as_whole_ones(peaks):
    assert head(peaks(split="train", products=193.62)) == "Peaks of the train split, 194 products"


def test_the_head_says_of_what(peaks):
    splits = {"train": {"examples": 40}, "test": {"examples": 9}}
    whole = peaks(split="train", splits=splits, products=12)
    assert head(whole) == "Peaks of the train split, 40 examples, 12 products"
    assert head(peaks(split="train")) == "Peaks of the train split"
    assert head(peaks(splits=[], split=["?"])) == "Peaks of the ['?'] split"
