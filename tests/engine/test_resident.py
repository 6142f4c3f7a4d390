"""Examples on a device: decoding, chunks, layouts, and what does not fit."""

import pytest
import torch

from landscape.engine import device, resident
from landscape.engine.resident import Resident
from landscape.reading import Examples

CPU = torch.device("cpu")
PIXELS = torch.randint(256, (10, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
EXAMPLES = Examples(((PIXELS, torch.arange(10) % 3),), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), ("a", "b", "c"))


def decoded():
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (EXAMPLES.mean, EXAMPLES.std))
    return (PIXELS.double() / 255 - mean) / std


@pytest.mark.parametrize("free", [2**30, 2 * 4 * PIXELS.nbytes, 0])
@pytest.mark.parametrize("channels_last", [False, True])
def test_chunks_are_the_same_however_little_memory_there_is(monkeypatch, free, channels_last):
    monkeypatch.setattr(resident, "free_memory", lambda where: free)
    held = Resident(EXAMPLES, torch.float64, CPU, classes=3)
    assert held.decoded == (free == 2**30)
    for part, size in ((held, 10), (held.head(7), 7), (held.head(99), 10)):
        chunks = list(part.chunks(4, channels_last))
        assert [len(y) for _, y, _ in chunks] == [4] * (size // 4) + [size % 4]
        inputs = torch.cat([x for x, _, _ in chunks])
        torch.testing.assert_close(inputs, decoded()[:size], rtol=1e-15, atol=1e-15)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert all(x.is_contiguous(memory_format=layout) for x, _, _ in chunks)
        groups = torch.cat([g for _, _, g in chunks])
        assert torch.equal(groups.argmax(1), torch.arange(size) % 3)
    assert held.counts().tolist() == [4, 3, 3]


def test_one_layout_is_held_at_a_time():
    held = Resident(EXAMPLES, torch.float32, CPU)
    for channels_last in (True, False, True):
        list(held.chunks(4, channels_last))
        assert held.channels_last == channels_last
        assert len(held.segments) == 1
    assert held.counts().tolist() == [10]


def test_settings_of_the_process_come_back():
    before = torch.get_rng_state(), torch.backends.cudnn.deterministic
    for precision in device.PRECISIONS:
        for setting in ("highest", "high", "medium"):
            torch.set_float32_matmul_precision(setting)
            with pytest.raises(KeyError), device.arithmetic(precision, CPU):  # noqa: PT012
                torch.rand(3)
                raise KeyError
            assert torch.get_float32_matmul_precision() == setting
    torch.set_float32_matmul_precision("highest")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.backends.cudnn.deterministic == before[1]


def test_what_lack_of_memory_is():
    assert device.out_of_memory(MemoryError())
    assert device.out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert device.out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not device.out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not device.out_of_memory(ValueError("out of memory"))
    assert device.free_memory(CPU) > 2**20


def test_devices():
    assert device.device("cpu") == CPU
    assert device.device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="Expected a device of this machine, got 'cuda:99'"):
        device.device("cuda:99")
