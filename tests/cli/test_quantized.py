"""Surfaces of quantized networks by name: what they are around, that they are told apart, and what is refused."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape import checkpoint
from landscape.checkpoint import build, dataset, fitted
from landscape.quantize.calibration import calibrate
from landscape.quantize.layers import chosen
from landscape.quantize.observed import observed
from landscape.quantize.quantization import Quantization, quantized
from landscape.quantize.scheme import Scheme
from landscape.result import load

SURFACES = ["dequant", "latent", "requant", "smooth", "soft", "lattice", "fp"]
DERIVATIVES = ["eigen", "trace", "sharpness", "saddle", "curvature", "spectrum", "covariance", "batchsize"]
QUIET = ["--plot", "none", "--device", "cpu", "--examples", "40"]


@pytest.fixture(scope="session")
def rounded(trained, tmp_path_factory):
    """A folder with a.pt of full precision and its quantizations q3.pt, q2.pt, codes.pt (alone) and acts.pt."""
    folder = tmp_path_factory.mktemp("rounded")
    shutil.copy(trained / "a.pt", folder / "a.pt")
    found = checkpoint.read(folder / "a.pt")
    data = dataset(found.data)
    model = build(found.model, data)
    axes = chosen(fitted(found, model))
    inputs = observed(model, [torch.tensor(data.split("train").inputs[:64])], 4)
    wanted = {"q3": (3, axes, {}), "q2": (2, axes, {}), "codes": (3, (), {}), "acts": (4, axes, inputs)}
    for name, (bits, kept, acts) in wanted.items():
        grids = {key: calibrate(found.state[key], Scheme(bits), axis=axis) for key, axis in axes.items()}
        known = Quantization(grids, {key: found.state[key] for key in kept}, acts, {"rounding": "nearest"})
        made = replace(found, state=quantized(found.state, grids), quantization=known)
        checkpoint.write(made, folder / f"{name}.pt")
    return folder


@pytest.fixture
def folder(rounded, tmp_path, monkeypatch):
    shutil.copytree(rounded, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def drawn(measure):
    """Measure a surface by name, and read it."""

    def made(name, file="q3.pt", *words):
        answer = measure("surface", file, "--quantized", name, "-o", f"{name}.h5", "--force", *words)
        assert answer.code == 0, answer.err
        return load(f"{name}.h5"), answer.out

    return made


def center(result):
    return result.loss[(slice(None), *result.center)]


def test_every_surface_is_around_the_network_that_it_is_about(folder, drawn):
    found = {name: drawn(name)[0] for name in SURFACES}
    plain = center(drawn("dequant", "a.pt")[0])
    np.testing.assert_array_equal(center(found["fp"]), plain)
    for name in ("latent", "lattice", "requant"):
        np.testing.assert_allclose(center(found[name]), center(found["dequant"]), rtol=1e-6)
    assert not np.allclose(center(found["dequant"]), plain, rtol=1e-3)
    rims = [tuple(result.loss[0, 0].tolist()) for result in found.values()]
    assert len(set(rims)) == len(SURFACES)


@pytest.mark.parametrize("name", [*SURFACES, "bitplane"])
def test_every_surface_is_reproduced_and_foretold(folder, drawn, ask, measure, name):
    drawn(name)
    answer = ask("reproduce", f"{name}.h5")
    assert answer.code == 0, answer.err
    assert "loss: equal" in answer.out
    told = measure("surface", "q3.pt", "--quantized", name, "-o", "other.h5", "--dry-run")
    assert "9 points" in told.out


def test_no_surface_is_taken_for_another(folder, measure):
    assert measure("surface", "q3.pt", "-o", "s.h5").code == 0
    for words in (["latent"], ["fp"], ["soft"], ["bitplane"]):
        assert measure("surface", "q3.pt", "-o", "s.h5", "--quantized", *words).refused("another origin", "quantized")
    soft = ["surface", "q3.pt", "--quantized", "soft", "-o", "t.h5"]
    assert measure(*soft).code == 0
    assert measure(*soft, "--temperature", "0.2").refused("another origin")
    assert "there already" in measure(*soft).out


def test_directions_of_all_widths_have_the_lengths_of_the_latent_weights(folder, drawn, measure):
    found = [drawn(name, file)[0] for file in ("q3.pt", "q2.pt") for name in ("dequant", "latent", "lattice", "fp")]
    for result in found:
        np.testing.assert_array_equal(result.norm, found[0].norm)
    assert found[0].origin["directions"]["norms"] == "given"
    bare = drawn("dequant", "codes.pt")[0]
    assert "norms" not in bare.origin["directions"]
    assert not np.allclose(bare.norm, found[0].norm, rtol=1e-4)
    draws = drawn("dequant", "q3.pt", "--draws", "2")[0]
    np.testing.assert_array_equal(draws.norm, found[0].norm)


def test_soft_rounding_tells_its_temperature_and_its_gap(folder, drawn):
    soft, out = drawn("soft", "q3.pt", "--temperature", "0.3")
    gap = dict(zip(soft.split.tolist(), center(soft) - center(drawn("latent")[0]), strict=True))
    assert soft.origin["gap_to_hard"] == pytest.approx(gap, abs=1e-6)
    assert "temperature 0.3" in out


def test_staircases_are_told(folder, drawn):
    result, out = drawn("latent")
    assert 0 < min(result.origin["staircase"]["moved"]) <= 1
    assert "of neighbouring points have the same loss" in out
    assert "staircase" not in drawn("dequant")[0].origin


@pytest.mark.parametrize("file", ["a.pt", "q3.pt"])
def test_the_plane_through_widths_is_that_of_full_precision(folder, drawn, file):
    result, out = drawn("bitplane", file, "--widths", "8,4,3,2")
    assert result.checkpoint.tolist() == ["w", "Q8", "Q4", "Q3", "Q2"]
    np.testing.assert_array_equal(center(result), center(drawn("fp")[0]))
    assert result.checkpoint_residual[[0, 2, 4]] == pytest.approx(0, abs=1e-5)
    assert result.checkpoint_residual[3] > 0.1
    assert "off     the plane, of the distance from w" in out


def test_checkpoints_of_other_widths_are_seen_alike(folder, measure):
    assert measure("line", "q3.pt", "q2.pt", "--quantized", "dequant", "-o", "l.h5").code == 0
    result = load("l.h5")
    assert result.checkpoint.tolist() == ["q3", "q2"]
    assert measure("line", "q3.pt", "q2.pt", "--quantized", "latent", "-o", "m.h5").refused("different checkpoints")


@pytest.mark.parametrize("probe", DERIVATIVES)
def test_derivatives_through_a_quantizer_are_refused(folder, ask, probe):
    assert ask(probe, "q3.pt", "--quantized", "latent", *QUIET).refused("derivatives", "--quantized dequant")
    assert ask(probe, "acts.pt", *QUIET).refused("derivatives", "--acts")


def test_quantized_activations_are_seen_as_asked(folder, drawn, ask):
    hard, passed = drawn("dequant", "acts.pt")[0], drawn("dequant", "acts.pt", "--acts", "fp")[0]
    assert not np.array_equal(center(hard), center(passed))
    assert (hard.origin["activations"], passed.origin["activations"]) == ("hard", "fp")
    assert ask("trace", "acts.pt", "--acts", "dither", *QUIET).code == 0
    assert ask("reproduce", "dequant.h5").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["surface", "a.pt", "--quantized", "latent"], ["quantize it first", "landscape quantize a.pt --bits 4"]),
        (["surface", "codes.pt", "--quantized", "soft"], ["codes alone"]),
        (["surface", "codes.pt", "--quantized", "fp"], ["codes alone"]),
        (["surface", "q3.pt", "--quantized", "latnt"], ["did you mean 'latent'"]),
        (["surface", "q3.pt", "--samples", "4"], ["--samples with --quantized smooth"]),
        (["surface", "q3.pt", "--quantized", "smooth", "--samples", "1"], ["2 samples"]),
        (["surface", "q3.pt", "--quantized", "soft", "--temperature", "0"], ["temperature"]),
        (["surface", "q3.pt", "--quantized", "bitplane", "--widths", "9,2"], ["--widths", "from 1 to 8"]),
        (["surface", "q3.pt", "--quantized", "bitplane", "--widths", "4"], ["two or more"]),
        (["surface", "q3.pt", "q2.pt", "--quantized", "bitplane"], ["no other axes"]),
        (["surface", "q3.pt", "--quantized", "bitplane", "--normalization", "layer"], ["normalization"]),
        (["line", "q3.pt", "--quantized", "bitplane"], ["landscape surface alone"]),
        (["surface", "q3.pt", "--acts", "ste"], ["quantized activations"]),
        (["surface", "acts.pt", "--acts", "soft"], ["hard, ste, dither, fp"]),
    ],
)
def test_what_has_no_meaning_is_refused(folder, ask, words, told):
    assert ask(*words, *QUIET).refused(*told)


def test_it_is_told_where_weights_are_not_rounded_to_the_nearest(folder, ask):
    found = checkpoint.read("q3.pt")
    known = found.quantization
    assert known is not None
    assert known.moved(found.state)[0] == 0
    name, grid = next(iter(known.grids.items()))
    codes = grid.codes(found.state[name])
    codes[0, :5] -= torch.where(codes[0, :5] > 0, 1, -1)  # five of them go to another value
    other = replace(known, record={"rounding": "adaround"})
    checkpoint.write(
        replace(found, state=found.state | {name: grid.dequantize(codes)}, quantization=other), "adaround.pt"
    )
    small = ("--points", "3", *QUIET, "--split", "test", "--force", "-o", "s.h5")
    for surface in ("latent", "bitplane"):
        assert ask("surface", "q3.pt", "--quantized", surface, *small).code == 0  # warnings are errors
        with pytest.warns(UserWarning, match=r"adaround.pt: 5 of \d+ weights are not rounded to the nearest, but"):
            assert ask("surface", "adaround.pt", "--quantized", surface, *small).code == 0
    assert ask("surface", "adaround.pt", "--quantized", "lattice", *small).code == 0


def test_codes_alone_have_a_lattice(folder, drawn):
    assert np.isfinite(drawn("lattice", "codes.pt")[0].loss).all()
