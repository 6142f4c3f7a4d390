import io
import pickle
import zipfile

import numpy as np
import pytest

from landscape.data._npz import channels_first
from landscape.data.npz import npz

RANDOM = np.random.default_rng(0)


def images(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "keys", [("train_x", "train_y", "test_x", "test_y"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_two_splits_under_either_spelling(tmp_path, keys):
    arrays = images(6, 5, 4, 3), np.arange(6) % 3, images(2, 5, 4, 3), np.array([0, 1])
    path = save(tmp_path / "mine.npz", **dict(zip(keys, arrays, strict=True)))
    data = npz(path)
    assert repr(data) == "Dataset(mine, train=6, test=2, shape=(3, 5, 4), classes=3)"
    assert (data.split("train").inputs == arrays[0].transpose(0, 3, 1, 2)).all()
    assert data.classes == ("0", "1", "2")
    assert npz(**data.origin["arguments"]).fingerprint("test") == data.fingerprint("test")
    assert npz(tmp_path).fingerprint("test") == data.fingerprint("test")


def test_x_and_y_are_a_training_split_and_names_come_along(tmp_path):
    path = save(tmp_path / "mine.npz", x=images(3, 9, 9), y=[0, 1, 1], classes=["cat", "dog"], other=np.zeros(3))
    data = npz(root=str(path), normalize="0.5/0.5")
    assert (data.splits, data.classes, data.shape, data.mean) == (("train",), ("cat", "dog"), (1, 9, 9), (0.5,))


def test_the_task_follows_the_targets(tmp_path):
    real = save(tmp_path / "real.npz", x=np.ones((4, 2), np.float32), y=np.ones((4, 1)))
    text = save(tmp_path / "text.npz", x=np.ones((4, 7), int), y=np.ones((4, 7), int))
    assert npz(real).task == "regression"
    assert npz(text).task == "language"
    assert npz(text).classes == ()
    assert npz(save(tmp_path / "vectors.npz", x=np.ones((4, 2), np.float32), y=[[0], [1], [2], [3]])).classes[-1] == "3"


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((5, 8, 9, 3), "auto", (5, 3, 8, 9)),
        ((5, 1, 8, 9), "auto", (5, 1, 8, 9)),
        ((5, 3, 4, 9), "auto", (5, 3, 4, 9)),
        ((5, 3, 4, 3), "nhwc", (5, 3, 3, 4)),
        ((5, 3, 4, 3), "nchw", (5, 3, 4, 3)),
        ((5, 7, 8, 9), "nchw", (5, 7, 8, 9)),
        ((5, 8, 9), "auto", (5, 1, 8, 9)),
        ((5, 8), "auto", (5, 8)),
    ],
)
def test_layout(shape, layout, expected):
    array = images(*shape)
    moved = channels_first(array, layout, "here")
    assert moved.shape == expected
    assert moved.flags.c_contiguous
    assert sorted(moved.ravel()) == sorted(array.ravel())


@pytest.mark.parametrize("shape", [(5, 3, 4, 3), (5, 7, 8, 9)])
def test_a_layout_that_cannot_be_told_is_not_guessed(shape):
    with pytest.raises(ValueError, match="does not tell: say layout=nchw or layout=nhwc"):
        channels_first(images(*shape), "auto", "here")
    with pytest.raises(ValueError, match="a layout among auto, nchw, nhwc, got 'chw'"):
        channels_first(images(*shape), "chw", "here")


class Malice:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_python_objects_are_refused_and_do_not_run(tmp_path):
    mark = tmp_path / "it ran"
    path = save(tmp_path / "evil.npz", x=np.array([Malice(mark)], dtype=object), y=[0])
    with pytest.raises(ValueError, match=r"plain arrays in .*evil.npz, got Object arrays cannot be loaded"):
        npz(path)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Malice(mark)))
    with pytest.raises(ValueError, match="plain arrays in .*pickle.npz"):
        npz(tmp_path / "pickle.npz")
    assert not mark.exists()


def test_damaged_files_are_one_clear_error(tmp_path):
    path = save(tmp_path / "mine.npz", x=images(300, 9, 9), y=np.zeros(300, int))
    content = path.read_bytes()
    for cut in (0, 10, 5000, len(content) - 30):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"plain arrays in .*mine.npz"):
            npz(path)
    path.write_bytes(content[:2000] + bytes(64) + content[2064:])
    with pytest.raises(ValueError, match=r"plain arrays in .*mine.npz, got Bad CRC"):
        npz(path)


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**50, 3)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(100))
        archive.writestr("y.npy", header.getvalue() + bytes(100))
    with pytest.raises(ValueError, match="plain arrays in .*huge.npz"):
        npz(tmp_path / "huge.npz")


def test_missing_things_are_named(tmp_path):
    with pytest.raises(ValueError, match="root=FILE.npz, got nothing"):
        npz()
    with pytest.raises(FileNotFoundError, match="no such path"):
        npz(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="got none: set root to the file"):
        npz(tmp_path)
    path = save(tmp_path / "mine.npz", images=images(3, 9, 9), train_x=images(3, 9, 9))
    with pytest.raises(ValueError, match="got images, train_x: rename the arrays"):
        npz(path)
