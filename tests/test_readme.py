"""The documents are true: commands parse, the Python of the README runs, targets and files that it names exist."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from landscape.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
README = (ROOT / "README.md").read_text()


def blocks(text: str) -> list[str]:
    """Return indented code blocks, and fenced ones."""
    indented = re.findall(r"(?:^    .*\n)+", text, flags=re.MULTILINE)
    return indented + re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def lines(text: str) -> list[str]:
    """Return the landscape commands of code blocks, and those between backticks that have arguments."""
    in_blocks = [line.strip() for block in blocks(text) for line in block.splitlines()]
    in_text = re.findall(r"`(landscape \w+ -?[^`|]+)`", re.sub(r"^\|.*\n", "", text, flags=re.MULTILINE))
    found = [line.partition("  #")[0].strip() for line in in_blocks + in_text if line.startswith("landscape ")]
    return sorted(set(found))


def words(line: str) -> list[str]:
    return shlex.split(line.replace("…", "x"))[1:]


DOCUMENTED = sorted({line for name in DOCUMENTS if (ROOT / name).exists() for line in lines((ROOT / name).read_text())})


def test_there_are_commands_to_check():
    assert len(lines(README)) >= 4


@pytest.mark.parametrize("line", DOCUMENTED)
def test_every_command_parses(line):
    given = words(line)
    command, bound, _ = app(given).parse_args(given, exit_on_error=False, print_error=False)
    assert command is not None
    assert bound.arguments
    assert inspect.isfunction(command)


def test_five_lines_of_python(tmp_path, monkeypatch):
    from landscape import load
    from landscape.data.digits import digits
    from landscape.models.lenet import lenet

    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 5
    data = digits()
    train, test = (tuple(array[:16] for array in getattr(data, name)) for name in ("train", "test"))
    names = {"model": lenet(shape=data.shape), "train_set": train, "test_set": test}
    exec(code, names)
    plt.close("all")
    assert load("surface.h5").loss.shape == (2, 31, 31)
    assert Path("surface.pdf").read_bytes().startswith(b"%PDF")


def test_second_derivatives_in_python():
    import numpy as np
    from scipy.sparse.linalg import eigsh

    import landscape
    from landscape.data.digits import digits
    from landscape.models.mlp import mlp

    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    data = digits()
    train = tuple(array[:64] for array in data.train)
    names = {"landscape": landscape}
    names["objective"] = landscape.Objective(mlp(4, shape=data.shape), train, precision="float64", device="cpu")
    exec(code, names)
    top = eigsh(names["hessian"].linear_operator(), k=3, which="LA", return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(top), names["eigen"].value[2::-1], rtol=1e-4)
    assert names["eigen"].value.shape == (13,)
    assert names["saddle"].ratio.shape == (10,)
    assert names["spectrum"].largest >= names["eigen"].value[0] * (1 - 1e-3)


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text()
    code = [line.strip() for block in blocks(README) for line in block.splitlines()] + re.findall(r"`([^`]+)`", README)
    targets = {found[1] for line in code if (found := re.match(r"make (\w+)", line))}
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
        assert re.search(rf"make {target}\b", makefile), f"make help does not tell of {target}"


@pytest.mark.parametrize("name", re.findall(r"\]\(([\w./]+)\)", README))
def test_files_that_are_linked_exist(name):
    assert (ROOT / name).exists()


def test_networks_compared_and_reported_in_python(tmp_path, monkeypatch):
    import landscape
    from landscape.data.digits import digits
    from landscape.models.mlp import mlp

    monkeypatch.chdir(tmp_path)
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "compare(" in block)
    data = digits()
    splits = {name: tuple(array[:16] for array in getattr(data, name)) for name in ("train", "test")}
    made = [landscape.Objective(mlp(4, shape=data.shape), splits, device="cpu") for _ in range(2)]
    monkeypatch.setitem(landscape.compare.__kwdefaults__, "probes", ("evaluate", "surface:points=3"))
    names = {"landscape": landscape, "objective": made[0], "other": made[1]}
    exec(code, names)
    assert names["found"].rows == ["sgd/w32", "sgd/w4", "sam/w32", "sam/w4"]
    assert "plotly" in Path("report.html").read_text()
