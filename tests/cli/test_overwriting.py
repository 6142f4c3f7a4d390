"""Files that landscape did not make stay; what decides the numbers does not change with the place of a file."""

import shutil
from pathlib import Path

import pytest

from landscape.cli import run

LINE = ["--points", "3", "--examples", "20", "--strategy", "loop,examples=256"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--data", "digits", "--model", "mlp", "--epochs", "1", "-o", "a.pt"]) == 0
    assert run(["line", "a.pt", *LINE]) == 0
    return tmp_path


def test_foreign_figures_and_tables_stay(here, capsys):
    for name, words in (
        ("b.pdf", ["line", "a.pt", *LINE, "-o", "b.h5"]),
        ("c.png", ["plot", "a.line.h5", "-o", "c.png"]),
        ("d.csv", ["export", "a.line.h5", "-o", "d.csv"]),
    ):
        Path(name).write_text("mine")
        assert run(words) == 1
        assert f"landscape: {name}: expected to write here, got a file that exists" in capsys.readouterr().err
        assert Path(name).read_text() == "mine"
        assert run([*words, "--force"]) == 0
        assert Path(name).read_bytes() != b"mine"
    assert Path("b.h5").exists()


def test_our_own_figures_are_drawn_again(here):
    assert run(["line", "a.pt", *LINE]) == 0
    assert run(["plot", "a.line.h5", "-o", "a.line.pdf"]) == 0


def test_a_moved_checkpoint_is_the_same_origin(here, capsys):
    Path("moved").mkdir()
    shutil.copy("a.pt", "moved/a.pt")
    assert run(["line", "moved/a.pt", *LINE, "-o", "a.line.h5"]) == 0
    assert "was there already" in capsys.readouterr().out
