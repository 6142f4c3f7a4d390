"""A surface that is killed again and again ends as one that was not, and nobody ever reads a broken file.

By hand: ``python tests/cli/test_kill.py 30 8`` kills 30 times within 8 seconds of a start, and prints what happened.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from landscape.cli import run
from landscape.result import load

PRELOADED = ["landscape.cli._probe", "landscape.objective", "landscape.probes.surface", "landscape.plots.export"]
START = """
import os
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1), os.dup2(nowhere, 2)
from landscape import sweep
from landscape.cli import main
counter = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
measure, sweep.KEEP = sweep._measure, keep
sweep._measure = lambda *given: (measure(*given), os.write(counter, b"."))[0]
main(words)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize(("strategy", "count"), [("loop,examples=256", 5), ("vmap,points=8,examples=512", 3)])
def test_kills_leave_no_trace(tmp_path, strategy, count):
    found = kills(Bench(tmp_path, points=11, strategy=strategy, keep=0.05), count)
    assert found.kills == count
    assert found.equal
    assert found.broken == []
    assert found.leftovers == []
    assert found.reads > 0 or found.finished == 1
    assert found.measured >= found.finished * found.chunks


@dataclass
class Report:
    """What kills did: chunks are counted as they are measured, and as they stand in part files after each kill."""

    seconds: float = 0.0
    chunks: int = 0
    kills: int = 0
    finished: int = 0
    equal: bool = True
    kept: list[int] = field(default_factory=list)
    measured: int = 0
    reads: int = 0
    broken: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def again(self) -> int:
        """Number of chunks that were measured more than once."""
        return self.measured - self.finished * self.chunks


@dataclass
class Bench:
    """A checkpoint, and how its surface is started."""

    folder: Path
    points: int = 61
    strategy: str = "loop,examples=256"
    keep: float = 2.0

    def start(self, output: str) -> BaseProcess:
        words = ["surface", str(self.folder / "mlp.pt"), "--points", str(self.points), "--strategy", self.strategy]
        words += ["--device", "cpu", "--plot", "none", "-o", str(self.folder / output)]
        given = {"words": words, "path": str(self.folder / f"{output}.counter"), "keep": self.keep}
        context = multiprocessing.get_context("forkserver")  # imports torch once, not at every start
        context.set_forkserver_preload(PRELOADED)
        process = context.Process(target=exec, args=(START, given))
        process.start()
        return process

    def measured(self, output: str) -> int:
        """Count the chunks that were measured, in all starts together."""
        return (self.folder / f"{output}.counter").stat().st_size

    def kept(self, output: str) -> int:
        """Count the chunks in part files."""
        total = 0
        for part in (self.folder / f"{output}.parts").glob("part-*.npz"):
            with np.load(part) as arrays:
                total += len(arrays["start"])
        return total


def kills(bench: Bench, count: int, *, longest: float | None = None, seed: int = 0) -> Report:
    """Start, kill and restart until `count` kills have hit a running surface, then let it finish.

    A kill comes at a random moment of the first `longest` seconds (of the time a whole run takes, by default). When a
    run gets to its end before the last kill, its result is compared and removed, and the work begins anew.
    """
    train = ["train", "--model", "mlp", "--epochs", "2", "--device", "cpu", "-o", str(bench.folder / "mlp.pt")]
    assert run(train) == 0
    seconds = min(_seconds(bench) for _ in range(2))  # the first start is slower
    report = Report(seconds=seconds, chunks=bench.measured("whole.h5") // 2)
    stop = threading.Event()
    reader = threading.Thread(target=watch, args=(bench.folder / "killed.h5", report, stop))
    reader.start()
    try:
        _kill(bench, report, count, longest or report.seconds, random.Random(seed))
    finally:
        stop.set()
        reader.join()
    report.measured = bench.measured("killed.h5")
    return report


def _seconds(bench: Bench) -> float:
    (bench.folder / "whole.h5").unlink(missing_ok=True)
    begun = time.monotonic()
    process = bench.start("whole.h5")
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begun


def _kill(bench: Bench, report: Report, count: int, longest: float, moment: random.Random) -> None:
    output, kept = bench.folder / "killed.h5", 0
    while True:
        process = bench.start(output.name)
        process.join(moment.uniform(0, longest) if report.kills < count else None)
        if process.exitcode is None:
            process.kill()
            process.join()
            report.kills += 1
            before, kept = kept, bench.kept(output.name)
            assert kept >= before or output.exists(), f"{before} chunks were kept before a kill, {kept} after it"
            report.kept.append(kept)
            continue
        assert process.exitcode == 0, f"exit code {process.exitcode}"
        report.finished += 1
        report.equal &= sha256(output) == sha256(bench.folder / "whole.h5")
        report.leftovers += [p.name for p in bench.folder.iterdir() if p.name.startswith((".killed", "killed.h5.p"))]
        if report.kills >= count:
            return
        output.unlink()
        kept = 0


def watch(output: Path, report: Report, stop: threading.Event) -> None:
    """Read the result again and again: it is absent or whole."""
    while not stop.is_set():
        if output.exists():
            try:
                found = load(output)
                assert np.isfinite(found.loss).all()
                report.reads += 1
            except FileNotFoundError:
                pass  # removed by the test between two steps
            except Exception as error:
                report.broken.append(repr(error))
        time.sleep(0.005)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = kills(Bench(Path(place)), int(sys.argv[1]), longest=float(sys.argv[2]) if len(sys.argv) > 2 else None)
        print(found, f"again={found.again}")
