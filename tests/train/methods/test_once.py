"""Once-QAT: a step by hand, nested codes, its cost, and the widths that its checkpoint makes afterwards."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from landscape import checkpoint, losses
from landscape.objective import Objective
from landscape.quantize.calibration import calibrate
from landscape.quantize.parametrization import quantizers
from landscape.quantize.quantization import quantized
from landscape.quantize.scheme import Scheme
from landscape.quantize.trained.widths import Widths, at_width
from landscape.train.batches import Batch
from landscape.train.clock import Clock
from landscape.train.composition import method
from landscape.train.methods.once import averaged
from landscape.train.objectives.cross_entropy import cross_entropy
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.step import Step

SHORT = Settings(epochs=4, batch_size=16, lr=0.02, seed=1)


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.fixture
def normalized():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 3))


def run(toy, model, text, **settings):
    return train(toy, model, replace(SHORT, **settings), method=text, device="cpu")


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(12, 5, dtype=dtype, generator=generator)
    return Batch(inputs, torch.randint(0, 3, (12,), generator=generator))


def value_at(state, small, toy):
    small.load_state_dict(state)
    objective = Objective(small, toy, losses.loss("cross_entropy"), device="cpu")
    return objective.value(objective.theta).item()


# one step


def test_a_step_is_the_mean_of_the_gradients_at_the_quantized_weights(small):
    model = small.double()
    latent = {name: p.detach().clone() for name, p in model.named_parameters()}
    expected = {name: torch.zeros_like(p) for name, p in latent.items()}
    for bits in (8, 3, 2):
        grids = {n: calibrate(latent[n], Scheme(bits), axis=0) for n in ("0.weight", "2.weight")}
        point = {n: t.requires_grad_() for n, t in quantized(latent, grids).items()}
        data = batch()
        outputs = torch.func.functional_call(model, point, (data.inputs,))
        found = torch.autograd.grad(nn.functional.cross_entropy(outputs, data.targets), list(point.values()))
        for (name, _), g in zip(point.items(), found, strict=True):
            expected[name] += g * grids[name].inside(latent[name]) if name in grids else g
    once = method("once:widths=8/3/2")
    once.quantizer(model)
    goal = once.objectives[0](cross_entropy())
    step = Step(model.train(), goal, batch(), Clock(1, 10))
    step.backward()
    for name, p in model.named_parameters():
        assert (p.grad - expected[name.replace("parametrizations.weight.original", "weight")] / 3).abs().max() < 1e-14
    assert step.clock.evaluations == once.evaluations == 3
    assert {one.width for one, _ in quantizers(model).values()} == {2}


def test_all_widths_see_one_mask_and_the_deployed_one_alone_moves_statistics(normalized):
    once = method("once:widths=8/4/2,deploy=4")
    once.quantizer(normalized)
    seen, norm = [], normalized[1]

    def goal(model, data, clock):
        count = norm.num_batches_tracked.item()
        outputs = model[3](model[2](model[1](data.inputs @ model[0].weight.T + model[0].bias)))
        seen.append((quantizers(model)["0.weight"][0].width, norm.num_batches_tracked.item() - count, outputs == 0))
        return outputs.square().mean()

    before = torch.get_rng_state()
    with torch.random.fork_rng():
        once.objectives[0](goal)(normalized.train(), batch(torch.float32), Clock(1, 1))
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        goal(normalized, batch(torch.float32), Clock(1, 1))
        assert torch.equal(torch.get_rng_state(), after)
    assert [(width, moved) for width, moved, _ in seen[:3]] == [(4, 1), (8, 0), (2, 0)]
    assert seen[0][2].any()
    assert all(torch.equal(seen[0][2], mask) for _, _, mask in seen)


def test_micro_batches_count_as_their_shares(small):
    once = method("once:widths=8/2")
    once.quantizer(small)
    step = Step(small.train(), once.objectives[0](cross_entropy()), batch(torch.float32), Clock(1, 1))
    for part in step.split(5):
        part.backward()
    assert step.clock.evaluations == 2


def test_in_evaluation_mode_one_width_counts(small):
    method("once:widths=8/2").quantizer(small)
    goal, data = cross_entropy(), batch(torch.float32)
    assert torch.equal(averaged(goal, further=[8])(small.eval(), data, Clock(1, 1)), goal(small, data, Clock(1, 1)))
    with at_width(small, 8):
        assert len(small[0].weight.unique()) > 16
    assert len(small[0].weight[0].unique()) <= 4


# nested widths


def test_nested_codes_are_the_leading_bits_of_finer_ones():
    weight = torch.randn(6, 50)
    widths = Widths(weight, [Scheme(b, "midrise") for b in (8, 5, 2)], 0, nested=True)
    grids = {b: widths.each[str(b)].grid for b in (8, 5, 2)}
    for fine, coarse in ((8, 5), (5, 2), (8, 2)):
        factor = 2 ** (fine - coarse)
        assert torch.equal(factor * grids[fine].scale, grids[coarse].scale)
        assert torch.equal(torch.floor(grids[fine].codes(weight) / factor), grids[coarse].codes(weight))
    assert torch.equal(grids[2].scale, calibrate(weight, Scheme(2, "midrise"), axis=0).scale)


def test_separate_grids_are_those_of_post_training_quantization():
    weight = torch.randn(6, 50)
    widths = Widths(weight, [Scheme(b) for b in (4, 1, 8)], 0)
    assert widths.width == 1
    for bits in (8, 4, 1):
        widths.width = bits
        assert widths.grid_at(weight).sha256() == calibrate(weight, Scheme(bits), axis=0).sha256()


# whole runs


@pytest.mark.parametrize("nested", ["false", "true"])
def test_the_other_widths_of_a_checkpoint_have_the_losses_that_training_found(toy, small, nested):
    found = run(toy, small, f"once:widths=8/4/2,nested={nested}")
    latent = checkpoint.latent(found.checkpoint).state
    losses_found = {}
    for bits in (8, 4, 2):
        grids = {n: calibrate(latent[n], Scheme(bits), axis=0) for n in ("0.weight", "2.weight")}
        if nested == "true":  # the grid that is deployed, with steps of halves
            for name, one in found.checkpoint.quantization.grids.items():
                half = 2 ** (bits - 1)
                grids[name] = replace(one, bits=bits, low=-half, high=half - 1, scale=one.scale / 2 ** (bits - 2))
        losses_found[bits] = value_at(quantized(latent, grids), small, toy)
        assert losses_found[bits] == pytest.approx(found.history[-1][f"objective_{bits}_bits"], rel=1e-5)
    assert losses_found[2] == pytest.approx(found.final["train_loss"], rel=1e-5)
    assert found.checkpoint.quantization.bits == {"0.weight": 2, "2.weight": 2}
    assert losses_found[8] != losses_found[2]


def test_with_one_width_it_trains_as_ste_does(toy, normalized):
    one, two = run(toy, normalized, "once:widths=4"), run(toy, normalized, "ste:bits=4")
    for name, latent in two.checkpoint.quantization.latent.items():
        assert torch.equal(latent, one.checkpoint.quantization.latent[name])
    assert [r["objective"] for r in one.history] == [r["objective"] for r in two.history]
    trained = [n for n in two.checkpoint.state if not n.endswith(("weight", "running_mean", "running_var"))]
    assert all(torch.equal(one.checkpoint.state[n], two.checkpoint.state[n]) for n in trained)


def test_with_sam_a_step_takes_two_evaluations_a_width(toy, normalized):
    assert method("once+sam").evaluations == 6
    found = run(toy, normalized, "once:deploy=8+sam", epochs=2)
    assert found.checkpoint.training["gradient_evaluations"] == 2 * 5 * 6
    assert found.checkpoint.quantization.bits == {"0.weight": 8, "4.weight": 8}
    found.checkpoint.quantization.require(found.checkpoint.state, "here")


@pytest.mark.parametrize("text", ["once+swa", "once:skip=first", "once:widths=1/2,nested=true", "once:deploy=4"])
def test_the_checkpoint_lies_on_its_grids_and_has_the_loss_that_is_reported(toy, small, text, tmp_path):
    found = train(toy, small, SHORT, method=text, device="cpu", output=tmp_path / "a.pt")
    read = checkpoint.read(tmp_path / "a.pt")  # checks the grids
    assert value_at(read.state, small, toy) == pytest.approx(found.final["train_loss"], rel=1e-5)


def test_it_begins_at_a_network_of_full_precision(toy, small):
    plain = run(toy, small, "plain", epochs=8)
    begun = train(toy, small, replace(SHORT, epochs=0), method="once:deploy=8", init=plain.checkpoint, device="cpu")
    assert begun.final["train_loss"] == pytest.approx(plain.final["train_loss"], abs=0.01)


def test_two_quantizers_clash():
    with pytest.raises(ValueError, match="one quantizer of the weights in a run, got those of 'once' and 'ste'"):
        method("ste+once")


@pytest.mark.parametrize("text", ["once:widths=8/8", "once:widths=8-4", "once:widths=9", "once:deploy=3"])
def test_wrong_knobs_are_refused(text):
    with pytest.raises(ValueError, match=r"Expected .*, got .*: \w+"):
        method(text)
