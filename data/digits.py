"""Handwritten digits that come with scikit-learn: 1,797 images, 8 x 8; nothing to download."""

import numpy as np

from landscape.data._normalization import normalization, normalize_argument
from landscape.dataset import Dataset

SEED = 0  # of the split; fixed, so that every result in the world speaks of the same test images
TEST_FRACTION = 0.2


def digits(*, root: str | None = None, normalize: str = "dataset") -> Dataset:
    """Load the digits of scikit-learn, split once and for all.

    Parameters
    ----------
    root : None
        Not used: the images come with scikit-learn.
    normalize : str
        ``dataset`` (mean 0.3053, standard deviation 0.3760), ``none`` or ``mean/std``.

    Returns
    -------
    Dataset
        1,438 training and 359 test images (N, 1, 8, 8) float32 in [0, 1].

    Notes
    -----
    The pixels are counts from 0 to 16; value / 16 is exact in float32, which value * 255 / 16 in uint8 would not be.
    The split is stratified: of each class, one fifth (rounded) is drawn for the test with NumPy's
    frozen generator ``RandomState(0)``, class after class. Both splits keep the order of scikit-learn.

    References
    ----------
    Alpaydin, Kaynak (1998), Optical recognition of handwritten digits, UCI machine learning repository.
    """
    from sklearn.datasets import load_digits  # takes a second to import

    images, labels = load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    held = _held_out(labels)
    mean, std = normalization(normalize, "digits")
    return Dataset(
        "digits",
        train=(inputs[~held], labels[~held]),
        test=(inputs[held], labels[held]),
        classes=tuple(str(digit) for digit in range(10)),
        mean=mean,
        std=std,
        origin={"name": "digits", "arguments": {"normalize": normalize_argument(normalize)}},
    )


def _held_out(labels: np.ndarray) -> np.ndarray:
    random = np.random.RandomState(SEED)  # noqa: NPY002 - the only generator whose stream NumPy froze
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        held[members[: round(TEST_FRACTION * len(members))]] = True
    return held
