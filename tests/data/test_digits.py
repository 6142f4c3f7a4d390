import numpy as np
import pytest
from sklearn.datasets import load_digits

from landscape.data.digits import digits

FINGERPRINTS = {
    "train": "6ee6b51cefc1ddb89a82ecca9b51bdeb1b5371539e0bba76417a0d53f41e07dc",
    "test": "4c796271f0e56a313cd47f5adc261d6b8078812ca8861687799fd02e734ca7cb",
}


@pytest.fixture(scope="module")
def data():
    return digits()


def test_the_split_is_the_same_everywhere_and_for_ever(data):
    assert {split: data.fingerprint(split) for split in data.splits} == FINGERPRINTS
    assert repr(data) == "Dataset(digits, train=1438, test=359, shape=(1, 8, 8), classes=10)"
    assert data.origin == {"name": "digits", "arguments": {"normalize": "dataset"}}


def test_pixels_are_exact_and_every_image_is_in_one_split(data):
    images, labels = load_digits(return_X_y=True)
    both = [np.concatenate([getattr(data, split)[part] for split in data.splits]) for part in (0, 1)]
    assert both[0].dtype == np.float32
    mine = np.column_stack([both[0].reshape(-1, 64).astype(float) * 16, both[1]])
    theirs = np.column_stack([images, labels])
    assert (mine[np.lexsort(mine.T)] == theirs[np.lexsort(theirs.T)]).all()


def test_the_split_is_stratified(data):
    counts = {split: np.bincount(data.split(split).targets) for split in data.splits}
    assert (counts["test"] == np.round(0.2 * (counts["test"] + counts["train"]))).all()


def test_the_constants_are_those_of_the_pixels(data):
    pixels = np.concatenate([data.train[0], data.test[0]]).astype(float)
    assert data.mean == (round(pixels.mean(), 4),)
    assert data.std == (round(pixels.std(), 4),)
