"""Quantized checkpoints: what comes back, and what is refused in one line."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.checkpoint import Checkpoint
from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.observed import observed
from landscape.quantize.quantization import Quantization, quantized
from landscape.quantize.scheme import Scheme

SCHEMES = [Scheme(4), Scheme(1), Scheme(2), Scheme(8, "full"), Scheme(3, symmetric=False), Scheme(2, "levels")]


def network():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def made(scheme, *, inputs=False):
    """A network, and its quantized checkpoint."""
    model = network()
    weights = {n: p.detach() for n, p in model.named_parameters()}
    grids = {name: calibrate(weights[name], scheme, axis=axis) for name, axis in chosen(model).items()}
    acts = observed(model, [torch.randn(20, 4)], 4) if inputs else {}
    known = Quantization(grids, {name: weights[name] for name in grids}, acts, {"scheme": scheme.record()})
    return model, Checkpoint(quantized(weights, grids), quantization=known)


@pytest.fixture
def plain(tmp_path):
    """What a file of ours holds, to be damaged."""
    path = tmp_path / "whole.pt"
    checkpoint.write(made(Scheme(3), inputs=True)[1], path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_all_of_it_comes_back(scheme, dtype, tmp_path):
    model = network().to(dtype)
    weights = {n: p.detach() for n, p in model.named_parameters()}
    grids = {name: calibrate(weights[name], scheme, axis=axis) for name, axis in chosen(model).items()}
    known = Quantization(grids, {name: weights[name] for name in grids}, {}, {"scheme": scheme.record()})
    checkpoint.write(Checkpoint(quantized(weights, grids), quantization=known), tmp_path / "ckpt.pt")
    back = checkpoint.read(tmp_path / "ckpt.pt")
    assert back.quantization.sha256() == known.sha256()
    assert back.quantization.bits == {"0.weight": scheme.bits, "2.weight": scheme.bits}
    assert Scheme(**back.quantization.record["scheme"]) == scheme
    for name, grid in back.quantization.grids.items():
        assert torch.equal(grid.hard(back.state[name]), back.state[name])
        assert torch.equal(grid.hard(back.quantization.latent[name]), back.state[name])
    assert all(torch.equal(tensor, weights[name]) for name, tensor in checkpoint.latent(back).state.items())
    assert checkpoint.latent(back).quantization is None


def test_activations_are_quantized_again(tmp_path):
    model, found = made(Scheme(3), inputs=True)
    checkpoint.write(found, tmp_path / "ckpt.pt")
    back = checkpoint.fitted(checkpoint.read(tmp_path / "ckpt.pt"), network())
    x = torch.randn(5, 4)
    twin = activations.attach(deepcopy(model), found.quantization.activations)
    twin.load_state_dict(found.state)
    assert torch.equal(back(x), twin(x))
    assert back.state_dict().keys() == model.state_dict().keys()


def test_codes_alone_have_no_weights_before_rounding(tmp_path):
    _, found = made(Scheme(3))
    known = Quantization(found.quantization.grids)
    checkpoint.write(Checkpoint(found.state, quantization=known), tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match="codes alone for '0.weight'"):
        checkpoint.latent(checkpoint.read(tmp_path / "ckpt.pt"))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    for value in (math.nan, math.inf):
        model = network()
        model[0].weight.data[1, 2] = value
        for scheme in SCHEMES:
            grid = calibrate(model[0].weight, scheme)
            known = Quantization({"0.weight": grid})
            with pytest.raises(ValueError, match="scales for '0.weight', got nan in 1 of 6: are its weights finite"):
                checkpoint.write(Checkpoint(quantized(model.state_dict(), known.grids), quantization=known),
                                 tmp_path / "ckpt.pt")  # fmt: skip
    assert not list(tmp_path.iterdir())


def entry(*keys, to):
    """A change of what a file says of its quantization."""

    def change(found):
        place = found["quantization"]
        for key in keys[:-1]:
            place = place[key]
        if to is DELETED:
            del place[keys[-1]]
        else:
            place[keys[-1]] = to(place[keys[-1]]) if callable(to) else to

    return change


DELETED = object()
W = ("grids", "0.weight")
A = ("activations", "0")
DEEP: list = []
DEEP.append(DEEP)


def rehashed(change):
    """The same change by somebody who knows how to hash."""

    def changed(found):
        change(found)
        grids = {kind: {n: _unchecked(g) for n, g in found["quantization"][kind].items()} for kind in (W[0], A[0])}
        found["quantization"]["sha256"] = Quantization(grids["grids"], activations=grids["activations"]).sha256()

    return changed


def _unchecked(found):
    from landscape.quantize.grid import grid

    return grid(found)


DAMAGE = {
    "no mapping": (lambda f: f.update(quantization=[1]), "`quantization` with grids"),
    "a tensor": (lambda f: f.update(quantization=torch.ones(2)), "`quantization` with grids"),
    **{f"without {k}": (entry(k, to=DELETED), "`quantization` with grids") for k in ("grids", "latent", "activations")},
    "without record": (entry("record", to=DELETED), "`quantization` with grids"),
    "without hash": (entry("sha256", to=DELETED), "the hash None"),
    "another hash": (entry("sha256", to="0" * 64), "the hash 000000000000"),
    "no hash": (entry("sha256", to=7), "the hash 7"),
    "names that are none": (entry("grids", to=lambda g: {1: g["0.weight"]}), "`quantization` with grids"),
    "nothing quantized": (lambda f: f["quantization"].update(grids={}, activations={}), "a grid at least"),
    "a record of tensors": (entry("record", to={"x": torch.ones(1)}), "JSON"),
    "a record without end": (entry("record", to={"x": DEEP}), "JSON"),
    "a record of NaN": (entry("record", to={"x": math.nan}), "JSON"),
    "latent no tensor": (entry("latent", "0.weight", to=3), "`quantization` with grids"),
    "latent of other shape": (entry("latent", "0.weight", to=torch.ones(2, 2)), "latent weights of quantized"),
    "latent of nothing": (lambda f: f["quantization"]["latent"].update(x=torch.ones(1)), "latent weights of quantized"),
    "latent codes": (entry("latent", "0.weight", to=lambda t: t.long()), "latent weights of quantized"),
    "latent NaN": (entry("latent", "0.weight", to=lambda t: t / 0 * 0), "finite latent weights of '0.weight'"),
    "latent infinite": (entry("latent", "0.weight", to=lambda t: t / 0), "finite latent weights of '0.weight'"),
    "a grid that is none": (entry(*W, to=3), "a grid with kind"),
    "an unknown kind": (entry(*W, "kind", to="golden"), "a grid among"),
    **{f"bits {b}": (entry(*W, "bits", to=b), "grid of 1 to 8 bits") for b in (0, 9, -3)},
    **{f"bits {b!r}": (entry(*W, "bits", to=b), "a grid with kind") for b in (True, 2.5, "3", None)},
    "bits without end": (entry(*W, "bits", to=10**6), "larger numbers"),
    "codes without end": (entry(*W, "low", to=-(10**9)), "larger numbers"),
    "too many codes": (entry(*W, "high", to=40), "at most 8 codes"),
    "codes the wrong way": (entry(*W, "low", to=4), "at most 8 codes"),
    "a scale that is no tensor": (entry(*W, "scale", to=0.5), "a grid with kind"),
    "whole scales": (entry(*W, "scale", to=lambda s: s.long()), "usual format"),
    "complex scales": (entry(*W, "scale", to=lambda s: s.cfloat()), "usual format"),
    "sparse scales": (entry(*W, "scale", to=lambda s: s.to_sparse()), "dense tensors"),
    "zero points of another shape": (entry(*W, "zero", to=torch.zeros(3)), "zero points of shape"),
    "levels beside a uniform grid": (lambda f: f["quantization"]["grids"]["0.weight"].update(levels=torch.ones(1)),
                                     "learned levels alone"),
    "levels that are no tensor": (lambda f: f["quantization"]["grids"]["0.weight"].update(levels=[1]), "with kind"),
    "a moved scale": (entry(*W, "scale", to=lambda s: s * 1.001), "grids with the hash"),
    "a moved scale of activations": (entry(*A, "scale", to=lambda s: s * 1.001), "grids with the hash"),
    **{
        f"a scale of {v}": (rehashed(entry(*W, "scale", to=lambda s, v=v: torch.full_like(s, v))), "finite scales for")
        for v in (0.0, -1.0, math.nan, math.inf)
    },
    **{
        f"a scale of {v} of activations": (
            rehashed(entry(*A, "scale", to=lambda s, v=v: torch.full_like(s, v))), "scales for 'activations of 0'")
        for v in (0.0, -1.0, math.nan, math.inf)
    },
    "several scales of activations": (
        rehashed(lambda f: f["quantization"]["activations"]["0"].update(scale=torch.ones(4), zero=torch.zeros(4))),
        "one scale for the activations of '0'"),
    "no scale": (rehashed(lambda f: f["quantization"]["grids"]["0.weight"].update(
        scale=torch.ones(0, 1), zero=torch.ones(0, 1))), "Expected a scale for '0.weight'"),
    "scales of other units": (rehashed(lambda f: f["quantization"]["grids"]["0.weight"].update(
        scale=torch.ones(5, 1), zero=torch.zeros(5, 1))), "scales that fit '0.weight'"),
    "a zero point between codes": (rehashed(entry(*W, "zero", to=lambda z: z + 0.5)), "zero points for '0.weight'"),
    "another scale and its hash": (rehashed(entry(*W, "scale", to=lambda s: s * 1.5)), "'0.weight' on their grid"),
    "a grid without a weight": (rehashed(entry("grids", to=lambda g: g | {"5.weight": g["0.weight"]})),
                                "the quantized weight '5.weight'"),
    "one edited weight": (lambda f: f["state_dict"]["0.weight"][0, 0].add_(0.01), "got 1 of 24 beside"),
    "a NaN among the weights": (lambda f: f["state_dict"]["0.weight"][0, 0].fill_(math.nan), "got 1 of 24 beside"),
    "codes for weights": (lambda f: f["state_dict"].update({"0.weight": torch.ones(6, 4).long()}), "scales that fit"),
    "weights of another shape": (lambda f: f["state_dict"].update({"0.weight": torch.ones(6, 4, 2)}), "that fit"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_in_one_line(name, plain, tmp_path):
    change, message = DAMAGE[name]
    change(plain)
    path = tmp_path / "damaged.pt"
    torch.save(plain, path)
    with pytest.raises(ValueError, match=message) as caught:
        checkpoint.read(path)
    assert "damaged.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_does_not_lie_on_its_grid_is_not_written(tmp_path):
    _, found = made(Scheme(3))
    found.state["0.weight"] += 0.01
    with pytest.raises(ValueError, match="'0.weight' on their grid"):
        checkpoint.write(found, tmp_path / "ckpt.pt")
    assert not list(tmp_path.iterdir())


def test_foreign_files_have_no_quantization(tmp_path):
    torch.save(network().state_dict(), tmp_path / "foreign.pt")
    found = checkpoint.read(tmp_path / "foreign.pt")
    assert found.quantization is None
    assert checkpoint.latent(found) is found
