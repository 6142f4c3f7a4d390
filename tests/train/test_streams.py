"""Contracts: streams are independent of one another, the same for every method, and can be kept."""

import pytest
import torch

from landscape.train.streams import NAMES, Streams, seed_of, seeded

CPU = torch.device("cpu")


def drawn(generator, n=4):
    return torch.rand(n, generator=generator).tolist()


def test_all_streams_differ_within_and_between_seeds():
    names = [*NAMES, "init", "dropout"]
    assert len({seed_of(seed, name) for seed in range(5) for name in names}) == 5 * len(names)
    assert len({tuple(drawn(Streams(seed)[name])) for seed in range(5) for name in NAMES}) == 5 * len(NAMES)


def test_seeds_are_fixed_for_all_time():
    assert seed_of(0, "order") == 0x91374D56F0AE015B  # another value would change every trained network


@pytest.mark.parametrize("name", NAMES)
def test_drawing_from_one_stream_leaves_the_others(name):
    quiet, busy = Streams(7), Streams(7)
    drawn(busy[name], 1000)
    with busy.dropout():
        torch.rand(1000)
    for other in set(NAMES) - {name}:
        assert drawn(quiet[other]) == drawn(busy[other])


def test_dropout_stream_stays_inside_and_goes_on():
    before = torch.get_rng_state()
    streams, twin = Streams(1), Streams(1)
    with streams.dropout():
        first, second = torch.rand(3), torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with twin.dropout():
        assert torch.equal(torch.rand(3), first)
    with twin.dropout():
        assert torch.equal(torch.rand(3), second)


def test_initialization_depends_on_the_seed_alone():
    def weights(seed):
        with seeded(seed):
            return torch.nn.Linear(3, 3).weight

    before = torch.get_rng_state()
    assert torch.equal(weights(4), weights(4))
    assert not torch.equal(weights(4), weights(5))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_kept_state_goes_on_exactly():
    streams, resumed = Streams(2), Streams(99)
    with streams.dropout():
        torch.rand(5)
        drawn(streams["order"])
        state = streams.state_dict()
        expected = torch.rand(5), drawn(streams["order"]), drawn(streams["perturb"])
    resumed.load_state_dict(state)
    with resumed.dropout():
        assert torch.equal(torch.rand(5), expected[0])
    assert (drawn(resumed["order"]), drawn(resumed["perturb"])) == expected[1:]
