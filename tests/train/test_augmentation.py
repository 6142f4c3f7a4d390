"""Images that are augmented once: the same every time, and each one what an augmentation may make of it."""

import pytest
import torch
from torch.nn import functional

from landscape.train.augmentation import CHUNK, augmentation, augmented, recorded, reference


def images(count=CHUNK + 37, dtype=torch.uint8):
    return torch.randint(1, 256, (count, 2, 6, 4), generator=torch.Generator().manual_seed(0)).to(dtype)


def test_every_image_is_a_window_of_itself_mirrored_or_not():
    given = images(40)
    padded = functional.pad(given, (1, 1, 1, 1))
    for source, found in zip(padded, augmented(given, "crop=1,flip"), strict=True):
        windows = [source[:, i : i + 6, j : j + 4] for i in range(3) for j in range(3)]
        assert any(torch.equal(found, one) or torch.equal(found, one.flip(-1)) for one in windows)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_it_is_done_in_the_same_way_every_time_and_the_images_stay(dtype):
    given = images(dtype=dtype)
    before, random = given.clone(), torch.get_rng_state()
    first = augmented(given, "crop=1,flip")
    assert (first.dtype, first.shape) == (given.dtype, given.shape)
    assert torch.equal(first, augmented(given, augmentation("crop=1,flip")))
    assert torch.equal(first, augmented(images().to(dtype), "crop=1,flip"))
    assert not torch.equal(first, augmented(given, "crop=1,flip", seed=1))
    assert torch.equal(given, before)
    assert torch.equal(torch.get_rng_state(), random)


def test_chunks_draw_from_one_stream():
    given, generator, change = images(), torch.Generator().manual_seed(3), augmentation("flip")
    assert change is not None
    parts = [change(part, generator) for part in given.split(CHUNK)]
    assert len(parts) == 2
    assert torch.equal(augmented(given, "flip", seed=3), torch.cat(parts))


def test_no_augmentation_leaves_images_and_anything_else(toy):
    vectors = torch.from_numpy(toy.train[0].copy())
    assert augmented(vectors, "") is vectors
    assert augmented(vectors, None) is vectors
    assert reference(toy.split("train"), "") is None
    with pytest.raises(ValueError, match="images only"):
        augmented(vectors, "flip")


def test_a_split_keeps_all_but_its_images(pixels):
    split = pixels.split("train")
    found = reference(split, "crop,flip")
    assert found is not None
    assert torch.equal(torch.tensor(found.inputs), augmented(torch.tensor(split.inputs), "crop,flip"))
    assert (found.mean, found.std, found.name) == (split.mean, split.std, split.name)
    assert (found.targets == split.targets).all()


@pytest.mark.parametrize(("training", "expected"), [
    ({"settings": {"augment": "crop,flip"}}, "crop,flip"),
    ({"settings": {"augment": ""}}, ""), ({"settings": {"augment": None}}, ""), ({"settings": "crop"}, ""), ({}, ""),
])  # fmt: skip
def test_what_a_record_of_training_tells(training, expected):
    assert recorded(training) == expected
