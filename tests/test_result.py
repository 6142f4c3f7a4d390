"""Results: they check themselves, survive the disk bit for bit, and distrust files."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import h5py
import numpy as np
import pytest

from landscape.result import FORMAT, Result, load, quantity, replaced


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Result):
    split: np.ndarray = quantity("part of the data", "split")
    t: np.ndarray = quantity("position", "t", unit="s")
    class_: np.ndarray | None = quantity("class", "class", name="class", optional=True)
    loss: np.ndarray = quantity("mean loss", "split", "t", unit="nat")
    class_loss: np.ndarray | None = quantity("loss of a class", "split", "class", "t", unit="nat", optional=True)
    vector: np.ndarray | None = quantity("direction", "parameter", optional=True)
    angle: np.ndarray | None = quantity("cosine", optional=True)


LOSS = np.array([[1.0, np.nan, np.inf], [-0.0, 1e-300, 2.5]])


def sample(**arrays):
    known = {
        "split": ["train", "test"],
        "t": np.linspace(0, 1, 3),
        "loss": LOSS,
        "class_": ["Katze", "犬"],
        "class_loss": np.arange(12.0).reshape(2, 2, 3),
        "vector": np.arange(4, dtype="f4"),
        "angle": 0.5,
        "origin": {"command": "made", "seeds": [1, 2], "wide": "x" * 100_000},
    }
    return Sample(**{**known, **arrays})


class TestChecks:
    def test_arrays_are_copied_and_frozen(self):
        loss = LOSS.copy()
        found = sample(loss=loss)
        loss[0, 0] = 7
        assert found.loss[0, 0] == 1
        with pytest.raises(ValueError, match="read-only"):
            found.loss[0, 0] = 7

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"loss": LOSS[:, :2]}, r"Sample: expected length 3 on axis 't' of `loss` \(as in `t`\), got 2"),
            ({"loss": LOSS[0]}, r"expected `loss` with axes \('split', 't'\), got shape \(3,\)"),
            ({"loss": None}, r"expected an array for `loss` \(mean loss\), got nothing"),
            ({"class_": ["a"]}, "expected length 1 on axis 'class' of `class_loss`"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, arrays, message):
        with pytest.raises(ValueError, match=message):
            sample(**arrays)

    def test_the_summary_shows_what_is_there(self):
        lines = str(sample(class_=None, class_loss=None)).splitlines()
        assert lines[0] == "Sample"
        assert lines[3].split() == ["loss", "(split:", "2,", "t:", "3)", "mean", "loss", "[nat]"]
        assert not any("class" in line for line in lines)


class TestFile:
    def test_round_trip(self, tmp_path):
        one = sample()
        one.save(tmp_path / "new" / "r.h5")
        two = load(tmp_path / "new" / "r.h5")
        assert type(two) is Sample
        assert two.origin == one.origin
        for name in one.declared():
            a, b = getattr(one, name), getattr(two, name)
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes()
        sample(class_=None, class_loss=None).save(tmp_path / "r.h5")
        assert load(tmp_path / "r.h5").class_ is None

    def test_equal_results_are_equal_files(self, tmp_path):
        for name in ("a", "b"):
            sample().save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_xarray_opens_it_labelled(self, tmp_path):
        xarray = pytest.importorskip("xarray", reason="needs xarray")
        pytest.importorskip("h5netcdf", reason="needs h5netcdf")
        sample().save(tmp_path / "r.h5")
        with xarray.open_dataset(tmp_path / "r.h5", engine="h5netcdf") as found:
            assert found.loss.dims == ("split", "t")
            assert found.class_loss.dims == ("split", "class", "t")
            assert found.loss.attrs["units"] == "nat"
            assert found.loss.attrs["long_name"] == "mean loss"
            assert float(found.loss.sel(split="test", t=1.0)) == 2.5
            assert list(found["class"].values) == ["Katze", "犬"]
            assert found.vector.dims == ("parameter",)
            assert "parameter" not in found.variables
            np.testing.assert_array_equal(found.loss.values, LOSS)
        labelled = sample().to_xarray()
        assert labelled.class_loss.sel(split="test", t=0.5).dims == ("class",)
        assert json.loads(labelled.attrs["origin"])["command"] == "made"

    def test_a_probes_result_is_found_by_its_kind(self, tmp_path):
        code = (
            "from landscape.probes.line import Line; import numpy as np;"
            "Line(split=['train'], a=[0., 1.], loss=np.ones((1, 2)), loss_error=np.ones((1, 2)), axis=['x'], norm=[1.])"
            f".save({str(tmp_path / 'line.h5')!r})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        read = f"from landscape.result import load; print(type(load({str(tmp_path / 'line.h5')!r})).__name__)"
        done = subprocess.run([sys.executable, "-c", read], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "Line"


class TestSaving:
    def test_a_failing_save_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "r.h5"
        sample().save(path)
        before = path.read_bytes()

        @dataclass(frozen=True, eq=False, repr=False)
        class Broken(Result):
            t: np.ndarray = quantity("things that HDF5 cannot hold", "t")

        with pytest.raises(TypeError):
            Broken(t=np.array([object()])).save(path)
        with pytest.raises(TypeError):
            sample(origin={"not": {1, 2}}).save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["r.h5"]

    def test_a_full_disk_is_an_error_with_the_path(self, tmp_path):
        path = tmp_path / "r.h5"
        code = f"""
import resource, numpy as np
from dataclasses import dataclass
from landscape.result import Result, quantity
@dataclass(frozen=True, eq=False, repr=False)
class Sample(Result):
    t: np.ndarray = quantity("position", "t")
Sample(t=np.zeros(10)).save({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))  # no file may grow further: as on a full disk
try:
    Sample(t=np.zeros(100000)).save({str(path)!r})
except OSError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert done.stdout.startswith(f"{path}: expected to write here, got ")
        assert os.listdir(tmp_path) == ["r.h5"]
        with h5py.File(path) as file:
            assert file["t"].shape == (10,)

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_replaced_cleans_up(self, tmp_path, error):
        path = tmp_path / "file"
        path.write_text("old")
        with pytest.raises(error):  # noqa: PT012
            with replaced(path) as part:
                with open(part, "w") as file:
                    file.write("new")
                raise error
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["file"]

    def test_replaced_replaces_with_ordinary_permissions(self, tmp_path):
        with replaced(tmp_path / "deep" / "file") as part, open(part, "w") as file:
            file.write("new")
        (tmp_path / "plain").touch()
        assert (tmp_path / "deep" / "file").read_text() == "new"
        assert (tmp_path / "deep" / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_places_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match=r"r.h5: expected to write here, got "):
            sample().save(tmp_path / "file" / "r.h5")
        with pytest.raises(OSError, match=r"expected to write here, got Is a directory"):
            sample().save(tmp_path)


def edited(path, edit):
    sample().save(path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def replace_with(name, value):
    def edit(file):
        del file[name]
        file[name] = value

    return edit


def external_storage(file):
    del file["vector"]
    file.create_dataset("vector", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file):
    del file["vector"]
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
    file.create_virtual_dataset("vector", layout)


def huge(file):
    del file["vector"]
    file.create_dataset("vector", (2**40,), "f4", chunks=(1024,))


def bomb(file):
    del file["vector"]
    file.create_dataset("vector", (2**20,), "f4", chunks=(2**20,), compression="gzip")  # claims, holds nothing


def one_huge_chunk(file):
    del file["vector"]  # four numbers, in a chunk of eight megabytes that is unpacked whole; it may be gigabytes
    file.create_dataset("vector", (4,), "f8", maxshape=(None,), chunks=(2**20,), compression="gzip")[0] = 1.0


def texts_in_a_huge_chunk(file):
    del file["class"]
    packed = {"maxshape": (None,), "chunks": (2**18,), "compression": "gzip"}
    file.create_dataset("class", (1,), h5py.string_dtype(), **packed)[0] = "y"


def wide_texts(file):
    del file["class"]  # unpacked once for each of them, that were hours
    file.create_dataset("class", (2**10,), "S9999", chunks=(2**10,), compression="gzip")[:] = b"y"


def odd_floats(file):
    del file["vector"]
    kind = h5py.h5t.IEEE_F64LE.copy()
    kind.set_ebias(1 << 20)
    h5py.h5d.create(file.id, b"vector", kind, h5py.h5s.create_simple((4,)))


def texts_of_no_code(file):
    del file["class"]
    file.create_dataset("class", data=np.array([b"\xff\xfe"], "S2"), dtype=h5py.string_dtype("ascii", 2))


def references(file):
    del file["vector"]
    file.create_dataset("vector", data=np.array([file["t"].ref] * 4, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


def group(file):
    del file["vector"]
    file.create_group("vector")


def one_long_text(file):
    del file["class"]
    texts = np.array(["x" * 2**20] + ["y"] * 999, dtype=object)  # a megabyte here, four gigabytes as an array
    file.create_dataset("class", data=texts, dtype=h5py.string_dtype())


def many_texts(file):
    del file["class"]
    file.create_dataset("class", (2**20,), dtype=h5py.string_dtype(), chunks=(2**10,), compression="gzip")[:] = "y"


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


class TestDistrust:
    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (replace_with("vector", h5py.SoftLink("/t")), "`vector`: expected data inside the file, got a link"),
            (replace_with("vector", h5py.ExternalLink("/etc/x.h5", "/t")), "`vector`: expected data inside .* a link"),
            (replace_with("loss", h5py.ExternalLink("/etc/x.h5", "/t")), "`loss`: expected data inside .* a link"),
            (external_storage, "got a group, nothing, or outside storage"),
            (virtual, "got a group, nothing, or outside storage"),
            (group, "got a group, nothing, or outside storage"),
            (replace_with("angle", h5py.Empty("f8")), "got a group, nothing, or outside storage"),
            (huge, "expected no more than is stored, got a claim of 4398046511104 bytes for 0 stored"),
            (bomb, "expected no more than is stored"),
            (one_huge_chunk, "expected chunks no larger than the data"),
            (texts_in_a_huge_chunk, "expected chunks no larger than the data"),
            (wide_texts, "expected a whole Sample"),
            (references, "expected numbers or text"),
            (odd_floats, "expected a whole result"),
            (texts_of_no_code, "expected"),
            (replace_with("vector", np.zeros(4, [("a", "f4")])), "expected numbers or text"),
            (lambda file: file.__delitem__("loss"), "`loss`: expected a dataset of this name, got none"),
            (
                replace_with("loss", np.zeros((2, 4))),
                "expected a whole Sample, got a damaged one .*length 3 on axis 't'",
            ),
            (attribute("origin", "{not json"), "expected a whole Sample"),
            (attribute("origin", "[]"), "expected a whole Sample, .* an origin of names and values, got list"),
            (attribute("origin", "[" * 60_000), "expected a whole Sample"),
            (one_long_text, "expected names, got texts of more than"),
            (many_texts, "expected names, got texts of more than"),
            (attribute("kind", "Other"), "expected a result of landscape, got an HDF5 file of kind 'Other'"),
            (attribute("kind", [1, 2]), "expected one text or number as 'kind', got an array"),
            (attribute("kind", np.array(["a", "b"], object)), "expected one text or number as 'kind', got an array"),
            (attribute("origin", h5py.Empty("f8")), "expected one text or number as 'origin'"),
            (attribute("format", 0.5), "expected one text or number as 'format', got float64"),
            (attribute("format", -1), "expected format"),
            (attribute("kind", "os"), "expected a result of landscape"),
            (attribute("format", FORMAT + 1), f"expected format {FORMAT} or older, got {FORMAT + 1}: update"),
            (attribute("format", "one"), "expected format"),
        ],
    )
    def test_unsafe_or_damaged_contents(self, tmp_path, edit, message):
        path = edited(tmp_path / "r.h5", edit)
        with pytest.raises(ValueError, match=f"r.h5.*{message}"):
            load(path)

    def test_files_of_other_kinds(self, tmp_path):
        path = tmp_path / "r.h5"
        with pytest.raises(OSError, match=r"r.h5: expected an HDF5 file, got no such file"):
            load(path)
        path.write_bytes(b"not HDF5 at all")
        with pytest.raises(OSError, match=r"r.h5: expected an HDF5 file, got one that cannot be opened"):
            load(path)
        with h5py.File(path, "w") as file:
            file["x"] = 1
        with pytest.raises(ValueError, match="expected a result of landscape, got an HDF5 file of kind 'None'"):
            load(path)

    def test_a_heap_without_end_is_not_searched(self, tmp_path):
        path = tmp_path / "r.h5"
        sample().save(path)
        data = bytearray(path.read_bytes())
        here = data.index(b"GCOL") + 16
        while data[here] or data[here + 1]:
            here += 16 + -(-int.from_bytes(data[here + 8 : here + 16], "little") // 8) * 8
        data[here + 8 : here + 16] = bytes(8)  # the room that is left, of no size: HDF5 would never pass it
        path.write_bytes(data)
        with pytest.raises(OSError, match=r"r.h5: expected an HDF5 file, .* object of 0 bytes"):
            load(path)

    def test_truncated_files(self, tmp_path):
        path = tmp_path / "r.h5"
        sample().save(path)
        content = path.read_bytes()
        for keep in np.linspace(0, len(content) - 1, 12).astype(int):
            path.write_bytes(content[:keep])
            with pytest.raises((OSError, ValueError), match="r.h5"):
                load(path)


def test_kinds_register_themselves():
    assert Result.kinds["Sample"] is Sample


def test_a_file_that_another_program_holds_open_is_said_to_be(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w"), pytest.raises(BlockingIOError, match="a program holds open: close it"):
        subprocess_load(tmp_path / "x.h5")


def subprocess_load(path):
    """Load in a process of its own: within one, HDF5 shares what is open."""
    code = "import sys; from landscape import load\ntry: load(sys.argv[1])\nexcept BlockingIOError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    if done.stdout:
        raise BlockingIOError(done.stdout)
