"""Results for other programs: VTK for ParaView, CSV and LaTeX tables, and a summary in plain text."""

from __future__ import annotations

import csv as writer
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from landscape.plots import field
from landscape.plots.bits_table import bits_table
from landscape.plots.kinds import own
from landscape.plots.summary import summary
from landscape.plots.topology_table import topology_table
from landscape.result import Result, replaced

GROUPS = ("class", "term", "draw")  # axes over which a quantity is also kept apart: rows of their own in a table


def vtk(
    result: Result, path: str | os.PathLike, *, split: str | None = None, log: bool = False, clip: float | None = None
) -> None:
    """Write a surface as a VTK structured grid for ParaView: height is the loss, every quantity a point array.

    Parameters
    ----------
    result : Surface
        Rectangular grids too.
    path : path ending in ``.vts``
    split : str, optional
        Part of the data whose loss is the height, the first one by default; all parts are stored as arrays.
    log : bool, default=False
        Let the height be the decimal logarithm of the loss.
    clip : float, optional
        Highest loss of the relief. The stored arrays are not clipped.

    Raises
    ------
    ValueError
        If the result is no surface, the name has another ending, or a logarithm is asked of losses that have none.
    ImportError
        If pyevtk is not installed (extra ``export``).

    Notes
    -----
    Points whose loss is not finite lie on the ceiling of the relief; their arrays keep NaN and infinity.
    """
    if type(result).__name__ != "Surface":
        raise ValueError(f"{path}: expected a Surface to export, got a {type(result).__name__}: export it as CSV.")
    if Path(path).suffix.lower() != ".vts":
        raise ValueError(f"{path}: expected a name ending in .vts, got {Path(path).suffix!r}: rename the output.")
    try:
        from pyevtk.hl import gridToVTK
    except ImportError as error:
        raise ImportError(
            "Expected pyevtk to be installed, got no such module: pip install 'landscape[export]'."
        ) from error
    surface: Any = result
    height = _height(field.field(result, "loss", split), log, clip)
    a, b = np.meshgrid(surface.a.astype(float), surface.b.astype(float), indexing="ij")
    points = [np.ascontiguousarray(part[..., None]) for part in (a, b, height)]
    with tempfile.TemporaryDirectory() as folder:
        written = gridToVTK(str(Path(folder) / "surface"), *points, pointData=_points(result))
        with replaced(path) as part:
            shutil.copyfile(written, part)


def csv(result: Result, path: str | os.PathLike) -> None:
    """Write a result as one long table: a row per point of its axes, a column per quantity and standard error.

    A surface gives a row per (split, a, b). What is kept apart by class, term, draw or seed follows as rows of their
    own, named in the columns ``class``, ``term``, ``draw`` and ``seed``, which are empty in the rows over all of them.
    Words about the points of an axis (the scale of a measure) stand in every row. A comparison gives a row per network
    and width.

    Raises
    ------
    ValueError
        If the result holds no quantity over an axis.
    OSError
        If the file cannot be written; a file already at `path` is then left as it was.

    Notes
    -----
    Numbers are written so that reading them gives the same floats back. Quantities over other axes (the lengths of the
    directions, the checkpoints) stay in the HDF5 file.
    """
    if (own_table := own("landscape.plots", result, "csv")) is not None:
        _written(own_table(result), path)
        return
    base, groups = _tables(result)
    axes = [(*base, group) if group else base for group in groups]
    keys = [*base, *(group for group in groups if group), *(word for dims in axes for word in _words(result, dims))]
    columns = dict.fromkeys([*keys, *(column for table in groups.values() for column in table)])
    with replaced(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = writer.DictWriter(file, list(columns), restval="", lineterminator="\n")
        table.writeheader()
        for group, names in groups.items():
            table.writerows(_rows(result, base, group, names))


def latex(result: Result, path: str | os.PathLike) -> None:
    """Write a result as a table in LaTeX, for the package booktabs, if its kind has one.

    Raises
    ------
    ValueError
        If it has none.
    OSError
        If the file cannot be written; a file already at `path` is then left as it was.
    """
    _in("LaTeX", result, path)


def markdown(result: Result, path: str | os.PathLike) -> None:
    """Write a result as a table in Markdown, if its kind has one.

    Raises
    ------
    ValueError
        If it has none.
    OSError
        If the file cannot be written; a file already at `path` is then left as it was.
    """
    _in("Markdown", result, path)


def _in(language: str, result: Result, path: str | os.PathLike) -> None:
    """Write the table that a kind of result has in a language, by a function of its name beside the plot."""
    table = own("landscape.plots", result, language.lower())
    if table is None:
        kind = type(result).__name__
        raise ValueError(f"{path}: expected a result with a table in {language}, got a {kind}: export it as CSV.")
    _written(table(result) + "\n", path)


def _written(text: str, path: str | os.PathLike) -> None:
    with replaced(path) as part:
        Path(part).write_text(text, encoding="utf-8", newline="\n")


def table(result: Result) -> str:
    """Summarize a result in plain text: the center with its standard error, the minimum, the range, what was drawn.

    Results that are not over a grid of losses are summarized by `landscape.plots.summary.summary`.

    Examples
    --------
    >>> from landscape.probes.line import Line
    >>> line = Line(split=["train"], a=[-1.0, 0.0, 1.0], loss=[[3.0, 0.5, 0.25]], loss_error=[[0.1, 0.1, 0.1]],
    ...             axis=["random"], norm=[7.0])
    >>> print(table(line))
    Line, 3 points
    a       -1 to 1, direction of length 7
    train   center: loss 0.5 ± 0.1
            minimum 0.25 at a = 1: not the center
            range 0.25 to 3
    """
    if type(result).__name__ == "Bits":
        return bits_table(result)  # pyright: ignore
    if (told := own("landscape.plots", result, "text")) is not None:
        return told(result)
    if type(result).__name__ == "Topology":
        return topology_table({"": result})  # pyright: ignore
    if type(result).__name__ not in ("Surface", "Line"):
        return summary(result)
    summaries = (line for part in field.splits(result) for line in _summary(result, part))
    return "\n".join([*_grid(result), *result.remarks(), *summaries])


def _height(values: np.ndarray, log: bool, clip: float | None) -> np.ndarray:
    finite = values[np.isfinite(values)]
    if log and finite.size and finite.min() <= 0:
        raise ValueError(
            f"Expected positive losses for a logarithmic height, got {finite.min():g}: export with log=False."
        )
    ceiling = min(finite.max() if finite.size else 0.0, np.inf if clip is None else clip)
    height = np.where(np.isfinite(values), np.minimum(values, ceiling), ceiling).astype(float)
    return np.log10(height) if log and finite.size else height


def _points(result: Any) -> dict[str, np.ndarray]:
    """Every quantity over the plane, one array per index of its other axes: ``loss_train``, ``class_loss_test_cat``."""
    arrays = {}
    for name, meta in result.quantities().items():
        dims = meta["dims"]
        if dims[-2:] != ("a", "b"):
            continue
        values = getattr(result, name)
        for index in np.ndindex(values.shape[:-2]):
            words = [
                _label(_coordinate(result, dim, values.shape[i])[k])
                for i, (dim, k) in enumerate(zip(dims[:-2], index, strict=True))
            ]
            arrays["_".join([name, *words])] = np.ascontiguousarray(values[index][..., None].astype(float))
    return arrays


def _tables(result: Result) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Axes of the long table, and for each group of rows its columns: group -> {column: attribute}."""
    metas = {
        name: meta for name, meta in result.quantities().items() if not _is_coordinate(name, meta) and meta["dims"]
    }
    first = next((meta for meta in metas.values()), None)
    if first is None:
        raise ValueError(f"{type(result).__name__}: expected a quantity over an axis to tabulate, got none.")
    base, groups = first["dims"], {"": {}}
    for name, meta in metas.items():
        extra = [dim for dim in meta["dims"] if dim not in base]
        if set(base) <= set(meta["dims"]) and len(extra) <= 1:
            group = extra[0] if extra else ""
            column = name.removeprefix(f"{group}_") if group in GROUPS else name
            groups.setdefault(group, {})[column] = name
    return base, groups


def _rows(result: Result, base: tuple[str, ...], group: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    dims = (base[0], group, *base[1:]) if group else base
    arrays = {}
    for column, name in names.items():
        own = result.declared()[name]["dims"]
        arrays[column] = np.transpose(getattr(result, name), [own.index(dim) for dim in dims])
    shape = next(iter(arrays.values())).shape if arrays else ()
    coordinates = [_coordinate(result, dim, size) for dim, size in zip(dims, shape, strict=False)]
    words = _words(result, dims)
    for index in np.ndindex(shape) if arrays else ():
        keys = {dim: _plain(steps[k]) for dim, steps, k in zip(dims, coordinates, index, strict=True)}
        said = {name: str(text[index[axis]]) for name, (axis, text) in words.items()}
        yield keys | said | {column: _plain(values[index]) for column, values in arrays.items()}


def _words(result: Result, dims: tuple[str, ...]) -> dict[str, tuple[int, np.ndarray]]:
    """Find texts over one of several axes, other than its names: attribute -> position of the axis, texts."""
    metas = result.quantities().items() if len(dims) > 1 else ()
    return {
        name: (dims.index(meta["dims"][0]), getattr(result, name))
        for name, meta in metas
        if not _is_coordinate(name, meta) and len(meta["dims"]) == 1 and meta["dims"][0] in dims
        and getattr(result, name).dtype.kind == "U"
    }  # fmt: skip


def _coordinate(result: Any, dim: str, size: int) -> Any:
    for name in (dim, f"{dim}_"):
        steps = getattr(result, name, None)
        if getattr(steps, "shape", ()) == (size,):
            return steps
    return np.arange(size)


def _is_coordinate(name: str, meta: Any) -> bool:
    return meta["dims"] in ((name,), (meta["name"],))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _label(value: Any) -> str:
    return str(_plain(value)).replace(" ", "_")


def _grid(result: Any) -> list[str]:
    dims = [dim for dim in ("a", "b") if dim in result.quantities()]
    lines = [f"{type(result).__name__}, {' x '.join(str(len(getattr(result, dim))) for dim in dims)} points"]
    for axis, dim in enumerate(dims):
        steps, share = getattr(result, dim), field.explained(result, axis)
        norm = "" if np.isnan(result.norm[axis]) else f", direction of length {result.norm[axis]:.4g}"
        lines.append(f"{dim:<8}{steps[0]:.4g} to {steps[-1]:.4g}{norm}" + (f", {share}" if share else ""))
    if hasattr(result, "cosine") and np.isfinite(result.cosine):
        lines.append(f"{'cosine':<8}{float(result.cosine):.3g} between the directions")
    drawn = result.origin.get("directions")
    if isinstance(drawn, dict) and drawn.get("ratio"):
        low, high = drawn["ratio"]
        lines.append(f"{'filters':<8}{low:.7g} to {high:.7g} times as long as the network's")
    if result.draw is not None:
        lines.append(f"{'draws':<8}{len(result.draw)}, numbers below are medians over them")
    if result.stopped is not None:
        lines.append(f"{'stopped':<8}{int(result.stopped.sum())} points, measured on a tenth of the examples")
    if result.checkpoint_residual is not None:
        farthest, flat = result.checkpoint_residual.max(), "plane" if len(dims) == 2 else "line"
        lines.append(f"{'marks':<8}{len(result.checkpoint)} checkpoints, up to {farthest:.3g} off the {flat}")
        runs = dict.fromkeys(name for name in _texts(getattr(result, "checkpoint_run", None)) if name)
        lines += [f"{'runs':<8}{', '.join(runs)}"] * bool(runs)
    for name in _texts(getattr(result, "curve", None)):
        farthest = result.curve_residual[_texts(result.curve).index(name)].max()
        lines.append(f"{'curve':<8}{name}, up to {farthest:.3g} off the plane")
    return lines


def _texts(names: Any) -> list[str]:
    return [] if names is None else [str(name) for name in names]


def _summary(result: Any, part: str) -> list[str]:
    values = field.field(result, "loss", part)
    middle, least = field.center(result), field.lowest(values)
    lines = [f"center: {_value(result, 'loss', part, middle)}" if middle is not None else "center: not on the grid"]
    if middle is not None and result.accuracy is not None:
        lines[0] += f", {_value(result, 'accuracy', part, middle)}"
    if least is None:
        lines.append("no finite loss")
    else:
        here = ", ".join(f"{dim} = {getattr(result, dim)[i]:.4g}" for dim, i in zip(("a", "b"), least, strict=False))
        at = "at the center" if least == middle else f"at {here}: not the center"
        finite = values[np.isfinite(values)]
        lines += [f"minimum {values[least]:.4g} {at}", f"range {finite.min():.4g} to {finite.max():.4g}"]
    lost = int((~np.isfinite(values)).sum())
    lines += [f"{lost} of {values.size} points not finite"] * bool(lost)
    return [f"{part if i == 0 else '':<8}{line}" for i, line in enumerate(lines)]


def _value(result: Any, quantity: str, part: str, index: tuple[int, ...]) -> str:
    value = field.field(result, quantity, part)[index]
    error = getattr(result, f"{quantity}_error", None)
    sure = np.nan if error is None else field.field(result, f"{quantity}_error", part)[index]
    unit = " %" if quantity == "accuracy" else ""
    return f"{quantity} {value:.4g}" + (f" ± {sure:.2g}" if np.isfinite(sure) else "") + unit
