"""One step of training: a batch bound to a model, and six verbs that every gradient rule is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.train.batches import Batch, Batches
from landscape.train.clock import Clock
from landscape.train.streams import default_states, restore_default

Objective = Callable[[nn.Module, Batch, Clock], Tensor]
Direction = Mapping[str, Tensor] | Sequence[Tensor | None]


class Step:
    """A batch of a run, bound to the model and the objective.

    The verbs: `backward` and its functional twin `gradient` with `give`; `draw` a fresh batch; `split` into
    micro-batches; `at` displaced weights; `quiet` second passes; `per_sample` gradients. A gradient rule is
    a function of a step that leaves a gradient in ``.grad`` and returns the loss.

    Parameters
    ----------
    model : nn.Module
    objective : callable (model, batch, clock) -> scalar
    batch : Batch
    clock : Clock
        Counts the gradient evaluations.
    batches : Batches, optional
        Where `draw` draws from.
    hyper : dict of str to float, optional
        Value of every scheduled hyper-parameter at this step.
    whole : int, optional
        Examples of the batch that this step is a part of (set by `split`).
    parameters : dict of str to Parameter, optional
        The trained ones, where they are known already (set by `split`).

    Attributes
    ----------
    parameters : dict of str to Parameter
        The trained ones: those that require a gradient; tied ones once.
    loss : Tensor or None
        Loss of the first pass over the bound batch, detached.

    Examples
    --------
    Sharpness-aware minimization is this rule:

    >>> def sam(step, rho=0.05):
    ...     for part in step.split(None):
    ...         gradient = part.gradient()
    ...         length = torch.sqrt(sum((g**2).sum() for g in gradient))
    ...         with part.at([rho * g / length for g in gradient]), part.quiet():
    ...             part.give(part.gradient())
    ...     return step.loss
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        batch: Batch,
        clock: Clock,
        *,
        batches: Batches | None = None,
        hyper: Mapping[str, float] | None = None,
        whole: int | None = None,
        parameters: dict[str, nn.Parameter] | None = None,
    ) -> None:
        self.model, self.objective, self.batch, self.clock = model, objective, batch, clock
        self.batches, self.hyper = batches, dict(hyper or {})
        self.parameters = parameters or {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.loss: Tensor | None = None
        self._whole = whole
        self._first: list[Tensor] | None = None

    @property
    def weight(self) -> float:
        """Share of this part in the batch it was split from; 1 for a whole batch."""
        return 1.0 if self._whole is None else len(self.batch) / self._whole

    def backward(self, batch: Batch | None = None) -> Tensor:
        """Leave the gradient of the loss in ``.grad`` and return the loss, detached.

        A part of a split batch adds its weighted share; a whole step starts from nothing.
        """
        if self._whole is None:
            self.zero()
        loss = self._value(batch)
        (loss if self._whole is None else loss * self.weight).backward()
        return loss.detach()

    def gradient(
        self, batch: Batch | None = None, *, create_graph: bool = False, materialize: bool = True
    ) -> tuple[Tensor, ...]:
        """Return the gradient, one tensor a parameter, without touching ``.grad``.

        Parameters
        ----------
        batch : Batch, optional
            Another batch than the bound one, as `draw` returns.
        create_graph : bool
            Keep the graph, to differentiate the gradient itself. Attention then goes through its exact kernel, for the
            fused ones have no second derivatives.
        materialize : bool
            Return zeros, and not None, for a parameter that the loss does not depend on.
        """
        with sdpa_kernel(SDPBackend.MATH) if create_graph else nullcontext():
            loss = self._value(batch)
            return torch.autograd.grad(
                loss, list(self.parameters.values()), create_graph=create_graph,
                allow_unused=True, materialize_grads=materialize,
            )  # fmt: skip

    def give(self, gradients: Sequence[Tensor | None]) -> None:
        """Add a gradient to ``.grad``, weighted by this part's share of the batch.

        None leaves a parameter without one, so that the optimizer does not move it.
        """
        pairs = zip(self.parameters.values(), gradients, strict=True)
        given = [(parameter, gradient.detach()) for parameter, gradient in pairs if gradient is not None]
        first = [pair for pair in given if pair[0].grad is None]
        further = [(parameter.grad, gradient) for parameter, gradient in given if parameter.grad is not None]
        if first:
            shares = torch._foreach_mul([gradient for _, gradient in first], self.weight)
            for (parameter, _), share in zip(first, shares, strict=True):
                parameter.grad = share
        if further:
            torch._foreach_add_([grad for grad, _ in further], [gradient for _, gradient in further], alpha=self.weight)

    def zero(self) -> None:
        """Forget every gradient."""
        for parameter in self.model.parameters():
            parameter.grad = None

    @property
    def noise(self) -> torch.Generator:
        """The stream of perturbations, on the model's device.

        Raises
        ------
        ValueError
            If the step was made without `batches`.
        """
        return self._drawn_from.streams["perturb"]

    def draw(self) -> Batch:
        """Return a fresh batch from a stream of its own: the order of the epoch stays as it is.

        Raises
        ------
        ValueError
            If the step was made without `batches`.
        """
        return self._drawn_from.draw()

    @property
    def _drawn_from(self) -> Batches:
        if self.batches is None:
            raise ValueError("Expected batches to draw from, got none: make the step with batches=.")
        return self.batches

    def split(self, m: int | None = None) -> Iterator[Step]:
        """Iterate over micro-batches of up to `m` examples whose gradients add up to the mean over the batch.

        Forgets earlier gradients first, and leaves the mean of the parts' losses in `loss`. None keeps the batch whole.

        Notes
        -----
        Equal to the whole batch wherever an example's loss depends on that example alone: not under batch norm.
        """
        if m is not None and m < 1:
            raise ValueError(f"Expected micro-batches of at least 1 example, got {m}: give a positive number, or None.")
        self.zero()
        losses = []
        for piece in self.batch.split(m or len(self.batch)):
            part = Step(
                self.model, self.objective, piece, self.clock,
                batches=self.batches, hyper=self.hyper, whole=len(self.batch), parameters=self.parameters,
            )  # fmt: skip
            yield part
            if part.loss is not None:
                losses.append(part.weight * part.loss)
        if losses:
            self.loss = torch.stack(losses).sum()

    @contextmanager
    def at(self, delta: Direction) -> Iterator[None]:
        """Displace the weights by `delta` inside, and copy the saved ones back bit for bit, whatever happens.

        Parameters
        ----------
        delta : sequence of Tensor or None, in the order of `parameters`; or dict of parameter name to Tensor
            A dict may name any parameter of the model, frozen ones too.

        Raises
        ------
        ValueError
            If a name is unknown or a shape does not fit; nothing is displaced then.

        Notes
        -----
        What is to be differentiated at the displaced weights must be differentiated inside. Memory of one more copy.
        """
        moved, by = self._displacements(delta)
        if not moved:
            yield
            return
        saved = [torch.empty_like(parameter) for parameter in moved]
        with torch.no_grad():
            torch._foreach_copy_(saved, moved)
        try:
            with torch.no_grad():
                torch._foreach_add_(moved, by)
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(moved, saved)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Make a pass that leaves no trace: no statistics move, and dropout repeats the masks of the first pass.

        A further pass inside goes on with other masks: enter anew for each that is to repeat them. Afterwards the
        default random generators stand where they stood before.
        """
        device = self.batch.inputs.device
        before = default_states(device)
        restore_default(self._first or before, device)
        try:
            with still(self.model):
                yield
        finally:
            restore_default(before, device)

    def per_sample(self, *, at: Sequence[Tensor | None] | None = None, chunk: int | None = None) -> tuple[Tensor, ...]:
        """Return the gradient of every example of the batch: one ``(B, *shape)`` tensor a parameter.

        Parameters
        ----------
        at : sequence of Tensor ``(B, *shape)`` or None, in the order of `parameters`, optional
            Displacements of the weights: every example is differentiated at its own. The weights stay where they are.
        chunk : int, optional
            Examples treated at once; all by default.

        Raises
        ------
        ValueError
            If a batch-norm layer is in training mode: an example then has no gradient of its own; if a displacement
            does not fit; or if torch cannot treat the examples of this network at once.

        Notes
        -----
        One gradient evaluation, and the memory of B gradients, and of B copies of the weights where they are displaced.
        Dropout draws a mask for each example. A parameter that the loss does not depend on has zeros.
        """
        for name, module in self.model.named_modules():
            if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
                raise ValueError(
                    f"Expected no batch norm in training mode for gradients of single examples, got {name!r}: "
                    "use a network with group norm, or put that layer in evaluation mode."
                )
        network = _Loss(self.model, self.objective, self.clock, self.batch)

        def value(parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
            example = (inputs.unsqueeze(0), targets.unsqueeze(0))
            return torch.func.functional_call(network, parameters, example)

        named, axes = self._displaced(at)
        self._begin()
        each = torch.func.vmap(
            torch.func.grad_and_value(value), in_dims=(axes, 0, 0), randomness="different", chunk_size=chunk
        )
        with _told(), sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no batching rule
            gradients, values = each(named, self.batch.inputs, self.batch.targets)
        self._count(self.batch, values.mean())
        return tuple(gradients.values())

    def _value(self, batch: Batch | None) -> Tensor:
        bound = batch is None or batch is self.batch
        chosen = self.batch if batch is None else batch
        if bound:
            self._begin()
        loss = self.objective(self.model, chosen, self.clock)
        self._count(chosen, loss.detach() if bound else None)
        return loss

    def _begin(self) -> None:
        if self._first is None:
            self._first = default_states(self.batch.targets.device)

    def _count(self, batch: Batch, loss: Tensor | None) -> None:
        whole = self._whole or len(self.batch)
        if batch is not self.batch and self.batches is not None:
            whole = min(self.batches.size, len(self.batches.resident))  # beside a short last batch too, one draw is one
        self.clock.spend(len(batch), whole)
        if self.loss is None and loss is not None:
            self.loss = loss

    def _displacements(self, delta: Direction) -> tuple[list[Tensor], list[Tensor]]:
        """Return the parameters that a direction moves, and by what."""
        if isinstance(delta, Mapping):
            known: dict[str, nn.Parameter] = dict(self.model.named_parameters())
        else:
            known, delta = self.parameters, self._named(delta)
        for name, by in delta.items():
            if name not in known:
                raise ValueError(f"Expected the name of a parameter, got {name!r}: use those of named_parameters().")
            _require_shape(name, by, known[name].shape)
        return [known[name] for name in delta], list(delta.values())

    def _displaced(self, at: Sequence[Tensor | None] | None) -> tuple[dict[str, Tensor], dict[str, int | None]]:
        """Return the weights of the examples, by their names in `_Loss`, and which of them differ among examples."""
        by = {} if at is None else self._named(at)
        named, axes = {}, {}
        for name, parameter in self.parameters.items():
            weight = parameter.detach()
            if name in by:
                _require_shape(name, by[name], (len(self.batch), *weight.shape))
                weight = weight + by[name]
            named[f"model.{name}"], axes[f"model.{name}"] = weight, 0 if name in by else None
        return named, axes

    def _named(self, tensors: Sequence[Tensor | None]) -> dict[str, Tensor]:
        if len(tensors) != len(self.parameters):
            raise ValueError(
                f"Expected one tensor for each of {len(self.parameters)} parameters, got {len(tensors)}: "
                "give all of them in order, or a dict of names."
            )
        return {name: by for name, by in zip(self.parameters, tensors, strict=True) if by is not None}


def _require_shape(name: str, by: Tensor, shape: Sequence[int]) -> None:
    if by.shape != shape:
        raise ValueError(
            f"Expected a displacement of shape {tuple(shape)} for {name!r}, got {tuple(by.shape)}: "
            "give the shape of the parameter, after an axis of examples where every example has its own."
        )


Gradient = Callable[[Step], Tensor]


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Keep every buffer of a model as it is, in training mode too.

    Batch-norm layers stop tracking; the buffers of all other modules are replaced by copies inside. The usual
    ``momentum = 0`` still counts in ``num_batches_tracked``; evaluation mode would be another function.
    """
    with ExitStack() as undo:
        for module in model.modules():
            if not module._buffers:
                continue
            if isinstance(module, _BatchNorm):
                if module.training and module.track_running_stats:
                    undo.callback(setattr, module, "track_running_stats", True)
                    module.track_running_stats = False
            else:
                undo.callback(module._buffers.update, dict(module._buffers))
                module._buffers.update({name: b.clone() for name, b in module._buffers.items() if b is not None})
        yield


@contextmanager
def _told() -> Iterator[None]:
    """Say in our words that torch has no rule for an operation on many examples, each at its own weights."""
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in ("vmap", "atching rule")):
            raise
        raise ValueError(
            "Expected a network whose examples torch can differentiate at once, got one with an operation that it "
            f"cannot ({str(error).splitlines()[0]}): use micro-batches of two examples or more, as in sam:m=2."
        ) from error


class _Loss(nn.Module):
    """The objective of examples of a batch as a module, so that its parameters can be replaced for a while."""

    def __init__(self, model: nn.Module, objective: Objective, clock: Clock, batch: Batch) -> None:
        super().__init__()
        self.model, self.objective, self.clock = model, objective, clock
        self.whole = batch.targets if batch.whole is None else batch.whole

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.objective(self.model, Batch(inputs, targets, self.whole), self.clock)
