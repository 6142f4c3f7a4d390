"""Krylov spaces: the Lanczos relation, Gauss quadrature, blocks and the certificate, on prescribed spectra."""

import math

import pytest
import torch

from landscape import krylov, rows

FORMATS = [torch.float64, torch.float32]
TOP = [-90.0, -40.0, 30.0, 60.0, 100.0]


def symmetric(spectrum, dtype=torch.float64, seed=0):
    """A matrix with the given eigenvalues in a random orthogonal basis, made in float64; and the basis as rows."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.as_tensor(spectrum, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64, generator=generator)).Q
    return ((basis * spectrum) @ basis.mT).to(dtype), basis.mT.to(dtype)


def network_like(dim, scale=1.0):
    """A bulk around zero with a negative edge, and ten outliers, as Hessians of classifiers have."""
    return scale * torch.cat([torch.linspace(-0.3, 1, dim - 10).double() ** 3, torch.linspace(2, 90, 10).double()])


def noise(dim, rows=None, dtype=torch.float64, seed=1):
    shape = (dim,) if rows is None else (rows, dim)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("steps", [1, 2, 17, 60, 200])
def test_lanczos_relation(dtype, steps):
    matrix, _ = symmetric(network_like(200), dtype)
    found = krylov.lanczos(lambda rows: rows @ matrix, noise(200, dtype=dtype), steps)
    eps = torch.finfo(dtype).eps
    basis, k = found.basis.double(), len(found.diagonal)
    assert found.basis.dtype == dtype
    assert found.matrix.dtype == torch.float64
    assert (basis @ basis.mT - torch.eye(k)).abs().max() < 50 * eps
    rest = matrix.double() @ basis.mT - basis.mT @ found.matrix
    assert (rest[:, :-1].abs() < 90 * 50 * eps).all()
    assert rest[:, -1].norm() == pytest.approx(found.residual, rel=1e-3, abs=90 * 50 * eps)
    assert (basis @ rest[:, -1]).abs().max() < 90 * 50 * eps


@pytest.mark.parametrize("dtype", FORMATS)
def test_full_space_has_all_eigenvalues(dtype):
    spectrum = torch.linspace(-1, 3, 60)
    matrix, _ = symmetric(spectrum, dtype)
    found = krylov.lanczos(lambda rows: rows @ matrix, noise(60, dtype=dtype), 60)
    assert torch.allclose(torch.linalg.eigvalsh(found.matrix), spectrum.double(), atol=100 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FORMATS)
def test_ritz_bounds_hold(dtype):
    spectrum = network_like(150)
    matrix, _ = symmetric(spectrum, dtype)
    values, vectors, bounds = krylov.ritz(krylov.lanczos(lambda rows: rows @ matrix, noise(150, dtype=dtype), 30))
    rounding = 90 * 50 * torch.finfo(dtype).eps
    true = (vectors @ matrix - values[:, None].to(dtype) * vectors).double().norm(dim=1)
    assert torch.allclose(true, bounds, rtol=1e-6, atol=rounding)
    distance = (values[:, None] - spectrum).abs().min(dim=1).values
    assert (distance <= bounds + rounding).all()


@pytest.mark.parametrize("steps", [60, 120, 180])
@pytest.mark.parametrize("dtype", FORMATS)
def test_no_ghosts(steps, dtype):
    """Curvlinops never reorthogonalizes: 3 copies of the top eigenvalue of a 184-dimensional Hessian after 60 steps."""
    spectrum = torch.cat([torch.linspace(-0.01, 0.1, 183), torch.tensor([0.5566])])
    matrix, _ = symmetric(spectrum, dtype)
    values = torch.linalg.eigvalsh(krylov.lanczos(lambda rows: rows @ matrix, noise(184, dtype=dtype), steps).matrix)
    assert (values > 0.2).sum() == 1


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scale", [1e-4, 1e-6, 1e-12, 1e12])
def test_small_operators_like_large_ones(scale, dtype):
    """PyHessian divides by the norm plus 1e-6: 26 % of the top eigenvalue is left where the loss is scaled by 1e-6."""
    matrix, _ = symmetric(network_like(184), dtype)
    large = krylov.lanczos(lambda rows: rows @ matrix, noise(184, dtype=dtype), 40)
    small = krylov.lanczos(lambda rows: rows @ matrix * scale, noise(184, dtype=dtype), 40)
    assert len(small.diagonal) == 40
    top = torch.linalg.eigvalsh(small.matrix)[-1] / scale
    assert float(top) == pytest.approx(90, rel=1e-10 if dtype == torch.float64 else 1e-5)
    assert float(torch.linalg.eigvalsh(large.matrix)[-1]) == pytest.approx(float(top), rel=1e-5)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_invariant_space_ends_the_run(scale, dtype):
    matrix, basis = symmetric([0.01 * i for i in range(95)] + TOP, dtype)
    start = basis[-5:].sum(0)
    found = krylov.lanczos(lambda rows: rows @ matrix * scale, start, 50)
    assert len(found.diagonal) == 5
    assert torch.allclose(torch.linalg.eigvalsh(found.matrix) / scale, torch.tensor(TOP).double(), rtol=1e-4)
    assert found.residual < 1e-4 * scale


def test_zero_and_identity():
    for matrix in (torch.zeros(40, 40), torch.eye(40)):
        found = krylov.lanczos(lambda rows, m=matrix: rows @ m, noise(40, dtype=torch.float32), 10)
        assert len(found.diagonal) == 1
        assert float(found.diagonal) == pytest.approx(float(matrix[0, 0]), abs=1e-6)


def test_one_call_a_step_for_all_starts():
    matrix, basis = symmetric([0.01 * i for i in range(75)] + TOP)
    starts = torch.cat([noise(80, 3), basis[-1:] + basis[-2:-1]])
    calls = []

    def product(rows):
        calls.append(rows.shape)
        return rows @ matrix

    many = krylov.lanczos_many(product, starts, 20)
    assert calls == [(4, 80)] * 20
    assert [len(found.diagonal) for found in many] == [20, 20, 20, 2]
    for start, found in zip(starts, many, strict=True):
        alone = krylov.lanczos(product, start, 20)
        assert torch.allclose(found.matrix, alone.matrix, atol=1e-9)
        assert found.residual == pytest.approx(alone.residual, abs=1e-9)


def test_another_operator_for_each_row():
    matrices = torch.stack([symmetric(torch.linspace(0, top, 30), seed=i)[0] for i, top in enumerate([1, 5, 9])])
    many = krylov.lanczos_many(lambda rows: (matrices @ rows[:, :, None])[:, :, 0], noise(30, 3), 30)
    assert [round(float(torch.linalg.eigvalsh(found.matrix)[-1]), 9) for found in many] == [1, 5, 9]


@pytest.mark.parametrize("dtype", FORMATS)
def test_quadrature_integrates_polynomials(dtype):
    spectrum = torch.linspace(-1, 1, 100).double() ** 3
    matrix, basis = symmetric(spectrum, dtype)
    start = noise(100, dtype=dtype)
    nodes, weights = krylov.quadrature(krylov.lanczos(lambda rows: rows @ matrix, start, 6))
    measure = ((basis @ start) / start.norm()).double() ** 2
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    for degree in range(12):
        assert float((weights * nodes**degree).sum()) == pytest.approx(
            float((measure * spectrum**degree).sum()), abs=tolerance
        )
    assert abs(float((weights * nodes**12).sum() - (measure * spectrum**12).sum())) > 1e-6


@pytest.mark.parametrize("dtype", FORMATS)
def test_block_relation(dtype):
    matrix, _ = symmetric(network_like(120), dtype)
    found = krylov.block_lanczos(lambda rows: rows @ matrix, noise(120, 4, dtype), 12)
    eps = torch.finfo(dtype).eps
    basis = found.basis.double()
    assert (basis @ basis.mT - torch.eye(48)).abs().max() < 50 * eps
    rest = matrix.double() @ basis.mT - basis.mT @ found.matrix
    assert (basis @ rest).abs().max() < 90 * 50 * eps
    assert torch.allclose(rest.norm(dim=0), found.link.norm(dim=1), atol=90 * 50 * eps)
    assert torch.allclose(found.matrix, basis @ matrix.double() @ basis.mT, atol=90 * 50 * eps)


@pytest.mark.parametrize("dtype", FORMATS)
def test_blocks_see_copies_and_clusters(dtype):
    spectrum = torch.cat([torch.linspace(-0.5, 1, 90), torch.full((3,), 7.0), 9 + 1e-4 * torch.arange(4)])
    matrix, _ = symmetric(spectrum, dtype)
    single = krylov.lanczos(lambda rows: rows @ matrix, noise(97, dtype=dtype), 12)
    block = krylov.block_lanczos(lambda rows: rows @ matrix, noise(97, 4, dtype), 12)
    assert (torch.linalg.eigvalsh(single.matrix) > 5).sum() < 7
    values, _, bounds = krylov.ritz(block)
    assert torch.allclose(values[-7:], spectrum[-7:].double(), rtol=1e-8 if dtype == torch.float64 else 1e-5)
    assert (bounds[-7:] < 1e-4).all()


def test_block_drops_what_depends():
    matrix, basis = symmetric([0.01 * i for i in range(45)] + TOP)
    rows = noise(50, 2)
    twice = krylov.block_lanczos(lambda v: v @ matrix, torch.cat([rows, rows.sum(0)[None]]), 5)
    assert twice.basis.shape == (10, 50)
    ends = krylov.block_lanczos(lambda v: v @ matrix, torch.cat([basis[-2:].sum(0)[None], noise(50, 1)]), 6)
    assert ends.basis.shape == (8, 50)
    whole = krylov.block_lanczos(lambda v: v @ matrix, noise(50, 3), 17)
    assert torch.allclose(torch.linalg.eigvalsh(whole.matrix), torch.linalg.eigvalsh(matrix))
    assert whole.link.shape == (50, 0)


def test_certificate_keeps_its_word():
    """An eigenvalue far below hidden in one direction: how often 7 steps do not show it, against the bound."""
    spectrum = torch.cat([torch.tensor([-0.2]), torch.linspace(0, 1, 79)])
    matrix, _ = symmetric(spectrum)
    starts = noise(80, 1000)
    for steps in (3, 5, 7):
        found = krylov.lanczos_many(lambda rows: rows @ matrix, starts, steps)
        lowest = torch.stack([torch.linalg.eigvalsh(one.matrix)[0] for one in found])
        for level in (-0.1, 0.0, 0.1, 0.3):
            bound = krylov.certificate(80, steps, tau=0.2 - 1e-9, smallest=level, largest=1.0)
            assert float((lowest >= level).double().mean()) <= bound


def test_certificate_values():
    expected = 1.648 * math.sqrt(400) * math.exp(-39 * math.sqrt(0.3 / 1.1))
    assert krylov.certificate(400, 20, tau=0.1, smallest=0.2, largest=1.0) == pytest.approx(expected)
    assert krylov.certificate(400, 2, tau=0.1, smallest=0.2, largest=1.0) == 1.0
    assert krylov.certificate(400, 400, tau=0.1, smallest=0.2, largest=1.0) == 0.0
    assert krylov.certificate(400, 20, tau=0.1, smallest=-0.2, largest=1.0) == 1.0


def test_random_vectors_do_not_depend_on_their_cut():
    whole = rows.random_vectors(5, 33, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    parts = [rows.random_vectors(n, 33, generator) for n in (1, 3, 1)]
    assert torch.equal(whole, torch.cat(parts))
    signs = rows.random_vectors(4, 500, generator, distribution="rademacher", like=torch.empty(0).double())
    assert signs.dtype == torch.float64
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}


def test_nothing_given_is_changed():
    matrix, start = torch.eye(5).double(), torch.arange(1.0, 6).double()
    state, kept = torch.get_rng_state(), start.clone()
    krylov.lanczos(lambda rows: rows @ matrix, start, 3)
    rows.random_vectors(2, 4, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(start, kept)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: krylov.lanczos(abs, torch.ones(3), 4), "Expected 1 <= steps <= D=3, got steps=4"),
        (lambda: krylov.lanczos(abs, torch.ones(3), 0), "got steps=0"),
        (lambda: krylov.lanczos(abs, torch.ones(1, 3), 2), "Expected one start vector"),
        (lambda: krylov.lanczos(abs, torch.zeros(3), 2), "not zero"),
        (lambda: krylov.lanczos(lambda v: v / 0, torch.ones(3), 2), "Expected finite products"),
        (lambda: krylov.lanczos_many(abs, torch.ones(3), 2), "as rows"),
        (lambda: krylov.block_lanczos(abs, torch.ones(2, 3), 3), "Expected 1 <= steps <= 2 for 2 start vectors"),
        (lambda: krylov.block_lanczos(lambda v: v / 0, torch.eye(3)[:2], 2), "Expected finite products"),
        (lambda: krylov.certificate(9, 2, tau=-1, smallest=0, largest=1), "Expected tau >= 0, got -1"),
        (lambda: krylov.certificate(9, 2, tau=1, smallest=2, largest=1), "Expected smallest <= largest"),
        (lambda: krylov.certificate(9, 0, tau=1, smallest=0, largest=1), "steps >= 1"),
        (lambda: rows.random_vectors(1, 2, torch.Generator(), distribution="cauchy"), "got 'cauchy'"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
