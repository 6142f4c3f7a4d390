"""Curves: end points, derivatives, lengths; a curve of control points on a line is that line."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ellipeinc
from torch.autograd.functional import jacobian

from landscape.curves import SHAPES, Curve, segment, slopes, straight, weights

COUNTS = (2, 3, 4, 7)
SHAPED = [(shape, count) for shape in SHAPES for count in COUNTS]


def random(shape, count, dim=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Curve(shape, torch.randn(count, dim, generator=generator, dtype=torch.float64).to(dtype))


def same_bits(one, other):
    return one.numpy().tobytes() == other.numpy().tobytes()


def inside(count, steps=23):
    """Positions that are no corner of a chain."""
    t = torch.linspace(0.013, 0.987, steps, dtype=torch.float64)
    return t[((t * (count - 1)) % 1 - 0.5).abs() < 0.49]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_ends_are_returned_bit_for_bit(shape, count, dtype):
    curve = random(shape, count, dtype=dtype)
    curve.points[0, 0] = -0.0
    ends = curve(torch.tensor([0.0, 1.0]))
    assert same_bits(ends.view(torch.uint8), curve.ends.view(torch.uint8))
    assert same_bits(curve(0.0).view(torch.uint8), curve.points[0].view(torch.uint8))


@pytest.mark.parametrize("shape", SHAPES)
def test_ends_do_not_see_what_is_lost_between_them(shape):
    curve = random(shape, 4)
    curve.points[1, 2] = math.nan
    curve.points[2, 3] = math.inf
    assert same_bits(curve(torch.tensor([0.0, 1.0])), curve.ends)
    assert torch.isnan(curve(0.2)[2])
    assert torch.isinf(curve(0.6)[3])


@pytest.mark.parametrize("count", COUNTS)
def test_a_chain_goes_through_its_points(count):
    curve = random("chain", count)
    torch.testing.assert_close(curve(torch.linspace(0, 1, count)), curve.points, rtol=1e-6, atol=1e-6)
    middle = curve(torch.tensor(0.5 / (count - 1), dtype=torch.float64))
    torch.testing.assert_close(middle, (curve.points[0] + curve.points[1]) / 2, rtol=1e-14, atol=0)


def test_a_bezier_curve_is_de_casteljaus():
    curve, t = random("bezier", 5), 0.3
    points = curve.points
    while len(points) > 1:
        points = (1 - t) * points[:-1] + t * points[1:]
    torch.testing.assert_close(curve(t), points[0], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_weights_are_a_convex_combination(shape, count):
    found = weights(shape, count, torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-14)


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_a_curve_stays_in_the_hull_of_its_points(shape, count):
    curve = random(shape, count)
    found = curve(torch.linspace(0, 1, 41))
    directions = torch.randn(30, 5, dtype=torch.float64)
    reach = (curve.points @ directions.T).amax(0)
    assert ((found @ directions.T) <= reach + 1e-12).all()


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_derivatives_are_those_of_differences_and_of_autograd(shape, count):
    curve, t, step = random(shape, count), inside(count), 1e-6
    differences = (curve(t + step) - curve(t - step)) / (2 * step)
    torch.testing.assert_close(curve.derivative(t), differences, rtol=1e-7, atol=1e-7)
    for one in t[:5]:
        torch.testing.assert_close(
            slopes(shape, count, one), jacobian(lambda s: weights(shape, count, s), one), rtol=1e-10, atol=1e-10
        )


def test_the_derivative_at_the_ends_points_to_the_next_point():
    for shape, count in SHAPED:
        curve = random(shape, count)
        first, last = curve.derivative(torch.tensor([0.0, 1.0]))
        torch.testing.assert_close(first, (count - 1) * (curve.points[1] - curve.points[0]), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(last, (count - 1) * (curve.points[-1] - curve.points[-2]), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_a_curve_of_points_on_a_line_is_that_line(shape, count):
    first, last = torch.randn(2, 6, dtype=torch.float64)
    curve, t = straight(shape, first, last, count - 2), torch.linspace(0, 1, 17, dtype=torch.float64)
    torch.testing.assert_close(curve(t), segment(first, last)(t), rtol=1e-12, atol=1e-14)
    assert curve.length == pytest.approx(float((last - first).norm()), rel=1e-12)
    np.testing.assert_allclose(curve.speed(t), curve.distance, rtol=1e-10)
    assert curve.name == ("segment" if count == 2 else shape)


def test_points_anywhere_on_a_line_stay_on_it():
    direction = torch.randn(6, dtype=torch.float64)
    curve = Curve("bezier", torch.tensor([0.0, 0.2, 0.9, 1.0], dtype=torch.float64)[:, None] * direction)
    found = curve(torch.linspace(0, 1, 9))
    along = found @ direction / (direction @ direction)
    torch.testing.assert_close(found, along[:, None] * direction, rtol=1e-13, atol=1e-14)
    assert curve.length == pytest.approx(float(direction.norm()), rel=1e-10)


def quadratic_length(points):
    """Length of a Bezier curve of degree two in closed form: the integral of the root of a t^2 + b t + c."""
    p0, p1, p2 = points
    u, v = 2 * (p0 - 2 * p1 + p2), 2 * (p1 - p0)
    a, b, c = u @ u, 2 * u @ v, v @ v

    def primitive(t):
        root = np.sqrt(a * t * t + b * t + c)
        return (2 * a * t + b) / (4 * a) * root + (4 * a * c - b * b) / (8 * a**1.5) * np.log(
            2 * a * t + b + 2 * np.sqrt(a) * root
        )

    return primitive(1.0) - primitive(0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_length_of_a_quadratic_bezier_curve_in_closed_form(seed):
    curve = random("bezier", 3, dim=40, seed=seed)
    assert curve.length == pytest.approx(quadratic_length(curve.points.numpy()), rel=1e-10)


def test_a_parabola_and_an_ellipse():
    arch = Curve("bezier", torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]]))
    assert arch.length == pytest.approx(math.sqrt(5) + math.asinh(2) / 2, rel=1e-12)
    corners = torch.tensor([[math.cos(a), 2 * math.sin(a)] for a in np.linspace(0, math.pi / 2, 2001)])
    quarter = 2 * ellipeinc(math.pi / 2, 0.75)
    assert Curve("chain", corners.double()).length == pytest.approx(quarter, rel=1e-5)


def test_the_length_of_a_chain_is_the_sum_of_its_pieces():
    curve = random("chain", 7)
    pieces = (curve.points[1:] - curve.points[:-1]).norm(dim=1)
    assert curve.length == pytest.approx(float(pieces.sum()), rel=1e-14)
    knots = torch.linspace(0, 1, 7, dtype=torch.float64)
    np.testing.assert_allclose(curve.arc(knots)[1:], pieces.cumsum(0), rtol=1e-12)


def test_a_curve_that_turns_back_on_itself_is_as_long_as_its_way():
    curve = Curve("bezier", torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64))
    assert curve.length == pytest.approx(1.0, rel=1e-9)
    assert curve.distance == 0
    assert float(curve.speed(0.5)) == 0


@pytest.mark.parametrize("bend", [1.3, 1.618, -0.4, 7.0])
def test_a_curve_that_shoots_beyond_its_end_and_comes_back(bend):
    direction = torch.randn(30, dtype=torch.float64)
    curve = Curve("bezier", torch.tensor([0.0, bend, 1.0], dtype=torch.float64)[:, None] * direction / direction.norm())
    turn = bend / (2 * bend - 1)
    reach = 2 * bend * turn * (1 - turn) + turn**2
    assert curve.length == pytest.approx(abs(reach) + abs(1 - reach), rel=1e-7)
    assert float(curve.arc(torch.linspace(0, 1, 61))[-1]) == pytest.approx(curve.length, rel=1e-7)


def test_the_length_of_what_is_lost_is_not_a_number():
    curve = random("bezier", 3)
    curve.points[1, 0] = math.nan
    assert torch.isnan(curve.arc(torch.tensor([0.5, 1.0]))).all()


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_arc_length_grows_as_the_speed_says(shape, count):
    curve, t = random(shape, count), torch.linspace(0, 1, 41, dtype=torch.float64)
    arc = curve.arc(t)
    assert (arc.diff() > 0).all()
    assert float(arc[0]) == 0
    assert float(arc[-1]) == pytest.approx(curve.length, rel=1e-12)
    assert curve.length >= curve.distance * (1 - 1e-12)
    fine = curve(torch.linspace(0, 1, 2521, dtype=torch.float64))
    assert curve.length == pytest.approx(float(fine.diff(dim=0).norm(dim=1).sum()), rel=1e-5)
    later = inside(count)
    np.testing.assert_allclose((curve.arc(later + 1e-5) - curve.arc(later)) / 1e-5, curve.speed(later), rtol=1e-3)
    np.testing.assert_allclose(curve.speed(later), curve.derivative(later).norm(dim=-1), rtol=1e-9)


def test_a_long_chain_is_measured_piece_by_piece():
    corners = torch.randn(300, 2000)
    pieces = corners.double().diff(dim=0).norm(dim=1)
    found = Curve("chain", corners).arc(torch.linspace(0, 1, 599, dtype=torch.float64))
    np.testing.assert_allclose(found[2::2], pieces.cumsum(0), rtol=1e-12)
    np.testing.assert_allclose(found[1::2], pieces.cumsum(0) - pieces / 2, rtol=1e-12)


def test_arc_length_before_the_beginning_is_negative():
    curve = segment(torch.zeros(2), torch.tensor([3.0, 4.0]))
    np.testing.assert_allclose(curve.arc(torch.tensor([[-0.5], [0.0], [2.0]])), [[-2.5], [0], [10]], rtol=1e-12)


@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_a_curve_from_its_other_end(shape, count):
    curve, t = random(shape, count), torch.linspace(0, 1, 11, dtype=torch.float64)
    turned = curve.reversed()
    torch.testing.assert_close(turned(t), curve(1 - t), rtol=1e-13, atol=1e-14)
    assert turned.length == pytest.approx(curve.length, rel=1e-9)
    assert same_bits(turned.reversed().points, curve.points)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "count"), SHAPED)
def test_the_same_position_gives_the_same_bits(shape, count, dtype):
    curve = random(shape, count, dim=1001, dtype=dtype)
    t = torch.linspace(0, 1, 13, dtype=torch.float64)
    together = curve(t.reshape(1, 13))
    assert together.shape == (1, 13, 1001)
    for k, one in enumerate(t):
        assert same_bits(curve(one), together[0, k])
        assert same_bits(curve(float(one)), together[0, k])


def test_a_record_tells_curves_apart():
    curve = random("bezier", 3)
    assert curve.record() == random("bezier", 3).record()
    moved = Curve("bezier", curve.points + 1e-12)
    assert moved.record()["sha256"] != curve.record()["sha256"]
    assert curve.record()["points"] == 3


@pytest.mark.parametrize("points", [torch.zeros(4), torch.zeros(1, 4), torch.zeros(2, 3, 4)])
def test_points_that_make_no_curve(points):
    with pytest.raises(ValueError, match=r"Expected control points \(K, D\), at least the two ends, got shape"):
        Curve("bezier", points)


def test_shapes_and_bends_that_are_none():
    with pytest.raises(ValueError, match="Expected a shape among bezier, chain, got 'spline'"):
        Curve("spline", torch.zeros(2, 4))
    with pytest.raises(ValueError, match="Expected at least 0 bends, got -1"):
        straight("chain", torch.zeros(2), torch.ones(2), -1)
