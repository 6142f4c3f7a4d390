import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.style import BLUE, ORANGE
from landscape.probes.eigen import Eigen


@pytest.fixture
def make_eigen():
    def make(largest=(91.0, 40.0, 8.0), smallest=(-0.2, -0.4), residual=0.01, converged=True, **changes):
        value = np.array([*largest, *smallest])
        arrays = {
            "end": ["largest"] * len(largest) + ["smallest"] * len(smallest), "value": value,
            "residual": np.full(len(value), residual), "converged": np.full(len(value), converged),
            "participation": np.ones(len(value)), "gradient_share": np.linspace(0, 1, len(value)),
            "gradient_norm": 1.0, "dimension": 269_722,
        }  # fmt: skip
        return Eigen(**(arrays | changes))

    return make


def bars(ax):
    return [patch for patch in ax.patches if patch.get_height()]


def test_bars_are_eigenvalues_with_residuals_and_colours_of_their_sign(make_eigen):
    from matplotlib.colors import to_hex

    result = make_eigen()
    ax = draw(result)
    assert [bar.get_height() for bar in bars(ax)] == result.value.tolist()
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars(ax)] == [BLUE] * 3 + [ORANGE] * 2
    segments = np.array(ax.collections[0].get_segments())[:, :, 1]
    np.testing.assert_allclose(segments, np.stack([result.value - 0.01, result.value + 0.01], 1))
    assert ax.get_ylabel() == "eigenvalue of the Hessian [nat]"
    assert ax.get_xlabel() == "rank of the eigenvalue, D = 269,722"


def test_moduli_far_apart_are_told_apart(make_eigen):
    assert draw(make_eigen()).get_yscale() == "symlog"
    assert draw(make_eigen(), log=False).get_yscale() == "linear"
    assert draw(make_eigen(smallest=(-5.0,))).get_yscale() == "linear"


def test_ranks_count_from_both_ends(make_eigen):
    labels = [text.get_text() for text in draw(make_eigen()).get_xticklabels()]
    assert labels == ["1", "2", "3", "D\N{MINUS SIGN}1", "D"]
    many = draw(make_eigen(largest=np.linspace(100, 1, 40), smallest=()))
    assert len(many.get_xticklabels()) <= 15


def test_what_has_not_converged_is_hatched(make_eigen):
    good = np.array([True, True, False, True, False])
    ax = draw(make_eigen(converged=good))
    assert [bool(bar.get_hatch()) for bar in bars(ax)] == (~good).tolist()


@pytest.mark.parametrize("change", [{"largest": ()}, {"smallest": ()}, {"largest": (0.0, 0.0), "smallest": (0.0,)}])
def test_every_result_draws(make_eigen, change):
    draw(make_eigen(**change)).figure.draw_without_rendering()
