"""Directions: the axes of lines and planes through parameter space, and where checkpoints lie on them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import weights
from landscape.result import opened

if TYPE_CHECKING:
    from landscape.objective import Objective

NORMALIZATIONS = ("filter", "layer", "weight", "model", "none")
KEPT_OUT = ("bias", "norm")  # roles whose share of a random direction is zero unless included
MARGIN = 0.25  # of the extent of the checkpoints, drawn around them


@dataclass(frozen=True, eq=False)
class Marks:
    """Checkpoints seen from a frame.

    Attributes
    ----------
    names : tuple of str
    coordinates : ndarray of shape (n, k)
        Least-squares coordinates: the nearest point of the frame.
    residual : ndarray of shape (n,)
        Distance of each checkpoint from that point, in parameter space.
    """

    names: tuple[str, ...]
    coordinates: np.ndarray
    residual: np.ndarray


@dataclass(frozen=True, eq=False)
class Frame:
    """A point and k directions: theta = center + sum_i a_i vectors[i].

    Attributes
    ----------
    center : Tensor of shape (D,)
    vectors : Tensor of shape (k, D)
    labels : tuple of str
        What each axis is.
    record : dict
        How the directions were made, in plain JSON: kind, seed, normalization, cosine, ratio.
    explained : ndarray of shape (k,) or None
        Share of a trajectory's variance along each axis.
    marks : Marks or None
    """

    center: Tensor
    vectors: Tensor
    labels: tuple[str, ...]
    record: dict[str, Any] = field(default_factory=dict)
    explained: np.ndarray | None = None
    marks: Marks | None = None

    @property
    def norm(self) -> np.ndarray:
        """Length of each direction in parameter space, (k,)."""
        return self.vectors.double().norm(dim=1).cpu().numpy()

    @property
    def cosine(self) -> np.ndarray:
        """Cosines between the directions, (k, k)."""
        gram = self._gram()
        length = np.sqrt(np.diag(gram))
        return gram / np.where(length > 0, length, 1)[:, None] / np.where(length > 0, length, 1)

    def point(self, coordinates: Tensor) -> Tensor:
        """Return the points at coordinates (..., k) -> (..., D), each from the center, never from its neighbour."""
        return self.center + coordinates.to(self.vectors) @ self.vectors

    def project(self, names: Sequence[str], thetas: Iterable[Tensor]) -> Frame:
        """Return the frame with checkpoints marked on it, by least squares (also where axes are not orthonormal)."""
        inverse = np.linalg.pinv(self._gram(), hermitian=True)
        coordinates, residual = [], []
        for theta in thetas:
            offset = (theta.to(self.center) - self.center).double()
            seen = inverse @ (self.vectors.double() @ offset).cpu().numpy()
            left = offset - torch.from_numpy(seen).to(offset) @ self.vectors.double()
            coordinates.append(seen)
            residual.append(float(left.norm()))
        marks = Marks(tuple(names), np.array(coordinates).reshape(-1, len(self.vectors)), np.array(residual))
        return replace(self, marks=marks)

    def extent(self) -> list[tuple[float, float]]:
        """Return the range of each axis: around the marked checkpoints, or [-1, 1]."""
        if self.marks is None or self.record["kind"] not in ("between", "principal"):
            return [(-1.0, 1.0)] * len(self.vectors)
        around = np.vstack([self.marks.coordinates, np.zeros(len(self.vectors))])
        low, high = around.min(0), around.max(0)
        room = np.where(high > low, high - low, (high - low).max() or 1.0)
        return [(float(a - MARGIN * r), float(b + MARGIN * r)) for a, b, r in zip(low, high, room, strict=True)]

    def _gram(self) -> np.ndarray:
        vectors = self.vectors.double()
        return (vectors @ vectors.T).cpu().numpy()


def random(
    objective: Objective,
    count: int = 2,
    *,
    center: Tensor | None = None,
    normalization: str = "filter",
    include: Sequence[str] = (),
    seed: int = 0,
    draw: int = 0,
) -> Frame:
    r"""Draw Gaussian directions, each filter as long as the filter of the network it perturbs.

    .. math:: d_f \leftarrow d_f \, \|w_f\| / \|d_f\|

    A filter is all that feeds one output unit: a row of a Linear or Embedding, an output channel of a convolution
    (transposed ones too). Biases and parameters of normalization layers are not perturbed unless included;
    one that is counts as a single filter.

    Parameters
    ----------
    objective : Objective
    count : int, default=2
        Number of directions, k.
    center : Tensor of shape (D,), optional
        The network whose filters set the scale; the objective's own parameters by default.
    normalization : {"filter", "layer", "weight", "model", "none"}
        What is scaled to the length of its counterpart in the network: each filter, each tensor, the whole vector;
        "weight" multiplies by every single |w|.
    include : sequence of {"bias", "norm"}
    seed, draw : int
        Directions are drawn on the CPU from (seed, draw, parameter name): the same on every device and in every
        precision, and the same for a parameter whichever others move.

    Returns
    -------
    Frame
        ``record["ratio"]`` has the smallest and largest |d_f| / |w_f| over filters of non-zero length.

    Raises
    ------
    ValueError
        If the normalization or an included role is unknown, or nothing is left to perturb.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"Expected a normalization among {', '.join(NORMALIZATIONS)}, got {normalization!r}.")
    if unknown := set(include) - set(KEPT_OUT):
        raise ValueError(f"Expected include among {', '.join(KEPT_OUT)}, got {', '.join(sorted(unknown))}.")
    center = objective.theta if center is None else center.to(objective.theta)
    moving = [b for b in objective.blocks if b.role not in KEPT_OUT or b.role in include]
    if not any(bool(center[b.slice].any()) for b in moving):
        raise ValueError("Expected weights to perturb, got none but biases and norms: pass include=('bias', 'norm').")
    vectors, ratios = torch.zeros(count, objective.dim, dtype=center.dtype, device=center.device), []
    for axis in range(count):
        for block in moving:
            drawn = _gaussian(f"{seed}/{draw}/{axis}/{block.name}", block.shape).to(center)
            own = center[block.slice].view(block.shape)
            vectors[axis, block.slice] = _scaled(drawn, own, block, normalization).flatten()
        if normalization == "model":
            vectors[axis] *= center.norm() / vectors[axis].norm()
        ratios += [_ratios(vectors[axis], center, block) for block in moving]
    ratio = torch.cat(ratios)
    record = {
        "kind": "random", "normalization": normalization, "include": sorted(include), "seed": seed, "draw": draw,
        "ratio": [float(ratio.min()), float(ratio.max())],
    }
    return _told(Frame(center, vectors, tuple(f"random direction {i + 1}" for i in range(count)), record))


def between(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2, seed: int = 0
) -> Frame:
    """Lay a line or a plane through checkpoints.

    Of one direction (`count` = 1) it is the segment: a = 0 at the first, a = 1 at the second checkpoint. A plane is
    spanned by an orthonormal frame with its origin at the first: toward the second, and toward the third (or, of two
    checkpoints, a random filter-normalized direction) made orthogonal. Coordinates are then distances in parameter space.

    Parameters
    ----------
    objective : Objective
    thetas : sequence of 2 or 3 Tensors of shape (D,)
    names : sequence of str, optional
    count : {1, 2}
    seed : int
        Of the random axis.

    Raises
    ------
    ValueError
        If the number of checkpoints does not fit, or they coincide or lie on a line.

    References
    ----------
    Goodfellow, Vinyals & Saxe (2015), arXiv:1412.6544 (segment); Garipov et al. (2018), arXiv:1802.10026 (plane).
    """
    thetas = [theta.to(objective.theta) for theta in thetas]
    names = list(names or (f"checkpoint {i + 1}" for i in range(len(thetas))))
    if len(thetas) not in ((2,) if count == 1 else (2, 3)):
        raise ValueError(f"Expected {'2' if count == 1 else '2 or 3'} checkpoints, got {len(thetas)}.")
    origin, first = thetas[0], (thetas[1] - thetas[0]).double()
    if not bool(first.any()):
        raise ValueError(f"Expected different checkpoints, got the same weights in {names[0]} and {names[1]}.")
    record = {"kind": "between", "checkpoints": names}
    if count == 1:
        frame = Frame(origin, first[None].to(origin), (f"{names[0]} to {names[1]}",), record)
        return _told(frame.project(names, thetas))
    if len(thetas) == 3:
        second, label = (thetas[2] - origin).double(), f"toward {names[2]}, orthogonalized"
    else:
        second, label = random(objective, 1, center=origin, seed=seed).vectors[0].double(), "random direction, orthogonalized"
        record["seed"] = seed
    length = second.norm()
    unit = first / first.norm()
    for _ in range(2):  # once is not enough in floating point
        second = second - (second @ unit) * unit
    if second.norm() <= 1e-6 * length:
        raise ValueError(f"Expected three checkpoints that span a plane, got three on one line: {', '.join(names)}.")
    vectors = torch.stack([unit, second / second.norm()]).to(origin)
    return _told(Frame(origin, vectors, (f"toward {names[1]}", label), record).project(names, thetas))


def principal(objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2) -> Frame:
    """Find the principal directions of a trajectory, through the last checkpoint.

    The axes are orthonormal, from the Gram matrix of the checkpoints (n x n, so that D does not matter); variance is about
    their mean. The origin is the last checkpoint, and each checkpoint is projected by least squares, with its residual.

    Raises
    ------
    ValueError
        If there are fewer than count + 1 checkpoints, or they do not span so many directions.

    Notes
    -----
    Memory: the n checkpoints, nD numbers.

    References
    ----------
    Li et al. (2018), arXiv:1712.09913, section 7.
    """
    names = list(names or (f"checkpoint {i + 1}" for i in range(len(thetas))))
    if len(thetas) < count + 1:
        raise ValueError(f"Expected at least {count + 1} checkpoints of a trajectory, got {len(thetas)}.")
    stacked = torch.stack([theta.to(objective.theta) for theta in thetas]).double()
    stacked -= stacked.mean(0)
    variance, mix = torch.linalg.eigh(stacked @ stacked.T)
    variance, mix = variance.flip(0)[:count].clamp(min=0), mix.flip(1)[:, :count]
    total = stacked.square().sum()
    if bool(variance[-1] <= 1e-12 * total):
        raise ValueError(f"Expected a trajectory that spans {count} directions, got one that spans fewer.")
    vectors = (mix.T @ stacked) / variance.sqrt()[:, None]
    frame = Frame(
        thetas[-1].to(objective.theta),
        vectors.to(objective.theta),
        tuple(f"principal direction {i + 1}" for i in range(count)),
        {"kind": "principal", "checkpoints": len(thetas)},
        explained=(variance / total).cpu().numpy(),
    )
    return _told(frame.project(names, thetas))


def gradient(objective: Objective, count: int = 2, *, center: Tensor | None = None, seed: int = 0) -> Frame:
    """Point along the gradient, scaled to length 1; a second axis is random, filter-normalized and made orthogonal.

    Raises
    ------
    ValueError
        If the gradient is zero or not finite.
    """
    center = objective.theta if center is None else center.to(objective.theta)
    slope = objective.gradient(center)
    if not bool(torch.isfinite(slope).all()) or not bool(slope.any()):
        raise ValueError("Expected a gradient to point along, got one that is zero or not finite.")
    unit = slope / slope.norm()
    vectors, labels = [unit], ["gradient"]
    if count == 2:
        drawn = random(objective, 1, center=center, seed=seed).vectors[0]
        vectors.append(drawn - (drawn @ unit) * unit)
        labels.append("random direction, orthogonalized")
    return _told(Frame(center, torch.stack(vectors), tuple(labels), {"kind": "gradient", "seed": seed}))


def load(path: str | os.PathLike, objective: Objective, count: int = 2, *, center: Tensor | None = None) -> Frame:
    """Read directions from a file: what is given is what is drawn.

    ``.npy`` or ``.npz`` of shape (D,) or (k, D); ``.pt`` or ``.safetensors`` with such a tensor, a state dict, or a list of
    state dicts; HDF5 as Li et al.'s scripts write it (groups ``xdirection`` and ``ydirection``).

    Raises
    ------
    ValueError
        If the file holds no `count` vectors of this objective.
    """
    found = [_flat(vector, objective) for vector in _vectors(Path(path))]
    if len(found) < count:
        raise ValueError(f"{path}: expected {count} directions, got {len(found)}.")
    center = objective.theta if center is None else center.to(objective.theta)
    labels = tuple(f"direction {i + 1} of {Path(path).name}" for i in range(count))
    record = {"kind": "file", "file": str(path), "sha256": weights.sha256(path)}
    return _told(Frame(center, torch.stack(found[:count]), labels, record))


def _told(frame: Frame) -> Frame:
    """Write the cosine of the axes into the record."""
    cosine = float(frame.cosine[0, 1]) if len(frame.vectors) > 1 else 0.0
    return replace(frame, record=frame.record | {"cosine": cosine, "norm": frame.norm.tolist()})


def _gaussian(key: str, shape: tuple[int, ...]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float64))


def _scaled(drawn: Tensor, own: Tensor, block: Any, normalization: str) -> Tensor:
    if normalization == "weight":
        return drawn * own.abs()
    if normalization in ("model", "none"):
        return drawn
    rows, own_rows = (block.filters(t) if normalization == "filter" else t.reshape(1, -1) for t in (drawn, own))
    scale = own_rows.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    return block.unfiltered(rows * scale) if normalization == "filter" else (rows * scale).reshape(block.shape)


def _ratios(vector: Tensor, center: Tensor, block: Any) -> Tensor:
    ours, own = (block.filters(t[block.slice].view(block.shape)).norm(dim=1) for t in (vector, center))
    return ours[own > 0] / own[own > 0]


def _vectors(path: Path) -> list[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of directions, got no such file.")
    if path.suffix in (".npy", ".npz"):
        try:
            found = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: expected an array of numbers, got something else ({error}).") from error
        arrays = [found] if isinstance(found, np.ndarray) else [found[name] for name in found.files]
        return [row for array in arrays for row in torch.from_numpy(np.atleast_2d(array))]
    if path.suffix in (".h5", ".hdf5"):
        return _goldstein(path)
    found = weights.read(path)
    if isinstance(found, Tensor):
        return list(torch.atleast_2d(found))
    return list(found) if isinstance(found, (list, tuple)) else [weights.state_dict(found, path)]


def _goldstein(path: Path) -> list[list[np.ndarray]]:
    with opened(path) as file:
        groups = [file[name] for name in ("xdirection", "ydirection") if name in file]
        return [[group[str(i)][()] for i in range(len(group))] for group in groups]


def _flat(vector: Any, objective: Objective) -> Tensor:
    if isinstance(vector, dict):
        return objective.pack(vector)
    if isinstance(vector, list):
        vector = torch.cat([torch.as_tensor(np.asarray(part)).flatten() for part in vector])
    if vector.numel() != objective.dim:
        raise ValueError(f"Expected a direction of length D={objective.dim}, got {vector.numel()}.")
    return vector.flatten().to(objective.theta)
