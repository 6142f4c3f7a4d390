"""Texts set by LaTeX itself: what it needs, and how the letters it would stumble over are written for it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.ticker import Formatter

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PROGRAMS = {"latex": "texlive-latex-base", "dvipng": "dvipng", "kpsewhich": "texlive-binaries"}
FILES = {  # what is asked for by name, and the package of Debian that brings it
    "underscore.sty": "texlive-latex-extra", "type1ec.sty": "cm-super", "mathptmx.sty": "texlive-latex-base",
    "ptmr7t.tfm": "texlive-fonts-recommended", "phvr7t.tfm": "texlive-fonts-recommended",
}  # fmt: skip
PREAMBLE = r"\usepackage[T1]{fontenc}\usepackage{amsmath}"
SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "_": r"\_", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
SIGNS = {
    "\u00a0": "~", "·": r"$\cdot$", "×": r"$\times$", "±": r"$\pm$", "−": r"$-$", "–": "--", "—": "---",
    "…": r"\dots{}",
    "∞": r"$\infty$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "°": r"$^\circ$",
    "²": "$^2$", "³": "$^3$", "‖": r"$\Vert$", "√": r"$\surd$", "∇": r"$\nabla$", "′": r"$'$",
}  # fmt: skip
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi",
    "Ω": "Omega",
}  # fmt: skip
LETTERS = SPECIAL | SIGNS | {letter: rf"$\{name}$" for letter, name in GREEK.items()}
MATH = re.compile(r"(?<!\\)(\$(?:[^$\\]|\\.)*\$)")


def written(text: str, *, math: bool = True) -> str:
    r"""Write a text for LaTeX: what is not mathematics means itself.

    Parameters
    ----------
    text : str
    math : bool, default=True
        What stands between dollars is mathematics, and stays as it is; else dollars are dollars.

    Examples
    --------
    >>> written("50 % of a_b & λ")
    '50 \\% of a\\_b \\& $\\lambda$'
    >>> written(r"$\lambda_{max}$ #1"), written("$5", math=False)
    ('$\\lambda_{max}$ \\#1', '\\$5')
    """
    if not math:
        return _plain(text)
    pieces = MATH.split(text)
    return "".join(piece if k % 2 else _plain(piece.replace(r"\$", "$")) for k, piece in enumerate(pieces))


def settings(family: str) -> dict[str, Any]:
    """Return the settings of matplotlib under which LaTeX sets all texts, in the type of a family.

    Parameters
    ----------
    family : {"serif", "sans-serif"}
        Times, as conferences set papers, or Helvetica.

    Raises
    ------
    ValueError
        If LaTeX, or a package that it needs, is not installed.
    """
    if lost := missing():
        raise ValueError(
            f"Expected LaTeX with {', '.join([*PROGRAMS, *FILES])}, got none of {', '.join(lost)}: install "
            f"{', '.join(sorted(set(lost.values())))}, or leave latex out: sub- and superscripts need none."
        )
    return {
        "text.usetex": True, "font.family": family, "font.serif": ["Times"], "font.sans-serif": ["Helvetica"],
        "text.latex.preamble": PREAMBLE,
    }  # fmt: skip


@cache
def missing() -> dict[str, str]:
    """Name the programs and files that LaTeX lacks, each with the package of Debian that has it."""
    lost = {name: package for name, package in PROGRAMS.items() if shutil.which(name) is None}
    if "kpsewhich" in lost:
        return lost
    return lost | {name: package for name, package in FILES.items() if not _found(name)}


@contextmanager
def set_by_latex(drawn: Figure) -> Iterator[None]:
    """Keep to the type in which LaTeX sets the texts of a figure, while it is written; of another figure do nothing."""
    families = [str(text.get_fontfamily()[0]) for text in _texts(drawn) if text.get_usetex()]
    with rc_context(settings(families[0])) if families else nullcontext():
        yield


def dressed(drawn: Figure) -> None:
    """Write every text of a finished figure for LaTeX, once: titles, labels, names, the labels of ticks."""
    from matplotlib.axes import Axes

    for text in _texts(drawn):
        text.set_text(written(text.get_text(), math=text.get_parse_math()))
    for ax in drawn.findobj(Axes):
        for axis in (getattr(ax, f"{name}axis", None) for name in "xyz"):
            if axis is not None:
                _dress(axis)
    drawn.draw_without_rendering()  # ticks that come later would not be LaTeX's


class Written(Formatter):
    """The labels that another formatter gives, written for LaTeX."""

    def __init__(self, inner: Formatter, *, math: bool) -> None:
        self.inner, self.math = inner, math

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of one tick."""
        return written(self.inner(x, pos), math=self.math)

    def format_ticks(self, values: Any) -> list[str]:
        """Return the labels of all ticks."""
        return [written(label, math=self.math) for label in self.inner.format_ticks(values)]

    def get_offset(self) -> str:
        """Return what stands beside the axis."""
        return written(self.inner.get_offset())

    def set_locs(self, locs: Any) -> None:
        """Tell the other formatter where ticks are."""
        self.inner.set_locs(locs)

    def set_axis(self, axis: Any) -> None:
        """Tell the other formatter whose ticks they are."""
        self.axis = axis
        self.inner.set_axis(axis)


def _dress(axis: Axis) -> None:
    math = all(tick.label1.get_parse_math() for tick in axis.get_major_ticks())
    for inner, change in (
        (axis.get_major_formatter(), axis.set_major_formatter), (axis.get_minor_formatter(), axis.set_minor_formatter),
    ):  # fmt: skip
        if not isinstance(inner, Written):  # axes that share their ticks share what labels them
            change(Written(inner, math=math))


def _texts(drawn: Figure) -> list[Any]:
    from matplotlib.text import Text

    return [text for text in drawn.findobj(Text) if text.get_text()]


def _plain(text: str) -> str:
    return "".join(LETTERS.get(letter, letter) for letter in text)


def _found(name: str) -> bool:
    asked = subprocess.run(["kpsewhich", name], capture_output=True, text=True, check=False)
    return bool(asked.stdout.strip())
