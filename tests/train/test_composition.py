"""Methods by name: what a text means, and what is refused."""

import sys
import textwrap

import pytest

from landscape.train import composition, methods
from landscape.train.composition import available, method
from landscape.train.method import Method

KNOBS = '''
from landscape.train.method import Method


def odd(
    *, size: float = 1.0, count: int = 2, some: int | None = None, on: bool = False, word: str = "none",
    either: int | float = 1,
) -> Method:
    """Take a knob of every kind."""
    return Method(schedules={"odd": lambda clock: (size, count, some, on, word, either)})
'''


@pytest.fixture
def odd(tmp_path):
    """Make a method with a knob of every kind discoverable; returns a reader of what it was called with."""
    (tmp_path / "odd.py").write_text(textwrap.dedent(KNOBS))
    methods.__path__.append(str(tmp_path))
    yield lambda text: dict(method(f"odd:{text}" if text else "odd").arguments["odd"])
    methods.__path__.remove(str(tmp_path))
    sys.modules.pop("landscape.train.methods.odd", None)
    vars(methods).pop("odd", None)


def test_one_file_is_one_method():
    assert {"plain", "sam", "swa"} <= set(available())
    assert all(name == make.__name__ for name, make in available().items())


def test_a_name_alone_has_the_defaults():
    found = method("swa")
    assert found.name == "swa"
    assert found.arguments["swa"]["start"] == 0.75
    assert method("plain").arguments == {"plain": {}}


@pytest.mark.parametrize(
    "text", ["sam:rho=0.1+swa:start=0.5", "swa:start=0.5+sam:rho=0.1", "  swa : start = 0.5 +  sam: rho =0.1, "]
)
def test_order_and_spaces_mean_nothing(text):
    found = method(text)
    assert found.name == "sam:rho=0.1+swa:start=0.5"
    assert found.arguments["sam"]["rho"] == 0.1
    assert found.arguments["swa"]["start"] == 0.5
    assert found.gradient is not None
    assert found.average is not None
    assert found.evaluations == 2


def test_the_order_of_arguments_means_nothing(odd):
    assert method("odd:size=2,count=3").name == method("odd:count=3,size=2").name == "odd:count=3,size=2.0"
    assert odd("size=2,count=3") == odd("count=3,size=2")


def test_a_name_written_out_makes_the_same_method_again(odd):
    for text in ("sam:rho=0.1,m=none+swa", "odd:on=true,some=none,word=none", "odd:some=4,size=1e+3,either=1.5"):
        again = method(method(text).name)
        assert (again.name, again.arguments) == (method(text).name, method(text).arguments)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("size=1e+3", "size", 1000.0), ("size=1e-3", "size", 0.001), ("size=2", "size", 2.0),
        ("size=-0.5", "size", -0.5), ("size=+2", "size", 2.0),
        ("count=3", "count", 3), ("some=5", "some", 5), ("some=none", "some", None),
        ("some=None", "some", None), ("on=true", "on", True), ("on=False", "on", False), ("on=TRUE", "on", True),
        ("word=cosine", "word", "cosine"), ("word=none", "word", "none"), ("word=3", "word", "3"),
        ("either=2", "either", 2), ("either=2.5", "either", 2.5), ("", "count", 2),
    ],
)  # fmt: skip
def test_values_are_read_as_their_annotation_has_them(odd, text, key, value):
    found = odd(text)[key]
    assert found == value
    assert type(found) is type(value)


def test_a_plus_in_a_number_does_not_begin_a_method(odd):
    found = method("odd:size=1e+3+swa:start=5e-1")
    assert found.arguments["odd"]["size"] == 1000.0
    assert found.arguments["swa"]["start"] == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("count=2.0", "Expected int for count of odd, got 2.0: write it as in odd:count=VALUE"),
        ("count=true", "Expected int for count of odd, got True"),
        ("count=none", "Expected int for count of odd, got 'none'"),
        ("some=0.5", "Expected int or none for some of odd, got 0.5"),
        ("size=big", "Expected float for size of odd, got 'big'"),
        ("size=nan", "Expected float for size of odd, got 'nan'"),
        ("size=true", "Expected float for size"),
        ("size=(1, 2)", "Expected key=value, got '2\\)'"),
        ("on=1", "Expected bool for on of odd, got 1"),
        ("on=yes", "Expected bool for on of odd, got 'yes'"),
        ("size=1:count=2", "Expected float for size of odd, got '1:count=2'"),
        ("size", "Expected key=value, got 'size'"),
        ("=3", "Expected key=value, got '=3'"),
        ("sise=1", "got 'sise' \\(did you mean 'size'\\?\\)"),
        ("count=1,count=2", "each argument of odd once, got 'count=1,count=2': leave one out"),
        ("count=1, count =1", "each argument of odd once"),
    ],
)
def test_arguments_that_do_not_fit(odd, text, words):
    with pytest.raises(ValueError, match=words):
        odd(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("samm", "got 'samm' \\(did you mean 'sam'\\?\\)"),
        ("swa+swa:start=0.5", "Expected each method once, got 'swa' twice"),
        ("swa +swa", "got 'swa' twice"),
        ("", "Expected methods among .* got ''"),
        ("+sam", "got ''"),
        ("sam+", "got 'sam\\+'"),
        ("sam++swa", "got 'sam\\+'"),
        ("sam+SWA", "got 'sam\\+SWA'"),
        ("sam,swa", "got 'sam,swa'"),
        ("__init__", "Expected methods among"),
        ("../sam", "Expected methods among"),
        ("plain:rho=1", "arguments of plain among none, got 'rho'"),
    ],
)
def test_names_that_do_not_fit(text, words):
    with pytest.raises(ValueError, match=words):
        method(text)


def first(step):
    return step.backward()


def test_what_a_run_has_once_clashes_with_both_names():
    for part, what in (("gradient", "gradient rule"), ("rate", "learning-rate schedule"), ("optimizer", "optimizer"),
                       ("logits", "change of the logits"), ("average", "average of the weights")):  # fmt: skip
        one, two = Method("one", **{part: first}), Method("two", **{part: first})
        with pytest.raises(ValueError, match=f"Expected one {what} in a run, got those of 'one' and 'two'"):
            one + two
        assert getattr(one + Method("other"), part) is first
        assert getattr(Method("other") + one, part) is first


def test_schedules_of_one_hyper_parameter_clash_and_others_are_taken():
    one, two = Method("one", schedules={"rho": first}), Method("two", schedules={"tau": first})
    assert set((one + two).schedules) == {"rho", "tau"}
    with pytest.raises(ValueError, match="one schedule of rho in a run, got those of 'one' and 'two'"):
        one + Method("two", schedules={"rho": first})


def test_what_a_run_may_have_several_of_is_taken_in_order():
    one = Method("one", observers=[1], objectives=[1], weights=[1], surgery=("cosine",), evaluations=2)
    two = Method("two", observers=[2], objectives=[2], weights=[2], surgery=("cosine",), arguments={"two": {}},
                 evaluations=3)  # fmt: skip
    both = one + two
    assert (both.name, both.observers, both.objectives, both.weights) == ("one+two", (1, 2), (1, 2), (1, 2))
    assert (both.surgery, both.evaluations, both.arguments) == (("cosine",), 6, {"two": {}})


def test_the_record_is_json():
    import json

    for name in available():
        found = method(name)
        assert json.loads(json.dumps(found.arguments)) == found.arguments


def test_only_files_of_the_package_are_methods():
    with pytest.raises(ValueError, match="Expected methods among"):
        method("os")
    assert composition.PACKAGE == "landscape.train.methods"


@pytest.mark.parametrize(("sign", "infinity"), [("", "inf"), ("-", "-inf")])
def test_an_integer_that_no_float_holds_is_infinite(sign, infinity):
    with pytest.raises(ValueError, match=f"Expected a positive radius, got rho={infinity}"):
        method(f"sam:rho={sign}1" + "0" * 400)
