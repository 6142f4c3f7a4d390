"""What notebooks show: whole, balanced, escaped and light HTML of every result, whatever happens to its figure."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import discovery
from landscape.plots import notebook as module
from landscape.plots.card import ROWS, card, table
from landscape.plots.notebook import notebook
from landscape.result import Result, quantity

LIMIT = 300_000
EMPTY = {"img", "br", "meta"}  # elements without an end


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Result):
    total: np.ndarray = quantity("all of it", unit="nat")
    total_error: np.ndarray = quantity("its standard error", unit="nat")
    layer: np.ndarray = quantity("<i>layer</i>", "layer")

    def figures(self):
        return {"exactly": (2.0, 0.0), "unsure": (3.0, np.nan), "known": (4.0, 0.25)}

    def remarks(self):
        return ["a < b & c"]


class Read(HTMLParser):
    """Elements, texts and attributes of a page; an element that is not closed, or not open, is an error."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.words, self.given = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.given += attrs
        self.open += [tag] * (tag not in EMPTY)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def rows(page):
    """Cells of all rows, as text."""
    found = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in found]


@pytest.fixture(scope="module")
def objective():
    torch.manual_seed(0)
    inputs = torch.randn(40, 3)
    labels = (inputs[:, 0] > 0).long()
    model = type("<script>alert(1)</script>", (nn.Sequential,), {})(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return landscape.Objective(model, {"train": (inputs, labels), "<b>test": (inputs[:9], labels[:9])}, device="cpu")


@pytest.mark.parametrize(
    ("probe", "knobs"),
    [
        ("surface", {"points": 5}),
        ("line", {"points": 5}),
        ("eigen", {"largest": 2, "smallest": 1}),
        ("spectrum", {"steps": 6, "probes": 2}),
        ("trace", {}),
        ("saddle", {"steps": 8}),
    ],
)
def test_every_result_shows_itself(objective, probe, knobs):
    result = getattr(landscape, probe)(objective, **knobs)
    page = result._repr_html_()
    read = Read(page)
    assert len(page) < LIMIT
    assert "script" not in read.seen
    assert "img" in read.seen
    assert "not drawn" not in page
    cells = [unescape(cell) for row in rows(page) for cell in row]
    assert set(result.figures()) <= set(cells)
    arrays = [name for name, meta in result.quantities().items() if meta["dims"]]
    assert set(arrays) <= set(cells)


def test_the_figure_is_a_picture_in_the_page(make_surface):
    from PIL import Image

    page = make_surface(points=(101, 101), splits=("train",))._repr_html_()
    source = dict(Read(page).given)["src"]
    kind, _, code = source.partition(",")
    assert kind == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(code)))
    assert min(image.size) > 100
    assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    assert len(page) < LIMIT


def test_texts_of_files_are_escaped(make_line):
    origin = {"model": {"name": "<script>alert(1)</script>"}, "data": {"name": "</div>"}, "note": "</pre><img src=x>"}
    page = make_line(splits=("<u>train", "test"), origin=origin)._repr_html_()
    read = Read(page)
    assert {"script", "u"}.isdisjoint(read.seen)
    assert read.seen.count("img") <= 1
    assert "<img src=x>" in "".join(read.words)


def test_numbers_stand_with_their_errors_or_with_what_they_are():
    page = Verdict(total=2.5, total_error=0.5, layer=["a"])._repr_html_()
    found = rows(page)
    assert ["exactly", "2", "exact", "", ""] in found
    assert ["unsure", "3", "not known", "", ""] in found
    assert ["known", "4", "± 0.25", "", ""] in found
    assert ["total", "2.5", "± 0.5", "nat", "all of it"] in found
    assert ["layer", "layer: 1", "", "&lt;i&gt;layer&lt;/i&gt;"] in found
    assert "total_error" not in page
    assert "a < b & c" in Read(page).words
    assert "<img" not in page  # names alone are nothing to draw


def test_a_failure_to_draw_is_told_and_breaks_nothing(make_line, monkeypatch):
    def fails(result):
        raise RuntimeError("no <ink>")

    monkeypatch.setattr("landscape.plots.figure.figure", fails)
    page = make_line()._repr_html_()
    assert "not drawn: no <ink>" in Read(page).words
    assert "<img" not in page
    assert "loss_error" in page


def test_a_heavy_picture_is_drawn_coarser(make_line, monkeypatch):
    fine = make_line()._repr_html_()
    monkeypatch.setattr(module, "LIGHT", 1)
    coarse = make_line()._repr_html_()
    assert len(coarse) < len(fine)
    assert dict(Read(coarse).given)["width"] == dict(Read(fine).given)["width"]


def test_a_long_origin_and_a_long_table_are_cut():
    page = Verdict(total=1.0, total_error=0.1, layer=["a"], origin={"x": "y" * 10**6})._repr_html_()
    assert len(page) < 2 * module.TEXT
    assert "more letters: see result.origin" in page
    cut = rows(table(("k",), [(k,) for k in range(ROWS + 3)]))
    assert cut[-1] == ["… 3 more"]
    assert len(cut) == ROWS + 2


def test_a_collection_lists_its_members(make_line):
    page = landscape.Collection(members={"a/line": make_line(), "b/<u>": make_line()})._repr_html_()
    found = rows(page)
    assert ["a/line", "Line"] in found
    assert ["b/&lt;u&gt;", "Line"] in found
    assert "u" not in Read(page).seen
    assert "not drawn" not in page


def test_matplotlib_is_left_as_it_was(make_line):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = dict(mpl.rcParams)
    make_line()._repr_html_()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_an_objective_shows_itself(objective):
    page = objective._repr_html_()
    read = Read(page)
    assert "script" not in read.seen
    told = {row[0]: row[1] for row in rows(page)}
    assert told["parameters"] == f"{objective.dim:,} in {len(objective.blocks)} tensors"
    assert told["loss"] == "cross_entropy"
    assert told["batch norm"] == "none"
    assert told["splits"] == "train: 40, &lt;b&gt;test: 9 examples"
    assert told["classes"] == "0, 1"


def test_results_and_objectives_find_their_cards_by_name():
    assert discovery.member("landscape.plots", "notebook") is notebook
    assert discovery.member("landscape.plots", "card") is card


def test_ipython_shows_it(make_line):
    formatters = pytest.importorskip("IPython.core.formatters")
    html = formatters.HTMLFormatter()
    assert "landscape-card" in html(make_line())
