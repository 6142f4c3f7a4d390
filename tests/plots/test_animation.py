"""Training as a moving picture."""

import numpy as np
import pytest
from PIL import Image

from landscape.plots import ours
from landscape.plots.animation import LAST, MOMENT, animation


@pytest.fixture
def make_runs(make_surface):
    def make(count=4, runs=2, points=(9, 6), **changes):
        angle = np.linspace(0, 2, runs * count)
        return make_surface(
            points, checkpoint=[f"epoch-{k:04d}" for _ in range(runs) for k in range(count)],
            checkpoint_run=[f"r{k}" for k in range(runs) for _ in range(count)], checkpoint_a=0.5 * np.cos(3 * angle),
            checkpoint_b=0.5 * np.sin(2 * angle), checkpoint_residual=np.linspace(1, 0, runs * count), **changes,
        )  # fmt: skip

    return make


def pictures(path):
    found = []
    with Image.open(path) as file:
        for k in range(file.n_frames):
            file.seek(k)
            found.append((np.asarray(file.convert("RGB")).astype(int), file.info["duration"]))
    return found


def test_a_picture_for_every_checkpoint_the_last_one_longest(make_runs, tmp_path):
    animation(make_runs(), tmp_path / "t.gif")
    found = pictures(tmp_path / "t.gif")
    assert [round(spell / 1000, 3) for _, spell in found] == [MOMENT] * 3 + [LAST]
    shots = np.stack([shot for shot, _ in found])
    changed = (np.abs(np.diff(shots, axis=0)).max(-1) > 40).mean((1, 2))
    assert (changed > 0).all()
    assert (changed < 0.1).all()  # runs and the caption alone


def test_it_is_ours_the_same_every_time_and_replaced_whole(make_runs, tmp_path):
    for name in ("one", "two"):
        animation(make_runs(), tmp_path / f"{name}.gif")
    first = (tmp_path / "one.gif").read_bytes()
    assert first == (tmp_path / "two.gif").read_bytes()
    assert ours(tmp_path / "one.gif")
    with pytest.raises(ValueError, match="Expected a quantity"):
        animation(make_runs(), tmp_path / "one.gif", quantity="hat")
    assert (tmp_path / "one.gif").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.gif", "two.gif"]


def test_thirty_checkpoints_are_a_small_file(make_runs, tmp_path):
    animation(make_runs(30, 3, (51, 51)), tmp_path / "t.gif")
    assert (tmp_path / "t.gif").stat().st_size < 2e6


@pytest.mark.parametrize("knobs", [{"venue": "slides"}, {"quantity": "accuracy", "split": "test"}, {"title": ""}])
def test_knobs_of_the_picture(make_runs, tmp_path, knobs):
    animation(make_runs(2, 4), tmp_path / "t.gif", **knobs)
    assert len(pictures(tmp_path / "t.gif")) == 2


def test_what_has_no_run_cannot_move(make_surface, make_line, make_runs, tmp_path):
    lone = make_surface(trajectory=True, origin={"directions": {"kind": "between"}})
    for result in (make_surface(), lone, make_line()):
        with pytest.raises(ValueError, match="Expected a surface with a run to animate, got a (surface|line) without"):
            animation(result, tmp_path / "t.gif")
    with pytest.raises(ValueError, match="ending in .gif"):
        animation(make_runs(), tmp_path / "t.png")
    assert not list(tmp_path.iterdir())
