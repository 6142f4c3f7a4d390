"""``landscape bits``, end to end on a network trained on the embedded digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landscape import checkpoint, load
from landscape.cli import run
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.quantization import Quantization, quantized
from landscape.quantize.scheme import Scheme

FAST = ("--bits", "4,2", "--ascent", "2", "--draws", "2", "--probes", "2", "--limit", "4")
FIXED = ("--points", "3", "--examples", "60", "--device", "cpu", "--strategy", "loop,examples=64;retained,examples=64")


def test_measured_told_drawn_and_reproduced(here, ask):
    found = ask("bits", "a.pt", *FAST, *FIXED)
    assert found.code == 0, found.err
    result = load("a.bits.h5")
    assert result.bits.tolist() == [4, 2]
    assert result.loss.shape == (2, 2)
    assert result.tensor.tolist() == [n for n in checkpoint.read("a.pt").state if n.endswith("weight")]
    for words in ("loss and accuracy", "expansion", "random flips", "narrow, mse", "gradient norm"):
        assert words in found.out
    assert {path.name for path in here.glob("a.bits.*")} == {"a.bits.h5", "a.bits.pdf", "a.bits.png"}
    assert set(result.origin["grids"]) == {"4", "2"}
    assert ask("reproduce", "a.bits.h5").out.splitlines()[-1] == "a.bits.h5: reproduced"
    assert "rank corr." in ask("show", "a.bits.h5").out


def test_without_the_expensive_parts(here, measure):
    found = measure("bits", "a.pt", *FAST, "--no-curvature", "--no-layers")
    assert found.code == 0, found.err
    result = load("a.bits.h5")
    assert result.lambda_max is None
    assert result.tensor_change is None
    assert result.origin["products"] == 2


def test_several_results_in_one_figure(here, ask):
    for name in "ab":
        words = (*FAST, *FIXED, "--no-curvature", "--no-layers", "--plot", "none")
        assert ask("bits", f"{name}.pt", *words).code == 0
    for output in ("ab.png", "ab.pdf", "ab.html"):
        assert ask("plot", "a.bits.h5", "b.bits.h5", "-o", output).code == 0
        assert (here / output).stat().st_size > 1000
    assert ask("plot", "a.bits.h5", "b.bits.h5", "--view", "accuracy", "-o", "view.png").code == 0
    assert ask("plot", "a.bits.h5", "--quantity", "flip_worst", "-o", "one.png").code == 0
    assert ask("plot", "a.bits.h5", "b.bits.h5", "--view", "parts", "-o", "no.png").refused("one network")


def test_a_dry_run_tells_the_price_and_writes_nothing(here, ask):
    found = ask("bits", "a.pt", *FAST, *FIXED, "--dry-run")
    assert found.code == 0, found.err
    assert "products" in found.out
    assert not list(here.glob("*.bits.*"))


@pytest.fixture
def rounded(here):
    """Write a.pt at three bits, with its weights before rounding or without them."""

    def make(name, known=True):
        found = checkpoint.read("a.pt")
        model = checkpoint.build(found.model, checkpoint.dataset(found.data))
        latent = {weight: found.state[weight] for weight in chosen(model)}
        grids = {weight: calibrate(tensor, Scheme(3)) for weight, tensor in latent.items()}
        state = quantized(found.state, grids)
        known = Quantization(grids, latent if known else {}, {}, {"scheme": Scheme(3).record()})
        checkpoint.write(replace(found, state=state, quantization=known), name)

    return make


def test_a_quantized_checkpoint_begins_at_its_weights_before_rounding(rounded, ask):
    rounded("q.pt")
    quick = (*FAST, *FIXED, "--no-curvature", "--no-layers", "--plot", "none")
    for words in (("a.pt",), ("q.pt",), ("q.pt", "--quantized", "dequant", "-o", "d.h5")):
        assert ask("bits", *words, *quick).code == 0
    full, latent, dequant = (load(name) for name in ("a.bits.h5", "q.bits.h5", "d.h5"))
    np.testing.assert_array_equal(latent.loss, full.loss)
    np.testing.assert_array_equal(latent.bin_sharpness, full.bin_sharpness)
    assert (dequant.loss_full != full.loss_full).all()
    assert latent.origin["quantization"]["sha256"]
    assert ask("reproduce", "q.bits.h5").out.splitlines()[-1] == "q.bits.h5: reproduced"


def test_codes_alone_and_views_are_refused(rounded, ask):
    rounded("q.pt")
    rounded("codes.pt", known=False)
    assert ask("bits", "codes.pt", *FAST).refused("codes alone")
    for surface in ("latent", "requant", "soft"):
        assert ask("bits", "q.pt", *FAST, "--quantized", surface).refused("rounds by itself")


def test_bad_input_in_one_line(here, ask):
    for words, told in (
        (("--bits", "0"), "1 to 8"), (("--bits", "9,4"), "got 9"), (("--bits", "x"), "whole numbers"),
        (("--skip", "conv"), "--skip"), (("--family", "ternary"), "2 bits for family ternary"),
    ):  # fmt: skip
        assert ask("bits", "a.pt", *words).refused(told)
    assert not list(here.glob("*.bits.*"))


def test_work_that_was_interrupted_goes_on(here, ask, monkeypatch):
    from landscape.probes import _bits_work

    words = ("bits", "a.pt", *FAST, *FIXED, "--plot", "none")
    assert ask(*words, "-o", "whole.h5").code == 0
    usual = _bits_work.Work._rounded

    def interrupted(work, index):
        if index == 1:
            raise KeyboardInterrupt
        return usual(work, index)

    monkeypatch.setattr(_bits_work.Work, "_rounded", interrupted)
    assert run([*words, "-o", "again.h5"]) == 130
    assert {path.name for path in (here / "again.h5.parts").glob("part*")} == {"part-000000.npz", "part-000001.npz"}
    monkeypatch.setattr(_bits_work.Work, "_rounded", usual)
    assert ask(*words, "-o", "again.h5").code == 0
    assert (here / "again.h5").read_bytes() == (here / "whole.h5").read_bytes()
    assert not (here / "again.h5.parts").exists()
