"""A callback for the Trainer of Lightning, which need not be installed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from landscape.hooks.listener import Listener
from landscape.hooks.silent import Silent


class Lightning(Silent):
    """What a Trainer calls; it counts steps and epochs, also of a run that is resumed.

    Notes
    -----
    The final checkpoint is written when the fit ends, after callbacks that put an average in place have done so.
    """

    def __init__(self, recorder: Listener) -> None:
        self.recorder = recorder
        self._step = 0

    @property
    def state_key(self) -> str:
        """Under which a checkpoint of the trainer keeps the state: one for each output."""
        return f"landscape.hooks:{self.recorder.output.name}"

    _legacy_state_key = state_key

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint of the trainer keeps."""
        return self.recorder.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint of the trainer kept."""
        self.recorder.load_state_dict(state)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin, or go on from the step that the trainer restored."""
        self._step = trainer.global_step
        self.recorder.begin(pl_module, step=trainer.global_step, epoch=trainer.current_epoch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count a step of the optimizer, if the batch ended one, and the loss in any case."""
        batches = float(getattr(trainer, "num_training_batches", math.inf))
        part = (batch_idx + 1) / batches if math.isfinite(batches) else 0.0
        epoch = trainer.current_epoch + part
        self.recorder.at(trainer.global_step, epoch, **_losses(outputs, getattr(trainer, "accumulate_grad_batches", 1)))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Count an epoch; where it is known to be the last, it is the last time that no average is in place."""
        self.recorder.at(trainer.global_step, trainer.current_epoch + 1)
        self.recorder.log(**dict(getattr(trainer, "callback_metrics", {})))
        if _ends(trainer):
            self.recorder.last()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the last point, where it was not known to be the last."""
        self.recorder.last()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the final checkpoint."""
        self.recorder.log(**dict(getattr(trainer, "callback_metrics", {})))
        self.recorder.finish(last=False)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave the trajectory whole."""
        if self.recorder.running:
            self.recorder.stop(type(exception).__name__)


def _losses(outputs: Any, accumulated: int) -> dict[str, Any]:
    """Return the loss of a batch: the trainer has divided it by the number of batches that a step accumulates."""
    found = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    return {} if found is None else {"loss": found * accumulated}


def _ends(trainer: Any) -> bool:
    epochs, steps = getattr(trainer, "max_epochs", None) or -1, getattr(trainer, "max_steps", None) or -1
    over = 0 < epochs <= trainer.current_epoch + 1 or 0 < steps <= trainer.global_step
    return over or bool(getattr(trainer, "should_stop", False))
