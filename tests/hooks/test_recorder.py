"""The recorder beside loops of one's own: what it leaves, and that the loop does not notice."""

import json
import logging
import os
import random
import signal
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from landscape.checkpoint import read
from landscape.cli import run
from landscape.hooks import Recorder, Spec
from landscape.hooks.folder import Folder
from landscape.hooks.points import Point

X = torch.linspace(-1, 1, 48).reshape(16, 3)
Y = (X.sum(1) > 0).long()


def network(wrap=lambda model: model):
    torch.manual_seed(5)
    return wrap(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2)))


def loop(model, record=None, steps=10, after=lambda step: None, optimizer=None):
    """Train on all data at once; an epoch has five steps."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for step in range(1, steps + 1):
        loss = nn.functional.cross_entropy(model(X), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if record is not None:
            record.step(loss=loss)
            if step % 5 == 0:
                record.epoch(lr=0.1)
        after(step)
    return model


def names(folder):
    return sorted(path.name for path in folder.glob("*.pt"))


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder with a network and data that are described by files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynets.py").write_text(
        "import random, numpy, torch\nfrom torch import nn\n"
        "def build(width=4):\n"
        "    random.random(), numpy.random.rand(), torch.rand(1)\n"
        "    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 2))\n"
    )
    (tmp_path / "mydata.py").write_text(
        "import torch\ndef load():\n"
        "    x = torch.linspace(-1, 1, 48).reshape(16, 3)\n    return x, (x.sum(1) > 0).long()\n"
    )
    return tmp_path


def test_training_is_the_same_bit_for_bit(nets):
    plain = loop(network())
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    model = network()
    with Recorder(model, "run.pt", every=2, model_spec="mynets.py:build", data_spec="mydata.py:load") as record:
        loop(model, record)
    assert equal(plain.state_dict(), model.state_dict())
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(plain.parameters(), model.parameters(), strict=True))
    assert torch.equal(after[2], torch.get_rng_state())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks or m._state_dict_hooks or m._backward_hooks for m in model.modules())
    assert record.problems == []


def test_commands_open_what_is_left(nets, capsys):
    model = network()
    with Recorder(model, "run.pt", every=2, model_spec=Spec("mynets.py:build", {"width": 4}),
                  data_spec="mydata.py:load", about={"seed": 5}) as record:  # fmt: skip
        loop(model, record)
    assert names(record.folder) == [f"step-{step:07d}.pt" for step in range(0, 11, 2)]
    surface = ["surface", "run.pt", "--trust", "--trajectory", "run.trajectory", "--points", "3", "--plot", "none"]
    assert run(surface) == 0
    assert run(["path", "run.pt", "--trust", "--trajectory", "run.trajectory", "--points", "5", "--plot", "none"]) == 0
    assert "run" in capsys.readouterr().out
    found = read("run.pt")
    assert equal(found.state, model.state_dict())
    assert (found.training["steps"], found.training["epochs"], found.training["seed"]) == (10, 2, 5)
    assert [row["steps"] for row in found.training["history"]] == list(range(0, 11, 2))
    assert found.training["history"][-1]["lr"] == 0.1


def test_means_are_over_the_steps_between_points(tmp_path):
    with Recorder(network(), tmp_path / "run.pt", every=3, keep=None) as record:
        for value in range(7):
            record.step(loss=torch.tensor(float(value)), text="no number", many=torch.ones(3))
    history = read(tmp_path / "run.pt").training["history"]
    assert [row.get("loss") for row in history] == [None, 1.0, 4.0, 6.0]
    assert set(history[1]) == {"steps", "epochs", "seconds", "loss"}


def test_a_long_run_is_thinned_evenly_with_both_ends(tmp_path):
    with Recorder(network(), tmp_path / "run.pt", every=1, keep=6) as record:
        for value in range(43):
            record.step(loss=float(value))
            assert len(record._trajectory.points) <= 6
    steps = [point["steps"] for point in json.loads((record.folder / "index.json").read_text())["points"]]
    assert steps == [0, 16, 32, 43]
    assert names(record.folder) == [f"step-{step:07d}.pt" for step in steps]
    history = read(record.output).training["history"]
    assert [row["loss"] for row in history[1:]] == [np.mean(range(16)), np.mean(range(16, 32)), np.mean(range(32, 43))]


def test_epochs_alone_are_enough(tmp_path):
    model = network()
    with Recorder(model, tmp_path / "run", every="2 epochs") as record:
        for _ in range(5):
            loop(model, steps=2)
            record.epoch(accuracy=torch.tensor(0.5))
    assert names(record.folder) == ["epoch-0000.pt", "epoch-0002.pt", "epoch-0004.pt", "epoch-0005.pt"]
    assert read(record.output).training["metrics"] == {"accuracy": 0.5}


def test_seconds(tmp_path, monkeypatch):
    clock = iter(range(0, 10000, 7))
    monkeypatch.setattr("landscape.hooks.recorder.time.monotonic", lambda: float(next(clock)))
    with Recorder(network(), tmp_path / "run.pt", every="30 seconds", keep=None) as record:
        for _ in range(20):
            record.step()
    seconds = [row["seconds"] for row in read(record.output).training["history"]]
    assert len({second // 30 for second in seconds[:-1]}) == len(seconds) - 1 > 3


WRAPS = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "parallel": nn.DataParallel,
    "both": lambda model: torch.compile(nn.DataParallel(model), backend="eager"),
    "average": AveragedModel,
}


@pytest.mark.parametrize("name", WRAPS)
def test_wrappers_leave_no_trace_in_names(tmp_path, name):
    model = network()
    with Recorder(WRAPS[name](model), tmp_path / "run.pt"):
        pass
    found = read(tmp_path / "run.pt")
    assert equal(found.state, model.state_dict())
    assert found.batchnorm == ("stale" if name == "average" else "fresh")


def test_wrapped_parts_leave_no_trace_and_own_names_stay(tmp_path):
    inner = nn.Linear(3, 3)
    model = nn.Sequential(nn.DataParallel(torch.compile(inner, backend="eager")))
    mine = nn.Module()
    mine.module = model
    with Recorder(mine, tmp_path / "run.pt"):
        pass
    assert set(read(tmp_path / "run.pt").state) == {"module.0.weight", "module.0.bias"}


@pytest.mark.parametrize(("update", "batchnorm"), [(False, "stale"), (True, "fresh")])
def test_an_average_is_what_is_left_in_the_end(tmp_path, update, batchnorm):
    model = network()
    average = AveragedModel(model)
    with Recorder(model, tmp_path / "run.pt", average=average) as record:
        loop(model, record, after=lambda step: average.update_parameters(model))
        if update:
            torch.optim.swa_utils.update_bn([X[:9]], average)
    found = read(tmp_path / "run.pt")
    assert found.batchnorm == batchnorm
    assert torch.equal(found.state["0.weight"], average.module[0].weight)
    assert equal(read(tmp_path / "run.kept" / "last.pt").state, model.state_dict())


def test_tied_weights_are_stored_once(tmp_path):
    model = nn.Sequential(nn.Linear(200, 200, bias=False), nn.Linear(200, 200, bias=False))
    model[1].weight = model[0].weight
    with Recorder(model, tmp_path / "run.pt"):
        pass
    assert (tmp_path / "run.pt").stat().st_size < 1.5 * model[0].weight.nbytes


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
def test_the_error_of_rounding_is_told(tmp_path, storage):
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0], model[3].bias[0] = 1e38, 1 / 3
    with Recorder(model, tmp_path / "run.pt", every=5, storage=storage):
        exact = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = read(tmp_path / "run.trajectory" / "step-0000000.pt")
    lost = [(found.state[name].double() - exact[name].double()).square().sum() for name in exact]
    assert found.training["rounding"]["error"] == pytest.approx(float(torch.stack(lost).sum().sqrt()), rel=1e-9) != 0
    assert found.state["3.bias"].dtype == getattr(torch, storage)
    assert found.state["0.weight"].dtype == (torch.float32 if storage == "float16" else torch.bfloat16)
    assert found.state["1.running_var"].dtype == torch.float32
    assert equal(read(tmp_path / "run.pt").state, exact)


def test_rounding_that_hides_the_way_is_said(tmp_path, caplog):
    model = network()
    with Recorder(model, tmp_path / "run.pt", every=1, storage="bfloat16") as record:
        loop(model, record, steps=2, optimizer=torch.optim.SGD(model.parameters(), 1e-6))
    assert "moves the weights by" in record.problems[0]
    assert "choose a longer period" in caplog.text


def test_a_run_that_goes_on_neither_overwrites_nor_repeats(tmp_path):
    whole = network()
    with Recorder(whole, tmp_path / "whole.pt", every=2) as record:
        loop(whole, record, steps=11)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    with pytest.raises(RuntimeError, match="boom"), Recorder(model, tmp_path / "run.pt", every=2) as record:
        loop(model, record, steps=5, optimizer=optimizer)
        at, kept = record.state_dict(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
        torch.save((optimizer.state_dict(), torch.get_rng_state()), tmp_path / "own.pth")
        loop(model, record, steps=3, optimizer=optimizer)
        raise RuntimeError("boom")
    assert names(record.folder)[-1] == "step-0000008.pt"
    model.load_state_dict(kept)
    state, noise = torch.load(tmp_path / "own.pth")
    optimizer.load_state_dict(state)
    torch.set_rng_state(noise)
    changed = (record.folder / "step-0000004.pt").stat().st_mtime_ns
    again = Recorder(model, tmp_path / "run.pt", every=2)
    again.load_state_dict(at)
    with again:
        assert names(again.folder)[-1] == "step-0000004.pt"
        loop(model, again, steps=6, optimizer=optimizer)
    assert (record.folder / "step-0000004.pt").stat().st_mtime_ns == changed
    assert names(again.folder) == names(tmp_path / "whole.trajectory")
    for name in names(again.folder):
        assert equal(read(again.folder / name).state, read(tmp_path / "whole.trajectory" / name).state)
    assert again.problems == []


def test_the_end_of_a_finished_run_goes_when_it_goes_on(tmp_path):
    model = network()
    with Recorder(model, tmp_path / "run.pt", every=4) as record:
        loop(model, record, steps=6)
    with Recorder(model, tmp_path / "run.pt", every=4, step=6) as record:
        loop(model, record, steps=3)
    assert names(record.folder) == ["step-0000000.pt", "step-0000004.pt", "step-0000008.pt", "step-0000009.pt"]
    assert read(record.output).training["steps"] == 9


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_leaves_a_whole_trajectory(tmp_path, caplog, error):
    model = network()

    def stop(step):
        if step == 7:
            raise error

    with pytest.raises(error), Recorder(model, tmp_path / "run.pt", every=2) as record:
        loop(model, record, after=stop)
    assert not record.output.exists()
    assert names(record.folder) == [f"step-{step:07d}.pt" for step in (0, 2, 4, 6)]
    index = json.loads((record.folder / "index.json").read_text())
    assert index["ended"] == error.__name__
    assert "stopped by" in caplog.text
    assert "step 6" in caplog.text


def test_another_run_is_not_overwritten(tmp_path):
    for _ in range(2):
        with Recorder(network(), tmp_path / "run.pt", overwrite=True) as record:
            record.epoch()
    with pytest.raises(ValueError, match="expected a new file"), Recorder(network(), tmp_path / "run.pt"):
        pass
    (tmp_path / "run.pt").unlink()
    with pytest.raises(ValueError, match=r"expected a new folder, got a run of 2 checkpoints"):
        Recorder(network(), tmp_path / "run.pt").begin()
    with pytest.raises(ValueError, match="as the run began"):
        Recorder(network(), tmp_path / "run.pt", every=7, epoch=1).begin()
    (record.folder / "index.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Recorder(network(), tmp_path / "run.pt", epoch=1).begin()
    (record.folder / "index.json").unlink()
    with pytest.raises(ValueError, match="2 checkpoints of something else"):
        Recorder(network(), tmp_path / "run.pt", epoch=1).begin()


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    plain, model = loop(network()), network()
    with Recorder(model, tmp_path / "file" / "run.pt", every=2) as record:
        loop(model, record)
    assert equal(plain.state_dict(), model.state_dict())
    assert len([r for r in caplog.records if "the training goes on" in r.message]) == 1
    assert "is not written; of the trajectory 0 of 6 checkpoints are there" in caplog.records[-1].message


def test_a_full_disk_leaves_what_was_there(tmp_path, caplog, monkeypatch):
    import landscape.hooks.folder as folder

    write, model = folder.checkpoint.write, network()

    def full(found, path):
        if path.name in ("step-0000004.pt", "step-0000006.pt"):
            raise OSError(28, "No space left on device")
        return write(found, path)

    monkeypatch.setattr(folder.checkpoint, "write", full)
    with Recorder(model, tmp_path / "run.pt", every=2) as record:
        loop(model, record)
    assert names(record.folder) == [f"step-{step:07d}.pt" for step in (0, 2, 8, 10)]
    index = json.loads((record.folder / "index.json").read_text())
    assert [point["file"] for point in index["points"]] == names(record.folder)
    assert len([r for r in caplog.records if "the training goes on" in r.message]) == 1
    assert "is written; of the trajectory 4 of 6 checkpoints are there" in caplog.records[-1].message
    assert len(record.problems) == 2


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    model = network()
    with Recorder(model, tmp_path / "run.pt", every=2) as record:
        loop(model, record)
    assert list(tmp_path.iterdir()) == []


def test_sharded_weights_are_left_alone(tmp_path, caplog):
    with torch.device("meta"):
        model = nn.Linear(2, 2)
    with Recorder(model, tmp_path / "run.pt") as record:
        record.step()
    assert "nothing is recorded" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_described_is_asked_for(nets, caplog, capsys):
    with caplog.at_level(logging.INFO), Recorder(network(), "run.pt"):
        pass
    assert "pass --model and --data with it" in caplog.text
    assert read("run.pt").training["undescribed"] == ["model", "data"]
    assert run(["surface", "run.pt", "--data", "mydata.py:load"]) != 0
    assert "expected --model, since this checkpoint does not say its network" in capsys.readouterr().err
    given = ["--model", "mynets.py:build", "--data", "mydata.py:load", "--points", "3", "--plot", "none"]
    assert run(["surface", "run.pt", *given]) == 0


def test_specifications_are_checked_before_the_training(nets):
    with pytest.raises(ValueError, match=r"mynets.py:build: expected the weights of Sequential"):
        Recorder(network(), model_spec=Spec("mynets.py:build", {"width": 5}))
    with pytest.raises(ValueError, match="expected a function named 'biuld'"):
        Recorder(network(), model_spec="mynets.py:biuld")
    with pytest.raises(FileNotFoundError, match="expected a Python file"):
        Recorder(network(), data_spec="nodata.py:load")
    with pytest.raises(ValueError, match="Expected a loss among"):
        Recorder(network(), loss="cross")
    with pytest.raises(ValueError, match="arguments of mynets.py:build made of numbers"):
        Recorder(network(), model_spec=Spec("mynets.py:build", {"width": torch.tensor(4)}))


def test_a_registered_network_takes_its_shape_from_the_data(tmp_path):
    from landscape.data.digits import digits
    from landscape.models.mlp import mlp

    with Recorder(mlp(shape=digits().shape), tmp_path / "run.pt", model_spec="mlp", data_spec="digits"):
        pass
    assert tuple(read(tmp_path / "run.pt").model.arguments["shape"]) == (1, 8, 8)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [({"keep": 2}, "at least 3"), ({"storage": "int8"}, "storage among"), ({"batchnorm": "old"}, "fresh or stale"),
     ({"step": -1}, "at least 0"), ({"about": {"x": object()}}, "made of numbers"), ({"output": "a.h5"}, "a.pt")],
)  # fmt: skip
def test_wrong_knobs_are_refused(knobs, told):
    with pytest.raises(ValueError, match=told):
        Recorder(network(), **knobs)


def test_a_loop_without_the_recorder_begun_is_told():
    with pytest.raises(ValueError, match=r"Expected `with recorder:` around the loop, got .step\(\)"):
        Recorder(network()).step()


def test_a_loop_that_tells_nothing_is_reminded_and_has_its_end(tmp_path):
    model = network()
    with Recorder(model, tmp_path / "run.pt") as record:
        loop(model)
    assert len(record.problems) == 1
    assert "neither .step() nor .epoch() was called" in record.problems[0]
    first, last = (read(record.folder / name) for name in names(record.folder))
    assert equal(last.state, model.state_dict())
    assert not equal(first.state, last.state)
    with Recorder(model, tmp_path / "idle.pt") as record:
        model(X)
    assert not record.problems


def test_what_is_logged_does_not_hide_where_a_point_is(tmp_path):
    with Recorder(network(), tmp_path / "run.pt", every=1) as record:
        record.step(steps=90, seconds=-1, loss=0.5, phase=torch.tensor(1 + 1j))
    last = read(tmp_path / "run.pt").training["history"][-1]
    assert (last["steps"], last["loss"]) == (1, 0.5)
    assert last["seconds"] >= 0
    assert "phase" not in last


def test_an_interruption_while_files_are_written_leaves_neither_orphans_nor_gaps(tmp_path, monkeypatch):
    record = Recorder(network(), tmp_path / "run.pt", every=1, keep=4)
    wait, interrupt, calls = Folder.wait, False, []

    def interrupted(self):
        if interrupt:
            calls.append(self)
            raise KeyboardInterrupt
        wait(self)

    monkeypatch.setattr(Folder, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), record:
        for _ in range(20):
            interrupt = len(record._trajectory.points) == 3  # the next one thins
            try:
                record.step()
            finally:
                interrupt = False
    listed = [point["file"] for point in json.loads((record.folder / "index.json").read_text())["points"]]
    assert calls
    assert sorted(listed) == names(record.folder)


def test_joined_and_interrupted_a_write_is_still_waited_for(tmp_path):
    folder, gate = Folder(tmp_path, lambda what, error: None), threading.Event()
    folder.change({"every": "1"}, [])
    folder.wait()

    def slow():
        assert gate.wait(20)
        raise OSError("no")

    folder.change({"every": "1"}, [], (Point("a.pt", 0, True, 0, 0, 0.0), slow))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        folder.wait()
    release = threading.Timer(0.3, gate.set)
    release.start()
    folder.wait()
    assert gate.is_set()
    assert folder.missing == {"a.pt"}
