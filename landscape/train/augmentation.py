"""Augmentation: random changes of a batch of images, on the device, from a stream of their own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from landscape import discovery

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def crop(padding: int | None = None) -> Augmentation:
    """Pad every side of an image with zeros and cut the old size out at a random place.

    Parameters
    ----------
    padding : int, pixels, optional
        By default one eighth of the shorter side: 4 for CIFAR's 32 pixels, 1 for the 8 of the digits.

    Returns
    -------
    callable (images (B, C, H, W), generator) -> images of the same shape and dtype
    """

    def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, height, width = _images(images, "crop")
        by = min(height, width) // 8 if padding is None else padding
        corner = torch.randint(0, 2 * by + 1, (2, batch, 1), generator=generator)
        rows = (corner[0] + torch.arange(height)).to(images.device)
        columns = (corner[1] + torch.arange(width)).to(images.device)
        padded = functional.pad(images, (by, by, by, by)).movedim(1, -1)
        which = torch.arange(batch, device=images.device)[:, None, None]
        return padded[which, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)

    return augmented


def flip(share: float = 0.5) -> Augmentation:
    """Mirror a share of the images left to right.

    Returns
    -------
    callable (images (B, C, H, W), generator) -> images of the same shape and dtype
    """

    def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
        batch = _images(images, "flip")[0]
        chosen = (torch.rand(batch, generator=generator) < share).to(images.device)
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)

    return augmented


AUGMENTATIONS = {f.__name__: f for f in (crop, flip)}


def augmentation(text: str) -> Augmentation | None:
    """Read a list such as ``crop,flip`` or ``crop=2``; nothing for the empty text.

    Raises
    ------
    ValueError
        If a name is unknown or a number cannot be read.

    Examples
    --------
    >>> augmentation("crop,flip")(torch.ones(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    chain = [_one(name.strip()) for name in text.split(",") if name.strip()]
    if not chain:
        return None

    def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
        for one in chain:
            images = one(images, generator)
        return images

    return augmented


def _one(text: str) -> Augmentation:
    name, equals, value = text.partition("=")
    if name not in AUGMENTATIONS:
        raise ValueError(
            f"Expected augmentations among {', '.join(AUGMENTATIONS)}, got {name!r}"
            f"{discovery.did_you_mean(name, list(AUGMENTATIONS))}: give a list such as crop,flip."
        )
    if not equals:
        return AUGMENTATIONS[name]()
    read = {"crop": int, "flip": float}[name]
    try:
        number = read(value)
    except ValueError as error:
        raise ValueError(f"Expected a number in {text!r}, got {value!r}: write it as crop=4 or flip=0.5.") from error
    if number < 0:
        raise ValueError(f"Expected a number of at least 0 in {text!r}, got {value}: raise it.")
    return AUGMENTATIONS[name](number)


def _images(images: Tensor, name: str) -> torch.Size:
    if images.ndim != 4:
        raise ValueError(
            f"Expected images of shape (batch, channels, height, width) to {name}, got {tuple(images.shape)}: "
            "augment images only."
        )
    return images.shape
