"""The gradient at the worst weights near the quantized ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from landscape.quantize.parametrization import quantizers
from landscape.train.gradients.sharpness_aware import displacement
from landscape.train.step import Gradient, Step


def at_quantized(rho: float) -> Gradient:
    """Return the rule ``G = grad_w L(Q(w) + e)`` with ``e = rho g / |g|`` and ``g`` the gradient of L at Q(w).

    The derivative of Q is that of its estimator, and e is held fixed. Parameters that are not quantized are displaced
    with the rest, by their own gradient; the length is that of all together. What quantizers have learned, such as
    their scales, takes no part in the displacement. Without quantizers this is sharpness-aware minimization.

    Parameters
    ----------
    rho : float
        Radius of the neighbourhood. A schedule of the name ``rho`` comes first.

    Notes
    -----
    Two gradient evaluations; the second repeats the dropout masks of the first and leaves batch norm alone.

    References
    ----------
    Liu, Cai and Zhuang (2021), Sharpness-aware quantization for deep neural networks, arXiv:2111.12273.
    """

    def gradient(step: Step) -> Tensor:
        for part in step.split(None):
            with listening(part.model) as quantized:
                first = dict(zip(part.parameters, part.gradient(), strict=True))
            owned = tuple(f"{name.removesuffix('weight')}parametrizations." for name in quantizers(part.model))
            others = {name: g for name, g in first.items() if not name.startswith(owned)}
            known = [*quantized.values(), *others.values()]
            delta = iter(displacement(known, rho=part.hyper.get("rho", rho)))
            pushed, moved = ({name: next(delta) for name in names} for names in (quantized, others))
            with part.at(moved), displaced(part.model, pushed), part.quiet():
                part.backward()
        assert step.loss is not None
        return step.loss

    return gradient


@contextmanager
def listening(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Give a dict that every backward pass inside fills with the gradients at the quantized weights, by their names."""
    found: dict[str, Tensor] = {}

    def hook(name: str):
        def add(gradient: Tensor) -> None:
            found[name] = found[name] + gradient if name in found else gradient

        def listen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(add)

        return listen

    with _hooked(model, {name: hook(name) for name in quantizers(model)}):
        yield found


@contextmanager
def displaced(model: nn.Module, delta: Mapping[str, Tensor]) -> Iterator[None]:
    """Add something to quantized weights inside, by their names, wherever the network uses them."""

    def hook(by: Tensor):
        return lambda module, inputs, output: output + by

    with _hooked(model, {name: hook(by) for name, by in delta.items()}):
        yield


@contextmanager
def _hooked(model: nn.Module, hooks: Mapping) -> Iterator[None]:
    known = quantizers(model)
    with ExitStack() as undo:
        for name, hook in hooks.items():
            undo.callback(known[name][0].register_forward_hook(hook).remove)
        yield
