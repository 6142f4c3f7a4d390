"""How a run describes itself: in its checkpoints, and to those who would resume it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from landscape.checkpoint import Checkpoint, Spec
from landscape.quantize import parametrization
from landscape.quantize.quantization import Quantization
from landscape.train.fit import Run, on_cpu
from landscape.train.method import Method
from landscape.train.settings import Settings


@dataclass(frozen=True)
class Record:
    """What is known of a run before its first step.

    Parameters
    ----------
    settings : Settings
    method : Method
    loss : str
        Name of the loss that is measured.
    model, data : Spec or None
        How to build the model and load the data.
    """

    settings: Settings
    method: Method
    loss: str
    model: Spec | None = None
    data: Spec | None = None

    def checkpoint(self, run: Run, **further: Any) -> Checkpoint:
        """Return the weights of a run as they are now, with all that is known about them."""
        training = {
            "method": self.method.name or self.settings.optimizer,
            "arguments": self.method.arguments,
            "settings": asdict(self.settings),
            "seed": self.settings.seed,
            "epochs": run.clock.epoch,
            "steps": run.clock.step,
            "gradient_evaluations": run.clock.evaluations,
            "torch": str(torch.__version__),  # a plain str, which a weights-only reader accepts
        }
        plain, quantization = self.deployed(run.model)
        return Checkpoint(
            state=on_cpu(plain), quantization=quantization, model=self.model, data=self.data, loss=self.loss,
            training=training | further,
            moments=run.moments, batchnorm="stale" if run.stale else "fresh",
        )  # fmt: skip

    def deployed(self, model: nn.Module) -> tuple[nn.Module, Quantization | None]:
        """Return a network as it is used, without what quantized its weights in training, and its grids if it has."""
        return parametrization.taken_off(model, {"method": self.method.name, "arguments": self.method.arguments})

    def member(self, run: Run, found: Checkpoint, name: str) -> Checkpoint:
        """Return the checkpoint of weights that a run kept, given that of the run."""
        network = copy.deepcopy(run.model)
        network.load_state_dict(run.kept[name])
        plain, quantization = self.deployed(network)
        training = unmeasured(found.training) | {"kept": name}
        return replace(found, state=on_cpu(plain), quantization=quantization, training=training, moments={})

    def identity(self, model: nn.Module, fingerprint: str) -> dict[str, Any]:
        """Return what must be equal for one run to go on where another stopped (JSON)."""
        sizes = sum(parameter.numel() for parameter in model.parameters())
        return asdict(self.settings) | {
            "method": self.method.name or self.settings.optimizer,
            "arguments": self.method.arguments,
            "loss": self.loss,
            "model": asdict(self.model) if self.model else f"{type(model).__name__} of {sizes} parameters",
            "weights": _digest(model),
            "data": fingerprint,
        }


def unmeasured(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint's training tells of the run, without what was measured of the weights it ended at."""
    return {name: value for name, value in training.items() if not name.startswith(("train_", "test_"))}


def _digest(model: nn.Module) -> str:
    """Hash the initial weights: a run goes on from the same ones only."""
    found = hashlib.sha256()
    for tensor in model.state_dict().values():
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
