"""Measure several networks alike, at several widths."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from landscape.comparison.comparison import FULL, Comparison, gathered
from landscape.comparison.plan import USUAL, Network, Task, plan

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.objective import Objective
    from landscape.result import Result


def compare(
    objectives: Mapping[str, Objective],
    *,
    bits: Sequence[int] = (FULL,),
    probes: Sequence[str] = USUAL,
    known: Comparison | None = None,
    progress: Callable[[int, int], None] | None = None,
    **scheme: Any,
) -> Comparison:
    """Measure several networks by the same probes, each at several widths, and put the numbers in one table.

    Random directions are drawn from one seed and have the lengths of each network's own filters, those before rounding;
    networks with the same parameters get the same draws. Weights are rounded to nearest.

    Parameters
    ----------
    objectives : mapping of str to Objective
        Networks by name, on the same data; the first one is what barriers are measured to.
    bits : sequence of int, default=(32,)
        Widths: 32 for the network as it is, and from 1 to 8.
    probes : sequence of str, default=USUAL
        Probes with their knobs, such as ``surface:points=21``; see `landscape.comparison.plan.USUAL`. Of the probes
        between networks `barriers` alone has a meaning here; it is passed over where architectures differ, and where
        batch-norm statistics are frozen, which belong to one network: make objectives with ``batchnorm="refit"``.
    known : Comparison, optional
        Whose members are taken where they are what would be measured: the same weights, examples, arithmetic and probe.
    progress : callable, optional
        Told (results done, results in all).
    **scheme
        What a width means: knobs of `landscape.quantize.scheme.Scheme`, such as ``calibration="minmax"``.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there is no network, a width or a probe does not exist, the networks are not of the same data, or an
        objective is seen through a quantizer and has other widths.

    Notes
    -----
    Cost: that of every probe, for each network and width.
    """
    _expect(objectives, bits, scheme)
    networks = [Network(name, tuple(bits), tuple(one for one in bits if one != FULL)) for name in objectives]
    tasks = plan(networks, probes, alike=_alike(list(objectives.values())))
    found: dict[str, Result] = {}
    place = cache(lambda name, width: rounded(objectives[name], int(width), scheme))  # grids are fitted once
    for done, task in enumerate(tasks):
        if progress is not None:
            progress(done, len(tasks))
        points = {name: place(name, task.bits) for name in task.networks}
        found[task.name] = _measured(task, objectives[task.networks[0]], points, scheme, known)
    if progress is not None:
        progress(len(tasks), len(tasks))
    record = {"command": "compare", "bits": list(bits), "probes": list(probes), "scheme": scheme}
    return gathered(found, origin=record)


def _measured(
    task: Task, objective: Objective, points: Mapping[str, Tensor], scheme: Mapping[str, Any], known: Comparison | None
) -> Result:
    """Run one probe on a network at a width, or take what is known of it: of these weights and this objective."""
    from dataclasses import replace

    from landscape.discovery import member
    from landscape.probes import _contract

    weights = {name: _hash(point) for name, point in points.items()}
    done = json.loads(json.dumps({"probe": task.text, "weights": weights, "objective": objective.record()}))
    before = known.members.get(task.name) if known is not None else None
    if before is not None and before.origin.get("compared") == done:
        return before
    point = points[task.networks[0]]
    taken, given = _contract.parameters(task.probe.name), dict(task.probe.knobs)
    if "thetas" in taken:
        given |= {"thetas": list(points.values()), "names": list(points)}
    elif "theta" in taken:
        given["theta"] = point
    elif "center" in taken:
        given |= {"center": point, **({"norms": objective.theta} if "norms" in taken else {})}
    result = member(_contract.PACKAGE, task.probe.name)(objective, **given)
    return replace(result, origin=result.origin | {"compared": done} | _told(task, scheme))


def _told(task: Task, scheme: Mapping[str, Any]) -> dict[str, Any]:
    """Say by what scheme the weights were rounded, where they were."""
    from landscape.quantize.scheme import Scheme

    return {} if task.bits == FULL else {"rounded": Scheme(int(task.bits), **scheme).record()}


def rounded(objective: Objective, bits: int, scheme: Mapping[str, Any]) -> Tensor:
    """Return the parameters of an objective with the weights of its layers rounded to nearest: (D,)."""
    from landscape.quantize.layers import chosen
    from landscape.quantize.scheme import Scheme
    from landscape.quantize.surfaces import rounded as nearest

    if bits == FULL:
        return objective.theta
    own = objective.unpack(objective.theta)
    axes = {name: axis for name, axis in chosen(objective.network.model).items() if name in own}
    one = Scheme(bits, **scheme)
    return objective.pack(nearest(own, axes, dict.fromkeys(axes, one), bits))


def _alike(objectives: Sequence[Objective]) -> bool:
    """Say whether there are segments between all networks: of the same parameters, with statistics that may change."""
    if any(one.batchnorm == "frozen" and one.network.norms for one in objectives):
        return False
    shapes = [[(block.name, tuple(block.shape)) for block in one.blocks] for one in objectives]
    return all(one == shapes[0] for one in shapes)


def _hash(point: Tensor) -> str:
    import hashlib

    return hashlib.sha256(point.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def _expect(objectives: Mapping[str, Objective], bits: Sequence[int], scheme: Mapping[str, Any]) -> None:
    from landscape.quantize.scheme import Scheme

    if not objectives:
        raise ValueError("Expected networks to compare, got none: pass them by name.")
    for width in bits:
        if width != FULL:
            Scheme(width, **scheme)
    if seen := [name for name, one in objectives.items() if one.network.view is not None and set(bits) != {FULL}]:
        raise ValueError(
            f"Expected networks of full precision to round, got {seen[0]} seen through a quantizer: leave bits out."
        )
