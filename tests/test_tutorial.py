"""The documentation's pages are true: every Python block runs in its order, every command parses, every file reads."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from landscape import checkpoint
from landscape.cli import app, run
from landscape.data.digits import digits
from landscape.models.mlp import mlp

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md") if page.name != "index.md")


def blocks(page: str) -> list[tuple[int, str]]:
    """Python blocks of a page with the lines that they begin at."""
    text = (DOCS / page).read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


def commands(page: str) -> list[str]:
    """Calls of our command: lines of shell blocks, and what has arguments between backticks."""
    text = (DOCS / page).read_text()
    shown = re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip().partition("  #")[0] for block in shown for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(landscape \w+ [^`]+)`", text)
    return sorted({line for line in lines + inline if line.startswith("landscape ")})


def execute(page: str, **given: object) -> dict:
    """Run all blocks of a page in one namespace; a line that fails is told by its number on the page."""
    names: dict = {"__name__": "__main__", **given}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(DOCS / page), "exec"), names)
    plt.close("all")
    return names


def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = execute("tutorial.md")
    assert names["comparison"].value.shape == (4, len(names["columns"]))
    for figure in ("sgd.surface.pdf", "path.pdf", "surfaces.pdf"):
        assert Path(figure).read_bytes().startswith(b"%PDF")
    assert Path("compare.csv").read_text().count("\n") > 4
    assert "plotly" in Path("report.html").read_text()
    assert names["hessian"].products > 0
    assert abs(names["top"] / names["eigen"].value[0] - 1) < 0.05  # both of the network trained by sam


def step(model, *batch):
    """Make a step of the loop that stands for anybody's."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


class HuggingFaceTrainer:
    """Stand in for the Trainer of transformers: a step an epoch, and the callbacks around it."""

    def __init__(self, model, args, train_dataset, callbacks):
        self.model, self.args, self.rows, (self.callback,) = model, args, train_dataset, callbacks

    def train(self):
        state, control = SimpleNamespace(global_step=0, epoch=0), SimpleNamespace(should_training_stop=False)
        batch = [torch.stack([row[name] for row in self.rows]) for name in ("inputs", "labels")]
        self.callback.on_train_begin(self.args, state, control, model=self.model)
        for _ in range(self.args.num_train_epochs):
            step(self.model.net, *batch)
            state.global_step, state.epoch = state.global_step + 1, state.epoch + 1
            self.callback.on_step_end(self.args, state, control)
            self.callback.on_epoch_end(self.args, state, control)
        self.callback.on_train_end(self.args, state, control)


class LightningTrainer:
    """Stand in for the Trainer of Lightning: all batches an epoch, and the callbacks around them."""

    def __init__(self, max_epochs, callbacks, **_):
        self.global_step, self.current_epoch, self.max_epochs, (self.callback,) = 0, 0, max_epochs, callbacks

    def fit(self, module, batches):
        self.callback.on_train_start(self, module)
        while self.current_epoch < self.max_epochs:
            for index, batch in enumerate(batches):
                loss = step(module.net, *batch)
                self.global_step += 1
                self.callback.on_train_batch_end(self, module, {"loss": loss}, batch, index)
            self.callback.on_train_epoch_end(self, module)
            self.current_epoch += 1
        self.callback.on_train_end(self, module)
        self.callback.on_fit_end(self, module)


def library(monkeypatch, name, **stands_in):
    """Import what the page needs of a library; where that fails, even late, something stands in for it."""
    try:
        module = importlib.import_module(name)
        for needed in stands_in:
            getattr(module, needed)
    except Exception:  # whatever is missing or broken below it
        module = ModuleType(name)
        vars(module).update(stands_in)
        monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType(name))
        monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.filterwarnings("default")  # of the trainers, where they are installed
def test_the_hooks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hugging = library(monkeypatch, "transformers", Trainer=HuggingFaceTrainer,
                      TrainingArguments=lambda output, **settings: SimpleNamespace(**settings))  # fmt: skip
    pl = library(monkeypatch, "lightning.pytorch", Trainer=LightningTrainer, LightningModule=nn.Module)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(16, classes=10, shape=(1, 8, 8))

        def forward(self, inputs, labels=None):
            logits = self.net(inputs)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = mlp(16, classes=10, shape=(1, 8, 8))

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    examples = TensorDataset(*(torch.tensor(array[:256]) for array in digits().train))
    names = execute(
        "hooks.md", net=mlp(16, classes=10, shape=(1, 8, 8)), step=step, loader=DataLoader(examples, 64, shuffle=True),
        model=Classifier(), rows=[{"inputs": inputs, "labels": label} for inputs, label in examples], module=Module(),
        arguments=hugging.TrainingArguments(
            "face", num_train_epochs=2, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True
        ),
    )  # fmt: skip
    assert names["objective"].dim == sum(parameter.numel() for parameter in names["net"].parameters())
    trained = {"run": (names["net"], 4), "face": (names["model"].net, 2), "bolt": (names["module"].net, 2)}
    for name, (net, epochs) in trained.items():
        left = checkpoint.read(f"{name}.pt")
        assert all(torch.equal(left.state[key], tensor) for key, tensor in net.state_dict().items())
        assert (left.model.name, left.data.name, left.training["epochs"]) == ("mlp", "digits", epochs)
        assert Path(f"{name}.trajectory", "epoch-0002.pt").is_file()
    line = next(line for line in commands("hooks.md") if "--trajectory" in line)
    assert run([*shlex.split(line)[1:], "--plot", "none"]) == 0


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("tutorial.md", "hooks.md")])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert blocks(page)
    execute(page)


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page)])
def test_the_commands_of_a_page_parse(page, line):
    given = shlex.split(line)[1:]
    command, bound, _ = app(given).parse_args(given, exit_on_error=False, print_error=False)
    assert inspect.isfunction(command)
    assert bound.arguments
