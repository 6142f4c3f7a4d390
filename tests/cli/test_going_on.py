"""What commands keep beside a result, and what they say while they work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from landscape.cli._output import Output, Store, ending, free
from landscape.train.observers.progress import meter


def opened(store, plan="loop"):
    return store(lambda: {"kind": plan})


def test_unfinished_work_of_the_same_identity_goes_on(tmp_path):
    path = tmp_path / "s.h5"
    opened(Store(path, {"seed": (0, 1)})).write(3, {"x": [1]})
    for force in (False, True):
        parts = opened(Store(path, {"seed": [0, 1]}, force=force), plan="vmap")
        assert parts.done() == {3}
        assert parts.plan == {"kind": "loop"}


def test_unfinished_work_of_another_identity_needs_force(tmp_path):
    path = tmp_path / "s.h5"
    opened(Store(path, {"seed": 0})).write(3, {"x": [1]})
    with pytest.raises(ValueError, match="another one"):
        opened(Store(path, {"seed": 1}))
    Store(path, {"seed": 1}).remove()
    assert opened(Store(path, {"seed": 0})).done() == {3}
    assert opened(Store(path, {"seed": 1}, force=True)).done() == set()
    Store(path, {"seed": 1}).remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_swept_is_ones_own(tmp_path):
    path = tmp_path / "s[1].h5"
    for name in (".s[1].h5.abc.tmp", ".s1.h5.abc.tmp", "s[1].h5.bak"):
        (tmp_path / name).touch()
    Store(path, {}).remove()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".s1.h5.abc.tmp", "s[1].h5.bak"]


def test_names_of_outputs(tmp_path):
    assert Output().path(tmp_path / "net.v2.pt", "surface") == tmp_path / "net.v2.surface.h5"
    assert Output(plot=" .pdf, html").formats() == ["pdf", "html"]
    assert Output(plot="none").formats() == []
    with pytest.raises(ValueError, match="--plot among"):
        Output(plot="pdf,none").formats()
    with pytest.raises(ValueError, match=r"ends in \.a or \.b"):
        ending(tmp_path / "x.c", (".a", ".b"))
    (tmp_path / "x").touch()
    assert free(tmp_path / "x", force=True) == tmp_path / "x"
    with pytest.raises(ValueError, match="exists"):
        free(tmp_path / "x", force=False)


def test_progress_tells_what_is_left_of_work_that_goes_on(monkeypatch):
    from landscape.train.observers import progress

    now = iter([0.0, 0.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    with meter("surface", Console(file=stream, width=20)) as tell:
        for done in (100, 150, 160, 200):
            tell(done, 300)
    assert stream.getvalue().splitlines() == [
        "surface: 150 of 300, about 30 s left",
        "surface: 200 of 300, about 20 s left",
    ]


def test_progress_is_a_bar_on_a_terminal():
    stream = io.StringIO()
    with meter("surface", Console(file=stream, force_terminal=True, width=100)) as tell:
        tell(3, 9)
        tell(9, 9, label="nearly")
    assert "3/9" in stream.getvalue() or "9/9" in stream.getvalue()
