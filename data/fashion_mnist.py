"""Fashion-MNIST: 70,000 pieces of clothing, 28 x 28, one channel."""

from landscape.data._idx import idx_dataset
from landscape.dataset import Dataset

ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def fashion_mnist(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load Fashion-MNIST from its four IDX files, gzipped or not.

    Parameters
    ----------
    root : path, optional
        Folder with the files; else ``$LANDSCAPE_DATA/fashion_mnist``, else the user's cache (downloaded when missing).
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
    Xiao, Rasul, Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747.
    """
    return idx_dataset("fashion_mnist", ADDRESS, CHECKSUMS, CLASSES, root=root, normalize=normalize, only=only)
