import numpy as np
import pytest

from landscape.plots import draw
from landscape.probes.batchsize import Batchsize, _lines, _theory


@pytest.fixture
def made():
    random, size = np.random.default_rng(0), np.array([8, 32, 128])
    noise = 1 / size - 1 / 500
    values = 2 + 30 * noise + random.standard_normal((10, 3)) * noise
    return Batchsize(
        size=size, noise=noise, batch=np.arange(10), whole_size=500, whole=2.0, whole_residual=0.0,
        batch_lambda_max=values, batch_lambda_max_residual=0 * values, batch_lambda_max_converged=values > 0,
        **_lines(noise, values, 2.0), **_theory(noise, 2.0, np.full(10, 50.0), np.linspace(1, 2, 10)),
        origin={"dropped": [512]},
    )  # fmt: skip


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_points_bars_and_line_are_those_of_the_result(made, scale):
    ax = draw(made, scale=scale)
    points, _, (bars,) = ax.containers[0]
    np.testing.assert_allclose(points.get_ydata(), made.lambda_max)
    heights = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, 4 * made.lambda_max_error)
    (name,) = (name for name in labelled(ax) if name.startswith("line"))
    x, y = labelled(ax)[name].get_data()
    np.testing.assert_allclose(y, 2 + made.slope[0] * x)
    assert "R^2" in name
    ax.figure.draw_without_rendering()


def test_theory_is_drawn_where_the_result_has_it(made):
    shown = labelled(draw(made))
    x, y = shown["second-order perturbation"].get_data()
    np.testing.assert_allclose(y, 2 + 25 * x)
    x, y = shown["random matrix"].get_data()
    np.testing.assert_allclose(np.interp(made.noise, x, y), made.random_matrix, rtol=1e-3)
    assert "random matrix" not in labelled(draw(made, theory=False))


def test_the_upper_side_names_batch_sizes_at_their_noise(made):
    ax = draw(made, scale="log")
    ax.figure.draw_without_rendering()
    (upper,) = ax.child_axes
    assert [text.get_text() for text in upper.get_xticklabels()] == ["8", "32", "128"]
    np.testing.assert_allclose(upper.get_xticks(), made.noise)


def test_sizes_left_out_are_named(made):
    assert "left out, as there are 500 examples: B = 512" in draw(made).get_xlabel()


def test_every_batch_is_a_dot_on_request(made):
    few, many = draw(made), draw(made, batches=True)
    assert len(many.lines) == len(few.lines) + 10


def test_unknown_scales_are_refused(made):
    with pytest.raises(ValueError, match="one of linear, log"):
        draw(made, scale="sqrt")
