"""Mean and standard deviation of pixels in [0, 1]: the published constants, in one place."""

from collections.abc import Sequence

Constants = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Constants = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

#: Over the training images, to the digits that papers and published checkpoints use.
PUBLISHED: dict[str, Constants] = {
    "digits": ((0.3053,), (0.3760,)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "kmnist": ((0.1918,), (0.3483,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
}


def normalization(spec: str | Sequence[Sequence[float]] | None, name: str) -> Constants | tuple[None, None]:
    """Turn the `normalize` knob into mean and standard deviation per channel.

    Parameters
    ----------
    spec : {"dataset", "imagenet", "none"}, "m1,m2,m3/s1,s2,s3", or pair (mean, std)
        ``"dataset"`` takes the published constants of `name`; ``"none"`` leaves pixels in [0, 1].
    name : str
        Name of the data set.

    Returns
    -------
    mean, std : tuples of floats, or None and None

    Raises
    ------
    ValueError
        If the text cannot be read, or `name` has no published constants.

    Examples
    --------
    >>> normalization("dataset", "mnist")
    ((0.1307,), (0.3081,))
    >>> normalization("0.5/0.25", "mnist")
    ((0.5,), (0.25,))
    """
    if spec is None or spec == "none":
        return None, None
    if spec == "imagenet":
        return IMAGENET
    if spec == "dataset":
        if name not in PUBLISHED:
            raise ValueError(
                f"Expected published constants for normalize='dataset', got none for {name!r}: "
                "use normalize=none, imagenet, or the numbers themselves, as in 0.5,0.5,0.5/0.2,0.2,0.2."
            )
        return PUBLISHED[name]
    return _explicit(spec)


def _explicit(spec: str | Sequence[Sequence[float]]) -> Constants:
    try:
        sides = [side.split(",") for side in spec.split("/")] if isinstance(spec, str) else spec
        mean, std = (tuple(float(value) for value in side) for side in sides)
    except (TypeError, ValueError):
        raise ValueError(
            f"Expected normalize=dataset, imagenet, none, or mean/std as in 0.5,0.5,0.5/0.2,0.2,0.2, got {spec!r}: "
            "choose one of these."
        ) from None
    return mean, std


def normalize_argument(spec: str | Sequence[Sequence[float]] | None) -> str:
    """Write the `normalize` knob as the text that `normalization` reads, for `origin`.

    Examples
    --------
    >>> normalize_argument(((0.5, 0.5), (0.25, 0.2)))
    '0.5,0.5/0.25,0.2'
    """
    if spec is None:
        return "none"
    if isinstance(spec, str):
        return spec
    return "/".join(",".join(repr(float(value)) for value in side) for side in spec)
