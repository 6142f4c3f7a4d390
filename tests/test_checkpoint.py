"""Checkpoints: our own format there and back, hostile ones refused in a line, networks and data made by name."""

import os
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.checkpoint import Checkpoint, Spec
from landscape.dataset import Dataset

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}
FULL = Checkpoint(
    state=STATE,
    model=Spec("resnet20", {"width": 8, "shortcut": "A", "shape": (3, 8, 8)}),
    data=Spec("digits", {"normalize": None, "root": "/x"}, ("subset=10", "classes=0,1")),
    loss="mse",
    batchnorm="stale",
    training={"seed": 3, "method": ["sam", "swa"], "loss": 0.25, "done": True, "nested": {"a": None}},
)


def described(**changes):
    """The content of one of our files, changed."""
    plain = {"name": "mlp", "arguments": {}, "transforms": []}
    found = {"landscape": 1, "state_dict": dict(STATE), "model": plain, "data": None, "loss": "mse"}
    return found | {"batchnorm": "fresh", "training": {}} | changes


# Our own format


def test_every_field_comes_back(tmp_path):
    path = tmp_path / "net.pt"
    digest = checkpoint.write(FULL, path)
    found = checkpoint.read(path)
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[k], STATE[k]) for k in STATE)
    for name in ("model", "data", "loss", "batchnorm", "training"):
        assert getattr(found, name) == getattr(FULL, name)
    assert found.path == str(path)
    assert found.sha256 == digest
    assert found.module is None


def test_fields_that_are_not_known_come_back_empty(tmp_path):
    checkpoint.write(Checkpoint(STATE), tmp_path / "net.pt")
    found = checkpoint.read(tmp_path / "net.pt")
    assert found.model is None
    assert found.data is None
    assert found.batchnorm == "fresh"


def test_our_files_are_weights_alone(tmp_path):
    checkpoint.write(FULL, tmp_path / "net.pt")
    assert torch.load(tmp_path / "net.pt", weights_only=True)["landscape"] == 1


def test_parameters_that_require_gradients_are_written_as_numbers(tmp_path):
    model = nn.Linear(3, 2)
    checkpoint.write(Checkpoint(dict(model.named_parameters())), tmp_path / "net.pt")
    assert not checkpoint.read(tmp_path / "net.pt").state["weight"].requires_grad


def test_views_are_written_without_their_base(tmp_path):
    base = torch.arange(100_000.0)
    state = {"weight": base[:6].view(2, 3), "bias": base[:1].expand(2), "turned": base[:6].view(2, 3).T}
    checkpoint.write(Checkpoint(state), tmp_path / "net.pt")
    assert (tmp_path / "net.pt").stat().st_size < 10_000
    found = checkpoint.read(tmp_path / "net.pt").state
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "net.pt"
    checkpoint.write(FULL, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="No space left on device"):
                checkpoint.write(replace(FULL, loss="mae"), path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_a_newer_format_is_refused(tmp_path):
    torch.save(described(landscape=2), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt: expected format 1 or older, got 2: update landscape"):
        checkpoint.read(tmp_path / "net.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"landscape": "1"}, {"landscape": 0}, {"landscape": -1}, {"landscape": [1]}, {"landscape": {}},
        {"state_dict": None}, {"state_dict": {}}, {"state_dict": [1]}, {"state_dict": {"w": 1}},
        {"state_dict": {1: torch.ones(2)}}, {"state_dict": torch.ones(2)},
        {"model": "mlp"}, {"model": {}}, {"model": []}, {"model": {"name": "mlp"}}, {"model": 1},
        {"model": {"name": 1, "arguments": {}, "transforms": []}},
        {"model": {"name": "mlp", "arguments": [], "transforms": []}},
        {"model": {"name": "mlp", "arguments": {1: 2}, "transforms": []}},
        {"data": {"name": "digits", "arguments": {}, "transforms": "subset=2"}},
        {"data": {"name": "digits", "arguments": {}, "transforms": [1]}},
        {"data": {"name": "digits", "arguments": None, "transforms": []}},
        {"loss": None}, {"loss": 1}, {"loss": torch.ones(2)}, {"batchnorm": "rotten"}, {"batchnorm": None},
        {"training": None}, {"training": [1]}, {"batchnorm": "x\n" * 500},
    ],
)  # fmt: skip
def test_hand_made_files_are_refused_in_a_line(tmp_path, changes):
    torch.save(described(**changes), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt: expected") as caught:
        checkpoint.read(tmp_path / "net.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["state_dict", "loss", "batchnorm", "training"])
def test_files_that_lack_a_field_are_refused(tmp_path, name):
    found = described()
    del found[name]
    torch.save(found, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=f"expected `{name}` to be a"):
        checkpoint.read(tmp_path / "net.pt")


def test_a_parameter_called_landscape_is_a_foreign_file(tmp_path):
    torch.save({"landscape": torch.ones(2)}, tmp_path / "net.pt")
    assert checkpoint.read(tmp_path / "net.pt").state.keys() == {"landscape"}


# Foreign files


def test_foreign_files_say_no_more_than_their_weights(tmp_path):
    torch.save({"state_dict": STATE, "ema": {"weight": torch.zeros(1)}, "epoch": 3}, tmp_path / "net.pt")
    found = checkpoint.read(tmp_path / "net.pt")
    assert found.state.keys() == STATE.keys()
    assert (found.model, found.data, found.module) == (None, None, None)
    assert len(found.sha256) == 64
    assert checkpoint.read(tmp_path / "net.pt", key="ema").state.keys() == {"weight"}


def test_a_trusted_module_comes_along(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "net.pt")
    found = checkpoint.read(tmp_path / "net.pt", trust=True)
    assert isinstance(found.module, nn.Linear)
    assert found.state.keys() == STATE.keys()


def test_fitting_names_the_file(tmp_path):
    torch.save(STATE, tmp_path / "net.pt")
    found = checkpoint.read(tmp_path / "net.pt")
    assert torch.equal(checkpoint.fitted(found, nn.Linear(3, 2)).weight, STATE["weight"])
    with pytest.raises(ValueError, match=r"net\.pt: expected the weights of Linear, got 2 of another shape \(weight: "):
        checkpoint.fitted(found, nn.Linear(4, 4))


def test_published_checkpoints_fit_without_a_key(shared):
    for depth in (20, 32):
        path = next((shared / "checkpoints").glob(f"*resnet{depth}*"))
        found = checkpoint.read(path)
        model = checkpoint.fitted(found, checkpoint.build(Spec(f"resnet{depth}")))
        assert sum(p.numel() for p in model.parameters()) > 250_000


# Networks


def images(classes=("a", "b", "c"), shape=(3, 8, 8)):
    inputs = np.zeros((6, *shape), np.uint8)
    return Dataset("images", (inputs, np.arange(6) % len(classes)), None, classes)


def test_a_registered_network_takes_classes_and_shape_from_the_data():
    model = checkpoint.build(Spec("resnet8"), images())
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 3)
    model = checkpoint.build(Spec("mlp", {"classes": 7}), images())
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 7)


def test_a_wrong_argument_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"resnet8: expected arguments among .*, got 'widht' \(did you mean 'width'"):
        checkpoint.build(Spec("resnet8", {"widht": 3}))
    with pytest.raises(ValueError, match=r"Expected one of .*resnet.*got 'resnett'.*did you mean 'resnet'"):
        checkpoint.build(Spec("resnett"))


@pytest.fixture
def user(tmp_path):
    """A user's file of functions."""
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent("""
            import numpy as np, torch
            from torch import nn
            from torch.utils.data import DataLoader, TensorDataset

            x, y = torch.arange(24.0).view(8, 3), torch.tensor([0, 1] * 4)

            def net(width=4): return nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
            def anything(**options): return nn.Linear(3, len(options))
            def needs(width): return nn.Linear(3, width)
            def nothing(): return 3
            class Net(nn.Linear):
                def __init__(self, width=2): super().__init__(3, width)

            def pair(): return x, y
            def arrays(): return x.numpy(), y.numpy()
            def mapping(): return {"train": (x, y), "test": (x[:2], y[:2])}
            def test_alone(): return {"test": (x, y)}
            def torch_dataset(): return TensorDataset(x, y)
            def loader(): return {"train": DataLoader(TensorDataset(x, y), batch_size=3), "test": TensorDataset(x, y)}
            def shuffled(): return DataLoader(TensorDataset(x, y), batch_size=3, shuffle=True)
            def batches(): return [(x[:3], y[:3]), (x[3:], y[3:])]
            def regression(): return x, x[:, :2]
            def tokens(): return y.view(4, 2), y.view(4, 2)
            def ours():
                from landscape.dataset import Dataset
                return Dataset("ours", (x.numpy(), y.numpy()), None, ("a", "b"))
            def names(): return {"input_ids": x, "mask": x, "labels": y}
            def ragged(): return [(x, y), (x[:, :2], y)]
            def empty(): return x[:0], y[:0]
            def random_data():
                class Noisy(torch.utils.data.Dataset):
                    def __len__(self): return 8
                    def __getitem__(self, i): return torch.rand(3), 0
                return Noisy()
        """)
    )
    return lambda name, **arguments: Spec(f"{path}:{name}", arguments)


def test_a_users_network_is_built(user):
    assert checkpoint.build(user("net", width=5), images())[0].out_features == 5
    assert checkpoint.build(user("Net", width=3)).out_features == 3
    assert checkpoint.build(user("anything", a=1, b=2)).out_features == 2


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("net", {"widht": 3}, r"mine\.py:net: expected arguments among width, got 'widht' \(did you mean 'width'\?\)"),
        ("needs", {}, r"mine\.py:needs: expected other arguments, got missing a required argument: 'width'"),
        ("nothing", {}, r"mine\.py:nothing: expected a function that returns an nn.Module, got int"),
        ("nett", {}, r"mine\.py:nett: expected a function named 'nett', got none \(did you mean 'net'\?\)"),
    ],
)
def test_a_users_mistake_is_one_line(user, name, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        checkpoint.build(user(name, **arguments))
    assert "\n" not in str(caught.value)


# Data


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("pair", {"train": 8}), ("arrays", {"train": 8}), ("mapping", {"train": 8, "test": 2}),
        ("test_alone", {"test": 8}),
        ("torch_dataset", {"train": 8}), ("loader", {"train": 8, "test": 8}), ("shuffled", {"train": 8}),
        ("batches", {"train": 8}), ("ours", {"train": 8}),
    ],
)  # fmt: skip
def test_a_users_data_are_read_in_order(user, name, sizes):
    data = checkpoint.dataset(user(name))
    assert {split: data.size(split) for split in data.splits} == sizes
    assert data.task == "classification"
    assert len(data.classes) == 2
    split = data.split(data.splits[0])
    assert split.inputs[:, 0].tolist() == [3.0 * i for i in range(8)]
    assert split.targets.tolist() == [0, 1] * 4


def test_the_task_follows_from_the_targets(user):
    assert checkpoint.dataset(user("regression")).task == "regression"
    assert checkpoint.dataset(user("tokens")).task == "language"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("names", "expected inputs that are one array"),
        ("ragged", "expected inputs that are one array"),
        ("empty", "at least one example, got none"),
        ("random_data", "read the same twice"),
        ("nothing", "got int"),
    ],
)
def test_data_that_cannot_be_held_are_refused(user, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        checkpoint.dataset(user(name))
    assert "\n" not in str(caught.value)


def test_transforms_are_applied_in_order(user):
    spec = replace(user("mapping"), transforms=("subset=4", "classes=1"))
    data = checkpoint.dataset(spec)
    assert set(data.split("train").targets.tolist()) <= {0}
    assert 0 < data.size("train") < 4
    with pytest.raises(ValueError, match="got 'subsett' .did you mean subset"):
        checkpoint.dataset(replace(spec, transforms=("subsett=2",)))


def test_an_npz_file_is_data(tmp_path):
    np.savez(
        tmp_path / "d.npz", train_x=np.zeros((4, 2), np.float32), train_y=[0, 1, 0, 1],
        test_x=np.zeros((2, 2), np.float32), test_y=[0, 1],
    )  # fmt: skip
    assert checkpoint.dataset(Spec(str(tmp_path / "d.npz"))).size("train") == 4


def test_an_unknown_data_set_gets_a_suggestion():
    with pytest.raises(ValueError, match="got 'digit'.*did you mean 'digits'"):
        checkpoint.dataset(Spec("digit"))
    with pytest.raises(ValueError, match="digits: expected arguments among .*normalize"):
        checkpoint.dataset(Spec("digits", {"normalise": None}))
