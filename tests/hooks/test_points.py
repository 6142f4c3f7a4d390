"""Periods, thinning and what is logged on the way."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.hooks.period import period
from landscape.hooks.points import Point, merged, thinned


def point(tick, **means):
    return Point(f"{tick}.pt", tick, True, tick, tick, 0.0, means=means)


@pytest.mark.parametrize(
    ("every", "unit", "amount"),
    [(100, "steps", 100), ("100 steps", "steps", 100), ("epoch", "epochs", 1), ("2 epochs", "epochs", 2),
     ("0.5 epochs", "epochs", 0.5), ("10 minutes", "seconds", 600), ("hour", "seconds", 3600)],
)  # fmt: skip
def test_periods_read_as_they_are_written(every, unit, amount):
    found = period(every)
    assert (found.unit, found.amount) == (unit, amount)


@pytest.mark.parametrize("every", [0, -3, "0 epochs", "often", "3 fortnights", "1.5 steps", ""])
def test_what_is_no_period_is_refused(every):
    with pytest.raises(ValueError, match=r"Expected a (positive )?period"):
        period(every)


def test_an_epoch_is_over_though_its_fractions_do_not_add_up():
    third = sum([1 / 3 - 1e-17] * 3)
    assert period("epoch").tick(steps=0, epochs=third - 1e-12, seconds=0.0) == 1


@given(st.integers(3, 300), st.integers(2, 12))
def test_thinning_leaves_an_even_grid_with_the_first(count, limit):
    kept, stride = thinned([point(tick) for tick in range(count)], 1, limit)
    assert [p.tick for p in kept] == list(range(0, count, stride))
    assert len(kept) <= limit
    assert stride == 1 or len(range(0, count, stride // 2)) > limit  # no more is thrown away than must be


@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=60), st.integers(2, 7))
def test_means_over_what_is_thinned_are_those_of_all_steps(losses, limit):
    points = [point(tick, loss=[float(value), 1]) for tick, value in enumerate(losses)]
    kept, _ = thinned(points, 1, limit)
    seen = sum((Fraction(p.means["loss"][1]) for p in kept), Fraction(0))
    total = sum(p.means["loss"][0] * p.means["loss"][1] for p in kept)
    assert seen == kept[-1].tick + 1
    assert total == pytest.approx(sum(losses[: kept[-1].tick + 1]), abs=1e-6)


def test_means_of_different_names_stand_side_by_side():
    assert merged({"a": [1.0, 2]}, {"b": [3.0, 4]}) == {"a": [1.0, 2], "b": [3.0, 4]}
