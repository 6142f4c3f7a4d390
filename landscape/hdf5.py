"""HDF5 files: arrays with their meaning written, and read back without trusting what a file says of itself."""

from __future__ import annotations

import math
import mmap
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

LARGEST = 2**33  # bytes of one array that are read
NAMES = 2**16  # texts of one array, and
TEXT = 2**26  # bytes of them: many elements of a small file may all be one long text
DEFLATE = 1032  # zlib cannot compress better than this, so a file that claims more is lying
CHUNK = 2**20  # bytes of a chunk that HDF5 keeps unpacked: a larger one is unpacked whole for every number in it
HEAP = b"GCOL\x01\0\0\0"  # what a global heap begins with: where HDF5 keeps texts
NO_COORDINATE = "This is a netCDF dimension but not a netCDF variable.%10d"


@contextmanager
def opened(path: str | os.PathLike):
    """Open an HDF5 file for reading, with errors that name it.

    Raises
    ------
    OSError
        If the file does not exist, is no HDF5 file, or is damaged where it is read.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected an HDF5 file, got no such file.")
    try:
        _require_heaps(path)
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise BlockingIOError(f"{path}: expected to read it, got a file a program holds open: close it.") from error
    except OSError as error:
        told = f"{path}: expected an HDF5 file, got one that cannot be opened ({error}): pass a result."
        raise OSError(told) from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises at damaged bytes
            raise OSError(f"{path}: expected a readable HDF5 file, got a damaged one ({error}).") from error


def _require_heaps(path: str | os.PathLike) -> None:
    """Refuse texts that HDF5 would look for without end: it goes from one object of a heap to the next by their sizes.

    Raises
    ------
    OSError
        If an object has no size, and so is its own next one.

    Notes
    -----
    The heap, from the file format specification of HDF5, 3.0: 16 bytes with the size of the whole, then objects, each
    of 16 bytes (number, references, size) and its contents, filled up to 8 bytes; number 0 is the room that is left.
    Cost: the file is searched once for what heaps begin with.
    """
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = data.find(HEAP)
            while start >= 0:
                here = start + 16
                end = min(start + int.from_bytes(data[start + 8 : here], "little"), len(data))
                while here + 16 <= end:
                    number, size = (int.from_bytes(data[here + k : here + n], "little") for k, n in ((0, 2), (8, 16)))
                    if number == 0 and size < 16:
                        raise OSError(f"a heap with an object of {size} bytes at byte {here}")
                    here += size if number == 0 else 16 + -(-size // 8) * 8
                start = data.find(HEAP, start + 1)


def read_array(file: h5py.Group, name: str) -> np.ndarray:
    """Read one dataset of an untrusted file.

    Raises
    ------
    ValueError
        If the dataset is absent, a link out of the file, stored elsewhere, or claims more than it holds.
    """
    where, link = f"{file.file.filename}: `{name}`", linked(file, name)
    if link is None:
        raise ValueError(f"{where}: expected a dataset of this name, got none: the file is incomplete.")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{where}: expected data inside the file, got a link.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual or dataset.shape is None:
        raise ValueError(f"{where}: expected data inside the file, got a group, nothing, or outside storage.")
    if dataset.nbytes > LARGEST or dataset.nbytes > DEFLATE * dataset.id.get_storage_size():
        raise ValueError(
            f"{where}: expected no more than is stored, got a claim of {dataset.nbytes} bytes "
            f"for {dataset.id.get_storage_size()} stored ones."
        )
    text = h5py.check_string_dtype(dataset.dtype)
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
    if chunk > max(CHUNK, 0 if text and text.length is None else dataset.nbytes):
        raise ValueError(f"{where}: expected chunks no larger than the data, got {chunk} bytes for {dataset.nbytes}.")
    if text:
        return _text(dataset, where, text.length)
    if dataset.dtype.kind not in "biufc":
        raise ValueError(f"{where}: expected numbers or text, got {dataset.dtype}.")
    return dataset[()]


def _text(dataset: h5py.Dataset, where: str, length: int | None) -> np.ndarray:
    """Read texts of a fixed length at once, others one by one, for as long as an array of them stays small."""
    small = dataset.size <= NAMES and (length is None or dataset.nbytes <= TEXT)
    if small and length is not None:
        return np.asarray(dataset.asstr()[()], dtype=str).reshape(dataset.shape)
    found, longest = [], 0
    for index in np.ndindex(dataset.shape) if small else ():
        found.append(dataset.asstr()[index])
        longest = max(longest, len(found[-1]))
        if 4 * longest * dataset.size > TEXT:  # NumPy gives every text the room of the longest
            break
    if len(found) != dataset.size or 4 * longest * dataset.size > TEXT:
        raise ValueError(f"{where}: expected names, got texts of more than {TEXT} bytes, or more than {NAMES} of them.")
    return np.array(found, dtype=str).reshape(dataset.shape)


def attribute(group: h5py.Group, name: str) -> str | int | None:
    """Read one attribute of an untrusted file: a text or a whole number; None where there is none.

    Raises
    ------
    ValueError
        If it is anything else: many elements of a small array may all be one long text.
    """
    if name not in group.attrs:
        return None
    found = group.attrs.get_id(name)
    text = h5py.check_string_dtype(found.dtype)
    if found.shape != () or found.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
        raise ValueError(f"{group.file.filename}: expected one text or number as {name!r}, got an array or nothing.")
    if text is None and found.dtype.kind not in "iu":
        raise ValueError(f"{group.file.filename}: expected one text or number as {name!r}, got {found.dtype}.")
    value = group.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if text else int(value)


def linked(file: h5py.Group, name: str) -> Any:
    """Return the link of a name, or None, without following it: that might open another file.

    Raises
    ------
    ValueError
        If the name leads into other groups.
    """
    if "/" in name:
        raise ValueError(f"{file.file.filename}: expected a name within one group, got {name!r}.")
    return file.get(name, getlink=True)


def inside(file: h5py.Group, name: str) -> h5py.Group:
    """Return a group of an untrusted file by a name such as ``members/sgd/surface``, without leaving the file.

    Raises
    ------
    ValueError
        If there is no such group, or a link out of the file is in the way.
    """
    group = file
    for part in name.split("/"):
        where, link = f"{file.file.filename}: `{name}`", linked(group, part)
        if not isinstance(link, h5py.HardLink) or not isinstance(group[part], h5py.Group):
            raise ValueError(f"{where}: expected a group inside the file, got {'none' if link is None else 'another'}.")
        group = group[part]
    return group


def write_array(file: h5py.Group, name: str, array: np.ndarray, meta: Any) -> None:
    """Write one dataset, with its meaning and its unit."""
    text = array.dtype.kind == "U"
    data, kind = (array.astype(object), h5py.string_dtype()) if text else (array, None)
    file.create_dataset(name, data=data, dtype=kind).attrs.update(described(meta))


def described(meta: Any) -> dict[str, str]:
    """Return what netCDF readers know a quantity by."""
    return {"long_name": meta["meaning"], "units": meta["unit"]}


def label_axes(file: h5py.Group, metas: dict[str, Any]) -> None:
    """Make coordinates dimension scales, and attach them to every axis that bears their name."""
    for name, meta in metas.items():
        if meta["dims"] == (name,):
            file[name].make_scale(name)
    for name, meta in metas.items():
        for axis, dim in enumerate(meta["dims"]):
            file[name].dims[axis].label = dim
            if dim == name:
                continue
            if dim not in file:
                size = file[name].shape[axis]
                file.create_dataset(dim, data=np.zeros(size, "f4")).make_scale(NO_COORDINATE % size)
            file[name].dims[axis].attach_scale(file[dim])
