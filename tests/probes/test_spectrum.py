"""Spectra: moments and ends against dense Hessians, densities in closed form, resuming."""

import math
import subprocess
import sys

import numpy as np
import pytest

from landscape.parts import Parts
from landscape.probes.spectrum import Spectrum, cost, spectrum
from landscape.result import load

CASES = [
    ("mlp", "cross_entropy", "frozen"), ("mlp", "mse", "frozen"), ("lenet", "cross_entropy", "frozen"),
    ("resnet", "mse", "frozen"), ("resnet", "cross_entropy", "batch"),
    ("vit", "cross_entropy", "frozen"), ("gpt", "cross_entropy", "frozen"),
]  # fmt: skip


def made(node, weight, dimension=10, outlier=None, **changes):
    """A spectrum of given nodes and weights."""
    node = np.atleast_2d(node).astype(float)
    values = np.concatenate([node.ravel(), [] if outlier is None else outlier])
    arrays = {
        "node": node, "weight": np.atleast_2d(weight), "node_residual": 0 * node, "dimension": dimension,
        "outlier": outlier, "outlier_residual": None if outlier is None else np.zeros(len(outlier)),
        "smallest": values.min(), "largest": values.max(), "smallest_residual": 0.0, "largest_residual": 0.0,
        "trace": 0.0, "trace_error": 0.0, "square": 0.0, "square_error": 0.0,
    }  # fmt: skip
    return Spectrum(**(arrays | changes))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_both_ends_are_those_of_the_dense_hessian(curved, case):
    objective, dense = curved(*case)
    known = np.linalg.eigvalsh(dense.numpy())
    found = spectrum(objective, steps=70, probes=2)
    assert found.largest == pytest.approx(known[-1], rel=1e-8)
    assert found.smallest == pytest.approx(known[0], rel=1e-8)
    assert found.largest_residual <= 1e-3 * found.largest
    assert found.smallest_residual <= 1e-3 * abs(found.smallest)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_moments_lie_within_their_errors(curved, case):
    objective, dense = curved(*case)
    known = np.linalg.eigvalsh(dense.numpy())
    repeats = [spectrum(objective, steps=3, probes=64, together=64, ends=False, seed=seed) for seed in range(10, 15)]
    for degree in (1, 2, 3, 4):
        moment, error = np.array([found.moment(degree) for found in repeats]).T
        off = moment - (known**degree).mean()
        assert abs(off.sum()) < 3.5 * np.sqrt((error**2).sum())
        assert np.sqrt(((off / error) ** 2).mean()) < 2.5
    first = repeats[0]
    assert abs(first.trace - known.sum()) < 4 * first.trace_error
    assert abs(first.square - (known**2).sum()) < 4 * first.square_error
    assert first.square == pytest.approx(objective.dim * first.moment(2)[0])


def test_all_steps_find_all_eigenvalues(quadratic):
    known = np.linalg.eigvalsh(quadratic.hessian())
    found = spectrum(quadratic.objective, steps=6, probes=3)
    np.testing.assert_allclose(found.node, np.tile(known, (3, 1)), rtol=1e-9)
    assert found.node_residual.max() < 1e-9 * found.largest
    assert found.weight.sum(1) == pytest.approx(1)
    assert found.origin["products"] == 18
    assert (found.trace_error, found.square_error) > (0, 0)


def test_outliers_are_taken_out_exactly(curved):
    objective, dense = curved("resnet")
    known = np.linalg.eigvalsh(dense.numpy())
    large = known[np.abs(known).argsort()[::-1][:4]]
    plain, found = (spectrum(objective, steps=20, probes=8, deflate=count) for count in (0, 4))
    np.testing.assert_allclose(np.sort(found.outlier), np.sort(large), rtol=1e-6)
    assert np.abs(found.node).max() < np.abs(large).min()
    assert found.weight.sum(1) == pytest.approx(1 - 4 / objective.dim)
    assert found.cumulative(np.array([1e9]))[0] == pytest.approx(1)
    assert found.square_error < plain.square_error / 3
    assert abs(found.square - (known**2).sum()) < 4 * found.square_error
    assert (found.smallest, found.largest) == pytest.approx((known[0], known[-1]), rel=1e-6)


def test_outliers_of_both_signs(quadratic):
    found = spectrum(quadratic.objective, matrix="gauss_newton", steps=4, probes=2, deflate=2)
    np.testing.assert_allclose(found.outlier, np.linalg.eigvalsh(quadratic.hessian())[:-3:-1], rtol=1e-9)
    assert found.scale == pytest.approx(found.outlier[0])


def test_what_is_bounded_holds(quadratic):
    """The distribution of every probe, known from all steps, lies within the bounds that fewer steps give."""
    grid = np.linspace(-1, 8, 400)
    whole = spectrum(quadratic.objective, steps=6, probes=5, ends=False).cumulative(grid)[0]
    for steps in range(1, 6):
        found = spectrum(quadratic.objective, steps=steps, probes=5, ends=False)
        lower, upper = found.cumulative_bounds(grid)
        assert (lower <= whole + 1e-9).all()
        assert (whole <= upper + 1e-9).all()
        assert (upper - lower).mean() > 0
    lower, upper = spectrum(quadratic.objective, steps=6, probes=5).cumulative_bounds(grid)
    assert (upper - lower).mean() < 0.5


def test_a_density_is_a_sum_of_gaussians():
    weight = [[0.1, 0.5, 0.2], [0.3, 0.3, 0.2]]
    found = made([[-3.0, 0.0, 2.0], [-3.0, 0.0, 2.0]], weight, outlier=np.array([9.0, 30.0]))
    grid = np.linspace(-10, 50, 60001)
    density, error = found.density(grid, 0.3)
    assert np.trapezoid(density, grid) == pytest.approx(1)
    at = grid.searchsorted(2.0)
    assert density[at] == pytest.approx(0.2 / (0.3 * math.sqrt(2 * math.pi)), rel=1e-9)
    assert error[at] == pytest.approx(0, abs=1e-9)
    zero = grid.searchsorted(0.0)
    assert error[zero] == pytest.approx(0.1 * density[zero] / 0.4, rel=0.1)
    assert found.width == 5 / 12
    np.testing.assert_allclose(found.density(grid[::999])[0], found.density(grid[::999], 5 / 12)[0])


def test_a_logarithmic_density_has_two_branches():
    found = made([-1e-3, 0.0, 1e-2], [0.2, 0.5, 0.1], outlier=np.array([10.0, -3.0]))
    decades = np.linspace(-6, 4, 4001)
    density, _ = found.log_density(10**decades)
    assert np.trapezoid(density, decades) == pytest.approx([0.3, 0.2])
    assert 10 ** decades[density[0].argmax()] == pytest.approx(1e-3, rel=1e-2)
    with pytest.raises(ValueError, match="Expected positive moduli, got -1"):
        found.log_density(np.array([1.0, -1.0]))


def test_masses_and_distribution():
    found = made([[-1.0, 0.0, 2.0], [-1.0, 1e-3, 2.0]], [[0.2, 0.5, 0.2], [0.4, 0.3, 0.2]], outlier=np.array([10.0]))
    assert found.mass_below() == (pytest.approx(0.3), pytest.approx(0.1))
    assert found.mass_below(0.5)[0] == pytest.approx(0.7)
    assert found.mass_near(1e-2) == (pytest.approx(0.4), pytest.approx(0.1))
    np.testing.assert_allclose(found.cumulative([-2, -1, 0.5, 2, 10])[0], [0, 0.3, 0.7, 0.9, 1])
    assert found.moment(2)[0] == pytest.approx(0.3 + 0.15e-6 + 0.8 + 10)
    assert math.isnan(made([1.0], [1.0]).moment(1)[1])


def test_a_single_eigenvalue_has_a_width():
    assert made([3.0], [1.0]).width == 0.75
    assert made([0.0], [1.0]).width > 0


def test_groups_of_probes_do_not_matter(curved):
    objective, _ = curved("mlp")
    one, other = (spectrum(objective, steps=12, probes=5, together=size, ends=False) for size in (2, 5))
    np.testing.assert_allclose(one.node, other.node, atol=1e-9)
    assert one.origin["groups"] == [2, 2, 1]


def test_a_resumed_spectrum_equals_an_uninterrupted_one_bit_for_bit(curved, tmp_path):
    objective, _ = curved("resnet")
    knobs = {"steps": 15, "probes": 6, "together": 2, "deflate": 2}
    whole = spectrum(objective, **knobs)

    def store(plan):
        return Parts(tmp_path / "s.h5", {"work": "this"}, plan)

    def interrupt(done, most):
        assert done <= most
        if done > whole.origin["products"] - 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spectrum(objective, **knobs, store=store, progress=interrupt)
    told = []
    again = spectrum(objective, **knobs, store=store, progress=lambda *now: told.append(now))
    assert told[1][0] > 30
    assert len(told) < 50
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)
    assert again.origin == whole.origin


def test_a_spectrum_comes_back_from_its_file_without_torch(quadratic, tmp_path):
    found = spectrum(quadratic.objective, steps=3, probes=2, deflate=1)
    found.save(tmp_path / "s.h5")
    again = load(tmp_path / "s.h5")
    assert isinstance(again, Spectrum)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    code = "import sys; from landscape import load; s = load(sys.argv[1]); s.density([0.0, 1.0]); "
    code += "print([m for m in ('torch', 'matplotlib', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.h5"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_cost_is_an_upper_bound(curved):
    objective, _ = curved("mlp")
    knobs = {"steps": 20, "probes": 10, "deflate": 2}
    told = cost(objective, **knobs)
    assert spectrum(objective, **knobs).origin["products"] <= told.products
    assert told.vectors == 5 * 24 + 2


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"steps": 7}, "Expected 1 <= steps <= 6, the number of parameters, got steps=7"),
        ({"steps": 6, "deflate": 1}, "Expected 1 <= steps <= 5, the number of parameters less 1 outliers, got steps=6"),
        ({"steps": 2, "probes": 0}, "Expected probes >= 1, deflate >= 0 and together >= 1, got 0, 0 and None"),
        ({"steps": 2, "matrix": "fisher?"}, "Expected a matrix, one of"),
    ],
)
def test_errors_teach(quadratic, knobs, message):
    with pytest.raises(ValueError, match=message):
        spectrum(quadratic.objective, **knobs)


def test_residuals_are_no_less_than_products_resolve(classifier):
    """A Ritz value is not known better than products are rounded, whatever the recurrence says."""
    found = spectrum(classifier, steps=30, probes=2)
    least = np.finfo(np.float64).eps * found.scale
    assert found.largest_residual >= least
    assert found.node_residual.min() >= least


def test_negative_eigenvalues_are_told_in_words(classifier):
    told = spectrum(classifier, steps=30, probes=2).remarks()
    assert told[0].startswith("below -0.001 of the largest modulus: ")
    assert " ± " in told[1]
    assert "±" not in spectrum(classifier, steps=30, probes=1).remarks()[0]
