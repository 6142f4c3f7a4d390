"""The house: imports go down its floors only, and heavy libraries stay in their rooms."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    [
        "result", "hdf5", "discovery", "dataset", "parts", "rows", "krylov", "eigenpairs", "density", "traces",
        "paired", "persistence",
    ],
    ["losses", "reading", "weights", "transforms", "surgery", "models", "data", "engine", "curves", "quantize"],
    ["objective"],
    [
        "frame", "vectors", "directions", "checkpoint", "sweep", "operators", "examples", "decomposition",
        "exact", "measures", "sensitivity",
    ],
    ["probes", "train", "importing", "verification", "posterior", "ensembles", "ptq", "connection", "alignment"]
    + ["hooks"],
    ["plots", "study", "comparison", "basins"],
    ["cli"],
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    (package + "." + ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)).removesuffix(".__init__"): path
    for folder, package in (("landscape", "landscape"), ("data", "landscape.data"), ("cli", "landscape.cli"))
    for path in (ROOT / folder).rglob("*.py")
}
INSIDE = [name for name in MODULES if name.count(".")]


def imports(path, package=""):
    """Full names that a file imports anywhere, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    return name.split(".")[1]


@pytest.mark.parametrize("name", INSIDE)
def test_imports_go_down_the_floors(name):
    assert room(name) in FLOOR, f"{name} stands on no floor: give its room one in this test and in ARCHITECTURE.md"
    for imported in imports(MODULES[name]):
        if imported.startswith("landscape.") and room(imported) in FLOOR:
            assert FLOOR[room(imported)] <= FLOOR[room(name)], f"{name} imports {imported}, from a floor above"


def test_no_circles():
    known = set(MODULES)
    graph = {name: {i for i in imports(path) if i in known and i != name} for name, path in MODULES.items()}
    done, open_ = set(), []

    def visit(name):
        assert name not in open_, f"circle: {' -> '.join([*open_, name])}"
        if name not in done:
            open_.append(name)
            for other in sorted(graph[name]):
                if not name.startswith(f"{other}."):  # a file of a package imports the package by its nature
                    visit(other)
            done.add(open_.pop())

    for name in sorted(graph):
        visit(name)


def allowed(library, name):
    rooms = {
        "h5py": ("landscape.hdf5", "landscape.result", "landscape.importing"),
        "matplotlib": ("landscape.plots",),
        "plotly": ("landscape.plots",),
    }
    return any(name == r or name.startswith(f"{r}.") for r in rooms[library])


@pytest.mark.parametrize("library", ["h5py", "matplotlib", "plotly"])
def test_libraries_stay_in_their_rooms(library):
    users = [n for n, path in MODULES.items() if any(i.split(".")[0] == library for i in imports(path))]
    assert [name for name in users if not allowed(library, name)] == []


def test_drawing_knows_no_torch():
    users = [n for n, path in MODULES.items() if any(i.split(".")[0] == "torch" for i in imports(path))]
    assert not [name for name in users if name.startswith(("landscape.plots", "landscape.result", "landscape.parts"))]


def test_looking_at_the_package_imports_nothing_heavy():
    code = (
        "import sys, landscape; from landscape import discovery; discovery.names('landscape.models'); "
        "print([m for m in ('torch', 'matplotlib', 'h5py', 'plotly', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_package_is_installed():
    found = {name.removesuffix(".__init__") for name, path in MODULES.items() if path.name == "__init__.py"}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(setup["options"]["packages"].split()) == found | {"landscape"}
