"""Texts that LaTeX sets: what is written for it, what it needs, and that it takes every kind of figure."""

import pytest

from landscape.plots import latex, save
from landscape.plots.figure import figure

INSTALLED = pytest.mark.skipif(bool(latex.missing()), reason="needs LaTeX with its fonts")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("50 % of a_b & #1", r"50 \% of a\_b \& \#1"), ("λ ± 2 × 3", r"$\lambda$ $\pm$ 2 $\times$ 3"),
        (r"$\lambda_{max}$ of a_b", r"$\lambda_{max}$ of a\_b"),
        ("{x}^2 ~ y", r"\{x\}\textasciicircum{}2 \textasciitilde{} y"),
        (r"cost \$5", r"cost \$5"), ("a\\b", r"a\textbackslash{}b"), ("9\u00a0×\u00a06", r"9~$\times$~6"),
    ],
)  # fmt: skip
def test_what_is_no_mathematics_means_itself(text, written):
    assert latex.written(text) == written


def test_dollars_of_names_are_dollars():
    assert latex.written("$5 or $6", math=False) == r"\$5 or \$6"


def test_one_line_says_what_to_install(make_line, monkeypatch):
    monkeypatch.setattr(latex, "missing", lambda: {"latex": "texlive-latex-base", "dvipng": "dvipng"})
    with pytest.raises(ValueError, match=r"got none of latex, dvipng: install dvipng, texlive-latex-base, or leave"):
        figure(make_line(), latex=True)


@INSTALLED
@pytest.mark.parametrize("knobs", [{}, {"view": "3d"}, {"panels": "train loss, accuracy"}])
def test_latex_sets_a_surface(make_surface, tmp_path, knobs):
    made = make_surface(trajectory=True, origin={"model": {"name": "net_1 & 5 % λ"}, "data": {"name": "a#b ± $1"}})
    save(figure(made, latex=True, venue="icml", **knobs), tmp_path / "x.pdf")
    data = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile" in data
    assert b"/Type3" not in data


@INSTALLED
def test_latex_sets_a_line_and_no_setting_stays(make_line, tmp_path):
    from matplotlib import rcParams

    drawn = figure(make_line(axis=["a_b & c"]), latex=True, venue="slides", title=r"$\lambda_{max}$ & 5%")
    save(drawn, tmp_path / "x.png")
    assert not rcParams["text.usetex"]
