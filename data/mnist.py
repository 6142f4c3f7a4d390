"""MNIST: 70,000 handwritten digits, 28 x 28, one channel."""

from landscape.data._idx import idx_dataset
from landscape.dataset import Dataset

ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}


def mnist(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load MNIST from its four IDX files, gzipped or not.

    Parameters
    ----------
    root : path, optional
        Folder with the files; else ``$LANDSCAPE_DATA/mnist``, else the user's cache (downloaded when missing).
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
    LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition, Proc. IEEE 86(11).
    """
    classes = [str(digit) for digit in range(10)]
    return idx_dataset("mnist", ADDRESS, CHECKSUMS, classes, root=root, normalize=normalize, only=only)
