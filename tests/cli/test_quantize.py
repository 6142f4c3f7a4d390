"""``landscape quantize``, end to end: what is written, what it says, and what is refused before anything is written."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape import checkpoint
from landscape.quantize.calibration import calibrate
from landscape.quantize.quantization import Quantization
from landscape.quantize.scheme import Scheme

CPU = ("--device", "cpu", "--strategy", "loop,examples=512")
WEIGHTS = ["1.weight", "3.weight", "5.weight"]


@pytest.fixture
def quantize(ask):
    return lambda *words: ask("quantize", *words, *CPU)


@pytest.fixture
def normed(here, ask):
    """A network with batch norm, trained for a moment."""
    words = ["--model", "resnet8", "--model-arg", "width=4", "--data", "digits", "--epochs", "1", "--device", "cpu"]
    assert ask("train", *words, "-o", "bn.pt").code == 0
    return here / "bn.pt"


def test_a_checkpoint_for_every_width(here, quantize):
    with pytest.warns(UserWarning, match="narrow at 8, narrow at 4, narrow at 3, midrise at 2, binary at 1 bits"):
        found = quantize("a.pt")
    assert found.code == 0, found.err
    original = checkpoint.read("a.pt")
    for bits in (8, 4, 3, 2, 1):
        one = checkpoint.read(f"a.w{bits}.pt")
        assert one.quantization.bits == dict.fromkeys(WEIGHTS, bits)
        assert (one.model, one.data, one.loss) == (original.model, original.data, original.loss)
        assert all(torch.equal(one.quantization.latent[name], original.state[name]) for name in WEIGHTS)
        record = one.quantization.record
        assert record["schemes"]["1.weight"] == Scheme(bits).record()
        assert (record["rounding"], record["skip"], record["batchnorm"]) == ("nearest", [], "none")
        assert record["source"] == hashlib.sha256((here / "a.pt").read_bytes()).hexdigest()
        assert record["measured"]["train"]["examples"] == 1438
        assert json.loads(json.dumps(record)) == record
        assert one.training["seed"] == original.training["seed"]
        assert one.training["train_loss"] != original.training["train_loss"]
        assert f"a.w{bits}.pt; quantized weights: 8832 of {bits} bit" in found.out


def test_the_table_says_what_probes_measure(here, quantize, measure):
    found = quantize("a.pt", "--bits", "3")
    row = re.search(r"^w3 +(\d+) +(\S+) +(\S+) +train +(\S+) ± (\S+) +(\S+) ± \S+ +(\S+) ± (\S+)$", found.out, re.M)
    assert row, found.out
    original, one = checkpoint.read("a.pt"), checkpoint.read("a.w3.pt")
    count = sum(original.state[name].numel() for name in WEIGHTS)
    units = sum(len(original.state[name]) for name in WEIGHTS)
    plain = sum(4 * tensor.numel() for name, tensor in original.state.items() if name not in WEIGHTS)
    assert int(row[1]) == count * 3 // 8 + 4 * units + plain
    assert float(row[7]) == pytest.approx(one.training["train_loss"] - original.training["train_loss"], rel=2e-3)
    assert float(row[4]) == pytest.approx(one.training["train_loss"], rel=1e-3)
    assert measure("line", "a.w3.pt", "--examples", "5000").code == 0
    from landscape import load

    assert load("a.w3.line.h5").loss[0, 1] == pytest.approx(one.training["train_loss"], rel=1e-5)


def test_options_of_the_scheme(here, quantize):
    options = ["--calibration", "percentile", "--percentile", "99", "--granularity", "tensor", "--asymmetric"]
    assert quantize("a.pt", "--bits", "4", *options, "--skip", "first, 5", "-o", "q.pt").code == 0
    found = checkpoint.read("q.pt").quantization
    weight = checkpoint.read("a.pt").state["3.weight"]
    scheme = Scheme(4, "full", "percentile", symmetric=False, channels=False, percentile=99.0)
    assert list(found.grids) == ["3.weight"]
    assert found.grids["3.weight"].sha256() == calibrate(weight, scheme).sha256()
    assert found.record["skip"] == ["first", "5"]


def test_one_family_needs_no_warning(here, quantize):
    assert quantize("a.pt", "--bits", "3,2,1", "--family", "midrise").code == 0
    assert checkpoint.read("a.w1.pt").quantization.grids["1.weight"].kind == "midrise"


def test_a_quantized_checkpoint_is_rounded_from_what_was_before(here, quantize):
    assert quantize("a.pt", "--bits", "2").code == 0
    assert quantize("a.w2.pt", "--bits", "4").code == 0
    assert quantize("a.pt", "--bits", "4").code == 0
    twice, once = checkpoint.read("a.w2.w4.pt"), checkpoint.read("a.w4.pt")
    assert all(torch.equal(twice.state[name], once.state[name]) for name in once.state)
    assert twice.quantization.record["source"] != once.quantization.record["source"]


def test_codes_alone_are_not_rounded_again(here, quantize):
    assert quantize("a.pt", "--bits", "4").code == 0
    known = checkpoint.read("a.w4.pt")
    checkpoint.write(replace(known, quantization=Quantization(known.quantization.grids)), "codes.pt")
    assert quantize("codes.pt", "--bits", "2").refused("codes.pt", "codes alone", "checkpoint that was quantized")


def test_adaround_and_activations(here, quantize):
    words = ["--bits", "3", "--images", "100", "--act-bits", "8", "--seed", "3"]
    assert quantize("a.pt", *words, "--rounding", "adaround", "--iterations", "60").code == 0
    first = checkpoint.read("a.w3a8.pt")
    record = first.quantization.record
    assert record["rounding"] == "adaround"
    assert record["fitted"]["images"] == 100
    assert all(one["adaround"] <= one["nearest"] for one in record["reconstruction"])
    assert {name: one.bits for name, one in first.quantization.activations.items()} == {"1": 8, "3": 8, "5": 8}
    assert quantize("a.pt", *words, "--rounding", "adaround", "--iterations", "60", "--force").code == 0
    assert all(torch.equal(first.state[n], t) for n, t in checkpoint.read("a.w3a8.pt").state.items())


@pytest.mark.parametrize(("budget", "name"), [("size:4", "mixed4"), ("bops:0.5", "bops0.5")])
def test_mixed_widths(here, quantize, budget, name):
    found = quantize("a.pt", "--bits", "8,4,3", "--budget", budget, "--images", "64", "--samples", "4")
    assert found.code == 0, found.err
    header = r"^layer +weights +MACs +trace \(nat\) +Omega at 8 +Omega at 4 +Omega at 3 +bits +bytes$"
    assert re.search(header, found.out, re.M)
    one = checkpoint.read(f"a.{name}.pt").quantization
    count = {name: one.latent[name].numel() for name in WEIGHTS}
    total = sum(one.bits[name] * size for name, size in count.items())
    assert total <= 4 * sum(count.values())  # operations of a linear layer are as many as its weights
    assert one.record["allocation"]["budget"] == budget
    assert {name: at["bits"] for name, at in one.record["allocation"]["tensors"].items()} == one.bits
    assert checkpoint.read("a.w4.pt").quantization.bits == dict.fromkeys(WEIGHTS, 4)


def test_statistics_of_batch_norm(normed, quantize):
    assert quantize(normed, "--bits", "2", "-o", "kept.pt").code == 0
    assert quantize(normed, "--bits", "2", "--batchnorm", "recalibrate", "-o", "fresh.pt").code == 0
    original, kept, fresh = (checkpoint.read(name) for name in (normed, "kept.pt", "fresh.pt"))
    (last,) = [name for name in original.state if name.endswith("running_mean")][-1:]
    assert torch.equal(kept.state[last], original.state[last])
    assert not torch.equal(fresh.state[last], original.state[last])
    assert kept.quantization.record["batchnorm"] == "keep"
    assert "recalibrated" not in kept.quantization.record
    assert fresh.quantization.record["batchnorm"] == "recalibrate"
    assert fresh.quantization.record["recalibrated"]["images"] == 1438


def test_stale_statistics(normed, quantize):
    checkpoint.write(replace(checkpoint.read(normed), batchnorm="stale"), "stale.pt")
    assert quantize("stale.pt", "--bits", "4").refused("stale.pt", "stale", "--batchnorm recalibrate")
    assert not list(normed.parent.glob("stale.w*"))
    assert quantize("stale.pt", "--bits", "4", "--batchnorm", "recalibrate").code == 0
    assert checkpoint.read("stale.w4.pt").batchnorm == "fresh"


@pytest.fixture
def exported(here):
    """The weights of a.pt as int8 codes with scales, as another program might store them."""
    state = checkpoint.read("a.pt").state
    found = {name: tensor.numpy() for name, tensor in state.items() if name not in WEIGHTS}
    for name in WEIGHTS:
        scale = state[name].abs().amax(1) / 127
        found[f"{name}.codes"] = (state[name] / scale[:, None]).round().to(torch.int8).numpy()
        found[f"{name}.scale"] = scale.numpy()
    return found


def test_codes_of_other_programs(here, quantize, exported, measure):
    np.savez("foreign.npz", **exported)
    found = quantize("foreign.npz", "--codes", "--model", "mlp", "--data", "digits")
    assert found.code == 0, found.err
    one, original = checkpoint.read("foreign.landscape.pt"), checkpoint.read("a.pt")
    for name in WEIGHTS:
        wanted = exported[f"{name}.codes"] * exported[f"{name}.scale"][:, None]
        np.testing.assert_allclose(one.state[name].numpy(), wanted, rtol=1e-6)
    assert one.quantization.latent == {}
    assert one.quantization.record["rounding"] == "foreign"
    assert one.training["train_loss"] == pytest.approx(original.training["train_loss"], rel=0.02)
    assert measure("line", "foreign.landscape.pt").code == 0
    assert quantize("foreign.landscape.pt", "--bits", "4").refused("codes alone")


def test_bad_codes(here, quantize, exported):
    words = ("f.npz", "--codes", "--model", "mlp", "--data", "digits")

    def file(**changed):
        found = exported | {name.replace("_", "."): value for name, value in changed.items()}
        np.savez("f.npz", **{name: value for name, value in found.items() if value is not None})

    file()
    assert quantize(*words, "--bits", "4").refused("f.npz", "'1.weight' from -8 to 7", "4 bits")
    assert quantize(*(w for w in words if w != "--codes")).refused("f.npz", "pass --codes")
    assert quantize(*words, "--bits", "8,4").refused("one width of the codes")
    assert quantize("f.npz", "--codes", "--data", "digits").refused("f.npz", "--model and --data")
    assert quantize(*words, "--rounding", "adaround").refused("--codes", "--rounding")
    file(**{"1_weight_scale": np.zeros(1, "f4")})
    assert quantize(*words).refused("f.npz", "positive, finite scales", "got 0")
    file(**{"5_bias": None})
    assert quantize(*words).refused("f.npz", "1 missing (5.bias)")
    file(**{"1_weight_scale": None})
    assert quantize(*words).refused("f.npz", "1.weight.scale")
    file(**{"1_weight_codes": exported["1.weight.codes"][:, :5]})
    assert quantize(*words).refused("f.npz", "of another shape (1.weight")
    assert not list(here.glob("f.*pt"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bits", "0"], ["bits from 1 to 8, got 0"]),
        (["--bits", "8,9"], ["bits from 1 to 8, got 9"]),
        (["--bits", "4,4"], ["every width once"]),
        (["--bits", "4.5"], ["--bits such as 8,4,2", "'4.5'"]),
        (["--bits", "4,"], ["--bits such as 8,4,2"]),
        (["--family", "int"], ["family", "'int'"]),
        (["--bits", "4", "--family", "binary"], ["1 bits for family binary, got 4"]),
        (["--calibration", "max"], ["calibration", "'max'"]),
        (["--calibration", "percentile", "--percentile", "20"], ["percentile above 50"]),
        (["--granularity", "group"], ["--granularity channel or tensor"]),
        (["--skip", "conv9"], ["--skip", "'conv9'"]),
        (["--skip", "*"], ["nothing to quantize"]),
        (["--rounding", "up"], ["--rounding nearest or adaround"]),
        (["--images", "0"], ["--images of at least 1"]),
        (["--rounding", "adaround", "--iterations", "0"], ["--iterations of at least 1"]),
        (["--act-bits", "9"], ["bits from 1 to 8, got 9"]),
        (["--batchnorm", "refit"], ["--batchnorm keep or recalibrate"]),
        (["--parameters", "1.*"], ["--parameters", "--skip"]),
        (["--budget", "size"], ["size:4", "'size'"]),
        (["--bits", "4,3", "--budget", "size:2"], ["budget that the narrowest widths meet"]),
        (["--bits", "4", "--budget", "size:4"], ["several widths"]),
        (["--budget", "size:4", "--samples", "1"], ["--samples of at least 2"]),
        (["-o", "out.h5"], ["ends in .pt"]),
    ],
)
@pytest.mark.filterwarnings("ignore:the levels are")
def test_refused(here, quantize, words, told):
    before = sorted(path.name for path in here.iterdir())
    assert quantize("a.pt", *words).refused(*told)
    assert sorted(path.name for path in here.iterdir()) == before


def test_nothing_is_overwritten(here, quantize):
    (here / "a.w4.pt").write_bytes(b"mine")
    assert quantize("a.pt", "--bits", "8,4").refused("a.w4.pt", "--force")
    assert (here / "a.w4.pt").read_bytes() == b"mine"
    assert not (here / "a.w8.pt").exists()
    assert quantize("a.pt", "--bits", "8,4", "--force").code == 0
    assert checkpoint.read("a.w4.pt").quantization.bits["1.weight"] == 4


def test_all_files_or_none(here, quantize, monkeypatch):
    whole = checkpoint.write

    def failing(found, path):
        if "w4" in str(path):
            raise OSError(f"{path}: no space left")
        return whole(found, path)

    monkeypatch.setattr(checkpoint, "write", failing)
    assert quantize("a.pt", "--bits", "8,4").refused("no space left")
    assert not list(here.glob("a.w*"))


def test_a_network_without_layers_to_quantize(here, quantize):
    (here / "nets.py").write_text(
        "from torch import nn\n\n\ndef flat():\n    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64))\n"
    )
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(64)).state_dict(), "flat.pt")
    words = ["--model", "nets.py:flat", "--data", "digits", "--bits", "4"]
    assert quantize("flat.pt", *words).refused("linear or convolutional layers", "Sequential", "nothing to quantize")


def test_a_checkpoint_whose_grids_were_changed(here, quantize):
    assert quantize("a.pt", "--bits", "4").code == 0
    found = torch.load("a.w4.pt", weights_only=False)
    found["quantization"]["grids"]["1.weight"]["scale"] *= 2
    torch.save(found, "changed.pt")
    assert quantize("changed.pt", "--bits", "2").refused("changed.pt", "hash")


def test_a_published_network_at_8_bits(shared, tmp_path, ask):
    """Within half a point of its accuracy, on 1,000 images."""
    given = ["--model", "resnet20", "--data", "cifar10", "--data-arg", f"root={shared / 'cifar10'}"]
    given += ["--data-arg", "normalize=imagenet", "--split", "test", "--bits", "8", "-o", tmp_path / "w8.pt"]
    found = ask("quantize", shared / "checkpoints" / "resnet20-12fca82f.th", *given, *CPU)
    assert found.code == 0, found.err
    assert checkpoint.read(tmp_path / "w8.pt").training["test_accuracy"] == pytest.approx(0.915, abs=0.005)
