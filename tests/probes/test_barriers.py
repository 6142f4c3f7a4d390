"""Barriers between all pairs: closed forms of quadratics, symmetry, errors over networks, going on."""

from itertools import combinations

import numpy as np
import pytest
import torch

from landscape.curves import segment
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes._networks import mean_of_pairs
from landscape.probes.barriers import barriers, cost
from landscape.probes.path import path


def hill(outputs, targets):
    """A loss that bends down everywhere: its barrier is that of a quadratic, upside down."""
    return 5 - 0.5 * (outputs - targets)[:, 0] ** 2


@pytest.fixture
def hills():
    """Half a mean square below a level on two splits, three networks, and the matrix that bends the loss."""
    random = np.random.default_rng(2)
    data = {
        name: (random.standard_normal((count, 4)), random.standard_normal((count, 1)))
        for name, count in (("train", 30), ("test", 12))
    }
    model = torch.nn.Linear(4, 1, bias=False).double()
    tensors = {name: tuple(map(torch.from_numpy, pair)) for name, pair in data.items()}
    objective = Objective(model, tensors, hill, precision="float64", device="cpu", strategy="loop,examples=16")
    thetas = [objective.theta + torch.from_numpy(random.standard_normal(4)) for _ in range(3)]
    return objective, thetas, {name: x.T @ x / len(x) for name, (x, _) in data.items()}


def test_the_barrier_of_a_quadratic_upside_down_is_in_closed_form(hills):
    objective, thetas, hessians = hills
    found = barriers(objective, thetas, points=25)
    for s, split in enumerate(found.split.tolist()):
        for i, j in combinations(range(3), 2):
            step = (thetas[j] - thetas[i]).numpy()
            assert found.barrier[s, i, j] == pytest.approx(step @ hessians[split] @ step / 8, rel=1e-10)
            assert found.t[s, i, j] == found.t[s, j, i] == 0.5


def test_matrices_are_symmetric_and_their_diagonals_exactly_zero(classifier):
    thetas = [classifier.theta + 0.7 * torch.randn(classifier.dim).double() for _ in range(4)]
    refit = Objective(
        classifier.network.model, _tensors(classifier), precision="float64", batchnorm="refit", device="cpu"
    )
    found = barriers(refit, thetas, names=list("abcd"), points=5)
    for name in ("barrier", "barrier_error", "rise", "rise_error", "drop", "disagreement", "distance"):
        values = getattr(found, name)
        assert (values == np.swapaxes(values, -1, -2)).all()
        assert (np.diagonal(values, axis1=-2, axis2=-1) == 0).all()
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose((found.t + np.swapaxes(found.t, -1, -2))[:, off], 1, rtol=0, atol=1e-15)
    assert np.isnan(found.t[:, ~off]).all()
    single = path(refit, segment(thetas[1], thetas[3]), points=5)
    height, error, where = single.barrier()
    assert (found.barrier[:, 1, 3] == height[0]).all()
    assert (found.barrier_error[:, 1, 3] == error[0]).all()
    assert (found.t[:, 1, 3] == where[0]).all()
    assert (found.loss[:, 1] == single.loss[0, :, 0]).all()
    assert (found.loss[:, 3] == single.loss[0, :, -1]).all()
    assert (found.disagreement[:, 1, 3] == single.disagreement_first[0, :, -1]).all()


def _tensors(objective):
    return {name: read.segments[0] for name, read in objective.examples.items()}


def test_errors_of_means_leave_out_one_network_at_a_time():
    values = np.abs(np.random.default_rng(1).standard_normal((5, 5)))
    values += values.T
    mean, error = mean_of_pairs(values)
    assert mean == pytest.approx(np.mean([values[i, j] for i, j in combinations(range(5), 2)]))
    left = [np.mean([values[i, j] for i, j in combinations(range(5), 2) if k not in (i, j)]) for k in range(5)]
    assert error == pytest.approx(np.sqrt(4 / 5 * np.sum((np.array(left) - np.mean(left)) ** 2)))


def test_the_error_covers_pairs_that_share_networks():
    """Of values a_i + a_j, the error of the mean is twice that of the mean of a: pairs are not independent."""
    a = np.random.default_rng(0).standard_normal(8)
    _, error = mean_of_pairs(a[:, None] + a)
    assert error == pytest.approx(2 * a.std(ddof=1) / np.sqrt(8))


def test_two_networks_have_no_error_over_networks(hills):
    objective, thetas, _ = hills
    found = barriers(objective, thetas[:2], points=3)
    mean, error = found.figures()["train_barrier"]
    assert mean == found.barrier[0, 0, 1]
    assert np.isnan(error)
    assert "1 pair of 2" in found.remarks()[0]


def test_remarks_name_the_lowest_and_the_highest(hills):
    objective, thetas, _ = hills
    found = barriers(objective, thetas, names=["x", "y", "z"], points=3)
    i, j = np.unravel_index(found.barrier[0].argmax(), (3, 3))
    assert f"({found.first[i]} to {found.second[j]})" in found.remarks()[0]


def test_interrupted_barriers_go_on_to_the_same_bits(hills, tmp_path):
    objective, thetas, _ = hills
    whole = barriers(objective, thetas, points=5)

    def store(plan):
        return Parts(tmp_path / "x.h5", {}, plan)

    def stop(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        barriers(objective, thetas, points=5, store=store, progress=stop)
    told = []
    again = barriers(objective, thetas, points=5, store=store, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (7, 15)
    for name in whole.quantities():
        assert (getattr(again, name) == getattr(whole, name)).all() or name == "t"


def test_what_cannot_be_compared_is_refused(hills):
    objective, thetas, _ = hills
    with pytest.raises(ValueError, match="Expected several networks, got 1"):
        barriers(objective, thetas[:1])
    with pytest.raises(ValueError, match="weights of 'a' again as 'b'"):
        barriers(objective, [thetas[0], thetas[0]], names=["a", "b"])
    with pytest.raises(ValueError, match="networks of 4 parameters"):
        barriers(objective, [thetas[0], thetas[1][:3]])
    with pytest.raises(ValueError, match="name of its own"):
        barriers(objective, thetas, names=["a", "a", "b"])


def test_cost_counts_every_pair(hills):
    objective, thetas, _ = hills
    assert cost(objective, thetas=3, points=5).points == 3 * 3 + 3
    assert barriers(objective, thetas, points=5).origin["evaluations"] == 12
