"""Bad input: one line, exit code 1, nothing overwritten, nothing run."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.cli import run

MALICE = """
from pathlib import Path
Path({marker!r}).touch()
def build(**_): raise AssertionError
def load(**_): raise AssertionError
def loss(outputs, targets): raise AssertionError
"""


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("ran",))


def arrays(**changed):
    rng = np.random.default_rng(0)
    found = {"train_x": rng.random((20, 64), dtype=np.float32), "train_y": np.arange(20) % 10}
    return found | changed


def saved(path, **changed):
    np.savez(path, **arrays(**changed))
    return path


def test_no_such_file(here, measure):
    assert measure("surface", "none.pt").refused("none.pt", "no such file")
    assert measure("surface", "a.pt", "none.pt").refused("none.pt", "no such file")
    assert measure("surface", "a.pt", "--trajectory", "none").refused("none", "no such file")
    assert measure("surface", ".").refused("expected a checkpoint, got a folder")
    assert not list(here.glob("*.h5*"))


@pytest.mark.parametrize("size", [0, 10, 1000, 5000, -1])
def test_truncated_files(here, measure, size):
    content = (here / "a.pt").read_bytes()
    (here / "a.pt").write_bytes(content[:size])
    assert measure("surface", "a.pt").refused("a.pt")


@pytest.mark.parametrize("protocol", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_does_not_run(here, measure, protocol):
    if protocol == "pickle":
        (here / "bad.pt").write_bytes(pickle.dumps({"state_dict": Malicious()}))
    else:
        torch.save({"state_dict": Malicious()}, "bad.pt", _use_new_zipfile_serialization=protocol == "zip")
    assert measure("surface", "bad.pt", "--model", "mlp", "--data", "digits").refused("bad.pt")
    assert not (here / "ran").exists()


def test_a_state_dict_that_does_not_fit_lists_keys(here, measure):
    given = ("--model", "mlp", "--model-arg", "width=7", "--data", "digits")
    assert measure("surface", "a.pt", *given).refused("of another shape", "weight", "--model")
    torch.save({"extra.weight": torch.zeros(3)}, "foreign.pt")
    found = measure("surface", "foreign.pt", "--model", "lenet", "--data", "digits")
    assert found.refused("missing", "unexpected", "extra.weight")


def test_what_a_foreign_checkpoint_does_not_say(here, measure):
    torch.save(checkpoint.read("a.pt").state, "foreign.pt")
    assert measure("surface", "foreign.pt").refused("--")
    assert measure("surface", "foreign.pt", "--data", "digits").refused("--model")
    assert measure("surface", "foreign.pt", "--model", "mlp").refused("--data")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_x": np.zeros((20, 30), np.float32)}, ["inputs", "(2, 30)"]),
        ({"train_y": np.arange(20)}, ["label"]),
        ({"train_y": np.arange(20) - 1}, ["label"]),
        ({"train_x": np.zeros((0, 64), np.float32), "train_y": np.zeros(0, int)}, ["xpected"]),
        ({"train_y": np.arange(19) % 10}, ["xpected"]),
        ({"train_x": np.array([None] * 20)}, ["xpected"]),
    ],
    ids=["size", "labels-high", "labels-low", "empty", "lengths", "objects"],
)
def test_data_that_do_not_fit(here, measure, changed, words):
    saved(here / "data.npz", **changed)
    given = ("--model", "mlp", "--model-arg", "shape=64,", "--model-arg", "classes=10", "--data", "data.npz")
    assert measure("surface", "a.pt", *given).refused(*words)
    assert not list(here.glob("*.h5*"))


def test_weights_that_are_not_finite(here, measure):
    found = checkpoint.read("a.pt")
    next(iter(found.state.values()))[0] = float("nan")
    checkpoint.write(found, "nan.pt")
    assert measure("surface", "nan.pt").refused("finite")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--points", "1"], ["at least 3 points", "got 1"]),
        (["--points", "4"], ["odd", "use 5"]),
        (["--points", "3x3x3"], ["2 axes", "3"]),
        (["--points", "many"], ["points"]),
        (["--span", "0"], ["positive span", "got 0"]),
        (["--span", "-1"], ["positive span"]),
        (["--span", "nan"], ["positive span"]),
        (["--span", "wide"], ["positive span", "wide"]),
        (["--draws", "0"], ["draws"]),
        (["--normalization", "filtre"], ["filter", "filtre"]),
        (["--include", "bais"], ["bias", "bais"]),
        (["--directions", "gradeint"], ["did you mean 'gradient'"]),
        (["--directions", "between"], ["checkpoints"]),
        (["--directions", "principal"], ["checkpoints"]),
        (["--strategy", "lop"], ["strategy", "lop"]),
        (["--batchnorm", "froze"], ["frozen", "froze"]),
        (["--precision", "float16"], ["float32", "float16"]),
        (["--device", "gpu"], ["cuda", "gpu"]),
        (["--plot", "gif"], ["--plot", "gif"]),
        (["--split", "val"], ["--split", "val"]),
        (["--examples", "0"], ["at least 1 example"]),
        (["--parameters", "nothing*"], ["nothing*"]),
        (["--loss", "cross"], ["cross_entropy"]),
        (["--transform", "longtale=10"], ["longtail"]),
        (["--data", "digit"], ["did you mean 'digits'"]),
        (["--model", "mpl"], ["did you mean 'mlp'"]),
        (["--model", "mlp", "--model-arg", "widht=3"], ["did you mean 'width'"]),
        (["--model-arg", "width"], ["key=value"]),
        (["--key", "ema"], ["--key", "leave it out"]),
        (["-o", "surface.txt"], [".h5", "surface.txt"]),
    ],
    ids=lambda value: "=".join(value[-2:]).lstrip("-") if value and value[0].startswith("-") else "",
)
def test_options_that_do_not_fit(here, measure, options, words):
    assert measure("surface", "a.pt", *options).refused(*words)
    assert not list(here.glob("*.h5*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there(here, measure):
    assert measure("surface", "a.pt", "--device", "cuda").refused("cuda")


def test_a_result_of_another_origin_stays(here, measure):
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    content = (here / "s.h5").read_bytes()
    assert measure("surface", "a.pt", "-o", "s.h5", "--seed", "1").refused("another origin", "knobs", "--force")
    assert measure("surface", "b.pt", "-o", "s.h5").refused("another origin", "checkpoint")
    assert measure("line", "a.pt", "-o", "s.h5").refused("another origin", "command")
    assert (here / "s.h5").read_bytes() == content


@pytest.mark.parametrize("spec", ["{name}.py:build", "{name}:build"])
def test_a_result_of_other_code_stays(here, measure, spec):
    name = f"nets_{len(spec)}"  # a module is imported once by a process
    code = "from landscape.models.mlp import mlp as build\n"
    (here / f"{name}.py").write_text(code)
    words = ["surface", "a.pt", "--model", spec.format(name=name), "--model-arg", "shape=64,"]
    assert measure(*words).code == 0
    (here / f"{name}.py").write_text(code + "# changed\n")
    assert measure(*words).refused("another origin", "code")


@pytest.mark.parametrize("kind", ["text", "hdf5"])
def test_a_foreign_file_as_output_stays(here, measure, kind):
    if kind == "text":
        (here / "s.h5").write_text("mine")
    else:
        with h5py.File("s.h5", "w") as file:
            file["mine"] = 1
    content = (here / "s.h5").read_bytes()
    assert measure("surface", "a.pt", "-o", "s.h5").refused("s.h5", "no result", "--force")
    assert (here / "s.h5").read_bytes() == content


def test_an_existing_output_of_other_commands_stays(here, ask, measure):
    (here / "b.pt").rename("mine.pt")
    content = (here / "mine.pt").read_bytes()
    assert ask("adopt", "a.pt", "-o", "mine.pt").refused("mine.pt", "exists", "--force")
    assert ask("train", "-o", "mine.pt").refused("mine.pt")
    assert (here / "mine.pt").read_bytes() == content
    for command in (("adopt", "a.pt"), ("train",)):
        assert ask(*command, "-o", "mine.safetensors").refused("mine.pt" if command == ("train",) else ".pt")


def test_an_output_that_cannot_be_written(here, measure):
    (here / "file").write_text("")
    assert measure("surface", "a.pt", "-o", "file/s.h5").refused("file/s.h5")
    (here / "s.h5").mkdir()
    assert measure("surface", "a.pt", "-o", "s.h5").refused("s.h5")


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom permissions hold back")
def test_a_folder_without_permission(here, measure):
    (here / "locked").mkdir(mode=0o500)
    assert measure("surface", "a.pt", "-o", "locked/s.h5").refused("locked", "ermission")


def test_a_full_disk_keeps_what_was_done(here, measure, monkeypatch):
    """A limit on the size of files fails writes as a full disk does."""
    from landscape import sweep

    monkeypatch.setattr(sweep, "KEEP", 0.0)
    assert measure("surface", "a.pt", "-o", "whole.h5").code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    write, calls = sweep.Parts.write, []

    def writing(self, index, arrays):
        calls.append(index)
        if len(calls) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        write(self, index, arrays)

    monkeypatch.setattr(sweep.Parts, "write", writing)
    try:
        found = measure("surface", "a.pt", "-o", "s.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.refused("s.h5.parts", "expected to write here")
    assert sorted(path.name for path in (here / "s.h5.parts").iterdir())[1:] == [f"part-{i:06d}.npz" for i in range(4)]
    assert not (here / "s.h5").exists()
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    assert calls[-1] == 8
    assert sorted(set(calls)) == list(range(9))
    assert (here / "s.h5").read_bytes() == (here / "whole.h5").read_bytes()
    assert not (here / "s.h5.parts").exists()


def test_a_full_disk_at_the_last_step_keeps_all(here, measure):
    assert measure("surface", "a.pt", "-o", "whole.h5").code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # parts fit, the result does not
    try:
        found = measure("surface", "a.pt", "-o", "s.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.refused("s.h5")
    assert not (here / "s.h5").exists()
    assert (here / "s.h5.parts").is_dir()
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    assert (here / "s.h5").read_bytes() == (here / "whole.h5").read_bytes()


@pytest.mark.parametrize("what", ["model", "data", "loss"])
def test_a_checkpoint_that_names_code_needs_trust(here, measure, what):
    (here / "code.py").write_text(MALICE.format(marker=str(here / "ran")))
    found = checkpoint.read("a.pt")
    name = f"{here / 'code.py'}:{dict(model='build', data='load', loss='loss')[what]}"
    value = name if what == "loss" else checkpoint.Spec(name)
    checkpoint.write(checkpoint.Checkpoint(**(vars(found) | {what: value})), "code.pt")
    assert measure("surface", "code.pt").refused("code to run", f"--{what}", "--trust")
    assert not (here / "ran").exists()


@pytest.mark.parametrize("program", ["script.pt", "exported.pt2"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_program_gives_weights_but_no_network(here, measure, program):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10)).eval()
    if program == "script.pt":
        torch.jit.script(network).save(program)
    else:
        torch.export.save(torch.export.export(network, (torch.ones(2, 1, 8, 8),)), program)
    (here / "nets.py").write_text(
        "from torch import nn\ndef build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))\n"
    )
    given = ("surface", program, "--data", "digits", "--trust", "--batchnorm", "refit")
    assert measure(*given).refused("layers", "got a compiled program", "--model")
    assert measure(*given, "--model", "nets.py:build").code == 0


def test_a_network_that_ends_like_a_file_of_data_needs_trust(here, measure):
    (here / "code.py").write_text(f"open({str(here / 'ran')!r}, 'w')")
    found = checkpoint.read("a.pt")
    spec = checkpoint.Spec(f"{here / 'code.py'}:build.npz")
    checkpoint.write(checkpoint.Checkpoint(**(vars(found) | {"model": spec})), "code.pt")
    assert measure("surface", "code.pt").refused("code to run", "--model", "--trust")
    assert not (here / "ran").exists()


def test_a_result_that_names_code_needs_trust(here, ask, measure):
    (here / "nets.py").write_text("from landscape.models.mlp import mlp as build\n")
    assert measure("surface", "a.pt", "--model", "nets.py:build", "--model-arg", "shape=64,", "-o", "s.h5").code == 0
    (here / "nets.py").write_text(MALICE.format(marker=str(here / "ran")))
    assert ask("reproduce", "s.h5").refused("code of its own", "nets.py:build", "--trust")
    assert ask("reproduce", "s.h5", "--trust").refused("nets.py", "changed")
    assert not (here / "ran").exists()


def test_results_that_are_none(here, ask):
    with h5py.File("foreign.h5", "w") as file:
        file["mine"] = 1
    for command in ("show", "plot", "export", "import", "reproduce"):
        assert ask(command, "a.pt").refused("a.pt", "HDF5")
        assert ask(command, "none.h5").refused("none.h5", "no such file")
        assert ask(command, "foreign.h5").refused("foreign.h5")


@pytest.mark.parametrize("origin", ["{}", "[]", '{"command": "surface"}', '{"command": "rm"}', "{"])
def test_a_damaged_origin(here, ask, measure, origin):
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    with h5py.File("s.h5", "r+") as file:
        file.attrs["origin"] = origin
    assert ask("reproduce", "s.h5").refused("s.h5")


def test_usage_is_one_line_with_a_suggestion(here, ask):
    for words, code, suggestion in (
        (["surfac", "a.pt"], 2, 'Did you mean "surface"?'),
        (["surface", "a.pt", "--poins", "5"], 1, "Did you mean --points?"),
        (["surface", "a.pt", "--seed", "x"], 1, "--seed"),
        (["surface"], 1, "CHECKPOINT"),
        (["plot", "a.h5", "--veiw", "3d"], 1, "Did you mean --view?"),
    ):
        found = ask(*words)
        assert found.code == code
        assert found.err.startswith("landscape: ")
        assert suggestion in found.err
        assert len(found.err.splitlines()) == 1


def test_plots_that_cannot_be(here, ask, measure):
    assert measure("line", "a.pt", "-o", "l.h5").code == 0
    assert ask("plot", "l.h5", "-o", "l.bmp").refused(".pdf", "l.bmp")
    assert ask("plot", "l.h5", "-o", "l.gif").refused("a surface with a run", "--trajectory")
    assert ask("plot", "l.h5", "-o", "l.html", "--style", "icml").refused("style")
    assert ask("plot", "l.h5", "--view", "3d").refused("view")
    assert ask("plot", "l.h5", "--split", "val").refused("val")
    assert ask("plot", "l.h5", "--style", "icmll").refused("icml")
    assert ask("export", "l.h5", "-o", "l.vts").refused("Surface")
    assert ask("export", "l.h5", "-o", "l.xlsx").refused(".csv")
    assert sorted(p.name for p in here.glob("l.*")) == ["l.h5"]


def test_debugging_shows_the_traceback(here, monkeypatch):
    monkeypatch.setenv("LANDSCAPE_DEBUG", "1")
    with pytest.raises(FileNotFoundError, match="none.pt"):
        run(["surface", "none.pt"])


def test_a_closed_pipe_is_no_traceback(here, measure):
    assert measure("surface", "a.pt", "-o", "s.h5").code == 0
    words = [sys.executable, "-c", "from landscape.cli import main; main()", "show", *["s.h5"] * 200]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s.h5\n"
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr.read() == ""
    process.stderr.close()
