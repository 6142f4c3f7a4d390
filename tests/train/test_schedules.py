"""Theorems: schedules are closed forms of the clock, and the clock counts exactly."""

import math
from fractions import Fraction

import pytest

from landscape.train.clock import Clock
from landscape.train.schedules import SCHEDULES, constant, cosine, step, warmed


def along(schedule, epochs=4, per_epoch=5):
    clock, values = Clock(epochs, per_epoch), []
    while not clock.finished:
        values.append(schedule(clock))
        clock.step += 1
    return values


def test_constant():
    assert set(along(constant(0.3))) == {0.3}


def test_cosine_is_half_a_cosine():
    expected = [0.01 + 0.5 * (0.4 - 0.01) * (1 + math.cos(math.pi * i / 20)) for i in range(20)]
    assert along(cosine(0.4, final=0.01)) == pytest.approx(expected, rel=1e-14)
    assert along(cosine(0.4))[10] == pytest.approx(0.2)


def test_step_drops_at_half_and_three_quarters():
    assert along(step(1.0)) == pytest.approx([1.0] * 10 + [0.1] * 5 + [0.01] * 5)
    assert along(step(1.0, drops=(0.25,), factor=0.5)) == [1.0] * 5 + [0.5] * 15


def test_warm_up_is_a_line_times_the_schedule():
    assert along(warmed(constant(1.0), 1))[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    plain, risen = along(cosine(1.0)), along(warmed(cosine(1.0), 2))
    assert risen == pytest.approx([p * min(1, (i + 1) / 10) for i, p in enumerate(plain)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_pure(name):
    schedule = SCHEDULES[name](0.1)
    late = Clock(4, 5, step=13)
    value = schedule(late)
    along(schedule)
    assert schedule(late) == value


def test_the_clock_counts_parts_exactly():
    clock = Clock(2, 3)
    for part in (3, 3, 1) * 10:
        clock.spend(part, 7)
    assert clock.spent == Fraction(10)
    assert clock.evaluations == 10.0


def test_the_clock_knows_the_ends_of_epochs():
    assert [Clock(2, 3, step=s).between_epochs for s in range(7)] == [True, False, False] * 2 + [True]
    assert [Clock(2, 3, step=s).epoch for s in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert Clock(0, 3).finished
    assert Clock(0, 3).fraction == 1.0


def test_a_kept_clock_goes_on():
    clock, other = Clock(2, 3, step=4), Clock(2, 3)
    clock.spend(1, 3)
    clock.began -= 100
    other.load_state_dict(clock.state_dict())
    assert (other.step, other.spent) == (4, Fraction(1, 3))
    assert 100 <= other.seconds < 110
