import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from landscape.data.folder import folder


def image(path, shape=(6, 5, 3), seed=0):
    """Write a lossless random picture; return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_train_and_test_folders_read_back_in_sorted_order(tmp_path):
    made = {
        name: image(tmp_path / name, seed=seed)
        for seed, name in enumerate(["train/dog/2.png", "train/cat/b.png", "train/cat/a.bmp", "test/dog/x.png"])
    }
    (tmp_path / "train/cat/.hidden.png").write_bytes(b"")
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    data = folder(tmp_path)
    assert (data.classes, data.size("test")) == (("cat", "dog"), 1)
    order = ["train/cat/a.bmp", "train/cat/b.png", "train/dog/2.png"]
    assert (data.split("train").inputs == np.stack([made[name] for name in order]).transpose(0, 3, 1, 2)).all()
    assert data.split("train").targets.tolist() == [0, 0, 1]
    assert data.split("test").targets.tolist() == [1]
    assert folder(**data.origin["arguments"]).fingerprint("train") == data.fingerprint("train")


def test_class_folders_alone_are_a_training_split(tmp_path):
    image(tmp_path / "b/deep/inside/1.png")
    image(tmp_path / "a/1.png")
    data = folder(root=str(tmp_path))
    assert (data.splits, data.classes, data.shape) == (("train",), ("a", "b"), (3, 6, 5))


def test_val_is_a_test_split(tmp_path):
    for split in ("train", "val"):
        image(tmp_path / split / "a/1.png")
    assert folder(tmp_path).splits == ("train", "test")


def test_grey_and_colour(tmp_path):
    grey = image(tmp_path / "a/1.png", (6, 5))
    assert (folder(tmp_path, channels=1).split("train").inputs[0, 0] == grey).all()
    colour = folder(tmp_path).split("train").inputs
    assert colour.shape == (1, 3, 6, 5)
    assert (colour == grey).all()
    with pytest.raises(ValueError, match="channels=3 or channels=1, got 2"):
        folder(tmp_path, channels=2)


def test_differing_sizes_are_named_and_size_resizes(tmp_path):
    image(tmp_path / "a/1.png", (6, 5, 3))
    image(tmp_path / "a/2.png", (7, 5, 3))
    with pytest.raises(ValueError, match="got 6 x 5 in .*1.png and 7 x 5 in .*2.png: say size=PIXELS"):
        folder(tmp_path)
    assert folder(tmp_path, size=4).shape == (3, 4, 4)
    assert folder(tmp_path, size="8,9").shape == (3, 8, 9)
    again = folder(tmp_path, size=(8, 9))
    assert again.fingerprint("train") == folder(**again.origin["arguments"]).fingerprint("train")


@pytest.mark.parametrize("size", [0, "a", "1,2,3", (4, -4), 2**20, []])
def test_impossible_sizes_are_refused(tmp_path, size):
    image(tmp_path / "a/1.png")
    with pytest.raises(ValueError, match="Expected size=PIXELS"):
        folder(tmp_path, size=size)


def test_damaged_images_are_one_clear_error(tmp_path):
    path = tmp_path / "a/1.png"
    image(path, (60, 50, 3))
    content = path.read_bytes()
    for damaged in (b"", b"no image", content[:40], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"Expected an image in .*1.png, got"):
            folder(tmp_path)


@pytest.mark.parametrize("side", [2**13, 2**14 - 1, 2**15])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    (tmp_path / "a").mkdir()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "a/bomb.png").write_bytes(content + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="bomb.png"):
        folder(tmp_path, size=8)


def test_deep_images_are_not_clipped_in_silence(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a/1.png")
    with pytest.raises(ValueError, match="Expected 8 bits a channel, got mode I"):
        folder(tmp_path)


def test_missing_things_are_named(tmp_path):
    with pytest.raises(ValueError, match="root=FOLDER, got nothing"):
        folder()
    with pytest.raises(FileNotFoundError, match="no such path"):
        folder(tmp_path / "none")
    with pytest.raises(ValueError, match="Expected images in .*, got none"):
        folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="got a file"):
        folder(tmp_path / "file")
