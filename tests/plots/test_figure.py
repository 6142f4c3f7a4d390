import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape.plots import draw, field, label, ours, save
from landscape.plots.classes import classes
from landscape.plots.figure import figure, heading
from landscape.plots.interactive import interactive
from landscape.plots.style import VENUES, style


def boxes(drawn):
    """Extents of all texts of a figure, and of the figure."""
    import matplotlib.text

    drawn.draw_without_rendering()
    shown = drawn.findobj(lambda a: isinstance(a, matplotlib.text.Text) and a.get_visible() and a.get_text())
    return {text: text.get_window_extent() for text in shown}, drawn.bbox


@pytest.mark.parametrize(
    ("venue", "trajectory"), [*((v, True) for v in (None, *VENUES)), (None, False), ("slides", False)]
)
def test_nothing_is_cut_or_covered(make_surface, venue, trajectory):
    drawn = figure(make_surface(trajectory=trajectory, draws=2), venue=venue)
    found, page = boxes(drawn)
    titles = [ax.title for ax in drawn.axes if ax.get_title()] + list(drawn.texts)
    outer = [box for text, box in found.items() if text in titles or text in [ax.xaxis.label for ax in drawn.axes]]
    assert len(outer) >= 7
    for box in outer:
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1
    for index, one in enumerate(titles):
        assert not any(found[one].overlaps(found[other]) for other in titles[index + 1 :]), one


def test_losses_share_one_scale_and_the_page_has_its_width(make_surface):
    drawn = figure(make_surface(), venue="neurips")
    assert drawn.get_figwidth() == 5.5
    assert [ax.get_title() for ax in drawn.axes[:3]] == ["train loss", "test loss", "test accuracy"]
    train, test = (next(c for c in ax.collections if c.get_array() is not None) for ax in drawn.axes[:2])
    np.testing.assert_array_equal(train.levels, test.levels)


@pytest.mark.parametrize(
    "knobs", [{"view": "3d"}, {"quantity": "accuracy", "view": "heat"}, {"split": "test"}, {"title": ""}]
)
def test_one_panel_on_request(make_surface, knobs):
    figure(make_surface(), **knobs).draw_without_rendering()


def test_classes_on_request(make_line, make_surface):
    drawn = figure(make_surface(), classes=True, quantity="accuracy", title="by class")
    assert "by class" in [text.get_text() for text in drawn.texts]
    figure(make_line(), classes=True, split="test").draw_without_rendering()
    with pytest.raises(ValueError, match="Expected quantity, split, log or clip for classes, got 'view'"):
        figure(make_surface(), classes=True, view="3d")


def test_knobs_that_a_plot_does_not_have_are_named(make_line):
    with pytest.raises(ValueError, match="Expected a knob of the plot of a Line, one of quantity, .*got 'view'"):
        figure(make_line(), view="3d")


def test_a_line_and_a_surface_without_accuracy_are_figures(make_line, make_surface):
    figure(make_line(), venue="icml").draw_without_rendering()
    figure(make_surface(splits=("train",), accuracy=None, accuracy_error=None)).draw_without_rendering()


def test_the_heading_says_what_it_knows(make_surface, make_line):
    assert heading(make_line(origin={"directions": {"kind": "between"}})).startswith("line through checkpoints · 9")
    words = heading(make_surface()).replace("\u00a0", " ")
    assert words == "lenet on digits\nrandom directions · filter-normalized · seed 0 · 9 × 6 points"
    assert heading(make_surface(origin={})).replace("\u00a0", " ") == "9 × 6 points"
    assert heading(make_surface(origin={"model": "a.py:f", "directions": None})).startswith("a.py:f\n")
    own = {"model": {"name": "/home/me/nets.py:build"}, "data": {"name": "/data/points.npz"}}
    assert heading(make_surface(origin=own)).startswith("nets.py:build on points.npz\n")


def test_an_unknown_venue_is_refused():
    with pytest.raises(ValueError, match="Expected a venue, one of neurips"), style("nature"):
        pass


@pytest.mark.parametrize("quantity", ["class_loss", "class_accuracy"])
def test_classes_share_a_scale(make_surface, make_line, quantity):
    drawn = classes(make_surface(classes=10), quantity, "test")
    panels = [ax for ax in drawn.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == [f"class {k}" for k in range(10)]
    norms = {(ax.collections[0].norm.vmin, ax.collections[0].norm.vmax) for ax in panels}
    assert len(norms) == 1
    drawn.draw_without_rendering()
    lines = classes(make_line(), quantity)
    assert len({ax.get_ylim() for ax in lines.axes}) == 1
    lines.draw_without_rendering()


def test_a_hundred_classes_fit_a_page(make_surface, tmp_path):
    drawn = classes(make_surface((5, 4), classes=100, splits=("train",)))
    assert sum(bool(ax.get_title()) for ax in drawn.axes) == 100
    drawn.draw_without_rendering()


def test_classes_need_classes(make_surface):
    with pytest.raises(ValueError, match="Expected a result with `class_loss`"):
        classes(make_surface(class_loss=None))
    with pytest.raises(ValueError, match="Expected a quantity, one of class_loss"):
        classes(make_surface(), "loss")


def test_pdf_embeds_its_fonts_stays_small_and_is_the_same_every_time(make_surface, tmp_path):
    surface = make_surface((51, 51), trajectory=True)
    for name in ("one.pdf", "two.pdf"):
        save(figure(surface), tmp_path / name)
    data = (tmp_path / "one.pdf").read_bytes()
    assert data == (tmp_path / "two.pdf").read_bytes()
    assert b"/FontFile2" in data  # a TrueType program
    assert b"/Type3" not in data
    assert b"CreationDate" not in data
    assert len(data) < 300_000


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_suffix_chooses_the_format(make_line, tmp_path, suffix, magic):
    for name in ("one", "two"):
        save(draw(make_line()).figure, tmp_path / f"{name}.{suffix}")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
    assert first.startswith(magic)
    assert first == second


def test_an_unknown_suffix_writes_nothing(make_line, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name ending in .pdf, .png, .svg, got '.bmp'"):
        save(draw(make_line()).figure, tmp_path / "x.bmp")
    assert not list(tmp_path.iterdir())


def test_labels_carry_units():
    assert label({"meaning": "mean loss", "unit": "nat"}) == "mean loss [nat]"
    assert label({"meaning": "accuracy", "unit": ""}) == "accuracy"


def test_an_error_of_regression_is_not_in_nats(make_surface):
    assert field.unit(make_surface(origin={"loss": "cross_entropy"}), "loss") == "[nat]"
    assert field.unit(make_surface(origin={"loss": "mse"}), "loss") == ""


def test_dollars_in_names_are_dollars(make_surface):
    names = ["$5 or $6", "$", "a_$b$"]
    result = make_surface(class_=names, origin={"model": {"name": "net$1$"}, "data": {"name": "cost $"}})
    for drawn in (figure(result), figure(result, classes=True)):
        drawn.canvas.draw()
        plt.close(drawn)


def test_a_figure_of_ours_is_known_by_its_mark(make_surface, tmp_path):
    drawn = figure(make_surface())
    for suffix in ("pdf", "png", "svg"):
        save(drawn, tmp_path / f"x.{suffix}")
        assert ours(tmp_path / f"x.{suffix}")
    plt.close(drawn)
    interactive(make_surface(), tmp_path / "x.html")
    assert ours(tmp_path / "x.html")
    (tmp_path / "other.pdf").write_bytes(b"%PDF-1.4 landscape")
    assert not ours(tmp_path / "other.pdf")
