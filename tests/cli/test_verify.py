"""The command that checks an objective: a table, and an error if anything disagrees."""

from __future__ import annotations

import torch

from landscape import Objective

WORDS = ("--examples", "40", "--device", "cpu")


def test_a_table_of_checks_that_agree(here, ask):
    found = ask("verify", "a.pt", *WORDS)
    assert found.code == 0, found.err
    assert "N=40), train split, float32 on cpu" in found.out
    assert found.out.count(" agrees ") == 10
    assert found.out.splitlines()[1].split() == ["check", "allowed", "found", "verdict"]
    assert "PyHessian" in found.out
    assert found.out.endswith("a.pt: verified\n")


def test_a_wrong_product_is_an_error(here, ask, monkeypatch):
    right = Objective.hvp
    monkeypatch.setattr(Objective, "hvp", lambda self, theta, vectors: 1.02 * right(self, theta, vectors))
    found = ask("verify", "a.pt", *WORDS)
    assert found.refused("a.pt", "expected all checks to agree", "Hessian product")
    assert "disagrees" in found.out
    assert "verified" not in found.out


def test_what_cannot_be_compared_is_said(here, ask):
    (here / "losses.py").write_text("from torch.nn.functional import cross_entropy\n"
        "def smooth(outputs, targets):\n"
        "    return cross_entropy(outputs, targets, reduction='none', label_smoothing=0.1)\n")
    found = ask("verify", "a.pt", *WORDS, "--loss", "losses.py:smooth")
    assert found.code == 0, found.err
    assert found.out.count("skipped") == 2
    assert "the loss is" in found.out


def test_weights_that_are_not_finite(here, ask):
    from landscape import checkpoint

    state = checkpoint.read("a.pt")
    next(iter(state.state.values()))[0] = torch.nan
    checkpoint.write(state, "nan.pt")
    assert ask("verify", "nan.pt", *WORDS).refused("finite")
