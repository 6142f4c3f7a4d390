"""Eigenpairs at both ends, on prescribed spectra: accuracy, honesty of residuals, copies, bounded memory."""

import pytest
import torch

from landscape import krylov
from landscape.eigenpairs import eigenpairs

FORMATS = [torch.float64, torch.float32]


def symmetric(spectrum, dtype=torch.float64, seed=0):
    """A matrix with the given eigenvalues in a random orthogonal basis, made in float64; and the basis as rows."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.as_tensor(spectrum, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64, generator=generator)).Q
    return ((basis * spectrum) @ basis.mT).to(dtype), basis.mT.to(dtype)


def network_like(dim):
    """A bulk around zero with a negative edge, and ten outliers, as Hessians of classifiers have."""
    return torch.cat([torch.linspace(-0.7, 1, dim - 10).double() ** 3, torch.linspace(2, 90, 10).double()])


def expected(spectrum, largest, smallest):
    ordered = spectrum.sort(descending=True).values
    return torch.cat([ordered[:largest], ordered[len(ordered) - smallest :]])


@pytest.mark.parametrize("count", [(1, 0), (0, 1), (1, 1), (10, 3), (3, 0), (0, 4)])
@pytest.mark.parametrize("block", [1, 4])
def test_both_ends_to_1e8(count, block):
    spectrum = network_like(200)
    matrix, _ = symmetric(spectrum)
    found = eigenpairs(lambda rows: rows @ matrix, 200, count=count, tolerance=1e-7, block=block, like=matrix)
    assert found.converged.all()
    assert torch.allclose(found.values, expected(spectrum, *count), rtol=1e-8, atol=0)
    assert torch.allclose(found.vectors @ found.vectors.mT, torch.eye(sum(count)).double(), atol=1e-12)
    true = (found.vectors @ matrix - found.values[:, None] * found.vectors).norm(dim=1)
    assert torch.allclose(true, found.residuals, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_float32(seed):
    spectrum = network_like(200)
    matrix, _ = symmetric(spectrum, torch.float32, seed)
    found = eigenpairs(lambda rows: rows @ matrix, 200, count=(5, 2), seed=seed)
    assert found.vectors.dtype == torch.float32
    assert found.values.dtype == torch.float64
    assert found.converged.all()
    assert torch.allclose(found.values, expected(spectrum, 5, 2), rtol=0, atol=90 * 1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e-12])
@pytest.mark.parametrize("dtype", FORMATS)
def test_small_scales(scale, dtype):
    """PyHessian is 74 % off where the loss is scaled by 1e-6."""
    matrix, _ = symmetric(network_like(184), dtype)
    large = eigenpairs(lambda rows: rows @ matrix, 184, like=matrix)
    small = eigenpairs(lambda rows: rows @ matrix * scale, 184, like=matrix)
    assert small.products == large.products
    assert torch.allclose(small.values / scale, large.values, rtol=1e-5)
    assert float(small.values[0]) == pytest.approx(90 * scale, rel=1e-6)


def test_values_are_rayleigh_quotients_of_the_products():
    """Eigenthings' momentum returns the eigenvalue less the momentum, marked as converged."""
    matrix, _ = symmetric(torch.cat([torch.linspace(-0.1, 0.3, 183), torch.tensor([0.5566])]))
    found = eigenpairs(lambda rows: rows @ matrix, 184, count=1, like=matrix)
    assert found.values[0] == pytest.approx(0.5566, rel=1e-7)
    assert found.values[0] == pytest.approx(float(found.vectors[0] @ matrix @ found.vectors[0]), rel=1e-13)


def test_one_eigenvalue_is_found_to_its_tolerance():
    """Eigenthings' default for one eigenvalue is two steps: 0.188 for 0.557."""
    matrix, _ = symmetric(torch.linspace(-0.1, 0.557, 184))
    found = eigenpairs(lambda rows: rows @ matrix, 184, count=1, tolerance=1e-3, like=matrix)
    assert found.converged.all()
    assert found.values[0] == pytest.approx(0.557, rel=1e-3)


def test_residual_not_change_ends_the_run():
    """PyHessian's power iteration stops on successive change: 0.5 % error where 0.1 % was asked for."""
    spectrum = torch.cat([torch.linspace(0, 0.97, 198), torch.tensor([0.99, 1.0])])
    matrix, _ = symmetric(spectrum)
    found = eigenpairs(lambda rows: rows @ matrix, 200, count=1, tolerance=1e-3, like=matrix)
    assert found.residuals[0] <= 1e-3 * found.values[0]
    assert found.values[0] == pytest.approx(1.0, rel=1e-4)


def test_few_products_for_a_separated_top():
    matrix, _ = symmetric(network_like(200))
    found = eigenpairs(lambda rows: rows @ matrix, 200, count=1, tolerance=1e-3, like=matrix)
    assert found.converged.all()
    assert found.products <= 16


def test_top_eigenvalue_once():
    """Curvlinops' Lanczos finds ghosts: copies of converged eigenvalues."""
    spectrum = torch.cat([torch.linspace(-0.01, 0.1, 183), torch.tensor([0.5566])])
    matrix, _ = symmetric(spectrum)
    found = eigenpairs(lambda rows: rows @ matrix, 184, count=6, tolerance=1e-6, like=matrix)
    assert torch.allclose(found.values, expected(spectrum.double(), 6, 0), rtol=1e-8)


@pytest.mark.parametrize("dtype", FORMATS)
def test_copies_and_clusters_by_blocks(dtype):
    spectrum = torch.cat([torch.linspace(-0.5, 1, 190), torch.full((3,), 7.0), 9 + 1e-3 * torch.arange(4)]).double()
    matrix, _ = symmetric(spectrum, dtype)
    found = eigenpairs(lambda rows: rows @ matrix, 197, count=(7, 1), block=4, tolerance=1e-5, like=matrix)
    assert found.converged.all()
    tolerance = {"rtol": 1e-8, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 0}
    assert torch.allclose(found.values, expected(spectrum, 7, 1), **tolerance)


def test_invariant_parts_do_not_stop_it():
    for matrix, values in (
        (torch.eye(100).double(), [1, 1, 1]),
        (torch.zeros(100, 100).double(), [0, 0, 0]),
        (symmetric([0.0] * 95 + [-2.0, 1.0, 3.0, 3.0, 5.0])[0], [5, 3, 3]),
    ):
        found = eigenpairs(lambda rows, m=matrix: rows @ m, 100, count=3, like=matrix)
        assert torch.allclose(found.values, torch.tensor(values).double(), atol=1e-10)
        assert found.converged.all()
    low = eigenpairs(lambda rows: rows @ matrix, 100, count=(4, 1), like=matrix)
    assert torch.allclose(low.values, torch.tensor([5.0, 3, 3, 1, -2]).double(), atol=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 9, 30])
def test_whole_spectrum(dim):
    spectrum = torch.linspace(-1, 2, dim).double()
    matrix, _ = symmetric(spectrum)
    for count in {(dim, 0), (dim // 2, dim - dim // 2)}:
        found = eigenpairs(lambda rows: rows @ matrix, dim, count=count, like=matrix)
        assert torch.allclose(found.values, spectrum.flip(0), atol=1e-12)
        assert found.converged.all()
        assert found.products == dim


def test_warm_start_saves_products():
    spectrum = torch.linspace(-1, 1, 200).double() ** 3
    matrix, _ = symmetric(spectrum)
    other, _ = symmetric(torch.linspace(-1, 1, 200), seed=5)
    moved = matrix + 1e-4 * other
    here = eigenpairs(lambda rows: rows @ matrix, 200, tolerance=1e-3, like=matrix)
    cold = eigenpairs(lambda rows: rows @ moved, 200, tolerance=1e-3, like=matrix)
    warm = eigenpairs(lambda rows: rows @ moved, 200, tolerance=1e-3, start=here.vectors)
    assert warm.converged.all()
    assert warm.products < cold.products
    assert torch.allclose(warm.values, cold.values, atol=1e-5)


def test_start_at_another_eigenvector_is_left():
    matrix, basis = symmetric(torch.linspace(0, 1, 100) ** 2)
    found = eigenpairs(lambda rows: rows @ matrix, 100, count=1, start=basis[3])
    assert found.values[0] == pytest.approx(1.0, rel=1e-6)


def test_limit_is_kept_and_told():
    matrix, _ = symmetric(torch.linspace(0, 1, 200))
    calls = []

    def product(rows):
        calls.append(len(rows))
        return rows @ matrix

    found = eigenpairs(product, 200, count=(5, 5), tolerance=1e-8, limit=40, like=matrix)
    assert sum(calls) == found.products <= 40
    assert not found.converged.all()
    true = (found.vectors @ matrix - found.values[:, None] * found.vectors).norm(dim=1)
    assert torch.allclose(true, found.residuals, atol=1e-12)


def test_basis_is_bounded(monkeypatch):
    matrix, _ = symmetric(torch.linspace(-1, 1, 200) ** 3)
    biggest, original = [], krylov.orthonormal

    def watched(block, basis, scale):
        biggest.append(len(basis))
        return original(block, basis, scale)

    monkeypatch.setattr(krylov, "orthonormal", watched)
    found = eigenpairs(lambda rows: rows @ matrix, 200, count=(3, 1), space=12, tolerance=1e-6, like=matrix)
    assert max(biggest) == 12
    assert found.products > 30
    assert found.converged.all()


def test_same_seed_same_bits():
    matrix, _ = symmetric(network_like(100))
    first, again = (eigenpairs(lambda rows: rows @ matrix, 100, seed=4, like=matrix) for _ in range(2))
    assert torch.equal(first.values, again.values)
    assert torch.equal(first.vectors, again.vectors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "at least one, got 0"),
        ({"count": (2, -1)}, r"got \(2, -1\)"),
        ({"count": (30, 21)}, r"Expected at most D=50 eigenpairs, got count=\(30, 21\)"),
        ({"tolerance": 0}, "Expected tolerance > 0, got 0"),
        ({"space": 3}, "got block=1 and space=3"),
        ({"block": 0}, "Expected block >= 1"),
        ({"start": torch.ones(2, 3)}, r"Expected start vectors \(r, 50\), got shape \(2, 3\)"),
        ({"start": torch.zeros(50)}, "not zero"),
    ],
)
def test_errors_teach(options, message):
    with pytest.raises(ValueError, match=message):
        eigenpairs(lambda rows: rows, 50, **options)


@pytest.mark.parametrize("dim", [5, 50])
def test_products_that_are_not_finite(dim):
    with pytest.raises(ValueError, match="Expected finite products"):
        eigenpairs(lambda rows: rows / 0, dim)
