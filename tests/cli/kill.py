"""Kill a surface at random moments until enough kills have hit it, and compare the end with an uninterrupted run.

By hand: ``python tests/cli/kill.py 30 8`` kills 30 times within 8 seconds of a start, and prints what happened.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from landscape.cli import run
from landscape.result import load

START = """
import os, sys
from landscape import sweep
from landscape.cli import run
counter = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
measure, sweep.KEEP = sweep._measure, float(sys.argv[2])
sweep._measure = lambda *given: (measure(*given), os.write(counter, b"."))[0]
sys.exit(run(sys.argv[3:]))
"""


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

    def start(self, output: str) -> subprocess.Popen:
        words = ["surface", str(self.folder / "mlp.pt"), "--points", str(self.points), "--strategy", self.strategy]
        words += ["--device", "cpu", "--plot", "none", "-o", str(self.folder / output)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        counter = self.folder / f"{output}.counter"
        return subprocess.Popen([sys.executable, "-c", START, str(counter), str(self.keep), *words], **quiet)

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
    begun = time.monotonic()
    assert bench.start("whole.h5").wait() == 0
    report = Report(seconds=time.monotonic() - begun, chunks=bench.measured("whole.h5"))
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


def _kill(bench: Bench, report: Report, count: int, longest: float, moment: random.Random) -> None:
    output, kept = bench.folder / "killed.h5", 0
    while True:
        process = bench.start(output.name)
        try:
            code = process.wait(moment.uniform(0, longest) if report.kills < count else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            report.kills += 1
            before, kept = kept, bench.kept(output.name)
            assert kept >= before or output.exists(), f"{before} chunks were kept before a kill, {kept} after it"
            report.kept.append(kept)
            continue
        assert code == 0, f"exit code {code}"
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
