"""Contracts of every training method that discovery finds: a new file inherits them all.

Each method trains a small network with batch norm and dropout by its defaults, unless NEEDS says otherwise.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from landscape import losses
from landscape.dataset import Dataset
from landscape.train import composition
from landscape.train.assembly import assembled
from landscape.train.batches import Resident
from landscape.train.evaluation import evaluate
from landscape.train.fit import Interrupted
from landscape.train.gradients.plain import plain
from landscape.train.methods import __path__ as FOLDER
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.step import Step

METHODS = composition.available()
NAMES = sorted(METHODS)
GRADIENTS = [name for name in NAMES if METHODS[name]().gradient is not None]
WITH_KNOBS = [name for name in NAMES if inspect.signature(METHODS[name]).parameters]
SETTINGS = Settings(epochs=8, batch_size=14, lr=0.05, seed=3)  # 5 whole batches an epoch


@dataclass(frozen=True)
class Need:
    """What a method asks for beside its defaults."""

    knobs: str = ""  # for a run of 8 short epochs
    trained: bool = False  # begins at trained weights
    published: bool = True


NEEDS = {
    "gadam": Need(knobs="lr=0.01"),
    "plain": Need(published=False),
    "pof": Need(trained=True),
    "pswa": Need(knobs="period=2"),
}


def need(name):
    return NEEDS.get(name, Need())


def text(name, *more):
    """Return what follows --method: the name, with the knobs that it needs and more."""
    knobs = ",".join(filter(None, (need(name).knobs, *more)))
    return f"{name}:{knobs}" if knobs else name


@functools.cache
def toy():
    """Return three Gaussian classes of vectors, rarer one after another."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [35, 21, 14])
    centers = 1.5 * random.standard_normal((3, 5))
    inputs = (centers[labels] + random.standard_normal((70, 5))).astype(np.float32)
    return Dataset("toy", train=(inputs, labels), classes=("a", "b", "c"), origin={"name": "toy"})


@functools.cache
def network():
    """Return a network with batch norm and dropout, which second passes could disturb."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3),
        )  # fmt: skip


class Stop:
    """Interrupt a run between two steps, or kill it."""

    def __init__(self, step, *, killed=False):
        self.step, self.killed = step, killed

    def __call__(self, run):
        if run.clock.step == self.step:
            if self.killed:
                raise RuntimeError("killed")
            run.interrupted = True


class Watch:
    """Record what a run does: batches, random state, cost and passes of gradients, and whether they move weights."""

    def __init__(self):
        self.batches, self.random, self.spent, self.tracked, self.moved = [], [], [], [], []
        self.first = math.nan

    def __call__(self, run):
        if run.clock.step == 0:
            self.first = evaluate(run.model, run.batches.resident, losses.loss("cross_entropy"))["loss"]

    def watching(self, gradient):
        def rule(step):
            self.batches.append(step.batch.inputs.clone())
            self.random.append(torch.get_rng_state())
            before, spent = [p.detach().clone() for p in step.model.parameters()], step.clock.spent
            tracked = step.model[1].num_batches_tracked.item()
            loss = gradient(step)
            self.tracked.append(step.model[1].num_batches_tracked.item() - tracked)
            self.spent.append(step.clock.spent - spent)
            self.moved.append(any(not torch.equal(a, b) for a, b in zip(step.model.parameters(), before, strict=True)))
            return loss

        return rule


def fitted(name, *, method=None, observers=(), output=None, **settings):
    """Train by a method's defaults and its needs."""
    chosen = replace(SETTINGS, **settings)
    init = start() if need(name).trained else None
    given = {"init": init, "observers": observers, "output": output, "device": "cpu"}
    return train(toy(), network(), chosen, method=method or text(name), **given)


@functools.cache
def start():
    return train(toy(), network(), replace(SETTINGS, epochs=1), device="cpu").checkpoint


@functools.cache
def whole(name):
    """Return an uninterrupted run of a method, and what was seen of it."""
    watch, method = Watch(), composition.method(text(name))
    watched = replace(method, gradient=watch.watching(method.gradient or plain))
    return fitted(name, method=watched, observers=[watch]), watch


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# what a file holds


def test_a_method_is_known_by_the_name_of_its_file():
    for name, make in METHODS.items():
        assert make.__name__ == name
        assert inspect.getfile(make).startswith(tuple(FOLDER))
        assert composition.method(name).arguments.keys() == {name}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented_knob_by_knob(name):
    words = inspect.getdoc(METHODS[name]) or ""
    assert words.partition("\n")[0].endswith("."), "a first line that is a sentence"
    assert words.partition("\n")[0][:1].isupper()
    for knob in inspect.signature(METHODS[name]).parameters:
        assert re.search(rf"^(\w+, )*{knob}(, \w+)* : \w", words, flags=re.MULTILINE), f"no words on {knob}"
    if need(name).published:
        _, _, references = words.partition("References\n----------\n")
        assert re.search(r"\S \(\d{4}\), \w", references), "author (year), title"
    if name in WITH_KNOBS:
        assert "Raises\n------\nValueError" in words


@pytest.mark.parametrize("name", NAMES)
def test_knobs_are_named_annotated_and_have_defaults(name):
    hints = get_type_hints(METHODS[name])
    for knob, parameter in inspect.signature(METHODS[name]).parameters.items():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty
        kinds = set(get_args(hints[knob]) or (hints[knob],))
        assert kinds <= {int, float, bool, str, type(None)}
        assert type(parameter.default) in kinds


def numbers(name):
    """Yield the knobs of a method that are numbers, with values that no formula takes."""
    hints = get_type_hints(METHODS[name])
    for knob in inspect.signature(METHODS[name]).parameters:
        kinds = get_args(hints[knob]) or (hints[knob],)
        if float in kinds or int in kinds:
            yield from ((knob, value) for value in ((-1.0, math.nan, math.inf) if float in kinds else (-1,)))


@pytest.mark.parametrize(("name", "knob", "value"), [(n, *k) for n in NAMES for k in numbers(n)])
def test_wrong_numbers_are_refused_in_one_line(name, knob, value):
    with pytest.raises(ValueError, match=rf"Expected .*, got .*{value:g}.*: \w+") as caught:
        METHODS[name](**{knob: value})
    assert "\n" not in str(caught.value)
    assert knob.replace("_", " ").removesuffix("s") in str(caught.value).replace("_", " ")


# what a run does


@pytest.mark.parametrize("name", NAMES)
def test_its_defaults_lower_the_loss(name):
    trained, watch = whole(name)
    assert math.isfinite(trained.final["train_loss"])
    assert trained.final["train_loss"] < watch.first
    assert all(math.isfinite(record["objective"]) for record in trained.history)


@pytest.mark.parametrize("name", NAMES)
def test_stopped_killed_and_resumed_equals_uninterrupted_bit_for_bit(name, tmp_path):
    """So do two runs of one seed: the second is stopped within an epoch, then killed in another."""
    path = tmp_path / "a.pt"
    with pytest.raises(Interrupted):
        fitted(name, output=path, observers=[Stop(17)])
    with pytest.raises(RuntimeError, match="killed"):
        fitted(name, output=path, observers=[Stop(38, killed=True)])
    found, (expected, _) = fitted(name, output=path), whole(name)
    assert same(found.checkpoint.state, expected.checkpoint.state)
    assert found.history == expected.history
    assert found.final == expected.final
    assert found.kept.keys() == expected.kept.keys()
    assert all(same(found.kept[key], expected.kept[key]) for key in found.kept)
    assert found.checkpoint.moments.keys() == expected.checkpoint.moments.keys()
    assert all(same(found.checkpoint.moments[k], expected.checkpoint.moments[k]) for k in found.checkpoint.moments)


@pytest.mark.parametrize("name", NAMES)
def test_it_sees_the_batches_and_the_dropout_of_a_plain_run(name):
    _, watch = whole(name)
    _, other = whole("plain")
    assert len(watch.batches) == len(other.batches) == 40
    assert all(torch.equal(a, b) for a, b in zip(watch.batches, other.batches, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(watch.random, other.random, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_clock_counts_what_it_says_that_a_step_takes(name):
    trained, watch = whole(name)
    assert set(watch.spent) == {METHODS[name]().evaluations}
    assert trained.checkpoint.training["gradient_evaluations"] == 40 * METHODS[name]().evaluations


@pytest.mark.parametrize("name", NAMES)
def test_one_pass_a_step_moves_batch_norm_statistics(name):
    assert set(whole(name)[1].tracked) == {1}


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_leaves_no_perturbation_in_the_weights(name):
    assert not any(whole(name)[1].moved)


@pytest.mark.parametrize("name", NAMES)
def test_its_batch_norm_statistics_are_finite_and_those_of_its_end(name):
    trained, _ = whole(name)
    state = trained.checkpoint.state
    assert state["1.running_var"].isfinite().all()
    inputs = torch.tensor(toy().split("train").inputs)
    here = inputs @ state["0.weight"].T + state["0.bias"]
    assert ((state["1.running_mean"] - here.mean(0)).abs() < here.std(0)).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_works_with_clipping_and_adamw(name):
    watch = Watch()
    trained = fitted(name, observers=[watch], optimizer="adamw", lr=0.01, weight_decay=0.0, clip=1.0)
    assert trained.final["train_loss"] < watch.first


@pytest.mark.parametrize("name", NAMES)
def test_it_works_in_mixed_precision(name):
    watch = Watch()
    trained = fitted(name, observers=[watch], precision="bfloat16")
    assert trained.final["train_loss"] < watch.first
    assert {t.dtype for t in trained.checkpoint.state.values() if t.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("name", WITH_KNOBS)
def test_a_run_is_not_resumed_with_another_knob(name, tmp_path):
    with pytest.raises(Interrupted):
        fitted(name, output=tmp_path / "a.pt", observers=[Stop(1)])
    with pytest.raises(ValueError, match=r"a\.resume: expected the state of this very run.*--force"):
        fitted(name, method=composition.method(text(name, other(name))), output=tmp_path / "a.pt")


def other(name):
    """Write a knob of a method with another value than its default."""
    for knob, parameter in inspect.signature(METHODS[name]).parameters.items():
        if f"{knob}=" in need(name).knobs:
            continue
        default = parameter.default
        for value in (2, 3, 0.5 * default if isinstance(default, float) else 1, 0.25, "true", "false", "none"):
            try:
                composition.method(text(name, f"{knob}={value}"))
            except ValueError:
                continue
            if str(value).lower() != str(default).lower():
                return f"{knob}={value}"
    raise AssertionError(f"{name} has no knob with another value")


# together


@pytest.mark.parametrize("name", [name for name in NAMES if name != "swa"])
def test_with_an_average_the_order_means_nothing(name):
    one, swa = composition.method(text(name)), composition.method("swa")
    clash = [part for part in ("average", "rate") if getattr(one, part) and getattr(swa, part)]
    if clash:
        with pytest.raises(ValueError, match=re.escape(f"got those of '{one.name}' and 'swa'")):
            one + swa
        with pytest.raises(ValueError, match=re.escape(f"got those of 'swa' and '{one.name}'")):
            swa + one
        return
    first, second = (fitted(name, method=method, epochs=4) for method in (one + swa, swa + one))
    assert same(first.checkpoint.state, second.checkpoint.state)
    assert not same(first.checkpoint.state, first.kept["last"])


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(GRADIENTS, 2)))
def test_two_gradient_rules_clash_with_both_names(one, two):
    with pytest.raises(ValueError, match=f"one gradient rule in a run, got those of '{one}' and '{two}'"):
        composition.method(f"{two}+{one}")


class Reads(TorchDispatchMode):
    """Count how often a number is read off its tensor, for which an accelerator would have to be waited for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", GRADIENTS)
def test_its_gradient_waits_for_nothing(name):
    resident = Resident(toy().split("train"), torch.float32, torch.device("cpu"))
    run = assembled(resident, network(), SETTINGS, loss="cross_entropy", method=composition.method(text(name)))
    run.batches.shuffle()
    hyper = {what: schedule(run.clock) for what, schedule in run.schedules.items()}
    step = Step(run.model, run.objective, run.batches.take(0), run.clock, batches=run.batches, hyper=hyper)
    with torch.random.fork_rng(), Reads() as reads:
        run.gradient(step)
        assert reads.count == 0
        torch.ones(1).item()
        assert reads.count == 1  # it can count
