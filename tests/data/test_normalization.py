import pytest

from landscape.data._normalization import IMAGENET, PUBLISHED, normalization, normalize_argument


def test_words_and_numbers():
    assert normalization("dataset", "cifar10") == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    assert normalization("imagenet", "anything") == IMAGENET
    assert normalization("none", "mnist") == (None, None)
    assert normalization(None, "mnist") == (None, None)
    assert normalization("0.1,0.2,0.3/1,2,3", "x") == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert normalization(([0.1], [0.2]), "x") == ((0.1,), (0.2,))


@pytest.mark.parametrize("spec", [*PUBLISHED.values(), ([0.1], [1 / 3]), "imagenet", None, "0.5/0.25"])
def test_the_argument_written_down_reads_back(spec):
    assert normalization(normalize_argument(spec), "mnist") == normalization(spec, "mnist")


@pytest.mark.parametrize("spec", ["imagnet", "0.5", "0.5/0.5/0.5", "a/b", 7])
def test_what_cannot_be_read_is_refused(spec):
    with pytest.raises(ValueError, match="Expected normalize=dataset, imagenet, none"):
        normalization(spec, "mnist")


def test_a_data_set_without_constants_says_so():
    with pytest.raises(ValueError, match="got none for 'npz'"):
        normalization("dataset", "npz")
