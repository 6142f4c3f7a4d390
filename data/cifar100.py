"""CIFAR-100: 60,000 colour images, 32 x 32, a hundred classes."""

from landscape.data._cifar import Layout, cifar_dataset
from landscape.data._download import Remote
from landscape.dataset import Dataset

CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905 - a hundred quoted words are harder to check
)

LAYOUT = Layout(
    name="cifar100",
    batches={"train": ("train",), "test": ("test",)},
    label_key="fine_labels",
    label_bytes=2,
    folders=("cifar-100-python", "cifar-100-binary"),
    archives=("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
    remote=Remote(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "md5:eb9058c3a382ffc7106e4002c42a8d85",
    ),
    classes=CLASSES,
)


def cifar100(*, root: str | None = None, normalize: str = "dataset", only: str | None = None) -> Dataset:
    """Load CIFAR-100 (fine labels) from python batches, binary batches, an archive of either, or a .npz.

    Parameters
    ----------
    root : path, optional
        A folder with any of these forms in it, or the .tar.gz or .npz itself (train_x, train_y, test_x, test_y);
        else ``$LANDSCAPE_DATA/cifar100``, else the user's cache (downloaded when missing, 169 MB).
    normalize : str
        ``dataset``, ``imagenet``, ``none`` or ``mean/std``.
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

    References
    ----------
    Krizhevsky (2009), Learning multiple layers of features from tiny images, University of Toronto.
    """
    return cifar_dataset(LAYOUT, root=root, normalize=normalize, only=only)
