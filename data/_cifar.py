"""The files of CIFAR-10 and CIFAR-100: python batches, binary batches, archives of either, or a .npz."""

import gzip
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np

from landscape.data._download import Remote, fetch, place, wanted
from landscape.data._normalization import normalization, normalize_argument
from landscape.data._npz import read_npz, single_npz
from landscape.dataset import Dataset

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_BATCH = 256 * 2**20  # bytes; the largest true one is the training batch of CIFAR-100, 155 MB

Pair = tuple[np.ndarray, np.ndarray]
Batches = dict[str, bytes]


@dataclass(frozen=True)
class Layout:
    """What tells the two data sets apart: batch names per split, label fields, folders, the archive."""

    name: str
    batches: dict[str, tuple[str, ...]]
    label_key: str
    label_bytes: int  # in front of the pixels of a binary record; the last of them is the fine label
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    remote: Remote
    classes: Sequence[str]

    def names(self, split: str, binary: bool) -> tuple[str, ...]:
        """Name the batch files of a split."""
        return tuple(f"{stem}.bin" if binary else stem for stem in self.batches[split])


def cifar_dataset(layout: Layout, *, root, normalize, only) -> Dataset:
    """Load CIFAR-10 or CIFAR-100 from whatever form lies at `root`.

    Parameters
    ----------
    layout : Layout
        Which of the two.
    root, normalize, only
        The knobs of the caller.

    Returns
    -------
    Dataset
        Images (N, 3, 32, 32) uint8.
    """
    path, splits = place(layout.name, root), wanted(only)
    pairs = _read(layout, path, splits)
    if not pairs and root is not None:
        raise FileNotFoundError(
            f"Expected batches, {' or '.join(layout.archives)}, or one .npz in root={path}, got none of them: correct "
            f"root, put {layout.remote.url} there, or leave root out to download it."
        )
    if not pairs:
        pairs = _read(layout, fetch(layout.name, path, [layout.remote], download=True)[0], splits)
    for inputs, _ in pairs.values():
        _require_shape(inputs, path)
    mean, std = normalization(normalize, layout.name)
    arguments = {"root": str(path), "normalize": normalize_argument(normalize), "only": only}
    return Dataset(
        layout.name,
        train=pairs.get("train"),
        test=pairs.get("test"),
        classes=tuple(layout.classes),
        mean=mean,
        std=std,
        origin={"name": layout.name, "arguments": arguments},
    )


def _read(layout: Layout, path: Path, splits: tuple[str, ...]) -> dict[str, Pair]:
    """Read from a folder or a file; empty if nothing in the folder looks like this data set."""
    if path.is_file() and path.suffix == ".npz":
        return _from_npz(path, splits)
    if path.is_file():
        return _from_batches(layout, _from_archive(layout, path, splits), splits, path)
    for folder in (path, *(path / name for name in layout.folders)):
        files = _from_folder(layout, folder, splits)
        if files:
            return _from_batches(layout, files, splits, folder)
    archive = next((path / name for name in layout.archives if (path / name).is_file()), None)
    if archive is not None:
        return _from_batches(layout, _from_archive(layout, archive, splits), splits, archive)
    npz = single_npz(path)
    return _from_npz(npz, splits) if npz is not None else {}


def _from_npz(path: Path, splits: tuple[str, ...]) -> dict[str, Pair]:
    pairs, _ = read_npz(path)
    kept = {split: pairs[split] for split in splits if split in pairs}
    if not kept:
        raise ValueError(
            f"Expected {splits[0]}_x and {splits[0]}_y in {path}, got only {', '.join(pairs)}: "
            f"ask for only={next(iter(pairs))}."
        )
    return kept


def _from_folder(layout: Layout, folder: Path, splits: tuple[str, ...]) -> Batches:
    """Read the batch files of one form that lie in a folder; python batches win over binary ones."""
    for binary in (False, True):
        names = [name for split in splits for name in layout.names(split, binary)]
        found = {name: folder / name for name in names if (folder / name).is_file()}
        if found:
            return {name: _content(path) for name, path in found.items()}
    return {}


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_BATCH:
        raise ValueError(f"Expected a batch of at most {MAX_BATCH} bytes, got {path}, which is larger: check the file.")
    return path.read_bytes()


def _from_archive(layout: Layout, path: Path, splits: tuple[str, ...]) -> Batches:
    """Read batches inside a .tar.gz in one pass; nothing is written to disk, so no member can escape anywhere."""
    names = {name for split in splits for binary in (False, True) for name in layout.names(split, binary)}
    batches = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in names and member.isfile() else None
                if stream is not None and member.size <= MAX_BATCH:
                    batches[name] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"Expected a complete .tar.gz of {layout.name} in {path}, got a damaged one ({error}): fetch it again."
        ) from error
    return batches


def _from_batches(layout: Layout, files: Batches, splits: tuple[str, ...], path: Path) -> dict[str, Pair]:
    """Join the batches of each split. Every batch must be there: part of a split would be another data set."""
    binary = not any(name in files for split in splits for name in layout.names(split, binary=False))
    names = {split: layout.names(split, binary) for split in splits}
    missing = [name for split in splits for name in names[split] if name not in files]
    if missing:
        raise FileNotFoundError(
            f"Expected {', '.join(missing)} of {layout.name} in {path}, got no such batch: "
            "fetch them, or say only=train or only=test if one split is enough."
        )
    read = _binary_batch if binary else _python_batch
    return {split: _joined([read(layout, files[name], path / name) for name in names[split]]) for split in splits}


def _joined(pairs: list[Pair]) -> Pair:
    inputs, targets = zip(*pairs, strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


def _binary_batch(layout: Layout, content: bytes, where: Path) -> Pair:
    record = layout.label_bytes + PIXELS
    if not content or len(content) % record:
        raise ValueError(
            f"Expected records of {record} bytes in {where}, got {len(content)} bytes, no multiple of it: "
            "fetch the file again."
        )
    table = np.frombuffer(content, np.uint8).reshape(-1, record)
    images = table[:, layout.label_bytes :].reshape(-1, *SHAPE)
    return images, table[:, layout.label_bytes - 1].astype(np.int64)


def _python_batch(layout: Layout, content: bytes, where: Path) -> Pair:
    pixels, labels = _fields(_unpickle(content, where), "data", layout.label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        raise ValueError(
            f"Expected 'data' of bytes and shape (examples, {PIXELS}) in {where}, got something else: "
            f"check that this is a batch of {layout.name}."
        )
    if not isinstance(labels, (list, np.ndarray)) or len(labels) != len(pixels):
        raise ValueError(
            f"Expected {len(pixels)} labels under {layout.label_key!r} in {where}, got something else: "
            f"check that this is a batch of {layout.name}."
        )
    return pixels.reshape(-1, *SHAPE), np.asarray(labels)


def _fields(batch: object, *keys: str) -> list:
    """Take values out of a batch; Python 2 wrote its keys as bytes, Python 3 as text."""
    table = batch if isinstance(batch, dict) else {}
    return [table.get(key, table.get(key.encode())) for key in keys]


def _require_shape(inputs: np.ndarray, path: Path) -> None:
    if inputs.shape[1:] != SHAPE or inputs.dtype != np.uint8:
        raise ValueError(
            f"Expected images of bytes and shape {SHAPE} in {path}, got {inputs.dtype} of shape {inputs.shape[1:]}: "
            "use --data npz for images of another size."
        )


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for `codecs.encode`, by which pickles of protocol 2 write bytes as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode(encoding)


def _blank(kind: object, shape: object, typecode: object) -> np.ndarray:
    """Stand in for NumPy's `_reconstruct`: an empty array, which the pickle then fills by its state."""
    return np.empty(0, np.uint8)


def _from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    """Stand in for NumPy's `_frombuffer`, which pickles of protocol 5 name."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


class _ArraysOnly(pickle.Unpickler):
    """Unpickle containers, numbers, text and NumPy arrays; any other name in the pickle is refused.

    A pickle runs any function that it can name. These names are all that an image batch needs,
    and each stands for something that cannot do more than build an array.
    """

    ALLOWED = {
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _blank for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
        ("numpy", "ndarray"): None,  # only ever an argument of _reconstruct
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"the name {module}.{name}, which no image batch needs and which may run code")
        return self.ALLOWED[module, name]


def _unpickle(content: bytes, where: Path):
    try:
        return _ArraysOnly(BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(
            f"Expected a pickled batch of arrays in {where}, got {type(error).__name__}: {error}: "
            "do not use this file; fetch it again from its publisher."
        ) from error
