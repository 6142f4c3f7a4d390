import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from landscape.discovery import names
from landscape.plots import draw
from landscape.result import Result, quantity


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Result):
    t: np.ndarray = quantity("position along the curve", "t")
    height: np.ndarray = quantity("mean loss", "t", unit="nat")


@dataclass(frozen=True, eq=False, repr=False)
class Table(Result):
    name: np.ndarray = quantity("name of the row", "row")
    kind: np.ndarray = quantity("kind", "kind")
    width: np.ndarray = quantity("width", "width")
    cell: np.ndarray = quantity("count", "kind", "width")


@dataclass(frozen=True, eq=False, repr=False)
class Cube(Result):
    cell: np.ndarray = quantity("count", "x", "y", "z")


def test_any_result_over_one_axis_is_a_line():
    ax = draw(Curve(t=[0.0, 0.5, 1.0], height=[3.0, 1.0, 2.0]))
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 3], [0.5, 1], [1, 2]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("position along the curve", "mean loss [nat]")


@pytest.mark.parametrize("shape", [(2, 3), (1, 3)])
def test_any_result_over_two_axes_is_a_map(shape):
    kinds, widths = np.array(["a", "b"][: shape[0]]), np.array([1.0, 2.0, 4.0])
    ax = draw(Table(name=["r"], kind=kinds, width=widths, cell=np.arange(np.prod(shape)).reshape(shape)))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("kind", "width")
    assert ax.get_ylim()[1] >= 4
    ax.figure.draw_without_rendering()


def test_what_has_no_plot_says_which_file_to_write():
    with pytest.raises(ValueError, match=r"Cube: expected a quantity over one or two axes.*plots/cube.py"):
        draw(Cube(cell=np.zeros((2, 2, 2))))


def test_results_draw_on_the_axes_they_are_given():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert draw(Curve(t=[0.0, 1.0], height=[1.0, 2.0]), ax) is ax


def test_importing_plots_loads_neither_torch_nor_pyplot():
    code = "import sys, landscape.plots; print([m for m in ('torch', 'matplotlib', 'plotly') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_no_file_of_the_room_loads_torch():
    rooms = ", ".join(f"landscape.plots.{name}" for name in names("landscape.plots"))
    code = f"import sys, {rooms}; print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == "False False"
