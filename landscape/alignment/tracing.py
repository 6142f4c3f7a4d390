"""Permutation symmetries found from a forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.alignment.following import products, rules
from landscape.alignment.following.atoms import Atoms
from landscape.alignment.following.calls import Call, Ledger, NoRule, names
from landscape.alignment.following.grouping import groups, layer
from landscape.alignment.following.spelled import SPELLED
from landscape.alignment.following.units import Units, compact
from landscape.alignment.running import running, tensors
from landscape.alignment.structure import Structure, permuted
from landscape.engine.network import call

RULES = rules.RULES | products.RULES
ABOUT = frozenset(
    names("shape size dim ndim ndimension dtype device layout names requires_grad numel nelement stride storage_offset "
          "element_size itemsize nbytes get_device len hash repr format dir type grad grad_fn result_type output_nr "
          " version backward_hooks sizes")
)  # fmt: skip


def traced(model: nn.Module, inputs: Any) -> Structure:
    """Find the permutation symmetries of a network by following its units through one forward pass.

    Each tensor of the pass carries the units that its numbers belong to; operators that combine numbers say which
    units move together. Units whose way through an operator nobody knows stay where they are. Control flow that
    depends on the values of inputs is followed as these inputs go: what other inputs, or training, would use besides
    is not permuted, and `fixed` names the layers that this pass did not use.

    Parameters
    ----------
    model : nn.Module
        Left as it is: a copy runs, in evaluation mode and float64 where it can.
    inputs : Tensor, tuple of Tensor or dict of str to Tensor
        A few examples, as the model takes them.

    Returns
    -------
    Structure
        It says in `fixed` which layers hold units back.

    Raises
    ------
    ValueError
        If no units may be permuted; if a random permutation changes the outputs of the network on these inputs.

    Notes
    -----
    Three forward passes, and integers for every number of a tensor whose units lie along several axes.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network, given, outputs = running(model, inputs)
        state = {name: t for name, t in network.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
        structure = _followed(network, given, state)
        if not structure.groups:
            raise ValueError(
                f"Expected units of {type(model).__name__} that may change places, got none "
                f"({'; '.join(structure.fixed[:3]) or 'it has none that are hidden, or they hold each other'}): "
                "declare its groups in a file."
            )
        _verify(network, given, outputs, state, structure)
    return structure


def _followed(network: nn.Module, inputs: Any, state: dict[str, Tensor]) -> Structure:
    units = Units()
    ledger = Ledger(units, Atoms(state, units))
    trace = Trace(ledger)
    with trace.listening(network), trace:
        outputs = call(network, inputs)
    for output in tensors(outputs):
        units.pin(compact(ledger[output]))
    found, stay = groups(units, ledger.atoms)
    unread = dict.fromkeys(layer(name) for name in ledger.atoms.names if name not in trace.read)
    unused = [f"{name}: not used in this pass, stays as it is" for name in unread]
    return Structure(found, (*trace.held, *stay, *unused))


class Trace(TorchFunctionMode):
    """Follows units through every operator that is called."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger, self._layers = ledger, ["the network"]
        self._held: dict[str, None] = {}
        self.read: set[str | None] = set()  # first names of the tensors of the state dict that operators were given

    @property
    def held(self) -> tuple[str, ...]:
        """What held units back, in words."""
        return tuple(self._held)

    @contextmanager
    def listening(self, network: nn.Module) -> Iterator[None]:
        """Keep track of the layer that runs."""

        def leave(*_: Any) -> None:
            self._layers.pop()

        handles = []
        for name, module in network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no such hooks
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._layers.append(name)))
            handles.append(module.register_forward_hook(leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        kwargs, name = kwargs or {}, named(func)
        if name == "iter":
            with self:
                return iter(torch.unbind(args[0]))
        if name in SPELLED and any(map(self.ledger.moves, tensors((args, kwargs)))):
            try:
                with self:
                    return SPELLED[name](*args, **kwargs)
            except NotImplementedError:
                name = ""
        result = func(*args, **kwargs)
        made = Call(name, func, args, kwargs, args[0] if result is None and name == "setitem" else result, self.ledger)
        self._enter(made)
        return result

    def _enter(self, made: Call) -> None:
        given = made.tensors
        self.read.update(map(self.ledger.atoms.name, given))
        moving = [tensor for tensor in given if self.ledger.moves(tensor)]
        if not moving or made.name in names(rules.CONSTANT):
            constant = bool(moving) or all(bool((self.ledger[t] < 0).all()) for t in given)
            for result in made.results:
                self._write(result, self.ledger.still(result, constant=constant), given)
        elif not made.results:
            if made.name not in ABOUT and not made.name.startswith("is_"):
                self._hold(made, moving)
        else:
            try:
                if made.name not in RULES or made.kwargs.get("out") is not None:
                    raise NoRule
                self._follow(made, moving, RULES[made.name](made))
            except NoRule:
                self._hold(made, moving)

    def _follow(self, made: Call, moving: list[Tensor], ids: Tensor | list[Tensor]) -> None:
        results = made.results
        found = [ids] if isinstance(ids, Tensor) else ids
        found = found * len(results) if len(found) == 1 else found
        if made.name not in rules.KEEPING:
            for tensor in moving:
                label = made.units.label()
                if self.ledger.atoms.name(tensor) is None:
                    made.units.note(label, compact(self.ledger[tensor]))
        for result, own in zip(results, found, strict=True):
            made.units.note(made.units.label(), compact(own))
            self._write(result, own, made.tensors)

    def _write(self, result: Tensor, ids: Tensor, given: list[Tensor]) -> None:
        """Enter what an operator returned; numbers of an argument that it overwrote, and that others share, stay."""
        ids = ids.expand(result.shape)
        if any(result is tensor for tensor in given) and self.ledger.aliases(result):
            new, old = (self.ledger.units.rooted(part) for part in (ids, self.ledger[result]))
            if not torch.equal(new, old):
                self.ledger.units.pin(compact(ids))
                for tensor in (*self.ledger.aliases(result), result):
                    self.ledger.units.pin(compact(self.ledger[tensor]))
                    self.ledger[tensor] = torch.tensor(0)
                return
        self.ledger[result] = ids

    def _hold(self, made: Call, moving: list[Tensor]) -> None:
        for tensor in moving:
            made.units.pin(compact(self.ledger[tensor]))
        for result in made.results:
            self.ledger[result] = torch.tensor(0)
        self._held[f"{self._layers[-1] or 'the network'}: units that {named(made.func)} reads stay"] = None


def named(func: Any) -> str:
    """Name an operator in one way, however it is called: `add` for ``torch.add``, ``+``, ``+=`` and ``add_``."""
    name = func.__name__
    if name in ("__get__", "__set__"):
        name = getattr(func.__self__, "__name__", name)
    bare = name.strip("_")
    if name.startswith("__") and bare not in RULES and bare not in ABOUT and bare[:1] in "ri" and bare[1:] in RULES:
        return bare[1:]
    return bare


def _verify(
    network: nn.Module, inputs: Any, outputs: list[Tensor], state: dict[str, Tensor], structure: Structure
) -> None:
    """Permute all units at random: outputs must stay as they are, up to rounding."""
    original = {name: tensor.clone() for name, tensor in state.items()}
    permutation = structure.random(torch.Generator().manual_seed(0))
    if _same(network, inputs, outputs, state, permuted(original, structure, permutation)):
        return
    ties = {group.tie or group.name: [] for group in structure.groups}
    for group in structure.groups:
        ties[group.tie or group.name].append(group.name)
    wrong = [
        members[0]
        for members in ties.values()
        if not _same(network, inputs, outputs, state,
                     permuted(original, structure, {name: permutation[name] for name in members}))
    ]  # fmt: skip
    raise ValueError(
        f"Expected outputs of {type(network).__name__} that a permutation of its hidden units leaves as they are, got "
        f"others (units of {', '.join(wrong[:4]) or 'several layers at once'}): its symmetries cannot be found from a "
        "forward pass, declare its groups in a file."
    )


def _same(
    network: nn.Module, inputs: Any, outputs: list[Tensor], state: dict[str, Tensor], changed: dict[str, Tensor]
) -> bool:
    for name, tensor in state.items():
        tensor.copy_(changed[name])
    for found, expected in zip(tensors(call(network, inputs)), outputs, strict=True):
        if not expected.is_floating_point():
            continue
        tolerance = torch.finfo(expected.dtype).eps ** 0.575  # 1e-9 in float64, 1e-4 in float32
        finite = torch.isfinite(expected)
        if not torch.equal(finite, torch.isfinite(found)):
            return False
        if bool(((found - expected)[finite].abs() > tolerance * expected[finite].abs().amax()).any()):
            return False
    return True
