"""The documentation's pages are true: every Python block runs in its order, every command parses, every file reads."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from landscape.cli import app

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md") if page.name != "index.md")


def blocks(page: str) -> list[tuple[int, str]]:
    """Python blocks of a page with the lines that they begin at."""
    text = (DOCS / page).read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


def commands(page: str) -> list[str]:
    """Calls of our command: lines of shell blocks, and what has arguments between backticks."""
    text = (DOCS / page).read_text()
    shown = re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip().partition("  #")[0] for block in shown for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(landscape \w+ [^`]+)`", text)
    return sorted({line for line in lines + inline if line.startswith("landscape ")})


def execute(page: str) -> dict:
    """Run all blocks of a page in one namespace; a line that fails is told by its number on the page."""
    names: dict = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(DOCS / page), "exec"), names)
    plt.close("all")
    return names


def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = execute("tutorial.md")
    assert names["comparison"].value.shape == (4, len(names["columns"]))
    for figure in ("sgd.surface.pdf", "path.pdf", "surfaces.pdf"):
        assert Path(figure).read_bytes().startswith(b"%PDF")
    assert Path("compare.csv").read_text().count("\n") > 4
    assert "plotly" in Path("report.html").read_text()
    assert names["hessian"].products > 0
    assert abs(names["top"] / names["eigen"].value[0] - 1) < 0.05  # both of the network trained by sam


@pytest.mark.parametrize("page", [page for page in PAGES if page != "tutorial.md"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert blocks(page)
    execute(page)


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page)])
def test_the_commands_of_a_page_parse(page, line):
    given = shlex.split(line)[1:]
    command, bound, _ = app(given).parse_args(given, exit_on_error=False, print_error=False)
    assert inspect.isfunction(command)
    assert bound.arguments
