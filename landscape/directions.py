"""Directions: the axes of lines and planes through parameter space."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape import operators, weights
from landscape import vectors as files
from landscape.eigenpairs import eigenpairs
from landscape.frame import Frame, Marks, exact

if TYPE_CHECKING:
    from landscape.engine.network import Block
    from landscape.objective import Objective

__all__ = ["Frame", "Marks", "between", "eigen", "given", "gradient", "load", "principal", "random"]

NORMALIZATIONS = ("filter", "layer", "weight", "model", "none")
KEPT_OUT = ("bias", "norm")  # roles whose share of a random direction is zero unless included
COLUMNS = 2**16  # parameters of all checkpoints that are held in float64 at a time
PARALLEL = 16  # roundings from 1 within which a cosine is that of parallel directions
ENDS = ("largest", "both")  # of the spectrum, from which eigenvectors are taken
FLAT = 1e-12  # share of the variance below which a trajectory does not span a direction


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
        Its parameters are perturbed.
    count : int, default=2
        Number of directions, k.
    center : Tensor of shape (D,), optional
        The network whose filters set the scale; the objective's own parameters by default.
    normalization : {"filter", "layer", "weight", "model", "none"}
        What is scaled to the length of its counterpart in the network: each filter, each tensor, the whole vector;
        "weight" multiplies by every single |w|.
    include : sequence of {"bias", "norm"}
        Roles that are perturbed too.
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
    include = (include,) if isinstance(include, str) else tuple(include)
    moving = _moving(objective, normalization, include)
    center = _center(objective, center)
    own, ratios = exact(center), []
    vectors = torch.zeros(count, objective.dim).to(center)
    for axis in range(count):
        row = torch.zeros_like(own)
        for block in moving:
            drawn = _gaussian(f"{seed}/{draw}/{axis}/{block.name}", block.shape)
            row[block.slice] = _scaled(drawn, own[block.slice].view(block.shape), block, normalization).flatten()
        if normalization == "model":
            row *= own.norm() / row.norm()
        vectors[axis] = row
        ratios += [_ratios(row, own, block) for block in moving]
    if not bool(vectors.any()):
        raise ValueError("Expected weights to perturb, got weights that are all zero: pass normalization='none'.")
    ratio = torch.cat(ratios)
    record = {
        "kind": "random", "normalization": normalization, "include": sorted(include), "seed": seed, "draw": draw,
        "ratio": [float(ratio.min()), float(ratio.max())] if len(ratio) else None,
    }
    return Frame(center, vectors, _numbered("random direction", count), record).told()


def between(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2, seed: int = 0
) -> Frame:
    """Lay a line or a plane through checkpoints.

    Of one direction (`count` = 1) it is the segment: a = 0 at the first, a = 1 at the second checkpoint. A plane is
    spanned by an orthonormal frame with its origin at the first: toward the second, and toward the third (or, of two
    checkpoints, a random filter-normalized direction) made orthogonal; its coordinates are distances.

    Parameters
    ----------
    objective : Objective
        Of the same network as the checkpoints.
    thetas : sequence of 2 or 3 Tensors of shape (D,)
        The checkpoints.
    names : sequence of str, optional
        What they are called.
    count : {1, 2}
        A line or a plane.
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
    thetas, names = _checkpoints(objective, thetas, names)
    if len(thetas) not in ((2,) if count == 1 else (2, 3)):
        raise ValueError(f"Expected {'2' if count == 1 else '2 or 3'} checkpoints, got {len(thetas)}.")
    origin = thetas[0]
    first = exact(thetas[1]) - exact(origin)
    if not bool(first.any()):
        raise ValueError(f"Expected different checkpoints, got the same weights in {names[0]} and {names[1]}.")
    record: dict[str, Any] = {"kind": "between", "checkpoints": names}
    if count == 1:
        frame = Frame(origin, first[None].to(origin), (f"{names[0]} to {names[1]}",), record, spanned=True)
        return frame.project(names, thetas).told()
    if len(thetas) == 3:
        second, label = exact(thetas[2]) - exact(origin), f"toward {names[2]}, orthogonalized"
    else:
        second, label = exact(random(objective, 1, center=origin, seed=seed).vectors[0]), "random, orthogonalized"
        record["seed"] = seed
    unit = first / first.norm()
    across = _orthogonal(second, unit)
    if across.norm() <= max(1e-6 * second.norm(), _rounding(origin)):
        raise ValueError(f"Expected three checkpoints that span a plane, got three on one line: {', '.join(names)}.")
    vectors = torch.stack([unit, across / across.norm()]).to(origin)
    frame = Frame(origin, vectors, (f"toward {names[1]}", label), record, spanned=True)
    return frame.project(names, thetas).told()


def principal(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None = None, *, count: int = 2
) -> Frame:
    """Find the principal directions of a trajectory, through the last checkpoint.

    The axes are orthonormal, from the Gram matrix of the checkpoints (n x n, so that D does not matter); variance is
    about their mean. The origin is the last checkpoint, and each checkpoint is projected by least squares, with its
    residual. The checkpoint that lies farthest along an axis lies on its positive side of the mean.

    Parameters
    ----------
    objective : Objective
        Of the same network as the checkpoints.
    thetas : sequence of n Tensors of shape (D,)
        The checkpoints, in order.
    names : sequence of str, optional
        What they are called.
    count : int, default=2
        Number of directions, k < n.

    Raises
    ------
    ValueError
        If there are fewer than count + 1 checkpoints, or they do not span so many directions.

    Notes
    -----
    Memory beside the n checkpoints: the k directions in float64, and 65,536 parameters of every checkpoint.

    References
    ----------
    Li et al. (2018), arXiv:1712.09913, section 7.
    """
    thetas, names = _checkpoints(objective, thetas, names)
    if len(thetas) < count + 1:
        raise ValueError(f"Expected at least {count + 1} checkpoints of a trajectory, got {len(thetas)}.")
    gram = torch.zeros(len(thetas), len(thetas), dtype=torch.float64)
    for part in _centered(thetas):
        gram += part @ part.T
    variance, mix = (found.flip(-1)[..., :count] for found in torch.linalg.eigh(gram))
    noise = len(thetas) * max(_rounding(theta) for theta in thetas) ** 2
    if variance[-1] <= max(FLAT * gram.trace(), noise):
        raise ValueError(f"Expected a trajectory that spans {count} directions, got one that spans fewer.")
    mix = mix * mix.gather(0, mix.abs().argmax(0, keepdim=True)).sign()
    spanning = torch.cat([mix.T @ part for part in _centered(thetas)], dim=1)
    vectors, triangle = torch.linalg.qr(spanning.T)  # orthonormal up to rounding already, but for small variances
    vectors = (vectors * triangle.diagonal().sign()).T
    frame = Frame(
        thetas[-1],
        vectors.to(thetas[-1]),
        _numbered("principal direction", count),
        {"kind": "principal", "checkpoints": len(thetas)},
        explained=(variance / gram.trace()).numpy(),
        spanned=True,
    )
    return frame.project(names, thetas).told()


def gradient(objective: Objective, count: int = 2, *, center: Tensor | None = None, seed: int = 0) -> Frame:
    """Point along the gradient, scaled to length 1; a second axis is random, filter-normalized and made orthogonal.

    Parameters
    ----------
    objective : Objective
        Its gradient is taken on the first split.
    count : {1, 2}
        A line or a plane.
    center : Tensor of shape (D,), optional
        Where the gradient is taken; the objective's own parameters by default.
    seed : int
        Of the random axis.

    Raises
    ------
    ValueError
        If the gradient is zero or not finite.
    """
    if count not in (1, 2):
        raise ValueError(f"Expected 1 or 2 directions with the gradient, got {count}.")
    center = _center(objective, center)
    slope = exact(objective.gradient(center))
    if not bool(torch.isfinite(slope).all()) or not bool(slope.any()):
        raise ValueError("Expected a gradient to point along, got one that is zero or not finite.")
    unit = slope / slope.norm()
    vectors, labels = [unit], ["gradient"]
    if count == 2:
        vectors.append(_orthogonal(exact(random(objective, 1, center=center, seed=seed).vectors[0]), unit))
        labels.append("random, orthogonalized")
    return Frame(center, torch.stack(vectors).to(center), tuple(labels), {"kind": "gradient", "seed": seed}).told()


def eigen(
    objective: Objective,
    count: int = 2,
    *,
    center: Tensor | None = None,
    which: str = "largest",
    tolerance: float = 1e-3,
    limit: int = 1000,
    seed: int = 0,
) -> Frame:
    """Point along eigenvectors of the Hessian, of length 1.

    Parameters
    ----------
    objective : Objective
        Its Hessian is taken on the first split.
    count : int, default=2
        Number of directions, k.
    center : Tensor of shape (D,), optional
        Where the Hessian is taken; the objective's own parameters by default.
    which : {"largest", "both"}
        Of the k largest eigenvalues, or of the largest ones and then the smallest ones, half of k each.
    tolerance : float, default=1e-3
        Residual of an eigenvector, relative to its eigenvalue.
    limit : int, default=1000
        Hessian-vector products, at most.
    seed : int
        Of the random start.

    Returns
    -------
    Frame
        ``record`` has the eigenvalues as ``value`` and their residuals as ``residual``, in nats.

    Raises
    ------
    ValueError
        If the end is unknown, there are fewer parameters than directions, or an eigenvector has not converged.

    References
    ----------
    Ghorbani, Krishnan & Xiao (2019), arXiv:1901.10159; Alain, Le Roux & Manzagol (2019), Negative eigenvalues of the
    Hessian in deep neural networks, arXiv:1902.02366.
    """
    if which not in ENDS:
        raise ValueError(f"Expected which among {', '.join(ENDS)}, got {which!r}: they are the ends of the spectrum.")
    center = _center(objective, center)
    smallest = count // 2 if which == "both" else 0
    found = eigenpairs(
        operators.hessian(objective, center), objective.dim, count=(count - smallest, smallest),
        tolerance=tolerance, limit=limit, seed=seed, like=center,
    )  # fmt: skip
    if not found.converged.all():
        raise ValueError(
            f"Expected residuals of at most {tolerance:g} within {limit} products, got {found.residuals.tolist()} of "
            f"eigenvalues {found.values.tolist()}: raise the limit or the tolerance."
        )
    labels = tuple(f"eigenvector of {value:.3g} nat" for value in found.values.tolist())
    record = {
        "kind": "eigen", "which": which, "seed": seed,
        "value": found.values.tolist(), "residual": found.residuals.tolist(),
    }  # fmt: skip
    return Frame(center, found.vectors.to(center), labels, record).told()


def given(objective: Objective, vectors: Any, *, center: Tensor | None = None) -> Frame:
    """Take directions as they are: not rescaled, not made orthogonal.

    Parameters
    ----------
    objective : Objective
        Whose parameters they are about.
    vectors : Tensor or array of shape (k, D) or (D,)
        The directions.
    center : Tensor of shape (D,), optional
        Where they are attached; the objective's own parameters by default.

    Raises
    ------
    ValueError
        If they have another length, one is zero or not finite, or two are parallel.
    """
    center = _center(objective, center)
    vectors = torch.atleast_2d(torch.as_tensor(vectors)).to(center)
    if vectors.ndim != 2 or vectors.shape[1] != objective.dim:
        raise ValueError(f"Expected directions of length D={objective.dim}, got shape {tuple(vectors.shape)}.")
    for number, vector in enumerate(vectors, start=1):
        if not bool(torch.isfinite(vector).all()) or not bool(vector.any()):
            raise ValueError(f"Expected directions to go along, got zero or not finite numbers as direction {number}.")
    _require_plane(vectors)
    return Frame(center, vectors, _numbered("given direction", len(vectors)), {"kind": "given"}).told()


def _require_plane(vectors: Tensor) -> None:
    """Refuse parallel directions: every row of such a plane would be the same line."""
    unit = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    cosine = (unit @ unit.T).fill_diagonal_(0).abs()
    if bool((1 - cosine < PARALLEL * torch.finfo(vectors.dtype).eps).any()):
        raise ValueError("Expected directions that span a plane, got parallel ones: give others, or draw a line.")


def load(path: str | os.PathLike, objective: Objective, count: int = 2, *, center: Tensor | None = None) -> Frame:
    """Read directions from a file: what is given is what is drawn.

    ``.npy`` or ``.npz`` of shape (D,) or (k, D); ``.pt`` or ``.safetensors`` with such a tensor, a state dict, or a
    list of either; HDF5 with eigenvectors that `landscape.probes.eigen` measured, or as Li et al.'s scripts write it
    (groups ``xdirection`` and ``ydirection``).

    Parameters
    ----------
    path : path
        The file; nothing that it carries is run.
    objective : Objective
        Whose parameters the directions are about.
    count : int, default=2
        Number of directions; more in the file are left out.
    center : Tensor of shape (D,), optional
        Where they are attached; the objective's own parameters by default.

    Raises
    ------
    ValueError
        If the file holds no `count` vectors of this objective.
    OSError
        If there is no such file.
    """
    path = Path(path)
    found = files.read(path, objective.dim)
    if len(found) < count:
        raise ValueError(f"{path}: expected {count} directions, got {len(found)}.")
    try:
        frame = given(objective, torch.stack([_flat(vector, objective) for vector in found[:count]]), center=center)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    record = frame.record | {"kind": "file", "file": str(path), "sha256": weights.sha256(path)}
    return Frame(frame.center, frame.vectors, _numbered(f"{path.name}, direction", count), record)


def _moving(objective: Objective, normalization: str, include: tuple[str, ...]) -> list[Block]:
    """Return the blocks that a random direction perturbs."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"Expected a normalization among {', '.join(NORMALIZATIONS)}, got {normalization!r}.")
    if unknown := set(include) - set(KEPT_OUT):
        raise ValueError(f"Expected include among {', '.join(KEPT_OUT)}, got {', '.join(sorted(map(str, unknown)))}.")
    moving = [block for block in objective.blocks if block.role not in KEPT_OUT or block.role in include]
    if not moving:
        raise ValueError("Expected weights to perturb, got only biases and norms: pass include=('bias', 'norm').")
    return moving


def _center(objective: Objective, center: Tensor | None) -> Tensor:
    found = objective.theta if center is None else torch.as_tensor(center).detach().to(objective.theta)
    if found.shape != (objective.dim,):
        raise ValueError(f"Expected a center of shape ({objective.dim},), got {tuple(found.shape)}.")
    if not bool(torch.isfinite(found).all()):
        raise ValueError("Expected finite weights, got NaN or infinite ones: the checkpoint is damaged, or diverged.")
    return found


def _checkpoints(
    objective: Objective, thetas: Sequence[Tensor], names: Sequence[str] | None
) -> tuple[list[Tensor], list[str]]:
    thetas = [_center(objective, theta) for theta in thetas]
    names = list(names or (f"checkpoint {i + 1}" for i in range(len(thetas))))
    if len(names) != len(thetas):
        raise ValueError(f"Expected a name for each of {len(thetas)} checkpoints, got {len(names)}.")
    return thetas, names


def _numbered(label: str, count: int) -> tuple[str, ...]:
    return tuple(f"{label} {i + 1}" for i in range(count))


def _orthogonal(vector: Tensor, unit: Tensor) -> Tensor:
    for _ in range(2):  # once is not enough in floating point
        vector = vector - (vector @ unit) * unit
    return vector


def _rounding(theta: Tensor) -> float:
    """Return about how far from where it should be a vector lies for the rounding of its numbers."""
    return torch.finfo(theta.dtype).eps * float(exact(theta).norm())


def _centered(thetas: list[Tensor]) -> Iterator[Tensor]:
    """Yield stretches (n, columns) of the checkpoints about their mean, in float64."""
    for start in range(0, len(thetas[0]), COLUMNS):
        part = torch.stack([exact(theta[start : start + COLUMNS]) for theta in thetas])
        yield part - part.mean(0)


def _gaussian(key: str, shape: tuple[int, ...]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float64))


def _scaled(drawn: Tensor, own: Tensor, block: Block, normalization: str) -> Tensor:
    if normalization == "weight":
        return drawn * own.abs()
    if normalization in ("model", "none"):
        return drawn
    if normalization == "layer":
        return drawn * (own.norm() / drawn.norm())
    rows = block.filters(drawn)
    return block.unfiltered(rows * (block.filters(own).norm(dim=1) / rows.norm(dim=1))[:, None])


def _ratios(vector: Tensor, center: Tensor, block: Block) -> Tensor:
    ours, own = (block.filters(t[block.slice].view(block.shape)).norm(dim=1) for t in (vector, center))
    return ours[own > 0] / own[own > 0]


def _flat(vector: Any, objective: Objective) -> Tensor:
    if isinstance(vector, dict):
        return objective.pack(vector)
    if isinstance(vector, list):
        vector = torch.cat([torch.as_tensor(part).flatten() for part in vector])
    if not isinstance(vector, Tensor) or vector.numel() != objective.dim:
        told = vector.numel() if isinstance(vector, Tensor) else type(vector).__name__
        raise ValueError(f"Expected a direction of length D={objective.dim}, got {told}.")
    return vector.flatten().to(objective.theta)
