"""Results to tell of, and a browser to look with."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from landscape.plots.page import report
from landscape.probes.eigen import Eigen
from landscape.probes.spectrum import Spectrum
from landscape.probes.surface import Surface
from landscape.result import Result

WORDS = {
    "split": ["train", "test"], "score": ["loss", "accuracy"], "better": ["lower", "higher", ""],
    "unit": ["nat", "nat", ""], "part": ["train", "test", "train"], "side": ["one", "other"],
    "contrast": ["pair - alone", "all - alone", "all_average - all"],
}  # fmt: skip
NAMES = {"curve", "class", "axis", "checkpoint", "first", "second", "segment", "tensor", "measure", "method", "layer",
         "network", "edge", "way", "contrast", "term", "member", "end", "setting", "verdict"}  # fmt: skip

EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
KNOWN = {"Topology": {"edge": [False] * 3, "told": [True] * 3, "parent": [-1, 0, 0]}}
FLAGS, COUNTS = ("converged", "kept", "present"), ("count", "dimension", "end", "products")


def some(kind):
    """A result of a kind with numbers that mean nothing, the same every time."""
    draw = np.random.default_rng(0)
    arrays = {}
    for name, meta in kind.declared().items():
        shape = tuple(len(WORDS.get(dim, "abc")) for dim in meta["dims"])
        word = meta["name"] or name
        if word in WORDS and len(shape) == 1:
            arrays[name] = WORDS[word][: shape[0]]
        elif word in NAMES and len(shape) == 1:
            arrays[name] = [f"{word} {k}" for k in range(shape[0])]
        elif meta["dims"] == (word,):
            arrays[name] = np.arange(shape[0], dtype=float)
        elif name.endswith(FLAGS):
            arrays[name] = np.ones(shape, bool)
        elif name.endswith(COUNTS):
            arrays[name] = np.ones(shape, int)
        else:
            arrays[name] = draw.uniform(0.1, 1, shape)
    return kind(**arrays | KNOWN.get(kind.__name__, {}))


@pytest.fixture
def some_result():
    """A result of a kind, by its name, with numbers that mean nothing."""
    return lambda name: some(Result.kinds[name])


def origin(stem, bits=None):
    """Where a result of a checkpoint comes from, as commands record it."""
    found = {
        "command": "surface", "checkpoint": {"path": f"/runs/{stem}.pt", "sha256": "ab" * 32}, "others": [],
        "checkpoints": 1, "model": {"name": "mlp", "arguments": {"width": 32}}, "data": {"name": "digits"},
        "splits": {"train": {"examples": 40, "fingerprint": "cd" * 32}}, "versions": {"landscape": "0.1.0"},
    }  # fmt: skip
    return found | ({"quantization": {"widths": {"bits": [bits]}}} if bits else {})


def bowl(factor, where):
    """A surface of 11 x 9 points whose losses are a factor times the same ones."""
    a, b = np.linspace(-1, 1, 11), np.linspace(-0.5, 1, 9)
    grid = 0.01 + 20 * (a[:, None] - 0.1 * b) ** 2 + 8 * (b + 0.5 * a[:, None] * b) ** 2
    loss = factor * np.stack([grid, 1.2 * grid + 0.3])
    return Surface(
        split=["train", "test"], a=a, b=b, loss=loss, loss_error=0.05 * loss, accuracy=np.exp(-loss / 9),
        accuracy_error=0.01 * np.exp(-loss / 9), axis=["first", "second"], norm=[3.0, 4.0], cosine=0.01, origin=where,
    )  # fmt: skip


@pytest.fixture(scope="session")
def results():
    """Two networks at two widths, with surfaces that differ, and spectra."""
    found = {}
    for k, network in enumerate(("flat", "sharp")):
        for bits in (None, 4):
            stem = network if bits is None else f"{network}.w{bits}"
            found[f"{stem}.surface"] = bowl((1 + 3 * k) * (1 if bits is None else 2), origin(stem, bits))
        node = np.array([[-0.1, 0.0, 0.5, 2.0], [-0.2, 0.01, 0.4, 2.1]]) * (k + 1)
        found[f"{network}.spectrum"] = Spectrum(
            node=node, weight=np.tile([0.1, 0.7, 0.15, 0.05], (2, 1)), node_residual=np.full((2, 4), 0.01),
            smallest=-0.2, smallest_residual=0.001, largest=2.1 * (k + 1), largest_residual=0.002, trace=3.0,
            trace_error=0.1, square=9.0, square_error=0.5, dimension=100, origin=origin(network),
        )  # fmt: skip
        found[f"{network}.eigen"] = Eigen(
            end=["largest", "largest", "smallest"], value=[3.0 + k, 2.0, -0.1], residual=[0.01, 0.01, 0.02],
            converged=[True, True, False], participation=[5.0, 6.0, 7.0], gradient_share=[0.1, 0.2, 0.3],
            gradient_norm=0.3, dimension=100, origin=origin(network),
        )  # fmt: skip
    return found


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'landscape[test]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a browser, got none: install chromium")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        found = started.chromium.launch(executable_path=program, args=arguments)
        yield found
        found.close()


@pytest.fixture(scope="session")
def opened(chromium, results, tmp_path_factory):
    """The one page that tests look at, in its browser; what it fetches and what it complains of are kept."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    between = bowl(2, {"directions": {"kind": "between"}, "model": {"name": EVIL}})
    report(results | {EVIL: between}, path)
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(50_000)
    page.requests, page.complaints = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda told: page.complaints.append(told.text) if told.type == "error" else None)
    page.goto(path.as_uri())
    return page
