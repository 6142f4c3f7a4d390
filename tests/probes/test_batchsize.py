"""Hessians of batches: closed forms of a linear regression, exhaustive enumeration, lines that are known."""

import itertools

import numpy as np
import pytest
import torch

from landscape.probes.batchsize import Batchsize, batchsize, cost, line
from landscape.result import load

# Theorems


def largest(x):
    """The largest eigenvalue of the Hessian of a linear regression on rows x."""
    return np.linalg.eigvalsh(x.T @ x / len(x))[-1]


def test_each_batch_has_the_eigenvalue_of_its_own_examples(quadratic):
    found = batchsize(quadratic.objective, sizes=(3, 10), batches=3, tolerance=1e-8)
    x, _ = quadratic.data["train"]
    for draw, seed in enumerate(found.batch):
        for where, size in enumerate(found.size):
            chosen = torch.randperm(40, generator=torch.Generator().manual_seed(int(seed)))[:size].numpy()
            assert found.batch_lambda_max[draw, where] == pytest.approx(largest(x[chosen]), rel=1e-12)
    assert found.whole == pytest.approx(largest(x), rel=1e-12)
    np.testing.assert_allclose(found.noise, [1 / 3 - 1 / 40, 1 / 10 - 1 / 40], rtol=1e-14)
    assert found.batch_lambda_max_converged.all()


def test_the_mean_over_batches_is_that_of_all_batches(quadratic):
    few = quadratic.objective.subset(6)
    found = batchsize(few, sizes=(2,), batches=60)
    rows = few.examples["train"].segments[0][0].numpy()
    every = [largest(rows[list(pair)]) for pair in itertools.combinations(range(6), 2)]
    assert abs(found.lambda_max[0] - np.mean(every)) < 4 * found.lambda_max_error[0]
    assert found.lambda_max_error[0] == pytest.approx(np.std(every) / np.sqrt(60), rel=0.4)


def test_the_noise_is_the_variance_of_the_hessians_of_examples(quadratic):
    found = batchsize(quadratic.objective, sizes=(2, 4, 8, 16), batches=40, tolerance=1e-6)
    x, _ = quadratic.data["train"]
    each = x[:, :, None] * x[:, None] - quadratic.hessian()
    values, vectors = np.linalg.eigh(quadratic.hessian())
    top = vectors[:, -1]
    across = np.einsum("nij,j->ni", each, top)
    across -= np.outer(across @ top, top)
    perturbed = (across**2).sum() / 39 / values[-1]
    isotropic = (each**2).sum() / 39 / 6 / values[-1]
    assert abs(found.perturbed - perturbed) < 4 * found.perturbed_error
    assert abs(found.isotropic - isotropic) < 4 * found.isotropic_error
    assert found.isotropic_error < 0.3 * isotropic


def test_large_batches_follow_second_order_perturbation(quadratic):
    """Eigenvalues other than the top one are neglected in the prediction, so it is a lower bound of the slope."""
    found = batchsize(quadratic.objective, sizes=(24, 32), batches=40)
    slope, error = found.slope[0], np.hypot(found.slope_error[0], found.perturbed_error)
    assert slope + 4 * error > found.perturbed
    assert 0 < slope < 10 * found.perturbed


def test_random_matrix_formula_has_a_spike_and_an_edge(quadratic):
    found = batchsize(quadratic.objective, sizes=(1, 32), batches=10)
    noise = found.isotropic * found.whole  # P sigma^2
    spike = found.whole**2 > found.noise * noise
    expected = np.where(spike, found.whole + found.noise * found.isotropic, 2 * np.sqrt(found.noise * noise))
    np.testing.assert_allclose(found.random_matrix, expected, rtol=1e-12)
    assert (found.random_matrix >= found.whole * (1 - 1e-12)).all()


# Lines


def test_a_line_is_found_exactly():
    noise = np.array([0.1, 0.05, 0.01])
    scatter = np.array([[1.0], [-1.0]]) * np.array([0.3, 0.2, 0.1])
    values = 2 + 7 * noise + scatter
    for through in (2.0, None):
        intercept, slope, share = line(noise, values, through)
        assert intercept[0] == pytest.approx(2)
        assert slope[0] == pytest.approx(7)
        assert share == pytest.approx(1)
    assert line(noise, values, 2.0)[0] == (2.0, 0.0)


def test_errors_of_a_line_count_that_draws_share_their_noise():
    """Draws that move all sizes together move the intercept and not the slope."""
    random = np.random.default_rng(0)
    noise = np.array([0.1, 0.05, 0.01])
    common = random.standard_normal((2000, 1))
    values = 2 + 7 * noise + common + 1e-3 * random.standard_normal((2000, 3))
    intercept, slope, _ = line(noise, values)
    assert intercept[1] == pytest.approx(common.std(ddof=1) / np.sqrt(2000), rel=1e-2)
    assert slope[1] < 0.05 * intercept[1]


def test_errors_of_a_line_cover_the_truth():
    random, noise = np.random.default_rng(1), np.array([0.12, 0.06, 0.03, 0.015])
    inside = []
    for _ in range(300):
        common = 0.5 * random.standard_normal((20, 1))
        values = 1 + 5 * noise + (common + random.standard_normal((20, 4))) * noise
        _, (slope, error), _ = line(noise, values, 1.0)
        inside.append(abs(slope - 5) < 2.093 * error)  # Student's 95 % for 20 draws
    assert 0.92 <= np.mean(inside) <= 0.98


def test_batches_that_do_not_scatter_have_a_line_too():
    intercept, slope, share = line(np.array([0.2, 0.1]), np.full((5, 2), 3.0), 3.0)
    assert slope == (0.0, 0.0)
    assert intercept == (3.0, 0.0)
    assert np.isnan(share)


# Contracts


def test_rates_are_twice_the_inverse(quadratic):
    found = batchsize(quadratic.objective, sizes=(4, 20), batches=5)
    np.testing.assert_allclose(found.rate, 2 / found.lambda_max, rtol=1e-14)
    np.testing.assert_allclose(found.rate_error / found.rate, found.lambda_max_error / found.lambda_max, rtol=1e-12)
    assert found.whole_rate == pytest.approx(2 / float(found.whole))
    assert found.rate[0] < found.whole_rate


def test_sizes_of_all_examples_or_more_are_left_out(quadratic):
    found = batchsize(quadratic.objective, sizes=(64, 8, 8, 40), batches=2)
    assert found.size.tolist() == [8]
    assert found.origin["dropped"] == [40, 64]
    assert np.isfinite(found.slope[0])


def test_products_are_counted_as_shares(classifier):
    told = []
    found = batchsize(
        classifier, sizes=(10, 20), batches=2, limit=30, progress=lambda done, most: told.append((done, most))
    )
    assert told[-1][0] == round(found.origin["products"])
    assert all(done <= most for done, most in told)
    assert told[-1][1] == cost(classifier, sizes=(10, 20), batches=2, limit=30).products
    assert not found.batch_lambda_max_converged.all() or (found.batch_lambda_max_residual >= 0).all()


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"sizes": (0, 8)}, "sizes of at least 1"),
        ({"sizes": (2.5,)}, "sizes of at least 1"),
        ({"sizes": (40,)}, "below the number of examples, 40"),
        ({"sizes": ()}, "below the number of examples"),
        ({"batches": 1}, "batches >= 2"),
        ({"limit": 0}, "limit >= 1"),
        ({"tolerance": 0.0}, "tolerance > 0"),
    ],
)
def test_knobs_out_of_range_are_refused(quadratic, knobs, said):
    with pytest.raises(ValueError, match=said):
        batchsize(quadratic.objective, **({"sizes": (4,), "batches": 2} | knobs))


def test_the_same_seed_gives_the_same_numbers_and_another_one_other_batches(quadratic, tmp_path):
    one, again, other = (batchsize(quadratic.objective, sizes=(4,), batches=3, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.batch_lambda_max, again.batch_lambda_max)
    assert not set(one.batch) & set(other.batch)
    one.save(tmp_path / "b.h5")
    assert isinstance(load(tmp_path / "b.h5"), Batchsize)
