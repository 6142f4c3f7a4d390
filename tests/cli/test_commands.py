"""The commands, end to end, on a network trained on the embedded digits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from landscape import checkpoint, load
from landscape.cli.reproduce import difference

NETS = """
from torch import nn
from landscape.data.digits import digits
from landscape.models.mlp import mlp

def build(hidden=64):
    return mlp(width=hidden, shape=(1, 8, 8))

def load(flip=False):
    found = digits()
    x, y = found.train
    return {"train": (x[:60, ..., ::-1].copy() if flip else x[:60], y[:60])}

def steep(outputs, targets):
    return 2 * nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


def center(result):
    return result.loss[(slice(None), *result.center)]


def test_from_training_to_a_figure_and_back(here, ask, measure):
    found = ask("surface", "a.pt", "--points", "5x3", "--span", "1x0.5", "--device", "cpu")
    assert found.code == 0, found.err
    assert "a.surface.pdf" in found.out
    result = load("a.surface.h5")
    assert result.loss.shape == (2, 5, 3)
    assert (result.a[-1], result.b[-1]) == (1.0, 0.5)
    known = checkpoint.read("a.pt").training
    assert center(result) == pytest.approx([known["train_loss"], known["test_loss"]], rel=1e-5)
    assert {path.name for path in here.glob("a.surface.*")} == {"a.surface.h5", "a.surface.pdf", "a.surface.png"}
    again = ask("surface", "a.pt", "--points", "5x3", "--span", "1x0.5", "--device", "cpu", "--plot", "none")
    assert "was there already" in again.out
    assert ask("reproduce", "a.surface.h5").out.splitlines()[-1] == "a.surface.h5: reproduced"


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """A surface and a line with everything in them: classes, draws, checkpoints of a trajectory."""
    from landscape.cli import run

    folder = tmp_path_factory.mktemp("measured")
    common = ["--plot", "none", "--points", "5", "--examples", "60", "--device", "cpu"]
    path = ["--trajectory", str(trained / "a.trajectory")]
    assert run(["surface", str(trained / "a.pt"), *common, *path, "-o", str(folder / "surface.h5")]) == 0
    assert run(["line", str(trained / "a.pt"), *common, "--draws", "2", "-o", str(folder / "line.h5")]) == 0
    return folder


@pytest.mark.parametrize(
    "options",
    [
        "", "--view contour --split test", "--view 3d", "--view heat --quantity accuracy", "--classes --split train",
        "--style icml --title Mine --no-log", "--view contour --levels 0.5 1 2", "--view contour --log --clip 3",
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_every_view_of_a_surface(measured, tmp_path, ask, options, suffix):
    output = tmp_path / f"s.{suffix}"
    found = ask("plot", measured / "surface.h5", *options.split(), "-o", output)
    assert (found.code, found.err) == (0, "")
    assert output.read_bytes()[:4] in (b"%PDF", b"\x89PNG")


@pytest.mark.parametrize("kind", ["surface", "line"])
@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_every_format(measured, tmp_path, ask, kind, suffix):
    assert ask("plot", measured / f"{kind}.h5", "-o", tmp_path / f"s.{suffix}").code == 0
    assert b"<" in (tmp_path / f"s.{suffix}").read_bytes()[:10]


def test_show_tells_numbers_arrays_and_origin(measured, ask):
    found = ask("show", measured / "surface.h5", measured / "line.h5")
    assert "Surface, 5 x 5 points" in found.out
    assert "(split: 2, a: 5, b: 5)" in found.out
    assert str(measured / "line.h5") in found.out
    origin = json.loads(ask("show", "--origin", measured / "surface.h5").out)
    assert origin["command"] == "surface"
    assert origin["directions"]["kind"] == "principal"


def test_a_terminal_that_lacks_letters_is_no_reason_to_fail(measured):
    words = ["-c", "from landscape.cli import main; main()", "show", str(measured / "line.h5")]
    asked = {"env": os.environ | {"PYTHONIOENCODING": "ascii"}, "capture_output": True, "check": True}
    assert b"center: loss" in subprocess.run([sys.executable, *words], **asked).stdout


def test_export(measured, tmp_path, ask):
    pytest.importorskip("pyevtk")
    assert ask("export", measured / "surface.h5", "-o", tmp_path / "s.csv").code == 0
    assert (tmp_path / "s.csv").read_text().startswith("split,")
    assert ask("export", measured / "surface.h5", "-o", tmp_path / "s.vts", "--log", "--clip", "3").code == 0
    assert b"VTKFile" in (tmp_path / "s.vts").read_bytes()
    assert ask("export", measured / "surface.h5", "-o", tmp_path / "s.csv", "--log").refused(".vts")


def test_lines(here, measure):
    assert measure("line", "a.pt").code == 0
    assert load("a.line.h5").loss.shape == (2, 3)
    assert measure("line", "a.pt", "b.pt", "--points", "11", "-o", "ab.h5").code == 0
    found = load("ab.h5")
    assert list(found.checkpoint) == ["a", "b"]
    assert found.checkpoint_a == pytest.approx([0, 1])
    assert found.checkpoint_residual == pytest.approx([0, 0], abs=1e-5)


def test_a_trajectory_that_reaches_the_checkpoint_does_not_count_it_twice(here, measure):
    assert measure("surface", "a.pt", "--directions", "principal", "--trajectory", "a.trajectory").code == 0
    names = [f"epoch-{epoch:04d}" for epoch in range(4)]
    assert list(load("a.surface.h5").checkpoint) == names
    others = [f"a.trajectory/{name}.pt" for name in names[:3]]
    assert measure("surface", "a.pt", "--trajectory", *others, "-o", "s.h5").code == 0
    assert list(load("s.h5").checkpoint) == [*names[:3], "end"]
    np.testing.assert_array_equal(load("s.h5").loss, load("a.surface.h5").loss)


def test_a_folder_of_checkpoints_is_counted_as_people_count(here, measure):
    (here / "path").mkdir()
    for epoch, name in enumerate(("e2.pt", "e9.pt", "e10.pt")):
        (here / "a.trajectory" / f"epoch-{epoch:04d}.pt").rename(here / "path" / name)
    assert measure("surface", "a.pt", "--trajectory", "path").code == 0
    assert list(load("a.surface.h5").checkpoint) == ["e2", "e9", "e10", "end"]


def test_agreement_is_of_each_value():
    """Of a surface whose rim is a million times as high as its center."""
    assert difference(np.array([0.01, 1e5]), np.array([5.0, 1e5])) == pytest.approx(0.998)
    assert difference(np.array([0.0, 1.0]), np.array([1e-7, 1.0])) == pytest.approx(1e-5)


def test_planes_through_checkpoints(here, measure):
    for others in (["b.pt"], ["b.pt", "c.pt"]):
        assert measure("surface", "a.pt", *others, "-o", f"{len(others)}.h5").code == 0
        found = load(f"{len(others)}.h5")
        assert list(found.checkpoint) == ["a", "b", "c"][: 1 + len(others)]
        assert found.checkpoint_residual == pytest.approx(0, abs=1e-4)
    assert measure("surface", "a.pt", "b.pt", "c.pt", "b.pt").refused("2 or 3", "4")
    assert measure("surface", "a.pt", "b.pt", "--directions", "random").refused("between")


def test_runs_and_single_checkpoints_on_a_plane_through_others(here, ask, measure):
    shutil.copytree("a.trajectory", "run")
    words = ["--trajectory", "a.trajectory", "run", "--mark", "c.pt", "run", "--plot", "none"]
    assert measure("surface", "a.pt", "b.pt", *words).code == 0
    found = load("a.surface.h5")
    assert found.checkpoint_run.tolist() == ["", "", *["a"] * 4, *["run"] * 4, *[""] * 5]
    assert found.checkpoint[[0, 1, 2, 10, 11]].tolist() == ["a", "b", "epoch-0000", "c", "run/epoch-0000"]
    assert found.checkpoint_residual[[0, 1, 5, 9, 14]] == pytest.approx(0, abs=1e-4)
    np.testing.assert_array_equal(found.checkpoint_a[2:6], found.checkpoint_a[6:10])
    for axis, marks in ((found.a, found.checkpoint_a), (found.b, found.checkpoint_b)):
        assert marks.max() - marks.min() < np.ptp(axis)
    assert ask("reproduce", "a.surface.h5").out.endswith("a.surface.h5: reproduced\n")
    assert ask("plot", "a.surface.h5", "-o", "a.gif").code == 0
    assert ask("plot", "a.surface.h5", "-o", "a.gif").code == 0  # ours may be drawn again
    assert ask("plot", "a.surface.h5", "-o", "b.gif", "--view", "3d").refused("one surface for a .gif")
    assert measure("surface", "a.pt", "b.pt", "-o", "b.h5").code == 0
    assert ask("plot", "b.h5", "-o", "b.gif").refused("--trajectory")
    assert measure("surface", "a.pt", "--mark", "none.pt").refused("none.pt", "no such file")


def test_principal_directions_of_several_runs(here, measure):
    runs = ["a.trajectory", "b.trajectory", "c.trajectory"]
    assert measure("surface", "a.pt", "--trajectory", *runs).code == 0
    found = load("a.surface.h5")
    assert found.checkpoint_run.tolist() == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert found.origin["directions"]["runs"] == 3
    assert [found.checkpoint_a[3], found.checkpoint_b[3]] == pytest.approx([0, 0], abs=1e-5)  # the plane is through a
    assert measure("line", "a.pt", "--trajectory", *runs).code == 0
    assert load("a.line.h5").checkpoint_run.tolist() == found.checkpoint_run.tolist()
    assert measure("curvature", "a.pt", "--trajectory", *runs, "--limit", "2", "--split", "train").code == 0
    assert load("a.curvature.h5").checkpoint_run.tolist() == found.checkpoint_run.tolist()


def test_a_curve_on_the_plane_of_its_ends_and_its_bend(here, ask, measure):
    assert measure("connect", "a.pt", "b.pt", "--epochs", "1", "-o", "c.h5", "--strategy", "auto").code == 0
    for others in (["b.pt"], []):
        assert measure("surface", "a.pt", *others, "--curve", "c.h5", "--force").code == 0
        found = load("a.surface.h5")
        assert found.checkpoint.tolist() == ["a", "b" if others else "end", "bend"]
        assert found.curve.tolist() == ["segment", "bezier"]
        assert found.curve_residual == pytest.approx(0, abs=1e-4)
        assert [found.curve_a[:, 0], found.curve_b[:, -1]] == pytest.approx(np.zeros((2, 2)), abs=1e-4)
    assert ask("reproduce", "a.surface.h5").out.endswith("reproduced\n")
    assert measure("surface", "a.pt", "c.pt", "--curve", "c.h5", "-o", "x.h5").refused("c.h5", "between others")
    assert measure("surface", "a.pt", "--curve", "a.surface.h5", "-o", "x.h5").refused("a.surface.h5", "got a surface")
    assert measure("surface", "a.pt", "--curve", "none.h5").refused("none.h5", "no such file")
    assert measure("line", "a.pt", "b.pt", "--curve", "c.h5").refused("landscape path")


def test_trajectories(here, measure):
    assert measure("surface", "a.pt", "--trajectory", "a.trajectory", "-o", "p.h5").code == 0
    found = load("p.h5")
    assert found.explained.sum() == pytest.approx(1, abs=0.2)
    assert list(found.checkpoint) == ["epoch-0000", "epoch-0001", "epoch-0002", "epoch-0003"]
    assert found.checkpoint_residual[-1] == pytest.approx(0, abs=1e-6)
    for kind in ("random", "gradient"):
        words = ["--trajectory", "a.trajectory/epoch-0000.pt", "a.trajectory/epoch-0003.pt", "--directions", kind]
        assert measure("surface", "a.pt", *words, "-o", f"{kind}.h5").code == 0
        found = load(f"{kind}.h5")
        assert found.checkpoint_residual[0] > found.checkpoint_residual[1] == pytest.approx(0, abs=1e-6)
    (here / "empty").mkdir()
    assert measure("surface", "a.pt", "--trajectory", "empty").refused("empty", "none in it")


def test_draws_and_an_automatic_span(here, measure):
    assert measure("surface", "a.pt", "--draws", "3", "--span", "auto", "--multiple", "5").code == 0
    found = load("a.surface.h5")
    assert found.draw_loss.shape == (3, 2, 3, 3)
    assert found.a[-1] != 1.0
    assert np.ptp(found.draw_loss[:, :, 0, 0], axis=0).min() > 0


def test_directions_of_a_file(here, ask, measure):
    theta = torch.cat([t.flatten() for t in checkpoint.read("a.pt").state.values()])
    np.save("d.npy", np.stack([np.eye(1, len(theta))[0], theta.numpy()]).astype(np.float32))
    assert measure("surface", "a.pt", "--directions", "d.npy").code == 0
    assert load("a.surface.h5").norm == pytest.approx([1, float(theta.norm())], rel=1e-5)
    np.save("d.npy", np.eye(2, len(theta), dtype=np.float32))
    assert ask("reproduce", "a.surface.h5").refused("d.npy", "changed")
    assert measure("surface", "a.pt", "--directions", "d.npy").refused("another origin", "others")


def test_reproduction_notices_what_changed(here, ask, measure):
    assert measure("surface", "a.pt", "b.pt", "-o", "s.h5").code == 0
    assert ask("reproduce", "s.h5").out.endswith("s.h5: reproduced\n")
    with h5py.File("s.h5", "r+") as file:
        file["loss"][0, 1, 1] *= 1.05
    assert ask("reproduce", "s.h5").refused("other ones in loss")
    assert ask("reproduce", "s.h5", "--tolerance", "0.1").code == 0
    (here / "b.pt").write_bytes((here / "c.pt").read_bytes())
    assert ask("reproduce", "s.h5").refused("b.pt", "changed")
    (here / "b.pt").unlink()
    assert ask("reproduce", "s.h5").refused("b.pt", "no such file")


def test_a_foreign_checkpoint_is_adopted(here, ask, measure):
    state = {f"module.{name}": tensor for name, tensor in checkpoint.read("a.pt").state.items()}
    torch.save({"state_dict": state, "epoch": 3}, "foreign.th")
    given = ("--model", "mlp", "--data", "digits", "--device", "cpu")
    found = ask("adopt", "foreign.th", *given, "-o", "own.pt")
    assert found.code == 0, found.err
    assert found.out.startswith("train: loss 0.")
    known, ours = checkpoint.read("a.pt").training, checkpoint.read("own.pt")
    assert ours.training["test_loss"] == pytest.approx(known["test_loss"], rel=1e-5)
    assert ours.model == checkpoint.Spec("mlp", {"shape": (1, 8, 8), "classes": 10})
    assert ours.data.name == "digits"
    assert measure("surface", "own.pt", "-o", "own.h5").code == 0
    assert measure("surface", "foreign.th", *given, "-o", "foreign.h5").code == 0
    assert (load("own.h5").loss == load("foreign.h5").loss).all()


def test_safetensors_and_keys(here, measure):
    state = checkpoint.read("a.pt").state
    save_file(state, "a.safetensors")
    torch.save({"state_dict": checkpoint.read("b.pt").state, "ema": state}, "two.pt")
    given = ("--model", "mlp", "--data", "digits")
    assert measure("line", "a.pt", "-o", "a.h5").code == 0
    assert measure("line", "a.safetensors", *given, "-o", "s.h5").code == 0
    assert measure("line", "two.pt", *given, "--key", "ema", "-o", "e.h5").code == 0
    assert measure("line", "two.pt", *given, "-o", "b.h5").code == 0
    loss = {name: center(load(f"{name}.h5")) for name in "aseb"}
    assert (loss["a"] == loss["s"]).all()
    assert (loss["a"] == loss["e"]).all()
    assert (loss["a"] != loss["b"]).all()


def test_a_surface_of_li_et_al_is_imported(here, ask):
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    with h5py.File("li.h5", "w") as file:
        file["xcoordinates"], file["ycoordinates"] = x, y
        file["train_loss"] = (x[None] ** 2 + y[:, None] + 2).reshape(5, 3)
        file["train_acc"] = np.full((5, 3), 50.0)
    assert ask("import", "li.h5").code == 0
    found = load("li.landscape.h5")
    assert found.loss[0] == pytest.approx(x[:, None] ** 2 + y + 2)
    assert (found.accuracy == 0.5).all()
    assert ask("import", "li.h5").refused("exists")
    assert ask("import", "li.h5", "--force").code == 0
    for command, output in (("plot", "li.png"), ("export", "li.csv")):
        assert ask(command, "li.h5", "-o", output).code == 0
    assert "Surface" in ask("show", "li.h5").out
    assert ask("reproduce", "li.landscape.h5").refused("command")


def test_users_own_code(here, ask, measure):
    (here / "nets.py").write_text(NETS)
    given = ("--model", "nets.py:build", "--model-arg", "hidden=64", "--loss", "nets.py:steep")
    assert measure("line", "a.pt", *given, "--data", "nets.py:load", "--examples", "500", "-o", "plain.h5").code == 0
    flipped = (*given, "--data", "nets.py:load", "--data-arg", "flip=True")
    assert measure("line", "a.pt", *flipped, "-o", "flip.h5").code == 0
    plain, flip = load("plain.h5"), load("flip.h5")
    assert list(plain.split) == ["train"]
    assert center(flip)[0] > 3 * center(plain)[0]
    assert ask("reproduce", "flip.h5", "--trust").code == 0
    assert list(load("flip.h5").origin["code"]) == [str(here / "nets.py")]
    (here / "nets.py").write_text(NETS.replace("2 *", "3 *"))
    assert measure("line", "a.pt", *flipped, "-o", "flip.h5").refused("another origin", "code")
    assert ask("adopt", "a.pt", *flipped, "-o", "own.pt").code == 0
    assert measure("line", "own.pt").refused("--trust")
    assert measure("line", "own.pt", "--trust").code == 0


def test_a_users_package(here, measure):
    given = ("--model", "landscape.models.mlp:mlp", "--model-arg", "shape=(1,8,8)")
    assert measure("line", "a.pt", *given, "--data", "landscape.data.digits:digits").code == 0


def test_data_of_a_file_and_transforms(here, measure):
    x, y = checkpoint.dataset(checkpoint.Spec("digits")).train
    np.savez("data.npz", train_x=x[:50], train_y=y[:50])
    assert measure("line", "a.pt", "--data", "data.npz", "-o", "n.h5").code == 0
    assert load("n.h5").origin["source"]["data"] == str(here / "data.npz")
    changed = ("--transform", "classes=3,5", "--transform", "subset=30", "--examples", "500")
    assert measure("line", "a.pt", *changed, "-o", "t.h5").code == 0
    found = load("t.h5")
    assert found.origin["objective"]["splits"]["train"]["examples"] == 30
    assert found.origin["data"]["transforms"] == ["classes=3,5", "subset=30"]
    assert len(found.class_) == 2


def test_splits_examples_and_parameters(here, measure):
    assert measure("line", "a.pt", "--split", "test", "--examples", "17", "-o", "s.h5").code == 0
    found = load("s.h5")
    assert list(found.split) == ["test"]
    assert found.origin["objective"]["splits"]["test"]["examples"] == 17
    assert measure("line", "a.pt", "--parameters", "5.*", "-o", "p.h5").code == 0
    assert load("p.h5").origin["objective"]["parameters"] == 650
    first = next(iter(checkpoint.read("a.pt").state))
    assert measure("line", "a.pt", "--parameters", f"{first}, 5.*", "-o", "q.h5").code == 0
    assert load("q.h5").origin["objective"]["parameters"] > 650


def test_arithmetic(here, measure):
    assert measure("line", "a.pt", "-o", "a.h5").code == 0
    for options in (["--precision", "float64"], ["--strategy", "vmap,points=2,examples=16"], ["--strategy", "auto"]):
        assert measure("line", "a.pt", *options, "--force", "-o", "b.h5").code == 0
        assert load("b.h5").loss == pytest.approx(load("a.h5").loss, rel=1e-4)


def test_a_dry_run_writes_nothing(here, measure):
    before = sorted(here.rglob("*"))
    found = measure("surface", "a.pt", "--points", "5x3", "--draws", "2", "--dry-run")
    assert "30 points" in found.out
    assert "time:" in found.out
    assert sorted(here.rglob("*")) == before
    assert measure("surface", "a.pt").code == 0
    before = sorted(here.rglob("*"))
    assert "already" in measure("surface", "a.pt", "--plot", "pdf", "--dry-run").out
    assert sorted(here.rglob("*")) == before


def test_force_replaces_another_result_and_goes_on_with_its_own(here, measure, monkeypatch):
    from landscape import sweep

    monkeypatch.setattr(sweep, "KEEP", 0.0)
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    old = (here / "s.h5").read_bytes()
    work, calls = sweep._measure, []

    def stopped(*given):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return work(*given)

    monkeypatch.setattr(sweep, "_measure", stopped)
    found = measure("surface", "a.pt", "--seed", "1", "--force", "-o", "s.h5")
    assert found.code == 130
    assert "go on" in found.err
    assert (here / "s.h5").read_bytes() == old
    assert measure("surface", "a.pt", "--seed", "1", "--force", "-o", "s.h5").code == 0
    assert len(calls) == 4 + 6
    assert load("s.h5").origin["knobs"]["seed"] == 1
    assert not (here / "s.h5.parts").exists()


def test_what_a_kill_leaves_is_swept(here, measure):
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    (here / ".s.h5.abc.tmp").write_text("half")
    (here / "s.h5.parts").mkdir()
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    assert sorted(path.name for path in here.glob(".s*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupted_surface_says_how_to_go_on(here, ask):
    words = ["surface", "a.pt", "--points", "15", "--strategy", "loop,examples=64", "--device", "cpu", "--plot", "none"]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # background jobs are deaf to it
    code = f"{heard}; from landscape import sweep; sweep.KEEP = 0.05; from landscape.cli import main; main()"
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, env=env)
    folder, limit = here / "a.surface.h5.parts", time.monotonic() + 60
    while len(list(folder.glob("part-*.npz"))) < 2 and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    assert process.returncode == 130
    assert "run the same command again to go on" in err
    assert len(err.splitlines()) == 1
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.npz")}
    assert kept
    assert not (here / "a.surface.h5").exists()
    assert ask("surface", "a.pt", "--points", "15", *words[4:], "--dry-run").code == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.npz")} == kept
    assert ask(*words).code == 0
    assert load("a.surface.h5").loss.shape == (2, 15, 15)
    assert not folder.exists()


def test_the_demo_draws_what_is_there(here, ask):
    (here / "demo").mkdir()
    (here / "a.pt").rename(here / "demo" / "lenet-digits.pt")
    found = ask("demo", "--folder", "demo")
    assert found.code == 0, found.err
    assert "is there already" in found.out
    assert load("demo/lenet-digits.surface.h5").loss.shape == (2, 31, 31)
    assert {path.suffix for path in (here / "demo").iterdir()} == {".pt", ".h5", ".pdf", ".png", ".html"}
