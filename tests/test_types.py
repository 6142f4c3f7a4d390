"""Types: editors and type checkers see every public name, and what a probe returns."""

from __future__ import annotations

import ast
import configparser
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import landscape
from landscape import discovery

ROOT = Path(__file__).parent.parent


def told() -> dict[str, str]:
    """Names that the package imports for type checkers alone, and where from."""
    tree = ast.parse((ROOT / "landscape" / "__init__.py").read_text())
    blocks = [n for n in tree.body if isinstance(n, ast.If) and isinstance(n.test, ast.Name)]
    (block,) = [n for n in blocks if n.test.id == "TYPE_CHECKING"]
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name}: only `as` makes a name public for type checkers"
            found[alias.name] = node.module
    return found


def test_the_names_told_are_the_lazy_ones():
    assert told() == landscape._PUBLIC


def test_every_public_name_is_completed_and_found():
    assert set(landscape.__all__) <= set(dir(landscape))
    for name in landscape.__all__:
        assert getattr(landscape, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        landscape.nothing  # noqa: B018


def test_types_are_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert (ROOT / "landscape" / "py.typed").exists()
    assert "py.typed" in setup["options.package_data"]["landscape"]


def test_a_type_checker_resolves_them(tmp_path):
    pyright = shutil.which("pyright", path=Path(sys.executable).parent)
    if pyright is None:
        pytest.skip("needs pyright, of the extra `lint`")
    probes = discovery.names("landscape.probes")
    lines = ["import landscape", "", "def use(objective: landscape.Objective):"]
    lines += [f"    reveal_type(landscape.{name})" for name in landscape.__all__]
    lines += ["    reveal_type(landscape.surface(objective).loss)", "    landscape.nothing"]
    (tmp_path / "use.py").write_text("\n".join(lines))
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        capture_output=True, text=True, timeout=55, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    types = {one["range"]["start"]["line"]: one["message"] for one in found if one["severity"] == "information"}
    for number, name in enumerate(landscape.__all__, start=3):
        kind = types[number].partition(" is ")[2].strip('"')
        assert kind not in ("Any", "Unknown"), name
        if name in probes:
            assert kind.rpartition("-> ")[2] == name.capitalize(), kind
    assert '.loss" is "ndarray[' in types[3 + len(landscape.__all__)]
    (wrong,) = [one["message"] for one in found if one["severity"] == "error"]
    assert '"nothing" is not a known attribute' in wrong
