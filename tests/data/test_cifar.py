import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from landscape.data.cifar10 import LAYOUT as TEN
from landscape.data.cifar10 import cifar10
from landscape.data.cifar100 import CLASSES, cifar100
from landscape.data.cifar100 import LAYOUT as HUNDRED

LOADERS = {TEN.name: (TEN, cifar10), HUNDRED.name: (HUNDRED, cifar100)}
PER_BATCH = 4


def batches(layout, seed=0):
    """Make random images and labels, per split and batch name."""
    random = np.random.default_rng(seed)
    return {
        split: {
            name: (
                random.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8),
                random.integers(0, len(layout.classes), PER_BATCH).tolist(),
            )
            for name in names
        }
        for split, names in layout.batches.items()
    }


def pickled(layout, pixels, labels, protocol=2, kind=bytes):
    """Write a batch as Python 2 did (keys of bytes) or as Python 3 does (keys of text)."""
    key = (lambda text: text.encode()) if kind is bytes else str
    batch = {key("data"): pixels, key(layout.label_key): labels, key("batch_label"): key("a batch")}
    return pickle.dumps(batch, protocol=protocol)


def binary(layout, pixels, labels):
    front = np.full((len(labels), layout.label_bytes), 7, np.uint8)
    front[:, -1] = labels
    return np.concatenate([front, pixels], axis=1).tobytes()


def contents(layout, form, made):
    if form == "python":
        return {name: pickled(layout, *batch) for split in made.values() for name, batch in split.items()}
    return {f"{name}.bin": binary(layout, *batch) for split in made.values() for name, batch in split.items()}


def archive(path, files, prefix="some-folder/"):
    with tarfile.open(path, "w:gz") as stream:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            stream.addfile(member, io.BytesIO(content))


def write(root, layout, form, made):
    """Lay the batches down in one of the published forms; return what `root=` should be."""
    kind, where = form.split()
    files = contents(layout, kind, made)
    if where == "archive":
        archive(root / f"{layout.name.replace('cifar', 'cifar-')}-{kind}.tar.gz", files)
        return root
    if where == "file":
        archive(root / "renamed.tgz", files)
        return root / "renamed.tgz"
    folder = root / layout.folders[kind == "binary"] if where == "unpacked" else root
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return root


def joined(made, split):
    pixels, labels = zip(*made[split].values(), strict=True)
    return np.concatenate(pixels).reshape(-1, 3, 32, 32), np.concatenate(labels)


def check(data, made, splits=("train", "test")):
    assert data.splits == splits
    for split in splits:
        inputs, targets = joined(made, split)
        assert (data.split(split).inputs == inputs).all()
        assert (data.split(split).targets == targets).all()


FORMS = [f"{kind} {where}" for kind in ("python", "binary") for where in ("folder", "unpacked", "archive", "file")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LOADERS)
def test_every_published_form_reads_back_exactly(tmp_path, name, form):
    layout, load = LOADERS[name]
    made = batches(layout)
    data = load(root=write(tmp_path, layout, form, made))
    check(data, made)
    assert data.classes == tuple(layout.classes)
    assert load(**data.origin["arguments"]).fingerprint("train") == data.fingerprint("train")
    check(load(root=data.origin["arguments"]["root"], only="test"), made, ("test",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [bytes, str])
def test_every_pickle_protocol_is_read(tmp_path, protocol, kind):
    made = batches(TEN)
    for split in made.values():
        for name, (pixels, labels) in split.items():
            (tmp_path / name).write_bytes(pickled(TEN, pixels, np.array(labels), protocol, kind))
    check(cifar10(root=tmp_path), made)


def test_a_pickle_of_python_2_and_numpy_1_is_read(tmp_path):
    # The published files name numpy.core, without the underscore that NumPy 2 added.
    made = batches(TEN)
    for name, content in contents(TEN, "python", made).items():
        old = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        assert old != content
        (tmp_path / name).write_bytes(old)
    check(cifar10(root=tmp_path), made)


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path(self.path).touch, ()


class Indirect(Malice):
    """Asks for a builtin, which hides the name of what it calls."""

    def __reduce__(self):
        return eval, (f"__import__('pathlib').Path({self.path!r}).touch()",)


@pytest.mark.parametrize("malice", [Malice, Indirect])
@pytest.mark.parametrize("where", ["python folder", "python file"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_pickle_does_not_run(tmp_path, malice, where, protocol):
    made, mark = batches(TEN), tmp_path / "it ran"
    root = write(tmp_path, TEN, where, made)
    evil = pickle.dumps({b"data": malice(mark), b"labels": [0]}, protocol=protocol)
    pickle.loads(evil)
    assert mark.exists()  # the pickle does what it should where pickles run
    mark.unlink()
    if root.is_file():
        archive(root, {**contents(TEN, "python", made), "data_batch_3": evil})
    else:
        (tmp_path / "data_batch_3").write_bytes(evil)
    with pytest.raises(ValueError, match=r"data_batch_3, got UnpicklingError: the name .* may run code"):
        cifar10(root=root)
    assert not mark.exists()


@pytest.mark.parametrize(
    "evil",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nset_string_function\n(tR.",
        b"c_codecs\nencode\n(Vabc\nVzlib_codec\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy\nndarray\n(I99999999999\ntR.",
        b"c__main__\nx\n.",
    ],
)
def test_no_other_name_gets_through(tmp_path, evil):
    (tmp_path / "test_batch").write_bytes(evil)
    with pytest.raises(ValueError, match="Expected a pickled batch of arrays"):
        cifar10(root=tmp_path, only="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (pickled(TEN, *batches(TEN)["test"]["test_batch"])[:-50], "UnpicklingError|EOFError"),
        (pickle.dumps([1, 2]), "'data' of bytes and shape"),
        (pickle.dumps({b"data": np.zeros((2, 10), np.uint8), b"labels": [0, 1]}), "'data' of bytes and shape"),
        (pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [0, 1]}), "'data' of bytes and shape"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}), "2 labels under 'labels'"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}), "got 10 at index 1"),
    ],
)
def test_damaged_batches_are_one_clear_error(tmp_path, content, message):
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        cifar10(root=tmp_path, only="test")


def test_other_damage(tmp_path):
    made = batches(TEN)
    path = write(tmp_path, TEN, "python file", made)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ValueError, match="complete .tar.gz of cifar10 .*renamed.tgz"):
        cifar10(root=path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="complete .tar.gz"):
        cifar10(root=path)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match="records of 3073 bytes in .*test_batch.bin, got 3072"):
        cifar10(root=tmp_path, only="test")


def test_a_missing_batch_is_named_not_skipped(tmp_path):
    write(tmp_path, TEN, "python folder", batches(TEN))
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match="Expected data_batch_4 of cifar10"):
        cifar10(root=tmp_path)
    assert cifar10(root=tmp_path, only="test").splits == ("test",)


def test_links_and_paths_in_an_archive_go_nowhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(pickled(TEN, *batches(TEN)["test"]["test_batch"]))
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as stream:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("x/test_batch")
            link.type, link.linkname = kind, str(secret)
            stream.addfile(link)
    with pytest.raises((FileNotFoundError, ValueError), match="cifar10"):
        cifar10(root=tmp_path, only="test")
    archive(path, contents(TEN, "python", batches(TEN)), prefix="../../escape/")
    assert cifar10(root=tmp_path).size("train") == 5 * PER_BATCH
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cifar-10-python.tar.gz", "secret"]


def test_an_empty_root_names_the_forms(tmp_path):
    with pytest.raises(FileNotFoundError, match="batches, cifar-10-python.tar.gz or cifar-10-binary.tar.gz, or one"):
        cifar10(root=tmp_path)


def test_a_npz_of_any_name_with_the_channels_last(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "whatever.npz", train_x=images, train_y=np.arange(5)[:, None])
    for root in (tmp_path, tmp_path / "whatever.npz"):
        data = cifar10(root=root)
        assert (data.split("train").inputs == images.transpose(0, 3, 1, 2)).all()
        assert data.split("train").inputs.flags.c_contiguous
    with pytest.raises(ValueError, match="got only train: ask for only=train"):
        cifar10(root=tmp_path, only="test")
    np.savez(tmp_path / "second.npz", train_x=images, train_y=np.arange(5))
    with pytest.raises(ValueError, match="one .npz .* got 2 .second.npz, whatever.npz."):
        cifar10(root=tmp_path)
    (tmp_path / "second.npz").unlink()
    np.savez(tmp_path / "whatever.npz", train_x=images[:, :16, :16], train_y=np.arange(5))
    with pytest.raises(ValueError, match=r"got uint8 of shape \(3, 16, 16\)"):
        cifar10(root=tmp_path)


def test_class_names():
    assert len(set(CLASSES)) == 100
    assert tuple(sorted(CLASSES)) == CLASSES


def test_real_images(shared):
    data = cifar10(root=shared / "cifar10", normalize="imagenet")
    assert repr(data) == "Dataset(cifar10, train=4000, test=1000, shape=(3, 32, 32), classes=10)"
    # The first training image of CIFAR-10 is a frog, the first test image a cat.
    assert [data.classes[data.split(split).targets[0]] for split in data.splits] == ["frog", "cat"]
    assert data.split("train").inputs[0, :, 0, 0].tolist() == [59, 62, 63]
