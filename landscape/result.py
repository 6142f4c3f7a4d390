"""Results: frozen records of named arrays that check, describe and store themselves."""

from __future__ import annotations

import importlib
import json
import os
import platform
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np

from landscape import discovery
from landscape.hdf5 import LARGEST, attribute, described, inside, label_axes, linked, opened, read_array, write_array

FORMAT = 1
ROOMS = tuple(  # their files are named for results
    f"landscape.{room}" for room in ("probes", "ensembles", "study", "comparison", "basins")
)
ERRORS, STEPS = ("_error", "_residual"), ("a", "b", "t")  # what numbers alone have, and are
MEMBERS = "members"  # the group of a file that holds those of a collection


def quantity(meaning: str, *dims: str, unit: str = "", name: str = "", optional: bool = False) -> Any:
    """Declare an array field of a result: what it means, its axes, its unit.

    Parameters
    ----------
    meaning : str
        What the numbers are, in words: the axis label and the ``long_name``.
    *dims : str
        Names of the axes, first to last. A quantity whose only axis bears its own name is a coordinate.
    unit : str, default=""
        Unit of the numbers; empty for fractions and counts.
    name : str, default=""
        Name in the file, where it differs from the attribute (``class`` is a Python keyword).
    optional : bool, default=False
        Whether the array may be absent (None).
    """
    metadata = {"meaning": meaning, "dims": dims, "unit": unit, "name": name, "optional": optional}
    return field(default=None, kw_only=True, metadata=metadata)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Base of everything a probe returns.

    Subclasses declare their arrays with `quantity`; that one declaration checks shapes, prints the
    summary, labels the plots and lays out the HDF5 file.

    Attributes
    ----------
    origin : dict
        Where the numbers come from (JSON): command, arguments, hashes, seeds, versions, cost.

    Raises
    ------
    ValueError
        If an array is missing, has the wrong number of axes, or two arrays disagree on an axis.

    Examples
    --------
    >>> @dataclass(frozen=True, eq=False, repr=False)
    ... class Profile(Result):
    ...     t: np.ndarray = quantity("position along the curve", "t")
    ...     loss: np.ndarray = quantity("mean loss", "t", unit="nat")
    >>> Profile(t=[0.0, 0.5, 1.0], loss=[1.2, 0.7, 0.9])
    Profile
      t     (t: 3)  position along the curve
      loss  (t: 3)  mean loss [nat]
    >>> Profile(t=[0.0, 1.0], loss=[1.2, 0.7, 0.9])
    Traceback (most recent call last):
      ...
    ValueError: Profile: expected length 2 on axis 't' of `loss` (as in `t`), got 3.
    """

    origin: dict = field(default_factory=dict, kw_only=True)

    kinds: ClassVar[dict[str, type[Result]]] = {}

    def __init_subclass__(cls) -> None:
        Result.kinds[cls.__name__] = cls

    def remarks(self) -> list[str]:
        """Say in a line each what follows from the numbers; nothing, unless a kind of result knows something."""
        return []

    def figures(self) -> dict[str, tuple[float, float]]:
        """Boil the result down to numbers that models can be compared by: name -> value and error.

        The error is 0 where the value is exact, and NaN where it is not known. Nothing, unless a kind of result knows
        something.
        """
        return {}

    def __post_init__(self) -> None:
        kind = type(self).__name__
        sizes: dict[str, tuple[str, int]] = {}
        for name, meta in self.declared().items():
            if getattr(self, name) is None:
                if not meta["optional"]:
                    raise ValueError(f"{kind}: expected an array for `{name}` ({meta['meaning']}), got nothing.")
                continue
            array = np.array(getattr(self, name))
            array.setflags(write=False)
            object.__setattr__(self, name, array)
            if array.ndim != len(meta["dims"]):
                raise ValueError(f"{kind}: expected `{name}` with axes {meta['dims']}, got shape {array.shape}.")
            for dim, size in zip(meta["dims"], array.shape, strict=True):
                first, known = sizes.setdefault(dim, (name, size))
                if size != known:
                    raise ValueError(
                        f"{kind}: expected length {known} on axis '{dim}' of `{name}` (as in `{first}`), got {size}."
                    )

    @classmethod
    def declared(cls) -> dict[str, Any]:
        """Attribute -> metadata of every array field, in declared order."""
        return {f.name: f.metadata for f in fields(cls) if "dims" in f.metadata}

    @classmethod
    def counts(cls, name: str) -> bool:
        """Say whether a quantity is certainly one of numbers: it has a unit or an error, is one, or is a step.

        What an axis is named after may be names, whatever else of them is known: checkpoints have residuals.
        """
        metas = cls.declared()
        named = metas[name]["dims"] == (metas[name]["name"] or name,)
        error = any(name.endswith(end) or (name + end in metas and not named) for end in ERRORS)
        return bool(metas[name]["unit"]) or error or name in STEPS

    def quantities(self) -> dict[str, Any]:
        """Attribute -> metadata of the arrays that this result holds."""
        return {name: meta for name, meta in self.declared().items() if getattr(self, name) is not None}

    def __repr__(self) -> str:
        metas = self.quantities()
        shapes = {
            name: "(" + ", ".join(f"{d}: {n}" for d, n in zip(m["dims"], getattr(self, name).shape, strict=True)) + ")"
            for name, m in metas.items()
        }
        wide = max((len(name) for name in metas), default=0)
        tall = max((len(shape) for shape in shapes.values()), default=0)
        lines = [type(self).__name__]
        for name, meta in metas.items():
            unit = f" [{meta['unit']}]" if meta["unit"] else ""
            lines.append(f"  {name:<{wide}}  {shapes[name]:<{tall}}  {meta['meaning']}{unit}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show the result as a card with its figure, where a notebook asks for one."""
        return discovery.member("landscape.plots", "notebook")(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the result to an HDF5 file, whole or not at all.

        Coordinates become dimension scales, so that xarray and netCDF readers see labelled axes.

        Raises
        ------
        OSError
            If the file cannot be written; a file already at `path` is then left as it was.
        """
        json.dumps(self.origin)  # what cannot be told is no reason to leave half a file
        with replaced(path) as part:
            try:
                with h5py.File(part, "w") as file:
                    self._fill(file)
            except RuntimeError as error:  # h5py's way to say that the disk filled up while it closed the file
                raise OSError(str(error)) from error

    def _fill(self, file: h5py.Group) -> None:
        file.attrs["kind"] = type(self).__name__
        file.attrs["format"] = FORMAT
        file.attrs["origin"] = json.dumps(self.origin, sort_keys=True)
        metas = self.quantities()
        for name, meta in metas.items():
            write_array(file, meta["name"] or name, getattr(self, name), meta)
        label_axes(file, {meta["name"] or name: meta for name, meta in metas.items()})

    def to_xarray(self) -> Any:
        """Return the result as a labelled ``xarray.Dataset`` (needs the extra ``xarray``)."""
        try:
            import xarray
        except ImportError as error:
            raise ImportError(
                "Expected xarray to be installed, got no such module: pip install 'landscape[xarray]'."
            ) from error
        arrays = {
            meta["name"] or name: (meta["dims"], getattr(self, name), described(meta))
            for name, meta in self.quantities().items()
        }
        return xarray.Dataset(arrays, attrs={"kind": type(self).__name__, "origin": json.dumps(self.origin)})


@dataclass(frozen=True, eq=False, repr=False)
class Collection(Result):
    """Several results in one file: a group for each.

    Attributes
    ----------
    members : dict of str to Result
        By name; a slash in a name is a group in a group, as in ``sgd/w4/surface``. No member is a collection itself.

    Raises
    ------
    ValueError
        If a name has an empty part, or one that is ``.`` or ``..``; if a member is no result or is a collection.

    Examples
    --------
    >>> @dataclass(frozen=True, eq=False, repr=False)
    ... class Height(Result):
    ...     loss: np.ndarray = quantity("mean loss", unit="nat")
    >>> pair = Collection(members={"sgd": Height(loss=0.5), "sam": Height(loss=0.25)})
    >>> float(pair.members["sam"].loss)
    0.25
    """

    member: np.ndarray | None = quantity("name of a member", "member")
    members: dict[str, Result] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", dict(self.members))
        object.__setattr__(self, "member", np.array(list(self.members), dtype=str))
        super().__post_init__()
        for name, one in self.members.items():
            if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
                raise ValueError(f"Expected names such as sgd/surface, got {name!r}: name every part.")
            if within := next((other for other in self.members if other.startswith(f"{name}/")), None):
                raise ValueError(f"Expected names apart from one another, got {within!r} within {name!r}: rename one.")
            if not isinstance(one, Result) or isinstance(one, Collection):
                raise ValueError(f"Expected `{name}` to be a single result, got {type(one).__name__}: pass its parts.")

    def __repr__(self) -> str:
        kinds = [f"  {name}: {type(one).__name__}" for name, one in self.members.items()]
        return "\n".join([super().__repr__(), *kinds])

    def _fill(self, file: h5py.Group) -> None:
        super()._fill(file)
        for name, one in self.members.items():
            one._fill(file.create_group(f"{MEMBERS}/{name}"))


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of packages, and of Python: for the origin of a result."""
    return {name: version(name) for name in packages} | {"python": platform.python_version()}


def load(path: str | os.PathLike) -> Result:
    """Read any result back from an HDF5 file as the class that wrote it.

    The file is not trusted: links and storage outside of it are refused, and an array that claims to be
    larger than its bytes can hold is refused before anything is allocated.

    Raises
    ------
    OSError
        If the file does not exist or is no HDF5 file.
    ValueError
        If it holds no result of a known kind and format, or is not safe to read.
    """
    try:
        with opened(path) as file:
            return _read(file, path)
    except (ValueError, TypeError) as error:  # h5py's own, where a damaged type has no equivalent in NumPy
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: expected a whole result, got a damaged one ({error}).") from error


def _read(file: h5py.Group, path: str | os.PathLike) -> Result:
    """Read the result of a group, with its members."""
    kind, version = str(attribute(file, "kind")), attribute(file, "format")
    cls = _known(kind)
    if cls is None:
        raise ValueError(f"{path}: expected a result of landscape, got an HDF5 file of kind {kind!r}.")
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT} or older, got {version}: update landscape.")
    arrays: dict[str, Any] = {
        name: read_array(file, meta["name"] or name)
        for name, meta in cls.declared().items()
        if not (meta["optional"] and linked(file, meta["name"] or name) is None)
    }
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" and (array.dtype.kind != "U" or cls.counts(name)):
            raise ValueError(f"{path}: expected numbers in `{name}` of a {kind}, got {array.dtype}: measure again.")
    if issubclass(cls, Collection):
        arrays["members"] = _members(file, arrays["member"].tolist(), path)
    try:
        origin = json.loads(str(attribute(file, "origin") or "{}"))
        if not isinstance(origin, dict):
            raise ValueError(f"expected an origin of names and values, got {type(origin).__name__}")
        return cls(**arrays, origin=origin)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a whole {kind}, got a damaged one ({error})") from error


def _members(file: h5py.Group, names: list[str], path: str | os.PathLike) -> dict[str, Result]:
    """Read the members of a collection, for as long as they stay small: one array may have many names."""
    found: dict[str, Result] = {}
    seen: dict[Any, str] = {}
    size = 0
    for name in names:
        group = inside(file, f"{MEMBERS}/{name}")
        if (first := seen.setdefault(group.id, name)) != name or name in found:
            raise ValueError(f"{path}: expected members of their own, got {name!r} that is {first!r} once more.")
        if not isinstance(_known(str(attribute(group, "kind"))), type) or _is_collection(group):
            raise ValueError(f"{path}: expected `{name}` to be a result of landscape, got another kind.")
        found[name] = _read(group, path)
        size += sum(getattr(found[name], array).nbytes for array in found[name].quantities())
        if size > LARGEST:
            raise ValueError(f"{path}: expected members of at most {LARGEST} bytes, got more.")
    return found


def _is_collection(group: h5py.Group) -> bool:
    kind = _known(str(attribute(group, "kind")))
    return kind is not None and issubclass(kind, Collection)


def standing(path: str | os.PathLike, instead: str) -> Result:
    """Read the result that stands where another is to be written; `instead` says what to do about anything else.

    Raises
    ------
    ValueError
        If the file is no result.
    BlockingIOError
        If a program holds it open.
    """
    try:
        if Path(path).is_dir():
            raise IsADirectoryError("a folder")
        return load(path)
    except BlockingIOError:
        raise
    except (ValueError, OSError) as error:
        told = f"{path}: expected to write here, got what is no result ({error}): {instead}"
        raise ValueError(told) from error


@contextmanager
def replaced(path: str | os.PathLike):
    """Give a temporary name beside `path`; move it there, synced to disk, only if the block succeeds."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.fchmod(handle, 0o666 & ~_umask())
        os.close(handle)
    except OSError as error:
        raise OSError(f"{path}: expected to write here, got {error.strerror or error}.") from error
    try:
        yield name
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(f"{path}: expected to write here, got {error.strerror or error}.") from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _known(kind: Any) -> type[Result] | None:
    """Look a kind up; the file that makes results of this kind is imported when one is met first."""
    name = str(kind).lower()
    for room in ROOMS if kind not in Result.kinds else ():
        if name in discovery.names(room):
            importlib.import_module(f"{room}.{name}")
    return Result.kinds.get(kind)
