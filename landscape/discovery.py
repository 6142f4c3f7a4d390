"""Find what a folder offers: one file, one capability, named after the file."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCATIONS = ("root", "path", "file")  # arguments that say where something lies
SPELLED = {"true": "True", "false": "False"}  # as others write them


def names(package: str) -> list[str]:
    """List the capabilities of a package by file name; nothing of it is imported.

    Examples
    --------
    >>> "lenet" in names("landscape.models")
    True
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"Expected a package, got {package!r}.")
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(info.name for info in found if not info.name.startswith("_"))


def member(package: str, name: str) -> Any:
    """Import the object that a file of a package is known by.

    Raises
    ------
    ImportError
        If the file does not define its own name.
    """
    module = importlib.import_module(f"{package}.{name}")
    if not hasattr(module, name):
        raise ImportError(f"{module.__file__}: expected a definition of `{name}`, the name of the file, got none.")
    return getattr(module, name)


def discover(package: str) -> dict[str, Any]:
    """Map every file of a package to the object of its name.

    A new probe, model, data set or command is one new file; nothing else is edited.
    """
    return {name: member(package, name) for name in names(package)}


def resolve(spec: str, package: str) -> Callable:
    """Find a callable by its specification.

    Parameters
    ----------
    spec : str
        A registered name of `package` (``lenet``; ``resnet20`` is ``resnet`` with ``depth=20``),
        ``file.py:function`` or ``package.module:function``. The latter two run the code they name.
    package : str
        Where registered names live.

    Raises
    ------
    ValueError
        If nothing of that name exists; the error lists what does.
    OSError
        If a named file does not exist.
    """
    if ":" in spec:
        return _foreign(spec)
    known = names(package)
    if spec in known:
        return member(package, spec)
    match = re.fullmatch(r"(.*?)_?(\d+)", spec)
    if match and match[1] in known and "depth" in inspect.signature(member(package, match[1])).parameters:
        return functools.partial(member(package, match[1]), depth=int(match[2]))
    raise ValueError(
        f"Expected one of {', '.join(known)}, or file.py:function, or package.module:function, got {spec!r}"
        f"{did_you_mean(spec, known)}."
    )


def registered(spec: str) -> bool:
    """Say whether a specification is a plain registered name, which runs no code but ours."""
    return ":" not in spec


def source(spec: str) -> str | None:
    """Return the Python file of a resolved specification; None of a registered name."""
    where, _, _ = spec.rpartition(":")
    return where if where.endswith(".py") else getattr(sys.modules.get(where), "__file__", None)


def did_you_mean(word: str, known: list[str]) -> str:
    """Suggest the nearest known word: `` (did you mean 'lenet'?)``, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _foreign(spec: str) -> Callable:
    where, _, name = spec.rpartition(":")
    module = _file(Path(where)) if where.endswith(".py") else _module(where, spec)
    found = getattr(module, name, None)
    if not callable(found):
        offered = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ValueError(f"{spec}: expected a function named {name!r}, got none{did_you_mean(name, offered)}.")
    return found


def _file(path: Path) -> Any:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a Python file, got no such file.")
    name = f"landscape_user_{path.stem}_{abs(hash((str(path), path.stat().st_mtime_ns))):x}"
    if name in sys.modules:
        return sys.modules[name]
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        with _importable(path.parent):  # a user's file may import its neighbours
            loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module(name: str, spec: str) -> Any:
    try:
        with _importable(Path.cwd()):  # as with python -m, which an installed command is not
            return importlib.import_module(name)
    except (ModuleNotFoundError, ValueError) as error:
        raise ValueError(f"{spec}: expected an importable module {name!r}, got {error}.") from error


@contextmanager
def _importable(folder: Path):
    """Let a folder be imported from, for a while."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def arguments(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; true, false and Python literals become what they say, anything else stays text.

    Raises
    ------
    ValueError
        If a pair has no ``=``.

    Examples
    --------
    >>> arguments(["width=32", "norm=batch", "bias=false"])
    {'width': 32, 'norm': 'batch', 'bias': False}
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"Expected key=value, got {pair!r}.")
        try:
            found[name.replace("-", "_")] = ast.literal_eval(SPELLED.get(value.lower(), value))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found[name.replace("-", "_")] = value
    return found


def located(spec: str) -> str:
    """Make the file of a specification absolute, so that the checkpoint can be read from anywhere."""
    file, colon, name = spec.rpartition(":")
    if colon and file.endswith(".py"):
        return f"{Path(file).expanduser().resolve()}:{name}"
    return str(Path(spec).expanduser().resolve()) if spec.endswith(".npz") else spec


def located_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Make the paths among arguments absolute."""
    return {
        key: str(Path(value).expanduser().resolve()) if key in LOCATIONS and isinstance(value, str) else value
        for key, value in arguments.items()
    }
