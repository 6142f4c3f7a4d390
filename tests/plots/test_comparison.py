"""Comparisons: one scale for all surfaces, tables in four formats that say the same, a page with a slider."""

import csv as reader
import io
import json
import re
from itertools import product

import matplotlib.text
import numpy as np
import pytest

from landscape.comparison.comparison import Comparison
from landscape.plots import draw, tables
from landscape.plots.blocks import blocks
from landscape.plots.certain import certain, plain
from landscape.plots.export import csv, latex, markdown, table
from landscape.plots.figure import figure
from landscape.plots.interactive import interactive
from landscape.plots.style import VENUES
from landscape.result import Collection

MEASURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "lambda_max", "lambda_min", "trace")
SIDES = {"accuracy": "higher", "loss": "lower", "max": "lower", "trace": "lower"}
ODD = ("sgd", "a_b & 50%", "#1 $x", "[star]*")


@pytest.fixture
def make(make_surface):
    """Make comparisons with surfaces of some cells; values are such that some are clearly the best."""

    def made(networks=("sgd", "sam"), widths=(32, 4, 2), measures=MEASURES, surfaces=True, grid=(7, 6), **more):
        rows = list(product(networks, widths))
        random = np.random.default_rng(3)
        value = np.exp(random.normal(size=(len(rows), len(measures))))
        error = 0.1 * value
        for j, name in enumerate(measures):
            if name.endswith("accuracy"):
                value[:, j], error[:, j] = 1 / (1 + value[:, j]), 0.01
        apart = np.hypot(error[:, None], error[None])
        members = {}
        for k, (name, bits) in enumerate(rows if surfaces else []):
            one = make_surface(grid)
            members[f"{name}/w{bits}/surface"] = make_surface(grid, loss=one.loss * (1 + k), origin=one.origin | {
                "splits": {"train": {"examples": 100}, "test": {"examples": 30}}, "loss": "cross_entropy"})  # fmt: skip
        arrays = {
            "network": [name for name, _ in rows], "bits": [float(bits) for _, bits in rows], "measure": measures,
            "unit": ["" if name.endswith("accuracy") else "nat" for name in measures],
            "better": [next((s for end, s in SIDES.items() if name.endswith(end)), "") for name in measures],
            "value": value, "error": error, "apart": apart, "members": members,
        }  # fmt: skip
        return Comparison(**(arrays | more))

    return made


def panels(drawn):
    return [ax for ax in drawn.axes if any(hasattr(c, "levels") for c in ax.collections)]


def filled(ax):
    return next(c for c in ax.collections if c.get_array() is not None)


def test_all_surfaces_share_levels_and_colours(make):
    result = make()
    drawn = figure(result, view="surfaces")
    found = [filled(ax) for ax in panels(drawn)]
    assert len(found) == 6
    assert len(drawn.axes) == 7  # and one colour bar
    highest = max(one.loss[0].max() for one in result.members.values())
    for one in found:
        np.testing.assert_array_equal(one.levels, found[0].levels)
        assert (one.norm.vmin, one.norm.vmax) == (found[0].norm.vmin, found[0].norm.vmax)
    assert found[0].levels[-1] >= highest
    texts = [text.get_text() for ax in panels(drawn) for text in ax.texts if text.get_text()]
    names = ["full precision", "4 bits", "2 bits", "sgd", "sam", "first direction", "second direction"]
    assert sorted(texts) == sorted(names)


def test_every_panel_tells_loss_and_accuracy_of_its_network(make):
    result = make()
    for k, ax in enumerate(panels(figure(result, view="surfaces", split="test"))):
        loss, accuracy = ax.get_title().splitlines()
        assert loss == f"{plain(certain(result.value[k, 2], result.error[k, 2]))} nat"
        assert accuracy == f"{plain(certain(100 * result.value[k, 3], 100 * result.error[k, 3]))} %"


def test_without_a_measured_loss_the_center_of_the_grid_is_told(make):
    result = make(measures=("trace",))
    assert panels(figure(result, view="surfaces"))[0].get_title().startswith("\N{EN DASH}")  # no point at the center
    result = make(measures=("trace",), grid=(7, 7))
    first = result.members["sgd/w32/surface"]
    center = (0, *first.center)
    title = panels(figure(result, view="surfaces"))[0].get_title()
    assert title.startswith(plain(certain(first.loss[center], first.loss_error[center])))


def test_measures_are_drawn_with_their_errors(make):
    result = make(surfaces=False)
    drawn = figure(result)
    assert [ax.get_title() for ax in drawn.axes][:2] == ["test accuracy [%]", "test loss [nat]"]
    ax = drawn.axes[1]
    for container, name in zip(ax.containers, ("sgd", "sam"), strict=True):
        rows = [i for i, one in enumerate(result.network) if one == name]
        line, _, (bars,) = container
        np.testing.assert_allclose(line.get_ydata(), result.value[rows, 2])
        spans = [abs(np.diff(segment[:, 1])[0]) for segment in bars.get_segments()]
        np.testing.assert_allclose(spans, 2 * result.error[rows, 2])
    looks = {(line.get_color(), line.get_marker()) for line, *_ in ax.containers}
    assert len({color for color, _ in looks}) == len({marker for _, marker in looks}) == 2


def test_one_pair_of_axes_shows_any_measure(make):
    result = make()
    ax = draw(result, measure="lambda_max")
    assert ax.get_title() == r"$\lambda_{\max}$ [nat]"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["full", "4", "2"]
    with pytest.raises(ValueError, match="Expected a measure, one of test_accuracy, .*, got 'sharpness'"):
        draw(result, measure="sharpness")


def test_at_one_width_networks_stand_side_by_side(make):
    result = make(networks=("sgd", "sam", "swa"), widths=(32,))
    ax = draw(result, measure="trace")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["sgd", "sam", "swa"]
    named = [ax.texts[0].get_text() for ax in panels(figure(result, view="surfaces"))]
    assert named == ["sgd", "sam", "swa"]


def test_what_was_not_measured_stays_empty(make):
    result = make()
    value, members = result.value.copy(), dict(result.members)
    value[1], value[:, 4] = np.nan, np.nan
    del members["sam/w2/surface"]
    lost = members["sgd/w4/surface"]
    members["sgd/w4/surface"] = type(lost)(**{
        name: getattr(lost, name) for name in lost.quantities()
    } | {"loss": np.full_like(lost.loss, np.nan), "origin": lost.origin})  # fmt: skip
    result = make(value=value, members=members)
    drawn = figure(result)
    words = [text.get_text() for text in drawn.findobj(matplotlib.text.Text)]
    assert "not measured" in words
    assert "hatched: not finite" in words
    assert all(np.isfinite(filled(ax).levels).all() for ax in panels(drawn))
    with pytest.raises(ValueError, match="Expected a measure"):
        draw(result, measure="lambda_max")


@pytest.mark.parametrize(("venue", "networks", "widths"), [
    *((venue, 2, 3) for venue in VENUES), *((venue, 6, 1) for venue in VENUES), ("neurips", 6, 5), ("icml", 6, 5),
    ("neurips", 1, 5), ("slides", 1, 5), ("icml", 1, 1), ("slides", 1, 1),
])  # fmt: skip
def test_every_text_fits_its_page(make, venue, networks, widths):
    result = make([f"network {k}" for k in range(networks)], (32, 8, 4, 3, 2)[:widths], grid=(3, 4))
    drawn = figure(result, venue=venue)
    drawn.draw_without_rendering()
    page = VENUES[venue]
    assert drawn.get_figwidth() <= page.whole + 1e-9
    boxes = [ax.get_tightbbox() for ax in drawn.axes] + [one.get_window_extent() for one in drawn.texts + drawn.legends]
    for box in boxes:
        assert drawn.bbox.x0 - 2 <= box.x0
        assert box.x1 <= drawn.bbox.x1 + 2
        assert drawn.bbox.y0 - 2 <= box.y0
        assert box.y1 <= drawn.bbox.y1 + 2
    titles = [ax.title.get_window_extent() for ax in panels(drawn)]
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
    for ax in panels(drawn):
        width, height = ax.get_window_extent().size
        assert width == pytest.approx(height)


def test_views_that_there_are_not(make):
    with pytest.raises(ValueError, match="Expected a view, one of surfaces, measures, both, contour, heat, got '3d'"):
        figure(make(), view="3d")
    with pytest.raises(ValueError, match="Expected surfaces to draw"):
        figure(make(surfaces=False), view="surfaces")


def number(words):
    """Read a number back: value and error; NaN where none is written."""
    for sign, letter in (("−", "-"), (r"\pm", "±"), (r"\times 10^", "×"), ("×10", "×")):
        words = words.replace(sign, letter)
    words = words.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    found = re.search(r"\(?(-?[\d.]+)(?: *± *([\d.]+))?\)?(?: *×\{?(-?\d+)\}?)?", words)
    if found is None:
        return np.nan, np.nan
    value, error, power = found.groups()
    factor = 10.0 ** int(power or 0)
    return float(value) * factor, float(error) * factor if error else np.nan


def holds(words, value, error):
    """Say whether a written number is a value with its error, both within what rounding to its digits takes away."""
    found, sure = number(words)
    if np.isnan(value):
        return np.isnan(found)
    last = error if error > 1e-4 * abs(value) else 1e-2 * abs(value)
    known = np.isnan(sure) if error <= 1e-4 * abs(value) else abs(sure - error) <= 0.05 * error
    return bool(abs(found - value) <= 0.1 * last and known)


def lines_of(words, cut, end):
    """Return the cells of the rows that begin with a network, in the order of the file."""
    rows = [line for line in words.splitlines() if any(line.lstrip("| {}").startswith(n) for n in cut)]
    bare = [line.strip().strip("|").removesuffix(end) for line in rows]
    return [[cell.strip() for cell in line.split(" & " if end else "|")] for line in bare]


@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_numbers_come_back_and_the_best_is_bold(make, form):
    result = make(measures=MEASURES[:6])
    words = getattr(tables, form)(result)
    end = r" \\" if form == "latex" else ""
    bold = r"\mathbf" if form == "latex" else "**"
    rows = lines_of(words, ("sgd", "sam"), end)
    order = [i for bits in (32, 4, 2) for i in range(6) if result.bits[i] == bits]
    assert len(rows) == 6
    assert result.best.any()
    for i, row in zip(order, rows, strict=True):
        assert row[0] == result.network[i]
        for j, cell in enumerate(row[-6:]):
            factor = 100.0 if MEASURES[j].endswith("accuracy") else 1.0
            assert holds(cell, factor * result.value[i, j], factor * result.error[i, j])
            assert (bold in cell) == result.best[i, j]


def test_a_table_of_values_gives_the_same_floats_back(make, tmp_path):
    value = make().value.copy()
    value[0, 0] = np.nan
    result = make(ODD[:2], value=value)
    csv(result, tmp_path / "t.csv")
    rows = list(reader.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert [row["network"] for row in rows] == result.network.tolist()
    for i, row in enumerate(rows):
        assert row["train_loss [nat]"] == ("" if i == 0 else repr(float(value[i, 0])))
        assert float(row["test_accuracy"]) == value[i, 3]
        assert float(row["trace error [nat]"]) == result.error[i, 6]
        assert bool(int(row["test_loss best"])) == result.best[i, 2]
    assert "lambda_min best" not in rows[0]


def test_names_are_escaped(make, tmp_path):
    result = make(ODD, (32, 4), measures=(*MEASURES[:3], "train_barrier_to_a_b & 50%"))
    latex(result, tmp_path / "t.tex")
    words = (tmp_path / "t.tex").read_text()
    for name in (r"a\_b \& 50\%", r"\#1 \$x", "{}[star]*", r"\\{}[nat]}"):
        assert name in words
    body = re.sub(r"\\.", "", "\n".join(line for line in words.splitlines() if line.startswith(ODD[0])))
    assert not re.search(r"[%#]", body)
    markdown(result, tmp_path / "t.md")
    words = (tmp_path / "t.md").read_text()
    assert r"a\_b &amp; 50%" in words
    assert r"\[star\]\*" in words


def test_unknown_errors_missing_values_and_units_are_told(make):
    value, error = make().value.copy(), make().error.copy()
    value[0, 0], error[1, 1], error[:, 6] = np.nan, np.nan, 0
    result = make(value=value, error=error)
    words = tables.text(result)
    assert words.count("†") == 2  # the number, and the note
    assert "–: not measured." in words
    assert "test accuracy [%]" in words
    assert "λ_max [nat]" in words
    assert "30 test" in words
    assert "100 train" in words
    caption = re.search(r"\\caption\{(.*)\}", tables.latex(result))
    assert caption
    assert "two standard errors of the difference" in caption[1]
    assert r"$\lambda_{\min}$ is not marked" in caption[1]
    alone = make(("sgd",), (32,), surfaces=False)
    assert "Bold" not in tables.latex(alone)


@pytest.mark.parametrize("networks", [1, 2, 5])
@pytest.mark.parametrize("widths", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 6, 7, 20])
def test_tables_carry_every_number_once_and_fit_a_page(make, networks, widths, count):
    names = [f"measure {k}" for k in range(count)]
    result = make([f"n{k}" for k in range(networks)], (32, 8, 4, 3, 2)[:widths], names, surfaces=False)
    found = blocks(result)
    assert sum(len(block.cells) for block in found) == result.value.size
    assert all(len(block.head) <= 6 for block in found)
    written = tables.latex(result)
    assert written.count(r"\begin{tabular}") == len(found) == written.count(r"\end{tabular}")
    rows = [line for line in written.splitlines() if line.endswith(r" \\")]
    assert all(len(re.findall(r"(?<!\\)&", row)) in {len(block.head) for block in found} | {0, widths} for row in rows)


def test_a_comparison_of_nothing_has_no_table(make):
    empty = make(surfaces=False, value=np.full((6, 7), np.nan))
    with pytest.raises(ValueError, match="Expected a comparison with something measured"):
        tables.latex(empty)


def test_other_results_have_no_table_in_markdown(make_surface, tmp_path):
    with pytest.raises(ValueError, match="expected a result with a table in Markdown, got a Surface"):
        markdown(make_surface(), tmp_path / "t.md")


def test_a_collection_lists_its_members(make_surface):
    words = table(Collection(members={"sgd/w4/surface": make_surface(), "b": make_surface(splits=("test",))}))
    assert words.splitlines()[0] == "Collection of 2 results"
    assert re.search(r"^sgd/w4/surface  Surface  train_rise \d", words, re.MULTILINE)
    assert table(Collection()) == "Collection of 0 results"


def test_a_page_has_a_slider_over_widths(make, tmp_path):
    result = make(("sgd", "a<b"))
    page = interactive(result, tmp_path / "c.html")
    assert [step.label for step in page.layout.sliders[0].steps] == ["full precision", "4 bits", "2 bits"]
    assert len({(trace.cmin, trace.cmax) for trace in page.data if trace.visible}) == 1
    assert [note.text for note in page.layout.annotations] == ["sgd", "a&lt;b"]
    for frame, bits in zip(page.frames, (32, 4, 2), strict=True):
        assert len(frame.data) == len(page.data)
        for trace, network in zip(frame.data, ("sgd", "a<b"), strict=False):
            np.testing.assert_allclose(trace.z, result.members[f"{network}/w{bits}/surface"].loss[0].T, rtol=1e-6)
    buttons = page.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["train loss", "test loss", "train accuracy", "test accuracy"]
    for button in buttons:
        assert sum(button.args[0]["visible"]) == 2
        assert json.dumps(button.args[1])


def test_a_page_without_surfaces_shows_measures(make):
    result = make(surfaces=False)
    page = interactive(result)
    assert [trace.visible for trace in page.data][:3] == [True, True, False]
    np.testing.assert_allclose(page.data[0].y, 100 * result.value[:3, 3], rtol=1e-6)
    np.testing.assert_allclose(page.data[0].error_y.array, 100 * result.error[:3, 3], rtol=1e-6)
    with pytest.raises(ValueError, match="Expected one comparison, got 2"):
        interactive({"a": result, "b": result})
