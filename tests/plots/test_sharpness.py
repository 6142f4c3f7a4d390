import numpy as np
import pytest

from landscape.plots import draw
from landscape.plots.export import csv
from landscape.plots.figure import figure
from landscape.plots.sharpness import latex
from landscape.probes.sharpness import Sharpness

ROWS = [
    ("lambda_max", "", 91.05, 0.002, "residual", "nat"),
    ("sam", "rho=0.05 m=all", 0.31, 0.0, "exact", "nat"),
    ("sam", "rho=0.05 m=32", 0.42, 0.02, "standard error", "nat"),
    ("epsilon_sharpness", "epsilon=0.001", 3.21, np.nan, "lower bound", "%"),
    ("random_mean", "radius=0.1 draws=40", -0.004, 0.003, "standard error", "nat"),
]


@pytest.fixture
def make_sharpness():
    def make(rows=ROWS):
        measure, setting, value, error, kind, unit = zip(*rows, strict=True)
        return Sharpness(
            measure=measure, setting=setting, value=value, error=error, error_kind=kind, unit=unit,
            definition=["a definition"] * len(rows), paper=["Foret & others 2021, arXiv:2010.01412"] * len(rows),
        )  # fmt: skip

    return make


def dots(ax):
    return {drawn.get_label(): np.asarray(drawn.get_offsets()) for drawn in ax.collections if drawn.get_offsets().size}


def test_a_dot_for_every_row_by_kind(make_sharpness):
    ax = draw(make_sharpness())
    drawn = {name: points.tolist() for name, points in dots(ax).items() if not name.startswith("_")}
    assert drawn == {
        "value and its error": [[91.05, 0], [0.31, 1], [0.42, 2]],
        "largest value found": [[3.21, 3]],
        "negative value": [[0.004, 4]],
    }
    assert ax.get_xscale() == "log"
    low, high = ax.get_ylim()
    assert low > high  # the first row is at the top


def test_labels_and_values_beside_the_rows(make_sharpness):
    ax = draw(make_sharpness())
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[1:3] == [r"SAM, $\rho=0.05$, $m=\mathrm{all}$", r"SAM, $\rho=0.05$, $m=32$"]
    (side,) = ax.child_axes
    values = [text.get_text() for text in side.get_yticklabels()]
    assert values == ["91.05", "0.31", "0.420 ± 0.020", "≥ 3.21 %", "−0.0040 ± 0.0030"]
    assert not draw(make_sharpness(), values=False).child_axes


def test_bars_are_errors_and_stop_above_zero(make_sharpness):
    ax = draw(make_sharpness())
    (bars,) = [c for c in ax.collections if hasattr(c, "get_segments")]
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends[1], [0.40, 0.44])
    assert (ends > 0).all()
    assert not [c for c in draw(make_sharpness(), errors=False).collections if hasattr(c, "get_segments")]


def test_the_figure_grows_with_its_rows(make_sharpness):
    short, tall = (figure(make_sharpness(ROWS * count)).get_figheight() for count in (1, 8))
    assert tall > 3 * short


@pytest.mark.parametrize("number", [0.0, np.nan, np.inf])
def test_what_has_no_logarithm_is_written(make_sharpness, number):
    rows = [*ROWS, ("trace", "", number, np.nan, "standard error", "nat")]
    ax = draw(make_sharpness(rows))
    ax.figure.draw_without_rendering()
    assert ax.child_axes[0].get_yticklabels()[-1].get_text() == f"{number:g}"
    draw(make_sharpness(rows[-1:])).figure.draw_without_rendering()


def test_latex(make_sharpness):
    lines = latex(make_sharpness()).splitlines()
    assert len(lines) == 4 + len(ROWS) + 2
    assert lines[6] == r"SAM, $\rho=0.05$, $m=32$ & 0.420 $\pm$ 0.020 & Foret \& others 2021, arXiv:2010.01412 \\"
    assert r"$\geq$ 3.21 \%" in lines[7]
    assert "$-$0.0040" in lines[8]
    assert all(line.count(" & ") == 2 for line in lines[4:-2])


def test_csv_has_a_row_for_each(make_sharpness, tmp_path):
    csv(make_sharpness(), tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert lines[0].startswith("measure,value,error,error_kind,unit,setting,definition,paper")
