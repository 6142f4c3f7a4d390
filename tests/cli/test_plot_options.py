"""Options of `landscape plot` that make a figure ready for a page: what they do, and what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from landscape.plots import latex
from landscape.probes.spectrum import Spectrum
from landscape.probes.surface import Surface

FILES = ("one.h5", "spectrum.h5")
SIZES = {"neurips": 5.5, "icml": 6.75, "cvpr": 6.875, "slides": 12.0}  # inches over several panels


def surface():
    a, b = np.linspace(-1, 1, 5), np.linspace(-1, 1, 7)
    loss = 0.1 + (a[:, None] ** 2 + 2 * b**2) * np.ones((2, 1, 1))
    return Surface(
        split=["train", "test"], a=a, b=b, loss=loss, loss_error=0.1 * loss, accuracy=np.exp(-loss),
        accuracy_error=0.1 * np.exp(-loss), class_=["0"], class_loss=loss[:, None],
        class_accuracy=np.exp(-loss)[:, None], axis=["first", "second"], norm=[1.0, 1.0], cosine=0.0,
    )  # fmt: skip


def spectrum():
    node = np.array([[-0.5, 0.1, 20.0]])
    return Spectrum(
        node=node, weight=np.array([[0.1, 0.8, 0.1]]), node_residual=0 * node, dimension=100, smallest=-0.5,
        largest=20.0, smallest_residual=0.0, largest_residual=0.0, trace=1.0, trace_error=0.1, square=1.0,
        square_error=0.1,
    )  # fmt: skip


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """The current folder, with results in it."""
    monkeypatch.chdir(tmp_path)
    for name, made in zip(FILES, (surface(), spectrum()), strict=True):
        made.save(tmp_path / name)
    return tmp_path


@pytest.fixture
def saved(monkeypatch):
    """The figure that was written last, as it was."""
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (kept.append(figure), open(path, "wb").close()))
    return kept


@pytest.mark.parametrize("name", SIZES)
def test_styles_have_the_width_of_their_page(stored, ask, saved, name):
    assert ask("plot", "one.h5", "--style", name, "-o", "x.pdf").err == ""
    assert saved[-1].get_figwidth() == SIZES[name]


def test_one_column_of_two(stored, ask, saved):
    assert ask("plot", "one.h5", "--style", "icml", "--width", "column", "--title", "", "-o", "x.pdf").err == ""
    assert saved[-1].get_figwidth() == 3.25
    assert saved[-1]._suptitle is None


def test_panels_in_words(stored, ask, saved):
    assert ask("plot", "one.h5", "--panel", "train loss, 3d", "-o", "x.pdf").err == ""
    assert [ax.name for ax in saved[-1].axes[:2]] == ["rectilinear", "3d"]
    assert ask("plot", "one.h5", "spectrum.h5", "--panel", "1x2", "-o", "x.pdf", "--force").err == ""
    assert len(saved[-1].axes) >= 2


def test_reliefs_are_turned_and_left_with_their_facets(stored, ask, saved):
    words = ["plot", "one.h5", "--view", "3d", "--elevation", "60", "--azimuth", "20", "-o", "x.pdf", "--force"]
    counts = []
    for smooth in ("--smooth", "--no-smooth"):
        assert ask(*words, smooth).err == ""
        ax = next(ax for ax in saved[-1].axes if ax.name == "3d")
        assert (ax.elev, ax.azim) == (60, 20)
        counts.append(max(len(c.get_facecolor()) for c in ax.collections))
    assert counts[0] > 100 > counts[1] == 4 * 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--style nips", ["one of neurips, iclr, icml, cvpr, thesis, slides", "got 'nips'"]),
        ("--width page", ["one of column, text", "got 'page'"]),
        ("--panel 3x", ["got '3x'", "ROWSxCOLUMNS"]),
        ("--panel 2x5", ["Expected 2x5 panels, got 3"]),
        ("--panel nonsense", ["got 'nonsense'", "quantity: loss"]),
        ("--panel loss --classes", ["panels or classes, got both"]),
        ("--elevation 30 --view heat", ["elevation of a relief", "'heat'"]),
        ("--azimuth 30 --view contour", ["azimuth of a relief", "'contour'"]),
        ("--no-smooth --view contour", ["smooth of a relief", "'contour'"]),
        ("--elevation high --view 3d", ["elevation", "high"]),
        ("--azimuth nan --view 3d", ["azimuth in degrees, got nan"]),
        ("--elevation inf --view 3d", ["elevation in degrees, got inf"]),
        ("--view 4d", ["contour, 3d, heat", "4d"]),
        (r"--title $\badmacro$", ["mathematics can be set", "badmacro"]),
    ],
)
def test_a_wrong_value_is_one_line_and_nothing_is_written(stored, ask, options, words):
    before = sorted(stored.iterdir())
    found = ask("plot", "one.h5", *options.split(), "-o", "x.pdf")
    assert found.refused(*words)
    assert sorted(stored.iterdir()) == before


@pytest.mark.parametrize("options", ["--elevation 30", "--smooth", "--view 3d"])
def test_what_is_no_surface_has_no_relief(stored, ask, options):
    found = ask("plot", "spectrum.h5", *options.split(), "-o", "x.pdf")
    assert found.refused("Spectrum", options.split()[0].strip("-"))
    assert not (stored / "x.pdf").exists()


@pytest.mark.parametrize("option", ["--latex", "--panel 1x3", "--width text", "--elevation 3", "--smooth"])
@pytest.mark.parametrize("output", ["x.html", "x.gif"])
def test_figures_that_move_are_on_no_page(stored, ask, option, output):
    found = ask("plot", "one.h5", *option.split(), "-o", output)
    assert found.refused("leave" if output == "x.gif" else option.split()[0].strip("-"))
    assert not (stored / output).exists()


def test_without_latex_one_line_says_what_to_install(stored, ask, monkeypatch):
    monkeypatch.setattr(latex, "missing", lambda: {"latex": "texlive-latex-base"})
    assert ask("plot", "one.h5", "--latex", "-o", "x.pdf").refused("install texlive-latex-base", "leave latex out")
    assert not (stored / "x.pdf").exists()


def test_help_names_every_option(ask):
    told = re.sub(r"\s+", " ", ask("plot", "--help").out)
    for option in ("style", "width", "panel", "latex", "elevation", "azimuth", "smooth", "no-smooth", "title"):
        assert f"--{option}" in told
