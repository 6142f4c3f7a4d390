"""A trained network on the embedded digits, and a way to run the command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from landscape.cli import run

QUICK = {"--plot": "none", "--strategy": "loop,examples=512", "--device": "cpu", "--points": "3", "--examples": "40"}


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> bool:
        """Assert that the command failed with one line that says certain words."""
        assert self.code == 1, self.err
        assert len(self.err.splitlines()) == 1, self.err
        assert self.err.startswith("landscape: ")
        assert all(word in self.err for word in words), self.err
        return True


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with a.pt and its trajectory, b.pt and c.pt: one network from three seeds."""
    folder = tmp_path_factory.mktemp("trained")
    for seed, name in enumerate("abc"):
        words = ["--model", "mlp", "--epochs", "3", "--seed", str(seed), "--every", "1", "--device", "cpu"]
        assert run(["train", *words, "-o", str(folder / f"{name}.pt")]) == 0
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> Path:
    """The current folder: a copy of `trained`."""
    folder = tmp_path / "here"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ask(capsys) -> Callable[..., Answer]:
    """Run a command and return what it answered."""

    def asked(*words: object) -> Answer:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return asked


@pytest.fixture
def measure(ask) -> Callable[..., Answer]:
    """Run a probe on few points and examples, without figures, unless its words say otherwise."""

    def measured(*words: object) -> Answer:
        quick = [part for name, value in QUICK.items() if name not in words for part in (name, value)]
        return ask(*words, *quick)

    return measured
