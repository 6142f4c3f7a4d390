import base64
import csv as reader
import json
import re
import struct
import sys
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest

from landscape.plots.export import csv, table, vtk
from landscape.plots.interactive import interactive, write_html
from landscape.result import Result, quantity


def decoded(array):
    kinds = {"f4": "<f4", "f8": "<f8"}
    values = np.frombuffer(base64.b64decode(array["bdata"]), kinds[array["dtype"]])
    return values.reshape([int(n) for n in array["shape"].split(",")]) if "shape" in array else values


def read_vts(path):
    """Decode the appended arrays of a structured grid: name -> array of shape (a, b[, 3])."""
    data = path.read_bytes()
    begin = data.index(b"_", data.index(b"<AppendedData")) + 1
    head = ElementTree.fromstring(data[: data.index(b"<AppendedData")] + b"</VTKFile>")
    _, a, _, b, _, _ = map(int, head.find("StructuredGrid").get("WholeExtent").split())
    arrays = {}
    for item in head.iter("DataArray"):
        at = begin + int(item.get("offset"))
        (size,) = struct.unpack("<Q", data[at : at + 8])
        values = np.frombuffer(data[at + 8 : at + 8 + size], "<f8")
        count = int(item.get("NumberOfComponents"))
        arrays[item.get("Name")] = values.reshape(b + 1, a + 1, count).swapaxes(0, 1)
    return arrays


def test_vtk_holds_a_rectangular_grid_with_its_quantities(make_surface, tmp_path):
    pytest.importorskip("pyevtk")
    surface = make_surface((5, 3))
    vtk(surface, tmp_path / "s.vts", split="test", clip=10.0)
    arrays = read_vts(tmp_path / "s.vts")
    points = arrays["points"]
    np.testing.assert_allclose(points[:, 0, 0], surface.a)
    np.testing.assert_allclose(points[0, :, 1], surface.b)
    np.testing.assert_allclose(points[..., 2], np.minimum(surface.loss[1], 10))
    np.testing.assert_allclose(arrays["loss_train"][..., 0], surface.loss[0])
    np.testing.assert_allclose(arrays["class_accuracy_test_class_2"][..., 0], surface.class_accuracy[1, 2])


def test_vtk_heights_are_finite_and_may_be_logarithmic(make_surface, tmp_path):
    pytest.importorskip("pyevtk")
    loss = make_surface((5, 3)).loss.copy()
    loss[0, 1, 1] = np.inf
    vtk(make_surface((5, 3), loss=loss), tmp_path / "s.vts", log=True)
    arrays = read_vts(tmp_path / "s.vts")
    assert np.isfinite(arrays["points"]).all()
    assert arrays["points"][0, 0, 2] == pytest.approx(np.log10(loss[0, 0, 0]))
    assert arrays["loss_train"][1, 1, 0] == np.inf


def test_vtk_errors_say_what_to_do(make_surface, make_line, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected a Surface to export, got a Line"):
        vtk(make_line(), tmp_path / "s.vts")
    with pytest.raises(ValueError, match="expected a name ending in .vts"):
        vtk(make_surface(), tmp_path / "s.vtk")
    monkeypatch.setitem(sys.modules, "pyevtk.hl", None)
    with pytest.raises(ImportError, match=r"landscape\[export\]"):
        vtk(make_surface(), tmp_path / "s.vts")
    assert not list(tmp_path.iterdir())


def test_csv_gives_every_number_back(make_surface, tmp_path):
    surface = make_surface((5, 3), classes=2, draws=2)
    csv(surface, tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(reader.DictReader(file))
    assert len(rows) == 2 * 15 * (1 + 2 + 2)
    plain = [row for row in rows if not row["class"] and not row["draw"]]
    for name in ("loss", "loss_error", "accuracy", "accuracy_error"):
        np.testing.assert_array_equal([float(row[name]) for row in plain], getattr(surface, name).ravel())
    np.testing.assert_array_equal([float(row["b"]) for row in plain[:3]], surface.b)
    of_class = [float(row["loss"]) for row in rows if row["class"] == "class 1" and row["split"] == "test"]
    np.testing.assert_array_equal(of_class, surface.class_loss[1, 1].ravel())
    of_draw = [float(row["loss"]) for row in rows if row["draw"] == "1" and row["split"] == "train"]
    np.testing.assert_array_equal(of_draw, surface.draw_loss[1, 0].ravel())


def test_csv_keeps_nan_and_takes_lines(make_line, tmp_path):
    loss = make_line().loss.copy()
    loss[0, 0] = np.nan
    csv(make_line(loss=loss), tmp_path / "l.csv")
    with open(tmp_path / "l.csv", newline="") as file:
        assert next(reader.DictReader(file))["loss"] == "nan"


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Result):
    network: np.ndarray = quantity("network", "row")
    measure: np.ndarray = quantity("measure", "measure")
    unit: np.ndarray = quantity("unit of a measure", "measure")
    value: np.ndarray = quantity("value", "row", "measure")


def test_csv_tells_words_of_every_axis(tmp_path):
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    scores = Scores(network=["a", "b"], measure=["loss", "rate"], unit=["nat", ""], value=value)  # pyright: ignore
    csv(scores, tmp_path / "c.csv")
    rows = [row for row in reader.DictReader((tmp_path / "c.csv").read_text().splitlines()) if row["measure"]]
    assert [(row["network"], row["measure"], row["unit"]) for row in rows] == [
        (network, *told) for network in "ab" for told in (("loss", "nat"), ("rate", ""))
    ]
    assert [float(row["value"]) for row in rows] == value.ravel().tolist()


def test_a_summary_says_where_the_minimum_is(make_surface):
    origin = {"directions": {"kind": "random", "ratio": [0.5, 2.0]}}
    words = table(make_surface((5, 4), trajectory=True, stopped=np.eye(5, 4) > 0, origin=origin))
    assert "filters 0.5 to 2 times as long as the network's" in words
    assert "stopped 4 points, measured on a tenth of the examples" in words
    assert re.search(r"marks   \d+ checkpoints, up to \S+ off the plane", words)
    t = np.linspace(0, 1, 5)
    arch = {"curve": ["arch"], "curve_t": t, "curve_a": t[None], "curve_b": t[None], "curve_residual": 0.5 * t[None]}
    words = table(make_surface((5, 4), trajectory=True, checkpoint_run=["r1", "", "r1"], **arch))
    assert "runs    r1\n" in words
    assert "curve   arch, up to 0.5 off the plane\n" in words
    assert "Surface, 5 x 4 points" in words
    assert "center: loss 0.01 ± 0.0005, accuracy 99.89 ± 1 %" in words
    assert "minimum 0.01 at the center" in words
    assert "0.01 between the directions" in words
    assert "63.1 % of variance" in words
    loss = make_surface((5, 4)).loss.copy()
    loss[0, 4, 0], loss[1] = -2.0, np.nan
    words = table(make_surface((5, 4), loss=loss))
    assert "minimum -2 at a = 1, b = -0.5: not the center" in words
    assert "no finite loss" in words


def test_a_page_works_offline_and_carries_plotly_once(make_surface, tmp_path):
    surface = make_surface((51, 51), trajectory=True)
    one = interactive(surface, tmp_path / "one.html")
    write_html([one, one], tmp_path / "two.html")
    for name, extra in (("one.html", 0), ("two.html", len(one.to_json()) + 5000)):
        page = (tmp_path / name).read_text()
        assert page.count("plotly.js v") == 1
        assert not re.search(r"<script[^>]*\bsrc=", page)
        assert len(page) < 5_200_000 + extra
    assert len(one.to_json()) < 160_000


def test_an_interactive_surface_has_its_axes_the_right_way_round(make_surface):
    loss = make_surface((7, 4)).loss.copy()
    loss[0, 6, 0] = np.inf
    surface = make_surface((7, 4), loss=loss)
    figure = interactive(surface)
    trace = json.loads(figure.to_json())["data"][0]
    z = decoded(trace["z"])
    assert trace["z"]["dtype"] == "f4"
    assert (len(decoded(trace["x"])), len(decoded(trace["y"])), z.shape) == (7, 4, (4, 7))
    assert np.isnan(z[0, 6])
    np.testing.assert_allclose(z[1:], loss[0].T[1:], rtol=1e-6)


def test_buttons_choose_split_quantity_and_scale(make_surface, make_line):
    figure = interactive([make_surface(), make_surface()])
    pick, heights = figure.layout.updatemenus
    whole = {"type": "log", "dtick": 1}
    assert [b.label for b in pick.buttons] == ["train loss", "test loss", "train accuracy", "test accuracy"]
    assert [b.label for b in heights.buttons] == ["linear", "logarithmic"]
    shown = pick.buttons[3].args[0]["visible"]
    assert [t.name for t, on in zip(figure.data, shown, strict=True) if on] == ["test accuracy"] * 2
    scenes = ("scene", "scene2")
    assert heights.buttons[1].args[0] == {f"{scene}.zaxis.{k}": v for scene in scenes for k, v in whole.items()}
    lines = interactive(make_line())
    assert [b.label for b in lines.layout.updatemenus[0].buttons] == ["loss", "accuracy"]
    assert lines.layout.yaxis.type == "log"


def test_kinds_do_not_mix_and_pages_end_in_html(make_surface, make_line, tmp_path):
    with pytest.raises(ValueError, match="one kind at a time"):
        interactive([make_surface(), make_line()])
    with pytest.raises(ValueError, match="expected a name ending in .html"):
        interactive(make_line(), tmp_path / "page.pdf")
