"""What results over a grid have in common."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class OnGrid:
    """Where the center and the minimum are on a grid, and how the loss spreads over draws of the directions."""

    split: np.ndarray
    loss: np.ndarray
    draw_loss: np.ndarray | None
    origin: dict[str, Any]

    @property
    def center(self) -> tuple[int, ...]:
        """Index of the center on the grid."""
        steps = (getattr(self, name) for name in "ab" if hasattr(self, name))
        return tuple(int(np.abs(axis).argmin()) for axis in steps)

    @property
    def minimum(self) -> tuple[int, ...]:
        """Index of the smallest loss of the first split; the center, if all are NaN."""
        loss = self.loss[0]
        if np.isnan(loss).all():
            return self.center
        return tuple(int(i) for i in np.unravel_index(np.nanargmin(loss), loss.shape))

    @property
    def median(self) -> np.ndarray:
        """Median of the loss over draws, with the axes of the loss; the loss itself of a single draw."""
        return self.loss if self.draw_loss is None else np.median(self.draw_loss, axis=0)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell, for each split, the mean rise of the loss over its value at the center, with the error over draws."""
        found = {}
        for k, split in enumerate(self.split.tolist()):
            draws = (self.loss[None] if self.draw_loss is None else self.draw_loss)[:, k]
            rise = draws.reshape(len(draws), -1).mean(1) - self.loss[(k, *self.center)]
            error = rise.std(ddof=1) / math.sqrt(len(rise)) if len(rise) > 1 else math.nan
            found[f"{split}_rise"] = float(rise.mean()), float(error)
        return found

    def remarks(self) -> list[str]:
        """Say what the picture of a quantized network hides: steps, the gap to hard rounding, what is off the plane."""
        return [*_stairs(self.origin), *_gap(self.origin), *_off(self)]

    def band(self, low: float = 0.1, high: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles of the loss over draws, each with the axes of the loss."""
        draws = self.loss[None] if self.draw_loss is None else self.draw_loss
        return _quantile(draws, low), _quantile(draws, high)


def _stairs(origin: dict[str, Any]) -> list[str]:
    found = origin.get("staircase")
    if not found:
        return []
    moved = " and ".join(f"{100 * share:.2g} %" for share in found["moved"] or ())
    codes = f"; from a point to the next {moved} of the quantized weights change" if moved else ""
    return [f"{'stairs':<8}{100 * found['flat']:.2g} % of neighbouring points have the same loss{codes}"]


def _gap(origin: dict[str, Any]) -> list[str]:
    gap, how = origin.get("gap_to_hard") or {}, origin.get("view") or {}
    told = ", ".join(f"{split} {value:+.3g}" for split, value in gap.items())
    return [f"{'gap':<8}{told}: soft rounding of temperature {how.get('temperature')} against hard, center"] * bool(gap)


def _off(result: Any) -> list[str]:
    drawn = result.origin.get("directions") or {}
    if drawn.get("kind") != "bitplane" or result.checkpoint_residual is None:
        return []
    far = {"w": 0.0} | {f"Q{bits}": distance for bits, distance in drawn["distance"].items()}
    pairs = zip(result.checkpoint.tolist(), result.checkpoint_residual.tolist(), strict=True)
    told = [f"{name} {residual:.3g} of {far[name]:.3g}" for name, residual in pairs if name != "w"]
    return [f"{'off':<8}the plane, of the distance from w: {', '.join(told)}"]


def _quantile(draws: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile over draws; between infinities it is infinite, where NumPy has NaN."""
    with np.errstate(invalid="ignore"):
        between = np.quantile(draws, share, axis=0)
    return np.where(np.isnan(between), np.quantile(draws, share, axis=0, method="higher"), between)
