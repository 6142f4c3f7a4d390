"""SVHN: street view house numbers, 32 x 32, three channels, cropped digits."""

from pathlib import Path

import numpy as np

from landscape.data._download import Remote, fetch, place, wanted
from landscape.data._normalization import normalization, normalize_argument
from landscape.dataset import Dataset

ADDRESS = "http://ufldl.stanford.edu/housenumbers/"
REMOTES = {
    "train": Remote("train_32x32.mat", ADDRESS + "train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test": Remote("test_32x32.mat", ADDRESS + "test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3"),
}


def svhn(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load the cropped digits of SVHN from ``train_32x32.mat`` and ``test_32x32.mat``.

    Parameters
    ----------
    root : path, optional
        Folder with the files; else ``$LANDSCAPE_DATA/svhn``, else the user's cache (downloaded when missing, 246 MB).
    normalize : str
        ``dataset``, ``imagenet``, ``none`` or ``mean/std``.
    only : {"train", "test"}, optional
        Load one split alone; the file of the other may be missing.

    Returns
    -------
    Dataset
        73,257 and 26,032 images (N, 3, 32, 32) uint8. The label of a digit is the digit: the files write 10 for 0.

    Raises
    ------
    OSError
        If files are missing and cannot be downloaded.
    ValueError
        If a file is damaged.

    References
    ----------
    Netzer et al. (2011), Reading digits in natural images with unsupervised feature learning, NIPS workshop.
    """
    splits, folder = wanted(only), place("svhn", root)
    paths = fetch("svhn", folder, [REMOTES[split] for split in splits], download=root is None)
    mean, std = normalization(normalize, "svhn")
    arguments = {"root": str(folder), "normalize": normalize_argument(normalize), "only": only}
    return Dataset(
        "svhn",
        **{"train": None, **{split: _read(path) for split, path in zip(splits, paths, strict=True)}},
        classes=tuple(str(digit) for digit in range(10)),
        mean=mean,
        std=std,
        origin={"name": "svhn", "arguments": arguments},
    )


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    with open(path, "rb") as stream:
        try:
            table = loadmat(stream, variable_names=("X", "y"))
            images, labels = table["X"], table["y"]
        except Exception as error:  # a damaged .mat raises a dozen kinds of error
            raise ValueError(
                f"Expected a .mat file with X and y in {path}, got {type(error).__name__}: {error}: "
                "fetch the file again."
            ) from error
    if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"Expected X of bytes and shape (32, 32, 3, examples) in {path}, got {images.dtype} of {images.shape}: "
            "use the cropped digits (format 2)."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Expected integer labels y in {path}, got {labels.dtype}: fetch the file again.")
    labels = labels.astype(np.int64).ravel()
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), np.where(labels == 10, 0, labels)
