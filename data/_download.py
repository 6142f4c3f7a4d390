"""Where the files of a data set lie, and how missing ones are downloaded."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pooch

from landscape.dataset import SPLITS

VARIABLE = "LANDSCAPE_DATA"
TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded: its name, its address, and its checksum (``"md5:..."``)."""

    name: str
    url: str
    checksum: str


def wanted(only: str | None) -> tuple[str, ...]:
    """Name the splits to load: both, or the one that the knob `only` asks for.

    Raises
    ------
    ValueError
        If `only` is neither None, ``"train"`` nor ``"test"``.
    """
    if only is None:
        return SPLITS
    if only not in SPLITS:
        raise ValueError(f"Expected only=train or only=test, got only={only!r}: choose one, or leave it out for both.")
    return (only,)


def place(name: str, root: str | Path | None) -> Path:
    """Find where the files of a data set are kept.

    In this order: `root`; ``$LANDSCAPE_DATA/<name>``; the user's cache.

    Raises
    ------
    FileNotFoundError
        If a `root` is given and nothing is there.
    """
    if root is not None:
        path = Path(root).expanduser().resolve()
        if not path.exists():
            raise FileNotFoundError(f"Expected the files of {name} at root={path}, got no such path: correct root.")
        return path
    base = os.environ.get(VARIABLE)
    return (Path(base).expanduser().resolve() if base else Path(pooch.os_cache("landscape"))) / name


def fetch(name: str, folder: Path, remotes: Iterable[Remote], *, download: bool) -> list[Path]:
    """Download into `folder` the files that are not there yet; return the paths of all.

    Parameters
    ----------
    name : str
        Name of the data set, for messages.
    folder : Path
        Made if needed.
    remotes : iterable of Remote
        What must lie there in the end.
    download : bool
        False when the user named the folder: nothing is ever written into a folder of theirs.

    Raises
    ------
    OSError
        In one line: the files that are missing, their addresses, and where to put them.
    """
    remotes = list(remotes)
    missing = [remote for remote in remotes if not (folder / remote.name).exists()]
    if missing and not download:
        files = ", ".join(remote.name for remote in missing)
        raise FileNotFoundError(
            f"Expected {files} in root={folder}, got no such files: correct root, put the files there (published at "
            f"{missing[0].url}), say only=train or only=test if one split is enough, or leave root out to download."
        )
    for remote in missing:
        try:
            _retrieve(remote, folder)
        except (OSError, ValueError) as error:  # requests raises OSErrors; a wrong checksum is a ValueError
            still = [remote for remote in missing if not (folder / remote.name).exists()]
            files = ", ".join(remote.name for remote in still)
            addresses = ", ".join(remote.url for remote in still)
            raise OSError(
                f"Expected {files} in {folder}, got a failed download ({type(error).__name__}: {_short(error)}): fetch "
                f"{addresses} and put the files into that folder, or set ${VARIABLE} to the folder that holds {name}/."
            ) from error
    return [folder / remote.name for remote in remotes]


def _retrieve(remote: Remote, folder: Path) -> None:
    # pooch announces files and hashes at level INFO; the progress bar says enough.
    logger = pooch.get_logger()
    level, _ = logger.level, logger.setLevel(logging.WARNING)
    progress = _Progress(remote.name)
    try:
        downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=2**18, timeout=TIMEOUT)
        pooch.retrieve(remote.url, remote.checksum, fname=remote.name, path=folder, downloader=downloader)
    finally:
        progress.close()
        logger.setLevel(level)


def _short(error: Exception, length: int = 160) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 3] + "..."


class _Progress:
    """The progress bar that pooch drives, drawn by rich on the standard error stream."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.total = 0
        self._bar = None
        self._full = False
        self._done = 0

    def update(self, count: int) -> None:
        if self._full:
            return
        if self._bar is None:
            self._bar, self._task = self._start()
        self._done += count
        # pooch counts whole chunks, so that the last one may run past the end of the file.
        self._bar.update(self._task, completed=min(self._done, self.total or self._done))

    def _start(self):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True))
        bar.start()
        return bar, bar.add_task(self.label, total=self.total or None)

    def reset(self) -> None:
        # pooch resets the bar and then counts the whole file once more; the bar is already full.
        self._full = True

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
