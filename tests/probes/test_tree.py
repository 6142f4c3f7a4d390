"""Trees of curves: the edges of connect, rounds, ways along the tree, going on after an interruption."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.barriers import barriers
from landscape.probes.connect import connect
from landscape.probes.tree import cost, tree

KNOBS = {"epochs": 2, "batch": 16, "lr": 0.05, "points": 5}


@pytest.fixture(scope="module")
def given():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.randn(40, 4, dtype=torch.float64), torch.randint(0, 3, (40,))
    how = {"precision": "float64", "batchnorm": "refit", "device": "cpu", "strategy": "loop,examples=40"}
    objective = Objective(model, {"train": (x[:32], y[:32]), "test": (x[32:], y[32:])}, **how)
    thetas = [objective.theta + torch.randn(objective.dim, dtype=torch.float64) for _ in range(4)]
    return objective, thetas


@pytest.fixture(scope="module")
def grown(given):
    objective, thetas = given
    return tree(objective, thetas, names=list("abcd"), rounds=1, **KNOBS)


def test_edges_are_what_connect_finds(given):
    objective, thetas = given
    grown = tree(objective, [objective.theta, *thetas[:1]], **KNOBS)
    alone = connect(objective, thetas[0], **KNOBS)
    assert (grown.control[0] == alone.control).all()
    assert (grown.edge_loss[0] == alone.loss[1]).all()
    assert grown.segment_saddle[0, 1] == alone.loss[0, 0].max()
    assert (grown.curves()["1 to 2"].points.numpy() == alone.control).all()


def test_saddles_of_segments_are_those_of_barriers(given, grown):
    objective, thetas = given
    found = barriers(objective, thetas, names=list("abcd"), points=5)
    higher = np.maximum(found.loss[0][:, None], found.loss[0])
    np.testing.assert_allclose(grown.segment_saddle, higher + found.rise[0], rtol=1e-12)
    assert (grown.distance == found.distance).all()


def test_the_tree_spans_all_networks_with_one_edge_less(grown):
    assert grown.kept.sum() == 3
    assert grown.step.tolist() == [0, 0, 0, 1]
    assert len(set(grown.edge.tolist())) == 4
    reached = {0}
    for _ in range(3):
        reached |= {int(n) for pair in grown.end[grown.kept] for n in pair if reached & set(pair.tolist())}
    assert reached == {0, 1, 2, 3}


def test_saddles_between_pairs_are_never_above_those_known(grown):
    assert (grown.saddle <= grown.segment_saddle).all()
    assert (grown.saddle == grown.saddle.T).all()
    for k, (i, j) in enumerate(grown.end):
        assert grown.saddle[i, j] <= grown.edge_saddle[k]
        assert grown.edge_saddle[k] == grown.edge_loss[k, 0].max()
    assert (grown.saddle.diagonal() == grown.loss[0]).all()
    (best, error), (segments, _) = grown.figures().values()
    assert best == grown.saddle.max()
    assert best <= segments
    assert error > 0


def test_an_interrupted_tree_goes_on_to_the_same_bits(given, grown, tmp_path):
    objective, thetas = given

    def store(plan):
        return Parts(tmp_path / "x.h5", {}, plan)

    for stop in (12, 41, 47, 56):  # among segments, in two edges' training, on an edge's path
        def interrupt(done, total, label=""):
            if done == stop:  # noqa: B023
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tree(objective, thetas, names=list("abcd"), rounds=1, store=store, progress=interrupt, **KNOBS)
    again = tree(objective, thetas, names=list("abcd"), rounds=1, store=store, **KNOBS)
    for name in grown.quantities():
        assert np.array_equal(getattr(again, name), getattr(grown, name)), name
    assert again.origin == grown.origin


def test_progress_ends_where_it_said(given):
    objective, thetas = given
    told = []
    tree(objective, thetas[:3], rounds=9, progress=lambda done, total, label: told.append((done, total)), **KNOBS)
    assert told[-1][0] == told[-1][1] == 3 * 5 + 3 * (2 * 2 + 5)


def test_bands_of_different_numbers_of_pivots_are_stored_together(given):
    objective, thetas = given
    found = tree(objective, thetas[:3], shape="neb", pivots=2, cycles=2, **KNOBS)
    assert found.control.shape[1] == found.count.max()
    for k, count in enumerate(found.count):
        assert np.isfinite(found.control[k, :count]).all()
        assert np.isnan(found.control[k, count:]).all()
    assert {curve.shape for curve in found.curves().values()} == {"chain"}


def test_cost_counts_every_edge(given):
    objective, _ = given
    knobs = {"epochs": 2, "points": 5}
    one, two, all_ = (cost(objective, thetas=4, rounds=rounds, **knobs) for rounds in (0, 1, 99))
    assert [told.points for told in (one, two, all_)] == [(6 + 3) * 5, (6 + 4) * 5, (6 + 6) * 5]
    assert [told.gradients for told in (one, two, all_)] == [3 * 2, 4 * 2, 6 * 2]
    assert all_.alone


def test_what_makes_no_tree_is_refused(given):
    objective, thetas = given
    with pytest.raises(ValueError, match="at least 0 rounds"):
        tree(objective, thetas, rounds=-1)
    with pytest.raises(ValueError, match="Expected several networks"):
        tree(objective, thetas[:1])
    with pytest.raises(ValueError, match="bends with --shape bezier or chain only, got 2 for neb"):
        tree(objective, thetas, shape="neb", bends=2)
    with pytest.raises(ValueError, match="cycles with --shape neb only"):
        connect(objective, thetas[0], cycles=2)
    with pytest.raises(ValueError, match="shape among bezier, chain, neb, got 'circle'"):
        tree(objective, thetas, shape="circle")
