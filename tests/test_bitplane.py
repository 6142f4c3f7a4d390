"""The plane through a network and its quantizations: a twin by least squares, and which widths span it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from landscape import directions
from landscape.engine.network import Network
from landscape.quantize.layers import chosen
from landscape.quantize.surfaces import rounded


@pytest.fixture
def objective():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    network = Network(model, "*", torch.float64, torch.device("cpu"))
    return SimpleNamespace(
        theta=network.pack(network.model), dim=network.dim, blocks=network.blocks, pack=network.pack,
        unpack=network.unpack, axes=chosen(model),
    )  # fmt: skip


@pytest.fixture
def widths(objective):
    own = objective.unpack(objective.theta)
    return {bits: objective.pack(rounded(own, objective.axes, {}, bits)) for bits in (8, 6, 4, 3, 2, 1)}


def test_the_plane_goes_through_w_and_two_widths_and_projects_the_others(objective, widths):
    frame = directions.bitplane(objective, widths)
    gram = frame.vectors @ frame.vectors.T
    torch.testing.assert_close(gram, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert frame.marks is not None
    assert frame.marks.names == ("w", "Q8", "Q6", "Q4", "Q3", "Q2", "Q1")
    assert frame.record["spanning"] == [4, 2]
    spanned = torch.stack([widths[2] - objective.theta, widths[4] - objective.theta]).numpy()
    for name, place, residual in zip(frame.marks.names, frame.marks.coordinates, frame.marks.residual, strict=True):
        offset = ((objective.theta if name == "w" else widths[int(name[1:])]) - objective.theta).numpy()
        mix, *_ = np.linalg.lstsq(spanned.T, offset, rcond=None)
        np.testing.assert_allclose(place @ frame.vectors.numpy(), mix @ spanned, atol=1e-10)
        assert residual == pytest.approx(np.linalg.norm(offset - mix @ spanned), abs=1e-10)
    off = dict(zip(frame.marks.names, frame.marks.residual, strict=True))
    assert off["Q4"] == pytest.approx(0, abs=1e-10)
    assert off["Q3"] > 0.5 * frame.record["distance"]["3"]


@pytest.mark.parametrize(
    ("given", "spanning"),
    [((8, 4, 3, 2), [4, 2]), ((8, 3, 2), [3, 2]), ((8, 6, 3), [6, 3]), ((8, 2), [8, 2]), ((4, 3, 1), [4, 1])],
)
def test_by_default_two_widths_far_apart_span_the_plane(objective, widths, given, spanning):
    far = {bits: float((widths[bits] - objective.theta).norm()) for bits in given}
    fine, coarse = directions.bitplane(objective, {bits: widths[bits] for bits in given}).record["spanning"]
    assert [fine, coarse] == spanning
    closer = [bits for bits in given if bits > fine]
    assert coarse == 2 or all(far[bits] < 0.1 * far[coarse] for bits in closer)


def test_other_widths_span_it_when_asked_to(objective, widths):
    frame = directions.bitplane(objective, widths, spanning=(3, 8))
    assert frame.record["spanning"] == [8, 3]
    assert frame.labels == ("toward Q3", "toward Q8, orthogonalized")
    assert frame.extent() is not None


def test_widths_that_span_nothing_are_refused(objective, widths):
    with pytest.raises(ValueError, match="two widths or more"):
        directions.bitplane(objective, {4: widths[4]})
    with pytest.raises(ValueError, match="three on one line"):
        directions.bitplane(objective, {4: widths[4], 2: 2 * widths[4] - objective.theta})
