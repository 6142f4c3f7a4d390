"""Reading: every form of data gives the same examples, in order, and leaves the process as it was."""

from collections import UserDict

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from landscape.dataset import Split
from landscape.reading import Examples, read

X, Y = torch.randn(11, 3, generator=torch.Generator().manual_seed(0)), torch.arange(11) % 4


class Listed(Dataset):
    def __init__(self, convert=lambda x, y: (x, y)):
        self.convert = convert

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        if i >= len(X):
            raise IndexError
        return self.convert(X[i], Y[i])


class Streamed(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


def read_only():
    array = X.numpy().copy()
    array.setflags(write=False)
    return array


FORMS = {
    "pair": lambda: (X, Y),
    "list": lambda: [X, Y],
    "arrays": lambda: (read_only()[::-1][::-1], Y.numpy()),
    "mapping": lambda: {"x": X, "labels": Y},
    "dataset": lambda: TensorDataset(X, Y),
    "dataset of numbers": lambda: Listed(lambda x, y: (x.numpy(), int(y))),
    "subset": lambda: Subset(TensorDataset(X, Y), range(11)),
    "stream": Streamed,
    "loader": lambda: DataLoader(TensorDataset(X, Y), batch_size=4),
    "shuffling loader": lambda: DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True),
    "batches": lambda: list(zip(X.split(4), Y.split(4), strict=True)),
    "generator": lambda: ((x, y) for x, y in zip(X.split(3), Y.split(3), strict=True)),
    "batches of mappings": lambda: [
        UserDict(x=x, label=y, extra=None) for x, y in zip(X.split(4), Y.split(4), strict=True)
    ],
    "split": lambda: Split(X.numpy(), Y.numpy()),
    "examples": lambda: read((X, Y)),
}


def test_a_sampler_that_takes_other_examples_each_time_is_refused():
    weighted, data = WeightedRandomSampler(torch.ones(11), 11), TensorDataset(X, Y)
    for knobs in ({"sampler": weighted, "batch_size": 4}, {"batch_sampler": BatchSampler(weighted, 4, False)}):
        with pytest.raises(ValueError, match=r"same examples twice, got others from its (Weighted|Batch).*Sampler"):
            read(DataLoader(data, **knobs))
        assert read(DataLoader(data, **knobs), stochastic=True).size == 11
    assert read(DataLoader(data, 4, sampler=SubsetRandomSampler(range(7)))).size == 7


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_examples(form):
    before = torch.get_rng_state()
    data = FORMS[form]()
    found = read(data)
    assert torch.equal(torch.get_rng_state(), before)
    ((inputs, targets),) = found.segments
    inputs = inputs["x"] if isinstance(inputs, dict) else inputs
    torch.testing.assert_close(inputs, X)
    assert torch.equal(targets, Y)
    assert found.size == 11
    assert found.classes == ("0", "1", "2", "3")
    assert found.batch_size == (4 if "loader" in form else None)
    if "mapping" not in form:
        assert found.fingerprint() == read((X, Y)).fingerprint()


def test_fingerprints_differ_with_numbers_targets_formats_and_normalization():
    flipped = X.clone()
    flipped[0, 0] += 1
    others = [read((flipped, Y)), read((X, Y.flip(0))), read((X.double(), Y)), Examples(((X, Y),), (0.5,), (0.5,))]
    assert len({e.fingerprint() for e in [read((X, Y)), *others]}) == 5


def test_batches_of_different_lengths_stay_apart_and_in_order():
    batches = [
        (torch.ones(2, 5), torch.tensor([0, 1])),
        (torch.ones(3, 4), torch.tensor([2, 0, 1])),
        (torch.zeros(1, 4), torch.tensor([1])),
        (torch.zeros(0, 9), torch.zeros(0, dtype=torch.long)),
        (torch.ones(1, 5), torch.tensor([2])),
    ]
    found = read(batches)
    assert [tuple(x.shape) for x, _ in found.segments] == [(2, 5), (4, 4), (1, 5)]
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 1, 2]
    assert found.restrict(2).labels.tolist() == [2, 2]
    assert [len(y) for _, y in found.first(3).segments] == [2, 1]
    drawn = found.draw(4, seed=3)
    assert drawn.size == 4
    assert drawn.fingerprint() == found.draw(4, seed=3).fingerprint()
    assert found.draw(7, seed=3).fingerprint() == found.fingerprint()


def test_examples_that_do_not_stack_are_refused():
    with pytest.raises(ValueError, match=r"one shape that stack into batches.*collate_fn"):
        read(Listed(lambda x, y: (x[: 1 + y], y)))


def test_labels_are_class_indices_only():
    assert read((X, Y.float())).labels is None
    assert read((X, torch.randint(4, (11, 5)))).labels is None
    assert read((X, Y - 1)).labels is None
    assert read((X, Y * 1_000_000)).labels is None
    assert read((X, Y > 1)).labels.tolist() == (Y > 1).long().tolist()


def test_random_data_are_refused_unless_accepted():
    rng = np.random.default_rng(0)
    noises = [
        lambda x, y: (x + torch.randn(3), y),
        lambda x, y: (x.numpy() + rng.normal(size=3), y),
        lambda x, y: (x, float(rng.normal())),
    ]
    for noise in noises:
        with pytest.raises(ValueError, match=r"read the same twice.*stochastic=True"):
            read(Listed(noise))
    assert read(Listed(noises[0]), stochastic=True).size == 11
    missing = Listed(lambda x, y: (x * torch.nan, y))
    assert read(missing).size == 11  # NaN equals NaN here


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (42, "a DataLoader or an iterable of batches, got int"),
        ("data.npz", "got str"),
        (X, "got Tensor"),
        ({"x": X, "y": Y}, "an iterable of batches, got dict"),
        ([{"x": X, "y": Y}], "mapping with a key among labels, label, targets, target, got x, y"),
        ([X], "batches .inputs, targets. or mappings, got Tensor"),
        ((X, Y[:5]), r"one target for each input, got inputs of shape \(11, 3\) and targets of shape \(5,\)"),
        ([(X[0], Y[0])], "one target for each input"),
        ([(["a", "b"], Y[:2])], "numbers as inputs and targets"),
        ([], "at least one example, got none"),
    ],
)
def test_refusals(data, message):
    with pytest.raises(ValueError, match=message):
        read(data)
