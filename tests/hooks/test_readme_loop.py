"""The block of "Your own training loop" in the README runs, and the command that it names opens what is left."""

import re
import shlex
from pathlib import Path

import torch
from torch import nn

from landscape.cli import run

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def test_the_loop_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mynets.py").write_text(
        "from torch import nn\n"
        "def build(width):\n"
        "    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))\n"
    )
    Path("mydata.py").write_text(
        "import torch\n"
        "def load():\n"
        "    x = torch.linspace(-1, 1, 60).reshape(20, 3)\n"
        "    return x, x.sum(1, keepdim=True)\n"
    )
    model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer, x = torch.optim.SGD(model.parameters(), 0.1), torch.linspace(-1, 1, 60).reshape(20, 3)

    def step(inputs, targets):
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    section = README.partition("## Your own training loop")[2].partition("\n## ")[0]
    code = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)[1]
    exec(code, {"model": model, "epochs": 3, "batches": [(x, x.sum(1, keepdim=True))], "step": step})
    assert sorted(p.name for p in Path("run.trajectory").glob("*.pt")) == [f"epoch-000{e}.pt" for e in range(4)]
    line = re.search(r"`(landscape surface [^`]+)`", section)[1]
    assert run([*shlex.split(line)[1:], "--points", "3", "--plot", "none"]) == 0
