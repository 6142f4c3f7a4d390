"""What is marked on a plane: runs of training, single checkpoints, curves between networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.plots.style import number

LONE = ("between", "bitplane")  # planes whose checkpoints are no run, in files that do not tell runs
NAMELESS = "trajectory"  # the run of files that do not name it
OFF = 1e-6  # of the distances in the plane, below which a point lies on it: float32 has no more digits


@dataclass(frozen=True, eq=False)
class Track:
    """Points of a plane that belong together: a run, checkpoints by themselves, or a curve.

    Attributes
    ----------
    name : str
    names : list of n str
        Of its checkpoints; none of the points of a curve.
    a, b : ndarray of shape (n,)
    residual : ndarray of shape (n,)
        Distance of each from the plane, in parameter space; NaN where it is not known.
    reach : float
        Largest distance from the center within the plane.
    """

    name: str
    names: list[str]
    a: np.ndarray
    b: np.ndarray
    residual: np.ndarray
    reach: float

    @property
    def away(self) -> np.ndarray:
        """Whether each point lies off the plane by more than rounding."""
        return np.nan_to_num(self.residual) > OFF * max(self.reach, np.nan_to_num(self.residual).max(initial=0.0))

    def inside(self, result: Any) -> np.ndarray:
        """Say which points lie on the grid of a result."""
        ends = ((self.a, result.a), (self.b, result.b))
        return np.logical_and(*((axis.min() <= at) & (at <= axis.max()) for at, axis in ends))

    def told(self) -> str:
        """Return the name for a legend, with the largest distance from the plane where there is one."""
        name = self.name.replace("$", r"\$")
        if not self.away.any():
            return name
        farthest = number(np.nanmax(self.residual))
        return f"{name} ({'up to ' * (len(self.residual) > 1)}{farthest} off the plane)"


def runs(result: Any) -> list[Track]:
    """List the runs of training that are marked on a plane, each with its checkpoints in order."""
    names = _runs(result)
    return [_track(result, np.flatnonzero(names == name), name) for name in dict.fromkeys(names) if name]


def alone(result: Any) -> list[Track]:
    """List checkpoints that belong to no run: first those with a name of their own, then those of each folder."""
    where = np.flatnonzero(_runs(result) == "")
    names = _names(result)
    folders = [names[i].rpartition("/")[0] for i in where]
    groups = {folder: where[[other == folder for other in folders]] for folder in sorted(set(folders))}
    return [_track(result, members, folder) for folder, members in groups.items()]


def curves(result: Any) -> list[Track]:
    """List the curves that are drawn on a plane."""
    if getattr(result, "curve", None) is None:
        return []
    found = zip(result.curve, result.curve_a, result.curve_b, result.curve_residual, strict=True)
    return [Track(str(name), [], a, b, off, _reach(result, a, b)) for name, a, b, off in found]


def outside(result: Any) -> str:
    """Say how many of the marked checkpoints the grid does not reach; empty if it reaches all."""
    tracks = [*runs(result), *alone(result)]
    total = sum(len(track.a) for track in tracks)
    lost = total - sum(int(track.inside(result).sum()) for track in tracks)
    return f"{lost} of {total} checkpoints off the grid" if lost else ""


def height(result: Any, values: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Read a drawn quantity (len(result.a), len(result.b)) at points of the plane, bilinearly; NaN off the grid."""
    found = np.full(np.shape(a), np.nan)
    here = (a >= result.a[0]) & (a <= result.a[-1]) & (b >= result.b[0]) & (b <= result.b[-1])
    (i, s), (j, t) = _cell(result.a, a[here]), _cell(result.b, b[here])
    corners = [(i, j, (1 - s) * (1 - t)), (i + 1, j, s * (1 - t)), (i, j + 1, (1 - s) * t), (i + 1, j + 1, s * t)]
    with np.errstate(invalid="ignore"):
        found[here] = sum(np.where(share > 0, share * values[x, y], 0.0) for x, y, share in corners)
    return found


def steps(tracks: Sequence[Track]) -> list[tuple[str, list[int]]]:
    """Line runs up: for every moment its name, and how many checkpoints of each run lie before or at it.

    Where all checkpoints are numbered, as in ``epoch-0005``, moments are these numbers; else the places in the runs. A
    run that has ended stays where it is.
    """
    numbered = [[re.fullmatch(r"(.*?)(\d+)", name) for name in track.names] for track in tracks]
    words = {found[1] if found else None for each in numbered for found in each}
    if None in words or len(words) != 1:
        sizes = [len(track.names) for track in tracks]
        places = range(1, max(sizes) + 1)
        told = tracks[0].names if len(tracks) == 1 else [f"checkpoint {k} of {max(sizes)}" for k in places]
        return [(told[k - 1], [min(k, size) for size in sizes]) for k in places]
    times = [[int(found[2]) for found in each if found] for each in numbered]
    word = str(words.pop()).rstrip("-_ .") or "checkpoint"
    return [
        (f"{word} {now}", [sum(time <= now for time in each) for each in times])
        for now in sorted({time for each in times for time in each})
    ]


def _runs(result: Any) -> np.ndarray:
    """Return the run of each checkpoint, empty for one by itself; of older files by the kind of the plane."""
    a = getattr(result, "checkpoint_b", None)
    if a is None:
        return np.array([], dtype=str)
    known = getattr(result, "checkpoint_run", None)
    if known is not None:
        return np.array([str(name) for name in known], dtype=object)
    kind = (result.origin.get("directions") or {}).get("kind")
    return np.array(["" if kind in LONE or len(a) < 2 else NAMELESS] * len(a), dtype=object)


def _names(result: Any) -> list[str]:
    places = () if result.checkpoint_a is None else range(len(result.checkpoint_a))
    return [str(name) for name in (places if result.checkpoint is None else result.checkpoint)]


def _track(result: Any, where: np.ndarray, name: str) -> Track:
    names, off = _names(result), result.checkpoint_residual
    a, b = result.checkpoint_a[where], result.checkpoint_b[where]
    residual = np.full(len(where), np.nan) if off is None else off[where]
    return Track(name, [names[i] for i in where], a, b, residual, _reach(result, a, b))


def _reach(result: Any, a: np.ndarray, b: np.ndarray) -> float:
    lengths = np.nan_to_num(result.norm, nan=1.0)
    return float(max(np.abs(a).max() * lengths[0], np.abs(b).max() * lengths[1]))


def _cell(axis: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of an axis that each point lies in, and where in it, from 0 to 1."""
    index = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, max(len(axis) - 2, 0))
    return index, (at - axis[index]) / (axis[np.minimum(index + 1, len(axis) - 1)] - axis[index])
