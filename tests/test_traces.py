"""Traces: unbiased, with standard errors that hold, on prescribed spectra."""

import math

import pytest
import torch

from landscape.traces import Estimate, diagonal, hutchinson, hutchpp, xtrace

FORMATS = [torch.float64, torch.float32]
REPETITIONS = 300
DECAYING = [20.0 * 0.8**i - 0.3 for i in range(60)]
MIXED = torch.cat([torch.linspace(-1, 1, 50).double(), torch.linspace(2, 4, 10).double()])


def symmetric(spectrum, dtype=torch.float64, seed=0):
    """A matrix with the given eigenvalues in a random orthogonal basis, made in float64."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.as_tensor(spectrum, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64, generator=generator)).Q
    return ((basis * spectrum) @ basis.mT).to(dtype)


def coverage(estimate, truth):
    """Fraction of 95 % intervals that hold the truth, and the mean error in standard errors of the mean."""
    found = [estimate(seed) for seed in range(REPETITIONS)]
    intervals = torch.tensor([one.interval() for one in found], dtype=torch.float64)
    values = torch.tensor([one.value for one in found], dtype=torch.float64)
    held = ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).double().mean()
    return float(held), float((values.mean() - truth) / (values.std() / math.sqrt(REPETITIONS)))


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_hutchinson_intervals_hold(distribution):
    matrix = symmetric(MIXED)
    options = {"probes": 30, "together": 30, "distribution": distribution, "like": matrix}
    held, bias = coverage(lambda seed: hutchinson(lambda v: v @ matrix, 60, seed=seed, **options), float(MIXED.sum()))
    assert 0.92 <= held <= 0.98
    assert abs(bias) < 3


def test_squares_hold():
    matrix = symmetric(MIXED)
    held, bias = coverage(
        lambda seed: hutchinson(lambda v: v @ matrix, 60, probes=30, together=30, seed=seed, like=matrix).square,
        float((MIXED**2).sum()),
    )
    assert 0.92 <= held <= 0.98
    assert abs(bias) < 3


def test_parts_hold():
    """Traces of diagonal blocks from the same products: their intervals hold, and they add up to the whole."""
    matrix = symmetric(MIXED)
    slices = [slice(0, 5), slice(5, 40), slice(40, 60)]
    truth = torch.stack([matrix.diagonal()[part].sum() for part in slices])
    held, found = [], []
    for seed in range(REPETITIONS):
        whole = hutchinson(lambda v: v @ matrix, 60, probes=30, together=10, slices=slices, seed=seed, like=matrix)
        low, high = whole.parts.interval()
        held.append((low <= truth) & (truth <= high))
        found.append(whole.parts.value)
        assert float(whole.parts.value.sum()) == pytest.approx(whole.value, rel=1e-12)
    shares = torch.stack(held).double().mean(0)
    assert ((shares >= 0.92) & (shares <= 0.98)).all(), shares
    found = torch.stack(found)
    assert ((found.mean(0) - truth).abs() < 3 * found.std(0) / math.sqrt(REPETITIONS)).all()


def test_samples_are_what_was_averaged():
    matrix = symmetric(MIXED)
    found = hutchinson(lambda v: v @ matrix, 60, probes=12, slices=[slice(0, 60)], like=matrix)
    assert found.samples.shape == (12,)
    assert torch.allclose(found.parts.samples[:, 0], found.samples)
    assert float(found.samples.mean()) == found.value


@pytest.mark.parametrize("spectrum", [MIXED.tolist(), DECAYING], ids=["mixed", "decaying"])
@pytest.mark.parametrize("method", [hutchpp, xtrace])
def test_sketched_intervals_hold(method, spectrum):
    matrix = symmetric(spectrum)
    held, bias = coverage(
        lambda seed: method(lambda v: v @ matrix, 60, products=36, seed=seed, like=matrix), sum(spectrum)
    )
    assert 0.92 <= held <= 0.98
    assert abs(bias) < 3


def test_sketches_pay_where_the_spectrum_decays():
    matrix = symmetric([20.0 * 0.8**i for i in range(100)])
    options = {"like": matrix, "seed": 1}
    errors = [
        hutchinson(lambda v: v @ matrix, 100, probes=36, **options).standard_error,
        hutchpp(lambda v: v @ matrix, 100, products=36, **options).standard_error,
        xtrace(lambda v: v @ matrix, 100, products=36, **options).standard_error,
    ]
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[0] / 2


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("rank", [0, 1, 7])
@pytest.mark.parametrize("method", [hutchpp, xtrace])
def test_low_rank_is_exact(method, rank, dtype):
    spectrum = [3.0 - i for i in range(rank)] + [0.0] * (100 - rank)
    matrix = symmetric(spectrum, dtype)
    found = method(lambda v: v @ matrix, 100, products=30, like=matrix)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-3
    assert found.value == pytest.approx(sum(spectrum), abs=tolerance)
    assert found.standard_error < tolerance


@pytest.mark.parametrize("method", [hutchpp, xtrace])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_more_products_than_dimensions(method, dim):
    matrix = symmetric(torch.linspace(-1, 2, dim))
    found = method(lambda v: v @ matrix, dim, products=30, like=matrix)
    assert found.value == pytest.approx(float(matrix.trace()), abs=1e-12)


@pytest.mark.parametrize("method", [hutchinson, hutchpp, xtrace])
def test_products_are_counted(method):
    matrix, count = symmetric(MIXED), 0

    def product(rows):
        nonlocal count
        count += len(rows)
        return rows @ matrix

    found = method(product, 60, seed=7, like=matrix)
    assert found.products == count
    assert found.seed == 7
    assert method(product, 60, seed=7, like=matrix).value == found.value
    assert method(product, 60, seed=8, like=matrix).value != found.value


@pytest.mark.parametrize("scale", [1e-6, 1e-12])
@pytest.mark.parametrize("method", [hutchinson, hutchpp, xtrace])
def test_small_scales(method, scale):
    matrix = symmetric(MIXED)
    large = method(lambda v: v @ matrix, 60, like=matrix)
    small = method(lambda v: v @ matrix * scale, 60, like=matrix)
    assert small.value == pytest.approx(large.value * scale, rel=1e-9)
    assert small.standard_error == pytest.approx(large.standard_error * scale, rel=1e-6)


def test_negative_traces_do_not_stop_early():
    """PyHessian's wheel divides by the trace without its modulus: a negative one stops after two vectors."""
    matrix = symmetric(-MIXED)
    options = {"probes": 2000, "tolerance": 0.05, "like": matrix}
    negative = hutchinson(lambda v: v @ matrix, 60, **options)
    positive = hutchinson(lambda v: -(v @ matrix), 60, **options)
    assert negative.probes == positive.probes > 16
    assert negative.value == -positive.value
    assert negative.value == pytest.approx(-30, abs=3 * negative.standard_error)
    assert negative.converged
    assert negative.standard_error <= 0.05 * abs(negative.value)


def test_stops_on_standard_error_alone():
    """PyHessian stops on successive change: at 1e-3, a median error of 6 % and up to 94 %, from two vectors on."""
    matrix = symmetric(MIXED)
    found = [
        hutchinson(lambda v: v @ matrix, 60, probes=4000, tolerance=0.05, seed=seed, together=16, like=matrix)
        for seed in range(100)
    ]
    errors = torch.tensor([abs(one.value - 30) / 30 for one in found])
    assert min(one.probes for one in found) > 16
    assert errors.median() < 0.05
    assert errors.max() < 0.25
    assert (errors < 0.05 * 1.96).float().mean() > 0.9


def test_tolerance_that_is_not_met_is_told():
    matrix = symmetric(MIXED)
    found = hutchinson(lambda v: v @ matrix, 60, probes=20, tolerance=1e-6, like=matrix)
    assert found.probes == 20
    assert not found.converged


def test_fewest_is_kept():
    found = hutchinson(lambda v: v, 60, probes=100, tolerance=0.1, fewest=24)
    assert found.probes == 24
    assert (found.value, found.standard_error) == (60.0, 0.0)


@pytest.mark.parametrize("together", [1, 3, 40])
def test_same_vectors_whatever_the_cut(together):
    matrix = symmetric(MIXED)
    whole = hutchinson(lambda v: v @ matrix, 60, probes=40, like=matrix)
    found = hutchinson(lambda v: v @ matrix, 60, probes=40, together=together, like=matrix)
    assert found.value == pytest.approx(whole.value, rel=1e-12)
    assert found.square.value == pytest.approx(whole.square.value, rel=1e-12)
    parts = diagonal(lambda v: v @ matrix, 60, probes=40, together=together, like=matrix)
    other = diagonal(lambda v: v @ matrix, 60, probes=40, like=matrix)
    assert torch.allclose(parts.value, other.value)
    assert torch.allclose(parts.standard_error, other.standard_error)


def test_diagonal():
    matrix = symmetric(MIXED)
    found = diagonal(lambda v: v @ matrix, 60, probes=400, like=matrix)
    truth = (matrix**2).sum(1) - matrix.diagonal() ** 2
    assert torch.allclose(found.standard_error, (truth / 400).sqrt(), rtol=0.2)
    low, high = found.interval()
    held = ((low <= matrix.diagonal()) & (matrix.diagonal() <= high)).double().mean()
    assert held > 0.85
    assert found.products == 400
    spread = ((found.value - matrix.diagonal()) / found.standard_error).std()
    assert 0.7 < spread < 1.3


def test_diagonal_of_a_diagonal_is_exact():
    entries = torch.arange(-3.0, 7)
    found = diagonal(lambda v: v * entries, 10, probes=5)
    assert torch.equal(found.value, entries)
    assert torch.equal(found.standard_error, torch.zeros(10))


def test_one_sample_has_no_error():
    assert math.isnan(hutchinson(lambda v: v, 5, probes=1).standard_error)
    assert diagonal(lambda v: v, 5, probes=1).standard_error.isnan().all()


def test_interval_of_normal_width():
    low, high = Estimate(1.0, 0.1, 10**6, 1, 0).interval(0.9)
    assert (low, high) == (pytest.approx(1 - 0.16449, abs=1e-5), pytest.approx(1 + 0.16449, abs=1e-5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hutchinson(abs, 5, probes=0), "Expected probes >= 1, got 0"),
        (lambda: hutchinson(abs, 5, tolerance=-1), "got -1 and 8"),
        (lambda: hutchinson(abs, 5, tolerance=0.1, fewest=1), "fewest >= 2"),
        (lambda: hutchinson(abs, 5, distribution="uniform"), "got 'uniform'"),
        (lambda: hutchinson(lambda v: v / 0, 5), "Expected finite products"),
        (lambda: diagonal(abs, 5, together=0), "Expected together >= 1, got 0"),
        (lambda: diagonal(lambda v: v / 0, 5), "Expected finite products"),
        (lambda: hutchpp(abs, 5, products=5), "Expected at least 6 products, got 5"),
        (lambda: hutchpp(lambda v: v / 0, 5), "Expected finite products"),
        (lambda: xtrace(abs, 5, products=3), "Expected at least 4 products, got 3"),
        (lambda: xtrace(lambda v: v / 0, 5), "Expected finite products"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
