"""Colours: told apart by eyes without red or green cones, and in gray."""

import itertools

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from landscape.plots.along import COLORS as CURVES
from landscape.plots.along import MARKS
from landscape.plots.spectrum import COLORS as SPECTRA
from landscape.plots.spectrum import DASHES
from landscape.plots.style import BLUE, COLORS, GRAY, GREEN, ORANGE

BLIND = {  # Machado, Oliveira & Fernandes (2009), doi:10.1109/TVCG.2009.113, severity 1, on linear RGB
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SEEN = 2.3  # difference in CIELAB that is just noticeable (Mahy, Van Eycken & Oosterlinck 1994)
LEVELS = 14  # bands of a contour plot, at most


def lab(rgb, sight="none"):
    """CIELAB of colours (n, 3) of sRGB as an eye sees them."""
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ BLIND[sight].T, 0, 1) @ XYZ.T / XYZ.sum(1)
    root = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=-1
    )


def test_lab_is_that_of_the_standard():
    np.testing.assert_allclose(lab([[1, 1, 1], [0, 0, 0], [1, 0, 0]])[:, 0], [100, 0, 53.24], atol=0.01)


@pytest.mark.parametrize("sight", BLIND)
@pytest.mark.parametrize("name", sorted(set(COLORS.values())))
def test_neighbouring_levels_are_told_apart_by_every_eye(name, sight):
    bands = lab(colormaps[name](np.linspace(0, 1, LEVELS))[:, :3], sight)
    assert np.linalg.norm(np.diff(bands, axis=0), axis=1).min() > SEEN


@pytest.mark.parametrize("sight", BLIND)
@pytest.mark.parametrize("name", sorted(set(COLORS.values())))
def test_lightness_rises_along_every_map(name, sight):
    light = lab(colormaps[name](np.linspace(0, 1, 256))[:, :3], sight)[:, 0]
    assert (np.diff(light) > -0.05).all()
    assert light[-1] - light[0] > 60


@pytest.mark.parametrize("sight", BLIND)
@pytest.mark.parametrize("lines", [(BLUE, ORANGE, GREEN, GRAY), CURVES])
def test_colours_of_lines_are_told_apart_by_every_eye(lines, sight):
    seen = lab([to_rgb(color) for color in lines], sight)
    for (k, one), (m, other) in itertools.combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) > 4 * SEEN, (lines[k], lines[m])


def test_lines_differ_without_colour():
    assert len(set(MARKS)) >= len(CURVES)
    assert len(set(map(str, DASHES))) == len(SPECTRA)
