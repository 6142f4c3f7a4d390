"""Codes and scales of other programs: the same numbers, and one clear line for every way they can be wrong."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from landscape.ptq.foreign import arrays, foreign

AXES = {"fc.weight": 0, "up.weight": 1}


def codes(**changed):
    """A file of two quantized weights and a plain one, with entries changed; None takes one away."""
    found = {
        "fc.weight.codes": torch.tensor([[-128, 5, 0], [127, -1, 3]], dtype=torch.int8),
        "fc.weight.scale": torch.tensor([0.5, 0.25]),
        "up.weight.codes": torch.tensor([[[0], [255]], [[7], [128]]], dtype=torch.uint8),
        "up.weight.scale": torch.tensor(0.1),
        "up.weight.zero": torch.tensor([128, 100]),
        "fc.bias": torch.tensor([1.0, 2.0]),
    }
    found |= {name.replace("__", "."): value for name, value in changed.items()}
    return {name: value for name, value in found.items() if value is not None}


def test_weights_are_codes_less_zero_times_scale():
    state, found = foreign(codes(), AXES, "f.npz")
    assert torch.equal(state["fc.weight"], torch.tensor([[-64.0, 2.5, 0.0], [31.75, -0.25, 0.75]]))
    torch.testing.assert_close(state["up.weight"], torch.tensor([[[-12.8], [15.5]], [[-12.1], [2.8]]]))
    assert torch.equal(state["fc.bias"], torch.tensor([1.0, 2.0]))
    assert set(state) == {"fc.weight", "up.weight", "fc.bias"}
    assert found.latent == {}
    assert found.bits == {"fc.weight": 8, "up.weight": 8}
    assert [(g.low, g.high) for g in found.grids.values()] == [(-128, 127), (0, 255)]
    found.require(state, "f.npz")


def test_codes_come_back():
    given = codes()
    state, found = foreign(given, AXES, "f.npz")
    for name, one in found.grids.items():
        assert torch.equal(one.codes(state[name]), given[f"{name}.codes"].float())


def test_widths():
    small = codes(fc__weight__codes=torch.tensor([[-8, 5, 0], [7, -1, 3]], dtype=torch.int32))
    small["up.weight.codes"] = small["up.weight.codes"] // 64
    small["up.weight.zero"] = torch.tensor(2)
    assert foreign(small, AXES, "f", bits=4)[1].bits == {"fc.weight": 4, "up.weight": 4}
    own = small | {"up.weight.bits": torch.tensor(2)}
    assert foreign(own, AXES, "f", bits=4)[1].bits == {"fc.weight": 4, "up.weight": 2}


def test_scales_of_the_full_shape():
    shaped = codes(fc__weight__scale=torch.tensor([[0.5], [0.25]]), up__weight__scale=torch.tensor([[[0.1], [0.2]]]))
    state, _ = foreign(shaped, AXES, "f")
    assert torch.equal(state["fc.weight"], foreign(codes(), AXES, "f")[0]["fc.weight"])
    assert state["up.weight"][0, 1, 0] == pytest.approx(0.2 * 155)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fc__weight__scale": None}, "expected the scale of 'fc.weight' under 'fc.weight.scale', got none"),
        ({"fc__weight__scale": torch.tensor([0.5, 0.0])}, "positive, finite scales for 'fc.weight', got 0 in 1 of 2"),
        ({"fc__weight__scale": torch.tensor(float("nan"))}, "positive, finite scales"),
        ({"fc__weight__scale": torch.ones(3)}, "one number or 2, one for each output unit.*got shape"),
        ({"fc__weight__scale": torch.ones(1, 2)}, "one number or 2"),
        ({"fc__weight__codes": torch.ones(2, 3)}, "integers under 'fc.weight.codes', got torch.float32"),
        ({"fc__weight__codes": torch.full((2, 3), 200)}, "from -128 to 127, 8 bits of torch.int64, got 200 in 6 of 6"),
        ({"fc__weight__zero": torch.tensor(0.5)}, "whole numbers under 'fc.weight.zero'"),
        ({"fc__weight__bits": torch.tensor(9)}, "1 to 8 bits for 'fc.weight', got 9"),
        ({"fc__weight__bits": torch.tensor([8, 8])}, "one number under 'fc.weight.bits', got 2"),
        ({"norm__weight__codes": torch.ones(2, dtype=torch.int8)}, "weights of linear.*got 'norm.weight'"),
    ],
)
def test_refused(changed, words):
    with pytest.raises(ValueError, match=f"^f.npz: .*{words}"):
        foreign(codes(**changed), AXES, "f.npz")


def test_codes_beyond_the_width_that_is_given():
    with pytest.raises(ValueError, match="codes of 'fc.weight' from -8 to 7, 4 bits of torch.int8, got -128 in 2 of 6"):
        foreign(codes(), AXES, "f.npz", bits=4)


def test_a_file_without_codes():
    with pytest.raises(ValueError, match=r"integer codes under NAME.codes, got fc.bias"):
        foreign({"fc.bias": torch.ones(2)}, AXES, "f.npz")


def test_both_kinds_of_files(tmp_path):
    given = codes()
    np.savez(tmp_path / "f.npz", **{name: tensor.numpy() for name, tensor in given.items()})
    save_file(given, tmp_path / "f.safetensors")
    for name in ("f.npz", "f.safetensors"):
        found = arrays(tmp_path / name)
        assert found.keys() == given.keys()
        assert all(torch.equal(found[key], tensor) for key, tensor in given.items())
        assert all(found[key].dtype == tensor.dtype for key, tensor in given.items())


def test_files_that_are_none(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 and nothing more")
    for name in ("objects.npz", "damaged.npz"):
        with pytest.raises(ValueError, match=f"{name}: expected a .npz of plain arrays"):
            arrays(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="none.npz: expected a file of codes"):
        arrays(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="a .npz or .safetensors file"):
        arrays(tmp_path / "f.onnx")
