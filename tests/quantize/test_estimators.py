"""Estimators: what every one of them passes, and the Hessians of those that have one."""

import importlib

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jvp, vjp, vmap

from landscape import discovery
from landscape.quantize.calibration import calibrate
from landscape.quantize.estimators.clipped import clipped
from landscape.quantize.estimators.identity import identity
from landscape.quantize.scheme import Scheme

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch itself, at the first jvp
PACKAGE = "landscape.quantize.estimators"
NAMES = discovery.names(PACKAGE)
OWN = {"ede": [Scheme(1)], "lsq": [Scheme(4), Scheme(2, "ternary"), Scheme(3, channels=False)]}
SCHEMES = [Scheme(4), Scheme(2), Scheme(1), Scheme(2, "levels"), Scheme(3, symmetric=False, channels=False)]
CASES = [(name, scheme) for name in NAMES for scheme in OWN.get(name, SCHEMES)]
SOFT = {"tanh"}  # are not Q(w), but go there


def case(name, scheme, dtype=torch.float64):
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)).to(dtype)
    return discovery.member(PACKAGE, name), 1.3 * weight, calibrate(weight, scheme)


def has_hessian(name):
    return importlib.import_module(f"{PACKAGE}.{name}").has_hessian


@pytest.mark.parametrize("name", NAMES)
def test_every_estimator_says_whether_it_has_a_hessian(name):
    assert isinstance(has_hessian(name), bool)
    assert "References" in discovery.member(PACKAGE, name).__doc__


@pytest.mark.parametrize(("name", "scheme"), CASES, ids=str)
def test_every_estimator_passes_every_transform(name, scheme):
    estimator, weight, grid = case(name, scheme)
    mix = torch.randn(3, 4, dtype=torch.float64)

    def loss(w):
        return (mix * estimator(w, grid)).tanh().sum()

    reverse = grad(loss)(weight)
    assert reverse.isfinite().all()
    assert reverse.any()
    direction = torch.randn_like(weight)
    value, forward = jvp(loss, (weight,), (direction,))
    torch.testing.assert_close(forward, (reverse * direction).sum())
    torch.testing.assert_close(value, loss(weight))
    weights = torch.stack([weight, -weight, weight / 3])
    torch.testing.assert_close(vmap(grad(loss))(weights), torch.stack([grad(loss)(w) for w in weights]))
    assert torch.equal(vmap(lambda w: estimator(w, grid))(weights), torch.stack([estimator(w, grid) for w in weights]))
    leaf = weight.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    torch.testing.assert_close(first.detach(), reverse)
    (second,) = torch.autograd.grad((first * direction).sum(), leaf)
    pushed = jvp(grad(loss), (weight,), (direction,))[1]
    torch.testing.assert_close(second, pushed)
    torch.testing.assert_close(vjp(grad(loss), weight)[1](direction)[0], pushed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "scheme"), [c for c in CASES if c[0] not in SOFT], ids=str)
def test_the_forward_pass_is_the_rounded_weight(name, scheme, dtype):
    estimator, weight, grid = case(name, scheme, dtype)
    assert torch.equal(estimator(weight, grid), grid.hard(weight))


@pytest.mark.parametrize("scheme", OWN.get("tanh", SCHEMES), ids=str)
@pytest.mark.parametrize("name", sorted(SOFT & set(NAMES)))
def test_soft_estimators_go_to_the_rounded_weight(name, scheme):
    estimator, weight, grid = case(name, scheme)
    torch.testing.assert_close(estimator(weight, grid, beta=1e5), grid.hard(weight))


@pytest.mark.parametrize(("name", "scheme"), [c for c in CASES if has_hessian(c[0])], ids=str)
def test_hessians_are_those_of_the_loss_at_the_rounded_weights(name, scheme):
    """M H(Q(w)) M with M the mask of what is clipped; all ones, of the identity."""
    estimator, weight, grid = case(name, scheme)
    inputs, mix = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)

    def loss(w):
        return ((inputs @ w.T).tanh() * mix).square().mean()

    at_rounded = hessian(loss)(grid.hard(weight)).reshape(12, 12)
    mask = torch.diag((torch.ones_like(weight) if name == "identity" else grid.inside(weight)).flatten().double())
    if name == "lsq":  # leaves out what lies beyond the outermost codes themselves, not half a step beyond
        scale = grid.scale.double()
        mask = torch.diag(((weight / scale > grid.low) & (weight / scale < grid.high)).flatten().double())
    found = hessian(lambda w: loss(estimator(w, grid)))(weight).reshape(12, 12)
    torch.testing.assert_close(found, mask @ at_rounded @ mask, rtol=1e-12, atol=1e-14)
    assert found.abs().max() > 1e-3


@pytest.mark.parametrize("estimator", [identity, clipped])
def test_the_hessian_of_a_network_of_several_layers(estimator):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs, targets = torch.randn(7, 3, dtype=torch.float64), torch.randint(2, (7,))
    named = {n: 1.2 * p.detach() for n, p in model.named_parameters()}
    grids = {n: calibrate(named[n] / 1.2, Scheme(3)) for n in ("0.weight", "2.weight")}

    def unpacked(flat):
        pieces = flat.split([p.numel() for p in named.values()])
        return {n: piece.reshape(p.shape) for piece, (n, p) in zip(pieces, named.items(), strict=True)}

    def loss(values):
        return nn.functional.cross_entropy(functional_call(model, values, (inputs,)), targets)

    def through_quantizer(flat):
        return loss({n: estimator(v, grids[n]) if n in grids else v for n, v in unpacked(flat).items()})

    theta = torch.cat([p.flatten() for p in named.values()])
    rounded = torch.cat([(grids[n].hard(p) if n in grids else p).flatten() for n, p in named.items()])
    kept = torch.cat([
        (grids[n].inside(p) if n in grids and estimator is clipped else torch.ones_like(p)).flatten().double()
        for n, p in named.items()
    ])  # fmt: skip
    assert (estimator is identity) == bool(kept.all())
    exact = kept[:, None] * hessian(lambda flat: loss(unpacked(flat)))(rounded) * kept
    assert torch.equal(hessian(through_quantizer)(theta), exact)


def test_the_step_size_of_lsq_has_the_published_derivative():
    if "lsq" not in NAMES:
        pytest.skip("no such estimator")
    estimator, weight, grid = case("lsq", Scheme(3, channels=False))
    from dataclasses import replace

    def loss(scale):
        return estimator(weight, replace(grid, scale=scale)).sum()

    place = weight / grid.scale
    published = torch.where(place <= -3, -3.0, torch.where(place >= 3, 3.0, place.round() - place))
    torch.testing.assert_close(grad(loss)(grid.scale).sum(), published.sum())
