"""A surface that is killed again and again ends as one that was not, and nobody ever reads a broken file."""

import sys

import pytest
from kill import Bench, kills


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize(("strategy", "count"), [("loop,examples=256", 3), ("vmap,points=8,examples=512", 2)])
def test_kills_leave_no_trace(tmp_path, strategy, count):
    found = kills(Bench(tmp_path, points=15, strategy=strategy, keep=0.1), count)
    assert found.kills == count
    assert found.equal
    assert found.broken == []
    assert found.leftovers == []
    assert found.reads > 0 or found.finished == 1
    assert found.measured >= found.finished * found.chunks
