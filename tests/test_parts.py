"""Part files: what is done stays, and only parts of the very same work are used."""

import os
import subprocess
import sys

import numpy as np
import pytest

from landscape import result
from landscape.parts import Parts

IDENTITY = {"seed": 1, "span": float("nan"), "list": (1, 2)}


def never():
    pytest.fail("the plan is asked for once only")


def test_a_resumed_run_finds_its_parts_and_its_plan(tmp_path):
    out = tmp_path / "r.h5"
    first = Parts(out, IDENTITY, lambda: {"points": 4})
    arrays = {"loss": np.array([1.0, np.nan, -0.0]), "start": np.array([3])}
    first.write(7, arrays)
    first.write(0, {"loss": np.zeros(2)})
    again = Parts(out, IDENTITY, never)
    assert again.plan == first.plan == {"points": 4}
    assert again.done() == {0, 7}
    found = again.read(7)
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in arrays.items()}
    again.remove()
    assert os.listdir(tmp_path) == []


def test_parts_of_other_work_are_not_mixed_in(tmp_path):
    Parts(tmp_path / "r.h5", IDENTITY, dict).write(0, {"loss": np.zeros(2)})
    with pytest.raises(
        ValueError, match=r"parts of this very run.*\(extra: null there|\(extra: .*seed: 1 there, 2 here\)"
    ):
        Parts(tmp_path / "r.h5", IDENTITY | {"seed": 2, "extra": [1]}, dict)
    assert Parts(tmp_path / "r.h5", IDENTITY, never).done() == {0}


def test_parts_without_a_manifest_are_of_unknown_work(tmp_path):
    """As a kill leaves them that comes while the folder of a finished result is removed."""
    parts = Parts(tmp_path / "r.h5", IDENTITY, dict)
    parts.write(0, {"loss": np.zeros(2)})
    (parts.folder / "manifest.json").unlink()
    assert Parts(tmp_path / "r.h5", IDENTITY | {"seed": 2}, dict).done() == set()


def test_two_processes_do_not_mix_their_plans(tmp_path):
    second = []

    def slow():
        second.append(Parts(tmp_path / "r.h5", IDENTITY, lambda: {"points": 4}))
        return {"points": 1}

    first = Parts(tmp_path / "r.h5", IDENTITY, slow)
    assert first.plan == second[0].plan == {"points": 4}
    first.remove()
    Parts(tmp_path / "r.h5", IDENTITY, lambda: {"points": 1})
    with pytest.raises(OSError, match=r"r.h5.parts: expected one process at this result, got another one"):
        second[0].write(0, {"loss": np.zeros(4)})


def test_leftovers_of_a_kill_are_swept(tmp_path):
    Parts(tmp_path / "r.h5", IDENTITY, dict)
    (tmp_path / "r.h5.parts" / ".part-000003.npz.abc.tmp").write_bytes(b"half")
    (tmp_path / "r.h5.parts" / "notes.txt").touch()
    assert Parts(tmp_path / "r.h5", IDENTITY, never).done() == set()
    assert sorted(os.listdir(tmp_path / "r.h5.parts")) == ["manifest.json", "notes.txt"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 and then nothing", None])
def test_a_damaged_part_is_an_error_that_names_it(tmp_path, content):
    parts = Parts(tmp_path / "r.h5", IDENTITY, dict)
    parts.write(0, {"loss": np.arange(100.0)})
    path = tmp_path / "r.h5.parts" / "part-000000.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:300] + b"\xff" * 4 + whole[304:] if content is None else content)
    with pytest.raises(OSError, match=r"part-000000.npz: expected a part file, got a damaged one: remove it"):
        parts.read(0)


def test_a_part_with_an_array_of_another_file_is_damaged(tmp_path):
    parts = Parts(tmp_path / "r.h5", IDENTITY, dict)
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "x.npy").rename(tmp_path / "r.h5.parts" / "part-000000.npz")
    with pytest.raises(OSError, match="damaged"):
        parts.read(0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {}}'])
def test_a_damaged_manifest_is_an_error_that_names_it(tmp_path, content):
    Parts(tmp_path / "r.h5", IDENTITY, dict)
    (tmp_path / "r.h5.parts" / "manifest.json").write_text(content)
    with pytest.raises(
        OSError, match=r"manifest.json: expected a manifest of parts, got a damaged one: remove the folder"
    ):
        Parts(tmp_path / "r.h5", IDENTITY, dict)


def test_a_full_disk_fails_the_part_and_keeps_what_was_done(tmp_path, monkeypatch):
    parts = Parts(tmp_path / "r.h5", IDENTITY, dict)
    parts.write(0, {"loss": np.zeros(2)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result.os, "fsync", full)
    with pytest.raises(OSError, match=r"part-000001.npz: expected to write here, got No space left on device"):
        parts.write(1, {"loss": np.zeros(2)})
    monkeypatch.undo()
    assert sorted(os.listdir(parts.folder)) == ["manifest.json", "part-000000.npz"]
    assert Parts(tmp_path / "r.h5", IDENTITY, never).done() == {0}
    parts.write(1, {"loss": np.zeros(2)})
    assert parts.done() == {0, 1}


def test_a_file_that_may_not_grow_fails_the_part(tmp_path):
    code = f"""
import resource, numpy as np
from landscape.parts import Parts
parts = Parts({str(tmp_path / "r.h5")!r}, {{}}, dict)
parts.write(0, {{"loss": np.zeros(2)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    parts.write(1, {{"loss": np.zeros(100000)}})
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "part-000001.npz: expected to write here, got " in done.stdout
    assert sorted(os.listdir(tmp_path / "r.h5.parts")) == ["manifest.json", "part-000000.npz"]


def test_folders_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"manifest.json: expected to write here"):
        Parts(tmp_path / "file" / "r.h5", IDENTITY, dict)
