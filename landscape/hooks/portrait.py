"""What a recorder knows of a training, and the checkpoints that it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from landscape.checkpoint import Checkpoint, Spec
from landscape.hooks import description, snapshot
from landscape.hooks.storage import Storage


class Portrait:
    """Specifications of a network, its data and its loss, and what else is known beforehand.

    Parameters
    ----------
    model_spec, data_spec : Spec or str or None
    loss : str
    batchnorm : {"fresh", "stale"} or None
        None finds out.
    about : dict
        Goes into the record of every checkpoint (JSON).

    Raises
    ------
    ValueError
        If a specification names nothing, or the record is not plain.
    OSError
        If a file that one names does not exist.
    """

    def __init__(
        self, model_spec: Spec | str | None, data_spec: Spec | str | None, loss: str, batchnorm: str | None,
        about: Mapping[str, Any],
    ) -> None:  # fmt: skip
        if batchnorm not in (None, "fresh", "stale"):
            raise ValueError(f"Expected batchnorm fresh or stale, got {batchnorm!r}: leave it out if you do not know.")
        description.require_plain(about, "about=")
        self.model = description.spec(model_spec, "landscape.models")
        self.data = description.spec(data_spec, "landscape.data")
        self.loss, self.batchnorm, self.about = description.loss(loss), batchnorm, dict(about)

    def settle(self, model: nn.Module) -> None:
        """Compare the network that is specified with the one that is trained.

        Raises
        ------
        ValueError
            If they are different ones.
        """
        if self.model is not None and snapshot.elsewhere(model) is None:
            self.model = description.settled(self.model, self.data, dict(snapshot.named(model)))

    def adopt(self, model: nn.Module) -> Exception | None:
        """Settle if that goes, or else forget the network that is specified; return what is wrong with it."""
        try:
            self.settle(model)
        except Exception as error:  # it runs code of the user's
            self.model = None
            return error
        return None

    @property
    def lacking(self) -> list[str]:
        """What checkpoints will not say: model, data."""
        return [what for what, known in (("model", self.model), ("data", self.data)) if known is None]

    def sketch(self, model: nn.Module, storage: Storage, reached: Mapping[str, Any]) -> Callable[[], Checkpoint]:
        """Copy the weights now; what is returned makes a checkpoint of them, rounded if they are to be."""
        found, names, batchnorm = snapshot.state(model), snapshot.parameters(model), self._statistics(model)

        def made() -> Checkpoint:
            state, told = storage.stored(found, names)
            return self._checkpoint(state, batchnorm, {**reached, **told})

        return made

    def final(self, model: nn.Module, reached: Mapping[str, Any], *, average_of: nn.Module | None = None) -> Checkpoint:
        """Return the exact checkpoint of a network, or of the average of another one's weights."""
        return self._checkpoint(snapshot.state(model), self._statistics(model, average_of), reached)

    def _checkpoint(self, state: dict, batchnorm: str, reached: Mapping[str, Any]) -> Checkpoint:
        told = {"undescribed": self.lacking} if self.lacking else {}
        training = {**self.about, **reached, **told, "torch": str(torch.__version__)}
        return Checkpoint(state, self.model, self.data, self.loss, batchnorm, training)

    def _statistics(self, model: nn.Module, average_of: nn.Module | None = None) -> str:
        """Say whether batch-norm statistics belong to the weights; an average may have those of the last iterate."""
        if self.batchnorm is not None:
            return self.batchnorm
        if average_of is not None:
            return "stale" if snapshot.same_statistics(model, average_of) else "fresh"
        return "stale" if snapshot.statistics_are_copied(model) else "fresh"
