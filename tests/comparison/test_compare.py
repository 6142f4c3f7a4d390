"""Networks compared: what a member holds is what its probe says of the network at that width, alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.comparison import compare
from landscape.comparison.comparison import gathered
from landscape.comparison.plan import Network, changed, plan
from landscape.quantize.layers import chosen
from landscape.quantize.scheme import Scheme
from landscape.quantize.surfaces import rounded
from landscape.result import Collection

FEW = ("evaluate:single=true", "surface:points=3", "eigen:largest=1,smallest=1", "bits:curvature=false,layers=false")
PAIRS = ("evaluate:single=true", "barriers")


def network(seed: int, width: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 4))


def objective(seed: int, width: int = 6, examples: int = 30, **knobs) -> landscape.Objective:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(40, 3, generator=generator), torch.randint(0, 4, (40,), generator=generator)
    splits = {"train": (x[:examples], y[:examples]), "test": (x[examples:], y[examples:])}
    return landscape.Objective(network(seed, width), splits, device="cpu", precision="float64", **knobs)


@pytest.fixture(scope="module")
def two():
    return {"one": objective(0), "two": objective(1)}


@pytest.fixture(scope="module")
def found(two):
    return compare(two, bits=(32, 4), probes=FEW)


def test_members_and_rows(found):
    assert found.rows == ["one/w32", "one/w4", "two/w32", "two/w4"]
    alone = {f"{row}/{probe}" for row in found.rows for probe in ("evaluate", "surface", "eigen")}
    assert set(found.members) == alone | {"one/w32/bits", "two/w32/bits"}
    assert list(found.of("surface")) == found.rows


def test_a_member_is_what_its_probe_says_alone(two, found):
    one = two["one"]
    own = one.unpack(one.theta)
    axes = chosen(network(0))
    point = one.pack(rounded(own, axes, dict.fromkeys(axes, Scheme(4)), 4))
    assert not torch.equal(point, one.theta)
    plane = landscape.surface(one, center=point, norms=one.theta, points=3)
    np.testing.assert_array_equal(found.members["one/w4/surface"].loss, plane.loss)
    top = landscape.eigen(one, theta=point, largest=1, smallest=1)
    np.testing.assert_array_equal(found.members["one/w4/eigen"].value, top.value)
    column = found.measure.tolist().index("lambda_max")
    assert found.value[1, column] == top.value[0]
    assert found.error[1, column] == top.residual[0]


def test_directions_are_those_of_full_precision(found):
    for name in ("one", "two"):
        wide, narrow = (found.members[f"{name}/w{bits}/surface"] for bits in (32, 4))
        np.testing.assert_array_equal(wide.norm, narrow.norm)


def test_what_rounding_costs_is_the_difference_of_the_losses(found):
    names = found.measure.tolist()
    loss, rise = found.value[:, names.index("test_loss")], found.value[:, names.index("test_rise_by_rounding")]
    np.testing.assert_allclose(rise[[1, 3]], loss[[1, 3]] - loss[[0, 2]], rtol=1e-9)
    assert rise[[0, 2]].tolist() == [0, 0]


def test_barriers_are_those_to_the_first_network(two):
    found = compare(two, bits=(32, 2), probes=PAIRS)
    names = found.measure.tolist()
    heights = found.value[:, names.index("train_barrier_to_one")]
    assert np.isnan(heights[:2]).all()
    for row, bits in ((2, 32), (3, 2)):
        assert heights[row] == found.members[f"between/w{bits}/barriers"].barrier[0, 0, 1]


def test_networks_of_other_shapes_have_no_barriers():
    found = compare({"one": objective(0), "wide": objective(1, width=9)}, probes=PAIRS)
    assert not [name for name in found.measure.tolist() if "barrier" in name]
    assert found.rows == ["one/w32", "wide/w32"]


@pytest.mark.parametrize("policy", ["frozen", "refit"])
def test_barriers_need_statistics_that_may_change(policy):
    generator = torch.Generator().manual_seed(3)
    data = torch.randn(40, 3, generator=generator), torch.randint(0, 4, (40,), generator=generator)
    made = {}
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 4))
        made[name] = landscape.Objective(model, data, batchnorm=policy, device="cpu")
    found = compare(made, probes=PAIRS)
    assert bool([name for name in found.measure.tolist() if "barrier" in name]) == (policy == "refit")


def test_what_is_known_is_not_measured_again(two, found):
    again = compare(two | {"three": objective(2)}, bits=(32, 4), probes=FEW, known=found)
    for name, member in found.members.items():
        assert again.members[name] is member
    fewer = compare({"one": objective(0, examples=20)}, bits=(32, 4), probes=FEW, known=found)
    assert not {id(member) for member in fewer.members.values()} & {id(member) for member in found.members.values()}
    assert fewer.members["one/w4/evaluate"].size.tolist() == [20, 20]
    other = compare({"one": objective(5), "two": two["two"]}, bits=(32, 4), probes=FEW, known=found)
    assert other.members["one/w4/eigen"] is not found.members["one/w4/eigen"]
    assert other.members["two/w4/eigen"] is found.members["two/w4/eigen"]


def test_a_file_brings_it_back(found, tmp_path):
    found.save(tmp_path / "c.h5")
    again = landscape.load(tmp_path / "c.h5")
    assert isinstance(again, landscape.Comparison)
    np.testing.assert_array_equal(again.value, found.value)
    np.testing.assert_array_equal(again.best, found.best)
    assert isinstance(again, Collection)


def test_other_examples_are_refused_by_name():
    with pytest.raises(ValueError, match="train examples 30 of one/w32/evaluate and 25 of two/w32/evaluate"):
        compare({"one": objective(0), "two": objective(1, examples=25)}, probes=("evaluate",))


def test_other_grids_knobs_and_seeds_are_refused(two):
    def named(a, b):
        return {"one/w32/surface": a, "two/w32/surface": b}

    usual = landscape.surface(two["one"], points=3)
    for knobs, words in (
        ({"points": 5}, "got a .* of one/w32/surface and .* of two/w32/surface"),
        ({"points": 3, "seed": 1}, "directions' seed 0 of one/w32/surface and 1 of two"),
        ({"points": 3, "span": 0.5}, "got a -1.0, 0.0, 1.0 of one"),
        ({"points": 3, "normalization": "layer"}, "normalization filter of one/w32/surface and layer of two"),
    ):
        with pytest.raises(ValueError, match=words):
            gathered(named(usual, landscape.surface(two["two"], **knobs)))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"bits": (9,)}, "bits from 1 to 8"),
        ({"bits": ()}, "got none of one"),
        ({"bits": (4, 4)}, "twice"),
        ({"probes": ("nothing",)}, "Expected a probe among"),
        ({"probes": ("path",)}, "Expected a probe of one network"),
        ({"probes": ("surface:span=auto",)}, "one span for all"),
        ({"bits": (4,), "family": "no"}, "family"),
    ],
)
def test_bad_input_gets_one_clear_line(two, knobs, words):
    with pytest.raises(ValueError, match=words):
        compare(two, **knobs)


def test_names_must_name(two):
    for name in ("between", "", "a//b"):
        with pytest.raises(ValueError, match="name of a network"):
            compare({name: two["one"]}, probes=("evaluate",))
    with pytest.raises(ValueError, match="sgd/w4/surface"):
        gathered({"sgd": landscape.evaluate(two["one"])})


def test_levels_may_change_with_the_width(two):
    assert compare(two, bits=(4, 2, 1), probes=("evaluate",)).rows[:3] == ["one/w4", "one/w2", "one/w1"]


def test_a_plan_rounds_what_is_of_full_precision_alone():
    networks = [Network("a", (32, 4), rounded=(4,)), Network("b", (4,))]
    tasks = plan(networks, ("evaluate", "bits", "barriers"), alike=True)
    assert [task.name for task in tasks] == [
        "a/w32/evaluate", "a/w4/evaluate", "a/w32/bits", "b/w4/evaluate", "between/w4/barriers",
    ]  # fmt: skip
    assert tasks[2].probe.knobs["bits"] == (4,)


def test_usual_probes_are_changed_and_left_out():
    assert "surface" not in changed([], ["surface"])
    assert changed(["eigen:largest=5"]).count("eigen:largest=5") == 1
    with pytest.raises(ValueError, match="leave out some of"):
        changed([], ["nothing"])
    with pytest.raises(ValueError, match="keep one"):
        changed([], [text.partition(":")[0] for text in changed([])])


def test_a_network_of_several_widths_has_one_row(two):
    point = landscape.evaluate(two["one"]), landscape.eigen(two["one"], largest=1, smallest=1)
    table = gathered({"a/mixed/evaluate": point[0], "a/mixed/eigen": point[1], "b/w4/evaluate": point[0]})
    assert table.rows == ["a/mixed", "b/w4"]
    assert not np.isnan(table.value[0]).any()


def test_what_is_between_networks_is_barriers_alone(two):
    with pytest.raises(ValueError, match="evaluate of one called between: rename"):
        gathered({"between/w32/evaluate": landscape.evaluate(two["one"])})


def test_barriers_of_two_kinds_have_columns_of_their_own(two):
    found = compare(two, probes=("evaluate", "barriers:points=3", "barriers:points=5"))
    assert found.rows == ["one/w32", "two/w32"]
    for points in (3, 5):
        assert f"barriers:points={points}.train_barrier_to_one" in found.measure.tolist()


def test_what_is_moved_must_agree(two):
    part = objective(1, parameters=["0.*"])
    with pytest.raises(ValueError, match=r"parameters \* of one/w32/eigen and 0\.\* of two"):
        compare({"one": two["one"], "two": part}, probes=("eigen:largest=1,smallest=1",))


def test_how_weights_are_rounded_must_agree(two):
    first, second = (
        compare({name: one}, bits=(4,), probes=("evaluate",), calibration=how).members
        for (name, one), how in zip(two.items(), ("mse", "minmax"), strict=True)
    )
    with pytest.raises(ValueError, match="rounding's calibration at 4 bits mse of one/w4/evaluate and minmax"):
        gathered({**first, **second})


def test_code_of_a_loss_must_agree(two):
    one = landscape.evaluate(two["one"])
    origins = [one.origin | {"loss": "/a/l.py:loss", "code": {"/a/l.py": digest}} for digest in ("1", "2")]
    first, second = (dataclasses.replace(one, origin=origin) for origin in origins)
    gathered({"one/w32/evaluate": first, "two/w32/evaluate": first})
    with pytest.raises(ValueError, match="the code of /a/l.py:loss, of hash 1 of one"):
        gathered({"one/w32/evaluate": first, "two/w32/evaluate": second})
