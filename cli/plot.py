"""``landscape plot``: from a result to a figure, without measuring anything again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def plot(
    result: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    view: str | None = None,
    quantity: str | None = None,
    split: str | None = None,
    classes: bool = False,
    style: str | None = None,
    title: str | None = None,
    levels: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    log: bool | None = None,
    clip: float | None = None,
) -> None:
    """Draw a result that was measured before.

    Parameters
    ----------
    result : Path
        An HDF5 file of landscape, or of Li et al.'s scripts.
    output : Path, optional
        The figure: .pdf, .png, .svg or .html; RESULT.pdf by default.
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
    title : str, optional
        Over the figure; empty for none.
    levels : list of float, optional
        Contour levels, in nats (or fractions, for accuracy).
    log : bool, optional
        Logarithmic levels; by default where the range asks for them.
    clip : float, optional
        Largest loss that is told apart.
    """
    from landscape.cli._output import drawn
    from landscape.cli.show import read

    found = read(result)
    asked = {"view": view, "quantity": quantity, "split": split, "levels": levels, "log": log, "clip": clip}
    knobs = {name: value for name, value in asked.items() if value is not None}
    path = output or result.with_suffix(".pdf")
    if path.suffix not in (".pdf", ".png", ".svg", ".html"):
        raise ValueError(f"Expected a figure that ends in .pdf, .png, .svg or .html, got {path}.")
    if path.suffix == ".html" and (knobs or style or title or classes):
        raise ValueError(f"Expected no more than -o for an interactive figure, got {', '.join([*knobs]) or 'a style'}: leave it out.")
    if path.suffix != ".html":
        knobs |= {"venue": style, "title": title}
    print("figure: ", drawn(found, path, classes=classes, **knobs) if classes else drawn(found, path, **knobs))
