import matplotlib
import numpy as np
import pytest

from landscape.probes.line import Line
from landscape.probes.surface import Surface

matplotlib.use("Agg")


def plane(a, b):
    """A bowl that no exchange or reversal of the axes leaves as it is, from 0.01 to about 50."""
    return 0.01 + 20 * (a - 0.1 * b) ** 2 + 8 * (b + 0.5 * a * b) ** 2 + 3 * (a + 1) ** 4 * (b > 0.4)


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def make_surface():
    def make(points=(9, 6), classes=3, *, draws=0, trajectory=False, splits=("train", "test"), **changes):
        a, b = np.linspace(-1, 1, points[0]), np.linspace(-0.5, 1, points[1])
        grid = plane(*np.meshgrid(a, b, indexing="ij"))
        loss = np.stack([grid * (1 + 0.2 * k) + 0.3 * k for k in range(len(splits))])
        class_loss = np.stack([loss * (0.5 + k) for k in range(classes)], axis=1)
        arrays = {
            "split": list(splits), "a": a, "b": b, "loss": loss, "loss_error": 0.05 * loss,
            "accuracy": np.exp(-loss / 9), "accuracy_error": 0.01 * np.exp(-loss / 9),
            "class_": [f"class {k}" for k in range(classes)], "class_loss": class_loss,
            "class_accuracy": np.exp(-class_loss / 9), "axis": ["first", "second"], "norm": [3.0, 4.0], "cosine": 0.01,
        }  # fmt: skip
        if draws:
            shift = np.arange(draws)[:, None, None, None]
            arrays |= {
                "draw": np.arange(draws),
                "draw_loss": loss + shift,
                "draw_accuracy": arrays["accuracy"] / (1 + shift),
            }
        if trajectory:
            arrays |= {
                "checkpoint": [0, 5, 10], "checkpoint_a": [-0.8, -0.3, 0.0], "checkpoint_b": [0.6, 0.4, 0.0],
                "checkpoint_residual": [2.5, 1.0, 0.0], "explained": [0.631, 0.2],
            }  # fmt: skip
        origin = {"model": {"name": "lenet"}, "data": {"name": "digits"}}
        origin["directions"] = {"kind": "random", "normalization": "filter", "seed": 0}
        return Surface(**(arrays | {"origin": origin} | changes))

    return make


@pytest.fixture
def make_line():
    def make(points=9, classes=3, *, draws=0, splits=("train", "test"), **changes):
        a = np.linspace(-1, 1.5, points)
        loss = np.stack([0.01 + 0.2 * k + 20 * np.abs(a) ** 3 for k in range(len(splits))])
        class_loss = np.stack([loss * (0.5 + k) for k in range(classes)], axis=1)
        arrays = {
            "split": list(splits), "a": a, "loss": loss, "loss_error": 0.1 * loss, "accuracy": np.exp(-loss),
            "accuracy_error": 0.01 * np.exp(-loss), "class_": [f"class {k}" for k in range(classes)],
            "class_loss": class_loss, "class_accuracy": np.exp(-class_loss), "axis": ["first"], "norm": [3.0],
        }  # fmt: skip
        if draws:
            arrays |= {"draw": np.arange(draws), "draw_loss": loss + np.arange(draws)[:, None, None]}
        return Line(**(arrays | changes))

    return make
