"""The gallery: every script runs, keeps its data, and says what its data say."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from landscape.result import Collection, load

GALLERY = Path(__file__).parents[1] / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py") if not path.name.startswith("_"))
LARGEST = {".png": 150_000, ".h5": 500_000}  # bytes of a file of the gallery


@pytest.fixture
def imported(monkeypatch):
    """Import a script of the gallery by its name, as `python gallery/NAME.py` finds it."""
    monkeypatch.syspath_prepend(str(GALLERY))

    def find(name: str):
        spec = importlib.util.spec_from_file_location(name, GALLERY / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return find


def forbidden(*_):
    raise AssertionError("measured, though data are there")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_runs_with_quick_settings(name, imported, tmp_path, monkeypatch):
    script, shared = imported(name), imported("_gallery")
    monkeypatch.setattr(script, "_gallery", shared)
    words = ["--quick", "--folder", str(tmp_path)]
    shared.main(script.measured, script.figure, script.report, words)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{end}" for end in ("h5", "png", "md")}
    told = (tmp_path / f"{name}.md").read_text()
    assert f"({name}.png)" in told
    assert "## Verdict\n\n- *" in told
    found = load(tmp_path / f"{name}.h5")
    assert isinstance(found, Collection)
    assert found.origin["quick"] is True


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_asks_and_names_its_reference(name):
    doc = ast.get_docstring(ast.parse((GALLERY / f"{name}.py").read_text())) or ""
    assert doc.partition("\n\n")[0].count("?") == 1
    assert re.search(r"arXiv:\d{4}\.\d{4,5}", doc)
    assert f"python gallery/{name}.py" in doc


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_kept_is_redrawn_and_told_as_it_was(name, imported):
    script = imported(name)
    found = load(GALLERY / f"{name}.h5")
    assert found.origin["quick"] is False
    assert script.report(found).rstrip() + "\n" == (GALLERY / f"{name}.md").read_text()
    script.figure(found).draw_without_rendering()
    for end, most in LARGEST.items():
        assert (GALLERY / f"{name}{end}").stat().st_size <= most


def test_index_and_list_show_every_script():
    page, listed = (GALLERY / "index.html").read_text(), (GALLERY / "README.md").read_text()
    assert re.findall(r'<article id="(\w+)">', page) == SCRIPTS
    for name in SCRIPTS:
        assert f'src="{name}.png"' in page
        assert f"]({name}.png)" in listed
        assert f"]({name}.md)" in listed


def test_index_needs_nothing_from_elsewhere():
    page = (GALLERY / "index.html").read_text()
    assert "<script" not in page
    links = [link for link in re.findall(r'(?:src|href)="([^"]+)"', page) if not link.startswith("#")]
    assert len(links) == 5 * len(SCRIPTS)  # figure twice, numbers, data, script
    assert all((GALLERY / link).is_file() for link in links)


def test_index_reads_a_verdict(imported):
    index = imported("_index")
    told = "# Q?\n\n- *not this*\n\n## Verdict\n\n- *one*: **holds** (a,\n  b).\n- *two*: **fails** (c).\n\nMore.\n"
    assert index.verdict(told) == ["*one*: **holds** (a, b).", "*two*: **fails** (c)."]
    assert index.marked("*a < b*: **holds**") == "<em>a &lt; b</em>: <strong>holds</strong>"


def test_data_that_are_there_are_drawn_and_not_measured(imported, tmp_path, monkeypatch):
    gallery, script = imported("_gallery"), imported("flat")
    (tmp_path / "flat.h5").write_bytes((GALLERY / "flat.h5").read_bytes())
    monkeypatch.setattr(script, "run", forbidden)
    gallery.main(script.measured, script.figure, script.report, ["--folder", str(tmp_path)])
    assert (tmp_path / "flat.md").read_text() == (GALLERY / "flat.md").read_text()
    with pytest.raises(AssertionError, match="measured"):
        gallery.main(script.measured, script.figure, script.report, ["--folder", str(tmp_path), "--again"])


def test_quick_numbers_never_enter_the_gallery(imported, capsys):
    gallery = imported("_gallery")
    with pytest.raises(SystemExit):
        gallery.main(test_quick_numbers_never_enter_the_gallery, forbidden, forbidden, ["--quick"])
    assert "expected --folder DIR" in capsys.readouterr().err


def test_what_an_interrupted_run_made_is_not_made_again(imported, tmp_path, capsys):
    gallery = imported("_gallery")
    folder = tmp_path / "x.h5.parts"
    with pytest.raises(KeyboardInterrupt), gallery.keeping(folder, "work 1"):
        gallery.kept("a/b", lambda: Collection(origin={"value": 3}))
        raise KeyboardInterrupt
    with gallery.keeping(folder, "work 1"):
        assert gallery.kept("a/b", forbidden).origin == {"value": 3}
    assert not folder.exists()


def test_parts_of_other_work_are_discarded(imported, tmp_path, capsys):
    gallery = imported("_gallery")
    folder = tmp_path / "x.h5.parts"
    with pytest.raises(KeyboardInterrupt), gallery.keeping(folder, "work 1"):
        gallery.kept("a", lambda: Collection(origin={"value": 3}))
        raise KeyboardInterrupt
    with gallery.keeping(folder, "work 2"):
        assert gallery.kept("a", lambda: Collection(origin={"value": 4})).origin == {"value": 4}


@pytest.mark.parametrize(
    ("shift", "side", "outcome"),
    [(-0.5, "lower", "holds"), (-0.5, "higher", "fails"), (0.0, "lower", "is not decided")],
)
def test_a_claim_is_judged_by_the_paired_test(imported, shift, side, outcome):
    gallery = imported("_gallery")
    base, noise = np.random.default_rng(0).normal(size=(2, 12))
    rows = {"old": base, "new": base + shift + 0.1 * (noise - noise.mean())}
    values = {m: {s: {"cosine": (x, 0.0)} for s, x in enumerate(row.tolist())} for m, row in rows.items()}
    study = gallery.compared(values, ["cosine"])
    line = gallery.claim(study, "it is so", "new", "cosine", side)
    assert line.startswith(f"- *it is so*: **{outcome}** (difference")
    count = int(((rows["new"] < base) == (side == "lower")).sum())
    assert f"{side} in {count} of 12 seeds" in line


def test_a_table_puts_numbers_to_the_right(imported):
    gallery = imported("_gallery")
    assert gallery.table(("a", "b"), [["x", "1 ± 2"], ["y", "× 0.5"], ["z", ""]])[1] == "|---|---:|"


def test_a_lean_surface_draws_what_the_whole_one_does(imported):
    from landscape.probes.surface import Surface

    gallery = imported("_gallery")
    rng = np.random.default_rng(0)
    loss = rng.uniform(1, 2, size=(1, 3, 3))
    whole = Surface(
        split=["train"], a=[-1.0, 0.0, 1.0], b=[-1.0, 0.0, 1.0], loss=loss, loss_error=loss / 9, class_=["0"],
        class_loss=loss[:, None], class_loss_error=loss[:, None] / 9, axis=["a", "b"], norm=[1.0, 1.0], cosine=0.0,
    )  # fmt: skip
    lean = gallery.lean(whole)
    assert lean.class_loss is None
    assert lean.loss.dtype == np.float32
    assert lean.a.dtype == np.float64
    np.testing.assert_array_equal(lean.loss, loss.astype(np.float32))
