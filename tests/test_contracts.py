"""Contracts of every command, whichever discovery finds: help, a summary, a place in the README, a quick start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from landscape.cli import commands, run

README = (Path(__file__).parent.parent / "README.md").read_text()
HEAVY = ("torch", "matplotlib.pyplot", "matplotlib", "plotly", "h5py", "scipy", "sklearn", "numpy")
NAMES = sorted(commands())


def test_the_commands_of_the_design_are_there():
    assert {"adopt", "demo", "export", "import", "line", "plot", "reproduce", "show", "surface", "train"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_a_summary_and_help(name, capsys):
    summary, _ = commands()[name]
    assert re.fullmatch(r"[A-Z].{20,110}\.", summary), summary
    assert run([name, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"Usage: landscape {name}" in out
    assert summary[:60] in out


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name, capsys):
    assert run([name, "--help"]) == 0
    rows = re.findall(r"^│ [* ]  ?(\S.*?)│$|^│ (--\S.*?)│$", capsys.readouterr().out, flags=re.MULTILINE)
    options = [row for pair in rows for row in pair if row.startswith("--")]
    for row in options:
        assert re.search(r"\s{2,}\S", row.strip()) or row.strip().count(" ") > 1, f"{name}: no words beside {row}"


@pytest.mark.parametrize("name", NAMES)
def test_a_command_refuses_unknown_options_in_one_line(name, capsys):
    assert run([name, "--no-such-option", "x"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("landscape: ")
    assert len(err.splitlines()) == 1
    assert f"landscape {name} --help" in err


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_in_the_table_of_the_readme(name):
    assert re.search(rf"^\| `landscape {name}\b[^`]*` \| \S", README, flags=re.MULTILINE)


def test_the_table_of_the_readme_names_commands_that_exist():
    assert set(re.findall(r"^\| `landscape (\w+)", README, flags=re.MULTILINE)) == set(NAMES)


def test_the_first_help_imports_nothing_heavy():
    code = f"""
import sys
from landscape.cli import run
assert run(["--help"]) == 0
print("imported:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "imported: []"
    for name in NAMES:
        assert f" {name} " in found.stdout


def test_version(capsys):
    from landscape import __version__

    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_no_command_shows_the_help(capsys):
    assert run([]) == 0
    assert "Usage: landscape COMMAND" in capsys.readouterr().out
