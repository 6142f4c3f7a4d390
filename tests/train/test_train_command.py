"""The command, called as a function."""

import pytest
import torch

from landscape import checkpoint, losses
from landscape.cli.train import located, located_arguments, short, train
from landscape.train.batches import Resident
from landscape.train.evaluation import evaluate
from landscape.train.settings import Settings

NETWORK = """
from torch import nn
def tiny(width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
"""

ATTENTIVE = """
from torch import nn
class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 10)
    def forward(self, x):
        x = x.reshape(len(x), 8, 8)
        return self.out(self.mix(x, x, x)[0].mean(1))
def attentive():
    return Attentive()
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_digits_are_learned_and_the_checkpoint_describes_itself(tmp_path, capsys):
    train(settings=Settings(epochs=12), device="cpu")
    out = capsys.readouterr().out
    assert out.startswith("lenet on digits: train loss 0.")
    assert out.rstrip().endswith("s; lenet-digits.pt")
    found = checkpoint.read("lenet-digits.pt")
    data = checkpoint.dataset(found.data)
    model = checkpoint.build(found.model, data)
    model.load_state_dict(found.state)
    again = evaluate(model, Resident(data.split("test"), torch.float32, torch.device("cpu")), losses.loss(found.loss))
    assert again["accuracy"] == found.training["test_accuracy"] > 0.95
    assert again["loss"] == pytest.approx(found.training["test_loss"], rel=1e-5)


def test_a_users_network_and_changed_data(tmp_path):
    (tmp_path / "nets.py").write_text(NETWORK)
    settings = Settings(epochs=1, optimizer="adamw")
    given = {"model_arg": ["width=6"], "transform": ["subset=100"]}
    train(model="nets.py:tiny", **given, settings=settings, every=1, device="cpu")
    found = checkpoint.read("tiny-digits.pt")
    assert found.model == checkpoint.Spec(f"{tmp_path / 'nets.py'}:tiny", {"width": 6})
    assert found.data.transforms == ("subset=100",)
    assert found.training["method"] == "plain"
    assert found.training["steps"] == 2
    assert (tmp_path / "tiny-digits.trajectory" / "epoch-0001.pt").exists()


def test_what_keeps_full_precision_is_told(tmp_path, capsys):
    (tmp_path / "nets.py").write_text(ATTENTIVE)
    settings = Settings(epochs=1, optimizer="adamw")
    train(model="nets.py:attentive", method="ste:bits=4", settings=settings, output=tmp_path / "a.pt", device="cpu")
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == "quantized weights: 144 of 4 bits; in full precision: mix.in_proj_weight"
    train(method="bnn", settings=settings, output=tmp_path / "b.pt", device="cpu")
    told = capsys.readouterr().out.splitlines()[-1]
    count = sum(t.numel() for t in checkpoint.read(tmp_path / "b.pt").quantization.latent.values())
    assert told == f"quantized weights: {count} of 1 bit"


def test_one_seed_is_one_initialization(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(settings=Settings(epochs=0, seed=seed), output=tmp_path / f"{name}.pt", device="cpu")
    a, b, c = (checkpoint.read(f"{name}.pt").state["0.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_an_existing_checkpoint_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "lenet-nonsense.pt").touch()
    with pytest.raises(ValueError, match="lenet-nonsense.pt: expected a new file"):
        train(data="nonsense")


def test_errors_name_what_is_known():
    with pytest.raises(ValueError, match="did you mean 'lenet'"):
        train(model="lenett", settings=Settings(epochs=0))
    with pytest.raises(ValueError, match="Expected key=value"):
        train(model_arg=["width"])


@pytest.mark.parametrize(
    ("network", "loss", "words"),
    [
        ("nn.Linear(3, 10)", None, "Expected inputs that Linear takes"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(64, 3))", None, "Expected labels from 0 to 2"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(64, 10))", "mse", "Expected targets of the outputs' shape"),
    ],
)
def test_a_network_or_loss_that_does_not_fit_is_told_before_a_file_is_written(tmp_path, network, loss, words):
    (tmp_path / "nets.py").write_text(f"from torch import nn\ndef build():\n    return {network}\n")
    with pytest.raises(ValueError, match=words):
        train(model="nets.py:build", loss=loss, settings=Settings(epochs=1), device="cpu")
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["nets.py"]


def test_names_and_places(tmp_path):
    assert (short("digits"), short("dir/net.py:build"), short("dir/points.npz")) == ("digits", "build", "points")
    assert located("nets.py:build") == f"{tmp_path / 'nets.py'}:build"
    assert located("points.npz") == str(tmp_path / "points.npz")
    assert located("package.module:build") == "package.module:build"
    assert located_arguments({"root": "here", "normalize": "imagenet", "n": 3}) == {
        "root": str(tmp_path / "here"), "normalize": "imagenet", "n": 3,
    }  # fmt: skip
