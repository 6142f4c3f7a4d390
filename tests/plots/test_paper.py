"""Every kind of result on pages: nothing overlaps, is cut, empty or too small, or told by colour alone."""

import itertools
import re
from dataclasses import replace
from functools import cache

import matplotlib.text
import numpy as np
import pytest
import torch

from landscape import discovery
from landscape.basins.topology import topology
from landscape.comparison import compare
from landscape.curves import segment, straight
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.objective import Objective
from landscape.plots import save
from landscape.plots.figure import figure
from landscape.plots.style import LEAST, VENUES, venue
from landscape.transforms import subset

SMALL = {  # arguments of every probe, as small as they come
    "surface": lambda end: {"points": 5}, "line": lambda end: {"points": 5, "draws": 2},
    "eigen": lambda end: {"largest": 2, "smallest": 1}, "trace": lambda end: {"probes": 4},
    "spectrum": lambda end: {"steps": 8, "probes": 2}, "saddle": lambda end: {"steps": 6, "probes": 2, "limit": 12},
    "sharpness": lambda end: {"families": ("norms", "curvature"), "samples": 2},
    "curvature": lambda end: {"points": 3, "limit": 20}, "covariance": lambda end: {"count": 2, "probes": 2},
    "batchsize": lambda end: {"sizes": (8, 16), "batches": 2, "limit": 20}, "bits": lambda end: {"bits": (8, 4, 2)},
    "path": lambda end: {"curves": {name: curve(*end) for name, curve in CURVES.items()}, "points": 5},
    "ensembling": lambda end: {"curves": {name: curve(*end) for name, curve in CURVES.items()}, "points": 5},
    "connect": lambda end: {"end": end[1], "epochs": 1, "points": 5},
    "align": lambda end: {"end": end[1], "points": 5}, "barriers": lambda end: {"thetas": [*end], "points": 5},
    "tree": lambda end: {"thetas": [*end], "epochs": 1, "points": 5},
}  # fmt: skip
CURVES = {"segment": segment, "bent": lambda first, last: straight("bezier", first, last, 1)}
PAGES = ("neurips", "slides")  # those with the least room for their type: others are as wide, or wider
TWO_COLUMNS = [  # and some of those that appear most on pages of two columns
    *((name, "icml") for name in ("surface", "line", "spectrum", "path", "comparison")),
    ("path", "cvpr"), ("comparison", "cvpr"),
]  # fmt: skip
TOUCH = 1.5  # pixels by which boxes of letters may overlap: they have some room around them
KINDS = [*discovery.names("landscape.probes"), "topology", "comparison"]


@cache
def objective():
    torch.manual_seed(0)
    data = subset(60)(digits())
    strategy = "loop,examples=64;retained,kept,examples=64"
    model = mlp(4, shape=data.shape)
    splits = {"train": data.split("train"), "test": data.split("train")}
    return Objective(model, splits, device="cpu", strategy=strategy)


@cache
def measured(name):
    if name == "topology":
        return topology(measured("surface"))
    if name == "comparison":
        networks = {"one": objective(), "other": objective()}
        return compare(networks, bits=(32, 2), probes=("evaluate", "surface:points=5"))
    generator = torch.Generator().manual_seed(1)
    first = objective().theta
    ends = [first, *(first + 0.5 * torch.randn(len(first), generator=generator) for _ in range(1 + (name == "tree")))]
    found = discovery.member("landscape.probes", name)(objective(), **SMALL.get(name, lambda end: {})(ends))
    return replace(found, origin={**found.origin, "model": {"name": "mlp"}, "data": {"name": "digits"}})


def texts(drawn):
    """Extents of all texts that are seen, once each."""
    seen = drawn.findobj(lambda a: isinstance(a, matplotlib.text.Text) and a.get_visible() and a.get_text().strip())
    ticks = {label for ax in drawn.findobj(matplotlib.axes.Axes) for label in hidden(ax)}
    return {text: text.get_window_extent() for text in seen if text not in ticks and shown(text)}


def shown(text):
    return text.get_alpha() != 0 and (text.axes is None or text.axes.axison or text in text.axes.texts)


def hidden(ax):
    """Labels of ticks beyond the ends of an axis, or switched off, which are not drawn."""
    for axis in (ax.xaxis, ax.yaxis):
        steps = axis.get_transform().transform  # a little of the length of an axis, logarithmic or not
        low, high = sorted(steps(axis.get_view_interval()))
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            room = 1e-9 * (high - low)
            inside = low - room <= steps([tick.get_loc()])[0] <= high + room and axis.get_visible()
            yield from () if inside and tick.label1.get_visible() else (tick.label1,)
            yield from () if inside and tick.label2.get_visible() else (tick.label2,)


@pytest.mark.parametrize(("name", "page"), [*itertools.product(KINDS, PAGES), *TWO_COLUMNS])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_kind_fits_every_page(name, page):
    drawn = figure(measured(name), venue=page)
    drawn.draw_without_rendering()
    found = texts(drawn)
    assert drawn.get_figwidth() <= VENUES[page].text + 1e-9
    for text, box in found.items():
        assert drawn.bbox.x0 - TOUCH <= box.x0, text
        assert box.x1 <= drawn.bbox.x1 + TOUCH, text
        assert drawn.bbox.y0 - TOUCH <= box.y0, text
        assert box.y1 <= drawn.bbox.y1 + TOUCH, text
        assert text.get_fontsize() >= LEAST, text
    outer = [pair for pair in found.items() if not (pair[0].axes and pair[0] in pair[0].axes.texts)]
    for (one, box), (other, there) in itertools.combinations(outer, 2):
        wide = min(box.x1, there.x1) - max(box.x0, there.x0)
        tall = min(box.y1, there.y1) - max(box.y0, there.y0)
        rotated = {one.get_rotation() % 90, other.get_rotation() % 90} != {0}
        assert rotated or wide <= TOUCH or tall <= TOUCH, (one, other)
    for ax in drawn.axes:
        assert ax.has_data() or ax.texts or ax.patches, ax
    told_without_colour(drawn)


def told_without_colour(drawn):
    """Curves with names on one pair of axes differ by dash or mark."""
    for ax in drawn.axes:
        named = [line for line in ax.lines if not line.get_label().startswith("_") and len(line.get_xdata()) > 1]
        looks = [(str(line.get_linestyle()), line._unscaled_dash_pattern, line.get_marker()) for line in named]
        colors = {line.get_color() for line in named}
        if len(colors) > 1:
            assert len(set(map(str, looks))) == len(looks), (ax.get_title(), [line.get_label() for line in named])


@pytest.mark.parametrize("name", ["surface", "path", "trace"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fonts_are_embedded_and_texts_are_texts(name, tmp_path):
    save(figure(measured(name), venue="icml"), tmp_path / "x.pdf")
    data = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert len(re.findall(rb"/BaseFont\s*/\w+\+", data)) >= 1 or b"/BaseFont" in data


@pytest.mark.parametrize("width", ["column", "text"])
@pytest.mark.parametrize("name", VENUES)
def test_a_page_is_as_wide_as_was_asked(name, width):
    page = venue(name, width=width)
    assert page.single == page.whole == getattr(VENUES[name], width)


@pytest.mark.parametrize("knobs", [{}, {"view": "heat"}])
def test_a_figure_is_as_wide_as_its_page(make_surface, knobs):
    assert figure(make_surface(), venue="icml", page_width="column", **knobs).get_figwidth() == 3.25


def test_widths_are_those_of_the_templates():
    assert VENUES["cvpr"].column == (6.875 - 0.3125) / 2
    assert VENUES["icml"].column == (6.75 - 0.25) / 2
    assert VENUES["neurips"][:2] == VENUES["iclr"][:2] == (5.5, 5.5)
    with pytest.raises(ValueError, match="Expected a width, one of column, text, got 'page'"):
        venue("icml", width="page")


@pytest.mark.parametrize("knobs", [{}, {"view": "contour"}, {"view": "3d"}, {"view": "heat"}])
def test_a_fine_surface_is_a_small_file(make_surface, tmp_path, knobs):
    save(figure(make_surface((101, 101)), venue="neurips", **knobs), tmp_path / "x.pdf")
    data = (tmp_path / "x.pdf").read_bytes()
    assert len(data) < 1_000_000
    assert b"/FontFile2" in data
    assert b"/Type3" not in data


def test_titles_have_subscripts_without_latex(make_surface):
    drawn = figure(make_surface(), title=r"$\lambda_{max}$ of a_b, 5 %")
    drawn.draw_without_rendering()
    assert drawn._suptitle.get_parse_math()
    assert drawn._suptitle.get_text() == r"$\lambda_{max}$ of a_b, 5 %"
    long = figure(make_surface(), venue="icml", page_width="column", title="a word " * 8 + r"$\lambda + \mu + \nu$")
    assert r"$\lambda + \mu + \nu$" in long._suptitle.get_text()
    assert np.isfinite(long._suptitle.get_window_extent().width)
