"""Contracts of batches, augmentation and evaluation."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape import losses
from landscape.dataset import Dataset
from landscape.train.augmentation import augmentation, crop, flip
from landscape.train.batches import Batches, Resident
from landscape.train.evaluation import evaluate
from landscape.train.streams import Streams

CPU = torch.device("cpu")


def resident(data, split="train", dtype=torch.float32):
    return Resident(data.split(split), dtype, CPU)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_pixels_stay_bytes_and_are_normalized_by_batch(pixels):
    data = resident(pixels, dtype=torch.float64)
    assert data.inputs.dtype == torch.uint8
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (pixels.mean, pixels.std))
    expected = (pixels.train[0][3:9] / 255 - mean) / std
    assert np.abs(data.batch(slice(3, 9)).inputs.numpy() - expected).max() < 1e-15


def test_an_epoch_holds_every_example_once_and_a_short_last_batch(toy):
    batches = Batches(resident(toy), 16, Streams(0))
    batches.shuffle()
    taken = [batches.take(i) for i in range(len(batches))]
    assert [len(batch) for batch in taken] == [16, 16, 16, 16, 6]
    rows = torch.cat([batch.inputs for batch in taken])
    assert torch.equal(rows.sort(0).values, torch.from_numpy(toy.train[0].copy()).sort(0).values)
    assert sum(batches.share(i) for i in range(5)) == pytest.approx(1)
    assert batches.share(4) == pytest.approx(6 / 70)


def test_order_changes_by_epoch_and_is_shared_by_seed(toy):
    a, b = (Batches(resident(toy), 16, Streams(3)) for _ in range(2))
    a.shuffle(), b.shuffle()
    first = a.order
    assert torch.equal(first, b.order)
    b.draw()  # a method that draws more batches sees the same order
    a.shuffle(), b.shuffle()
    assert torch.equal(a.order, b.order)
    assert not torch.equal(a.order, first)


def test_draws_leave_order_and_augmentation_alone(pixels):
    a, b = (Batches(resident(pixels), 8, Streams(1), augmentation("crop,flip")) for _ in range(2))
    b.draw()
    assert torch.equal(a.take(0).inputs, b.take(0).inputs)
    assert len(a.draw()) == 8


def test_crop_equals_padding_and_slicing():
    images = torch.arange(2 * 1 * 6 * 4, dtype=torch.uint8).view(2, 1, 6, 4)
    found = crop(2)(images, generator())
    assert found.dtype == images.dtype
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    for image, source in zip(found, padded, strict=True):
        windows = [source[:, i : i + 6, j : j + 4] for i in range(5) for j in range(5)]
        assert any(torch.equal(image, window) for window in windows)


def test_crop_reaches_every_place_and_pads_one_eighth():
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4, 4] = 1
    found = crop()(image.expand(500, 1, 8, 8), generator())
    assert set(map(tuple, found.nonzero()[:, 2:].tolist())) == {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}


def test_flip_mirrors_about_half():
    images = torch.rand(1000, 2, 3, 3)
    found = flip()(images, generator())
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(found, images, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(found, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 420 < sum(mirrored) < 580


@pytest.mark.parametrize(
    ("text", "match"),
    [("corp", "did you mean 'crop'"), ("crop=big", "number"), ("flip=-1", "at least 0")],
)
def test_bad_augmentations(text, match):
    with pytest.raises(ValueError, match=match):
        augmentation(text)


def test_nothing_to_augment():
    assert augmentation("") is None
    with pytest.raises(ValueError, match="images"):
        flip()(torch.zeros(3, 4), generator())


def test_evaluation_weighs_examples_not_chunks(toy):
    model = nn.Linear(5, 3)
    data = resident(toy)
    outputs = model(data.batch(slice(None)).inputs)
    expected = nn.functional.cross_entropy(outputs.double(), data.targets).item()
    accuracy = (outputs.argmax(1) == data.targets).double().mean().item()
    for chunk in (7, 64, 512):
        found = evaluate(model, data, losses.loss("cross_entropy"), chunk=chunk)
        assert found["loss"] == pytest.approx(expected, rel=1e-6)
        assert found["accuracy"] == accuracy


def test_evaluation_leaves_every_mode_as_it_was(toy, noisy_network):
    noisy_network.train()
    noisy_network[1].eval()
    buffers = {name: b.clone() for name, b in noisy_network.named_buffers() if "seen" not in name}
    evaluate(noisy_network, resident(toy), losses.loss("cross_entropy"))
    assert noisy_network.training
    assert not noisy_network[1].training
    assert all(torch.equal(b, buffers[name]) for name, b in noisy_network.named_buffers() if name in buffers)


def test_regression_has_no_accuracy():
    data = Dataset("line", train=(np.eye(4, dtype=np.float32), np.ones((4, 1))), task="regression")
    found = evaluate(nn.Linear(4, 1), resident(data), losses.loss("mse"))
    assert found["accuracy"] is None
