"""Losses: twins against plain torch, one example at a time."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from landscape import losses
from landscape.losses import IGNORED, Weighted, scores


def test_cross_entropy_of_classes_tokens_pixels_and_probabilities():
    logits, y = torch.randn(6, 4), torch.randint(4, (6,))
    found = scores(losses.cross_entropy, logits, y)
    torch.testing.assert_close(found.loss, functional.cross_entropy(logits, y, reduction="none"))
    assert torch.equal(found.weight, torch.ones(6))
    assert torch.equal(found.correct, (logits.argmax(1) == y).float())

    tokens, t = torch.randn(6, 5, 4), torch.randint(4, (6, 5))
    t[0, 1:] = IGNORED
    found = scores(losses.cross_entropy, tokens, t)
    expected = functional.cross_entropy(tokens.flatten(0, 1), t.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(found.loss.sum() / found.weight.sum(), expected)
    assert found.weight.tolist() == [1, 5, 5, 5, 5, 5]
    right = (tokens.argmax(-1) == t)[t != IGNORED].float().mean()
    torch.testing.assert_close(found.correct.sum() / found.weight.sum(), right)

    images, mask = torch.randn(6, 4, 3, 2), torch.randint(4, (6, 3, 2))
    found = scores(losses.cross_entropy, images, mask)
    torch.testing.assert_close(found.loss.sum() / found.weight.sum(), functional.cross_entropy(images, mask))

    p = torch.rand(6, 4).softmax(1)
    found = scores(losses.cross_entropy, logits, p)
    torch.testing.assert_close(found.loss.mean(), functional.cross_entropy(logits, p))
    assert torch.equal(found.weight, torch.ones(6))


def test_causal_predicts_the_next_token():
    logits, t = torch.randn(3, 5, 4), torch.randint(4, (3, 5))
    t[1, 3:] = IGNORED
    found = scores(losses.causal, logits, t)
    expected = functional.cross_entropy(logits[:, :-1].flatten(0, 1), t[:, 1:].flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(found.loss.sum() / found.weight.sum(), expected)
    assert found.weight.tolist() == [4, 2, 4]


@pytest.mark.parametrize(
    ("name", "twin"), [("mse", functional.mse_loss), ("mae", functional.l1_loss), ("huber", functional.huber_loss)]
)
def test_regression_equals_torch(name, twin):
    outputs, targets = torch.randn(6, 3), torch.randn(6, 3)
    found = scores(losses.loss(name), outputs, targets)
    torch.testing.assert_close(found.loss.mean(), twin(outputs, targets))
    assert found.correct.isnan().all()
    flat = scores(losses.loss(name), outputs[:, :1], targets[:, 0])  # (B, 1) against (B,) does not broadcast
    torch.testing.assert_close(flat.loss.mean(), twin(outputs[:, 0], targets[:, 0]))
    integers = scores(losses.loss(name), outputs[:, :1], torch.arange(6))
    assert integers.correct.isnan().all()  # one output has no classes


def test_binary_cross_entropy_counts_the_side_of_zero():
    logits, y = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    found = scores(losses.bce, logits, y)
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0], y.float())
    torch.testing.assert_close(found.loss.mean(), expected)
    assert found.correct.tolist() == ((logits[:, 0] > 0).long() == y).float().tolist()


def test_targets_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"Expected targets of the outputs' shape \(6, 3\), got \(6,\)"):
        scores(losses.mse, torch.randn(6, 3), torch.randn(6))


def test_a_dict_keeps_its_terms_and_sums_them():
    logits, y = torch.randn(6, 4), torch.randint(4, (6,))
    pieces = {"fit": losses.cross_entropy(logits, y), "size": 0.1 * logits**2}
    found = scores(lambda *_: pieces, logits, y)
    expected = torch.stack([pieces["fit"].loss, pieces["size"].mean(1)])
    torch.testing.assert_close(found.terms, expected)
    torch.testing.assert_close(found.loss, expected.sum(0))
    assert losses.term_names(lambda *_: pieces, logits, y) == ("fit", "size")
    assert losses.term_names(losses.mse, logits, logits) == ()
    assert scores(losses.cross_entropy, logits, y).terms.shape == (0, 6)


def test_terms_of_tokens_and_of_examples_share_one_weight():
    weight, other = torch.tensor([2.0, 3.0]), torch.tensor([4.0, 0.0])
    pieces = {
        "tokens": Weighted(torch.tensor([2.0, 6.0]), weight),
        "plain": torch.tensor([0.5, 1.0]),
        "half": Weighted(torch.tensor([8.0, 0.0]), other),
    }
    found = scores(lambda *_: pieces, torch.randn(2, 4), torch.zeros(2))
    assert torch.equal(found.weight, weight)
    assert found.terms.tolist() == [[2.0, 6.0], [1.0, 3.0], [4.0, 0.0]]


def test_token_losses_without_weights_are_means_and_so_is_their_accuracy():
    logits, t = torch.randn(6, 5, 4), torch.randint(4, (6, 5))
    found = scores(lambda o, y: functional.cross_entropy(o.movedim(-1, 1), y, reduction="none"), logits, t)
    torch.testing.assert_close(found.correct.mean(), (logits.argmax(-1) == t).float().mean())


def test_nan_is_never_a_right_answer():
    logits = torch.full((3, 4), torch.nan)
    assert scores(losses.cross_entropy, logits, torch.zeros(3, dtype=torch.long)).correct.tolist() == [0, 0, 0]


def test_logits_are_taken_out_of_objects_and_widened():
    logits, y = torch.randn(6, 4).bfloat16(), torch.randint(4, (6,))
    found = scores(losses.cross_entropy, SimpleNamespace(logits=logits), y)
    assert found.loss.dtype == torch.float32
    torch.testing.assert_close(found.loss, functional.cross_entropy(logits.float(), y, reduction="none"))
    assert scores(losses.mse, logits, torch.randn(6, 4)).loss.dtype == torch.float32


@pytest.mark.parametrize("wrong", [torch.tensor(1.0), torch.ones(5), 3.0])
def test_means_over_the_batch_are_refused(wrong):
    with pytest.raises(ValueError, match="one value for each of 6 examples.*use reduction='none'"):
        scores(lambda *_: wrong, torch.randn(6, 4), torch.zeros(6))


def test_names(tmp_path):
    assert losses.loss("mse") is losses.mse
    assert losses.loss(losses.mse) is losses.mse
    assert losses.name(losses.mse) == losses.name("mse") == "mse"
    (tmp_path / "mine.py").write_text("def half(outputs, targets):\n    return (outputs - targets)** 2 / 2\n")
    assert losses.loss(f"{tmp_path / 'mine.py'}:half")(2.0, 1.0) == 0.5
    with pytest.raises(
        ValueError, match=r"Expected a loss among .*got 'crossentropy' \(did you mean 'cross_entropy'\?\)"
    ):
        losses.loss("crossentropy")
