"""Grids: torch's own fake quantization as an oracle, and codes that come back."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.func import vmap

from landscape.quantize.calibration import calibrate
from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.grid import Grid, grid
from landscape.quantize.scheme import FAMILIES, Scheme

FORMATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WIDTHS = {"binary": [1], "ternary": [2], "midrise": [1, 2, 4, 8], "levels": [1, 2, 4]}
SCHEMES = [
    *(Scheme(b, f, channels=c) for f in FAMILIES for b in WIDTHS.get(f, [2, 3, 4, 8]) for c in (True, False)),
    *(Scheme(b, "full", symmetric=False, channels=c) for b in (1, 2, 4, 8) for c in (True, False)),
]
SMALL = [scheme for scheme in SCHEMES if scheme.family != "levels" or scheme.bits <= 3]


@st.composite
def quantized(draw, channels):
    """Weights, scales, zero points and the ends of the codes; every number may lie between two codes."""
    bits, units = draw(st.integers(2, 8)), draw(st.integers(1, 4)) if channels else 1
    kind = draw(st.sampled_from(["narrow", "full", "unsigned"]))
    low, high = (
        (0, 2**bits - 1) if kind == "unsigned" else (-(2 ** (bits - 1)) + (kind == "narrow"), 2 ** (bits - 1) - 1)
    )
    scale = [draw(st.floats(2.0**-20, 2.0**10, width=32)) for _ in range(units)]
    zero = [draw(st.integers(low, high)) if kind == "unsigned" else 0 for _ in range(units)]
    places = st.one_of(
        st.integers(-600, 600).map(lambda i: i / 2),  # codes and the ties between them
        st.floats(-300, 300, width=32),
    )
    weight = [[draw(places) * s for _ in range(5)] for s in scale]
    return torch.tensor(weight), torch.tensor(scale), torch.tensor(zero, dtype=torch.int32), low, high


@settings(deadline=None, max_examples=100)
@given(quantized(channels=True))
def test_the_forward_pass_and_the_mask_are_torchs_per_channel(case):
    weight, scale, zero, low, high = case
    mine, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    found = Grid("uniform", 8, low, high, scale[:, None], zero[:, None].float())
    oracle = torch.fake_quantize_per_channel_affine(theirs, scale, zero, 0, low, high)
    clipped(mine, found).sum().backward()
    oracle.sum().backward()
    assert torch.equal(clipped(mine, found), oracle)
    assert torch.equal(found.hard(weight), oracle)
    assert torch.equal(mine.grad, theirs.grad)


@settings(deadline=None, max_examples=100)
@given(quantized(channels=False))
def test_the_forward_pass_and_the_mask_are_torchs_per_tensor(case):
    weight, scale, zero, low, high = case
    mine, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    found = Grid("uniform", 8, low, high, scale[:, None], zero[:, None].float())
    oracle = torch.fake_quantize_per_tensor_affine(theirs, scale.item(), int(zero), low, high)
    clipped(mine, found).sum().backward()
    oracle.sum().backward()
    assert torch.equal(found.hard(weight), oracle)
    assert torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.family in ("narrow", "full")], ids=str)
def test_torch_agrees_about_calibrated_uniform_grids(scheme):
    weight = torch.randn(5, 3, 4)
    found = calibrate(weight, scheme)
    scale, zero = (t.expand(5, 1, 1).flatten() for t in (found.scale, found.zero))
    oracle = torch.fake_quantize_per_channel_affine(weight, scale, zero.int(), 0, found.low, found.high)
    assert torch.equal(found.hard(weight), oracle)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_values_and_codes_come_back(scheme, dtype):
    weight = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(scheme.bits)).to(dtype)
    found = calibrate(weight, scheme)
    codes, values = found.codes(weight), found.hard(weight)
    assert codes.dtype == values.dtype == dtype
    assert torch.equal(codes, codes.round())
    assert found.low <= codes.min()
    assert codes.max() <= found.high
    assert torch.equal(found.dequantize(codes), values)
    assert torch.equal(found.hard(values), values)
    if scheme.family != "levels":  # two levels may be equal
        assert torch.equal(found.codes(values), codes)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scheme", SMALL, ids=str)
def test_every_code_comes_back(scheme, dtype):
    found = calibrate(torch.randn(3, 40).to(dtype), scheme)
    codes = torch.arange(found.low, found.high + 1).expand(3, -1).to(dtype)
    values = found.dequantize(codes)
    assert torch.equal(found.hard(values), values)
    if scheme.family != "levels":
        assert torch.equal(found.codes(values), codes)
        assert torch.equal(found.dequantize(codes.long()).to(dtype), values)  # whole numbers do as well


@settings(deadline=None, max_examples=100)
@given(scheme=st.sampled_from(SMALL), exponent=st.integers(-30, 30), seed=st.integers(0, 99))
def test_values_come_back_whatever_their_size(scheme, exponent, seed):
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(seed)) * 2.0**exponent
    found = calibrate(weight, scheme)
    assert torch.equal(found.hard(found.hard(weight)), found.hard(weight))


@pytest.mark.parametrize("scheme", [s for s in SMALL if s.bits <= 4], ids=str)
def test_rounding_goes_to_the_nearest_value(scheme):
    weight = torch.randn(4, 50, dtype=torch.float64)
    found = calibrate(weight, scheme)
    codes = torch.arange(found.low, found.high + 1, dtype=torch.float64)
    values = torch.stack([found.dequantize(code.expand(4, 1)).expand(4, 50) for code in codes])
    nearest = (values - weight).abs().amin(0)
    torch.testing.assert_close((found.hard(weight) - weight).abs(), nearest, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", SMALL, ids=str)
def test_a_file_brings_back_the_same_grid(scheme, tmp_path):
    weight = torch.randn(4, 6)
    found = calibrate(weight, scheme)
    torch.save(found.plain(), tmp_path / "grid.pt")
    back = grid(torch.load(tmp_path / "grid.pt", weights_only=True))
    assert back.sha256() == found.sha256()
    assert torch.equal(back.hard(weight), found.hard(weight))


@pytest.mark.parametrize("dtype", FORMATS)
def test_hashes_tell_grids_apart(dtype):
    scale, zero = torch.full((1,), 0.5, dtype=dtype), torch.zeros(1, dtype=dtype)
    one = Grid("uniform", 3, -3, 3, scale, zero)
    others = [
        Grid("midrise", 3, -3, 3, scale, zero),
        Grid("uniform", 4, -3, 3, scale, zero),
        Grid("uniform", 3, -4, 3, scale, zero),
        Grid("uniform", 3, -3, 2, scale, zero),
        Grid("uniform", 3, -3, 3, scale * 2, zero),
        Grid("uniform", 3, -3, 3, scale, zero + 1),
        Grid("uniform", 3, -3, 3, scale[:, None], zero[:, None]),
    ]
    assert len({other.sha256() for other in [one, *others]}) == 8
    assert Grid("uniform", 3, -3, 3, scale.clone(), zero.clone()).sha256() == one.sha256()


@pytest.mark.parametrize("scheme", SMALL, ids=str)
def test_a_grid_calibrated_in_one_precision_gives_its_values_in_another(scheme):
    weight = torch.randn(3, 20)
    found = calibrate(weight, scheme)
    assert torch.equal(found.hard(weight.double()), found.hard(weight).double())


@pytest.mark.parametrize("scheme", SMALL, ids=str)
def test_several_at_once(scheme):
    weights = torch.randn(3, 4, 2, 5)
    found = calibrate(weights[0], scheme)
    assert torch.equal(vmap(found.hard)(weights), torch.stack([found.hard(w) for w in weights]))
    assert torch.equal(vmap(found.inside)(weights), torch.stack([found.inside(w) for w in weights]))


def test_zero_is_positive_for_signs():
    found = Grid("binary", 1, 0, 1, torch.tensor([2.0]), torch.zeros(1))
    assert found.hard(torch.tensor([-1.0, -0.0, 0.0, 3.0])).tolist() == [-2, 2, 2, 2]


ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("nothing", 3, -3, 3, ONE, ONE), "a grid among"),
        (("uniform", 0, 0, 1, ONE, ONE), "1 to 8 bits"),
        (("uniform", 9, 0, 1, ONE, ONE), "1 to 8 bits"),
        (("uniform", 3, -4, 4, ONE, ONE), "at most 8 codes"),
        (("uniform", 3, 3, 3, ONE, ONE), "at most 8 codes"),
        (("uniform", 3, 100, 103, ONE, ONE), "at most 8 codes"),
        (("binary", 1, -1, 0, ONE, ONE), "codes from 0 on a binary"),
        (("levels", 1, -1, 0, ONE, ONE, torch.ones(1, 2)), "codes from 0 on a levels"),
        (("uniform", 3, -3, 3, ONE, torch.ones(2)), "zero points of shape"),
        (("uniform", 3, -3, 3, ONE, ONE, torch.ones(1, 7)), "learned levels alone"),
        (("levels", 1, 0, 1, ONE, ONE), "learned levels alone"),
        (("levels", 1, 0, 1, ONE, ONE, torch.ones(1, 3)), "2 levels a scale"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(ValueError, match=message):
        Grid(*parts)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_are_none(value):
    with pytest.raises(ValueError, match="positive, finite scales for 'fc.weight'"):
        Grid("uniform", 3, -3, 3, torch.tensor([1.0, value]), torch.zeros(2)).require_positive("fc.weight")


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_zero_points_that_are_none(value):
    with pytest.raises(ValueError, match="whole numbers as zero points for 'fc.weight'"):
        Grid("uniform", 3, 0, 7, ONE, torch.tensor([value])).require_positive("fc.weight")


@pytest.mark.parametrize("levels", [[1.0, 0.0], [0.0, float("nan")], [0.0, float("inf")]])
def test_levels_that_are_none(levels):
    with pytest.raises(ValueError, match="levels in ascending order for 'fc.weight'"):
        Grid("levels", 1, 0, 1, ONE, ONE, torch.tensor([levels])).require_positive("fc.weight")
