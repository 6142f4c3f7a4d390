"""Two networks with their units in the same order, and the loss between them before and after."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.probes._cost import Cost
from landscape.probes.path import Path
from landscape.result import quantity

if TYPE_CHECKING:
    import torch
    from torch import nn

    from landscape.alignment.structure import Structure
    from landscape.alignment.weights import Matching
    from landscape.objective import Objective
    from landscape.parts import Parts

WAYS = ("weights", "activations", "straight_through")
FEW = 8  # examples that units are followed on, and that a permuted network is asked about
EPS = {"tf32": 2**-10, "bfloat16": 2**-7}  # of arithmetic that is coarser than the format of the weights


@dataclass(frozen=True, eq=False, repr=False)
class Align(Path):
    """A permutation of the second network's units, and the loss on the way to it before, after, and repaired."""

    group: np.ndarray = quantity("units that may change places among each other", "group")
    size: np.ndarray = quantity("units of a group", "group")
    moved: np.ndarray = quantity("share of the units of a group that changed places", "group")
    order: np.ndarray = quantity("before or after the permutation", "order")
    similarity: np.ndarray = quantity(
        "mean cosine between the weights of a unit in one network and in the other", "order", "group"
    )
    permutation: np.ndarray = quantity("unit of the second network that comes to each place, group by group", "unit")

    def permutations(self) -> dict[str, np.ndarray]:
        """Return the permutation of each group, by name."""
        parts = np.split(self.permutation, np.cumsum(self.size)[:-1])
        return dict(zip(self.group.tolist(), parts, strict=True))

    def remarks(self) -> list[str]:
        """Say how many units moved, and what each segment's barrier is."""
        count, total = float((self.moved * self.size).sum()), int(self.size.sum())
        return [f"{round(count)} of {total} units in {len(self.size)} groups changed places", *super().remarks()]


def align(
    objective: Objective,
    end: torch.Tensor,
    *,
    matching: str = "weights",
    tries: int = 1,
    steps: int = 200,
    lr: float = 0.1,
    repair: bool = True,
    points: int = 25,
    structure: Structure | str | None = None,
    seed: int = 0,
    store: Callable | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Align:
    """Bring the units of a second network into the order of the first one's, and measure the segment before and after.

    Parameters
    ----------
    objective : Objective
        At the first network, all of whose parameters move. Of a network with batch norm, made with
        ``batchnorm="refit"``.
    end : Tensor of shape (D,)
        The second network.
    matching : {"weights", "activations", "straight_through"}
        What units are matched by: their weights, their answers to the first split, or the loss in the middle.
    tries : int, default=1
        Descents of weight matching: the first from the order as it is, others from random ones; the best is kept.
    steps : int, default=200
        Steps of straight-through matching.
    lr : float, default=0.1
        Learning rate of straight-through matching.
    repair : bool, default=True
        Also measure the segment with the mean and spread of every channel interpolated, if there is no batch norm.
    points : int, default=25
        Evenly spaced positions on each segment, the ends included.
    structure : Structure or str, optional
        Which units may change places: a JSON file that declares it, if the network cannot be traced.
    seed : int, default=0
        Of the order of the groups, the random permutations and the batches.
    store : callable, optional
        Opens part files that make the work resumable, as `landscape.sweep.sweep` takes it.
    progress : callable, optional
        Told (points done, points in all).

    Returns
    -------
    Align
        Curves before, after and, of networks without batch norm, repaired. Lengths and distances of the repaired one
        are those in its own space, where each channel's mean and spread are parameters besides.

    Raises
    ------
    ValueError
        If a knob has no such value, no units may be permuted, the networks are the same, or batch-norm statistics are
        frozen.

    Notes
    -----
    Cost: the matching, and what two or three paths cost. The permuted network computes what it did. The cosines are of
    parameters, those of batch norm included and its statistics not; units whose weights are all zero are left out.

    References
    ----------
    Ainsworth, Hayase & Srinivasa (2022), Git Re-Basin, arXiv:2209.04836; Entezari, Sedghi, Saukh & Neyshabur (2022),
    The role of permutation invariance in linear mode connectivity, arXiv:2110.06296; Jordan et al. (2022), REPAIR,
    arXiv:2211.08403.
    """
    import torch

    from landscape.alignment.structure import permuted
    from landscape.alignment.weights import among
    from landscape.probes._along import planned

    end = end.to(objective.theta)
    _expect(objective, end, matching, points)
    structure = structured(*_network(objective), structure) if isinstance(structure, str | None) else structure
    objective, plan, parts = planned(objective, store)
    told = _Told(progress, steps if matching == "straight_through" else 0)
    knobs = {"tries": tries, "steps": steps, "lr": lr, "seed": seed}
    found = _kept(parts, lambda: _matching(objective, end, structure, matching, knobs, told))
    _require_same(objective, structure, found)
    named = among(structure, [block.name for block in objective.blocks])
    aligned = objective.pack(permuted(objective.unpack(end), named, found.permutation))
    arrays, curves = _measured(objective, [end, aligned], structure if repair else None, points, parts, told)
    return Align(
        **arrays,
        **_units(objective, named, found.permutation, [end, aligned]),
        permutation=torch.cat([found.permutation[group.name].cpu() for group in structure.groups]).numpy(),
        origin=objective.record() | {
            "plan": plan,
            "matched": {"by": matching} | found.record,
            "fixed": list(structure.fixed),
            "curves": curves,
            "evaluations": points * len(curves),
        },
    )  # fmt: skip


def cost(objective: Objective, *, points: int = 25, repair: bool = True, **_: Any) -> Cost:
    """Tell what the segments cost, as if there were something to repair; matching comes on top."""
    mended = 2 * repair if not objective.network.norms else 0  # statistics are found first
    return Cost(points=points * (2 + mended), vectors=6, alone=True)


class _Told:
    """Says how far the work is: steps of the matching, then points."""

    def __init__(self, progress: Callable[[int, int], None] | None, steps: int) -> None:
        self.progress, self.before, self.total = progress, 0, steps

    def __call__(self, done: int, _: int) -> None:
        """Take what is done of the part under way."""
        if self.progress:
            self.progress(self.before + done, self.total)

    def begin(self, before: int, total: int) -> None:
        """Begin the next part: so much is done before it, of so much in all."""
        self.before, self.total = before, total


def _expect(objective: Objective, end: torch.Tensor, matching: str, points: int) -> None:
    from landscape.curves import segment
    from landscape.probes._along import require_curve, spaced

    spaced(points)
    if matching not in WAYS:
        raise ValueError(f"Expected a matching among {', '.join(WAYS)}, got {matching!r}: choose one of them.")
    if end.shape != objective.theta.shape:
        raise ValueError(
            f"Expected the {objective.dim} parameters of a network of the same architecture, got shape "
            f"{tuple(end.shape)}: it belongs to another network."
        )
    require_curve(objective, "before", segment(objective.theta, end))
    moved = {block.name for block in objective.blocks}
    if missing := [name for name in objective.network.tensors if name not in moved]:
        raise ValueError(
            f"Expected an objective of all parameters, got one that holds {missing[0]!r} fixed: units are permuted "
            "with all their weights, so leave --parameters out."
        )


def _network(objective: Objective) -> tuple[nn.Module, Any]:
    """Return a copy of the network as it was before the engine prepared it, and some inputs."""
    import copy

    from landscape.engine import batchnorm

    inputs, _, _ = next(objective._resident[0].chunks(FEW))
    model = copy.deepcopy(objective.network.model)
    batchnorm.released(model)
    return model, inputs


def structured(model: nn.Module, inputs: Any, path: str | None) -> Structure:
    """Read the structure of a network from a file, or follow its units through a few examples."""
    from landscape.alignment.declared import declared
    from landscape.alignment.tracing import traced

    return traced(model, inputs) if path is None else declared(read(path), model)


def read(path: str) -> str:
    """Read a file that declares a structure.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no text.
    """
    from pathlib import Path as File

    try:
        return File(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected a JSON file of permutable units, got no such file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected a JSON file of permutable units, got bytes that are no text.") from None


def _require_same(objective: Objective, structure: Structure, found: Matching) -> None:
    """Refuse a permutation that changes what the network of an objective computes, on a few examples."""
    from landscape.alignment.exactness import require_same_function

    model, inputs = _network(objective)
    require_same_function(model, structure, found.permutation, inputs)


def _matching(
    objective: Objective, end: torch.Tensor, structure: Structure, matching: str, knobs: dict[str, Any], told: _Told
) -> Matching:
    from landscape.alignment.activations import activation_matching
    from landscape.alignment.straight_through import straight_through_matching
    from landscape.alignment.weights import weight_matching

    theta = objective.theta
    if matching == "activations":
        return activation_matching(objective, theta, end, structure)
    if matching == "straight_through":
        return straight_through_matching(objective, theta, end, structure, **knobs, progress=told)
    both = objective.unpack(theta), objective.unpack(end)
    return weight_matching(*both, structure, tries=knobs["tries"], seed=knobs["seed"])


def _kept(parts: Parts | None, work: Callable[[], Matching]) -> Matching:
    """Find a permutation, or read the one that was found before an interruption."""
    import torch

    from landscape.alignment.weights import Matching
    from landscape.parts import Parts

    if parts is None:
        return work()
    path = parts.folder / "matching"
    if not path.with_suffix(".parts").is_dir() or not Parts(path, {}, dict).done():
        found = work()  # before anything is kept: work that fails leaves nothing
        arrays = {f"group {name}": order.cpu().numpy() for name, order in found.permutation.items()}
        Parts(path, {}, dict).write(0, arrays | {"record": np.array(json.dumps(found.record))})
    arrays = Parts(path, {}, dict).read(0)
    record = json.loads(str(arrays.pop("record")))
    return Matching({name.removeprefix("group "): torch.from_numpy(order) for name, order in arrays.items()}, record)


def _measured(
    objective: Objective, lasts: list[torch.Tensor], structure: Structure | None, points: int, parts: Parts | None,
    told: _Told,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Measure the segments before and after and, given a structure to repair by, the repaired one."""
    import torch

    from landscape.alignment.repair import ends, repairable
    from landscape.curves import segment
    from landscape.parts import Parts
    from landscape.probes._along import along

    theta, steps = objective.theta, told.total
    curves = {"before": segment(theta, lasts[0])}
    if not bool((theta == lasts[1]).all()):  # a permuted copy has come back: there is no way to go
        curves["after"] = segment(theta, lasts[1])
    if structure and (objective.network.norms or len(curves) == 1 or not repairable(objective, structure)):
        structure = None
    told.begin(steps, steps + points * (len(curves) + (structure is not None)))
    arrays = along(objective, curves, points, store=parts and (lambda _: parts), progress=told)
    if structure:
        told.begin(steps + points * len(curves), told.total)
        made, (first, last) = ends(objective, structure, theta, lasts[1])
        more = {"repaired": segment(first, last)}
        nested = parts and (lambda plan: Parts(parts.folder / "repaired", {}, plan))
        arrays = _joined(arrays, along(made, more, points, store=nested, progress=told))
        curves |= more
    eps = EPS[objective.precision] if objective.precision in EPS else torch.finfo(objective.theta.dtype).eps
    _require_ends(list(curves), arrays["loss"], eps)
    return arrays, {name: curve.record() for name, curve in curves.items()}


def _require_ends(curves: list[str], loss: np.ndarray, eps: float) -> None:
    """Refuse segments (curve, split, t) that do not end in the same networks: on all data, not on a few examples."""
    ends = loss[:, :, [0, -1]]
    same = np.isclose(ends, ends[0], rtol=0, atol=eps**0.5 * np.nanmax(np.abs(ends), initial=0.0), equal_nan=True)
    if not same.all():
        c = int(np.argwhere(~same)[0, 0])
        raise ValueError(
            f"Expected a segment {curves[c]!r} that ends in the same networks as before, got losses of "
            f"{np.array2string(ends[c, 0], precision=6)} at its ends instead of "
            f"{np.array2string(ends[0, 0], precision=6)}: its units were followed on {FEW} examples, and other "
            "examples or buffers tell them apart; declare its groups in a file."
        )


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Put arrays of curves one after another."""
    declared = Path.declared()
    return {
        name: np.concatenate([array, second[name]]) if "curve" in declared[name]["dims"] else array
        for name, array in first.items()
    }


def _units(
    objective: Objective, structure: Structure, permutation: Mapping[str, torch.Tensor], lasts: list[torch.Tensor]
) -> dict[str, Any]:
    """Return what is told of each group."""
    import torch

    from landscape.alignment.weights import cosines

    first = objective.unpack(objective.theta)
    others = [objective.unpack(last) for last in lasts]
    orders = [permutation[group.name].cpu() for group in structure.groups]
    return {
        "group": [group.name for group in structure.groups],
        "size": [group.size for group in structure.groups],
        "moved": [float((order != torch.arange(len(order))).double().mean()) for order in orders],
        "order": ["before", "after"],
        "similarity": [[float(cosines(first, o, g).nanmean()) for g in structure.groups] for o in others],
    }
