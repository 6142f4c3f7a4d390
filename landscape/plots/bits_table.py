"""A network across bit widths in words and numbers: a row for each width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.summary import columns, head

if TYPE_CHECKING:
    from landscape.probes.bits import Bits


def bits_table(result: Bits) -> str:
    """Write what rounding costs, of what that consists, what lies around, and how the weights lie: a row a width."""
    tables = [_costs(result, split) for split in range(len(result.split))]
    tables += [_terms(result), _slopes(result), *_scaled(result), _around(result), _weights(result)]
    lines = [head(result) + f", batch norm {result.origin.get('batchnorm', 'unknown')}"]
    for title, rows in tables:
        lines += ["", title, *columns(rows)]
    return "\n".join([*lines, *[""] * bool(result.remarks()), *result.remarks()])


def _costs(result: Bits, split: int) -> tuple[str, list[list[str]]]:
    known = result.accuracy is not None
    header = ["bits", "levels", "loss", "change, paired"] + ["accuracy %"] * known
    full = ["full", "", _pm(result.loss_full[split], result.loss_full_error[split]), ""]
    rows = [header, full + ([_percent(result, "accuracy_full", split)] if known else [])]
    for i, count in enumerate(result.bits.tolist()):
        row = [str(count), f"{result.family[i]}, {result.calibration[i]}"]
        row += [_value(result, "loss", split, i), _value(result, "loss_change", split, i)]
        rows.append(row + ([_percent(result, "accuracy", split, i)] if known else []))
    told = "loss and accuracy" if known else "loss"
    return f"{told} on the {result.split[split]} split, ± standard errors over examples", rows


def _terms(result: Bits) -> tuple[str, list[list[str]]]:
    rows = [["bits", "change", "gradient term", "curvature term", "remainder", "expansion"]]
    for i, count in enumerate(result.bits.tolist()):
        terms = [_number(getattr(result, name)[i]) for name in ("gradient_term", "curvature_term", "remainder")]
        holds = "holds" if result.taylor_valid[i] else "fails"
        rows.append([str(count), _number(result.loss_change[0, i]), *terms, holds])
    return f"change of the {result.split[0]} loss, and its expansion at w", rows


def _slopes(result: Bits) -> tuple[str, list[list[str]]]:
    known = [name for name in ("lambda_max", "trace") if getattr(result, name) is not None]
    rows = [["bits", "gradient norm", *known], ["full", _number(result.gradient_norm_full)]]
    rows[1] += [_pm(getattr(result, f"{n}_full"), getattr(result, f"{n}_full{_end(n)}")) for n in known]
    still = result.stationary()
    for i, count in enumerate(result.bits.tolist()):
        norm = _number(result.gradient_norm[i]) + ("" if still[i] else " !")
        rows.append([str(count), norm, *(_value(result, name, i) for name in known)])
    told = ", and Hessian there, ± residual and standard error" if known else ""
    return f"gradient of the {result.split[0]} loss at Q(w){told}", rows


def _around(result: Bits) -> tuple[str, list[list[str]]]:
    names = {
        "bin_sharpness": "bins, at least", "flip_mean": "random flips", "flip_worst": "worst flips", "sam": "SAM",
    }  # fmt: skip
    rows = [["bits", *names.values(), "barrier before"]]
    for i, count in enumerate(result.bits.tolist()):
        barrier = _value(result, "barrier", 0, i) if result.barrier[0, i] > 0 else "none"
        rows.append([str(count), *(_value(result, name, i) for name in names), barrier])
    flips = f"{int(result.flipped)} of {int(result.tensor_size.sum())} codes flip"
    return f"rises of the {result.split[0]} loss nearby, in nats; {flips}", rows


def _scaled(result: Bits) -> list[tuple[str, list[list[str]]]]:
    if result.scaled is None:
        return []
    rows = [["bits", "step", "at w", "at Q(w)"]]
    for i, count in enumerate(result.bits.tolist()):
        values = [_value(result, name, i) for name in ("scaled_full", "scaled")]
        rows.append([str(count), _number(result.step[i]), *values])
    return [("largest eigenvalue times the squared step, in nats, ± residual", rows)]


def _weights(result: Bits) -> tuple[str, list[list[str]]]:
    names = {
        "relative_error": "|d| / |w|", "clipped": "clipped", "near": "near an edge", "flat": "flat",
        "moved": "codes moved", "spearman": "rank corr.", "spearman_omega": "with Omega",
    }  # fmt: skip
    known = [name for name in names if getattr(result, name) is not None]
    rows = [["bits", *(names[name] for name in known)]]
    rows += [[str(b), *(_value(result, n, i) for n in known)] for i, b in enumerate(result.bits.tolist())]
    apart = result.origin.get("spacing")
    where = "" if apart is None else f"; flat: same loss {apart:g} filter lengths beside w"
    return f"weights on their grids, d = Q(w) - w{where}", rows


def _value(result: Any, name: str, *index: int) -> str:
    """Write a number with its error."""
    errors = getattr(result, name + _end(name), None)
    return _pm(getattr(result, name)[index], np.nan if errors is None else errors[index])


def _end(name: str) -> str:
    return "_residual" if name in ("lambda_max", "scaled", "scaled_full") else "_error"


def _percent(result: Any, name: str, *index: int) -> str:
    return f"{100 * getattr(result, name)[index]:.2f} ± {100 * getattr(result, name + '_error')[index]:.2f}"


def _pm(value: float, error: float) -> str:
    return _number(value) + (f" ± {error:.2g}" if np.isfinite(error) and error > 0 else "")


def _number(value: Any) -> str:
    return f"{float(value):.4g}"
