"""Choosing a plan: by measured seconds, within a budget, among what fits and runs."""

import pytest

from landscape.engine import plan
from landscape.engine.plan import Plan, Workload, choose

GB = 2**30


def work(**knobs):
    return Workload(**{"count": 1000, "examples": 5000, "sample": 512, "each": 1000, "dim": 1000, "room": GB, **knobs})


def chosen(seconds, **knobs):
    asked = []
    best = choose(Plan(examples=256), lambda p: asked.append(p) or seconds(p), work(**knobs))
    return best, asked


def test_the_fastest_of_each_property_is_kept():
    def seconds(p):
        return 1.0 - 0.2 * p.channels_last - 0.2 * p.folded - 0.1 * (p.examples == 128) + (p.kind == "vmap")

    best, _ = chosen(seconds, images=True, foldable=True)
    assert best == Plan(examples=128, channels_last=True, folded=True)
    best, asked = chosen(seconds)
    assert best == Plan(examples=128)
    assert not any(p.channels_last or p.folded for p in asked)


def test_several_points_at_once_where_that_is_fast():
    best, _ = chosen(lambda p: 1.0 / p.points + 0.001 * p.points)
    assert (best.kind, best.points) == ("vmap", 16)
    best, asked = chosen(lambda p: 1.0 / p.points, count=40)
    assert best.points == 16
    assert max(p.points for p in asked) == 16


def test_a_slow_family_is_left_at_once():
    _, asked = chosen(lambda p: 1.0 + 10 * (p.kind == "vmap"))
    assert sum(p.kind == "vmap" for p in asked) == 1


def test_what_does_not_run_is_never_taken():
    def seconds(p):
        return 1.0 if p == Plan(examples=256) else float("inf")

    best, _ = chosen(seconds, images=True, foldable=True)
    assert best == Plan(examples=256)
    best, _ = chosen(lambda p: float("inf"), images=True)
    assert best == Plan(examples=256)  # whose error then shows


def test_what_does_not_fit_is_not_tried():
    _, asked = chosen(lambda p: 1.0 / p.points, room=5 * 256 * 1000 * 4)
    assert max(p.points for p in asked) == 16


def test_batches_are_left_alone_where_the_loss_depends_on_them():
    _, asked = chosen(lambda p: 1 / p.examples, fixed=True)
    assert {p.examples for p in asked} == {256}


def test_no_more_examples_than_the_sample_has():
    _, asked = chosen(lambda p: 1 + 1 / p.examples, sample=300)
    assert {p.examples for p in asked if p.kind == "loop"} == {256, 128}


def test_noise_does_not_move_the_choice():
    best, _ = chosen(lambda p: 1.0 if p == Plan(examples=256) else 0.98, images=True, foldable=True)
    assert best == Plan(examples=256)


def test_little_work_is_not_worth_a_long_choice(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(plan.time, "perf_counter", lambda: clock[0])

    def seconds(p):
        clock[0] += plan.RUNS * p.points * 0.01
        return 0.01

    choose(Plan(examples=256), seconds, work(count=9, examples=512, images=True, foldable=True))
    assert clock[0] <= plan.LEAST + plan.RUNS * 0.01
    clock[0] = 0.0
    choose(Plan(examples=256), seconds, work(count=1000, images=True, foldable=True))
    assert clock[0] <= plan.BUDGET * 1000 * 0.01 * 5000 / 512 + plan.RUNS * 0.01


@pytest.mark.parametrize(("seconds", "pays"), [(0.01, False), (10.0, True)])
def test_compiling_is_tried_only_for_much_work(monkeypatch, seconds, pays):
    monkeypatch.setattr(plan.shutil, "which", lambda name: "/usr/bin/g++")
    best, asked = chosen(lambda p: seconds * (0.8 if p.compiled else 1.0))
    assert best.compiled == pays
    assert any(p.compiled for p in asked) == pays
    monkeypatch.setattr(plan.shutil, "which", lambda name: None)
    assert not chosen(lambda p: seconds * (0.8 if p.compiled else 1.0))[0].compiled


def test_halving_ends_and_keeps_what_it_must():
    p, seen = Plan("vmap", 4, 8), []
    while p is not None:
        seen.append((p.points, p.examples))
        p = p.halved()
    assert seen == [(4, 8), (2, 8), (1, 8), (1, 4), (1, 2), (1, 1)]
    assert Plan("vmap", 2, 8).halved(keep_examples=True) == Plan("vmap", 1, 8)
    assert Plan("vmap", 1, 8).halved(keep_examples=True) is None


def test_a_plan_survives_its_record_and_names_itself():
    p = Plan("vmap", 4, 8, channels_last=True)
    assert Plan(**p.record()) == p
    assert str(p) == "vmap,channels_last,points=4,examples=8"
    assert str(Plan(folded=True)) == "loop,folded,examples=256"


PLANS = [Plan(), Plan("vmap", 1, 8), Plan("vmap", 4, 8), Plan(examples=3, folded=True, compiled=True)]


@pytest.mark.parametrize("p", PLANS)
def test_a_plan_is_read_from_its_name(p):
    assert Plan.parse(str(p)) == p


BAD = ["", "loops", "loop,points=2", "vmap,points=0", "loop,examples=-1", "loop,examples=x", "loop,fold"]


@pytest.mark.parametrize("text", BAD)
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match="Expected a strategy auto, or such as"):
        Plan.parse(text)
