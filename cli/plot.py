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
    log: Annotated[bool | None, Parameter(negative="--no-log")] = None,
    clip: float | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
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
    force : bool
        Replace a file that is there and that landscape did not draw.
    """
    from landscape.cli._output import FIGURES, drawable, drawn, ending
    from landscape.cli.show import read

    path = ending(output or result.with_suffix(".pdf"), tuple(f".{suffix}" for suffix in FIGURES))
    asked = {
        "view": view, "quantity": quantity, "split": split, "levels": levels, "log": log, "clip": clip,
        "venue": style, "title": title, "classes": classes or None,
    }  # fmt: skip
    knobs = {name: value for name, value in asked.items() if value is not None}
    if path.suffix == ".html" and knobs:
        names = ", ".join("style" if name == "venue" else name for name in knobs)
        raise ValueError(f"Expected no more than -o for an interactive figure, got {names}: leave it out.")
    drawable(path, force)
    print("figure: ", drawn(read(result), path, **knobs))
