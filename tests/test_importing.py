import h5py
import numpy as np
import pytest

from landscape.importing import goldstein
from landscape.probes.line import Line


def as_they_write(path, x, y, loss):
    """Store a function of (x, y) as Li et al.'s script does: points numbered by rows of y, in an array (x, y)."""
    xs, ys = np.meshgrid(x, y)
    values = np.full((len(x), len(y)), -1.0)
    for k, (a, b) in enumerate(zip(xs.ravel(), ys.ravel(), strict=True)):
        values.ravel()[k] = loss(a, b)
    with h5py.File(path, "w") as file:
        file["dir_file"] = "directions.h5"
        file["xcoordinates"], file["ycoordinates"] = x, y
        file["train_loss"], file["train_acc"] = values, 100 * np.exp(-values)
    return values


@pytest.mark.parametrize("sizes", [(5, 5), (7, 3)])
def test_a_plane_comes_back_unscrambled(tmp_path, sizes):
    x, y = np.linspace(-1, 1, sizes[0]), np.linspace(-0.5, 2, sizes[1])
    as_they_write(tmp_path / "s.h5", x, y, lambda a, b: 1 + a**2 + 0.3 * b)
    surface = goldstein(tmp_path / "s.h5")
    a, b = np.meshgrid(surface.a, surface.b, indexing="ij")
    np.testing.assert_allclose(surface.loss[0], 1 + a**2 + 0.3 * b)
    np.testing.assert_allclose(surface.accuracy[0], np.exp(-surface.loss[0]))
    assert list(surface.split) == ["train"]
    assert np.isnan(surface.loss_error).all()
    assert np.isnan(surface.cosine)


def test_points_never_evaluated_are_nan_and_zero_is_a_value(tmp_path):
    x, y = np.linspace(-1, 1, 3), np.linspace(-1, 1, 2)
    as_they_write(tmp_path / "s.h5", x, y, lambda a, b: -1.0 if (a, b) == (1, -1) else 0.0)
    loss = goldstein(tmp_path / "s.h5").loss[0]
    assert np.isnan(loss[2, 0])
    assert (np.delete(loss.ravel(), 4) == 0).all()


def test_a_line_with_both_splits(tmp_path):
    with h5py.File(tmp_path / "l.h5", "w") as file:
        file["xcoordinates"] = np.linspace(-1, 1, 4)
        file["train_loss"], file["test_loss"] = np.arange(4.0), np.arange(4.0) + 1
    line = goldstein(tmp_path / "l.h5")
    assert isinstance(line, Line)
    assert line.loss.shape == (2, 4)
    assert line.accuracy is None


def test_an_import_is_saved_drawn_and_summarized(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from landscape import load
    from landscape.plots.export import table
    from landscape.plots.figure import figure

    as_they_write(tmp_path / "s.h5", np.linspace(-1, 1, 5), np.linspace(-1, 1, 4), lambda a, b: 1 + a**2 + b**2)
    goldstein(tmp_path / "s.h5").save(tmp_path / "ours.h5")
    surface = load(tmp_path / "ours.h5")
    figure(surface).draw_without_rendering()
    assert "±" not in table(surface)
    assert "cosine" not in table(surface)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "`xcoordinates`"),
        ({"xcoordinates": [0.0, 1.0]}, "expected `train_loss` or `test_loss`, got neither"),
        ({"xcoordinates": [0.0, 1.0], "train_loss": [1.0, 2.0, 3.0]}, "expected 2 values of `train_loss`"),
        ({"xcoordinates": [1.0, 0.0], "train_loss": [1.0, 2.0]}, "increasing row"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, arrays, message):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    with pytest.raises(ValueError, match=message):
        goldstein(tmp_path / "s.h5")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OSError, match="none.h5"):
        goldstein(tmp_path / "none.h5")
