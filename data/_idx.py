"""The IDX format of MNIST and its relatives, gzipped or not."""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from landscape.data._download import Remote, fetch, place, wanted
from landscape.data._normalization import normalization, normalize_argument
from landscape.dataset import Dataset

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_LIMIT = 1032  # deflate never packs more bytes than this into one
BLOCK = 2**20

STEMS = {"train": "train", "test": "t10k"}
PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_idx(path: str | Path) -> np.ndarray:
    """Read one IDX file.

    Parameters
    ----------
    path : path
        Plain or gzipped; the content decides, not the name.

    Returns
    -------
    array of the shape and type that the header names, in native byte order

    Raises
    ------
    ValueError
        If the file is no IDX file, is damaged, or holds more or fewer bytes than its header claims.
        The claim is checked against the file before memory is taken for it.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    with open(path, "rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        available = path.stat().st_size * (DEFLATE_LIMIT if zipped else 1)
        try:
            with gzip.open(raw) if zipped else raw as stream:
                return _read(stream, path, available)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(_damaged(path, "a complete gzip file", f"a damaged one ({error})")) from error


def _read(stream: IO[bytes] | gzip.GzipFile, path: Path, available: int) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 8:
        raise ValueError(_damaged(path, "an IDX file", f"one that begins with {magic.hex(' ') or 'nothing'}"))
    dtype, axes = np.dtype(TYPES[magic[2]]), magic[3]
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise ValueError(_damaged(path, f"{axes} sizes in the header", f"{len(sizes)} bytes of them"))
    shape = struct.unpack(f">{axes}I", sizes)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > available:
        raise ValueError(_damaged(path, f"{claimed} bytes for shape {shape}", "a file too small to hold them"))
    content = _exactly(stream, claimed, path)
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _exactly(stream: IO[bytes] | gzip.GzipFile, size: int, path: Path) -> bytearray:
    """Read `size` bytes and the end of the file, block by block: memory follows the bytes that really come."""
    content = bytearray()
    while block := stream.read(BLOCK):
        content += block
        if len(content) > size:
            raise ValueError(_damaged(path, f"{size} bytes after the header", "more"))
    if len(content) < size:
        raise ValueError(_damaged(path, f"{size} bytes after the header", f"{len(content)}"))
    return content


def _damaged(path: Path, expected: str, got: str) -> str:
    return f"Expected {expected} in {path}, got {got}: fetch the file again."


def idx_dataset(
    name: str, address: str, checksums: dict[str, str], classes: Sequence[str], *, root, normalize, only
) -> Dataset:
    """Load a data set of four IDX files named as those of MNIST.

    Parameters
    ----------
    name : str
        Name of the data set.
    address : str
        Where the ``.gz`` files are published.
    checksums : dict
        ``{"train-images-idx3-ubyte.gz": "md5:...", ...}`` for the four files.
    classes : sequence of str
        Class names.
    root, normalize, only
        The knobs of the caller.

    Returns
    -------
    Dataset
        Images (N, 1, H, W) uint8.
    """
    folder = place(name, root)
    names = {split: [f"{STEMS[split]}-{part}.gz" for part in PARTS] for split in wanted(only)}
    found = {file: path for files in names.values() for file in files if (path := _find(folder, file))}
    missing = [file for files in names.values() for file in files if file not in found]
    remotes = [Remote(file, address + file, checksums[file]) for file in missing]
    found |= zip(missing, fetch(name, folder, remotes, download=root is None), strict=True)
    pairs = {split: (read_idx(found[images]), read_idx(found[labels])) for split, (images, labels) in names.items()}
    mean, std = normalization(normalize, name)
    arguments = {"root": str(folder), "normalize": normalize_argument(normalize), "only": only}
    return Dataset(
        name,
        **{"train": None, **{split: _with_channel(*pair, folder) for split, pair in pairs.items()}},
        classes=tuple(classes),
        mean=mean,
        std=std,
        origin={"name": name, "arguments": arguments},
    )


def _find(folder: Path, file: str) -> Path | None:
    """Look for a file, zipped or not, also where torchvision unpacks it."""
    names = (file, file.removesuffix(".gz"))
    places = (folder, folder / "raw", *sorted(folder.glob("*/raw")))
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def _with_channel(images: np.ndarray, labels: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"Expected images of shape (examples, height, width) and bytes in {folder}, "
            f"got {images.dtype} of shape {images.shape}: check which file has which name."
        )
    return images[:, None], labels
