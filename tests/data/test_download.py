import hashlib
import re

import pooch
import pytest

from landscape.data import _download
from landscape.data._download import Remote, fetch, place, wanted
from landscape.data.mnist import mnist

CONTENT = b"the true content"
REMOTE = Remote("file.gz", "https://example.org/file.gz", "md5:" + hashlib.md5(CONTENT).hexdigest())


def serve(monkeypatch, content=CONTENT, error=None):
    """Let the network answer with `content`, or fail with `error`; the checksum is still pooch's."""
    asked = []

    def downloader(self, url, output_file, pooch):
        asked.append(url)
        if error is not None:
            raise error
        self.progressbar.total = len(content)
        with open(output_file, "wb") as stream:
            stream.write(content)
        for call in (self.progressbar.update, lambda _: self.progressbar.reset(), self.progressbar.update):
            call(len(content))
        self.progressbar.close()

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", downloader)
    return asked


def test_the_place_is_root_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("LANDSCAPE_DATA", raising=False)
    assert place("mnist", None) == _download.Path(pooch.os_cache("landscape")) / "mnist"
    monkeypatch.setenv("LANDSCAPE_DATA", str(tmp_path / "base"))
    assert place("mnist", None) == tmp_path / "base" / "mnist"
    assert place("mnist", tmp_path) == tmp_path
    with pytest.raises(FileNotFoundError, match="got no such path: correct root"):
        place("mnist", tmp_path / "nowhere")


def test_only_missing_files_are_downloaded_and_checked(tmp_path, monkeypatch, capsys):
    asked = serve(monkeypatch)
    for _ in range(2):
        assert fetch("toy", tmp_path / "new", [REMOTE], download=True) == [tmp_path / "new" / "file.gz"]
    assert asked == [REMOTE.url]
    assert (tmp_path / "new" / "file.gz").read_bytes() == CONTENT
    assert capsys.readouterr().out == ""


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path, monkeypatch):
    serve(monkeypatch, content=b"something else")
    with pytest.raises(OSError, match=r"failed download \(ValueError: MD5 hash of downloaded file") as caught:
        fetch("toy", tmp_path, [REMOTE], download=True)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_network_one_line_names_files_address_folder_and_variable(tmp_path, monkeypatch):
    serve(monkeypatch, error=ConnectionError("no route\nto host"))
    monkeypatch.setenv("LANDSCAPE_DATA", str(tmp_path))
    with pytest.raises(OSError, match="failed download") as caught:
        mnist()
    text = str(caught.value)
    assert "\n" not in text
    for part in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "https://", "$LANDSCAPE_DATA"):
        assert part in text
    assert str(tmp_path / "mnist") in text


def test_nothing_is_ever_downloaded_into_a_root_of_the_user(tmp_path, monkeypatch):
    asked = serve(monkeypatch)
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz.*only=train or only=test"):
        mnist(root=tmp_path)
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_only_names_a_split():
    assert wanted(None) == ("train", "test")
    assert wanted("test") == ("test",)
    with pytest.raises(ValueError, match=re.escape("got only='valid'")):
        wanted("valid")
