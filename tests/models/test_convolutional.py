"""What the convolutional networks promise one by one: counts, names, shortcuts, folding."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from landscape.models.lenet import lenet
from landscape.models.resnet import Subsample, resnet
from landscape.models.vgg import vgg
from landscape.models.wideresnet import wideresnet


def images(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("build", "knobs", "parameters"),
    [
        (resnet, {"depth": 20}, 269_722),
        (resnet, {"depth": 32}, 464_154),
        (resnet, {"depth": 56}, 853_018),
        (resnet, {"depth": 110}, 1_727_962),
        # Two projections of option B: 16 * 32 and 32 * 64 weights, and the scale and shift of their norms.
        (resnet, {"depth": 20, "shortcut": "B"}, 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64),
        (resnet, {"depth": 20, "shortcut": "none"}, 269_722),
        (wideresnet, {"depth": 28, "widen": 10}, 36_479_194),  # 36.5M in the paper
        (wideresnet, {"depth": 16, "widen": 4}, 2_748_890),  # 2.7M in the paper
        (vgg, {"depth": 16, "norm": "none"}, 14_714_688 + 512 * 10 + 10),  # the paper's convolutions, one linear layer
        (lenet, {"shape": (1, 28, 28)}, 61_706),
        (lenet, {"shape": (1, 32, 32)}, 61_706),
    ],
)
def test_parameter_counts_are_the_published_ones(build, knobs, parameters):
    with torch.device("meta"):
        network = build(**knobs)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 56, 110])
def test_resnet_depth_counts_layers_with_weights(depth):
    layers = [module for module in resnet(depth, width=2).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


@pytest.mark.parametrize(
    ("build", "depth", "form"),
    [
        (resnet, 18, r"6n\+2, got 18; the nearest is 20"),
        (resnet, 2, r"6n\+2, got 2; the nearest is 8"),
        (wideresnet, 20, r"6n\+4, got 20; the nearest is (16|22)"),
        (vgg, 12, "one of 11, 13, 16, 19, got 12; choose"),
    ],
)
def test_depth_of_another_form_is_refused(build, depth, form):
    with pytest.raises(ValueError, match=f"expected `depth` .*{form}"):
        build(depth)


@pytest.mark.parametrize("knob", [{"shortcut": "C"}, {"norm": "layer"}])
def test_unknown_choice_is_refused(knob):
    ((name, value),) = knob.items()
    with pytest.raises(ValueError, match=f"expected `{name}` to be one of .*, got '{value}'; choose"):
        resnet(8, **knob)


def test_wideresnet_refuses_a_certain_dropout():
    with pytest.raises(ValueError, match=r"expected `dropout` in \[0, 1\), got 1.0; give"):
        wideresnet(dropout=1.0)


def test_lenet_refuses_images_that_poolings_would_swallow():
    with pytest.raises(ValueError, match="expected images of at least 4 x 4 pixels, got 3 x 8; enlarge"):
        lenet(shape=(1, 3, 8))


@pytest.mark.parametrize("side", range(4, 40))
def test_lenet_passes_every_side(side):
    with torch.no_grad():
        assert lenet(shape=(1, side, side + 1))(torch.zeros(1, 1, side, side + 1)).shape == (1, 10)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_option_a_subsamples_and_pads_with_zeros_on_both_sides(size):
    x = images(2, 3, *size)
    y = Subsample(3, 2)(x)
    assert y.shape[2:] == tuple((side + 1) // 2 for side in size)
    assert torch.equal(y[:, 1:4], x[:, :, ::2, ::2])
    assert not y[:, 0].any()
    assert not y[:, 4:].any()


def test_a_residual_block_with_zero_weights_passes_its_input_on_and_one_without_shortcut_does_not():
    for shortcut, kept in (("A", True), ("none", False)):
        block = resnet(8, shortcut=shortcut, norm="none").double().layer1[0]
        for parameter in block.parameters():
            nn.init.zeros_(parameter)
        x = images(2, 16, 4, 4)
        assert torch.equal(block(x), x if kept else torch.zeros_like(x))


def norm_after(name):
    """Name the batch norm that belongs to a convolution of a resnet or a vgg."""
    if "conv" in name:
        return name.replace("conv", "bn")
    head, _, index = name.rpartition(".")
    return f"{head}.{int(index) + 1}"


@pytest.mark.parametrize(
    ("build", "knobs"),
    [
        (resnet, {"depth": 14, "width": 4}),
        (resnet, {"depth": 14, "width": 4, "shortcut": "B"}),
        (resnet, {"depth": 14, "width": 4, "shortcut": "none"}),
        (vgg, {"depth": 11, "width": 4}),
    ],
)
def test_folding_batch_norm_gives_the_twin_without_normalization(build, knobs):
    """Every batch norm follows one convolution of its own, so the folded weights fit norm="none"."""
    normed = build(**knobs, norm="batch").double().eval()
    plain = build(**knobs, norm="none").double().eval()
    for module in normed.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    state = normed.state_dict()
    for name, module in normed.named_modules():
        if isinstance(module, nn.Conv2d):
            fused = fuse_conv_bn_eval(module, normed.get_submodule(norm_after(name)))
            state |= {f"{name}.{part}": tensor for part, tensor in fused.state_dict().items()}
    plain.load_state_dict({name: state[name] for name in plain.state_dict()}, strict=True)
    x = images(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), normed(x), rtol=1e-10, atol=1e-10)


def test_group_norm_has_no_statistics_and_normalizes_each_image_alone():
    network = resnet(8, norm="group").double().train()
    assert not list(network.buffers())
    x = images(3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:1], network(x[:1]))


@pytest.mark.parametrize(("shape", "pools"), [((1, 1, 1), 0), ((1, 8, 8), 3), ((3, 32, 32), 5), ((3, 64, 64), 5)])
def test_vgg_pools_while_there_is_something_to_pool(shape, pools):
    network = vgg(11, width=2, shape=shape)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.features) == pools


def test_dropout_is_random_in_training_only():
    network = wideresnet(10, widen=1, dropout=0.5, norm="none", shape=(1, 8, 8)).double()
    x = images(2, 1, 8, 8)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("depth", "file", "loss", "accuracy"),
    [(20, "resnet20-12fca82f.th", 0.3842, 0.915), (32, "resnet32-d509ac18.th", 0.3146, 0.928)],
)
def test_published_weights_fit_and_classify(shared, depth, file, loss, accuracy):
    weights, pixels = (next(shared.rglob(name), None) for name in (file, "cifar10_4000train_1000test.npz"))
    if weights is None or pixels is None:
        pytest.skip(f"{file} or CIFAR-10 images are not in {shared}")
    published = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    network = resnet(depth).eval()
    network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in published.items()}, strict=True)
    with np.load(pixels) as arrays:
        x, y = (torch.from_numpy(arrays[name]) for name in ("test_x", "test_y"))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((x / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        scores = torch.cat([network(batch) for batch in x.split(250)])
    assert (scores.argmax(1) == y).double().mean() == pytest.approx(accuracy, abs=1e-9)
    assert nn.functional.cross_entropy(scores, y.long()).item() == pytest.approx(loss, abs=1e-4)
