"""Texts of probes, scales, and figures of results."""

import numpy as np
import pytest

from landscape import discovery
from landscape.data.digits import digits
from landscape.models.mlp import mlp
from landscape.objective import Objective
from landscape.probes import _contract
from landscape.probes.eigen import Eigen
from landscape.probes.line import Line
from landscape.probes.sharpness import Sharpness
from landscape.result import Result
from landscape.study.measure import labels, probe, scale
from landscape.transforms import subset

QUICK = {
    "eigen": "largest=2,smallest=1", "trace": "probes=4", "spectrum": "steps=8,probes=2",
    "sharpness": "families=curvature,norms,samples=2", "curvature": "points=3,limit=30",
    "covariance": "count=2,probes=2", "batchsize": "sizes=8,16,batches=2,limit=30",
    "saddle": "steps=8,probes=2,limit=20,labels=1,2",
    "line": "points=5,draws=3", "surface": "points=3",
}  # fmt: skip


@pytest.fixture(scope="module")
def objective():
    data = subset(60)(digits())
    strategy = "loop,examples=64;retained,kept,examples=64"
    return Objective(mlp(4, shape=data.shape), {"train": data.split("train")}, device="cpu", strategy=strategy)


BETWEEN = [name for name in discovery.names("landscape.probes") if _contract.between(name)]


@pytest.mark.parametrize("name", BETWEEN)
def test_probes_between_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"one network, got '{name}', which goes between several"):
        probe(name)


@pytest.mark.parametrize("name", [name for name in discovery.names("landscape.probes") if name not in BETWEEN])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_probe_boils_down_to_figures(name, objective):
    found = probe(f"{name}:{QUICK.get(name, '')}")
    figures = discovery.member(_contract.PACKAGE, name)(objective, **found.knobs).figures()
    assert figures
    for key, (value, error) in figures.items():
        assert isinstance(key, str)
        assert isinstance(value, float)
        assert isinstance(error, float)
        assert np.isnan(error) or error >= 0


def test_a_result_that_knows_nothing_has_no_figures():
    assert Result().figures() == {}


def test_values_are_read_as_knobs_have_them():
    found = probe("sharpness:families=curvature,norms,rho=0.05,samples=7,sigma=1").knobs
    assert found == {"families": ("curvature", "norms"), "rho": (0.05,), "samples": 7, "sigma": 1.0}
    assert probe("line:span=auto,stop_above=none").knobs == {"span": "auto", "stop_above": None}
    assert probe("line:span=2").knobs == {"span": 2.0}
    assert probe("saddle:labels=1, cat").knobs == {"labels": ("1", "cat")}
    assert probe("batchsize:sizes=8,16").knobs == {"sizes": (8, 16)}
    assert probe("saddle:decompose=true").knobs == {"decompose": True}
    assert probe("eigen").knobs == {}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("eigne:largest=1", r"probe among batchsize.*did you mean 'eigen'"),
        ("eigen:larges=1", r"knobs of eigen among matrix.*did you mean 'largest'.*landscape eigen --help"),
        ("eigen:largest=many", "Expected int for largest of eigen, got 'many'"),
        ("eigen:largest=1.5", "Expected int for largest"),
        ("eigen:theta=3", "got 'theta'"),
        ("eigen:largest", "key=value"),
    ],
)
def test_texts_that_do_not_fit_are_refused(text, match):
    with pytest.raises(ValueError, match=match):
        probe(text)


def test_probes_of_one_name_are_told_apart():
    texts = ["eigen:largest=1", "trace", "eigen:matrix=fisher"]
    assert labels([probe(text) for text in texts]) == ["eigen:largest=1", "trace", "eigen:matrix=fisher"]


def test_one_value_that_is_not_positive_makes_a_scale_linear():
    assert scale("trace.trace", np.array([1.0, np.nan, 2.0])) == "log"
    assert scale("trace.trace", np.array([1.0, 0.0])) == "linear"
    assert scale("trace.trace", np.array([np.nan])) == "linear"


def test_ends_of_a_spectrum_are_figures_of_eigen():
    arrays = {"converged": [True] * 3, "participation": [1.0] * 3, "gradient_share": [0.0] * 3}
    found = Eigen(
        end=["largest", "largest", "smallest"], value=[4.0, 3.0, -1.0], residual=[0.4, 0.0, 0.3], **arrays,
        gradient_norm=2.0, dimension=9,
    ).figures()  # fmt: skip
    assert found["lambda_max"] == (4.0, 0.4)
    assert found["lambda_min"] == (-1.0, 0.3)
    assert found["ratio"] == pytest.approx((0.25, np.hypot(0.3, 0.1) / 4))
    assert found["gradient_norm"] == (2.0, 0.0)


def test_rows_of_a_table_are_told_apart_by_settings():
    rows = {name: ["x"] * 3 for name in ("error_kind", "unit", "definition", "paper")}
    found = Sharpness(
        measure=["sam", "sam", "trace"], setting=["rho=1", "rho=2", "probes=3"], value=[1, 2, 3.0], error=[0, 0, 0.1],
        **rows,
    )  # fmt: skip
    assert found.figures() == {"sam rho=1": (1.0, 0.0), "sam rho=2": (2.0, 0.0), "trace": (3.0, 0.1)}


def test_the_rise_of_a_line_is_the_mean_over_points_and_draws():
    draws = np.array([[[3.0, 1.0, 2.0]], [[5.0, 1.0, 6.0]]])
    line = Line(
        split=["test"], a=[-1.0, 0.0, 1.0], loss=draws[0], loss_error=0 * draws[0], axis=["x"], norm=[1.0],
        draw=[0, 1], draw_loss=draws,
    )  # fmt: skip
    assert line.figures() == {"test_rise": (2.0, pytest.approx(1.0))}
