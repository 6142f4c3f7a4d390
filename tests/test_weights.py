"""Files of weights: nothing in them is run, damage is one line, and names are found whatever wraps them."""

import argparse
import contextlib
import io
import os
import pathlib
import pickle
import sys
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from landscape import weights

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Malicious:
    """A pickle of this creates a file when it is read carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=[None, "1"], ids=["", "environment"])
def payload(request, monkeypatch, tmp_path):
    """Something that must not run, also where the environment turns torch's safe default off."""
    if request.param:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", request.param)
    mark = tmp_path / "it-ran"
    yield Malicious(mark)
    assert not mark.exists()


def refused(path, match="expected", **options):
    """Return the one line that a file is refused with."""
    with pytest.raises((ValueError, OSError), match=match) as caught:
        weights.read(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    return str(caught.value)


def saved(found, **options):
    buffer = io.BytesIO()
    torch.save(found, buffer, **options)
    return buffer.getvalue()


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


# Nothing is run


def test_a_malicious_archive_is_refused_by_name(tmp_path, payload):
    (tmp_path / "net.pt").write_bytes(saved({"state_dict": {"w": torch.ones(2)}, "extra": payload}))
    told = refused(tmp_path / "net.pt", "a pickle that would run code of its own")
    assert os.mkdir.__module__ in told
    assert "--trust" in told


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
def test_a_malicious_legacy_file_is_refused(tmp_path, payload, protocol):
    content = saved({"w": payload}, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    (tmp_path / "net.th").write_bytes(content)
    refused(tmp_path / "net.th")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_malicious_raw_pickle_is_refused(tmp_path, payload, protocol):
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(payload, protocol))
    refused(tmp_path / "net.pkl")


def test_a_malicious_pickle_that_calls_itself_safetensors_is_refused(tmp_path, payload):
    (tmp_path / "net.safetensors").write_bytes(saved({"w": payload}))
    refused(tmp_path / "net.safetensors", "expected a safetensors file, got a damaged one")


class Trap(nn.Linear):
    """A module that creates a file when it is restored."""

    def __setstate__(self, state):
        super().__setstate__(state)
        os.mkdir(state["path"])


def test_a_malicious_module_is_refused(tmp_path, payload):
    module = Trap(2, 2)
    module.path = payload.path
    (tmp_path / "net.pt").write_bytes(saved(module))
    told = refused(tmp_path / "net.pt", "run code of its own")
    assert "Trap" in told


def test_torchscript_is_refused(tmp_path, payload):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "got a TorchScript archive, which runs its own code")


def test_exported_programs_are_refused(tmp_path, payload):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), tmp_path / "net.pt2")
    refused(tmp_path / "net.pt2", "got an exported program, which runs its own code")
    os.rename(tmp_path / "net.pt2", tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "got an exported program")


def test_trust_reads_a_pickled_module(tmp_path):
    module = nn.Linear(2, 2)
    (tmp_path / "net.pt").write_bytes(saved(module))
    found = weights.read(tmp_path / "net.pt", trust=True)
    assert same(weights.state_dict(found, "net.pt"), module.state_dict())


def test_a_module_is_found_where_its_weights_are():
    module = nn.Linear(2, 2)
    assert weights.module(module) is module
    assert weights.module({"epoch": 3, "model": module}) is module
    assert weights.module({"best": module}, key="best") is module
    assert weights.module({"state_dict": module.state_dict(), "model": module}) is None  # the weights may differ
    assert weights.module({"epoch": 3}) is None


class Absent(nn.Linear):
    """A network whose code is gone when its pickle is read."""


def test_a_trusted_pickle_whose_code_is_gone_says_so(tmp_path, monkeypatch):
    (tmp_path / "net.pt").write_bytes(saved(Absent(2, 2)))
    monkeypatch.delattr(sys.modules[__name__], "Absent")
    with pytest.raises(ValueError, match=r"classes that can be imported, got AttributeError.*Absent.*PYTHONPATH"):
        weights.read(tmp_path / "net.pt", trust=True)


# Damage


def test_tensors_that_claim_more_than_they_store_are_refused(tmp_path):
    huge = torch.zeros(1).expand(10**6, 10**6)
    for name, found in {"top": huge, "state": {"w": huge}, "deep": {"a": {"b": [{"c": (huge,)}]}}}.items():
        (tmp_path / name).write_bytes(content := saved(found))
        assert len(content) < 2000
        refused(tmp_path / name, "claims 1000000000000 elements with 4 bytes")
    (tmp_path / "meta").write_bytes(saved({"w": torch.ones(3, device="meta")}))
    refused(tmp_path / "meta", "claims 3 elements with 0 bytes")


def test_lists_of_the_same_lists_are_walked_once(tmp_path):
    nested = [torch.zeros(1)] * 100
    for _ in range(8):
        nested = [nested] * 100
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "more": nested}, tmp_path / "bomb.pt")
    assert len(weights.read(tmp_path / "bomb.pt")["more"]) == 100


def test_small_expanded_buffers_are_read_but_not_many(tmp_path):
    (tmp_path / "net.pt").write_bytes(saved({"w": torch.ones(3), "position": torch.arange(5).expand(4, 5)}))
    assert weights.read(tmp_path / "net.pt")["position"].shape == (4, 5)
    (tmp_path / "net.pt").write_bytes(saved({f"w{i}": torch.zeros(1).expand(2**20) for i in range(20)}))
    refused(tmp_path / "net.pt", "claims 1048576 elements with 4 bytes")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_at_any_length_is_refused(tmp_path, zipped):
    content = saved({"state_dict": network().state_dict(), "epoch": 3}, _use_new_zipfile_serialization=zipped)
    for length in {*range(0, 64, 7), *range(0, len(content), len(content) // 30), len(content) - 1}:
        (tmp_path / "net.pt").write_bytes(content[:length])
        refused(tmp_path / "net.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_wrong_bytes_is_refused_or_read(tmp_path, zipped):
    path, content = tmp_path / "net.pt", saved(network().state_dict(), _use_new_zipfile_serialization=zipped)
    random = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        told = f"{path}: "
        try:
            weights.read(path)
        except (ValueError, OSError) as error:
            told = str(error)
        assert told.startswith(f"{path}: ")
        assert "\n" not in told


def test_an_archive_of_a_strange_version_is_refused(tmp_path):
    content = saved(network().state_dict())
    place = content.rindex(b"PK\x01\x02")
    (tmp_path / "net.pt").write_bytes(content[: place + 6] + b"\xff" + content[place + 7 :])
    with contextlib.suppress(ValueError, OSError):
        weights.read(tmp_path / "net.pt")


def test_damaged_safetensors_are_refused(tmp_path):
    from safetensors.torch import save

    state = network().state_dict()
    content = save(state)
    path = tmp_path / "net.safetensors"
    for damaged in (content[:4], content[:20], content[:-1], b"\xff" * 8 + content[8:], content + b"more", b"{}" * 30):
        path.write_bytes(damaged)
        refused(path, "expected a safetensors file, got a damaged one")
    path.write_bytes(content)
    assert same(weights.read(path), state)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "empty.pt").write_bytes(b"")
    assert "got an empty file" in refused(tmp_path / "empty.pt")
    (tmp_path / "junk.pt").write_bytes(np.random.default_rng(0).bytes(3000))
    (tmp_path / "page.pt").write_text("<html><body>404 not found</body></html>")
    (tmp_path / "text.pt").write_text("hello\nworld")
    (tmp_path / "zip.pt").write_bytes(b"PK\x05\x06" + bytes(18))
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("junk.pt", "page.pt", "text.pt", "zip.pt", "array.npy"):
        refused(tmp_path / name, "expected a checkpoint, got a damaged file or another format")
    assert "no such file" in refused(tmp_path / "absent.pt")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.pt").symlink_to(tmp_path / "folder")
    (tmp_path / "dangling.pt").symlink_to(tmp_path / "nowhere")
    for name, told in (("folder", "a folder"), ("link.pt", "a folder"), ("dangling.pt", "no such file")):
        assert f"got {told}" in refused(tmp_path / name)


# What is harmless is read


def test_numbers_and_arguments_of_training_scripts_are_read(tmp_path):
    found = {
        "state_dict": network().state_dict(),
        "best": np.float64(0.25),
        "history": np.arange(3.0),
        "half": np.float16(1),
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("x")),
        "optimizer": torch.optim.SGD(network().parameters(), 0.1).state_dict(),
        "names": OrderedDict(a=1),
    }
    (tmp_path / "net.pt").write_bytes(saved(found))
    read = weights.read(tmp_path / "net.pt")
    assert read["best"] == 0.25
    assert read["history"].tolist() == [0, 1, 2]
    assert read["args"].lr == 0.1


@pytest.mark.parametrize("zipped", [True, False])
def test_globals_of_numpy_1_are_read(tmp_path, zipped):
    found = {"w": torch.ones(2), "acc": np.float32(0.5), "hist": np.ones(2)}
    content = saved(found, _use_new_zipfile_serialization=False)
    old = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != content
    if zipped:  # the same pickle inside of an archive
        import zipfile

        source = zipfile.ZipFile(io.BytesIO(saved(found)))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in source.namelist():
                archive.writestr(name, source.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        old = buffer.getvalue()
    (tmp_path / "old.pt").write_bytes(old)
    read = weights.read(tmp_path / "old.pt")
    assert read["acc"] == 0.5
    assert read["hist"].tolist() == [1, 1]


# Where the state dict is


@pytest.mark.parametrize("key", weights.KEYS)
def test_the_usual_keys_are_searched(key):
    state = network().state_dict()
    assert same(weights.state_dict({"epoch": 1, key: state, "optimizer": {"state": {}}}, "net.pt"), state)


def test_nested_keys_are_searched():
    state = network().state_dict()
    assert same(weights.state_dict({"model": {"state_dict": state}, "epoch": 1}, "net.pt"), state)
    assert same(weights.state_dict(state, "net.pt"), state)
    module = network()
    assert same(weights.state_dict({"model": module}, "net.pt"), module.state_dict())


def test_a_key_chooses():
    state, average = network().state_dict(), network().state_dict()
    found = {"state_dict": state, "best": {"ema": average}, "epoch": 3}
    assert same(weights.state_dict(found, "net.pt", key="best.ema"), average)
    with pytest.raises(ValueError, match="at the key 'best', got the keys ema"):
        weights.state_dict(found, "net.pt", key="best")
    with pytest.raises(ValueError, match="at the key 'swa', got nothing there, of the keys state_dict, best, epoch"):
        weights.state_dict(found, "net.pt", key="swa")
    with pytest.raises(ValueError, match="at the key 'epoch.x', got nothing"):
        weights.state_dict(found, "net.pt", key="epoch.x")


@pytest.mark.parametrize("found", [{}, {"epoch": 1}, [1, 2], 3, torch.ones(3), {1: torch.ones(2)}, None])
def test_no_state_dict_is_told(found):
    with pytest.raises(ValueError, match=r"net\.pt: expected a state dict, at the top or under state_dict"):
        weights.state_dict(found, "net.pt")


def test_extra_state_that_is_no_tensor_is_left_out():
    state = network().state_dict()
    assert same(weights.state_dict(state | {"0._extra_state": {"a": 1}}, "net.pt"), state)
    assert same(weights.state_dict({"x": state | {"note": "hi"}}, "net.pt", key="x"), state)


# Fitting


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", ["", *weights.PREFIXES, "module._orig_mod.", "_orig_mod.module.", "model.module."])
def test_prefixes_are_taken_off(prefix):
    source, model = network(), network()
    weights.fit(model, prefixed(source.state_dict(), prefix))
    assert same(model.state_dict(), source.state_dict())


@pytest.mark.parametrize("name", ["module", "model", "encoder"])
def test_a_network_with_a_prefix_of_its_own_is_left_alone(name):
    model, source = nn.ModuleDict({name: nn.Linear(2, 2)}), nn.ModuleDict({name: nn.Linear(2, 2)})
    weights.fit(model, source.state_dict())
    assert same(model.state_dict(), source.state_dict())
    weights.fit(model, prefixed(source.state_dict(), "module."))


def test_a_lightning_checkpoint_fits_and_says_what_it_leaves():
    source, model = network(), network()
    found = {"epoch": 1, "state_dict": prefixed(source.state_dict(), "model.") | {"loss.weight": torch.ones(2)}}
    with pytest.warns(UserWarning, match="1 tensors outside of 'model.' are left out"):
        weights.fit(model, weights.state_dict(found, "net.ckpt"))
    assert same(model.state_dict(), source.state_dict())


def test_an_averaged_model_fits(tmp_path):
    average = torch.optim.swa_utils.AveragedModel(network())
    (tmp_path / "swa.pt").write_bytes(saved({"swa": average.state_dict(), "model": average.state_dict()}))
    model = network()
    weights.fit(model, weights.state_dict(weights.read(tmp_path / "swa.pt"), "swa.pt", key="swa"))
    assert same(model.state_dict(), average.module.state_dict())


def test_a_counter_that_old_files_lack_is_not_missed():
    source, model = network().state_dict(), network()
    del source["1.num_batches_tracked"]
    weights.fit(model, source)
    assert torch.equal(model[0].weight, source["0.weight"])


def test_what_does_not_fit_is_listed():
    model, state = network(), network().state_dict()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state["0.weight"] = torch.ones(9, 9)
    state["head.bias"] = state.pop("2.bias")
    with pytest.raises(ValueError, match="expected the weights of Sequential") as caught:
        weights.fit(model, state, "net.pt")
    told = str(caught.value)
    assert told.startswith("net.pt: ")
    assert "1 missing (2.bias)" in told
    assert "1 unexpected (head.bias)" in told
    assert "1 of another shape (0.weight: (9, 9) for (4, 3))" in told
    assert same(model.state_dict(), before)


def test_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"20 unexpected \(a0, a1, a2, a3, a4, a5, \.\.\.\)"):
        weights.fit(network(), {f"a{i}": torch.ones(1) for i in range(20)})


def test_formats_that_cannot_be_copied_are_one_line():
    sparse = torch.ones(2, 2).to_sparse()
    with pytest.raises(ValueError, match="expected weights of Linear, got others") as caught:
        weights.fit(nn.Linear(2, 2), {"weight": sparse, "bias": torch.ones(2)})
    assert "\n" not in str(caught.value)


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert weights.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
