"""``landscape plot``: from a result to a figure, without measuring anything again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

SCALED = {"Spectrum", "Batchsize"}  # results whose plots have a scale of their axes, not of levels
MOVING = ".gif"
STILL = {"view", "classes", "panels", "page_width", "latex", "elevation", "azimuth", "smooth"}  # knobs of other figures
CALLED = {"venue": "style", "page_width": "width", "panels": "panel"}  # options whose knobs have other names


def plot(
    *results: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    view: str | None = None,
    quantity: str | None = None,
    split: str | None = None,
    classes: bool = False,
    style: str | None = None,
    width: str | None = None,
    panel: str | None = None,
    title: str | None = None,
    levels: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    log: Annotated[bool | None, Parameter(negative="--no-log")] = None,
    clip: float | None = None,
    elevation: float | None = None,
    azimuth: float | None = None,
    smooth: Annotated[bool | None, Parameter(negative="--no-smooth")] = None,
    latex: Annotated[bool, Parameter(negative="")] = False,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    r"""Draw a result that was measured before, or several of one kind together.

    Parameters
    ----------
    results : Path
        HDF5 files of landscape, or of Li et al.'s scripts. Several spectra share one pair of axes, several surfaces one
        scale: those of one network at several widths are sorted by bits, and have a slider as .html; several paths lie
        over each other. Several of any kinds can stand side by side with --panel, or be looked at together as .html.
    output : Path, optional
        The figure: .pdf, .png, .svg or .html; RESULT.pdf of the first by default. As .gif, a surface's runs walk over
        it, checkpoint by checkpoint.
    view : str, optional
        Of a surface: contour, 3d or heat. All panels by default.
    quantity : str, optional
        loss or accuracy.
    split : str, optional
        train or test.
    classes : bool
        One small panel for each class.
    style : str, optional
        Column width and type size of neurips, icml, iclr, cvpr, thesis or slides.
    width : str, optional
        column or text: what the figure is as wide as. By default several panels are as wide as the text.
    panel : str, optional
        Rows and columns, 2x3, or panels with commas between them and slashes between rows, each a view, a quantity and
        a part of the data: "train loss, test loss / accuracy, 3d". Of several results each has all of these.
    title : str, optional
        Over the figure; empty for none. Mathematics stands between dollars: '$\lambda_{max}$ of SAM'.
    levels : list of float, optional
        Contour levels, in nats (or fractions, for accuracy).
    log : bool, optional
        Logarithmic levels, by default where the range asks for them; of spectra and batch sizes, logarithmic axes.
    clip : float, optional
        Largest loss that is told apart; a relief is cut off there.
    elevation : float, optional
        Of a relief: degrees above the plane from where it is seen.
    azimuth : float, optional
        Of a relief: degrees around it.
    smooth : bool, optional
        Of a relief: round its facets between measured points, for the eye only; the default.
    latex : bool
        Let an installed LaTeX set all texts.
    force : bool
        Replace a file that is there and that landscape did not draw.
    """
    from landscape.cli._output import FIGURES, drawable, drawn, ending
    from landscape.cli.show import read, whole

    if not results:
        raise ValueError("Expected a result: landscape plot RESULT.h5.")
    path = ending(output or results[0].with_suffix(".pdf"), (*(f".{suffix}" for suffix in FIGURES), MOVING))
    asked = {
        "view": view, "quantity": quantity, "split": split, "levels": levels, "log": log, "clip": clip,
        "venue": style, "title": title, "classes": classes or None, "page_width": width, "panels": panel,
        "elevation": elevation, "azimuth": azimuth, "smooth": smooth, "latex": latex or None,
    }  # fmt: skip
    knobs = {name: value for name, value in asked.items() if value is not None}
    if path.suffix == ".html" and knobs:
        names = ", ".join(CALLED.get(name, name) for name in knobs)
        raise ValueError(f"Expected no more than -o for an interactive figure, got {names}: leave it out.")
    if path.suffix == MOVING and (len(results) > 1 or STILL & knobs.keys()):
        raise ValueError("Expected one surface for a .gif, drawn as contours, got more: leave out the rest.")
    drawable(path, force)
    found = {name: read(result) for name, result in named(results).items()}
    if log is not None and {type(result).__name__ for result in found.values()} <= SCALED:
        knobs["scale"] = "log" if knobs.pop("log") else "linear"
    with whole(results):
        if path.suffix == MOVING:
            from landscape.plots.animation import animation

            animation(next(iter(found.values())), path, **knobs)  # pyright: ignore
        else:
            drawn(found, path, **knobs)
    print("figure: ", path)


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Name files by their stems, or by their whole paths where stems do not tell them apart."""
    stems = [path.stem for path in paths]
    return {path.stem if stems.count(path.stem) == 1 else str(path): path for path in paths}
