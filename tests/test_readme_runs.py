"""Every command of the README runs: section by section, line after line, on the files that the lines before it left.

Lines are run as they stand, but for the tables below: options that make them cheaper, words that the README leaves to
the reader, and the few that are not run here, each with its reason. The files that a line names and those that it says
it wrote are there after it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from landscape.cli import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

QUICK = {"--device": "cpu", "--examples": "40"}
ONE = QUICK | {"--plot": "none"}
GRID = ONE | {"--points": "3", "--strategy": "loop,examples=512"}
TRAIN = {"--epochs": "2", "--device": "cpu"}
CHEAPER = {  # options of a command: in the place of those of the line, or after it
    "train": TRAIN,
    "study": TRAIN | {"--seeds": "2", "--plot": "none"},
    "surface": GRID,
    "line": GRID,
    "path": GRID,
    "curvature": GRID,
    "ensembling": ONE | {"--points": "3"},
    "barriers": ONE | {"--points": "3"},
    "align": ONE | {"--points": "3"},
    "tree": ONE | {"--points": "3", "--epochs": "1"},
    "connect": ONE | {"--points": "3", "--epochs": "1"},
    "bits": ONE,
    "compare": QUICK | {"--plot": "png", "--strategy": "loop,examples=512"},
    "topology": {"--plot": "png"},
    "swag": {"--samples": "3", "--device": "cpu"},
    "ensemble": ONE,
    "quantize": {"--device": "cpu"},
}

FOR_LINES = {  # options of the lines that hold a word, over those
    "--method swag": {"--epochs": "8", "--model": "mlp"},  # it needs three weights of a run that is half over
    "--warmup 5": {"--warmup": "1"},
    "--probe surface": {"--probe": "surface:points=3"},
    "compare a.surface.h5": dict.fromkeys(["--device", "--examples", "--strategy"]),  # none: all is measured there
}

COMPLETE = {  # what stands between backticks and leaves words to the reader
    "landscape adopt net.th --model … --data … -o ckpt.pt": "landscape adopt net.pt --model mynets.py:build "
    "--model-arg width=32 --data mydata.py:load --loss mse -o ckpt.pt",
    "landscape surface ckpt.pt": "landscape surface ckpt.pt --trust",  # which this one needs: it names files of code
    "landscape topology": "landscape topology a.surface.h5",
    "landscape verify": "landscape verify net.pt --device cpu --examples 40",
}

ELSEWHERE = {  # what is not run here, and why
    "landscape train": "names the command; lines with their options are run",
    "landscape study": "names the command; the line with its options is run",
    "landscape surface run.pt --trajectory run.trajectory --trust": "tests/hooks/test_readme_loop.py runs it",
}
PYTHON = {  # the tests of the blocks of Python, in the order of the document
    "Five lines of Python": ["tests/test_readme.py"] * 3,
    "Your own training loop": ["tests/hooks/test_readme_loop.py"],
}


def sections(text: str) -> dict[str, str]:
    """Return the text of every section by its title; the table of commands is of another test."""
    found = (part.partition("\n") for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return {title: re.sub(r"^\|.*\n", "", body, flags=re.MULTILINE) for title, _, body in found}


def lines(text: str) -> list[str]:
    """Return the commands of a section in its order: those of code blocks, and those between backticks."""
    found = re.findall(r"^    (landscape .*)$|`(landscape [^`]*)`", text, flags=re.MULTILINE)
    return list(dict.fromkeys((block or prose).partition("  #")[0].strip() for block, prose in found))


SECTIONS = {title: lines(text) for title, text in sections(README).items()}
PUBLISHED = [line for found in SECTIONS.values() for line in found if "DIR" in line]
CHAINS = {
    title: [line for line in found if line not in PUBLISHED and line not in ELSEWHERE]
    for title, found in SECTIONS.items()
}


def cheaper(line: str) -> list[str]:
    """Return the words of a line, with the options of the table in the place of its own."""
    words = shlex.split(line)[1:]
    options = dict(CHEAPER.get(words[0], {}))
    for part, more in FOR_LINES.items():
        options |= more if part in line else {}
    for option, value in options.items():
        if option in words and value is not None:
            words[words.index(option) + 1] = value
        elif value is not None:
            words += [option, value]
    return words


def missing(words: list[str], printed: str) -> list[str]:
    """Return the files that a line names, or says that it wrote, and that are not there."""
    named = [word for word in words if re.search(r"\.(pt|th|h5|gif|html|trajectory)$", word)]
    output = [words[place + 1] for place, word in enumerate(words) if word == "-o"]
    told = re.findall(r"^(?:written|data|figure|table|page|checkpoint):\s+([^\s;]+)", printed, flags=re.MULTILINE)
    return [name for name in [*named, *output, *told] if not Path(name).exists()]


def demonstrated() -> None:
    """Leave what `make demo` leaves, of a shorter training, and a surface of each of two networks."""
    train = ["train", "--data", "digits", "--model", "lenet", "--epochs", "2", "--device", "cpu"]
    assert run([*train, "-o", "demo/lenet-digits.pt"]) == 0
    for name in "ab":
        assert run(["train", "--model", "mlp", "--epochs", "1", "--device", "cpu", "-o", f"{name}.pt"]) == 0
        assert run(cheaper(f"landscape surface {name}.pt")) == 0


def own() -> None:
    """Leave a network and data of one's own."""
    Path("mynets.py").write_text(
        "from torch import nn\n"
        "def build(width):\n"
        "    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))\n"
    )
    Path("mydata.py").write_text(
        "import torch\n"
        "def load():\n"
        "    x = torch.linspace(-1, 1, 60).reshape(20, 3)\n"
        "    return x, x.sum(1, keepdim=True)\n"
    )
    torch.save(nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1)).state_dict(), "net.pt")


def trained() -> None:
    """Leave a checkpoint that describes itself."""
    assert run(["train", "--model", "mlp", "--epochs", "1", "--device", "cpu", "-o", "net.pt"]) == 0


PREPARED: dict[str, Callable[[], None]] = {
    "From checkpoints to the paper": demonstrated,
    "Your own checkpoint": own,
    "What a number means": trained,
}


@pytest.mark.filterwarnings("ignore:the levels are")  # widths with the levels that are usual at each, as users see them
@pytest.mark.parametrize("title", [title for title, found in CHAINS.items() if found])
def test_the_commands_of_a_section_run_one_after_another(title, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    PREPARED.get(title, lambda: None)()
    for line in CHAINS[title]:
        words = cheaper(COMPLETE.get(line, line))
        capsys.readouterr()
        code = run(words)
        told = capsys.readouterr()
        assert code == 0, f"{line}\nrun as {shlex.join(words)}\n{told.err}"
        assert missing(words, told.out) == [], f"{line}\nrun as {shlex.join(words)}\n{told.out}"


@pytest.mark.parametrize("line", PUBLISHED)
def test_the_commands_on_published_files_run(line, shared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.th").symlink_to(shared / "checkpoints" / "resnet20-12fca82f.th")
    words = cheaper(line.replace("DIR", str(shared / "cifar10")))
    assert run(words) == 0
    told = capsys.readouterr().out
    assert "Surface, 3 x 3 points" in told
    assert missing(words, told) == []


def test_the_tables_are_about_lines_that_are_there():
    found = [line for section in SECTIONS.values() for line in section]
    assert len(found) > 30
    assert set(COMPLETE) | set(ELSEWHERE) <= set(found)
    assert set(PREPARED) <= set(CHAINS)
    assert all(any(part in line for line in found) for part in FOR_LINES)


def test_every_block_of_python_has_its_test():
    counts = {title: text.count("```python\n") for title, text in sections(README).items()}
    assert {title: count for title, count in counts.items() if count} == {k: len(v) for k, v in PYTHON.items()}
    assert all("```python" in (ROOT / name).read_text() for names in PYTHON.values() for name in names)
