"""The page as text: what stands on it, what is escaped, and that nothing is fetched."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

import landscape
from landscape.plots import MARK
from landscape.plots.page import report
from landscape.plots.page.contents import contents
from landscape.plots.page.writing import STATIC
from landscape.probes.trace import Trace
from landscape.result import Collection, Result


def kinds():
    import importlib

    from landscape import discovery
    from landscape.result import ROOMS

    for room in ROOMS:
        for name in discovery.names(room):
            importlib.import_module(f"{room}.{name}")
    ours = (name for name, kind in Result.kinds.items() if kind.__module__.startswith("landscape."))
    return sorted(name for name in ours if "member" not in Result.kinds[name].declared())


def store(text):
    return json.loads(re.search(r'<script type="application/json" id="store">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture
def written(tmp_path):
    def made(results, **knobs):
        report(results, tmp_path / "report.html", **knobs)
        return (tmp_path / "report.html").read_text()

    return made


def test_the_page_is_public_and_bears_the_mark_of_ours(written, results):
    assert landscape.report is report
    assert MARK in written(results)[:2000]


def words(detail):
    """All words of the numbers of a result."""
    columns = [column.name for _, columns in detail.axes for column in columns]
    axes = [axis for axis, _ in detail.axes]
    return " ".join([*(name for name, _, _ in detail.single), *axes, *columns, *detail.large])


@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_result_has_a_section_with_its_numbers(name, some_result):
    result = some_result(name)
    (section,) = contents({"one": result})["sections"]
    assert section.slug == name.lower()
    assert section.viewers or section.slots or section.table
    pictures = [one for slot in section.slots for one in slot.pictures]
    assert all(one.told.endswith(".") and re.search(r"\d", one.told) for one in pictures)
    (detail,) = section.details
    for quantity, meta in result.quantities().items():
        word = meta["name"] or quantity
        error = quantity.endswith(("_error", "_residual"))
        assert error or meta["dims"] == (word,) or word in words(detail), quantity


def test_all_kinds_stand_on_one_page(written, some_result):
    text = written({name: some_result(name) for name in kinds()})
    assert re.findall(r'<section id="([a-z]+)"', text)[0] == "summary"
    assert set(re.findall(r'<section id="([a-z]+)"', text)) == {"summary", *map(str.lower, kinds())}
    assert text.count("<caption>") >= len(kinds())


def test_plotly_is_there_once_and_scripts_are_those_that_the_policy_names(written, results):
    text = written(results)
    assert text.count("* plotly.js v") == 1
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; script-src ")
    assert "unsafe-eval" not in policy
    hashes = re.findall(r"'sha256-([^']*)'", policy)
    assert hashes == [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(scripts) == 2


def test_the_scripts_and_the_look_are_files_of_the_package():
    assert {path.suffix for path in STATIC.iterdir()} == {".js", ".css"}


def test_names_from_files_are_escaped_wherever_they_stand(written, make_surface):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    where = {"model": {"name": evil}, "data": evil, "checkpoint": {"path": f"/x/{evil}.pt", "sha256": evil}, evil: evil}
    surface = make_surface(class_=[evil, "b", "c"], origin=where)
    text = written({evil: surface}, title=evil)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert html.escape(evil, quote=False) in text
    assert len(re.findall("<script", text)) == 3
    assert [*store(text)["surfaces"][0]["networks"]] == [evil.rpartition("/")[2]]


def test_arrays_are_kept_once(written, results):
    found = store(written(results))
    assert len(set(found["arrays"])) == len(found["arrays"])
    one, two = (found["surfaces"][0]["surfaces"][place] for place in ("0,0", "1,0"))
    assert one["a"] == two["a"]
    assert one["values"][0] != two["values"][0]


def test_a_surface_of_the_store_is_that_of_the_result(written, results):
    found = store(written(results))
    (viewer,) = found["surfaces"]
    assert viewer["networks"] == ["flat", "sharp"]
    assert viewer["widths"] == ["full precision", "4 bits"]
    assert viewer["choices"][:2] == [["loss", "train", "nat"], ["accuracy", "train", "%"]]
    for place, name in {"0,0": "flat.surface", "1,1": "sharp.w4.surface"}.items():
        spec = viewer["surfaces"][place]["values"][0]
        array = np.frombuffer(base64.b64decode(found["arrays"][spec["bdata"]]), "<f4").reshape(9, 11)
        np.testing.assert_allclose(array, results[name].loss[0].T, rtol=1e-6)


def test_what_is_not_finite_is_a_gap_and_the_page_is_valid_json(written, make_surface):
    loss = make_surface().loss.copy()
    loss[0, 2, 3], loss[0, 1, 1] = np.inf, np.nan
    found = store(written({"one": make_surface(loss=loss)}))
    spec = found["surfaces"][0]["surfaces"]["0,0"]["values"][0]
    array = np.frombuffer(base64.b64decode(found["arrays"][spec["bdata"]]), "<f4").reshape(6, 9)
    assert np.isnan(array[3, 2])
    assert np.isnan(array[1, 1])
    assert np.isfinite(array).sum() == array.size - 2


def test_members_of_collections_are_told_one_by_one(written, results):
    members = {"flat/w32/surface": results["flat.surface"], "flat/w4/surface": results["flat.w4.surface"]}
    text = written({"both": Collection(members=members, origin={"note": "made by hand"})})
    (viewer,) = store(text)["surfaces"]
    assert viewer["networks"] == ["flat"]
    assert viewer["widths"] == ["full precision", "4 bits"]
    assert "made by hand" in text


def test_surfaces_of_other_planes_have_a_viewer_of_their_own(written, make_surface, results):
    between = make_surface(origin={"directions": {"kind": "between"}})
    assert [len(viewer["surfaces"]) for viewer in store(written(results | {"other": between}))["surfaces"]] == [4, 1]


def test_numbers_that_cannot_be_drawn_have_their_tables(written, some_result):
    eigen = some_result("Eigen")
    wrong = replace(eigen, end=["neither", "of", "both"])
    text = written({"one": wrong})
    assert 'data-figure="eigen-0"' in text or "Not drawn: " in text
    assert "<caption>one by k</caption>" in text


@pytest.mark.parametrize("name", kinds())
def test_many_results_of_one_kind_have_a_handful_of_pictures_in_view(name, some_result):
    one = some_result(name)
    many = {f"net{k}/w{bits}/{name.lower()}": one for k in range(3) for bits in (32, 4, 2)}
    (section,) = contents({"all": Collection(members=many)})["sections"]
    assert len(section.slots) <= 3
    assert len(section.details) == 9
    assert all(slot.choice for slot in section.slots if len(slot.pictures) > 1)


def test_numbers_of_several_results_stand_in_one_picture_with_their_errors(written):
    found = {
        f"net{k}/w{bits}/trace": Trace(
            trace=3.0 + k, trace_error=0.1 * bits, square=9.0, square_error=0.5, layer=["a"], layer_role=["weight"],
            layer_size=[4], layer_trace=[3.0], layer_trace_error=[0.1],
        )
        for k in range(2) for bits in (32, 4)
    }  # fmt: skip
    figure = store(written({"all": Collection(members=found)}))["figures"]["trace-0"]
    first, second = figure["data"][:2]
    assert [first["name"], second["name"]] == ["net0", "net1"]
    assert [point[1] for point in first["customdata"]] == ["3.0 ± 3.2 nat", "3.00 ± 0.40 nat"]
    assert first["line"]["color"] != second["line"]["color"]
    assert first["marker"]["symbol"] != second["marker"]["symbol"]


def test_what_is_damaged_is_named(tmp_path, some_result):
    damaged = replace(some_result("Ensembling"), contrast=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"one\.h5: expected a whole Ensembling, got a damaged one \(Exp"):
        report({"one": damaged}, tmp_path / "report.html", files={"one": "one.h5"})


def test_an_origin_that_is_no_origin_is_told_as_it_is(written, make_surface):
    for odd in ({"checkpoint": 3, "others": 4, "splits": 5, "knobs": [], "command": "surface"}, {"command": ["x"]}):
        assert "No command made this result" in written({"one": make_surface(origin=odd)})


def test_what_a_page_cannot_be_made_of_is_refused(tmp_path, results):
    with pytest.raises(ValueError, match="Expected results, got none"):
        report({}, tmp_path / "report.html")
    with pytest.raises(ValueError, match="ending in .html"):
        report(results, tmp_path / "report.pdf")


def test_six_networks_at_five_widths_stay_under_twelve_megabytes(written, make_surface):
    found = {}
    shift = np.random.default_rng(0).uniform(0.5, 2, (6, 5, 2, 51, 51))
    for k in range(6):
        for w, bits in enumerate((32, 8, 4, 3, 2)):
            known = make_surface((51, 51))
            loss, sure = known.loss * shift[k, w], known.loss_error * shift[k, w]
            accuracy = np.exp(-loss / 9)
            found[f"net{k}/w{bits}/surface"] = make_surface(
                (51, 51), loss=loss, loss_error=sure, accuracy=accuracy, accuracy_error=0.01 * accuracy
            )
    text = written({"all": Collection(members=found)})
    assert len(text.encode()) < 12e6
    assert len(store(text)["surfaces"][0]["surfaces"]) == 30
