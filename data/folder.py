"""Images in class folders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from landscape.data._download import place
from landscape.data._normalization import normalization, normalize_argument
from landscape.dataset import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_NAMES = ("test", "val", "validation")
MODES = {1: "L", 3: "RGB"}
DEEP_MODES = ("I", "F")  # more than 8 bits a channel, which converting would clip without a word
MAX_PIXELS = 2**25  # of one image before resizing: what a phone takes, but no decompression bomb


def folder(
    root: str | Path | None = None,
    *,
    normalize: str = "none",
    size: int | Sequence[int] | None = None,
    channels: int = 3,
) -> Dataset:
    """Load images that lie in one folder per class.

    Parameters
    ----------
    root : path
        Either ``root/train/<class>/*.png`` and ``root/test/<class>/*.png`` (``val`` is a test split too),
        or ``root/<class>/*.png`` for a training split alone. Hidden files and other files are left alone.
    normalize : str
        ``none``, ``imagenet`` or ``mean/std`` as in ``0.5,0.5,0.5/0.2,0.2,0.2``.
    size : int or (height, width), optional
        Resize every image to this (bilinear, antialiased; the aspect is not kept). Without it all must agree.
    channels : {3, 1}
        Colour or grey.

    Returns
    -------
    Dataset
        Images (N, channels, H, W) uint8; classes and files in sorted order, so that every machine sees the same data.

    Raises
    ------
    OSError
        If there is no such folder.
    ValueError
        If there are no images, sizes differ and `size` is not given, or a file cannot be decoded.
    """
    if root is None:
        raise ValueError("Expected root=FOLDER, got nothing: say which folder holds the images.")
    path, channels, size = place("folder", root), int(channels), _size(size)
    if channels not in MODES:
        raise ValueError(f"Expected channels=3 or channels=1, got {channels}: choose colour or grey.")
    tops = _splits(path)
    classes = tuple(sorted({entry.name for top in tops.values() for entry in _folders(top)}))
    mean, std = normalization(normalize, "folder")
    arguments = {"root": str(path), "normalize": normalize_argument(normalize), "size": size, "channels": channels}
    return Dataset(
        path.name,
        **{"train": None, **{split: _read(top, classes, size, channels) for split, top in tops.items()}},
        classes=classes,
        mean=mean,
        std=std,
        origin={"name": "folder", "arguments": arguments},
    )


def _size(size: int | str | Sequence[int] | None) -> list[int] | None:
    if size is None:
        return None
    parts = size.split(",") if isinstance(size, str) else [size] if isinstance(size, int) else list(size)
    try:
        values = [int(part) for part in parts]
    except (TypeError, ValueError):
        values = []
    if len(values) not in (1, 2) or min(values) < 1 or np.prod([values[0], values[-1]]) > MAX_PIXELS:
        raise ValueError(
            f"Expected size=PIXELS or size=HEIGHT,WIDTH, got size={size!r}: give one or two whole numbers."
        )
    return [values[0], values[-1]]


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _splits(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        raise NotADirectoryError(f"Expected a folder of images at root={path}, got a file: set root to its folder.")
    named = {"train": ("train",), "test": TEST_NAMES}
    tops = {split: [path / name for name in names if (path / name).is_dir()] for split, names in named.items()}
    return {split: found[0] for split, found in tops.items() if found} or {"train": path}


def _read(top: Path, classes: tuple[str, ...], size: list[int] | None, channels: int) -> tuple[np.ndarray, np.ndarray]:
    files = [(file, label) for label, name in enumerate(classes) for file in _images(top / name)]
    if not files:
        raise ValueError(f"Expected images in {top}/<class>/, got none: put one folder for each class there.")
    images, first = [], files[0][0]
    for file, _ in files:
        image = _decode(file, size, MODES[channels])
        if images and image.shape != images[0].shape:
            raise ValueError(
                f"Expected images of one size, got {_text(images[0])} in {first} and {_text(image)} in {file}: "
                "say size=PIXELS to resize them all."
            )
        images.append(image)
    stacked = np.stack(images).reshape(len(images), *images[0].shape[:2], channels)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)), np.array([label for _, label in files])


def _images(path: Path) -> list[Path]:
    files = path.rglob("*") if path.is_dir() else ()
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _text(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"


def _decode(file: Path, size: list[int] | None, mode: str) -> np.ndarray:
    try:
        with Image.open(file) as image:
            _require_decodable(image, file)
            image = image.convert(mode)
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"Expected an image in {file}, got {error}: repair or remove the file.") from error
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _require_decodable(image: Image.Image, file: Path) -> None:
    """Judge an image by its header, before its pixels take memory."""
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"Expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height} in {file}: shrink the image."
        )
    if image.mode.startswith(DEEP_MODES):
        raise ValueError(f"Expected 8 bits a channel, got mode {image.mode} in {file}: use --data npz with float32.")
