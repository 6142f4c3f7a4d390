"""Networks across bit widths: closed forms on a quadratic, naive twins on a small network, resuming, bad input."""

import copy
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.func import functional_call

from landscape.objective import Objective
from landscape.parts import Parts
from landscape.probes.bits import Bits, bits, cost
from landscape.quantize import activations
from landscape.quantize.calibration import calibrate
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme
from landscape.quantize.views import Latent
from landscape.result import load

QUICK = {"points": 3, "ascent": 2, "draws": 2, "probes": 2, "limit": 5}
NUMBERS = ("points", "evaluations", "gradients", "products")


def half_square(outputs, targets):
    return 0.5 * (outputs - targets)[:, 0] ** 2


class Bowl:
    """The loss sum_i a_i (w_i - c_i)^2 / 2 of one layer without a bias: every number in closed form."""

    def __init__(self, dim=7):
        random = np.random.default_rng(2)
        self.a, self.c = random.uniform(0.5, 3, dim), random.standard_normal(dim)
        self.w = self.c + 0.1 * random.standard_normal(dim)
        x = np.diag(np.sqrt(dim * self.a))
        model = nn.Linear(dim, 1, bias=False).double()
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(self.w[None]))
        data = torch.from_numpy(x), torch.from_numpy((x @ self.c)[:, None])
        self.objective = Objective(model, data, half_square, precision="float64", device="cpu")

    def grid(self, width):
        return calibrate(torch.from_numpy(self.w[None]), Scheme(width))

    def __call__(self, w):
        return 0.5 * (self.a * (np.asarray(w) - self.c) ** 2).sum(-1)


class Net:
    """A small classifier on two splits, with naive versions of what is measured."""

    def __init__(self, **options):
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        x, y = torch.randn(60, 4, dtype=torch.float64), torch.randint(0, 3, (60,))
        self.data = {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}
        self.objective = Objective(self.model, self.data, precision="float64", device="cpu", **options)
        self.theta = self.objective.theta
        self.slices = {b.name: b.slice for b in self.objective.blocks if b.name.endswith("weight")}

    def each(self, theta, split="train"):
        """Losses of all examples at a point."""
        x, y = self.data[split]
        outputs = functional_call(self.model, self.objective.unpack(theta), (x,))
        return nn.functional.cross_entropy(outputs, y, reduction="none").detach().numpy()

    def mean(self, theta):
        x, y = self.data["train"]
        return nn.functional.cross_entropy(functional_call(self.model, self.objective.unpack(theta), (x,)), y)

    def gradient(self, theta):
        theta = theta.clone().requires_grad_()
        return torch.autograd.grad(self.mean(theta), theta)[0]

    def hessian(self, theta):
        return torch.autograd.functional.hessian(self.mean, theta)

    def rounded(self, width, only=None):
        """Q(w), with all weights or one of them rounded, and their grids."""
        point, values = self.theta.clone(), self.objective.unpack(self.theta)
        grids = {name: calibrate(values[name], Scheme(width)) for name in self.slices}
        for name in self.slices if only is None else [only]:
            point[self.slices[name]] = grids[name].hard(values[name]).flatten()
        return point, grids


def paired(after, before):
    difference = after - before
    return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))


@pytest.fixture(scope="module")
def bowl():
    made = Bowl()
    return made, bits(made.objective, bits=(8, 4, 3, 2, 1), spacing=1e-3, rho=0.1)


@pytest.fixture(scope="module")
def net():
    return Net()


@pytest.fixture(scope="module")
def found(net):
    return bits(net.objective, bits=(1, 4, 2, 4), tolerance=1e-8, limit=500, points=5, draws=4, flips=0.1)


def test_the_expansion_of_a_quadratic_has_no_remainder(bowl):
    made, result = bowl
    for i, width in enumerate(result.bits):
        q = made.grid(int(width)).hard(torch.from_numpy(made.w[None])).numpy()[0]
        delta, slope = q - made.w, made.a * (made.w - made.c)
        assert result.loss[0, i] == pytest.approx(made(q), rel=1e-12)
        assert result.loss_change[0, i] == pytest.approx(made(q) - made(made.w), rel=1e-9)
        assert result.gradient_term[i] == pytest.approx(slope @ delta, rel=1e-9)
        assert result.curvature_term[i] == pytest.approx(0.5 * (made.a * delta**2).sum(), rel=1e-9)
        assert result.gradient_norm[i] == pytest.approx(np.linalg.norm(made.a * (q - made.c)), rel=1e-9)
    np.testing.assert_allclose(result.remainder, 0, atol=1e-14)
    assert result.taylor_valid.all()
    np.testing.assert_allclose(result.tensor_predicted[:, 0], result.loss_change[0], rtol=1e-8)
    np.testing.assert_allclose(result.tensor_change[:, 0], result.loss_change[0], rtol=1e-12)


def test_the_highest_corner_of_the_bins_of_a_bowl(bowl):
    made, result = bowl
    for i, width in enumerate(result.bits):
        half = made.grid(int(width)).step.numpy()[0] / 2
        offset = np.abs(made.w - made.c)
        highest = 0.5 * (made.a * ((offset + half) ** 2 - offset**2)).sum()
        np.testing.assert_allclose(result.bin_path[i], highest, rtol=1e-9)
        assert result.bin_sharpness[i] == pytest.approx(highest, rel=1e-9)


def test_at_the_minimum_every_corner_of_a_bowl_is_as_high(bowl):
    made, _ = bowl
    at = torch.from_numpy(made.c)
    result = bits(made.objective, theta=at, bits=(3,), **QUICK)
    half = calibrate(at[None], Scheme(3)).step.numpy()[0] / 2
    assert result.bin_sharpness[0] == pytest.approx(0.5 * (made.a * half**2).sum(), rel=1e-9)


def test_curvature_of_a_bowl(bowl):
    made, result = bowl
    assert result.lambda_max_full == pytest.approx(made.a.max(), rel=1e-9)
    np.testing.assert_allclose(result.lambda_max, made.a.max(), rtol=1e-9)
    np.testing.assert_allclose(result.trace, made.a.sum(), rtol=1e-9)  # random signs are exact for diagonal matrices
    np.testing.assert_allclose(result.trace_error, 0, atol=1e-9)
    steps = [made.grid(int(width)).step.item() for width in result.bits]
    np.testing.assert_allclose(result.step, steps, rtol=1e-12)
    np.testing.assert_allclose(result.scaled, made.a.max() * np.square(steps), rtol=1e-9)
    np.testing.assert_allclose(result.scaled_full, result.scaled, rtol=1e-9)
    square = [
        ((made.grid(int(b)).hard(torch.from_numpy(made.w[None])).numpy()[0] - made.w) ** 2).sum() for b in result.bits
    ]
    np.testing.assert_allclose(result.tensor_omega[:, 0], made.a.mean() * np.array(square), rtol=1e-9)


def test_sam_at_the_rounded_bowl(bowl):
    made, result = bowl
    for i, width in enumerate(result.bits):
        q = made.grid(int(width)).hard(torch.from_numpy(made.w[None])).numpy()[0]
        slope = made.a * (q - made.c)
        step = 0.1 * np.linalg.norm(q) * slope / np.linalg.norm(slope)
        assert result.sam[i] == pytest.approx(made(q + step) - made(q), rel=1e-9)


def test_neighbours_of_a_wide_bin_lie_in_it(bowl):
    _, result = bowl
    np.testing.assert_array_equal((result.flat == 1), (result.moved == 0))
    assert result.flat[-1] == 1
    assert ((result.flat >= 0) & (result.flat <= 1)).all()


def test_neighbours_that_differ_have_other_losses():
    made = Bowl()
    far = bits(made.objective, bits=(8,), spacing=1.0, **QUICK)
    assert far.flat[0] == 0
    assert 0.5 < far.moved[0] <= 1


def test_barriers_of_a_bowl_vanish_since_it_is_convex(bowl):
    _, result = bowl
    np.testing.assert_array_equal(result.barrier, 0)
    np.testing.assert_array_equal(result.barrier_error, 0)
    assert result.segment.tolist() == ["full to 8", "8 to 4", "4 to 3", "3 to 2", "2 to 1"]


def test_widths_come_once_each_from_wide_to_narrow(found):
    assert found.bits.tolist() == [4, 2, 1]
    assert found.family.tolist() == ["narrow", "midrise", "binary"]
    assert found.calibration.tolist() == ["mse", "mse", "own"]


def test_losses_and_their_paired_errors_are_naive_ones(net, found):
    for k, split in enumerate(("train", "test")):
        before = net.each(net.theta, split)
        assert found.loss_full[k] == pytest.approx(before.mean(), rel=1e-12)
        assert found.loss_full_error[k] == pytest.approx(before.std(ddof=1) / np.sqrt(len(before)), rel=1e-12)
        for i, width in enumerate(found.bits.tolist()):
            after = net.each(net.rounded(width)[0], split)
            assert found.loss[k, i] == pytest.approx(after.mean(), rel=1e-12)
            assert found.loss_error[k, i] == pytest.approx(after.std(ddof=1) / np.sqrt(len(after)), rel=1e-12)
            assert (found.loss_change[k, i], found.loss_change_error[k, i]) == pytest.approx(paired(after, before))
    measured = net.objective.measure(torch.stack([net.rounded(b)[0] for b in found.bits.tolist()]))
    np.testing.assert_allclose(found.accuracy, measured.accuracy, rtol=1e-12)
    np.testing.assert_allclose(found.accuracy_error, measured.accuracy_error, rtol=1e-12)


def test_the_terms_of_the_change_are_those_of_the_dense_hessian(net, found):
    slope, hessian = net.gradient(net.theta), net.hessian(net.theta)
    for i, width in enumerate(found.bits.tolist()):
        delta = net.rounded(width)[0] - net.theta
        first, second = float(slope @ delta), float(delta @ hessian @ delta) / 2
        assert found.gradient_term[i] == pytest.approx(first, rel=1e-9)
        assert found.curvature_term[i] == pytest.approx(second, rel=1e-9)
        assert found.remainder[i] == pytest.approx(found.loss_change[0, i] - first - second, rel=1e-9)
        assert found.taylor_valid[i] == (abs(found.remainder[i]) < 0.5 * abs(found.loss_change[0, i]))


def test_curvature_at_the_rounded_network_is_that_of_the_dense_hessian(net, found):
    values = torch.linalg.eigvalsh(net.hessian(net.theta))
    assert found.lambda_max_full == pytest.approx(float(values[-1]), rel=1e-9)
    assert found.trace_full == pytest.approx(float(values.sum()), abs=4 * found.trace_full_error)
    assert found.gradient_norm_full == pytest.approx(float(net.gradient(net.theta).norm()), rel=1e-9)
    for i, width in enumerate(found.bits.tolist()):
        point = net.rounded(width)[0]
        values = torch.linalg.eigvalsh(net.hessian(point))
        assert found.lambda_max[i] == pytest.approx(float(values[-1]), rel=1e-9)
        assert found.trace[i] == pytest.approx(float(values.sum()), abs=4 * found.trace_error[i])
        assert found.gradient_norm[i] == pytest.approx(float(net.gradient(point).norm()), rel=1e-9)
    assert found.lambda_max_converged.all()


def test_the_box_of_the_bins_holds_what_is_found_and_random_corners_are_lower(net, found):
    generator = torch.Generator().manual_seed(0)
    before = net.each(net.theta).mean()
    for i, width in enumerate(found.bits.tolist()):
        half = torch.zeros_like(net.theta)
        for name, grid in net.rounded(width)[1].items():
            half[net.slices[name]] = (grid.step / 2).expand(net.objective.unpack(net.theta)[name].shape).flatten()
        corners = torch.randint(0, 2, (200, len(half)), generator=generator) * 2 - 1
        best = max(net.each(net.theta + half * corner).mean() for corner in corners) - before
        assert found.bin_sharpness[i] >= best
        first = net.each(net.theta + half * net.gradient(net.theta).sign()).mean() - before
        assert found.bin_path[i, 0] == pytest.approx(max(first, 0), rel=1e-9)
    assert (np.diff(found.bin_path, axis=1) >= 0).all()
    np.testing.assert_array_equal(found.bin_path[:, -1], found.bin_sharpness)


def codes(net, width):
    """Codes of all rounded weights, what makes weights of them, and where they lie."""
    point, grids = net.rounded(width)
    values = net.objective.unpack(net.theta)
    return point, {name: grids[name].codes(values[name]) for name in net.slices}, grids


def test_the_worst_codes_are_those_of_the_largest_slope_uphill(net, found):
    count = int(found.flipped)
    assert count == round(0.1 * sum(part.stop - part.start for part in net.slices.values()))
    for i, width in enumerate(found.bits.tolist()):
        point, own, grids = codes(net, width)
        slope, moves = net.gradient(point), []
        for name, part in net.slices.items():
            grid = grids[name]
            for place, code in enumerate(own[name].flatten().tolist()):
                way = 1 if slope[part][place] > 0 else -1
                if grid.low <= code + way <= grid.high:
                    changed = own[name].clone().flatten()
                    changed[place] += way
                    value = grid.dequantize(changed.view_as(own[name])).flatten()[place]
                    gain = float(slope[part][place] * (value - point[part][place]))
                    moves.append((gain, part.start + place, float(value)))
        worst = point.clone()
        for _, place, value in sorted(moves, reverse=True)[:count]:
            worst[place] = value
        expected = paired(net.each(worst), net.each(point))
        assert (found.flip_worst[i], found.flip_worst_error[i]) == pytest.approx(expected, rel=1e-9)


def test_random_flips_move_so_many_codes_by_one(net, found, monkeypatch):
    from landscape import examples

    seen = []
    usual = examples.by_example
    monkeypatch.setattr(examples, "by_example", lambda o, p, split=0: seen.append(p.clone()) or usual(o, p, split))
    again = bits(net.objective, bits=(4, 2, 1), tolerance=1e-8, limit=500, points=5, draws=4, flips=0.1)
    np.testing.assert_array_equal(again.flip_mean, found.flip_mean)
    for i, width in enumerate(found.bits.tolist()):
        point, own, grids = codes(net, width)
        rises = []
        for candidate in seen:
            changes = []
            for name, part in net.slices.items():
                other = grids[name].codes(candidate[part].view_as(own[name]))
                on = torch.equal(grids[name].dequantize(other).flatten(), candidate[part])
                changes.append((other - own[name]).abs().flatten() if on else torch.full((1,), 9.0))
            changes = torch.cat(changes)
            if changes.max() == 1 and changes.sum() == int(found.flipped):
                rises.append(net.each(candidate).mean() - net.each(point).mean())
        assert len(rises) in (4, 5)  # the worst flips may be as many
        assert found.flip_mean[i] == pytest.approx(np.mean(rises[:4]), rel=1e-9)
        assert found.flip_mean_error[i] == pytest.approx(np.std(rises[:4], ddof=1) / 2, rel=1e-9)


def test_weights_one_at_a_time(net, found):
    slope, hessian, before = net.gradient(net.theta), net.hessian(net.theta), net.each(net.theta)
    assert found.tensor.tolist() == list(net.slices)
    for i, width in enumerate(found.bits.tolist()):
        for j, name in enumerate(net.slices):
            point = net.rounded(width, only=name)[0]
            delta = point - net.theta
            expected = paired(net.each(point), before)
            assert (found.tensor_change[i, j], found.tensor_change_error[i, j]) == pytest.approx(expected, rel=1e-8)
            second = float(delta @ hessian @ delta) / 2
            assert found.tensor_predicted[i, j] == pytest.approx(float(slope @ delta) + second, rel=1e-8)
            assert found.tensor_square[i, j] == pytest.approx(float(delta @ delta), rel=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rank = spearmanr(found.tensor_predicted[i], found.tensor_change[i]).statistic
        assert found.spearman[i] == pytest.approx(rank)
    for j, part in enumerate(net.slices.values()):
        trace = float(hessian[part, part].trace())
        assert found.tensor_trace[j] == pytest.approx(trace, abs=4 * found.tensor_trace_error[j])
    omega = found.tensor_square * found.tensor_trace / found.tensor_size
    np.testing.assert_allclose(found.tensor_omega, omega, rtol=1e-12)


def test_segments_and_barriers(net, found):
    ends = [net.theta, *(net.rounded(width)[0] for width in found.bits.tolist())]
    for k, split in enumerate(("train", "test")):
        for index, (first, last) in enumerate(zip(ends, ends[1:], strict=False)):
            each = np.stack([net.each(torch.lerp(first, last, float(t)), split) for t in found.t])
            np.testing.assert_allclose(found.segment_loss[k, index], each.mean(1), rtol=1e-9)
            above = each - (1 - found.t[:, None]) * each[0] - found.t[:, None] * each[-1]
            top = above.mean(1).argmax()
            assert found.barrier[k, index] == pytest.approx(max(above.mean(1).max(), 0), abs=1e-12)
            if found.barrier[k, index] > 1e-12:
                assert found.barrier_t[k, index] == found.t[top]
                error = above[top].std(ddof=1) / np.sqrt(len(above[top]))
                assert found.barrier_error[k, index] == pytest.approx(error, rel=1e-6)
    assert (found.barrier > 1e-12).any()  # else nothing was tested


def test_how_weights_lie_on_their_grids(net, found):
    for i, width in enumerate(found.bits.tolist()):
        point, grids = net.rounded(width)
        values, clipped, near, steps = net.objective.unpack(net.theta), 0, 0, []
        for name, grid in grids.items():
            levels = torch.stack([
                grid.dequantize(torch.full_like(values[name], float(c))) for c in range(grid.low, grid.high + 1)
            ])  # fmt: skip
            step = grid.step.expand_as(values[name])
            beyond = (values[name] > levels[-1] + step / 2) | (values[name] < levels[0] - step / 2)
            middle = (levels[1:] + levels[:-1]) / 2
            clipped += int(beyond.sum())
            near += int(((values[name] - middle).abs() < 0.05 * step).any(0).sum())
            steps.append(step.flatten())
        flat = torch.cat(steps)
        weights = torch.cat([net.theta[part] for part in net.slices.values()])
        assert found.clipped[i] == pytest.approx(clipped / len(flat))
        assert found.near[i] == pytest.approx(near / len(flat))
        assert found.step[i] == pytest.approx(float(flat.square().mean().sqrt()))
        assert found.relative_error[i] == pytest.approx(float((point - net.theta).norm() / weights.norm()))
        assert found.origin["grids"][str(width)] == Quantization(grids).sha256()


def test_remarks_and_figures(found):
    figures = found.figures()
    assert figures["bits_2_test_extra_loss"] == (found.loss_change[1, 1], found.loss_change_error[1, 1])
    assert figures["bits_4_lambda_max"] == (found.lambda_max[0], found.lambda_max_residual[0])
    assert figures["bits_1_flip_mean"] == (found.flip_mean[2], found.flip_mean_error[2])
    assert figures["bits_1_train_accuracy"] == (found.accuracy[0, 2], found.accuracy_error[0, 2])
    steep = copy.copy(found)
    object.__setattr__(steep, "gradient_norm", found.gradient_norm_full * np.array([1, 3.1, 2]))
    object.__setattr__(steep, "taylor_valid", np.array([True, True, False]))
    first, second = steep.remarks()
    assert "at 1 bits" in first
    assert "no minimum at 2 bits" in second
    assert steep.stationary().tolist() == [True, False, True]


def test_what_is_not_asked_for_is_not_measured(net):
    plain = bits(net.objective, bits=(3,), curvature=False, layers=False, **QUICK)
    missing = {n for n in plain.declared() if getattr(plain, n) is None}
    assert {"lambda_max", "trace_full", "scaled", "tensor_change", "tensor_trace", "spearman"} <= missing
    assert plain.origin["products"] == 1
    assert bits(net.objective, bits=(3,), layers=False, **QUICK).tensor_trace is None
    ranked = bits(net.objective, bits=(3,), curvature=False, **QUICK)
    assert ranked.lambda_max is None
    assert ranked.trace_full is None
    assert np.isfinite(ranked.spearman).all()


@pytest.mark.parametrize(
    "scheme",
    [
        {"family": "midrise"}, {"family": "levels"}, {"family": "full", "symmetric": False}, {"channels": False},
        {"calibration": "percentile", "percentile": 99.0}, {"calibration": "minmax"},
    ],
    ids=str,
)  # fmt: skip
def test_every_scheme(net, scheme):
    result = bits(net.objective, bits=(3, 2), curvature=False, layers=False, **scheme, **QUICK)
    values = net.objective.unpack(net.theta)
    for i, width in enumerate((3, 2)):
        point = net.theta.clone()
        for name, part in net.slices.items():
            point[part] = calibrate(values[name], Scheme(width, **scheme)).hard(values[name]).flatten()
        assert result.loss[0, i] == pytest.approx(net.each(point).mean(), rel=1e-12)


def test_skipped_layers_stay_as_they_are(net):
    result = bits(net.objective, bits=(2,), skip=("first", "4"), **QUICK)
    assert result.tensor.tolist() == ["2.weight"]
    assert result.loss_change[0, 0] == pytest.approx(result.tensor_change[0, 0], rel=1e-9)
    assert np.isnan(result.spearman[0])
    moved = Net(parameters="0.*")
    assert bits(moved.objective, bits=(2,), **QUICK).tensor.tolist() == ["0.weight"]


@pytest.mark.parametrize("policy", ["frozen", "refit"])
def test_batch_norm_is_recorded_and_kept(policy):
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    data = torch.randn(30, 4, dtype=torch.float64), torch.randint(0, 3, (30,))
    objective = Objective(model, data, precision="float64", device="cpu", batchnorm=policy)
    result = bits(objective, bits=(4, 2), layers=False, **QUICK)
    assert result.origin["batchnorm"] == policy
    values = objective.unpack(objective.theta)
    names = [name for name in values if values[name].ndim == 2]
    point = objective.pack({n: calibrate(v, Scheme(2)).hard(v) if n in names else v for n, v in values.items()})
    assert result.loss[0, 1] == pytest.approx(float(objective.value(point)), rel=1e-12)


class Stopped(Exception):  # noqa: N818
    pass


def test_an_interrupted_probe_goes_on_to_the_same_bits(tmp_path):
    net = Net(strategy="loop,examples=64;retained,examples=64")
    knobs = {"bits": (4, 3, 2), "flips": 0.1} | QUICK

    def store(name):
        return lambda plan: Parts(tmp_path / name, {"work": 1}, plan)

    def until_one_is_written(plan):
        opened = store("stopped")(plan)
        write = opened.write

        def once(index, arrays):
            write(index, arrays)
            raise Stopped

        opened.write = once
        return opened

    whole = bits(net.objective, store=store("whole"), **knobs)
    for count in range(1, 5):
        with pytest.raises(Stopped):
            bits(net.objective, store=until_one_is_written, **knobs)
        assert Parts(tmp_path / "stopped", {"work": 1}, dict).done() == set(range(count))
    again = bits(net.objective, store=store("stopped"), **knobs)
    for name in whole.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)
    assert again.origin == whole.origin


def test_it_survives_a_file(found, tmp_path):
    found.save(tmp_path / "b.h5")
    again = load(tmp_path / "b.h5")
    assert isinstance(again, Bits)
    for name in found.quantities():
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name), err_msg=name)


@pytest.mark.parametrize("knobs", [{}, {"curvature": False}, {"layers": False}, {"curvature": False, "layers": False}])
def test_the_cost_is_an_upper_bound_that_is_nearly_met(net, knobs):
    knobs = knobs | QUICK | {"spacing": 1.0}  # so that no neighbour is spared its evaluation
    told = cost(net.objective, bits=(4, 2), **knobs)
    used = bits(net.objective, bits=(4, 2), **knobs).origin
    share = 40 / 60
    assert told.points - 1 < used["points"] + share * used["evaluations"] <= told.points
    assert used["products"] + used["gradients"] / 2 <= told.products
    if not knobs.get("curvature", True):
        assert used["products"] + used["gradients"] / 2 >= told.products - 1
    assert told.vectors > 0


def test_progress_ends_at_its_total(net):
    told = []
    bits(net.objective, bits=(3, 2), progress=lambda done, total: told.append((done, total)), **QUICK)
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"bits": (0,)}, "bits from 1 to 8, got 0"), ({"bits": (9, 4)}, "got 9"), ({"bits": ()}, "got none"),
        ({"family": "ternary"}, "2 bits for family ternary"), ({"calibration": "best"}, "calibration among"),
        ({"skip": ("conv",)}, "--skip to match"), ({"skip": ("*",)}, "nothing to quantize"),
        ({"points": 2}, "points >= 3"), ({"draws": 1}, "draws >= 2"), ({"ascent": 0}, "ascent >= 1"),
        ({"probes": 1}, "probes >= 2"), ({"limit": 0}, "limit >= 1"), ({"flips": 0.0}, "flips above 0"),
        ({"flips": 1.5}, "flips above 0"), ({"rho": 0.0}, "rho > 0"), ({"spacing": -1.0}, "spacing > 0"),
        ({"tolerance": 0.0}, "tolerance > 0"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_knobs_are_refused_before_any_work(net, knobs, words):
    for work in (bits, cost):
        with pytest.raises(ValueError, match=words):
            work(net.objective, **knobs)


def test_views_and_rounded_activations_are_refused(net):
    grids = net.rounded(3)[1]
    seen = Objective(net.model, net.data, precision="float64", device="cpu", view=Latent(grids))
    with pytest.raises(ValueError, match="seen through a quantizer"):
        bits(seen)
    model = copy.deepcopy(net.model)
    activations.attach(model, {"2": calibrate(torch.randn(9, dtype=torch.float64), Scheme(4, channels=False))})
    with pytest.raises(ValueError, match="--acts fp"):
        bits(Objective(model, net.data, precision="float64", device="cpu"))


def test_nothing_to_round():
    model = nn.Sequential(nn.Linear(4, 3))
    objective = Objective(model, (torch.randn(9, 4), torch.arange(9) % 3), device="cpu", parameters="*.bias")
    with pytest.raises(ValueError, match="--parameters"):
        bits(objective)
