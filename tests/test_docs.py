"""The documentation: a page for everything that discovery finds, whose docstrings sphinx reads without a warning."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import landscape
from landscape import discovery
from landscape.cli import commands
from landscape.result import Result

DOCS = Path(__file__).parent.parent / "docs"
BUILT = ("probes/surface.rst", "commands/surface.md", "results.rst", "objective.rst", "directions.rst", "methods.rst")


def load_reference():
    spec = importlib.util.spec_from_file_location("landscape_docs_reference", DOCS / "_extension" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return load_reference()


@pytest.fixture(scope="module")
def pages(reference):
    return reference.pages()


def test_every_probe_and_command_has_a_page(pages):
    for name in discovery.names("landscape.probes"):
        assert f".. autofunction:: landscape.{name}\n" in pages[f"probes/{name}.rst"]
        assert f":doc:`{name} <probes/{name}>`" in pages["probes.rst"]
    for name in commands():
        assert f"```console\nlandscape {name}" in pages[f"commands/{name}.md"]
        assert f":doc:`{name} <commands/{name}>`" in pages["commands.rst"]


def test_every_public_name_is_described(pages):
    told = set(re.findall(r"^\.\. auto(?:class|function):: (\S+)", "\n".join(pages.values()), flags=re.MULTILINE))
    parts = [path.rpartition(".") for path in told]
    described = {id(getattr(importlib.import_module(where), name)) for where, _, name in parts}
    for name in landscape.__all__:
        thing = getattr(landscape, name)
        assert isinstance(thing, str) or id(thing) in described, name


@pytest.mark.parametrize(
    ("page", "where"),
    [
        ("methods", "landscape.train.methods"),
        ("models", "landscape.models"),
        ("data", "landscape.data"),
        ("estimators", "landscape.quantize.estimators"),
    ],
)
def test_every_file_of_a_room_is_described(pages, page, where):
    for name in discovery.names(where):
        assert f".. autofunction:: {where}.{name}.{name}\n" in pages[f"{page}.rst"] + "\n"


def test_every_array_of_every_result_is_listed(pages):
    text = "\n".join(pages.values())
    kinds = [cls for cls in Result.kinds.values() if cls.__module__.startswith("landscape.") and cls.declared()]
    assert len(kinds) > 10
    for cls in kinds:
        section = text[text.index(f".. autoclass:: {cls.__module__}.{cls.__name__}\n") :].partition(".. auto")[2]
        section = section.partition("\n.. auto")[0]
        for name, meta in cls.declared().items():
            assert f"* - ``{name}``" in section, f"{cls.__name__}.{name}"
            assert not meta["unit"] or meta["unit"] in section


def test_words_that_are_no_markup_stay_words(reference):
    docutils = pytest.importorskip("docutils.core")
    words = "|a| * b_ `c` class_ \\x and a*b"
    shown = docutils.publish_doctree(reference._plain(words), settings_overrides={"report_level": 1, "halt_level": 1})
    assert shown.astext() == words


def test_pages_are_written_once_and_those_of_what_is_gone_removed(reference, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "pages", lambda: {"a/b.rst": "B\n", "c.md": "C\n"})
    reference.write(tmp_path)
    before = (tmp_path / "a" / "b.rst").stat().st_mtime_ns
    (tmp_path / "gone.rst").write_text("gone")
    reference.write(tmp_path)
    assert (tmp_path / "a" / "b.rst").stat().st_mtime_ns == before
    assert not (tmp_path / "gone.rst").exists()


def test_names_linked_from_pages_of_ours_exist(pages):
    for page in DOCS.glob("*.md"):
        for name in re.findall(r"\{doc\}`([\w/-]+)`", page.read_text()):
            assert (DOCS / f"{name}.md").exists() or f"{name.removeprefix('reference/')}.rst" in pages, name


def test_sphinx_reads_a_page_of_every_sort_without_a_warning(reference, pages, tmp_path, monkeypatch):
    """`make docs` builds the whole; here are some pages, read, resolved and written with warnings as errors."""
    for needed in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(needed)
    shutil.copytree(DOCS / "_extension", tmp_path / "_extension")
    for name in ("conf.py", "files.md"):
        shutil.copy(DOCS / name, tmp_path)
    monkeypatch.setattr(reference, "pages", lambda: {name: pages[name] for name in BUILT})
    reference.write(tmp_path / "reference")
    named = "\n".join(f"   reference/{name.partition('.')[0]}" for name in BUILT)
    (tmp_path / "index.rst").write_text(f"Pages\n=====\n\n.. toctree::\n\n   files\n{named}\n")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-D", "reference_written=0", str(tmp_path), str(tmp_path / "out")],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "out" / "reference" / "probes" / "surface.html").read_text()
    assert "standard error of the loss over examples" in html
    assert 'href="../commands/surface.html"' in html


def test_options_are_told_as_the_command_line_has_them(pages):
    text = pages["commands/surface.md"]
    assert "--empty" not in "".join(pages.values())
    assert "* `--points INT`: " in text
    assert "(default: `51`)" in text
    assert "held fixed. (default: `*`)" in text
    assert "*[default" not in text
