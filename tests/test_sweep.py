"""Sweeps: the same bits whole, in chunks, and after any interruption; nothing is measured twice."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from landscape import sweep as sweeping
from landscape.engine.plan import Plan
from landscape.objective import Objective
from landscape.parts import Parts
from landscape.sweep import sweep

PLANS = {"loop": "loop,examples=16", "vmap": "vmap,points=3,examples=16"}
COUNT = 8


@pytest.fixture(params=sorted(PLANS))
def objective(request):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
    x, y = torch.randn(40, 3), torch.randint(0, 2, (40,))
    return Objective(model, {"train": (x, y), "test": (x[:7], y[:7])}, device="cpu", strategy=PLANS[request.param])


@pytest.fixture
def thetas(objective):
    return objective.theta + 0.3 * torch.randn(COUNT, objective.dim, generator=torch.Generator().manual_seed(1))


class Counter:
    """Points, remembered as they are asked for."""

    def __init__(self, thetas):
        self.thetas, self.asked = thetas, []

    def __call__(self, index):
        self.asked += index.tolist()
        return self.thetas[index]


class Interruption:
    """Progress that is broken off once a number of points is done."""

    def __init__(self, at):
        self.at, self.told = at, []

    def __call__(self, done, total):
        self.told.append((done, total))
        if done >= self.at:
            raise KeyboardInterrupt


def opening(path, identity="a"):
    return lambda plan: Parts(path, {"what": identity}, plan)


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k], equal_nan=True) for k in one)


def test_chunks_equal_the_whole_bit_for_bit(objective, thetas):
    arrays, record = sweep(objective, COUNT, Counter(thetas))
    whole = objective.measure(thetas, plan=Plan(**record))
    for name, array in vars(whole).items():
        if array is not None:
            assert np.array_equal(arrays[name], array), name
    assert arrays["loss"].shape == (2, COUNT)
    assert arrays["class_loss"].shape == (2, 2, COUNT)
    assert not arrays["stopped"].any()
    assert json.loads(json.dumps(record)) == record


def test_every_point_is_asked_for_once_and_told(objective, thetas):
    points, told = Counter(thetas), []
    sweep(objective, COUNT, points, progress=lambda *now: told.append(now))
    assert points.asked == list(range(COUNT))
    step = objective.plan(COUNT).points
    assert told == [(min(done, COUNT), COUNT) for done in range(0, COUNT + step, step)]


@pytest.mark.parametrize("keep", [0.0, 1e9])
@pytest.mark.parametrize("at", range(COUNT + 1))
def test_an_interrupted_sweep_goes_on_where_it_was(objective, thetas, tmp_path, monkeypatch, keep, at):
    monkeypatch.setattr(sweeping, "KEEP", keep)
    whole, _ = sweep(objective, COUNT, Counter(thetas))
    first, second = Counter(thetas), Counter(thetas)
    with pytest.raises(KeyboardInterrupt):
        sweep(objective, COUNT, first, store=opening(tmp_path / "out.h5"), progress=Interruption(at))
    told = []
    store = opening(tmp_path / "out.h5")
    resumed, _ = sweep(objective, COUNT, second, store=store, progress=lambda *now: told.append(now))
    assert equal(resumed, whole)
    assert sorted(first.asked + second.asked) == list(range(COUNT))
    assert told[0] == (len(first.asked), COUNT)
    assert told[-1] == (COUNT, COUNT)


def test_interrupted_again_and_again(objective, thetas, tmp_path):
    whole, _ = sweep(objective, COUNT, Counter(thetas))
    points = Counter(thetas)
    for at in range(1, COUNT):
        with pytest.raises(KeyboardInterrupt):
            sweep(objective, COUNT, points, store=opening(tmp_path / "out.h5"), progress=Interruption(at))
    resumed, _ = sweep(objective, COUNT, points, store=opening(tmp_path / "out.h5"))
    assert equal(resumed, whole)
    assert sorted(points.asked) == list(range(COUNT))


def test_a_hole_in_the_middle_is_filled(objective, thetas, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "KEEP", -1.0)
    whole, _ = sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5"))
    files = sorted((tmp_path / "out.h5.parts").glob("part-*.npz"))
    assert len(files) == -(-COUNT // objective.plan(COUNT).points)
    files[1].unlink()
    (tmp_path / "out.h5.parts" / ".part-000000.npz.x.tmp").write_bytes(b"half of a par")
    points = Counter(thetas)
    resumed, _ = sweep(objective, COUNT, points, store=opening(tmp_path / "out.h5"))
    assert equal(resumed, whole)
    step = objective.plan(COUNT).points
    assert points.asked == list(range(step, 2 * step))


def test_a_finished_sweep_measures_nothing(objective, thetas, tmp_path):
    whole, _ = sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5"))
    again, _ = sweep(objective, COUNT, Counter(None), store=opening(tmp_path / "out.h5"))
    assert equal(again, whole)


def test_a_resumed_sweep_keeps_the_first_plan(objective, thetas, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5"), progress=Interruption(3))
    first = objective.plan(COUNT).record()
    objective.plan = lambda count: pytest.fail("measured again")
    _, record = sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5"))
    assert record == first


def test_parts_of_another_work_are_refused(objective, thetas, tmp_path):
    sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5", "a"))
    before = sorted(p.read_bytes() for p in (tmp_path / "out.h5.parts").iterdir())
    with pytest.raises(ValueError, match="expected parts of this very run, got parts of another one"):
        sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5", "b"))
    assert sorted(p.read_bytes() for p in (tmp_path / "out.h5.parts").iterdir()) == before


def test_a_full_disk_leaves_what_was_done(objective, thetas, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "KEEP", -1.0)
    write = Parts.write

    def full(parts, index, arrays):
        if index > 2:
            raise OSError(28, "No space left on device")
        write(parts, index, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", full)
        with pytest.raises(OSError, match="No space left"):
            sweep(objective, COUNT, Counter(thetas), store=opening(tmp_path / "out.h5"))
    points = Counter(thetas)
    resumed, _ = sweep(objective, COUNT, points, store=opening(tmp_path / "out.h5"))
    assert points.asked == list(range(3, COUNT))
    assert equal(resumed, sweep(objective, COUNT, Counter(thetas))[0])


KILLED = """
import os, random, signal, sys, time
import numpy as np, torch
torch.set_num_threads(1)
from landscape import sweep as sweeping
from landscape.objective import Objective
from landscape.parts import Parts

sweeping.KEEP = 0.002
torch.manual_seed(0)
data = torch.randn(16, 3), torch.randint(0, 2, (16,))
objective = Objective(torch.nn.Linear(3, 2), data, device="cpu", strategy="vmap,points=3,examples=16")
thetas = torch.randn(200, objective.dim)
objective.measure(thetas[:3])  # what torch sets up at the first use would take a child all its time

def point(index):
    time.sleep(0.0005)
    return thetas[index]

def run():
    return sweeping.sweep(objective, 200, point, store=lambda plan: Parts(sys.argv[1], {}, plan))[0]

times = random.Random(0)
finished = 0
for _ in range(30):
    child = os.fork()
    if child == 0:
        run()
        os._exit(0)
    time.sleep(times.uniform(0.0, 0.07))
    os.kill(child, signal.SIGKILL)
    finished += os.waitpid(child, 0)[1] == 0
    if os.path.exists(sys.argv[1] + ".parts/manifest.json"):
        parts = Parts(sys.argv[1], {}, dict)
        assert all(parts.read(part)["loss"].shape[0] == 1 for part in parts.done())
done = len(Parts(sys.argv[1], {}, dict).done())
resumed, whole = run(), sweeping.sweep(objective, 200, point)[0]
assert all(np.array_equal(resumed[name], whole[name]) for name in whole)
print(done, finished, flush=True)
"""


def test_killed_thirty_times_the_bits_are_the_same(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "out.h5"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    done, _ = map(int, ended.stdout.split())
    assert done > 0


# Giving points up


@pytest.fixture(params=sorted(PLANS))
def bowl(request):
    """Squared error on 40 examples that agree about what is far: the last parameter is a bias."""
    torch.manual_seed(0)
    data = (torch.randn(40, 3), torch.zeros(40, 1))
    return Objective(nn.Linear(3, 1), {"train": data, "test": data}, "mse", device="cpu", strategy=PLANS[request.param])


@pytest.fixture
def heights(bowl):
    """Points of which every second one lies far up."""
    points = bowl.theta.repeat(COUNT, 1)
    points[1::2, -1] += 100
    points[:, 0] += torch.linspace(0, 1, COUNT)
    return points


def test_points_far_above_the_limit_are_given_up(bowl, heights):
    whole, _ = sweep(bowl, COUNT, Counter(heights))
    found, _ = sweep(bowl, COUNT, Counter(heights), stop_above=50.0)
    stopped = found["stopped"]
    assert stopped.tolist() == [False, True] * (COUNT // 2)
    early = bowl.subset(30).measure(heights, plan=bowl.plan(COUNT))
    np.testing.assert_allclose(found["loss"][:, ~stopped], whole["loss"][:, ~stopped], rtol=1e-6)
    np.testing.assert_allclose(found["loss"][:, stopped], early.loss[:, stopped], rtol=1e-6)
    assert (np.abs(found["loss"] - whole["loss"])[:, stopped] > 0).all()
    assert found.keys() == whole.keys()


def test_a_limit_within_five_errors_stops_nothing(bowl, heights):
    early = bowl.subset(30).measure(heights[1])
    limit = early.loss[0] - 4.5 * early.loss_error[0]
    found, _ = sweep(bowl, 2, Counter(heights), stop_above=float(limit))
    assert not found["stopped"].any()
    limit = early.loss[0] - 5.5 * early.loss_error[0]
    found, _ = sweep(bowl, 2, Counter(heights), stop_above=float(limit))
    assert found["stopped"].tolist() == [False, True]


def test_a_limit_that_nothing_reaches_changes_nothing(objective, thetas):
    whole, _ = sweep(objective, COUNT, Counter(thetas))
    found, _ = sweep(objective, COUNT, Counter(thetas), stop_above=1e9)
    assert equal(found, whole)


def test_what_is_not_finite_is_not_given_up(objective, thetas):
    thetas[2] = torch.nan
    found, _ = sweep(objective, COUNT, Counter(thetas), stop_above=100.0)
    assert np.isnan(found["loss"][:, 2]).all()
    assert not found["stopped"][2]


def test_giving_up_saves_the_rest_of_the_examples(bowl, heights, monkeypatch):
    asked = []
    measure = Objective.measure

    def counted(self, points, **options):
        asked.append((self.size, len(points)))
        return measure(self, points, **options)

    monkeypatch.setattr(Objective, "measure", counted)
    sweep(bowl, COUNT, Counter(heights), stop_above=50.0)
    assert sum(n for size, n in asked if size == 30) == COUNT
    assert sum(n for size, n in asked if size == 40) == COUNT // 2


def test_an_interrupted_sweep_that_gives_up_goes_on(bowl, heights, tmp_path):
    whole, _ = sweep(bowl, COUNT, Counter(heights), stop_above=50.0)
    with pytest.raises(KeyboardInterrupt):
        sweep(bowl, COUNT, Counter(heights), stop_above=50.0, store=opening(tmp_path / "o"), progress=Interruption(4))
    resumed, _ = sweep(bowl, COUNT, Counter(heights), stop_above=50.0, store=opening(tmp_path / "o"))
    assert equal(resumed, whole)
