"""Kuzushiji-MNIST: 70,000 cursive Japanese characters, 28 x 28, one channel."""

from landscape.data._idx import idx_dataset
from landscape.dataset import Dataset

ADDRESS = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:bdb82020997e1d708af4cf47b453dcf7",
    "train-labels-idx1-ubyte.gz": "md5:e144d726b3acfaa3e44228e80efcd344",
    "t10k-images-idx3-ubyte.gz": "md5:5c965bf0a639b31b8f53240b1b52f4d7",
    "t10k-labels-idx1-ubyte.gz": "md5:7320c461ea6c1c855c0b718fb2a4b134",
}
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def kmnist(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load Kuzushiji-MNIST from its four IDX files, gzipped or not.

    Parameters
    ----------
    root : path, optional
        Folder with the files; else ``$LANDSCAPE_DATA/kmnist``, else the user's cache (downloaded when missing).
    normalize : str
        ``dataset``, ``imagenet``, ``none`` or ``mean/std``.
    only : {"train", "test"}, optional
        Load one split alone; the files of the other may be missing.

    Returns
    -------
    Dataset
        60,000 and 10,000 images (N, 1, 28, 28) uint8.

    Raises
    ------
    OSError
        If files are missing and cannot be downloaded.
    ValueError
        If a file is damaged.

    References
    ----------
    Clanuwat et al. (2018), Deep learning for classical Japanese literature, arXiv:1812.01718.
    """
    return idx_dataset("kmnist", ADDRESS, CHECKSUMS, CLASSES, root=root, normalize=normalize, only=only)
