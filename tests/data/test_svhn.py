import numpy as np
import pytest
from scipy.io import savemat

from landscape.data.svhn import svhn


def write(folder, split, size, **changes):
    images = np.random.default_rng(size).integers(0, 256, (32, 32, 3, size), dtype=np.uint8)
    labels = (np.arange(size) % 10 + 1).astype(np.uint8)[:, None]
    savemat(folder / f"{split}_32x32.mat", {"X": images, "y": labels, **changes}, do_compression=True)
    return images, labels


def test_files_read_back_exactly_and_ten_is_the_digit_zero(tmp_path):
    images, _ = write(tmp_path, "train", 11)
    write(tmp_path, "test", 3)
    data = svhn(root=tmp_path)
    assert data.split("train").targets.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (data.split("train").inputs[4, 2] == images[:, :, 2, 4]).all()
    assert repr(data) == "Dataset(svhn, train=11, test=3, shape=(3, 32, 32), classes=10)"
    assert svhn(**data.origin["arguments"]).fingerprint("train") == data.fingerprint("train")


def test_one_split_alone(tmp_path):
    write(tmp_path, "test", 3)
    assert svhn(root=tmp_path, only="test").splits == ("test",)
    with pytest.raises(FileNotFoundError, match="Expected train_32x32.mat in"):
        svhn(root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros((16, 16, 3, 4), np.uint8)}, r"got uint8 of \(16, 16, 3, 4\)"),
        ({"X": np.zeros((32, 32, 3, 4))}, "got float64"),
        ({"y": np.full((4, 1), 1.5)}, "integer labels"),
        ({"y": np.array([[1], [2], [3], [11]])}, "got 11 at index 3"),
    ],
)
def test_other_contents_are_refused(tmp_path, changes, message):
    write(tmp_path, "test", 4, **changes)
    with pytest.raises(ValueError, match=message):
        svhn(root=tmp_path, only="test")


def test_damaged_files_are_one_clear_error(tmp_path):
    write(tmp_path, "test", 4)
    path = tmp_path / "test_32x32.mat"
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:5000], bytes(len(content)), content[:300] + bytes(99) + content[399:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"Expected a .mat file with X and y in .*test_32x32.mat, got"):
            svhn(root=tmp_path, only="test")
