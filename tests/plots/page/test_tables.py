"""Tables: numbers with their errors, joined by network and width, the best marked where it clearly is."""

import math
from dataclasses import dataclass
from unittest.mock import ANY

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.plots.page.entries import entries
from landscape.plots.page.tables import Number, best, compared, joined, outlined
from landscape.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Figures(Result):
    told = ()

    def figures(self):
        return self.origin["figures"]


Result.kinds.pop("Figures")  # known to these tests alone
numbers = st.dictionaries(
    st.integers(0, 5), st.builds(Number, st.floats(-9, 9), st.one_of(st.just(math.nan), st.floats(0, 3))), max_size=5
)


def about(stem, bits=None, several=(), **figures):
    found = {"figures": figures, "checkpoint": {"path": f"/runs/{stem}.pt"}}
    found |= {"others": [{"path": f"/runs/{name}.pt"} for name in several], "checkpoints": 1 + len(several)}
    return Figures(origin=found | ({"quantization": {"widths": {"bits": [bits]}}} if bits else {}))


@pytest.mark.parametrize(("value", "error", "told"), [
    (0.5, 0.01, "0.500 ± 0.010"), (123.456, 0.5, "123.46 ± 0.50"), (0.25, 0.0, "0.25"), (0.25, math.nan, "0.25†"),
    (math.inf, 0.1, "∞"), (math.nan, 0.1, "–"), (1e-7, 2e-5, "(0.0 ± 2.0)×10⁻⁵"), (0.57207934, 2.8e-7, "0.5721"),
])  # fmt: skip
def test_a_number_is_written_with_the_digits_that_its_error_leaves(value, error, told):
    assert Number(value, error).cell == told


@given(numbers, st.sampled_from(["lower", "higher"]))
def test_the_best_number_is_ahead_of_all_others_by_two_errors(found, better):
    sign = -1 if better == "lower" else 1

    def ahead(one, other):
        return sign * (one.value - other.value) > 2 * math.sqrt(one.error**2 + other.error**2)

    naive = [k for k, one in found.items() if len(found) > 1 and all(ahead(one, o) for j, o in found.items() if j != k)]
    assert best(found, better) == (naive[0] if naive else None)


def test_results_are_joined_by_network_and_width():
    table = joined(entries({
        "1": about("sgd", loss=(0.5, 0.01)), "2": about("sgd.w4", 4, loss=(0.9, 0.01)),
        "3": about("sgd", bits_4_loss=(0.95, 0.02), bits_2_loss=(2.0, 0.1), trace=(7.0, math.nan)),
        "4": about("sam", loss=(0.3, 0.01)),
    }), "all")  # fmt: skip
    assert table.rows == [("sgd", 32), ("sgd", 4), ("sgd", 2), ("sam", 32)]
    assert [name for name, _, _ in table.columns] == ["loss", "trace"]
    assert table.cells[1, 0] == (0.9, 0.01)  # the first that told it
    assert table.cells[2, 0] == (2.0, 0.1)
    assert (1, 1) not in table.cells
    assert table.best == {(3, 0)}


def test_of_a_single_network_the_best_width_is_marked():
    table = joined(entries({"1": about("n", accuracy=(0.9, 0.01)), "2": about("n.w2", 2, accuracy=(0.5, 0.01))}), "all")
    assert table.best == {(0, 0)}
    table = joined(entries({"1": about("n", accuracy=(0.9, 0.1)), "2": about("n.w2", 2, accuracy=(0.8, 0.1))}), "all")
    assert table.best == set()


def test_a_result_about_several_networks_bears_their_names():
    (entry,) = entries({"path": about("one", several=["two"], barrier=(1.0, 0.1))})
    assert entry.network == "one – two"
    assert entry.several


def test_losses_at_the_center_of_a_surface_are_told(make_surface):
    surface = make_surface((9, 7))
    table = joined(entries({"net.surface": surface}), "all")
    names = [name for name, _, _ in table.columns]
    assert names[:2] == ["train loss", "train accuracy"]
    middle = np.abs(surface.a).argmin(), np.abs(surface.b).argmin()
    assert table.cells[0, 0] == (surface.loss[0][middle], surface.loss_error[0][middle])
    assert table.rows == [("net", 32)]


def test_a_comparison_is_laid_out_with_its_own_marks():
    from landscape.comparison.comparison import Comparison

    result = Comparison(
        network=["a", "b", "a"], bits=[32.0, 32.0, math.nan], measure=["loss", "size"], unit=["nat", ""],
        better=["lower", "none"], value=[[1.0, 3.0], [0.5, 4.0], [2.0, math.nan]],
        error=[[0.1, 0.0], [0.1, 0.0], [0.1, 0.0]], apart=np.full((3, 3, 2), 0.1),
    )  # fmt: skip
    table = compared(result, "compare")
    assert table.rows == [("a", 32), ("b", 32), ("a", 0)]
    assert table.columns == [("loss", "nat", "lower"), ("size", "", "")]
    assert table.laid().heads == [("network", ""), ("bits", ""), ("loss [nat]", "lower is better"), ("size", "")]
    assert table.laid().rows[1] == (
        [("b", "", ANY), ("full precision", "", 32.0)],
        [("0.50 ± 0.10", 0.5, True), ("4", 4.0, False)],
    )
    assert table.best == {(1, 0)}
    assert (2, 1) not in table.cells


def test_accuracies_are_told_in_percent_and_in_the_words_of_all_tables(make_surface):
    surface = make_surface((9, 7))
    table = joined(entries({"net.surface": surface}), "all")
    names = [f"{name} [{unit}]" for name, unit, _ in table.columns]
    middle = np.abs(surface.a).argmin(), np.abs(surface.b).argmin()
    assert table.cells[0, names.index("train accuracy [%]")].value == 100 * surface.accuracy[0][middle]
    assert "train mean rise over the plane [nat]" in names


def test_few_networks_with_many_measures_stand_side_by_side():
    found = {f"m{k}_loss": (0.1 + k, 0.01) for k in range(9)}
    heads, rows = joined(entries({"1": about("sgd", **found), "2": about("sgd.w4", 4, **found)}), "all").laid()
    assert heads == [("measure", ""), ("sgd", "full precision"), ("sgd", "4 bits")]
    assert [names[0][0] for names, _ in rows] == [f"m{k} loss [nat]" for k in range(9)]
    assert [cells[1][:2] for _, cells in rows] == [(f"{0.1 + k:.3f} ± 0.010", 0.1 + k) for k in range(9)]


def test_an_outline_tells_a_measure_once_and_what_is_asked_first():
    one, two = about("sgd", train_loss=(0.5, 0.01), extra_things=(1.0, 0.1)), about("sgd", train_loss=(0.5, 0.01))
    other = type("Others", (Figures,), {})
    Result.kinds.pop("Others")
    three = other(origin=two.origin)
    table = outlined(entries({"1": one, "3": three}), "all")
    assert [name for name, _, _ in table.columns] == ["train loss"]
    three = other(origin=about("sgd.w4", 4, train_loss=(0.9, 0.01)).origin)
    table = outlined(entries({"1": one, "3": three}), "all")
    assert [name for name, _, _ in table.columns] == ["figures: train loss", "others: train loss"]
    assert table.rows == [("sgd", 32), ("sgd", 4)]
