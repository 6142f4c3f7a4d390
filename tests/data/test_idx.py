import gzip
import struct

import numpy as np
import pytest

from landscape.data._idx import read_idx
from landscape.data.fashion_mnist import fashion_mnist
from landscape.data.kmnist import kmnist
from landscape.data.mnist import mnist

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
RANDOM = np.random.default_rng(0)


def idx(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def family(folder, zipped=True, splits=("train", "t10k")):
    """Write small files under the names of MNIST; return the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for split, size in zip(splits, (7, 5), strict=False):
        arrays = RANDOM.integers(0, 256, (size, 28, 28), dtype=np.uint8), np.arange(size, dtype=np.uint8)
        for part, array in zip(("images-idx3", "labels-idx1"), arrays, strict=True):
            name = f"{split}-{part}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), mtime=0))
            else:
                (folder / name).write_bytes(idx(array))
        written[split] = arrays
    return written


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("zipped", [True, False])
def test_every_type_reads_back_exactly(tmp_path, dtype, zipped):
    array = RANDOM.normal(0, 50, (3, 4, 2)).astype(dtype)
    path = tmp_path / "any name"
    path.write_bytes(gzip.compress(idx(array), mtime=0) if zipped else idx(array))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.tolist() == array.tolist()


@pytest.mark.parametrize("load", [mnist, fashion_mnist, kmnist])
@pytest.mark.parametrize("zipped", [True, False])
def test_four_files_make_a_data_set(tmp_path, load, zipped):
    written = family(tmp_path, zipped)
    data = load(root=tmp_path)
    for split, stem in (("train", "train"), ("test", "t10k")):
        assert (data.split(split).inputs[:, 0] == written[stem][0]).all()
        assert (data.split(split).targets == written[stem][1]).all()
    assert data.shape == (1, 28, 28)
    assert len(data.classes) == 10
    name, arguments = data.origin["name"], data.origin["arguments"]
    assert name == load.__name__
    assert arguments == {"root": str(tmp_path), "normalize": "dataset", "only": None}
    assert load(**arguments).fingerprint("train") == data.fingerprint("train")


def test_one_split_alone(tmp_path):
    family(tmp_path, splits=("t10k",))
    assert mnist(root=tmp_path, only="test").splits == ("test",)
    with pytest.raises(FileNotFoundError, match="Expected train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz in"):
        mnist(root=tmp_path)


def test_the_folders_of_torchvision_are_found(tmp_path):
    family(tmp_path / "MNIST" / "raw", zipped=False)
    assert mnist(root=tmp_path).size("train") == 7


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
ZIPPED = gzip.compress(GOOD, mtime=0)
HUGE = b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**15, 2**15) + bytes(40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an IDX file .* begins with nothing"),
        (b"\x89PNG12345678", "begins with 89 50 4e 47"),
        (GOOD[:9], "3 sizes in the header"),
        (GOOD[:-1], "24 bytes for shape|24 bytes after the header"),
        (GOOD + b"x" * 20, "24 bytes after the header.*got more"),
        (HUGE, "too small to hold them"),
        (ZIPPED[:-9], "complete gzip file|24 bytes after"),
        (ZIPPED[:20] + b"\xff\xff" + ZIPPED[22:], "complete gzip file|24 bytes|begins with"),
        (gzip.compress(HUGE, mtime=0), "too small to hold them"),
        (gzip.compress(GOOD[:-1], mtime=0), "24 bytes after the header.*got 23"),
        (gzip.compress(GOOD + bytes(3 * 2**20), mtime=0), "24 bytes after the header.*got more"),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_exchanged_files_are_noticed(tmp_path):
    family(tmp_path)
    images, labels = (tmp_path / f"train-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1"))
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    with pytest.raises(ValueError, match="check which file has which name"):
        mnist(root=tmp_path)


def test_the_real_test_images(shared):
    data = mnist(root=shared / "mnist", only="test")
    assert data.size("test") == 10_000
    # The counts of the digits 0 to 9 in the published test labels.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.split("test").targets).tolist() == counts
