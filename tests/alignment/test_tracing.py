"""Permutation symmetries found by tracing: no output changes, and the groups are those that one would write down."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.alignment.structure import permuted
from landscape.alignment.tracing import traced
from landscape.discovery import discover

IMAGE = (3, 12, 12)
RESNETS = [
    ("resnet", {"depth": 8, "width": 8, "shape": IMAGE, "shortcut": shortcut, "norm": norm})
    for shortcut in ("A", "B", "none")
    for norm in ("batch", "group", "none")
]
FAMILIES = [
    ("mlp", {"width": 8, "shape": IMAGE}),
    ("lenet", {"shape": IMAGE}),
    ("vgg", {"depth": 11, "width": 4, "shape": IMAGE}),
    ("vgg", {"depth": 11, "width": 4, "shape": IMAGE, "norm": "none"}),
    *[("wideresnet", {"depth": 10, "widen": 1, "shape": IMAGE, "norm": norm}) for norm in ("batch", "group", "none")],
    ("vit", {"depth": 2, "width": 16, "heads": 4, "patch": 4, "shape": IMAGE}),
    ("gpt", {"depth": 2, "width": 16, "heads": 4, "shape": (9,)}),
    ("gpt", {"depth": 2, "width": 16, "heads": 2, "shape": (9,), "tied": False}),
    *RESNETS,
]


def drawn(model):
    """Draw every number of a state dict at random: statistics and scales too, or a wrong rule goes unseen."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            fan = max(1, tensor[0].numel() if tensor.ndim else 1)
            noise = torch.randn(tensor.shape, generator=generator) / fan**0.5
            tensor.copy_(noise.abs() + 0.5 if "var" in name else noise)
    return model.eval()


def change(model, inputs, changed, dtype):
    """How much outputs change when a state dict is put in, relative to the largest output."""
    model = copy.deepcopy(model).to(dtype)
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    with torch.no_grad():
        before = model(*inputs)
        model.load_state_dict(changed)
        after = model(*inputs)
    return float((after - before).abs().max() / before.abs().max())


def agrees(model, inputs, structure):
    """Hold random permutations against both precisions."""
    assert structure.groups
    for seed in range(2):
        permutation = structure.random(torch.Generator().manual_seed(seed))
        changed = permuted(model.state_dict(), structure, permutation)
        assert any(not torch.equal(changed[name], tensor) for name, tensor in model.state_dict().items())
        assert change(model, inputs, changed, torch.float64) < 1e-12
        assert change(model, inputs, changed, torch.float32) < 1e-6


def sizes(structure):
    return {group.name: group.size for group in structure.groups}


def places(structure, name):
    group = next(group for group in structure.groups if group.name == name)
    return {(place.tensor, place.axis) for place in group.places}


def given(shape):
    if len(shape) == 1:
        return (torch.randint(0, 64, (3, *shape), generator=torch.Generator().manual_seed(2)),)
    return (torch.randn(3, *shape, generator=torch.Generator().manual_seed(2)),)


def test_every_family_is_here():
    assert {name for name, _ in FAMILIES} == set(discover("landscape.models"))


@pytest.mark.parametrize(("name", "knobs"), FAMILIES)
def test_permutations_leave_the_function_of_every_family(name, knobs):
    model = drawn(discover("landscape.models")[name](**knobs))
    structure = traced(model, given(knobs["shape"]))
    agrees(model, given(knobs["shape"]), structure)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_residual_stages_with_padded_shortcuts_keep_old_and_new_channels_apart(norm):
    model = discover("landscape.models")["resnet"](depth=14, width=4, norm=norm, shape=IMAGE)
    structure = traced(model, given(IMAGE))
    inner = {f"layer{s}.{b}.conv1": 4 * 2 ** (s - 1) for s in (1, 2, 3) for b in (0, 1)}
    assert sizes(structure) == {"conv1": 4, "layer2.0.conv2": 4, "layer3.0.conv2": 8} | inner
    assert structure.fixed == ()
    stream = next(group for group in structure.groups if group.name == "conv1")
    later = {(p.tensor, p.axis): p.index.flatten().tolist() for p in stream.places}
    assert later["layer2.0.conv2.weight", 0] == [2, 3, 4, 5]  # two zero channels before, two after
    assert later["linear.weight", 1] == [6, 7, 8, 9]


def test_residual_stages_with_projections_are_groups_of_their_own():
    model = discover("landscape.models")["resnet"](depth=8, width=4, shortcut="B", shape=IMAGE)
    structure = traced(model, given(IMAGE))
    streams = {"conv1": 4, "layer2.0.conv2": 8, "layer3.0.conv2": 16}
    assert sizes(structure) == streams | {f"layer{s}.0.conv1": 4 * 2 ** (s - 1) for s in (1, 2, 3)}
    assert ("layer2.0.shortcut.1.running_var", 0) in places(structure, "layer2.0.conv2")


def test_channels_of_group_norm_move_inside_groups_that_move_as_wholes():
    model = discover("landscape.models")["resnet"](depth=8, width=16, shortcut="B", norm="group", shape=IMAGE)
    structure = traced(model, given(IMAGE))
    assert {group.blocks for group in structure.groups} == {8}
    assert {group.tie for group in structure.groups} == {""}


def test_groups_that_later_layers_group_anew_stay():
    model = discover("landscape.models")["resnet"](depth=8, width=16, norm="group", shape=IMAGE)
    structure = traced(model, given(IMAGE))
    assert [g.size for g in structure.groups if g.name.startswith("conv1")] == [2] * 8
    assert any("conv1" in reason for reason in structure.fixed)


def test_heads_move_as_wholes_with_queries_keys_and_values():
    model = discover("landscape.models")["vit"](depth=1, width=12, heads=3, shape=IMAGE)
    structure = traced(model, given(IMAGE))
    queries, values = (g for g in structure.groups if g.tie)
    assert queries.tie == values.tie == "blocks.0.attention.qkv"
    assert (queries.size, queries.blocks, values.size, values.blocks) == (12, 3, 12, 3)
    assert queries.places[0].index.tolist() == [[i, 12 + i] for i in range(12)]
    assert values.places[0].index.tolist() == [[24 + i] for i in range(12)]
    stream = places(structure, "token")
    assert {("token", 2), ("position", 2), ("embed.weight", 0), ("head.weight", 1)} <= stream
    assert sum(group.size for group in structure.groups) == 12 + 12 + 12 + 48


def test_tied_weights_move_under_all_their_names():
    structure = traced(discover("landscape.models")["gpt"](depth=1, width=8, shape=(5,)), given((5,)))
    assert {("embedding.weight", 1), ("head.weight", 1), ("position", 1)} <= places(structure, "position")


def net(*layers):
    return nn.Sequential(*layers)


class Dense(nn.Module):
    """Concatenation of all earlier features, as DenseNet does."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.third = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(9, 6, 3, padding=1)
        self.out = nn.Linear(15, 2)

    def forward(self, x):
        x = functional.relu(self.norm(self.first(x)))
        x = torch.cat([x, self.second(x).relu()], 1)
        return self.out(torch.cat([x, self.third(x).tanh()], 1).amax((2, 3)))


class Squeeze(nn.Module):
    """Channels weighed by a function of their means."""

    def __init__(self):
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 8, 3), nn.Linear(8, 4), nn.Linear(4, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        x = self.conv(x)
        gate = torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3))))))
        x = x * gate[:, :, None, None].expand_as(x)
        return self.out(functional.adaptive_avg_pool2d(functional.silu(x), 1).flatten(1))


class Manual(nn.Module):
    """Attention written out, with a head axis made by views, and a bias for each head."""

    def __init__(self, bias=True):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.bias = nn.Parameter(torch.zeros(2, 6, 6)) if bias else None
        self.out = nn.Linear(8, 3)
        self.register_buffer("mask", torch.ones(6, 6).tril())

    def heads(self, x):
        return x.view(x.shape[0], 6, 2, 4).transpose(1, 2)

    def forward(self, x):
        q, k, v = self.heads(self.q(x)), self.heads(self.k(x)), self.heads(self.v(x))
        scores = (q / 2) @ k.transpose(-2, -1)
        if self.bias is not None:
            scores = scores + self.bias
        scores = scores.masked_fill(self.mask == 0, float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).contiguous().view(x.shape[0], 6, 8)
        return self.out(self.o(mixed).mean(1))


class SelfAttention(nn.Module):
    def __init__(self, **knobs):
        super().__init__()
        self.inner, self.attention = nn.Linear(5, 8), nn.MultiheadAttention(8, 2, batch_first=True, **knobs)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.inner(x)
        return self.out(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.encoder(self.inner(x))[:, -1])


class Twice(nn.Module):
    """One layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.out = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(x).relu()
        for _ in range(2):
            x = self.again(x).relu()
        return self.out(x)


class Root(nn.Module):
    """Root mean square norm by hand, and a gated perceptron."""

    def __init__(self):
        super().__init__()
        self.first, self.scale = nn.Linear(5, 6), nn.Parameter(torch.ones(6))
        self.gate, self.up, self.down, self.out = nn.Linear(6, 7), nn.Linear(6, 7), nn.Linear(7, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(x)
        y = self.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
        x += self.down(functional.silu(self.gate(y)) * self.up(y))
        return self.out(x)


class Paired(nn.Module):
    """Two units a place: what is added in halves moves in halves."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(5, 8), nn.Linear(4, 2)

    def forward(self, x):
        a, b = self.first(x).chunk(2, -1)
        return self.out(a.relu() - b.flip(-1).tanh())


class Recurrent(nn.Module):
    def __init__(self, kind, **knobs):
        super().__init__()
        self.cell = kind(5, 6, batch_first=True, **knobs)
        self.out = nn.Linear(6 * (1 + knobs.get("bidirectional", False)), 2)

    def forward(self, x):
        return self.out(self.cell(x)[0].amax(1))


class Letters(nn.Module):
    """Products written with einsum, a weight that is transposed by hand, and a table of positions."""

    def __init__(self):
        super().__init__()
        self.table, self.first, self.out = nn.Embedding(6, 8), nn.Parameter(torch.zeros(5, 8)), nn.Linear(8, 2)

    def forward(self, x):
        x = torch.einsum("btd,dh->bth", x, self.first) + self.table(torch.arange(6))
        scores = torch.einsum("bth,bsh->bts", x, x).softmax(-1)
        return self.out(torch.einsum("bts,bsh->bth", scores, x).mean(1))


SEQUENCE, PICTURE = (6, 5), (3, 8, 8)
FOREIGN = {
    "1-D convolutions": (
        net(nn.Conv1d(6, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 4, 3, padding="same"),
            nn.Flatten(), nn.Linear(20, 2)), SEQUENCE, {"0": 8, "3": 4}),
    "depthwise separable": (
        net(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 12, 3, groups=6), nn.BatchNorm2d(12), nn.ReLU6(), nn.Conv2d(12, 4, 1),
            nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)), PICTURE, {"0": 6, "4": 4}),
    "grouped convolution": (
        net(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(216, 2)),
        PICTURE, {"0": 4, "2": 3, "2 2": 3}),
    "DenseNet": (Dense(), PICTURE, {"first": 4, "second": 5, "third": 6}),
    "squeeze and excitation": (Squeeze(), PICTURE, {"conv": 8, "down": 4}),
    "attention by hand": (Manual(), (6, 8), {"q": 8, "v": 8, "o": 8, "bias": 2}),
    "attention of nn": (
        SelfAttention(), SEQUENCE, {"inner": 8, "attention": 8, "attention 2": 8, "attention.out_proj": 8}),
    "attention with other widths": (
        SelfAttention(kdim=8, vdim=8, bias=False), SEQUENCE,
        {"inner": 8, "attention": 8, "attention 2": 8, "attention.out_proj": 8}),
    "encoder of nn": (
        Encoder(), SEQUENCE,
        {"inner": 8} | {f"encoder.layers.{i}.self_attn{n}": 8 for i in (0, 1) for n in ("", " 2")}
        | {f"encoder.layers.{i}.linear1": 12 for i in (0, 1)}),
    "group norm": (
        net(nn.Conv2d(3, 6, 3), nn.GroupNorm(3, 6), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 2)),
        PICTURE, {"0": 6}),
    "instance norm": (
        net(nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.ELU(), nn.Flatten(), nn.Linear(216, 2)),
        PICTURE, {"0": 6}),
    "autoencoder": (
        net(nn.Conv2d(3, 6, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(6, 5, 4, 2, 1), nn.ReLU(), nn.Conv2d(5, 3, 1)),
        PICTURE, {"0": 6, "2": 5}),
    "decoder from features": (
        net(nn.Linear(5, 32), nn.Unflatten(-1, (8, 2, 2)), nn.Flatten(0, 1), nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 3, 3)), SEQUENCE, {"0": 8}),
    "slopes": (net(nn.Flatten(), nn.Linear(30, 6), nn.PReLU(6), nn.Linear(6, 2)), SEQUENCE, {"1": 6}),
    "used twice": (Twice(), (5,), {"first": 6}),
    "root mean square": (Root(), (5,), {"first": 6, "gate": 7}),
    "root mean square of nn": (net(nn.Linear(5, 6), nn.RMSNorm(6), nn.Linear(6, 2)), (5,), {"0": 6}),
    "in halves": (Paired(), (5,), {"first": 4}),
    "pixels shuffled": (
        net(nn.Conv2d(3, 12, 3), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(3, 2, 3)), PICTURE, {"0": 3}),
    "LSTM": (Recurrent(nn.LSTM), SEQUENCE, {"cell": 6}),
    "LSTM both ways": (
        Recurrent(nn.LSTM, bidirectional=True, num_layers=2), SEQUENCE,
        {"cell": 6, "cell 2": 6, "cell 3": 6, "cell 4": 6}),
    "GRU": (Recurrent(nn.GRU), SEQUENCE, {"cell": 6}),
    "RNN": (Recurrent(nn.RNN, bias=False), SEQUENCE, {"cell": 6}),
    "letters": (Letters(), SEQUENCE, {"first": 8}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_permutations_leave_foreign_networks(name):
    model, shape, expected = FOREIGN[name]
    model = drawn(copy.deepcopy(model))
    inputs = (torch.randn(3, *shape, generator=torch.Generator().manual_seed(3)),)
    structure = traced(model, inputs)
    agrees(model, inputs, structure)
    assert sorted(sizes(structure).values()) == sorted(expected.values()), sizes(structure)
    assert structure.fixed == ()


class Unknown(nn.Module):
    """An operator without a rule between two layers, and one layer that it does not touch."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = torch.linalg.matrix_exp(self.first(x).unsqueeze(-1) * torch.eye(6))[..., 0]
        return self.third(self.second(x).relu())


class Routed(nn.Module):
    """Takes a decision by the largest unit."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(x)
        return self.third(self.second(x * x.argmax(-1, keepdim=True)).relu())


@pytest.mark.parametrize(("model", "operator"), [(Unknown(), "matrix_exp"), (Routed(), "argmax")])
def test_units_that_an_unknown_operator_reads_stay_and_are_named(model, operator):
    inputs = (torch.randn(3, 5),)
    structure = traced(model, inputs)
    agrees(model, inputs, structure)
    assert sizes(structure) == {"second": 6}
    assert any(operator in reason for reason in structure.fixed)


def test_normalized_weights_hold_their_units_back():
    first = nn.utils.parametrizations.weight_norm(nn.Linear(5, 6))
    model = net(first, nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    structure = traced(drawn(model), (torch.randn(3, 5),))
    agrees(model, (torch.randn(3, 5),), structure)
    assert sizes(structure) == {"2": 6}
    assert structure.fixed


def test_other_permutations_do_change_the_function():
    model = drawn(discover("landscape.models")["vit"](depth=1, width=12, heads=3, shape=IMAGE))
    structure = traced(model, given(IMAGE))
    for group in structure.groups:
        for place in group.places[:2]:
            state = model.state_dict()
            state[place.tensor] = state[place.tensor].index_select(place.axis, _swapped(state, place))
            assert change(model, given(IMAGE), state, torch.float64) > 1e-6, (group.name, place.tensor)


def _swapped(state, place):
    take = torch.arange(state[place.tensor].shape[place.axis])
    take[place.index[[0, -1]].flatten()] = place.index[[-1, 0]].flatten()
    return take


def test_heads_do_not_mix():
    model = drawn(discover("landscape.models")["vit"](depth=1, width=12, heads=3, shape=IMAGE))
    structure = traced(model, given(IMAGE))
    order = torch.arange(12)
    order[[0, 4]] = order[[4, 0]]  # units of two heads
    for group in structure.groups:
        if group.tie:
            changed = permuted(model.state_dict(), structure, {group.name: order})
            assert change(model, given(IMAGE), changed, torch.float64) > 1e-6


def test_the_model_is_left_as_it_was():
    model = drawn(discover("landscape.models")["resnet"](depth=8, width=4, shape=IMAGE)).train()
    model.conv1.weight.requires_grad_(False)
    before, noise = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    traced(model, given(IMAGE))
    assert model.training
    assert [p.requires_grad for p in model.parameters()].count(False) == 1
    assert torch.equal(torch.get_rng_state(), noise)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_dropout_and_training_mode_play_no_role():
    model = net(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 2)).train()
    assert sizes(traced(model, (torch.randn(3, 5),))) == {"0": 6}


def test_inputs_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.out = nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, *, x, scale):
            return {"logits": self.out(self.first(x) * scale[:, None])}

    structure = traced(Named(), {"x": torch.randn(3, 5), "scale": torch.ones(3)})
    assert sizes(structure) == {"first": 6}


def test_no_hidden_units_is_an_error():
    with pytest.raises(ValueError, match="Expected units of Linear .* got none .*declare"):
        traced(nn.Linear(5, 2), torch.randn(3, 5))


def test_units_that_leave_for_python_stay():
    class Switch(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.out = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = self.first(x)
            if x[0, 0].item() > 0:
                x = -x
            return self.out(self.second(x).relu())

    structure = traced(Switch(), torch.randn(3, 5))
    assert [group.name for group in structure.groups] == ["first", "second"]
    assert sizes(structure)["first"] == 5  # all but the one that decides
    assert any("item" in reason for reason in structure.fixed)


def test_a_function_that_hides_from_tracing_is_refused():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.out = nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x):
            with torch._C.DisableTorchFunction():
                weight = self.first.weight + 0
                x = torch.stack([x @ row * (i + 1) for i, row in enumerate(weight)], -1)
            return self.out(self.first(x[..., :5])) + x[..., :2]

    with pytest.raises(ValueError, match="leaves as they are.*first.*declare"):
        traced(Hidden(), torch.randn(3, 5))


class Windows(nn.Module):
    """Attention in shifted windows, with a table of biases by relative position and head."""

    def __init__(self, known):
        super().__init__()
        self.inner, self.qkv, self.out = nn.Linear(5, 8), nn.Linear(8, 24), nn.Linear(8, 2)
        self.table, self.known = nn.Parameter(torch.zeros(7, 2)), known
        self.register_buffer("index", torch.arange(4)[:, None] - torch.arange(4) + 3)

    def forward(self, x):
        x = torch.roll(self.inner(x), 1, 1).relu()
        q, k, v = self.qkv(x.reshape(-1, 4, 8)).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        index = self.index.view(-1)
        bias = self.table[index] if self.known else torch.take(self.table, index[:, None] * 2 + torch.arange(2))
        scores = q @ k.transpose(-2, -1) + bias.view(4, 4, 2).permute(2, 0, 1)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(*x.shape)).mean(1)


@pytest.mark.parametrize("known", [True, False])
def test_heads_with_biases_of_their_own_move_with_them_or_stay(known):
    model, inputs = drawn(Windows(known)), (torch.randn(3, 8, 5),)
    structure = traced(model, inputs)
    agrees(model, inputs, structure)
    assert sizes(structure)["inner"] == 8
    if known:
        assert [(g.size, g.blocks) for g in structure.groups if g.tie] == [(2, 2), (8, 2), (8, 2)]
    else:
        assert {g.size for g in structure.groups if g.name.startswith("qkv")} == {4}
        assert any("take" in reason for reason in structure.fixed)


class Auxiliary(nn.Module):
    """A second head that only training uses, as in GoogLeNet."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.aside = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        hidden = self.body(x).relu()
        return (self.head(hidden), self.aside(hidden)) if self.training else self.head(hidden)


def test_layers_that_the_pass_does_not_use_are_named():
    torch.manual_seed(0)
    structure = traced(Auxiliary(), torch.randn(2, 4))
    assert {place.tensor for place in structure.groups[0].places} == {"body.weight", "body.bias", "head.weight"}
    assert structure.fixed == ("aside: not used in this pass, stays as it is",)


class Overwritten(nn.Module):
    """Half of a tensor is written through a view of it; the other layer has nothing to do with it."""

    def __init__(self, write):
        super().__init__()
        self.write = write
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        hidden = self.first(x).relu()
        made = torch.zeros_like(hidden)
        self.write(made[:, :3], hidden[:, :3])
        return self.last(hidden + made) + self.last(hidden) + self.second(x).tanh().sum(1, keepdim=True)


WRITES = {"copied": lambda view, x: view.copy_(x), "constant": lambda view, _: view.add_(1)}


@pytest.mark.parametrize("name", WRITES)
def test_numbers_written_through_a_view_stay(name):
    torch.manual_seed(0)
    model, x = Overwritten(WRITES[name]), torch.randn(2, 4)
    structure = traced(model, x)
    assert [group.name for group in structure.groups] == ["second"]
    agrees(model, [x], structure)


class Patches(nn.Module):
    """Patches of channels that linear layers read, cut out of images by an operator for floats alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(1, 4, 3), nn.Linear(36, 6), nn.Linear(6, 2)

    def forward(self, x):
        rows = functional.unfold(self.first(x).relu(), 3).transpose(1, 2)
        return self.last(self.second(rows).relu().mean(1))


def test_patches_cut_out_of_images_are_followed():
    torch.manual_seed(0)
    model, x = Patches(), torch.randn(2, 1, 7, 7)
    structure = traced(model, x)
    assert [(group.name, group.size) for group in structure.groups] == [("first", 4), ("second", 6)]
    agrees(model, [x], structure)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_permuted_networks_train_alike(norm):
    torch.manual_seed(0)
    model = drawn(discover("landscape.models")["resnet"](depth=8, width=4, shape=IMAGE, norm=norm)).double()
    x = torch.randn(4, *IMAGE, dtype=torch.float64)
    structure = traced(model, x)
    permutation = structure.random(torch.Generator().manual_seed(1))
    other = copy.deepcopy(model)
    other.load_state_dict(permuted(model.state_dict(), structure, permutation))
    steps = []
    for network in (model, other):
        network.train()
        network(x).square().sum().backward()  # batch norm by the batch; its statistics move
        grads = {name: parameter.grad for name, parameter in network.named_parameters()}
        steps.append(network.state_dict() | grads)
    expected = permuted(steps[0], structure, permutation)
    for name, tensor in expected.items():
        torch.testing.assert_close(steps[1][name], tensor, rtol=1e-8, atol=1e-8 * float(tensor.abs().max()))
    assert any(bool((steps[0][name] != tensor).any()) for name, tensor in expected.items())
