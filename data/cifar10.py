"""CIFAR-10: 60,000 colour images, 32 x 32, ten classes."""

from landscape.data._cifar import Layout, cifar_dataset
from landscape.data._download import Remote
from landscape.dataset import Dataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

LAYOUT = Layout(
    name="cifar10",
    batches={"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
    label_key="labels",
    label_bytes=1,
    folders=("cifar-10-batches-py", "cifar-10-batches-bin"),
    archives=("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    remote=Remote(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
    classes=CLASSES,
)


def cifar10(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load CIFAR-10 from python batches, binary batches, an archive of either, or a .npz.

    Parameters
    ----------
    root : path, optional
        A folder with any of these forms in it, or the .tar.gz or .npz itself (train_x, train_y, test_x, test_y);
        else ``$LANDSCAPE_DATA/cifar10``, else the user's cache (downloaded when missing, 170 MB).
    normalize : str
        ``dataset``, ``imagenet``, ``none`` or ``mean/std``. Published checkpoints differ: akamaster's ResNets
        were trained with ``imagenet``.
    only : {"train", "test"}, optional
        Load one split alone; the files of the other may be missing.

    Returns
    -------
    Dataset
        50,000 and 10,000 images (N, 3, 32, 32) uint8, or as many as the .npz holds.

    Raises
    ------
    OSError
        If files are missing and cannot be downloaded.
    ValueError
        If a file is damaged, or a pickle asks for anything but arrays: it is refused, not run.

    Notes
    -----
    Archives are read in place, never extracted. In a folder the first of these is taken: python batches, binary
    batches (there or in the folder that the archive unpacks to), the archives, the only .npz of whatever name.

    References
    ----------
    Krizhevsky (2009), Learning multiple layers of features from tiny images, University of Toronto.
    """
    return cifar_dataset(LAYOUT, root=root, normalize=normalize, only=only)
