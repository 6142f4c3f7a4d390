"""What results along curves have in common: barriers, and what they say in a line."""

from __future__ import annotations

from typing import Any

import numpy as np


class OnCurves:
    """How high the loss rises between the ends of each curve."""

    curve: np.ndarray
    split: np.ndarray
    t: np.ndarray
    loss: np.ndarray
    height: np.ndarray
    height_error: np.ndarray
    rise: np.ndarray
    rise_error: np.ndarray
    drop: np.ndarray | None
    drop_error: np.ndarray | None
    length: np.ndarray
    distance: np.ndarray
    origin: dict[str, Any]

    def barrier(self, above: str = "interpolation") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the barrier of every curve and split, in nats: its height, the standard error of that, and its t.

        Parameters
        ----------
        above : {"interpolation", "higher"}
            Over the linear interpolation of the losses at the ends, or over the higher one of both.

        Returns
        -------
        three ndarrays of shape (curve, split)
            The highest of the evaluated points, the first of them where several are: never below zero, for the ends
            are among them. The error is paired over examples, at that point: it does not tell that the point was chosen
            as the highest, nor what lies between points. NaN where a loss on the curve is NaN, or one of its ends
            infinite; infinity where a loss between them is.

        References
        ----------
        Frankle, Dziugaite, Roy & Carbin (2020), Linear mode connectivity and the lottery ticket hypothesis,
        arXiv:1912.05671; Entezari, Sedghi, Saukh & Neyshabur (2022), arXiv:2110.06296 (interpolation of the ends).
        """
        height, error = {
            "interpolation": (self.height, self.height_error), "higher": (self.rise, self.rise_error),
        }[above]  # fmt: skip
        return self._highest(height, error)

    def error_barrier(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the largest drop of accuracy below the linear interpolation of the ends, as `barrier` does of losses.

        Raises
        ------
        ValueError
            If no accuracy was measured.

        References
        ----------
        Frankle et al. (2020), arXiv:1912.05671 (instability, of errors); Ainsworth, Hayase & Srinivasa (2023), Git
        re-basin, arXiv:2209.04836.
        """
        if self.drop is None or self.drop_error is None:
            raise ValueError("Expected accuracies along the curves, got none: ask for the barrier of the loss.")
        return self._highest(self.drop, self.drop_error)

    def _highest(self, height: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        top = height.argmax(-1)[..., None]  # NaN, if there is one
        highest, uncertain = (np.take_along_axis(array, top, -1)[..., 0] for array in (height, error))
        return highest, uncertain, self.t[top[..., 0]]

    def figures(self) -> dict[str, tuple[float, float]]:
        """Tell the barriers of each curve on each split, of loss and accuracy, over the interpolation of its ends."""
        found = {"barrier": self.barrier()} | ({"error_barrier": self.error_barrier()} if self.drop is not None else {})
        return {
            f"{curve}_{split}_{name}": (float(height[c, s]), float(error[c, s]))
            for name, (height, error, _) in found.items()
            for c, curve in enumerate(self.curve.tolist())
            for s, split in enumerate(self.split.tolist())
        }

    def remarks(self) -> list[str]:
        """Say in a line for each curve how high its barrier is, and how long it is."""
        height, error, where = self.barrier()
        told = []
        for c, curve in enumerate(self.curve.tolist()):
            parts = [
                f"{split} {height[c, s]:.4g} \N{PLUS-MINUS SIGN} {error[c, s]:.2g} nat at t = {where[c, s]:.3g}"
                for s, split in enumerate(self.split.tolist())
            ]
            if self.drop is not None:
                drop = 100 * self.error_barrier()[0][c]
                parts[-1] += f"; accuracy drops by {' and '.join(f'{d:.3g} %' for d in drop)}"
            length, straight = self.length[c], self.distance[c]
            further = f" ({length / straight:.3g} times straight)" if straight > 0 else ""
            told.append(f"{curve}: barrier {', '.join(parts)}; length {length:.4g}{further}")
        return told
