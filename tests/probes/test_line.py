"""Lines: closed forms, segments between checkpoints, draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape import directions
from landscape.probes.line import Line, line
from landscape.result import load


def test_a_line_on_a_quadratic_is_the_closed_form(planned):
    frame = directions.random(planned.objective, 1)
    found = line(planned.objective, points=11, span=2.0)
    points = frame.center.numpy() + found.a[:, None] * frame.vectors.numpy()
    np.testing.assert_allclose(found.loss, planned.loss(points), rtol=1e-12)
    (direction,) = frame.vectors.numpy()
    curvature = (found.loss[0, 6] - 2 * found.loss[0, 5] + found.loss[0, 4]) / (found.a[6] - found.a[5]) ** 2
    assert curvature == pytest.approx(direction @ planned.hessian() @ direction, rel=1e-10)


def test_a_line_is_the_middle_row_of_the_plane_of_its_direction(quadratic):
    from landscape.probes.surface import surface

    plane = surface(quadratic.objective, points=5)
    found = line(quadratic.objective, points=5)
    np.testing.assert_allclose(found.loss, plane.loss[:, :, 2], rtol=1e-12)


def test_the_center_equals_the_value(classifier):
    found = line(classifier, points=7)
    assert found.center == (3,)
    assert found.loss[0][found.center] == pytest.approx(float(classifier.value(classifier.theta)), rel=1e-12)


def test_a_segment_joins_two_checkpoints(quadratic):
    objective = quadratic.objective
    end = objective.theta + torch.linspace(-1, 2, 6, dtype=torch.float64)
    frame = directions.between(objective, [objective.theta, end], ["start", "end"], count=1)
    found = line(objective, frame, points=31)
    assert found.checkpoint.tolist() == ["start", "end"]
    assert found.checkpoint_a == pytest.approx([0, 1], abs=1e-12)
    assert found.a[0] < 0 < 1 < found.a[-1]
    assert found.a[found.center[0]] == 0
    points = objective.theta.numpy() + found.a[:, None] * (end - objective.theta).numpy()
    np.testing.assert_allclose(found.loss, quadratic.loss(points), rtol=1e-11)
    assert found.loss[0][found.center] == pytest.approx(float(objective.value(objective.theta)), rel=1e-12)


@pytest.mark.parametrize("vectors", [torch.ones(6), torch.ones(1, 6)])
def test_one_vector_is_a_direction(quadratic, vectors):
    found = line(quadratic.objective, vectors, points=3)
    points = quadratic.objective.theta.numpy() + found.a[:, None] * np.ones(6)
    np.testing.assert_allclose(found.loss, quadratic.loss(points), rtol=1e-12)


def test_two_vectors_are_no_line(quadratic):
    with pytest.raises(ValueError, match=r"Expected directions of shape \(1, 6\), got \(2, 6\)"):
        line(quadratic.objective, torch.eye(2, 6))


def test_draws_have_a_median_and_a_band(quadratic):
    found = line(quadratic.objective, points=5, draws=3)
    assert found.draw_loss.shape == (3, 2, 5)
    np.testing.assert_array_equal(found.draw_loss[0], found.loss)
    np.testing.assert_array_equal(found.median, np.median(found.draw_loss, 0))
    low, high = found.band()
    assert (low <= found.median).all()
    assert (found.median <= high).all()
    np.testing.assert_allclose(found.draw_loss[:, :, 2], found.loss[None, :, 2].repeat(3, 0), rtol=1e-12)


def test_quantiles_between_infinities_are_infinite(quadratic):
    found = line(quadratic.objective, points=3, draws=4)
    loss = np.array([1.0, 2.0, np.inf, np.inf])
    found = replace(found, draw_loss=np.broadcast_to(loss[:, None, None], found.draw_loss.shape))
    low, high = found.band(0.0, 0.9)
    assert (low == 1).all()
    assert (high == np.inf).all()
    assert (found.band(1 / 3, 0.5)[0] == 2).all()


def test_an_automatic_span_and_its_multiple(quadratic):
    wide, narrow = (line(quadratic.objective, span="auto", multiple=m, points=3).a[-1] for m in (100.0, 10.0))
    assert wide > narrow > 0


def test_a_line_comes_back_from_its_file(classifier, tmp_path):
    found = line(classifier, points=3, include=("bias", "norm"), normalization="layer")
    found.save(tmp_path / "l.h5")
    again = load(tmp_path / "l.h5")
    assert isinstance(again, Line)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.origin["directions"]["include"] == ["bias", "norm"]
    assert found.class_accuracy.shape == (2, 3, 3)


def test_progress_counts_to_the_end(classifier):
    told = []
    line(classifier, points=5, draws=2, progress=lambda *now: told.append(now))
    assert told[0] == (0, 10)
    assert told[-1] == (10, 10)
    assert told == sorted(told)
