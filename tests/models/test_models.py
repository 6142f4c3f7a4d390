"""Contracts over every network that discovery finds."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape import models

BUILDERS = {
    info.name: getattr(importlib.import_module(f"landscape.models.{info.name}"), info.name)
    for info in pkgutil.iter_modules(models.__path__)
    if not info.name.startswith("_")
}
SMALL = {"vgg": {"depth": 11, "width": 8}, "resnet": {"depth": 8}, "wideresnet": {"depth": 10, "widen": 1}}
CONVOLUTIONAL = ["lenet", "resnet", "vgg", "wideresnet"]
CLASSES = 7

every_network = pytest.mark.parametrize("name", sorted(BUILDERS))


def built(name, *, seed=0, **knobs):
    """Build a network with 7 classes whose normalization has statistics and shifts worth testing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BUILDERS[name](**{"classes": CLASSES, **SMALL.get(name, {}), **knobs}).double().eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor, low in ((module.running_mean, -1), (module.running_var, 0.5), (module.bias.data, -1)):
                    tensor.uniform_(low, low + 2)
    return network


def images(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def inputs(name, count=3):
    """Draw inputs for a network built with defaults: tokens for `gpt`, images for the rest."""
    shape = inspect.signature(BUILDERS[name]).parameters["shape"].default
    if len(shape) == 1:
        return torch.randint(CLASSES, (count, *shape), generator=torch.Generator().manual_seed(1))
    return images(count, *shape)


def assert_maps(network, x):
    with torch.no_grad():
        y = network(x)
    per_token = x.shape if x.ndim == 2 and not x.is_floating_point() else x.shape[:1]
    assert y.shape == (*per_token, CLASSES)
    assert y.isfinite().all()


@every_network
def test_signature_is_the_contract(name):
    parameters = inspect.signature(BUILDERS[name]).parameters
    assert all(parameter.default is not parameter.empty for parameter in parameters.values())
    assert parameters["classes"].kind is parameters["shape"].kind is inspect.Parameter.KEYWORD_ONLY


@every_network
def test_defaults_build_in_float32(name):
    network = BUILDERS[name]()
    classes = inspect.signature(BUILDERS[name]).parameters["classes"].default
    x = inputs(name, 2)
    y = network.eval()(x.float() if x.is_floating_point() else x)
    assert y.dtype == torch.float32
    assert y.shape[-1] == classes


@every_network
def test_outputs_have_one_score_per_class(name):
    assert_maps(built(name), inputs(name))


@every_network
def test_initialization_depends_on_the_default_generator_alone(name):
    before = torch.get_rng_state()
    one, same, other = built(name, seed=3), built(name, seed=3), built(name, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    weights = [torch.nn.utils.parameters_to_vector(network.parameters()) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@every_network
def test_evaluation_is_deterministic_and_draws_nothing(name):
    network, x = built(name), inputs(name)
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
    assert torch.equal(torch.get_rng_state(), before)


@every_network
def test_stacked_parameters_equal_one_by_one(name):
    networks, x = [built(name, seed=seed) for seed in range(3)], inputs(name, 2)
    parameters, buffers = stack_module_state(networks)

    def score(parameters, buffers):
        return functional_call(networks[0], (parameters, buffers), (x,))

    # The fused attention kernel has no batching rule on CPU: vmap falls back to a loop, and warns.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        together = vmap(score)(parameters, buffers)
        apart = torch.stack([network(x) for network in networks])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)


@every_network
def test_gradient_reaches_every_parameter(name):
    network, x = built(name), inputs(name)
    network(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@every_network
def test_second_derivatives_match_differences_of_gradients(name):
    network, x = built(name, **({"activation": "tanh"} if name in ("mlp", "lenet") else {})), inputs(name, 2)
    parameters = list(network.parameters())
    generator = torch.Generator().manual_seed(5)
    v = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters]

    def slope(step, *, create_graph=False):
        with torch.no_grad():
            for p, direction in zip(parameters, v, strict=True):
                p += step * direction
        with sdpa_kernel(SDPBackend.MATH):
            grads = torch.autograd.grad(network(x).logsumexp(-1).mean(), parameters, create_graph=create_graph)
        return sum((g * direction).sum() for g, direction in zip(grads, v, strict=True))

    hv = torch.autograd.grad(slope(0.0, create_graph=True), parameters, allow_unused=True)
    curvature = sum((h * direction).sum() for h, direction in zip(hv, v, strict=True) if h is not None)
    step = 1e-7  # small enough that no relu changes side, which would be a kink and not a curvature
    difference = (slope(step) - slope(-2 * step)) / (2 * step)
    torch.testing.assert_close(difference, curvature, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "mlp"])
def test_tracing_by_fx_keeps_the_function(name):
    network, x = built(name), inputs(name)
    traced = torch.fx.symbolic_trace(network)
    with torch.no_grad():
        torch.testing.assert_close(traced(x), network(x))
    called = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    assert len(called) == len(set(called)), "a module is called twice"
    leaves = {n for n, module in network.named_modules() if list(module.parameters(recurse=False))}
    assert leaves <= set(called)


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "mlp", "vit"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 16, 24), (3, 64, 64)])
def test_images_of_many_sizes_pass(name, shape):
    assert_maps(built(name, shape=shape), images(2, *shape))


@pytest.mark.parametrize("name", CONVOLUTIONAL + ["vit"])
@pytest.mark.parametrize("shape", [(10,), (32, 32), (0, 8, 8), (2, 3, 32, 32)])
def test_shapes_that_are_no_image_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"expected `shape` as \(channels, height, width\), got .*; give"):
        built(name, shape=shape)


@every_network
def test_no_classes_is_refused(name):
    with pytest.raises(ValueError, match="expected `classes` .*, got 0; give"):
        built(name, classes=0)
