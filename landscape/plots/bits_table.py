"""A network across bit widths in words and numbers: a row for each width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plots.summary import columns, head

if TYPE_CHECKING:
    from landscape.probes.bits import Bits


def bits_table(result: Bits) -> str:
    """Write what rounding costs, of what that consists, what lies around, and how the weights lie: a row a width."""
    tables = [_costs(result), _terms(result), _around(result), _weights(result)]
    lines = [head(result) + f", batch norm {result.origin.get('batchnorm', 'unknown')}"]
    for title, rows in tables:
        lines += ["", title, *columns(rows)]
    return "\n".join([*lines, *[""] * bool(result.remarks()), *result.remarks()])


def _costs(result: Bits) -> tuple[str, list[list[str]]]:
    header, full = ["bits", "levels"], ["full", ""]
    for k, split in enumerate(result.split.tolist()):
        header += [f"{split} loss", "change, paired"] + ["accuracy %"] * (result.accuracy is not None)
        full += [_pm(result.loss_full[k], result.loss_full_error[k]), ""]
        full += [_percent(result, "accuracy_full", k)] if result.accuracy is not None else []
    rows = [header, full]
    for i, count in enumerate(result.bits.tolist()):
        row = [str(count), f"{result.family[i]}, {result.calibration[i]}"]
        for k in range(len(result.split)):
            row += [_value(result, "loss", k, i), _value(result, "loss_change", k, i)]
            row += [_percent(result, "accuracy", k, i)] if result.accuracy is not None else []
        rows.append(row)
    return "loss and accuracy, ± standard errors over examples", rows


def _terms(result: Bits) -> tuple[str, list[list[str]]]:
    curved = ("lambda_max", "trace")
    known = [name for name in curved if getattr(result, name) is not None]
    header = ["bits", "change", "gradient term", "curvature term", "remainder", "expansion", "gradient norm", *known]
    rows = [header, ["full", "", "", "", "", "", _number(result.gradient_norm_full)]]
    rows[1] += [_pm(getattr(result, f"{n}_full"), getattr(result, f"{n}_full{_end(n)}")) for n in known]
    still = result.stationary()
    for i, count in enumerate(result.bits.tolist()):
        row = [str(count), _number(result.loss_change[0, i])]
        row += [_number(getattr(result, name)[i]) for name in ("gradient_term", "curvature_term", "remainder")]
        row += ["holds" if result.taylor_valid[i] else "fails"]
        row += [_number(result.gradient_norm[i]) + ("" if still[i] else " !")]
        rows.append([*row, *(_value(result, name, i) for name in known)])
    return f"change of the {result.split[0]} loss, and the Hessian at Q(w): ± residual and standard error", rows


def _around(result: Bits) -> tuple[str, list[list[str]]]:
    names = {
        "step": "step", "scaled_full": "lambda(w) step²", "scaled": "lambda(Q) step²",
        "bin_sharpness": "bins, at least", "flip_mean": "random flips", "flip_worst": "worst flips", "sam": "SAM",
        "barrier": "barrier before",
    }  # fmt: skip
    known = [name for name in names if getattr(result, name) is not None]
    rows = [["bits", *(names[name] for name in known)]]
    for i, count in enumerate(result.bits.tolist()):
        rows.append([str(count), *(_value(result, n, *((0, i) if n == "barrier" else (i,))) for n in known)])
    flips = f"{int(result.flipped)} of {int(result.tensor_size.sum())} codes flip"
    return f"rises of the {result.split[0]} loss nearby, in nats; {flips}", rows


def _weights(result: Bits) -> tuple[str, list[list[str]]]:
    names = {
        "relative_error": "|Q(w) - w| / |w|", "clipped": "clipped", "near": "near a threshold", "flat": "flat",
        "moved": "codes moved", "spearman": "rank correlation", "spearman_omega": "with Omega",
    }  # fmt: skip
    known = [name for name in names if getattr(result, name) is not None]
    rows = [["bits", *(names[name] for name in known)]]
    rows += [[str(b), *(_value(result, n, i) for n in known)] for i, b in enumerate(result.bits.tolist())]
    apart = result.origin.get("spacing")
    where = "" if apart is None else f"; flat: same loss {apart:g} filter lengths beside w"
    return f"weights on their grids{where}", rows


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
