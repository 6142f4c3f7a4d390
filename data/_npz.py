"""Reading a .npz of images or vectors with labels, of whichever layout."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from landscape.dataset import SPLITS

#: Names under which inputs and targets are known, per split; the first pair found is taken.
KEYS = {
    "train": (("train_x", "train_y"), ("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y")),
    "test": (("test_x", "test_y"), ("x_test", "y_test"), ("test_images", "test_labels")),
}
CHANNELS = (1, 3, 4)
LAYOUTS = ("auto", "nchw", "nhwc")

Pair = tuple[np.ndarray, np.ndarray]


def read_npz(path: Path, layout: str = "auto") -> tuple[dict[str, Pair], tuple[str, ...]]:
    """Read the splits of a .npz file, and the class names if it holds an array `classes`.

    Parameters
    ----------
    path : Path
        Arrays ``train_x, train_y, test_x, test_y`` (or ``x_train, ...``, or ``train_images, train_labels, ...``),
        or ``x, y`` for a training split alone. Other arrays are left alone. Pickled objects are refused.
    layout : {"auto", "nchw", "nhwc"}
        See `channels_first`.

    Returns
    -------
    pairs : dict
        ``{"train": (inputs, targets), ...}``, images with the channels first.
    classes : tuple of str

    Raises
    ------
    ValueError
        If the file is damaged, holds Python objects, or has no arrays of these names.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            chosen = {split: _pair(archive.files, split) for split in SPLITS}
            arrays = {split: (archive[keys[0]], archive[keys[1]]) for split, keys in chosen.items() if keys}
            classes = tuple(archive["classes"].astype(str).ravel().tolist()) if "classes" in archive.files else ()
            held = ", ".join(archive.files) or "nothing"
    except (ValueError, EOFError, KeyError, MemoryError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"Expected a .npz of plain arrays in {path}, got {_reason(error)}: write it again with numpy.savez."
        ) from error
    if not arrays:
        raise ValueError(
            f"Expected arrays train_x, train_y, test_x, test_y (or x, y) in {path}, got {held}: rename the arrays."
        )
    return {split: (channels_first(x, layout, path), _labels(y)) for split, (x, y) in arrays.items()}, classes


def _reason(error: Exception) -> str:
    return "a header that claims more than the memory" if isinstance(error, MemoryError) else str(error)


def _pair(files: list[str], split: str) -> tuple[str, str] | None:
    return next((keys for keys in KEYS[split] if set(keys) <= set(files)), None)


def channels_first(inputs: np.ndarray, layout: str, where: object) -> np.ndarray:
    """Bring images to (N, C, H, W); anything else is returned as it is.

    Parameters
    ----------
    inputs : array
        Four axes are images; three axes of uint8 are images of one channel, (N, H, W).
    layout : {"auto", "nchw", "nhwc"}
        ``"auto"``: channels are the axis, first or last, whose size is 1, 3 or 4.
        When both or neither are, the answer would be a guess, and it is an error.
    where : object
        For the message.

    Returns
    -------
    array, contiguous
    """
    if layout not in LAYOUTS:
        raise ValueError(f"Expected a layout among {', '.join(LAYOUTS)}, got {layout!r}: choose one of them.")
    if inputs.ndim == 3 and inputs.dtype == np.uint8:
        return inputs[:, None]
    if inputs.ndim != 4:
        return inputs
    first, last = inputs.shape[1] in CHANNELS, inputs.shape[3] in CHANNELS
    if layout == "auto" and first == last:
        raise ValueError(
            f"Expected 1, 3 or 4 channels on the first or on the last axis of images in {where}, got shape "
            f"{inputs.shape}, which does not tell: say layout=nchw or layout=nhwc."
        )
    if layout == "nhwc" or (layout == "auto" and last):
        inputs = inputs.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(inputs)


def _labels(targets: np.ndarray) -> np.ndarray:
    return targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 and targets.dtype.kind in "iu" else targets


def single_npz(path: Path) -> Path | None:
    """Take `path` if it is a .npz, or the only .npz of the folder `path`, whatever its name; else None."""
    if path.is_file():
        return path if path.suffix == ".npz" else None
    files = sorted(path.glob("*.npz"))
    if len(files) > 1:
        raise ValueError(
            f"Expected one .npz in {path}, got {len(files)} ({', '.join(file.name for file in files)}): "
            "set root to one of these files."
        )
    return files[0] if files else None
