"""Spectral densities: moments, deflation and error bars, on prescribed spectra."""

import math

import pytest
import torch

from landscape.density import jackson, kernel_polynomial, stochastic_quadrature
from landscape.eigenpairs import eigenpairs

FORMATS = [torch.float64, torch.float32]
SPECTRUM = torch.cat([torch.linspace(-0.5, 1, 110).double() ** 3, torch.linspace(5, 20, 10).double()])


def symmetric(spectrum, dtype=torch.float64, seed=0):
    """A matrix with the given eigenvalues in a random orthogonal basis, made in float64; and the basis as rows."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.as_tensor(spectrum, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64, generator=generator)).Q
    return ((basis * spectrum) @ basis.mT).to(dtype), basis.mT.to(dtype)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("distribution", ["gaussian", "rademacher"])
def test_moments_within_their_errors(dtype, distribution):
    matrix, _ = symmetric(SPECTRUM, dtype)
    options = {"steps": 10, "probes": 60, "distribution": distribution, "like": matrix, "seed": 2}
    found = stochastic_quadrature(lambda rows: rows @ matrix, 120, **options)
    assert found.products == 600
    assert torch.allclose(found.weights.sum(1), torch.ones(60).double())
    for degree in (1, 2, 3, 4):
        moment = found.trace(lambda t, d=degree: t**d)
        assert abs(moment.value - float((SPECTRUM**degree).sum())) < 3 * moment.standard_error
        assert 0 < moment.standard_error < 0.3 * moment.value


def test_intervals_hold():
    matrix, _ = symmetric(SPECTRUM)
    found = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=3, probes=6000, together=1000, like=matrix)
    samples = 120 * (found.weights * found.nodes**2).sum(1).view(300, 20)
    width = 2.093 * samples.std(1) / math.sqrt(20)
    held = ((samples.mean(1) - float((SPECTRUM**2).sum())).abs() <= width).double().mean()
    assert 0.92 <= held <= 0.98


def test_ends_and_mass():
    matrix, _ = symmetric(SPECTRUM)
    found = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=60, probes=20, like=matrix)
    assert float(found.nodes.max()) == pytest.approx(20, rel=1e-9)
    assert float(found.nodes.min()) == pytest.approx(-0.125, rel=1e-4)
    grid = torch.tensor([-1.0, -0.05, 0.5, 3.0, 30.0])
    mass = found.cumulative(grid)
    truth = (SPECTRUM[:, None] <= grid).double().mean(0)
    assert mass.shape == (20, 5)
    assert ((mass.mean(0) - truth).abs() <= 3 * mass.std(0) / math.sqrt(20) + 1e-9).all()
    assert mass[:, 0].abs().max() == 0
    assert torch.allclose(mass[:, -1], torch.ones(20).double())


@pytest.mark.parametrize("together", [1, 3, 8])
def test_same_density_however_it_is_cut(together):
    matrix, _ = symmetric(SPECTRUM)
    whole = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=12, probes=5, together=5, like=matrix)
    parts = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=12, probes=5, together=together, like=matrix)
    assert torch.allclose(whole.nodes, parts.nodes, atol=1e-9)


def test_parts_of_the_vectors_are_the_whole():
    matrix, _ = symmetric(SPECTRUM)
    options = {"steps": 12, "seed": 4, "like": matrix}
    whole = stochastic_quadrature(lambda rows: rows @ matrix, 120, probes=5, **options)
    last = stochastic_quadrature(lambda rows: rows @ matrix, 120, probes=2, skip=3, **options)
    assert torch.allclose(last.nodes, whole.nodes[3:], atol=1e-9)
    assert torch.allclose(last.bounds, whole.bounds[3:], atol=1e-9)


@pytest.mark.parametrize("dtype", FORMATS)
def test_an_eigenvalue_lies_within_the_bound_of_every_node(dtype):
    matrix, _ = symmetric(SPECTRUM, dtype)
    found = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=25, probes=4, like=matrix)
    distance = (found.nodes[:, :, None] - SPECTRUM).abs().min(-1).values
    assert (distance <= found.bounds + 200 * torch.finfo(dtype).eps).all()
    assert (found.bounds[:, -1] < 1e-2 * found.bounds.max()).all()


def test_short_spaces_are_padded():
    matrix, _ = symmetric([1.0] * 30 + [2.0] * 30 + [5.0] * 40)
    found = stochastic_quadrature(lambda rows: rows @ matrix, 100, steps=7, probes=4, like=matrix)
    assert found.nodes.shape == (4, 7)
    for nodes, weights in zip(found.nodes, found.weights, strict=True):
        distance = (nodes[weights > 1e-9, None] - torch.tensor([1.0, 2.0, 5.0])).abs().min(1).values
        assert distance.max() < 1e-6
        assert float(weights.sum()) == pytest.approx(1)
    assert (found.weights == 0).any()
    assert (found.nodes >= 1 - 1e-9).all()
    logarithms = found.trace(torch.log)
    assert abs(logarithms.value - (30 * math.log(2) + 40 * math.log(5))) < 4 * logarithms.standard_error


@pytest.mark.parametrize("scale", [1e-6, 1e-12])
def test_small_scales(scale):
    """PyHessian: 26 % of the top Ritz value where the loss is scaled by 1e-6."""
    matrix, _ = symmetric(SPECTRUM, torch.float32)
    large = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=15, probes=3)
    small = stochastic_quadrature(lambda rows: rows @ matrix * scale, 120, steps=15, probes=3)
    assert torch.allclose(small.nodes / scale, large.nodes, atol=1e-3)
    assert small.weights.dtype == torch.float64


@pytest.mark.parametrize("dtype", FORMATS)
def test_deflation(dtype):
    matrix, _ = symmetric(SPECTRUM, dtype)
    top = eigenpairs(lambda rows: rows @ matrix, 120, count=10, tolerance=1e-6, like=matrix)
    options = {"steps": 20, "probes": 20, "like": matrix}
    plain = stochastic_quadrature(lambda rows: rows @ matrix, 120, **options)
    found = stochastic_quadrature(lambda rows: rows @ matrix, 120, deflate=(top.values, top.vectors), **options)
    assert torch.allclose(found.exact, SPECTRUM[-10:].flip(0), rtol=1e-5)
    assert float(found.nodes.max()) < 1.01
    assert torch.allclose(found.weights.sum(1), torch.full((20,), 110 / 120).double())
    assert torch.allclose(found.cumulative(torch.tensor([30.0])), torch.ones(20, 1).double())
    before, after = plain.trace(lambda t: t), found.trace(lambda t: t)
    assert after.standard_error < before.standard_error / 10
    assert after.value == pytest.approx(float(SPECTRUM.sum()), abs=4 * after.standard_error)


def test_one_step_of_all_deflated():
    matrix, basis = symmetric([1.0, 2.0, 3.0])
    found = stochastic_quadrature(
        lambda rows: rows @ matrix, 3, steps=1, probes=2, deflate=(torch.tensor([2.0, 3.0]), basis[1:]), like=matrix
    )
    assert found.trace(lambda t: t).value == pytest.approx(6.0)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("moments", [2, 7, 40])
def test_chebyshev_moments(moments, dtype):
    matrix, basis = symmetric(SPECTRUM, dtype)
    bounds = (-0.2, 20.5)
    found = kernel_polynomial(lambda rows: rows @ matrix, 120, bounds, moments=moments, probes=40, like=matrix)
    angles = ((SPECTRUM - 10.15) / 10.35).acos()
    truth = torch.cos(torch.arange(moments)[:, None] * angles).mean(1)
    assert found.values.shape == (40, moments)
    assert found.products == 40 * (moments // 2)
    error = found.values.std(0) / math.sqrt(40)
    assert ((found.values.mean(0) - truth).abs() <= 4 * error + 1e-5).all()
    calls = []
    kernel_polynomial(lambda rows: calls.append(len(rows)) or rows @ matrix, 120, bounds, moments=moments, like=matrix)
    assert sum(calls) == 8 * (moments // 2)


def test_kernel_density_integrates_to_one():
    matrix, _ = symmetric(SPECTRUM)
    found = kernel_polynomial(lambda rows: rows @ matrix, 120, (-1, 21), moments=200, probes=10, like=matrix)
    grid = torch.linspace(-1.5, 21.5, 4001)
    density, error = found.density(grid)
    assert float(torch.trapezoid(density, grid.double())) == pytest.approx(1, abs=1e-3)
    assert density.min() > -1e-12
    assert (density[grid < -1] == 0).all()
    bulk = (grid < 2.5).double()
    assert float(torch.trapezoid(density * bulk, grid.double())) == pytest.approx(110 / 120, abs=0.03)
    assert (error >= 0).all()


def test_two_estimators_agree():
    matrix, _ = symmetric(torch.linspace(-1, 1, 120))
    exact = stochastic_quadrature(lambda rows: rows @ matrix, 120, steps=30, probes=8, seed=3, like=matrix)
    kernel = kernel_polynomial(lambda rows: rows @ matrix, 120, (-1.0, 1.0), moments=12, probes=8, seed=3, like=matrix)
    chebyshev = torch.cos(torch.arange(12)[:, None, None] * exact.nodes.clamp(-1, 1).acos())
    assert torch.allclose((chebyshev * exact.weights).sum(-1).mT, kernel.values, atol=1e-8)


def test_jackson_kernel_is_not_negative():
    for count in (2, 5, 30):
        factors = jackson(count)
        assert float(factors[0]) == pytest.approx(1)
        angle = torch.linspace(0, math.pi, 500).double()
        kernel = 1 + 2 * (factors[1:, None] * torch.cos(torch.arange(1, count)[:, None] * angle)).sum(0)
        assert kernel.min() > -1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stochastic_quadrature(abs, 5, steps=6), "Expected 1 <= steps <= 5, got steps=6"),
        (lambda: stochastic_quadrature(abs, 5, steps=2, probes=0), "Expected at least one of probes, got 0"),
        (lambda: stochastic_quadrature(lambda v: v / 0, 5, steps=2), "Expected finite products"),
        (
            lambda: stochastic_quadrature(abs, 5, steps=2, deflate=(torch.ones(2), torch.eye(5)[:3])),
            r"shapes \(2,\) and \(3, 5\)",
        ),
        (
            lambda: stochastic_quadrature(abs, 5, steps=2, deflate=(torch.ones(2), torch.ones(2, 5))),
            "Expected orthonormal eigenvectors",
        ),
        (
            lambda: stochastic_quadrature(abs, 5, steps=5, deflate=(torch.ones(2), torch.eye(5)[:2])),
            "Expected 1 <= steps <= 3",
        ),
        (lambda: kernel_polynomial(abs, 5, (1, 0)), r"low < high, got \(1, 0\)"),
        (lambda: kernel_polynomial(abs, 5, (0, 1), moments=1), "moments"),
        (lambda: kernel_polynomial(lambda v: 3 * v, 5, (0.0, 1.0)), "Expected bounds that contain the spectrum"),
        (lambda: kernel_polynomial(lambda v: v / 0, 5, (0.0, 1.0)), "finite products"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
