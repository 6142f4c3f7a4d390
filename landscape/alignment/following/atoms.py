"""The atoms of a network's parameters and buffers: by axis, and by number where a parameter is used as data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from landscape.alignment.following.units import Units


class Atoms:
    """Atoms of the tensors of a state dict, made when first asked for.

    Parameters
    ----------
    state : dict of str to Tensor
        The very tensors that the forward pass uses; tied ones have several names.
    units : Units
    """

    def __init__(self, state: Mapping[str, Tensor], units: Units) -> None:
        self.units, self.shapes = units, {}
        self.names: dict[str, list[str]] = {}  # by the first name of a tensor: all its names
        self._first: dict[int, str] = {}
        self.axes: dict[tuple[str, int], np.ndarray] = {}
        self.elements: dict[str, np.ndarray] = {}
        for name, tensor in state.items():
            if not tensor.is_floating_point():
                continue  # counters, masks and tables of indices stay
            first = self._first.setdefault(id(tensor), name)
            self.names.setdefault(first, []).append(name)
            self.shapes[first] = tuple(tensor.shape)

    def name(self, tensor: Tensor) -> str | None:
        """Return the first name of a tensor of the state dict, None for others."""
        return self._first.get(id(tensor))

    def axis(self, name: str, axis: int) -> np.ndarray:
        """Return the atoms of an axis of a tensor."""
        if (name, axis) not in self.axes:
            self.axes[name, axis] = self.units.fresh(self.shapes[name][axis])
        return self.axes[name, axis]

    def data(self, name: str) -> Tensor:
        """Return integers for all numbers of a tensor that is used as data."""
        shape = self.shapes[name]
        long = [axis for axis, size in enumerate(shape) if size > 1]
        if not long:
            return torch.zeros(shape, dtype=torch.long)
        if len(long) == 1:
            return torch.from_numpy(self.axis(name, long[0])).reshape(shape)
        if name not in self.elements:
            self.elements[name] = self.units.fresh(int(np.prod(shape)), element=True)
        return torch.from_numpy(self.elements[name]).reshape(shape)

    def along(self, ids: Tensor, axis: int) -> np.ndarray | None:
        """Return the atoms along an axis of a tensor that is a rearrangement of a parameter.

        None where that axis is none of the parameter's own: then its numbers are not permuted along it alone.
        """
        for name, elements in self.elements.items():
            if ids.numel() and elements[0] <= int(ids.min()) and int(ids.max()) <= elements[-1]:
                return self._along(name, ids, axis % ids.ndim)
        return None

    def _along(self, name: str, ids: Tensor, axis: int) -> np.ndarray | None:
        places = torch.unravel_index(ids - int(self.elements[name][0]), self.shapes[name])
        moving = [k for k, place in enumerate(places) if bool((place != place.narrow(axis, 0, 1)).any())]
        if len(moving) != 1:
            return None
        lines = places[moving[0]].movedim(axis, 0).reshape(ids.shape[axis], -1)
        if bool((lines != lines[:, :1]).any()):
            return None
        return self.axis(name, moving[0])[lines[:, 0].numpy()]

    def settle(self) -> list[str]:
        """Join what parameters used as data say with the atoms of their axes; names those that must stay.

        Where the numbers along all other axes move together, one axis moves: the units of a position embedding. A
        parameter whose numbers move in no such way stays.
        """
        stay = []
        for name, elements in self.elements.items():
            roots = self.units.root[elements].reshape(self.shapes[name])
            active = self._active(elements).reshape(self.shapes[name])
            if not active.any():
                continue
            axis = self._moving(roots, active)
            for other in range(roots.ndim):
                if other != axis and (name, other) in self.axes:
                    self.units.pin(self.axes[name, other])
            if axis is None:
                self.units.pin(roots[active])
                stay.append(name)
                continue
            rows, used = (np.moveaxis(part, axis, 0).reshape(roots.shape[axis], -1) for part in (roots, active))
            atoms = self.axis(name, axis)
            self.units.pin(atoms[~used.any(1)])
            where, column = np.nonzero(used)
            self.units.merge(atoms[where], rows[where, column])
        return stay

    def _active(self, elements: np.ndarray) -> np.ndarray:
        """Say which atoms move with others, or may not move."""
        units = self.units
        count = np.bincount(units.root)
        bound = np.zeros(len(units.root), bool)
        bound[units.root[units.fixed]] = True
        for side in units.above():
            bound[side] = True
        return (count[units.root[elements]] > 1) | bound[units.root[elements]]

    def _moving(self, roots: np.ndarray, active: np.ndarray) -> int | None:
        """Return the axis along which alone the roots of active numbers change."""
        top = len(self.units.root)
        for axis, size in enumerate(roots.shape):
            low, high = (
                np.moveaxis(np.where(active, roots, empty), axis, 0).reshape(size, -1) for empty in (top, -1)
            )
            used = np.moveaxis(active, axis, 0).reshape(size, -1).any(1)
            if size > 1 and (low.min(1)[used] == high.max(1)[used]).all():
                return axis
        return None
