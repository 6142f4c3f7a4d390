"""Four figures held against pictures of them, from results made here: what tests of numbers do not see.

To renew the pictures after a change that is meant, look at the new ones and keep them:
``RENEW_BASELINES=1 python -m pytest tests/plots/test_baseline.py``.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.testing.compare import compare_images

from landscape.plots import style
from landscape.plots.figure import figure
from landscape.probes.spectrum import Spectrum

FOLDER = Path(__file__).with_name("baseline")
DPI = 70
# Root mean square over 256 gray levels. The pinned versions draw with their own fonts and rasterizer, so that pictures
# differ by the last bits of where contours pass, in a few pixels. A label that is gone, or a quarter of its height
# off, makes 5.6 or more in each of these figures.
TOLERANCE = 2.0
LARGEST = 25_000  # bytes of a picture


def spectrum():
    steps = np.arange(4)[:, None]
    node = np.array([-0.4, -0.01, 0.001, 0.3, 2.0, 8.0]) + 1e-2 * steps
    weight = np.array([0.01, 0.4, 0.5, 0.0895, 4e-4, 1e-4]) * (1 + 0.1 * (steps - 1.5))
    return Spectrum(
        node=node, weight=weight / weight.sum(1, keepdims=True), node_residual=0 * node, dimension=10_000,
        smallest=node.min(), largest=node.max(), smallest_residual=0.0, largest_residual=0.0, trace=1.0,
        trace_error=0.1, square=1.0, square_error=0.1, origin={"model": {"name": "lenet"}, "data": {"name": "digits"}},
    )  # fmt: skip


MADE = {
    "contours": lambda make: figure(make((21, 21)), venue="icml", page_width="column", view="contour"),
    "relief": lambda make: figure(make((21, 21)), venue="neurips", view="3d", clip=20.0, title=r"$\lambda$ of a_b"),
    "panels": lambda make: figure(
        {"flat": make((11, 11), loss=0.2 * make((11, 11)).loss), "sharp": make((11, 11))},
        venue="icml", page_width="column", panels="1x2",
    ),
    "spectrum": lambda _: figure(spectrum(), venue="slides"),
}  # fmt: skip


def drawn(name, make, path):
    made = MADE[name](make)
    dpi = DPI if made.get_figwidth() < 7 else DPI / 2
    with style.style():
        made.savefig(path, dpi=dpi, metadata={"Software": None})


@pytest.mark.parametrize("name", MADE)
def test_a_figure_looks_as_it_did(name, make_surface, tmp_path):
    kept, new = FOLDER / f"{name}.png", tmp_path / f"{name}.png"
    if os.environ.get("RENEW_BASELINES"):
        drawn(name, make_surface, kept)
    drawn(name, make_surface, new)
    assert kept.stat().st_size < LARGEST
    assert compare_images(str(kept), str(new), tol=TOLERANCE) is None


def test_a_difference_that_one_sees_is_seen(make_surface, tmp_path):
    new = tmp_path / "spectrum.png"
    made = MADE["spectrum"](make_surface)
    made.axes[0].set_xlabel("")
    with style.style():
        made.savefig(new, dpi=DPI / 2, metadata={"Software": None})
    assert compare_images(str(FOLDER / "spectrum.png"), str(new), tol=TOLERANCE) is not None
