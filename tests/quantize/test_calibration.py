"""Calibration against brute force, and the formulas of the families."""

import pytest
import torch
from torch import nn
from torch.func import vmap

from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.levels import fitted, refitted, spanned
from landscape.quantize.scheme import Scheme

FITTED = [
    Scheme(3), Scheme(4, "full"), Scheme(8, "full"), Scheme(2, "midrise"), Scheme(1, "midrise"), Scheme(2, "narrow"),
    Scheme(4, symmetric=False), Scheme(1, symmetric=False),
]  # fmt: skip
FAMILIES = [*FITTED, Scheme(1), Scheme(2, "ternary"), Scheme(1, "levels"), Scheme(2, "levels"), Scheme(4, "levels")]


def naive(row, bits, family, symmetric, share):
    """One row rounded to the levels that reach to a share of its range, by looking for the nearest of all."""
    count = 2**bits - 1
    reach = share * row.abs().max()
    if family == "midrise":
        levels = torch.linspace(-1, 1, count + 1, dtype=row.dtype) * reach
    elif symmetric:
        top = count // 2
        levels = torch.arange(-top - (family == "full"), top + 1, dtype=row.dtype) * reach / top
    else:
        low, high = share * row.min().clamp(max=0), share * row.max().clamp(min=0)
        step = (high - low) / count
        levels = (torch.arange(count + 1, dtype=row.dtype) - (-low / step).round()) * step
    return levels[(row[:, None] - levels).abs().argmin(1)]


@pytest.mark.parametrize("scheme", FITTED, ids=str)
def test_mse_finds_the_best_of_all_shares(scheme):
    weight = torch.randn(4, 25, dtype=torch.float64) ** 3
    scheme = Scheme(scheme.bits, scheme.family, "mse", scheme.symmetric)
    shares = [1 - 0.8 * i / 80 for i in range(80)]
    found = (calibrate(weight, scheme).hard(weight) - weight).square().mean(1)
    for row, mine in zip(weight, found, strict=True):
        tried = [naive(row, scheme.bits, scheme.family, scheme.symmetric, share) for share in shares]
        assert mine.item() == pytest.approx(min((t - row).square().mean().item() for t in tried), rel=1e-9)


@pytest.mark.parametrize("scheme", FITTED, ids=str)
def test_minmax_reaches_the_largest_weight(scheme):
    weight = torch.randn(4, 25, dtype=torch.float64)
    found = calibrate(weight, Scheme(scheme.bits, scheme.family, "minmax", scheme.symmetric)).hard(weight)
    for row, mine in zip(weight, found, strict=True):
        torch.testing.assert_close(mine, naive(row, scheme.bits, scheme.family, scheme.symmetric, 1.0))


def test_percentile_is_numpys():
    import numpy as np

    weight = torch.randn(3, 501, dtype=torch.float64)
    found = calibrate(weight, Scheme(4, calibration="percentile", percentile=97.3))
    low, high = np.percentile(weight.numpy(), [2.7, 97.3], axis=1)
    assert found.scale.flatten().tolist() == pytest.approx((np.maximum(-low, high) / 7).tolist())


def test_signs_are_scaled_by_the_mean_absolute_weight():
    weight = torch.randn(4, 25)
    torch.testing.assert_close(
        calibrate(weight, Scheme(1)).hard(weight), weight.sign() * weight.abs().mean(1, keepdim=True)
    )
    scale = weight.abs().mean()
    torch.testing.assert_close(calibrate(weight, Scheme(1, channels=False)).hard(weight), weight.sign() * scale)


def test_ternary_weights_have_the_published_scale_and_no_larger_error():
    weight = torch.randn(4, 50, dtype=torch.float64)
    found = calibrate(weight, Scheme(2, "ternary"))
    for row, scale, rounded in zip(weight, found.scale.flatten(), found.hard(weight), strict=True):
        large = row.abs() > 0.7 * row.abs().mean()
        assert scale.item() == pytest.approx(row[large].abs().mean().item())
        published = row.sign() * large * row[large].abs().mean()
        assert (rounded - row).square().mean() <= (published - row).square().mean() * (1 + 1e-12)
        assert set((rounded / scale).round().tolist()) <= {-1, 0, 1}


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [True, False])
def test_learned_levels_are_never_worse_than_even_ones(bits, channels):
    for seed in range(10):
        weight = torch.randn(4, 30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        even, learned = (calibrate(weight, Scheme(bits, f, "mse", channels=channels)) for f in ("midrise", "levels"))
        axes = (1,) if channels else (0, 1)
        errors = [(g.hard(weight) - weight).square().mean(axes) for g in (learned, even)]
        assert (errors[0] <= errors[1] * (1 + 1e-12)).all()


def test_fitting_levels_never_makes_the_error_larger():
    rows = torch.randn(5, 40, dtype=torch.float64)
    basis, errors = fitted(rows, 3, rounds=0), []
    for _ in range(15):
        levels = spanned(basis)
        errors.append((rows[..., None] - levels[:, None]).abs().amin(-1).square().mean(1))
        basis = refitted(rows, basis)
    errors = torch.stack(errors)
    assert (errors.diff(dim=0) <= 1e-12).all()
    assert (errors[-1] < errors[0]).all()


def test_two_levels_are_the_mean_absolute_weight():
    rows = torch.randn(3, 40, dtype=torch.float64)
    found = spanned(fitted(rows, 1))
    torch.testing.assert_close(found[:, 1], rows.abs().mean(1), rtol=1e-5, atol=0)  # the ridge


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
def test_several_at_once(scheme):
    weights = torch.randn(3, 4, 2, 5, dtype=torch.float64)
    together = vmap(lambda w: calibrate(w, scheme, axis=1).hard(w))(weights)
    torch.testing.assert_close(together, torch.stack([calibrate(w, scheme, axis=1).hard(w) for w in weights]))


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
def test_units_have_grids_of_their_own_wherever_they_lie(scheme):
    weight = torch.randn(3, 4, 2, 5)
    found = calibrate(weight, scheme, axis=1)
    assert found.scale.shape == (1, 4, 1, 1)
    moved = calibrate(weight.movedim(1, 0), scheme)
    torch.testing.assert_close(found.hard(weight).movedim(1, 0), moved.hard(weight.movedim(1, 0)))


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_units_and_tensors_of_zeros(scheme, dtype):
    weight = torch.randn(3, 8).to(dtype)
    weight[1] = 0
    for given in (weight, torch.zeros(2, 3, dtype=dtype)):
        found = calibrate(given, scheme)
        found.require_positive("weight")
        rounded = found.hard(given)
        assert rounded.isfinite().all()
        assert rounded[1].abs().max() <= 2**-9 * max(float(given.abs().max()), 1e-3)
        assert torch.equal(found.hard(rounded), rounded)


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
def test_one_number(scheme):
    weight = torch.tensor([[0.37]], dtype=torch.float64)
    found = calibrate(weight, scheme)
    assert found.hard(weight).item() == pytest.approx(0.37, rel=0.51 if scheme.family == "narrow" else 1e-3)


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12, 1e30])
def test_scaled_weights_get_scaled_values(scheme, size):
    weight = torch.randn(3, 20, dtype=torch.float64)
    small = (weight * size).float()
    rounded, expected = calibrate(small, scheme).hard(small).double() / size, calibrate(weight, scheme).hard(weight)
    error, usual = ((r - weight).square().mean() for r in (rounded, expected))
    assert error <= usual * 1.001 + 1e-12


@pytest.mark.parametrize("scheme", FAMILIES, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_have_no_grid(scheme, value):
    weight = torch.randn(3, 8)
    weight[1, 2] = value
    with pytest.raises(ValueError, match=r"got nan in 1 of 3: are its weights finite\?"):
        calibrate(weight, scheme).require_positive("weight")


def test_no_weights():
    with pytest.raises(ValueError, match="weights to quantize, got none"):
        calibrate(torch.ones(3, 0), Scheme(4))


@pytest.mark.parametrize("bits", [0, 9, True, 2.5, -1, "4", None])
def test_bits_that_are_none(bits):
    with pytest.raises(ValueError, match="bits from 1 to 8"):
        Scheme(bits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((4, "binary"), "1 bits for family binary"),
        ((3, "ternary"), "2 bits for family ternary"),
        ((1, "narrow"), "2 bits or more"),
        ((1, "full"), "2 bits or more"),
        ((4, "golden"), "family among"),
        ((4, "auto", "best"), "calibration among"),
        ((4, "narrow", "auto", False), "family full"),
        ((4, "auto", "percentile", True, True, 50), "percentile above 50"),
        ((4, "auto", "percentile", True, True, float("nan")), "percentile above 50"),
    ],
)
def test_schemes_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        Scheme(*given)


def test_a_scheme_says_what_it_is():
    assert (Scheme(1).family, Scheme(2).family, Scheme(3).family) == ("binary", "midrise", "narrow")
    assert (Scheme(8).calibration, Scheme(7).calibration, Scheme(1).calibration) == ("minmax", "mse", "own")
    assert all(Scheme(**scheme.record()) == scheme for scheme in FAMILIES)
    full = calibrate(torch.tensor([[-1.0, 0.5]]), Scheme(8, "full"))
    assert (full.low, full.high, full.scale.item()) == (-128, 127, pytest.approx(1 / 127))


class Conv1D(nn.Module):
    """The linear layer of GPT-2: (inputs, outputs)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5))


def test_output_units_of_every_kind_of_layer():
    model = nn.ModuleDict({
        "linear": nn.Linear(3, 4), "conv": nn.Conv2d(4, 6, 3, groups=2), "up": nn.ConvTranspose2d(4, 6, 3, groups=2),
        "gpt": Conv1D(), "norm": nn.BatchNorm2d(3), "words": nn.Embedding(7, 3),
    })  # fmt: skip
    axes = chosen(model)
    assert axes == {"linear.weight": 0, "conv.weight": 0, "up.weight": 1, "gpt.weight": 1}
    weights = dict(model.named_parameters())
    shapes = {n: tuple(calibrate(weights[n], Scheme(4), axis=axis).scale.shape) for n, axis in axes.items()}
    assert shapes == {
        "linear.weight": (4, 1), "conv.weight": (6, 1, 1, 1), "up.weight": (1, 3, 1, 1), "gpt.weight": (1, 5),
    }  # fmt: skip
    assert chosen(model, ("first", "last")).keys() == {"conv.weight", "up.weight"}


def test_weights_that_are_shared_are_left_alone():
    model = nn.ModuleDict({"words": nn.Embedding(7, 3), "out": nn.Linear(3, 7), "plain": nn.Linear(3, 7)})
    model["out"].weight = model["words"].weight
    assert chosen(model) == {"plain.weight": 0}


@pytest.mark.parametrize(
    ("model", "skip", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2)), ("fc*",), r"--skip to match layers of Sequential \(0 ...\), got 'fc\*'"),
        (nn.Sequential(nn.Linear(2, 2)), ("first",), "beside those skipped"),
        (nn.BatchNorm1d(3), (), "nothing to quantize"),
    ],
)
def test_nothing_to_quantize(model, skip, message):
    with pytest.raises(ValueError, match=message):
        chosen(model, skip)
