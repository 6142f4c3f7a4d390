"""Studies as forest plots, tables and pages."""

import csv as reader
import json
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from landscape.plots import draw
from landscape.plots.export import csv, latex
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.study import _around_one, label, shown
from landscape.plots.style import BLUE, GRAY, ORANGE
from landscape.plots.summary import summary
from landscape.study import Study
from landscape.study.comparison import compared

MEASURES = {"test_loss": 1e-3, "test_accuracy": 0.9, "eigen.lambda_max": 20.0}
METHODS = ("plain", "sam:rho=0.1", "odd$_m&", "swa")


def made(measures=MEASURES, methods=METHODS, seeds=6):
    """SAM is lower by a factor of two, the third method the same but for noise, SWA higher; one run diverged."""
    random = np.random.default_rng(1)
    factors = dict(zip(methods, (1.0, 0.5, 1.0, 1.5), strict=False))

    def record(method, seed):
        if (method, seed) == ("swa", 2):
            return {"values": {}, "epochs": 3, "gradient_evaluations": None}
        values = {name: (size * factors[method] * (1 + 0.05 * random.standard_normal()), 0.0)
                  for name, size in measures.items()}  # fmt: skip
        return {"values": values, "epochs": 3, "gradient_evaluations": 30.0}

    records = [[record(method, seed) for seed in range(seeds)] for method in methods]
    origin = {"model": {"name": "mlp"}, "data": {"name": "digits"}, "diverged": {"swa, seed 2": "a loss of nan"}}
    return Study(**compared(methods, range(seeds), records), origin=origin)


def marks(ax):
    """Return place, value and colour of the means."""
    lines = [line for line in ax.lines if line.get_marker() in "<>o" and len(line.get_xdata()) == 1]
    return [(line.get_ydata()[0], line.get_xdata()[0], to_hex(line.get_color()).upper()) for line in lines]


def test_a_panel_for_every_measure_and_a_row_for_every_method():
    result = made()
    drawn = figure(result)
    assert [ax.get_title() for ax in drawn.axes] == list(MEASURES)
    for k, ax in enumerate(drawn.axes):
        assert len(ax.get_yticks()) == 3
        expected = shown(result, k)["mean"][1:]
        assert [(row, value) for row, value, _ in marks(ax)] == list(enumerate(expected))
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first method is on top
    ratio = drawn.axes[2]
    assert ratio.get_xscale() == "log"
    assert [color for *_, color in marks(ratio)] == [BLUE, GRAY, ORANGE]
    assert ratio.lines[0].get_xdata()[0] == 1
    assert marks(ratio)[0][1] == pytest.approx(0.5, rel=0.1)


def test_labels_say_scale_and_unit():
    drawn = figure(made())
    drawn.canvas.draw()
    loss, accuracy, ratio = (ax.get_xlabel() for ax in drawn.axes)
    assert re.fullmatch(r"difference to plain \[\$10\^\{-[34]\}\$ nat\]", loss)
    assert accuracy == "difference to plain [% points]"
    assert ratio == "ratio to plain"
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == list(METHODS[1:])
    assert [text.get_text() for text in drawn.axes[1].get_yticklabels()] == [""] * 3


def test_single_seeds_are_dots_and_what_diverged_has_none():
    ax = draw(made(), measure="eigen.lambda_max")
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [6, 6, 5]
    assert len(ax.figure.axes) == 1
    plt.close("all")


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_no_interval_hides_a_seed(seeds):
    _, ax = plt.subplots()
    draw(made(seeds=seeds), ax, measure="test_loss")
    faint = [y for line in ax.lines if line.get_alpha() for y in line.get_ydata()]
    assert len(faint) == 3 * seeds - (seeds > 2)
    assert all(0.1 < y - np.floor(y) < 0.5 for y in faint)
    plt.close("all")


def test_ratios_have_no_unit_whatever_they_are_of():
    records = [[{"values": {"test_loss": (0.5 + s + m, 0.0)}, "epochs": 1, "gradient_evaluations": 1.0}
                for s in range(3)] for m in range(2)]  # fmt: skip
    result = Study(**compared(["a", "b"], range(3), records, scales={"test_loss": "log"}), origin={})
    assert label(shown(result, 0)) == "ratio to a"


def test_a_study_in_which_everything_diverged_is_not_drawn():
    records = [[{"values": {}, "epochs": 1, "gradient_evaluations": None}] * 2] * 2
    with pytest.raises(ValueError, match="something to compare, got one without measures: all runs diverged"):
        figure(Study(**compared(["a", "b"], range(2), records), origin={}))


def test_what_cannot_be_drawn_is_said():
    result = made()
    with pytest.raises(ValueError, match=r"measure among test_loss.*got lambda"):
        draw(result, measure="lambda")
    with pytest.raises(ValueError, match="two methods, got .* and 1"):
        draw(made(methods=("plain",)))
    alone = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ValueError, match="a subplot for 3 measures"):
        draw(result, alone)
    assert draw(result, alone, measure="test_loss") is alone
    plt.close("all")


def test_a_study_of_two_seeds_and_nothing_sure_is_drawn():
    result = made(seeds=2)
    unknown = np.full(result.p.shape, np.nan)
    drawn = figure(replace(result, p_holm=unknown, low=unknown, high=unknown))
    drawn.canvas.draw()
    assert {color for ax in drawn.axes for *_, color in marks(ax)} == {GRAY}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.983, 1.014, [0.99, 1, 1.01]),
        (0.7, 1.3, [0.8, 1, 1.2]),
        (0.6, 1.7, [1, 1.5]),
        (0.9, 1, [0.9, 0.95, 1]),
        (0.994, 1.0003, [0.994, 1]),  # labels of many digits: fewer of them
        (0.99976, 1.0005, [0.9998, 1, 1.0004]),
        (1.2, 1.3, [1.2, 1.25, 1.3]),
    ],
)
def test_ticks_of_ratios_are_round_and_have_one_among_them(low, high, ticks):
    assert _around_one(low, high) == pytest.approx(ticks)


def test_latex_has_the_rows_of_the_table(tmp_path):
    result = made()
    latex(result, tmp_path / "s.tex")
    text = (tmp_path / "s.tex").read_text()
    assert text.count(r"\\") == 1 + 9
    assert text.count(r"\midrule") == 3
    assert r"test\_loss & sam:rho=0.1" in text
    assert r"odd\$\_m\& &" in text
    row = next(r for r in result.table() if r["measure"] == "eigen.lambda_max")
    assert rf"$\mathbf{{\times {row['change']:.3g}}}$ & [${row['change_low']:.3g}$, ${row['change_high']:.3g}$]" in text
    assert "nan" not in text
    assert not re.search(r"(?<!\\)[_&](?=\w)", text.replace(r"p_\mathrm", ""))


def test_latex_needs_a_kind_that_has_it(make_line, tmp_path):
    with pytest.raises(ValueError, match="table in LaTeX, got a Line: export it as CSV"):
        latex(make_line(), tmp_path / "s.tex")
    assert not list(tmp_path.iterdir())


def test_csv_has_comparisons_and_single_seeds(tmp_path):
    result = made()
    csv(result, tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(reader.DictReader(file))
    assert len(rows) == 4 * 3 * (1 + 6)
    compared = [row for row in rows if not row["seed"]]
    np.testing.assert_array_equal([float(row["p_holm"]) for row in compared], result.p_holm.ravel())
    single = [float(row["value"]) for row in rows if row["method"] == "swa" and row["seed"] == "1"]
    np.testing.assert_array_equal(single, result.value[3, :, 1])
    assert {row["measure"]: row["scale"] for row in rows} == dict(zip(result.measure, result.scale, strict=True))


def test_a_summary_says_every_comparison():
    words = summary(made())
    assert "baseline plain, 6 paired seeds" in words
    assert re.search(r"eigen.lambda_max, sam:rho=0.1: x 0\.\d+ \(0\.\d+ to 0\.\d+\), Holm p \S+, 6 of 6: lower", words)
    assert "diverged: swa, seed 2: a loss of nan" in words
    assert "swa: as few as 5 of 6 pairs; the others are left out" in words


def test_a_page_chooses_the_measure(tmp_path):
    drawn = interactive(made(), tmp_path / "page.html")
    (pick,) = drawn.layout.updatemenus
    assert [button.label for button in pick.buttons] == list(MEASURES)
    assert sum(trace.visible for trace in drawn.data) == 2
    assert pick.buttons[2].args[1]["xaxis.type"] == "log"
    assert json.loads(drawn.to_json())["layout"]["xaxis"]["title"]["text"].startswith("test_loss: difference to plain")
    assert interactive([made(), made(seeds=3)]).data[-1].name


def test_single_seeds_of_a_page_hide_no_interval():
    drawn = interactive(made())
    seeds, means = drawn.data[:2]
    assert set(means.y) == {0, 1, 2}
    assert list(drawn.layout.yaxis.ticktext) == list(METHODS[1:])
    assert min(abs(y - at) for y in seeds.y for at in means.y) > 0.1
