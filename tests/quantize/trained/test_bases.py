"""Learned levels in training: QEM against least squares, codes of activations, what is deployed."""

import pytest
import torch

from landscape.quantize.levels import RIDGE, SIGNS, fitted, refitted, spanned
from landscape.quantize.trained.bases import STAYS, Based, BasedInput


def least_squares(row, basis, digits):
    """Nearest levels by trying all, then torch's least squares, pulled to the old basis by the ridge."""
    bits = len(basis)
    codes = torch.cartesian_prod(*[torch.tensor(digits, dtype=row.dtype)] * bits).reshape(-1, bits)
    nearest = (row[:, None] - codes @ basis).abs().argmin(1)
    root = RIDGE**0.5
    left = torch.cat([codes[nearest], root * torch.eye(bits, dtype=row.dtype)])
    return torch.linalg.lstsq(left, torch.cat([row, root * basis])[:, None]).solution[:, 0]


@pytest.mark.parametrize("digits", [SIGNS, (0.0, 1.0)])
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_refit_is_least_squares_on_the_nearest_levels(bits, digits):
    rows = torch.randn(3, 40, dtype=torch.float64)
    rows = rows if digits == SIGNS else rows.abs()
    basis = fitted(rows, bits, digits=digits, rounds=0) * (1 + 0.1 * torch.rand(3, bits, dtype=torch.float64))
    found = refitted(rows, basis, digits=digits)
    for row, old, new in zip(rows, basis, found, strict=True):
        assert (new - least_squares(row, old, digits)).abs().max() < 1e-10


def test_a_basis_goes_a_tenth_of_its_way():
    weight = torch.randn(3, 20, dtype=torch.float64)
    made = Based(weight, 2, 0)
    before, moved = made.basis.clone(), weight + 0.3 * torch.randn(3, 20, dtype=torch.float64)
    made.refit(moved)
    assert STAYS == 0.9
    assert (made.basis - (0.9 * before + 0.1 * refitted(moved, before))).abs().max() < 1e-14


@pytest.mark.parametrize("axis", [0, 1])
def test_output_units_have_levels_of_their_own(axis):
    weight = torch.randn(4, 5, 3)
    made = Based(weight, 2, axis)
    grid = made.grid_at(weight)
    assert grid.scale.shape == ((4, 1, 1), (1, 5, 1))[axis]
    unit = weight.movedim(axis, 0)[2]
    alone = Based(unit[None], 2, 0)
    assert torch.allclose(made.hard(weight).movedim(axis, 0)[2], alone.hard(unit[None])[0])


def test_more_bits_fit_better():
    weight = torch.randn(4, 200)
    errors = [(Based(weight, bits, 0).hard(weight) - weight).square().mean() for bits in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)


def test_a_gradient_goes_straight_through_weights():
    weight = 3 * torch.randn(3, 20, requires_grad=True)
    up = torch.randn(3, 20)
    (found,) = torch.autograd.grad(Based(weight, 2, 0)(weight), weight, up)
    assert torch.equal(found, up)


@pytest.mark.parametrize("signed", [False, True])
def test_activations_have_levels_of_one_sign_where_the_first_inputs_do(signed):
    made, inputs = BasedInput(2), torch.rand(20, 6) - 0.5 * signed
    made.fit(inputs)
    levels = made.grid.levels[0]
    digits = SIGNS if signed else (0.0, 1.0)
    assert torch.allclose(levels, spanned(made.basis, digits=digits)[0])
    assert (levels[0] == 0) != signed


def test_every_training_pass_refits_activations_and_no_other_does():
    made, inputs = BasedInput(2), torch.rand(20, 6)
    made.fit(inputs)
    before, others = made.basis.clone(), 2 * torch.rand(20, 6)
    made.eval()(others)
    assert torch.equal(made.basis, before)
    made.train()(others)
    expected = 0.9 * before + 0.1 * refitted(others.reshape(1, -1), before, digits=(0.0, 1.0))
    assert torch.allclose(made.basis, expected)


def test_the_gradient_of_activations_stops_at_the_outermost_level():
    made, inputs = BasedInput(2), torch.rand(20, 6)
    made.fit(inputs)
    inputs = (3 * inputs).requires_grad_()
    (found,) = torch.autograd.grad(made(inputs).sum(), inputs)
    top = made.grid.levels[0, -1]
    assert 0 < (found == 0).sum() < found.numel()
    assert torch.equal(found, (inputs.detach() <= top).float())


def test_least_squares_stay_exact_under_autocast():
    one, two, inputs = BasedInput(2), BasedInput(2), torch.rand(20, 6)
    one.fit(inputs)
    two.fit(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        one(inputs)
    two(inputs)
    assert torch.equal(one.basis, two.basis)
