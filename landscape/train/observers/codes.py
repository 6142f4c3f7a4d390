"""How far a run is on its way to its quantized weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape.quantize.parametrization import quantizers
from landscape.train.fit import Run


class Codes:
    """Tell in the history of a run, at the end of each epoch, what its quantized weights do.

    ``changed``
        Share of them whose code is another than at the end of the epoch before. One bit: the rate of sign changes.
    ``distance``
        Mean distance of the latent weights from the deployed ones, in steps of their grids.

    Notes
    -----
    Memory of a byte a weight, and once an epoch the time to round all weights.

    References
    ----------
    Bai, Wang & Liberty (2019), ProxQuant: quantized neural networks via proximal operators, arXiv:1810.00861 (sign
    changes tell how stable training is).
    """

    def __init__(self) -> None:
        self.before: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, run: Run) -> None:
        """Look at the codes, if an epoch has ended."""
        if not run.clock.between_epochs:
            return
        codes, away, count = {}, [], 0
        for name, (quantizer, trained) in quantizers(run.model).items():
            latent, grid = quantizer.latent(trained), quantizer.grid_at(trained)
            found = grid.codes(latent)
            codes[name] = (found - grid.low).to(torch.uint8)
            away.append(((latent - grid.dequantize(found)).abs() / grid.step).sum())
            count += found.numel()
        if run.history and run.history[-1]["epoch"] == run.clock.epoch:
            changed = torch.stack([(codes[n] != b.to(codes[n].device)).sum() for n, b in self.before.items()]).sum()
            told = {"changed": changed.item() / count, "distance": torch.stack(away).sum().item() / count}
            run.history[-1] |= told
        self.before = codes

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        return {"before": self.before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the codes of another run."""
        self.before = dict(state["before"])
