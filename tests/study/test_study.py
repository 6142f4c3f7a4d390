"""Studies: what is trained, measured and compared; how they stop, go on, grow and refuse."""

import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from landscape import checkpoint
from landscape.checkpoint import Spec
from landscape.data.digits import digits
from landscape.paired import holm, paired
from landscape.parts import Parts
from landscape.reading import read
from landscape.result import load
from landscape.study import Study
from landscape.study import run as running
from landscape.train.method import Method
from landscape.train.run import train
from landscape.train.settings import Settings
from landscape.train.streams import seeded
from landscape.transforms import subset


class Killed(Exception):
    """What stands for a kill."""


def same(one, other):
    return one.read_bytes() == other.read_bytes()


def copied(whole, tmp_path):
    """Copy a finished study, so that it can be changed."""
    shutil.copytree(f"{whole}.runs", tmp_path / "s.h5.runs")
    shutil.copy(whole, tmp_path / "s.h5")
    return tmp_path / "s.h5"


# what is compared


def test_the_arrays_are_the_paired_statistics_of_the_values(whole):
    found = load(whole)
    assert isinstance(found, Study)
    assert found.method.tolist() == ["plain", "sam:rho=0.1", "sam+swa"]
    assert found.seed.tolist() == [0, 1, 2]
    names = ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "eigen.gradient_norm", "eigen.lambda_max"]
    assert found.measure.tolist() == names
    assert found.scale.tolist() == ["linear"] * 4 + ["log"] * 2
    assert found.better.tolist() == ["lower", "higher", "lower", "higher", "", ""]
    for k, scale in enumerate(found.scale):
        expected = paired(found.value[:, k], scale=scale)
        for name, column in (("difference", "mean"), ("low", "low"), ("p", "p"), ("effect", "effect")):
            np.testing.assert_array_equal(getattr(found, name)[1:, k], getattr(expected, column)[1:])
    np.testing.assert_array_equal(found.p_holm, holm(found.p))
    assert np.isnan(found.difference[0]).all()
    ups = (found.value > found.value[0]).sum(-1)
    np.testing.assert_array_equal(found.wins[1:, 3], ups[1:, 3])
    np.testing.assert_array_equal(found.wins[1:, 5], (found.value < found.value[0]).sum(-1)[1:, 5])


def test_a_run_is_that_of_the_trainer_and_its_numbers_those_of_probes(whole):
    data = subset(96, seed=2)(digits())
    with seeded(2, "init"):
        model = checkpoint.build(Spec("mlp", {"width": 8}), data)
    expected = train(data, model, Settings(epochs=2, batch_size=32, seed=2), method="sam:rho=0.1", device="cpu")
    found = checkpoint.read(f"{whole}.runs/sam-rho=0.1/seed-02.pt")
    assert all(torch.equal(found.state[name], tensor) for name, tensor in expected.checkpoint.state.items())
    assert found.data == Spec("digits", {}, ("subset=96:seed=2",))
    study, eigen = load(whole), load(f"{whole}.runs/sam-rho=0.1/seed-02.eigen.h5")
    values = dict(zip(study.measure.tolist(), study.value[1, :, 2], strict=True))
    errors = dict(zip(study.measure.tolist(), study.value_error[1, :, 2], strict=True))
    assert (values["eigen.lambda_max"], errors["eigen.lambda_max"]) == (eigen.value[0], eigen.residual[0])
    assert eigen.origin["splits"]["train"]["fingerprint"] == read(data.split("train")).fingerprint()
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert values[name] == pytest.approx(expected.final[name], rel=1e-5)
    accuracy = values["test_accuracy"]
    assert errors["test_accuracy"] == pytest.approx(np.sqrt(accuracy * (1 - accuracy) / (len(data.test[1]) - 1)))


def test_what_was_spent_is_told(whole):
    found = load(whole)
    assert found.gradient_evaluations.tolist() == [[6.0] * 3, [12.0] * 3, [12.0] * 3]
    assert found.spent()[1] == "sam:rho=0.1: 2 epochs, 12 gradient evaluations a run"


def test_gradients_are_matched(small):
    found = small(methods=["sam", "plain"], match="gradients", probes=(), seeds=2)
    assert found.epochs.tolist() == [1, 2]
    assert found.gradient_evaluations.tolist() == [[6.0, 6.0], [6.0, 6.0]]
    with pytest.raises(ValueError, match=r"at least one epoch for sam:m=1.*raise --epochs"):
        small(methods=["plain", Method("sam:m=1", evaluations=6)], match="gradients")


def test_rows_say_ratios_and_verdicts(whole):
    found = load(whole)
    row = next(r for r in found.table() if r["measure"] == "eigen.lambda_max" and r["method"] == "sam+swa")
    ratio = found.value[2, 5] / found.value[0, 5]
    assert row["change"] == pytest.approx(ratio.prod() ** (1 / 3))
    assert row["change_low"] < row["change"] < row["change_high"]
    assert json.dumps(row)
    sure = replace(found, p_holm=np.where(found.difference < 0, 0.01, 0.05))
    assert set(sure.verdict[1:].ravel()) == {"lower", "higher"}
    assert set(replace(found, p_holm=0.051 + 0 * found.p).verdict[1:].ravel()) == {"undecided"}
    assert set(found.verdict[0]) == {""}


def test_functions_of_python_measure_too(small):
    def norm(found):
        objective = found.objective("test")
        assert objective.splits == ("test",)
        assert objective.size == len(found.data.test[1])
        kept = {"kept": (len(found.kept), 0.0)}
        return {"norm": (objective.theta.norm().item(), 0.0), f"only.{found.method}": (found.seed, np.nan)} | kept

    found = small(measures=[norm], probes=(), seeds=[4, 7], scales={"norm": "linear"}, better={"norm": "lower"})
    k = found.measure.tolist().index("norm")
    assert (found.scale[k], found.better[k]) == ("linear", "lower")
    assert (found.value_error[:, k] == 0).all()
    own = found.measure.tolist().index("only.sam+swa")
    np.testing.assert_array_equal(found.value[:, own], [[np.nan, np.nan], [np.nan, np.nan], [4, 7]])
    assert found.value[:, found.measure.tolist().index("kept"), 0].tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="new name for each measure, got 'test_loss' twice"):
        small(measures=[lambda found: {"test_loss": (1.0, 0.0)}], probes=())


def test_probes_that_round_begin_at_the_weights_before_rounding(small):
    def both(found):
        before = found.before_rounding()
        assert before.checkpoint.quantization is None
        assert before.before_rounding() is before
        return {name: (float(run.objective().value(run.objective().theta)), 0.0)
                for name, run in (("rounded", found), ("latent", before))}  # fmt: skip

    probes = ("bits:bits=8,2,curvature=false,layers=false,draws=2,points=3,ascent=1",)
    found = small(methods=("ste:bits=2", "plain"), seeds=2, measures=[both], probes=probes)
    value = dict(zip(found.measure.tolist(), np.moveaxis(found.value, 1, 0), strict=True))
    trained, plain = value["rounded"]
    np.testing.assert_array_equal(value["latent"][1], plain)
    assert (np.abs(value["latent"][0] - trained) > 1e-3).all()
    extra, loss = (value[f"bits.bits_8_train_{name}"][0] for name in ("extra_loss", "loss"))
    np.testing.assert_allclose(loss - extra, value["latent"][0], rtol=1e-6)


def test_a_family_is_what_is_corrected(small, whole, tmp_path):
    path = copied(whole, tmp_path)
    path.unlink()
    found = small(path, family=("*lambda_max", "test_accuracy"))
    assert found.measure.tolist() == ["test_accuracy", "eigen.lambda_max"]
    assert np.isfinite(found.p_holm).sum() == 4
    np.testing.assert_array_equal(found.value[:, 1], load(whole).value[:, 5])
    path.unlink()
    with pytest.raises(ValueError, match=r"family of measures among train_loss.*got 'lambda'"):
        small(path, family=("lambda",))


def test_data_and_networks_may_be_functions(small):
    seen = []

    def data(seed):
        seen.append(seed)
        return subset(64, seed=seed)(digits())

    def model(data):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, len(data.classes)))

    found = small(data=data, model=model, methods=["plain", "swa"], seeds=[1, 2], probes=())
    assert seen == [1, 2]
    assert np.isfinite(found.value).all()
    with pytest.raises(ValueError, match="function of the data, got Linear: every seed has its own"):
        small(model=nn.Linear(64, 10))
    with pytest.raises(ValueError, match="data as a Dataset, a name"):
        small(data=3)


def test_runs_begin_at_the_checkpoint_of_their_seed(small, whole, tmp_path):
    init = f"{whole}.runs/plain/seed-{{seed:02d}}.pt"
    small(tmp_path / "s.h5", init=init, methods=["plain"], settings=Settings(epochs=0, batch_size=32), probes=())
    for seed in range(3):
        a = checkpoint.read(f"{whole}.runs/plain/seed-{seed:02d}.pt")
        b = checkpoint.read(tmp_path / "s.h5.runs" / "plain" / f"seed-{seed:02d}.pt")
        assert b.training["init"] == a.sha256
        assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)


def test_runs_of_another_beginning_are_refused(small, whole, tmp_path):
    shutil.copytree(f"{whole}.runs/plain", tmp_path / "init")
    init = f"{tmp_path}/init/seed-{{seed:02d}}.pt"
    given = {"init": init, "methods": ["plain"], "settings": Settings(epochs=0), "probes": ()}
    small(tmp_path / "s.h5", **given)
    (tmp_path / "s.h5").unlink()
    shutil.copy(tmp_path / "init" / "seed-01.pt", tmp_path / "init" / "seed-02.pt")
    with pytest.raises(ValueError, match=r"seed-02.pt: expected this very run.*init: "):
        small(tmp_path / "s.h5", **given)
    small(tmp_path / "s.h5", **given, force=True)
    one, two = (checkpoint.read(tmp_path / "s.h5.runs" / "plain" / f"seed-0{k}.pt").state for k in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_a_method_does_not_measure_is_not_missing(small):
    found = small(measures=[lambda found: {"own": (found.seed, 0.0)} if found.method == "plain" else {}], probes=())
    assert found.pairs[1:, -1].tolist() == [0, 0]
    assert found.warnings() == []
    assert found.remarks()[-1] == "own, sam+swa: 0 of 0: undecided"


# how it stops and goes on


def test_a_study_that_is_there_is_not_made_again(small, whole, monkeypatch):
    monkeypatch.setattr(running.Plan, "run", None)
    before = whole.stat().st_mtime_ns
    assert small(whole).value.shape == (3, 6, 3)
    assert whole.stat().st_mtime_ns == before


@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("victim", [("plain", 0), ("sam+swa", 1)])
def test_killed_in_training_it_ends_bit_for_bit_the_same(small, whole, tmp_path, monkeypatch, step, victim):
    from landscape.train import run as trainer

    original = trainer.train

    def train(data, model, settings, *, method, observers, **knobs):
        def kill(run):
            if (method.name, settings.seed) == victim and run.clock.step == step:
                raise Killed

        return original(data, model, settings, method=method, observers=(*observers, kill), **knobs)

    monkeypatch.setattr(trainer, "train", train)
    with pytest.raises(Killed):
        small(tmp_path / "s.h5")
    monkeypatch.undo()
    assert not (tmp_path / "s.h5").exists()
    small(tmp_path / "s.h5")
    assert same(tmp_path / "s.h5", whole)


def test_killed_between_training_and_record_it_ends_bit_for_bit_the_same(small, whole, tmp_path, monkeypatch):
    count = iter(range(99))

    def killed(*given):
        if next(count) == 4:
            raise Killed
        return original(*given)

    original = running.Plan._probed
    monkeypatch.setattr(running.Plan, "_probed", killed)
    with pytest.raises(Killed):
        small(tmp_path / "s.h5")
    monkeypatch.undo()
    small(tmp_path / "s.h5")
    assert same(tmp_path / "s.h5", whole)


def test_ctrl_c_says_how_to_go_on(small, whole, tmp_path):
    def press(done, total, label=""):
        if label.startswith("sam:rho=0.1, seed 1: epoch 2/2"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"4 of 9 runs are done and kept in .*s.h5.runs: run the same command"):
        small(tmp_path / "s.h5", progress=press)
    told = []
    small(tmp_path / "s.h5", progress=lambda done, total, label="": told.append((done, total, label)))
    assert same(tmp_path / "s.h5", whole)
    assert told[0][2].startswith("sam:rho=0.1, seed 1: epoch 2/2")
    assert told[0][0] >= 30 + 6 + 6
    assert {total for _, total, _ in told} == {90}
    with pytest.raises(KeyboardInterrupt, match="nothing is kept of a study without an output"):
        small(progress=press)


def test_another_study_is_refused_by_name_unless_forced(small, whole, tmp_path):
    path = copied(whole, tmp_path)
    other = {"settings": Settings(epochs=2, batch_size=32, lr=0.05), "seeds": 2, "probes": ()}
    with pytest.raises(ValueError, match=r"s.h5: expected to write here.*lr: 0.1 there, 0.05 here.*--force"):
        small(path, **other)
    path.unlink()
    with pytest.raises(ValueError, match=r"s.h5.runs: expected the runs of this very study.*lr: 0.1 there, 0.05 here"):
        small(path, **other)
    found = small(path, **other, force=True)
    assert found.value.shape == (3, 4, 2)
    assert not (tmp_path / "s.h5.runs" / "plain" / "seed-02.pt").exists()


CODE = """
from torch import nn

def net():
    parts = nn.Linear(64, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(0.2), nn.Linear(WIDTH, 10)
    return nn.Sequential(nn.Flatten(), *parts)

def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


def test_code_that_has_changed_makes_another_study(small, tmp_path):
    file, path = tmp_path / "own.py", tmp_path / "s.h5"
    given = {"model": f"{file}:net", "loss": f"{file}:loss", "probes": (), "seeds": 2, "methods": ["plain", "swa"]}
    file.write_text(CODE.replace("WIDTH", "4"))
    made = small(path, **given)
    np.testing.assert_array_equal(small(path, **given).value, made.value)
    file.write_text(CODE.replace("WIDTH", "16"))
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"another (study|one) \(code: {{'{file}': .* there"):
            small(path, **given)
        path.unlink(missing_ok=True)
    assert not np.array_equal(small(path, **given, force=True).value, made.value)


def scaled(found, factor):
    return {"scaled": (factor * found.checkpoint.training["gradient_evaluations"], 0.0)}


def test_what_a_function_holds_is_part_of_its_name(small, tmp_path):
    given = {"probes": (), "seeds": 2, "methods": ["plain", "swa"], "family": ["scaled"]}
    first = small(tmp_path / "s.h5", **given, measures=[partial(scaled, factor=1.0)])
    (tmp_path / "s.h5").unlink()
    np.testing.assert_array_equal(
        small(tmp_path / "s.h5", **given, measures=[partial(scaled, factor=3.0)]).value, 3 * first.value
    )


def test_what_fails_before_the_first_run_is_in_the_way_of_nothing(small, whole, tmp_path):
    path = tmp_path / "s.h5"
    with pytest.raises(OSError, match="no such file"):
        small(path, init=str(tmp_path / "nothing.pt"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "s.h5.runs" / "plain").mkdir(parents=True)
    (tmp_path / "s.h5.runs" / "manifest.json").write_text('{"lr": 3}')  # of one that was killed before its first run
    small(path)
    assert same(path, whole)


def test_a_probe_that_was_begun_with_other_knobs_is_begun_anew(small, tmp_path):
    path, begun = tmp_path / "s.h5", tmp_path / "s.h5.runs" / "plain" / "seed-01.line.h5"
    small(path, probes=(), seeds=2, methods=["plain", "swa"])
    Parts(begun, {"probe": "line:points=3"}, dict)
    found = small(path, probes=["line:points=5"], seeds=2, methods=["plain", "swa"])
    assert "line.train_rise" in found.measure
    assert not Path(f"{begun}.parts").exists()


def test_other_epochs_of_one_method_are_refused_by_name(small, whole, tmp_path):
    path = copied(whole, tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"seed-00.json: expected this very run.*epochs: 2 there, 1 here"):
        small(path, match="gradients")
    found = small(path, match="gradients", force=True)
    assert found.epochs.tolist() == [2, 1, 1]


def test_a_study_grows_by_methods_seeds_and_probes(small, whole, tmp_path, monkeypatch):
    small(tmp_path / "s.h5", methods=["plain", "sam:rho=0.1"], seeds=2, probes=())
    trained = []
    original = running.Plan._trained

    def watched(plan, runs, method, settings, *rest):
        trained.append((method.name, settings.seed, runs.path(method.name, settings.seed, ".pt").is_file()))
        return original(plan, runs, method, settings, *rest)

    monkeypatch.setattr(running.Plan, "_trained", watched)
    small(tmp_path / "s.h5")
    assert same(tmp_path / "s.h5", whole)
    assert [run[:2] for run in trained if run[2]] == [(m, s) for s in (0, 1) for m in ("plain", "sam:rho=0.1")]
    with pytest.raises(ValueError, match="got a result of another study .*seeds"):
        small(tmp_path / "s.h5", seeds=2)


def test_a_run_that_diverges_is_left_out_and_named(small, tmp_path):
    def broken(objective):
        def nan(model, batch, clock):
            return objective(model, batch, clock) * (torch.nan if len(seen) == 1 and clock.step == 3 else 1)

        seen.append(nan)
        return nan

    seen = []
    given = {"methods": ["plain", Method("broken", objectives=[broken])], "probes": ()}
    found = small(tmp_path / "s.h5", **given)
    assert np.isnan(found.value[1, :, 0]).all()
    assert np.isnan(found.gradient_evaluations[1, 0])
    assert found.pairs[1].tolist() == [2] * 4
    expected = paired(found.value[:, 0, 1:])
    assert found.difference[1, 0] == expected.mean[1]
    words = found.warnings()
    assert words[0].startswith("diverged: broken, seed 0: Expected a finite loss, got a loss of nan at step 4 of 6")
    assert words[1] == "broken: as few as 2 of 3 pairs; the others are left out"
    (tmp_path / "s.h5").unlink()
    assert small(tmp_path / "s.h5", **given).warnings() == words  # and it is not trained again
    assert len(seen) == 3


def test_equal_differences_are_said_to_have_no_test(small):
    found = small(measures=[lambda found: {"epochs": (found.checkpoint.training["epochs"], 0.0)}], probes=())
    assert "epochs, sam+swa: all differences are equal, so there is no t-test" in found.warnings()
    assert np.isnan(found.p_holm[1:, -1]).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"seeds": 1}, "at least 2 different seeds"),
        ({"seeds": [3, 3]}, "at least 2 different seeds"),
        ({"methods": ["plain", "plain"]}, "different names, got 'plain'"),
        ({"methods": ["plain", "sam", "sam:rho=0.05"]}, "'sam:rho=0.05', which is 'sam'"),
        ({"methods": []}, "the first being the baseline, got none"),
        ({"methods": ["plain", Method()]}, "different names, got ''"),
        ({"split": "validation"}, "train, test, both, got 'validation'"),
        ({"examples": 0}, "at least 1 example, got 0"),
        ({"level": 2}, "level between 0 and 1, got 2"),
        ({"loss": "cross_entropi"}, "did you mean 'cross_entropy'"),
        ({"match": "time"}, "epochs, gradients, got 'time'"),
        ({"probes": ["eigen", "eigen"]}, "each probe once, got 'eigen'"),
        ({"scales": {"loss": "log"}, "probes": ()}, r"scales of measures among train_loss.*got 'loss'"),
    ],
)
def test_what_does_not_fit_is_said(small, changes, match):
    with pytest.raises(ValueError, match=match):
        small(**changes)


def test_damaged_records_are_one_clear_error(small, whole, tmp_path):
    path = copied(whole, tmp_path)
    path.unlink()
    (tmp_path / "s.h5.runs" / "plain" / "seed-01.json").write_text("{")
    with pytest.raises(OSError, match="seed-01.json: expected what a study wrote, got a damaged file: remove it"):
        small(path)
    record = json.loads((tmp_path / "s.h5.runs" / "plain" / "seed-00.json").read_text())
    del record["values"]
    (tmp_path / "s.h5.runs" / "plain" / "seed-00.json").write_text(json.dumps(record))
    with pytest.raises(OSError, match="seed-00.json: expected a whole record, got one without values: remove it"):
        small(path)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_runs_that_nobody_owns_are_not_taken(small, whole, tmp_path, text):
    path, manifest = copied(whole, tmp_path), tmp_path / "s.h5.runs" / "manifest.json"
    path.unlink()
    manifest.unlink()
    if text is not None:
        manifest.write_text(text)
    with pytest.raises(OSError, match="manifest.json: expected what .* remove the folder"):
        small(path, settings=Settings(epochs=2, batch_size=32, lr=0.5))
    assert not path.exists()
