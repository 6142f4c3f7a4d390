"""Which surface of a quantized network a result shows, in words, and of how many bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SURFACES = {
    "dequant": "quantized weights",
    "latent": "latent weights",
    "requant": "calibrated at each point",
    "smooth": "randomized rounding",
    "soft": "soft rounding",
    "lattice": "lattice of codes",
    "fp": "full precision",
    "bitplane": "full precision",
}
ACTIVATIONS = {
    "hard": "{bits}-bit activations",
    "ste": "{bits}-bit activations (straight-through)",
    "dither": "{bits}-bit activations (dithered)",
    "fp": "full-precision activations",
}


def quantized(result: Any, *, widths: bool = True) -> str:
    """Say which surface it is: ``latent weights, 3 bits``; nothing for a network that is not quantized."""
    origin = result.origin
    kind = surface(result)
    if not kind:
        return ""
    words = [SURFACES.get(kind, kind)]
    view = origin.get("view") or {}
    if kind == "soft" and "temperature" in view:
        words[0] += f" (temperature {view['temperature']:g})"
    if kind == "smooth" and "samples" in view:
        words[0] += f" ({view['samples']} samples)"
    return ", ".join([*words, *([told(result)] if widths and bits(result) else []), *_activations(result)])


def surface(result: Any) -> str:
    """Name the surface, as ``--quantized`` does; empty for a network that is not quantized."""
    asked = (result.origin.get("quantized") or {}).get("quantized")
    seen = (result.origin.get("view") or {}).get("surface")
    return asked or seen or ("dequant" if result.origin.get("quantization") else "")


def bits(result: Any) -> tuple[int, ...]:
    """Return the widths of the weights that are drawn, ascending; none of full precision, or untold."""
    if surface(result) in ("", "fp", "bitplane"):
        return ()
    widths = ((result.origin.get("quantization") or {}).get("widths") or {}).get("bits") or ()
    return tuple(sorted(int(width) for width in widths))


def told(result: Any) -> str:
    """Write the widths: ``3 bits``, or ``2 to 8 bits`` of mixed precision; ``full precision`` without any."""
    found = bits(result)
    if not found:
        return "full precision"
    many = "bit" if found == (1,) else "bits"
    return f"{found[0]} {many}" if len(found) == 1 else f"{found[0]} to {found[-1]} bits"


def across(results: Mapping[str, Any]) -> bool:
    """Say whether results are of one network at different widths, as far as they tell: they are then shown together."""
    return len({bits(result) for result in results.values()}) == len(results) > 1


def ordered(results: Mapping[str, Any]) -> dict[str, Any]:
    """Sort results from full precision down to the fewest bits."""
    return dict(sorted(results.items(), key=lambda pair: -float(np.mean(bits(pair[1]) or np.inf))))


def _activations(result: Any) -> list[str]:
    known = ((result.origin.get("quantization") or {}).get("widths") or {}).get("activation_bits") or ()
    if not known or surface(result) in ("fp", "bitplane"):
        return []
    mode = str(result.origin.get("activations", "hard"))
    written = f"{known[0]}" if len(known) == 1 else f"{known[0]}- to {known[-1]}"
    return [ACTIVATIONS[mode].format(bits=written)] if mode in ACTIVATIONS else []
