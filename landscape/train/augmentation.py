"""Augmentation: random changes of a batch of images, on the device, from a stream of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from landscape import discovery
from landscape.dataset import Split

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
CHUNK = 512  # images that are augmented together where it is done once; what is drawn depends on it


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


def augmented(images: Tensor, by: str | Augmentation | None, *, seed: int = 0) -> Tensor:
    """Augment images once, in the same way every time: what batch-norm statistics of a network so trained come from.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W)
        On any device, of any dtype; as pixels, before they are decoded and normalized.
    by : str or callable
        As `augmentation` reads or returns it; the images themselves for the empty text and None.
    seed : int
        Of what is drawn, on the CPU.

    Returns
    -------
    Tensor of the same shape, dtype and device
        With the same bits on every device.

    Raises
    ------
    ValueError
        If the text cannot be read, or these are no images.

    Notes
    -----
    Memory of a second copy of the images. Border effects, such as the black margin of a crop, change the variance that
    the first layers see: refitted without them, statistics do not fit the weights.

    References
    ----------
    Izmailov et al. (2018), Averaging weights leads to wider optima and better generalization, arXiv:1803.05407, refit
    on a pass over the training data as they are loaded, hence augmented.

    Examples
    --------
    >>> bool((augmented(torch.ones(2, 1, 8, 8), "flip") == 1).all())
    True
    """
    change = augmentation(by) if isinstance(by, str) else by
    if change is None:
        return images
    generator, found = torch.Generator().manual_seed(seed), torch.empty_like(images)
    for start in range(0, len(images), CHUNK):
        found[start : start + CHUNK] = change(images[start : start + CHUNK], generator)
    return found


def reference(split: Split, by: str) -> Split | None:
    """Return a split with its images augmented once, for an `Objective` to refit from; None without augmentation."""
    return replace(split, inputs=augmented(torch.tensor(split.inputs), by).numpy()) if by else None


def recorded(training: Mapping[str, Any]) -> str:
    """Return the augmentation that a checkpoint's record of its training tells; empty if it tells none."""
    settings = training.get("settings")
    found = settings.get("augment") if isinstance(settings, Mapping) else None
    return found if isinstance(found, str) else ""


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
