"""Files of weights: read without running what they may carry, and fitted to a model by name."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import pathlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "model_state", "module",
        "state_dict_ema", "model_ema", "ema")  # where training scripts put weights, likeliest first
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
BOOKKEEPING = ("n_averaged",)  # counters of wrappers, not of networks
OPTIONAL = ("num_batches_tracked", "_extra_state")  # ends of keys that may be absent on either side
EXPANDED = 2**26  # bytes that all tensors together may claim beyond what is stored: some buffers are expanded views
SHOWN = 6  # keys of a kind that an error lists

_scalar = np._core.multiarray.scalar  # pyright: ignore
_reconstruct = np._core.multiarray._reconstruct  # pyright: ignore
_DTYPES = [type(np.dtype(t)) for t in "efdbhilBHILqQ?FD"]  # of one letter each
HARMLESS = [  # globals that hold data and run nothing; NumPy under the module names of both its major versions
    _scalar, (_scalar, "numpy.core.multiarray.scalar"),
    _reconstruct, (_reconstruct, "numpy.core.multiarray._reconstruct"),
    np.ndarray, np.dtype, *_DTYPES, argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath,
]


def read(path: str | os.PathLike, *, trust: bool = False) -> Any:
    """Read a file of weights; nothing that it carries is run unless it is trusted.

    Parameters
    ----------
    path : path
        ``.safetensors``, or what ``torch.save`` wrote (zip or legacy), with tensors on any device.
    trust : bool, default=False
        Also read pickled modules, TorchScript archives and ``.pt2`` programs, all of which run their own code.

    Returns
    -------
    object
        Usually a dict; under `trust` possibly an nn.Module.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is damaged, claims more than it holds, or needs `trust`.
    """
    path = Path(path)
    if not path.is_file():
        told = "a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path}: expected a checkpoint, got {told}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a checkpoint, got an empty file.")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    program = _program(path)
    if program and not trust:
        raise ValueError(
            f"{path}: expected weights, got {program}, which runs its own code: save a state dict, or pass --trust."
        )
    if program:
        return _trusted_program(path, program)
    return _checked(_pickled(path, trust), path)


def state_dict(found: Any, path: str | os.PathLike, *, key: str | None = None) -> dict[str, Tensor]:
    """Find the state dict in what a training script saved.

    Parameters
    ----------
    found : object
        What `read` returned.
    path : path
        Where it was read, for errors.
    key : str, optional
        Where it is, such as ``ema`` or ``state.model``; by default the usual places are searched.

    Returns
    -------
    dict of str to Tensor
        Entries that are no tensors (extra state) are left out.

    Raises
    ------
    ValueError
        If there is none; the error tells what there is.
    """
    if key is not None:
        inner = _at(found, key)
        if not (isinstance(inner, nn.Module) or _is_state(inner)):
            there = f" there, of {_told(found)}" if inner is None else ""
            raise ValueError(f"{path}: expected a state dict at the key {key!r}, got {_told(inner)}{there}.")
        found = inner
    place = _place(found)
    if place is None:
        places, told = ", ".join(KEYS[:5]), _told(found)
        raise ValueError(f"{path}: expected a state dict, at the top or under {places} ..., got {told}: name its key.")
    if isinstance(place, Mapping):
        return {k: v for k, v in place.items() if isinstance(v, Tensor)}
    return dict(place.state_dict())


def module(found: Any, *, key: str | None = None) -> nn.Module | None:
    """Find a whole network in the place where `state_dict` finds its weights; None where there are weights alone."""
    place = _place(found if key is None else _at(found, key))
    return place if isinstance(place, nn.Module) else None


def fit(model: nn.Module, state: Mapping[str, Tensor], where: str = "the checkpoint") -> None:
    """Load a state dict into a model, whatever prefix wrappers have put before its names.

    Raises
    ------
    ValueError
        If they do not fit; missing, unexpected and mis-shaped keys are listed.
    """
    own = model.state_dict()
    state = {k: v for k, v in state.items() if k not in BOOKKEEPING}
    best = min(_candidates(state), key=lambda pair: sum(map(len, _differences(own, pair[1]))))
    prefix, inner = best
    missing, unexpected, shapes = _differences(own, inner)
    if missing or unexpected or shapes:
        raise ValueError(
            f"{where}: expected the weights of {type(model).__name__}, got "
            + "; ".join(
                f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
                for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
                if names
            )
            + ": choose another --model or --model-arg."
        )
    if len(inner) < len(state):
        warnings.warn(f"{where}: {len(state) - len(inner)} tensors outside of {prefix!r} are left out.", stacklevel=2)
    try:
        model.load_state_dict({k: v for k, v in inner.items() if k in own}, strict=False)
    except RuntimeError as error:  # formats that cannot be copied, such as quantized tensors into plain ones
        told = f"got others ({_last(error)})"
        raise ValueError(f"{where}: expected weights of {type(model).__name__}, {told}.") from error


def sha256(path: str | os.PathLike) -> str:
    """Hash a file, in 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a safetensors file, got a damaged one ({_line(error)}).") from error


def _program(path: Path) -> str | None:
    """Say what a zip archive is, if it is more than weights."""
    # Damaged directories raise nearly anything; what cannot be told here is refused when it is read.
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        if any(name.startswith("code/") for name in names):
            return "a TorchScript archive"
        if "archive_format" in names or path.suffix == ".pt2":
            return "an exported program"
    return None


def _trusted_program(path: Path, program: str) -> nn.Module:
    if program == "a TorchScript archive":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript itself: the file is there all the same
            return torch.jit.load(path, map_location="cpu")
    return torch.export.load(path).module()


def _pickled(path: Path, trust: bool) -> Any:
    try:
        with warnings.catch_warnings(), safe_globals(HARMLESS):
            warnings.simplefilter("ignore")
            # The environment can turn torch's safe default off, so it is never left to the default.
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise ValueError(_refusal(path, error)) from error
    except (ImportError, AttributeError) as error:
        raise ValueError(_unimportable(path, error) if trust else _damaged(path, error)) from error
    except Exception as error:  # torch and pickle raise nearly anything at damaged bytes
        raise ValueError(_damaged(path, error)) from error


def _refusal(path: Path, error: Exception) -> str:
    wanted: list[str] = []
    with contextlib.suppress(Exception), safe_globals(HARMLESS):
        wanted = sorted(get_unsafe_globals_in_checkpoint(path))  # of zip archives only
    names = ", ".join(wanted[:SHOWN]) or ", ".join(re.findall(r"GLOBAL ([\w.]+)", str(error))[:1])
    if not names:
        return _damaged(path, error)
    return (
        f"{path}: expected weights alone, got a pickle that would run code of its own ({names}): save a state dict, "
        "or pass --trust if you know where it comes from."
    )


def _unimportable(path: Path, error: Exception) -> str:
    return (
        f"{path}: expected a pickle of classes that can be imported, got {_line(error)}: put the folder of their code "
        "on PYTHONPATH, or save a state dict and name the network with --model."
    )


def _damaged(path: Path, error: Exception) -> str:
    why = f" ({_line(error)})" if isinstance(error, RuntimeError) else ""
    return f"{path}: expected a checkpoint, got a damaged file or another format{why}."


def _checked(found: Any, path: Path) -> Any:
    """Refuse tensors that claim far more elements than their storage holds, before anything copies them."""
    beyond = 0
    for tensor in _tensors(found):
        stored = 0 if tensor.is_meta else tensor.untyped_storage().nbytes()
        beyond += max(0, tensor.nbytes - stored)
        if beyond > EXPANDED or tensor.is_meta:
            raise ValueError(
                f"{path}: expected tensors that are stored, got one that claims {tensor.numel()} elements "
                f"with {stored} bytes."
            )
    return found


def _tensors(found: Any) -> Iterator[Tensor]:
    """Walk over the tensors inside of containers; each container once, however often others hold it."""
    waiting, seen = [found], set()
    while waiting:
        here = waiting.pop()
        if isinstance(here, Tensor) and here.layout == torch.strided:
            yield here
        elif isinstance(here, (Mapping, list, tuple)) and id(here) not in seen:
            seen.add(id(here))
            waiting += here.values() if isinstance(here, Mapping) else here


def _is_state(found: Any) -> bool:
    """A mapping of names to tensors (a state dict may also hold extra state that is not a tensor)."""
    if not isinstance(found, Mapping) or not found:
        return False
    tensors = sum(isinstance(value, Tensor) for value in found.values())
    return all(isinstance(key, str) for key in found) and tensors > len(found) / 2


def _place(found: Any) -> nn.Module | Mapping | None:
    """Find what holds the weights, a module or a state dict, in the usual places."""
    if isinstance(found, nn.Module) or _is_state(found):
        return found
    for name in KEYS if isinstance(found, Mapping) else ():
        inner = found.get(name)
        if isinstance(inner, nn.Module) or _is_state(inner):
            return inner
        if isinstance(inner, Mapping) and any(_is_state(inner.get(k)) for k in KEYS):
            return _place(inner)
    return None


def _at(found: Any, key: str) -> Any:
    """Follow a key such as ``state.model`` into nested mappings."""
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _told(found: Any) -> str:
    if found is None or (isinstance(found, Mapping) and not found):
        return "nothing"
    if isinstance(found, Mapping):
        names = ", ".join(" ".join(str(key).split())[:60] for key in list(found)[:SHOWN])
        return f"the keys {names}{', ...' if len(found) > SHOWN else ''}"
    return type(found).__name__


def _candidates(state: Mapping[str, Tensor]) -> list[tuple[str, dict[str, Tensor]]]:
    """The state under every stack of prefixes that some of its names bear."""
    found, waiting = [], [""]
    while waiting:
        prefix = waiting.pop(0)
        inner = {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}
        found.append((prefix, inner))
        waiting += [prefix + p for p in PREFIXES if any(k.startswith(p) for k in inner) and prefix.count(".") < 3]
    return found


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    missing = [k for k in own if k not in state and not k.endswith(OPTIONAL)]
    unexpected = [k for k in state if k not in own and not k.endswith(OPTIONAL)]
    shapes = [
        f"{k}: {tuple(state[k].shape)} for {tuple(own[k].shape)}"
        for k in own
        if k in state and isinstance(own[k], Tensor) and state[k].shape != own[k].shape
    ]
    return missing, unexpected, shapes


def _line(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0].partition(". ")[0]
    return f"{type(error).__name__}: {first[:120]}"


def _last(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:200]
