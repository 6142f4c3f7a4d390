"""Published checkpoints and real images, from the command line, to the digits that were published with them."""

from __future__ import annotations

import pytest

from landscape import load

PUBLISHED = {  # train loss and accuracy on 4,000 images, test loss and accuracy on 1,000: cross entropy, float32
    "resnet20-12fca82f": ("0.00855", "0.9980", "0.3842", "0.915"),
    "resnet32-d509ac18": ("0.00182", "1.0000", "0.3146", "0.928"),
}


def digits(value: float, known: str) -> str:
    return f"{value:.{len(known.partition('.')[2])}f}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_losses_and_accuracies_of_published_networks(shared, tmp_path, ask, name):
    source = ("--data", "cifar10", "--data-arg", f"root={shared / 'cifar10'}", "--data-arg", "normalize=imagenet")
    path = shared / "checkpoints" / f"{name}.th"
    found = ask("adopt", path, "--model", name.partition("-")[0], *source, "--device", "cpu", "-o", tmp_path / "own.pt")
    assert found.code == 0, found.err
    measured = [float(word) for line in found.out.splitlines()[:2] for word in line.replace(",", "").split()[2::2]]
    assert [digits(*pair) for pair in zip(measured, PUBLISHED[name], strict=True)] == list(PUBLISHED[name])


def test_a_line_through_the_published_network(shared, tmp_path, ask):
    given = ["--model", "resnet20", "--data", "cifar10", "--data-arg", f"root={shared / 'cifar10'}"]
    given += ["--data-arg", "normalize=imagenet", "--points", "3", "--examples", "200", "--plot", "none"]
    output = tmp_path / "line.h5"
    found = ask("line", shared / "checkpoints" / "resnet20-12fca82f.th", *given, "--device", "cpu", "-o", output)
    assert found.code == 0, found.err
    line = load(output)
    known = [float(word) for word in PUBLISHED["resnet20-12fca82f"][::2]]
    for value, error, whole in zip(line.loss[:, 1], line.loss_error[:, 1], known, strict=True):
        assert abs(value - whole) < 3 * error
    assert (line.loss[:, [0, 2]] > 10 * line.loss[:, [1]]).all()
    assert line.minimum == line.center
