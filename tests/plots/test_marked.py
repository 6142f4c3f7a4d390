"""What is marked on a plane: runs, single checkpoints and curves of results new and old, and heights between points."""

import numpy as np
import pytest

from landscape.plots import marked


@pytest.fixture
def make_marked(make_surface):
    """A surface with two runs, one that is recorded half as often, a single checkpoint and two of a folder."""

    def make(**changes):
        names = [*(f"epoch-{k:04d}" for k in (0, 1, 2, 0, 2)), "swa", "fge/member-01", "fge/member-02"]
        arrays = {
            "checkpoint": names, "checkpoint_run": ["r1"] * 3 + ["r2"] * 2 + [""] * 3,
            "checkpoint_a": np.linspace(-0.9, 0.9, 8), "checkpoint_b": np.linspace(-0.4, 0.9, 8),
            "checkpoint_residual": [2.0, 1.0, 0.0, 3.0, 0.0, 0.5, 1e-9, 0.0],
        }  # fmt: skip
        return make_surface(**arrays | changes)

    return make


def test_runs_single_checkpoints_and_folders_are_told_apart(make_marked):
    surface = make_marked()
    runs, alone = marked.runs(surface), marked.alone(surface)
    assert [(run.name, len(run.names)) for run in runs] == [("r1", 3), ("r2", 2)]
    assert [(track.name, track.names) for track in alone] == [
        ("", ["swa"]), ("fge", ["fge/member-01", "fge/member-02"])
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[1].a, surface.checkpoint_a[3:5])
    assert runs[0].told() == "r1 (up to 2 off the plane)"
    assert alone[1].told() == "fge"  # by no more than rounding
    assert marked.outside(surface) == ""


def test_what_the_grid_does_not_reach_is_counted(make_marked):
    surface = make_marked(checkpoint_a=[-1.1, *np.zeros(6), 1.2])
    assert marked.outside(surface) == "2 of 8 checkpoints off the grid"


@pytest.mark.parametrize(("kind", "run"), [("principal", True), ("random", True), ("between", False)])
def test_files_that_do_not_tell_runs_are_understood_by_their_plane(make_surface, kind, run):
    surface = make_surface(trajectory=True, origin={"directions": {"kind": kind}})
    assert [track.name for track in marked.runs(surface)] == ["trajectory"] * run
    assert [track.names for track in marked.alone(surface)] == [["0", "5", "10"]] * (not run)
    assert marked.runs(make_surface()) == marked.alone(make_surface()) == marked.curves(make_surface()) == []


def test_moments_are_epochs_where_checkpoints_are_numbered(make_marked):
    assert marked.steps(marked.runs(make_marked())) == [("epoch 0", [1, 1]), ("epoch 1", [2, 1]), ("epoch 2", [3, 2])]


def test_moments_are_places_where_they_are_not(make_marked):
    surface = make_marked(checkpoint=["init", "mid", "end", "init", "end", "swa", "f/x", "f/y"])
    runs = marked.runs(surface)
    assert marked.steps(runs) == [
        ("checkpoint 1 of 3", [1, 1]), ("checkpoint 2 of 3", [2, 2]), ("checkpoint 3 of 3", [3, 2])
    ]  # fmt: skip
    assert marked.steps(runs[:1]) == [("init", [1]), ("mid", [2]), ("end", [3])]


def test_heights_of_a_bilinear_function_are_exact(make_surface):
    surface = make_surface()
    a, b = np.meshgrid(surface.a, surface.b, indexing="ij")
    values = 1 + 2 * a - 3 * b + 5 * a * b
    x, y = np.random.default_rng(0).uniform([-1, -0.5], [1, 1], (50, 2)).T
    np.testing.assert_allclose(marked.height(surface, values, x, y), 1 + 2 * x - 3 * y + 5 * x * y, rtol=1e-12)
    corners = marked.height(surface, values, surface.a[[0, -1, -1]], surface.b[[0, -1, 2]])
    np.testing.assert_allclose(corners, values[[0, -1, -1], [0, -1, 2]], rtol=1e-12)
    assert np.isnan(marked.height(surface, values, np.array([-1.01, 0]), np.array([0, 1.01]))).all()


def test_heights_beside_what_is_not_finite_are_not_finite(make_surface):
    values = np.ones((9, 6))
    values[4, 2] = np.nan
    surface = make_surface()
    found = marked.height(surface, values, surface.a[[3, 4]] + 0.01, surface.b[[2, 2]])
    assert np.isnan(found).all()
    assert marked.height(surface, values, surface.a[[5]], surface.b[[2]]) == 1
