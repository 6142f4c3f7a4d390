"""A callback for the Trainer of Hugging Face transformers, which need not be installed."""

from __future__ import annotations

from typing import Any

from landscape.hooks.listener import Listener
from landscape.hooks.silent import Silent

PLACES = ("epoch", "step")  # which every point has anyway


class HuggingFace(Silent):
    """What a Trainer calls; its state counts steps and epochs, also of a run that is resumed.

    Notes
    -----
    A step is that of the optimizer, whatever the accumulation. The trainer may load its best weights before it says
    that it is done: these are then the final checkpoint, and the trajectory ends with the last iterate.
    """

    def __init__(self, recorder: Listener) -> None:
        self.recorder = recorder

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Begin, or go on from the step that the trainer resumed."""
        self.recorder.begin(model, step=state.global_step, epoch=state.epoch or 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count a step of the optimizer."""
        self.recorder.at(state.global_step, state.epoch or 0)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Record what the trainer logs: it has averaged it already."""
        if self.recorder.running:
            self.recorder.log(**{name: value for name, value in (logs or {}).items() if name not in PLACES})

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count an epoch; the last is the last time that the weights are those of the last step."""
        self.recorder.at(state.global_step, state.epoch or 0)
        if control.should_training_stop:
            self.recorder.last()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the final checkpoint."""
        best = getattr(args, "load_best_model_at_end", False) and getattr(state, "best_model_checkpoint", None)
        self.recorder.finish(last=not best)
