"""What a builder expects of its arguments, and the errors that say so."""

from collections.abc import Iterable
from numbers import Integral


def image(shape: tuple[int, ...], *, smallest: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width) of one image, each at least 1 and no side below `smallest` pixels.

    Raises
    ------
    ValueError
        If `shape` is not three positive integers, or a side is too small.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"expected `shape` as (channels, height, width), got {tuple(shape)}; "
            "give the shape of one image without the batch axis, such as (3, 32, 32)"
        )
    channels, height, width = shape
    if min(height, width) < smallest:
        raise ValueError(
            f"expected images of at least {smallest} x {smallest} pixels, got {height} x {width}; "
            "enlarge the images or choose another network, such as mlp"
        )
    return channels, height, width


def positive(**counts: int) -> None:
    """Raise a ValueError that names the first count that is not an integer of at least 1."""
    for name, count in counts.items():
        if not isinstance(count, Integral) or count < 1:
            raise ValueError(f"expected `{name}` to be an integer of at least 1, got {count!r}; give {name}=1 or more")


def choice(name: str, value: object, options: Iterable) -> None:
    """Raise a ValueError that lists the options if `value` is none of them."""
    options = tuple(options)
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"expected `{name}` to be one of {listed}, got {value!r}; choose one of these")


def blocks(depth: int, *, layers: int, extra: int) -> int:
    """Return n where depth = layers * n + extra with n >= 1, the blocks of each of a network's stages.

    Raises
    ------
    ValueError
        If `depth` is not of that form.
    """
    n, rest = divmod(depth - extra, layers)
    if rest or n < 1:
        near = layers * max(1, round((depth - extra) / layers)) + extra
        raise ValueError(f"expected `depth` of the form {layers}n+{extra}, got {depth}; the nearest is {near}")
    return n
